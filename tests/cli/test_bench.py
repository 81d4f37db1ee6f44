"""`fastsoftmax bench`: its table, its JSON, and what it refuses."""

import pytest

from fastsoftmax._measuring import beside_peers, contenders, operations
from fastsoftmax.cli import bench


def test_absent_peer_is_named(run, monkeypatch):
    class Absent(contenders.NumPy):
        name = "Absent"

        def __init__(self):
            raise ModuleNotFoundError(name="absent")

        distribution = "absent"

    monkeypatch.setattr(contenders, "PEERS", (contenders.NumPy, Absent))
    outcome = run("bench", "--seconds", 0.1, "--shape", "4x10", "--operation", "softmax")
    assert outcome.code == 0
    assert "without Absent: not installed: pip install absent" in outcome.out


@pytest.fixture
def standing_clock(monkeypatch):
    """However slow the machine is, there is time left for every row."""
    monkeypatch.setattr(bench.time, "perf_counter", lambda: 0.0)


def test_table(run, monkeypatch, standing_clock):
    monkeypatch.setattr(contenders, "PEERS", (contenders.NumPy,))
    outcome = run("bench", "--seconds", 0.2, "--shape", "4x10", "--shape", "3X5")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("operation"))
    rows = [line.replace("* ", "  ").split() for line in lines[head + 1 : head + 9]]
    assert [row[:2] for row in rows] == [
        [operation, shape] for shape in ("4x10", "3x5") for operation in operations.OPERATIONS
    ]


def test_json(run, standing_clock):
    report = run("bench", "--seconds", 0.3, "--shape", "8x10", "--json", "--dtype", "float64").json
    assert [row["operation"] for row in report["rows"]] == list(operations.OPERATIONS)
    assert report["left_out"] == []
    for row in report["rows"]:
        assert (row["n_rows"], row["n_classes"], row["dtype"]) == (8, 10, "float64")
        assert row["seconds"] > 0
        assert row["copy_share"] > 0
        numpy = row["peers"]["NumPy"]
        assert numpy["ratio"] == pytest.approx(numpy["seconds"] / row["seconds"])
        assert {"ratio", "seconds", "spread", "ulp"} == set(numpy)


def test_rows_without_time_are_named(run, monkeypatch):
    monkeypatch.setattr(contenders, "PEERS", (contenders.NumPy,))
    times = iter([0.0, 0.0, *[100.0] * 100])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(times))
    report = run("bench", "--shape", "4x10", "--json").json
    assert [row["operation"] for row in report["rows"]] == ["softmax"]
    assert report["left_out"][0] == "log_softmax 4x10"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--seconds", "51"), "expected a number in (0, 50], got '51'"),
        (("--seconds", "nan"), "got 'nan'"),
        (("--shape", "10"), "expected ROWSxCLASSES, such as 8192x1000, got '10'"),
        (("--shape", "0x3"), "got '0x3'"),
        (("--operation", "relu"), "invalid choice: 'relu'"),
        (("--dtype", "float16"), "invalid choice: 'float16'"),
        (("--shape", "10000000x10000000"), "not enough memory"),
    ],
)
def test_refused_options(refused, args, message):
    assert message in refused("bench", *args)


def test_disturbed_rows_are_marked_and_explained(run, monkeypatch):
    monkeypatch.setattr(contenders, "PEERS", (contenders.NumPy,))
    monkeypatch.setattr(beside_peers.disturbance, "suspicions", lambda *of: ["something was odd"])
    outcome = run("bench", "--seconds", 0.1, "--shape", "4x10", "--operation", "softmax")
    lines = outcome.out.splitlines()
    assert any(line.startswith("softmax *") for line in lines)
    assert "something was odd" in lines[-1]
    assert lines[-1].startswith("* softmax 4x10: ")


def test_wrong_results_end_the_command(refused, monkeypatch):
    monkeypatch.setattr(beside_peers.operations, "agrees", lambda got, expected: False)
    assert "fastsoftmax computes a wrong softmax of 4x10" in refused(
        "bench", "--seconds", 0.1, "--shape", "4x10"
    )
