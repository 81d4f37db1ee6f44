"""Tables and JSON of bench/ are made of one report, and agree with it."""

import json
import re

import numpy as np
import pytest

results = pytest.importorskip("bench.results", reason="bench/ is not here")
from bench import forms, table, training  # noqa: E402
from fastsoftmax._measuring.results import make_report, make_row  # noqa: E402
from fastsoftmax._measuring.timer import Timing  # noqa: E402


def row(operation, shape, ours, peers, disturbed=()):
    """Return a row of given seconds."""
    timings = {name: Timing((seconds,)) for name, seconds in peers.items()}
    case = {
        "operation": operation,
        "n_rows": shape[0],
        "n_classes": shape[1],
        "dtype": "float32",
    }
    errors = {"fastsoftmax": 1.5, "NumPy": 12.0}
    made = make_row(case, {"fastsoftmax": Timing((ours,)), **timings}, ulp=errors)
    return {**made, "copy_share": 0.5, "disturbed": list(disturbed)}


@pytest.fixture
def report():
    report = make_report({"NumPy": "2.0", "PyTorch": "2.13"}, {"JAX": "not installed"})
    report["rows"] = [
        row("softmax", (32, 10), 1e-6, {"NumPy": 8e-6, "PyTorch": 4e-6}),
        row("softmax", (256, 1000), 4e-5, {"NumPy": 2e-4, "PyTorch": 1e-4}, ["the load"]),
        row("log_softmax", (32, 10), 1e-6, {"NumPy": 9e-6}),
        row("cross_entropy", (32, 10), 2e-6, {"NumPy": 2e-5, "PyTorch": 1e-5}),
    ]
    return report


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_times_ratios_and_facts(report):
    first = report["rows"][0]
    assert first["seconds"] == 1e-6
    assert first["ulp"] == 1.5
    assert first["peers"]["NumPy"]["ratio"] == pytest.approx(8)
    assert first["peers"]["NumPy"]["ulp"] == 12
    assert "ulp" not in first["peers"]["PyTorch"]


def test_json_gives_the_report_back(report, tmp_path):
    results.save(report, tmp_path / "deep" / "report.json")
    assert results.read(tmp_path / "deep" / "report.json") == report


def test_json_has_no_numbers_that_json_lacks(report, tmp_path):
    report["rows"][0]["ulp"] = np.inf
    results.save(report, tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["rows"][0]["ulp"] is None
    assert results.markdown(results.read(tmp_path / "report.json"), table.LAYOUT)


def test_table_says_what_the_report_holds(report):
    lines = results.markdown(report, table.LAYOUT).splitlines()
    assert cells(lines[0]) == ["operation", "shape", "ours", "NumPy", "PyTorch"]
    assert cells(lines[2]) == ["softmax", "32 x 10", "1.00 us (1.50)", "8.00x (12.0)", "4.00x"]
    for line, one in zip(lines[2:], report["rows"], strict=False):
        assert cells(line)[1] == results.shape_of(one)
        ratio = float(re.match(r"[\d.]+", cells(line)[3])[0])
        assert ratio == pytest.approx(one["peers"]["NumPy"]["ratio"], abs=0.01)


def test_disturbed_rows_bear_a_star_that_is_explained(report):
    text = results.markdown(report, table.LAYOUT)
    starred = [line for line in text.splitlines() if line.startswith("| softmax * |")]
    assert len(starred) == 1
    assert "256 x 1000" in starred[0]
    assert text.rstrip().endswith(results.DISTURBED)
    for one in report["rows"]:
        one["disturbed"] = []
    assert "*" not in results.markdown(report, table.LAYOUT)


def test_printed_table_shows_every_row_and_reason(report, capsys):
    rows, report["rows"] = report["rows"], []
    results.print_report(report, rows, table.LAYOUT)
    out = capsys.readouterr().out
    assert "without JAX: not installed" in out
    assert "* softmax 256 x 1000: the load" in out
    assert report["rows"] == rows
    assert out.count("log_softmax") == 1


def test_published_tables_are_those_of_their_json():
    checked = 0
    for path, document, name, make in (
        (table.JSON.with_name("forms.json"), forms.PAGE, "forms", forms.page_table),
        (table.JSON.with_name("training.json"), training.PAGE, "training", training.page_table),
    ):
        if path.exists():
            published = results.between(document.read_text(encoding="utf-8"), name)
            assert published == make(results.read(path)).strip()
            checked += 1
    if not checked:
        pytest.skip("no report is published: python -m bench forms --write makes one")


def test_documents_keep_what_surrounds_the_table():
    text = "before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n"
    changed = results.replace_between(text, "table", "| new |\n")
    assert changed == "before\n<!-- table -->\n\n| new |\n\n<!-- end of table -->\nafter\n"
    assert results.between(changed, "table") == "| new |"
    assert results.replace_between(changed, "table", "| new |") == changed
    with pytest.raises(ValueError, match="no marks <!-- forms -->"):
        results.replace_between(text, "forms", "")


def test_documents_have_their_marks():
    for document, name in (
        (forms.PAGE, "forms"),
        (training.PAGE, "training"),
    ):
        text = document.read_text(encoding="utf-8")
        results.replace_between(text, name, "")


def test_forms_are_one_table_with_two_columns_a_shape():
    report = make_report({"PyTorch": "2.13"}, {})
    for shape in ((32, 10), (1024, 10)):
        for form in ("plain", "axis=0"):
            made = row("softmax", shape, 1e-6, {"PyTorch": 4e-6})
            report["rows"].append({**made, "form": form})
    report["rows"].append({**row("sigmoid", (32, 10), 1e-6, {}), "form": "plain"})
    lines = forms.page_table(report).splitlines()
    assert cells(lines[0]) == ["form", "32 x 10, us", "ratio", "1024 x 10, us", "ratio"]
    assert cells(lines[2]) == ["softmax", "1.00", "0.25", "1.00", "0.25"]
    assert cells(lines[3])[0] == "softmax, axis=0"
    assert cells(lines[4]) == ["sigmoid", "1.00", "-", "-", "-"]
