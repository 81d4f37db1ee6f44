"""Every C header stands alone, as an editor opens it.

FASTSOFTMAX_TEST_KERNELS=all opens each for every instruction set, else for the narrowest and the widest.
"""

import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

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


def compiler():
    found = shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no compiler")
    return found


@pytest.mark.parametrize("target", OPENED)
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_alone(header, target):
    command = [
        compiler(), "-fsyntax-only", "-x", "c", "-std=gnu11", *TARGETS[target],
        "-I", str(SOURCES), "-I", sysconfig.get_path("include"), "-I", np.get_include(),
        str(SOURCES / header),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_vector_widths_have_the_same_functions():
    """A function that one width has and another lacks would fail only where it is used."""
    found = {}
    for target, flags in TARGETS.items():
        command = [
            compiler(), "-E", "-P", *flags, "-I", str(SOURCES), str(SOURCES / "simd/vector.h")
        ]  # fmt: skip
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        described = (SOURCES / "simd/vector.h").read_text().split("*/")[0]
        names = {word.split("(")[0] for word in described.replace(",", " ").split() if "(" in word}
        found[target] = {
            name for name in names if f"{name}_f32(" in text or f" {name}(" in text
        } - {"permuted", "lookup"}  # where HAS_PERMUTATIONS and TABLE_BITS say so
    assert len(found["generic"]) > 20
    assert all(names == found["generic"] for names in found.values()), found


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
