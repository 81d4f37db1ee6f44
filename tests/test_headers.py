"""Every C header stands alone, as an editor opens it.

FASTSOFTMAX_TEST_KERNELS=all opens each for every instruction set, else for the narrowest and the widest.
"""

import os
import platform
import re
import subprocess
import sysconfig
from pathlib import Path

import compiler
import numpy as np
import pytest

SOURCES = Path(__file__).parent.parent / "src_ext"
HEADERS = sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.h"))
TARGETS = {"baseline": [], "generic": ["-DFASTSOFTMAX_GENERIC"]}
if platform.machine() in ("x86_64", "AMD64"):
    TARGETS |= {isa: [f"-march=x86-64-{isa}"] for isa in ("v2", "v3", "v4")}

OPENED = (
    TARGETS if os.environ.get("FASTSOFTMAX_TEST_KERNELS") == "all" else ("generic", [*TARGETS][-1])
)

pytestmark = pytest.mark.skipif(not HEADERS, reason="the sources are not beside the tests")


@pytest.mark.parametrize("target", OPENED)
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_alone(header, target):
    command = [
        compiler.required(), "-fsyntax-only", "-x", "c", "-std=gnu11", *TARGETS[target],
        "-I", str(SOURCES), "-I", sysconfig.get_path("include"), "-I", np.get_include(),
        str(SOURCES / header),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def listed():
    """Return the names in the list of simd/vector.h, without arguments."""
    text = (SOURCES / "simd/vector.h").read_text().split("*/")[0]
    entries = re.findall(r"^ \*     (\S.*?)(?:  |$)", text, flags=re.MULTILINE)
    return [name for entry in entries for name in re.sub(r"\(.*?\)", "", entry).split(", ")]


def preprocessed(target, *options):
    command = [
        compiler.required(), "-E", *options, *TARGETS[target], "-I", str(SOURCES),
        str(SOURCES / "simd/vector.h"),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def vector_width(target):
    """Return the functions and the macros, with their values, that a width defines."""
    functions = re.findall(
        r"static inline __attribute__\(\(always_inline\)\) \w+ (\w+)\(", preprocessed(target, "-P")
    )
    macros = re.findall(r"^#define (\w+) (.+)$", preprocessed(target, "-dM"), flags=re.MULTILINE)
    return set(functions), dict(macros)


def instances(name, known):
    """Return the names that a name in the list stands for: itself, or one for each dtype."""
    if name in known:
        return {name}
    return {f"{name}_F32", f"{name}_F64"} if name.isupper() else {f"{name}_f32", f"{name}_f64"}


def test_vector_widths_have_what_the_list_says():
    """A function that one width has and another lacks would fail only where it is used."""
    widths = {target: vector_width(target) for target in TARGETS}
    known = {name for functions, macros in widths.values() for name in (*functions, *macros)}
    names = listed()
    assert len(names) > 30
    for target, (functions, macros) in widths.items():
        expected = set().union(*(instances(name, known) for name in names))
        if macros["HAS_PERMUTATIONS"] == "0":
            expected -= {"permuted_f32", "permuted_f64"}
        for dtype in ("f32", "f64"):
            if macros[f"TABLE_BITS_{dtype.upper()}"] == "0":
                expected.remove(f"lookup_{dtype}")
        missing = expected - functions - macros.keys()
        assert not missing, f"{target} lacks {sorted(missing)}"


def test_kernels_need_no_long_double():
    """It may be no wider than double: kernels use pairs of doubles instead."""
    allowed = {"loss/softcap.h", "loss/softcap.pxi"}  # float64 soft caps
    paths = [*SOURCES.rglob("*.h"), *SOURCES.rglob("*.px[id]"), *SOURCES.rglob("*.pyx")]
    found = {
        path.relative_to(SOURCES).as_posix()
        for path in paths
        if any(word in path.read_text() for word in ("<long double>", "long double ", "expl("))
    } - {"math/pairs.h"}
    assert found <= allowed
