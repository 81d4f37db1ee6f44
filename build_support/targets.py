"""What is built for a processor: its instruction sets and their flags, and OpenMP."""

import os
import platform
import sys
import sysconfig
from pathlib import Path

from .compiler import CannotCompile

WIDE = ["-mprefer-vector-width=512"]
V2 = ["-mssse3", "-msse4.1", "-msse4.2", "-mpopcnt", "-mcx16", "-msahf"]
V3 = [*V2, "-mavx", "-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2", "-mlzcnt", "-mmovbe"]
V4 = [*V3, "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl"]

ISAS_BY_ARCHITECTURE = {
    "x86_64": {  # compilers older than GCC 11 and Clang 12 know the features, but not the levels
        "plain": [[]],
        "v2": [["-march=x86-64-v2"], V2],
        "v3": [["-march=x86-64-v3"], V3],
        "v4": [["-march=x86-64-v4", *WIDE], [*V4, *WIDE]],
    },
    "aarch64": {"neon": [[]]},
    "other": {"plain": [[]]},
}
"""For each architecture its instruction sets; for each of these, lists of flags, of which the first accepted counts."""

ONLY_IF_ASKED = {"x86_64": {"plain"}}
"""Not built by default: what hardly any machine needs. FASTSOFTMAX_ISAS=all builds it too, as wheels have it."""

OPENMP = """
#include <omp.h>
int main(void) { int n = 0;
#pragma omp parallel reduction(+:n)
n += omp_get_num_threads();
return n < omp_get_max_threads(); }
"""
LIBOMP_FOLDERS = ("/opt/homebrew/opt/libomp", "/usr/local/opt/libomp", "/opt/local/lib/libomp")


def isas_to_build(compiler, asked):
    """Return the flags of each instruction set to build, and those that this compiler cannot build.

    Parameters
    ----------
    compiler : Compiler
    asked : str
        FASTSOFTMAX_ISAS: "" for those that machines of this architecture have, "all", or names with commas.

    Raises
    ------
    CannotCompile
        If the kernels are not right on this architecture.
    SystemExit
        If a name is unknown, or an instruction set that is asked for by name cannot be built.
    """
    choices = ISAS_BY_ARCHITECTURE.get(compiler.architecture)
    if choices is None:
        raise CannotCompile(refusal(compiler.architecture))
    flags = {isa: compiler.first_accepted(lists) for isa, lists in choices.items()}
    if asked in ("", "all"):
        found = {isa: march for isa, march in flags.items() if march is not None}
        unwanted = ONLY_IF_ASKED.get(compiler.architecture, set()) if asked == "" else set()
        built = {isa: march for isa, march in found.items() if isa not in unwanted}
        return built or found, [isa for isa in flags if isa not in found]
    names = asked.split(",")
    unknown = sorted(set(names) - set(flags))
    if unknown:
        raise SystemExit(
            f"FASTSOFTMAX_ISAS: must be of {', '.join(flags)} or all, got {', '.join(unknown)}"
        )
    impossible = [isa for isa in names if flags[isa] is None]
    if impossible:
        raise SystemExit(
            f"FASTSOFTMAX_ISAS: {compiler.name()} cannot compile for {', '.join(impossible)}"
        )
    return {isa: flags[isa] for isa in names}, []


def refusal(architecture):
    """Return why nothing is built for an architecture."""
    if architecture == "i386":
        return (
            "32-bit x86 is not supported, since its floating-point unit rounds otherwise: "
            "use a 64-bit Python."
        )
    return (
        "The kernels are built for one architecture at a time: set ARCHFLAGS to one of "
        '"-arch arm64" and "-arch x86_64".'
    )


def build_for_one_architecture(environment, machine=None):
    """Where Python itself is universal, build for this Mac's own processor, and let the wheel's name say so.

    ARCHFLAGS chooses another.
    """
    if sys.platform != "darwin" or "universal" not in sysconfig.get_platform():
        return
    if "ARCHFLAGS" in environment:
        return
    machine = machine or platform.machine()
    target = environment.get("MACOSX_DEPLOYMENT_TARGET") or sysconfig.get_config_var(
        "MACOSX_DEPLOYMENT_TARGET"
    )
    if machine == "arm64" and int(str(target).partition(".")[0]) < 11:
        target = "11.0"
    environment["ARCHFLAGS"] = f"-arch {machine}"
    environment.setdefault("_PYTHON_HOST_PLATFORM", f"macosx-{target}-{machine}")


def openmp_flags(compiler):
    """Return the flags to compile and to link with OpenMP, or None where the compiler has none.

    Apple's Clang has OpenMP, but neither the option nor the library: libomp comes from Homebrew, MacPorts or conda,
    or from where CPPFLAGS and LDFLAGS lead.
    """
    if compiler.is_clang_cl:
        choices = [(["/openmp"], [])]
    else:
        choices = [(["-fopenmp"], ["-fopenmp"]), *libomp_flags(os.environ)]
    return next((c for c in choices if compiler.accepts(c[0], OPENMP, c[1])), None)


def libomp_flags(environment):
    """Yield flags for a compiler without -fopenmp, for each place where libomp may lie."""
    yield ["-Xpreprocessor", "-fopenmp"], ["-lomp"]
    for folder in (environment.get("CONDA_PREFIX"), *LIBOMP_FOLDERS):
        if folder and Path(folder).is_dir():
            yield (
                ["-Xpreprocessor", "-fopenmp", f"-I{folder}/include"],
                [f"-L{folder}/lib", f"-Wl,-rpath,{folder}/lib", "-lomp"],
            )
