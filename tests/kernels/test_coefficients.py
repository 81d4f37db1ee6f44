"""The numbers of src_ext/math, recomputed by tools/coefficients.py."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TOOL = ROOT / "tools/coefficients.py"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="the sources are not beside the tests")

QUOTED = {  # relative errors, as binary logarithms, in the header of math/exp.h
    "float, no table": "2**-28.0 (no table)",
    "float, 8 entries": "2**-32.3 (8 entries)",
    "float, 16 entries": "2**-29.2 (16)",
    "double, no table": "2**-56.5 (none)",
    "double, 8 entries": "2**-58.2 (8)",
}


@pytest.fixture(scope="module")
def tool():
    pytest.importorskip("mpmath")
    spec = importlib.util.spec_from_file_location("coefficients", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", QUOTED)
def test_the_error_of_a_polynomial_is_what_the_header_says(tool, name):
    header, bits = tool.POLYNOMIALS[name]
    largest, _ = tool.worst(tool.coefficients(header, bits), bits, 1000)
    words = " ".join((ROOT / "src_ext/math/exp.h").read_text().replace("\n *", "").split())
    assert QUOTED[name] in words
    quoted = float(QUOTED[name].split("2**")[1].split()[0])
    assert float(tool.mp.log(largest, 2)) == pytest.approx(quoted, abs=0.06)


@pytest.mark.parametrize(("degree", "bits", "expected"), [(1, 4, -29.23), (4, 0, -28.29)])
def test_remez_finds_the_best_polynomial(tool, degree, bits, expected):
    q = tool.remez(degree, bits)
    largest, _ = tool.worst(q, bits, 500)
    assert float(tool.mp.log(largest, 2)) == pytest.approx(expected, abs=0.02)


def test_tables_of_powers(tool):
    found = tool.tables()
    assert len(found) == 3
    assert all(found.values())


def test_the_error_of_the_series_of_log1p_is_what_the_header_says(tool):
    largest = float(tool.mp.log(tool.worst_of_series("log1p"), 2))
    assert f"2**{largest:.1f}" in (ROOT / "src_ext/math/log1p.h").read_text()


@pytest.mark.parametrize("name", ["float", "double"])
def test_the_error_of_the_series_of_caps_is_what_the_header_says(tool, name):
    largest = float(tool.mp.log(tool.worst_of_caps(name), 2))
    assert f"{name} 2**{largest:.1f}" in (ROOT / "src_ext/loss/softcap_series.h").read_text()


def test_what_rounding_has_taken_from_the_powers(tool):
    found, exact = tool.power_errors()
    assert len(found) == 8
    for value, want in zip(found, exact, strict=True):
        assert abs(value - want) <= abs(want) * 2**-50


@pytest.mark.parametrize(
    ("header", "bits"), [("simd/float32.h", 15), ("simd/float64.h", 32)], ids=["float", "double"]
)
def test_parts_of_ln2(tool, header, bits):
    """The first has few enough digits for exact products; both have the rest."""
    high, low = tool.parts_of_ln2(header)
    assert high * 2**bits == int(high * 2**bits)
    assert abs(high + low - tool.mp.log(2)) <= abs(low) * 2 ** (-24 if bits == 15 else -53)
