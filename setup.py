"""Build the extensions; everything else stands in pyproject.toml.

`src_ext/kernels.pyx` and `src_ext/training.pyx` are compiled once per instruction set, into
`fastsoftmax._ext.kernels_<isa>` and `training_<isa>`; the loader picks one. Environment variables:

FASTSOFTMAX_COMPILED=0   install Python alone (done by itself where there is no C compiler); =1: never do so
FASTSOFTMAX_OPENMP=0     build without OpenMP (done by itself where the compiler has none)
FASTSOFTMAX_DEBUG=1      bounds checks, assertions and no optimisation
FASTSOFTMAX_SANITIZE=1   address and undefined-behaviour sanitizers
FASTSOFTMAX_ISAS=v4,v2   only these of the instruction sets that the machine has: a shorter build while one works on it
"""

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FASTSOFTMAX_DEBUG") == "1"
SANITIZE = os.environ.get("FASTSOFTMAX_SANITIZE") == "1"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
SETTINGS = [name for name in ("OPENMP", "DEBUG", "SANITIZE") if f"FASTSOFTMAX_{name}" in os.environ]
BUILD = (
    "-".join(["build/of", *SETTINGS]).lower() if SETTINGS else "build"
)  # one's objects are not another's

X86_ISAS = {
    "v2": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
ISAS_BY_MACHINE = {
    "x86_64": X86_ISAS,
    "AMD64": X86_ISAS,
    "aarch64": {"neon": []},
    "arm64": {"neon": []},
}
PLAIN = {"plain": []}


def compiles(flags):
    """Whether the C compiler takes these flags."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("int main(void) { return 0; }\n")
        command = [*compiler, *flags, str(source), "-o", str(Path(folder, "probe"))]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


def is_compiled():
    """Whether to compile anything; a package of Python alone computes with NumPy or Numba, and says so at import."""
    asked = os.environ.get("FASTSOFTMAX_COMPILED")
    if asked not in (None, "", "0", "1"):
        raise SystemExit(f"FASTSOFTMAX_COMPILED must be 0 or 1, got {asked!r}")
    if asked == "0":
        print(
            "fastsoftmax: FASTSOFTMAX_COMPILED=0: nothing is compiled, NumPy will compute",
            file=sys.stderr,
        )
        return False
    if compiles([]):
        return True
    if asked == "1":
        raise SystemExit("FASTSOFTMAX_COMPILED=1, but there is no C compiler that works (set CC)")
    for line in (
        "=" * 78,
        "fastsoftmax: WARNING: there is no C compiler that works (set CC). Nothing is compiled: NumPy will compute,",
        "slowly. With a compiler, install again with --no-cache-dir --force-reinstall.",
        "=" * 78,
    ):
        print(line, file=sys.stderr)
    return False


def openmp_flags():
    """Return the flags that turn OpenMP on, or none where it is absent or unwanted."""
    if os.environ.get("FASTSOFTMAX_OPENMP") == "0":
        return []
    return ["-fopenmp"] if compiles(["-fopenmp"]) else []


def common_flags():
    """Flags of every extension: fast, but with the arithmetic of IEEE 754 (no -ffast-math)."""
    flags = ["-std=gnu11", "-Wall", "-Wno-unused-function", "-Wno-unknown-pragmas"]
    if DEBUG or SANITIZE:
        flags += ["-O1", "-g"]
    else:
        flags += ["-O3", "-g0", "-DNDEBUG"]
    if SANITIZE:
        flags += [*SANITIZERS, "-fno-omit-frame-pointer"]
    safe = ["-fno-math-errno", "-fno-trapping-math", "--param=vect-max-peeling-for-alignment=0"]
    return flags + [flag for flag in safe if compiles([flag])]


def extension(module, source, flags, link_flags):
    """Return one cythonized extension, with generated C in a folder of its own."""
    directives = {
        "language_level": 3,
        "boundscheck": DEBUG,
        "wraparound": False,
        "initializedcheck": DEBUG,
        "cdivision": True,
        "embedsignature": True,
        "freethreading_compatible": False,
    }
    return cythonize(
        Extension(
            f"fastsoftmax._ext.{module}",
            [source],
            include_dirs=["src_ext", numpy.get_include()],
            depends=[str(path) for path in sorted(Path("src_ext").rglob("*.*"))],
            define_macros=[
                ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
            ],
            extra_compile_args=flags,
            extra_link_args=link_flags,
        ),
        build_dir=f"{BUILD}/cython/{module}",
        include_path=["src_ext"],
        compiler_directives=directives,
    )


def extensions():
    """Return every extension of the package for this machine."""
    flags, openmp = common_flags(), openmp_flags()
    link = openmp + (SANITIZERS if SANITIZE else [])
    isas = ISAS_BY_MACHINE.get(platform.machine(), PLAIN)
    isas = {isa: march for isa, march in isas.items() if compiles(march)} or PLAIN
    wanted = os.environ.get("FASTSOFTMAX_ISAS")
    if wanted:
        unknown = sorted(set(wanted.split(",")) - set(isas))
        if unknown:
            raise SystemExit(
                f"FASTSOFTMAX_ISAS: must be of {', '.join(isas)}, got {', '.join(unknown)}"
            )
        isas = {isa: isas[isa] for isa in wanted.split(",")}
    built = extension("runtime", "src_ext/runtime.pyx", flags + openmp, link)
    built += extension("fronts", "src_ext/fronts.pyx", flags, link)
    for isa, march in isas.items():
        for module in ("kernels", "training"):
            source = f"src_ext/{module}.pyx"
            built += extension(f"{module}_{isa}", source, flags + openmp + march, link)
    return built


setup(
    ext_modules=extensions() if is_compiled() else [],
    options={"build": {"build_base": BUILD}, "build_ext": {"parallel": os.cpu_count()}},
)
