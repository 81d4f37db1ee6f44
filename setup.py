"""Build the extensions; everything else stands in pyproject.toml.

`src_ext/kernels.pyx` and `src_ext/training.pyx` are compiled once per instruction set, into
`fastsoftmax._ext.kernels_<isa>` and `training_<isa>`; the loader picks one. Where nothing can be compiled, the package
is installed without them. Environment variables:

CC=clang                 another compiler than the one that built Python
FASTSOFTMAX_COMPILED=0   without compiled modules; 1: an error where they cannot be compiled
FASTSOFTMAX_OPENMP=0     build without OpenMP (done by itself where the compiler has none); 1: an error there
FASTSOFTMAX_ISAS=v4,v2   only these of the instruction sets: a shorter build while one works on it
FASTSOFTMAX_ISAS=all     also the plain build, for processors before x86-64-v2: what wheels have
FASTSOFTMAX_DEBUG=1      bounds checks, assertions and no optimisation
FASTSOFTMAX_LONG_DOUBLE=64  long double is double in the kernels, as on Windows and on ARM processors of Apple
FASTSOFTMAX_SANITIZE=1   address and undefined-behaviour sanitizers; thread: the thread sanitizer
FASTSOFTMAX_COVERAGE=1   count how often each line runs, for gcov: `make coverage`
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).parent))
from build_support.compiler import CannotCompile, Compiler, prefer_clang_cl
from build_support.targets import (
    build_for_one_architecture,
    isas_to_build,
    openmp_flags,
)

SETTINGS = {
    name: os.environ.get(f"FASTSOFTMAX_{name}", "")
    for name in ("COMPILED", "OPENMP", "ISAS", "DEBUG", "LONG_DOUBLE", "SANITIZE", "COVERAGE")
}
KINDS_OF_BUILD = ("OPENMP", "DEBUG", "LONG_DOUBLE", "SANITIZE", "COVERAGE")
DEBUG = SETTINGS["DEBUG"] == "1"
COVERAGE = ["--coverage"] if SETTINGS["COVERAGE"] == "1" else []
SANITIZERS = {
    "1": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
    "thread": ["-fsanitize=thread"],
}.get(SETTINGS["SANITIZE"], [])
NARROW = ["-mlong-double-64"]
SERIAL = ["-Wno-unused-parameter"], []  # the number of threads of a region is one without OpenMP


def build_folder():
    """Return where objects go: those of one kind of build are not another's."""
    kinds = [
        name.lower() if SETTINGS[name] == "1" else f"{name.lower()}-{SETTINGS[name]}"
        for name in KINDS_OF_BUILD
        if SETTINGS[name]
    ]
    kinds += [Path(word).name for word in os.environ.get("CC", "").split()]
    return "-".join(["build/of", *kinds]) if kinds else "build"


def common_flags(compiler):
    """Flags of every extension: fast, but with the arithmetic of IEEE 754 (no -ffast-math)."""
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Wvla", "-Wno-unknown-pragmas"]
    # Wide vectors pass between static functions only; a loop that Clang does not unroll is right all the same.
    flags += [f"-Wno-{name[2:]}" for name in compiler.known(["-Wpsabi", "-Wpass-failed"])]
    # GCC contracts products and sums at -O1 only with this: the same arithmetic as in the builds that users have.
    contracted = compiler.known(["-fexpensive-optimizations"])
    if DEBUG or SANITIZERS:
        flags += ["-O1", *contracted, "-g"]
    elif COVERAGE:
        flags += ["-O1", *contracted, "-DNDEBUG", *COVERAGE]
    else:
        flags += ["-O3", "-g0", "-DNDEBUG"]
    if SANITIZERS:
        flags += [*SANITIZERS, "-fno-omit-frame-pointer"]
    if SETTINGS["LONG_DOUBLE"] == "64":
        flags += NARROW
    safe = ["-fno-math-errno", "-fno-trapping-math", "--param=vect-max-peeling-for-alignment=0"]
    return flags + compiler.known(safe)


def parallel_flags(compiler):
    """Flags to compile and to link with OpenMP; none where it is absent or unwanted."""
    if SETTINGS["OPENMP"] == "0":
        return SERIAL
    found = openmp_flags(compiler)
    if found is None and SETTINGS["OPENMP"] == "1":
        raise SystemExit(f"FASTSOFTMAX_OPENMP=1: {compiler.name()} has no OpenMP")
    if found is None:
        warn(
            f"{compiler.name()} has no OpenMP: every call will use one thread.",
            "On macOS `brew install libomp` brings it, elsewhere GCC has it.",
        )
    return found or SERIAL


def extension(module, source, flags, link_flags):
    """Return one cythonized extension, with generated C in a folder of its own."""
    import numpy
    from Cython.Build import cythonize

    directives = {
        "language_level": 3,
        "boundscheck": DEBUG,
        "wraparound": False,
        "initializedcheck": DEBUG,
        "cdivision": True,
        "embedsignature": True,
        "freethreading_compatible": True,
    }
    built = cythonize(
        Extension(
            f"fastsoftmax._ext.{module}",
            [source],
            include_dirs=["src_ext", numpy.get_include()],
            depends=[str(path) for path in sorted(Path("src_ext").rglob("*.*"))],
            define_macros=[
                ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
                ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
            ],
        ),
        build_dir=f"{build_folder()}/cython/{module}",
        include_path=["src_ext"],
        compiler_directives=directives,
        emit_linenums=bool(COVERAGE),
    )
    for (
        each
    ) in built:  # cythonize itself would add the flags of one instruction set to those of the next
        each.extra_compile_args, each.extra_link_args = list(flags), list(link_flags)
    return built


def extensions(compiler):
    """Return every extension of the package, for the processor that the compiler compiles for."""
    isas, left_out = isas_to_build(compiler, SETTINGS["ISAS"])
    compiler.check_headers()
    if left_out:
        warn(
            f"{compiler.name()} is too old to compile for {', '.join(left_out)}.",
            "The package will be several times slower than it could be: GCC 11 or Clang 12 can.",
        )
    flags = common_flags(compiler)
    openmp, link = parallel_flags(compiler)
    link = link + SANITIZERS + COVERAGE
    left_out = f'-DFASTSOFTMAX_LEFT_OUT="{",".join(left_out)}"'
    built = extension("runtime", "src_ext/runtime.pyx", [*flags, *openmp, left_out], link)
    if sys.platform == "win32":
        built[0].libraries.append("synchronization")  # WaitOnAddress
    built += extension("fast_path", "src_ext/fast_path.pyx", [*flags, *openmp], link)
    for isa, march in isas.items():
        for module in ("kernels", "training"):
            source = f"src_ext/{module}.pyx"
            built += extension(f"{module}_{isa}", source, flags + openmp + march, link)
    for each in built:
        each.extra_compile_args = compiler.spelled(each.extra_compile_args)
    return built


def extensions_or_none():
    """Return the extensions, or none of them where they cannot be compiled or are not wanted."""
    if SETTINGS["COMPILED"] == "0":
        return []
    try:
        return extensions(Compiler())
    except CannotCompile as reason:
        if SETTINGS["COMPILED"] == "1":
            raise SystemExit(f"FASTSOFTMAX_COMPILED=1: {reason}") from None
        warn(
            str(reason),
            "fastsoftmax is installed without compiled kernels; its NumPy and Numba back ends do the work, "
            "more slowly.",
        )
        return []


def warn(*sentences):
    """Say something that whoever installs the package should read; once, not for its metadata too."""
    if not {"egg_info", "dist_info"} & set(sys.argv):
        print("fastsoftmax:", *sentences, file=sys.stderr)


class BuildExtensions(build_ext):
    """Compile on all CPUs, on Windows with clang-cl."""

    def finalize_options(self):
        """Use all CPUs."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        """Have clang-cl stand in for Microsoft's compiler."""
        if self.compiler.compiler_type == "msvc":
            prefer_clang_cl(self.compiler)
        super().build_extensions()


if __name__ == "__main__":
    build_for_one_architecture(os.environ)
    setup(
        ext_modules=extensions_or_none(),
        cmdclass={"build_ext": BuildExtensions},
        options={"build": {"build_base": build_folder()}},
    )
