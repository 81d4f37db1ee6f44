"""`fastsoftmax bench`, and what it shares with the suite in bench/: oracle, contenders, clock."""

from decimal import Context, Decimal, localcontext

import numpy as np
import pytest

from fastsoftmax.cli import _operations, _peers, _timing, bench
from fastsoftmax.cli._errors import CommandError


class Clock:
    """A clock that only calls move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def call(self, seconds):
        def call():
            self.now += seconds

        return call


def test_medians_are_of_single_calls():
    clock = Clock()
    calls = {"short": clock.call(1e-5), "long": clock.call(0.2)}
    times = _timing.alternate(calls, 2.0, clock)
    assert times == pytest.approx({"short": 1e-5, "long": 0.2})
    assert 2.0 <= clock.now < 3.0


def test_every_call_is_timed_even_without_time():
    clock = Clock()
    times = _timing.alternate({"a": clock.call(1.0), "b": clock.call(2.0)}, -1.0, clock)
    assert times == pytest.approx({"a": 1.0, "b": 2.0})
    assert clock.now == pytest.approx(6.0)  # an estimate and a turn of each


def test_one_slow_turn_does_not_count():
    clock = Clock()
    durations = iter([0.1, 0.1, 5.0] + [0.1] * 1000)

    def call():
        clock.now += next(durations)

    assert _timing.alternate({"a": call}, 8.0, clock)["a"] == pytest.approx(0.1)


def by_decimal(operation, row, target, n_rows):
    """Return a row's exact result, in the digits of the decimal context."""
    exps = [Decimal(float(x)).exp() for x in row]
    probs = [e / sum(exps) for e in exps]
    if operation == "softmax":
        return probs
    if operation == "log_softmax":
        return [p.ln() for p in probs]
    if operation == "cross_entropy":
        return [-probs[target].ln()]
    others = sum(e for i, e in enumerate(exps) if i != target)
    probs[target] = -others / sum(exps)
    return [p / n_rows for p in probs]


@pytest.mark.parametrize("operation", _operations.OPERATIONS)
def test_long_double_is_exact_enough(operation):
    """Its error is small beside half a unit of a double, confident predictions included."""
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("long double is a double here: there is no oracle for float64")
    logits, targets = _operations.make_inputs((6, 7), np.float64, seed=1)
    logits[0] = [30, 0, -20, 1, 2, 3, 4]
    targets[0] = 0
    got = _operations.exact(operation, logits, targets).reshape(6, -1)
    with localcontext(Context(prec=50)):
        for row in range(6):
            expected = by_decimal(operation, logits[row], targets[row], 6)
            for value, exact in zip(got[row], expected, strict=True):
                digits = np.format_float_scientific(value, precision=25, unique=False)
                assert abs(Decimal(digits) - exact) <= abs(exact) * Decimal(2) ** -57


def test_max_ulp():
    expected = np.array([1.0, 2.0, 1e-45], np.longdouble)
    assert _operations.max_ulp(np.float32([1, 2, 0]), expected) == 0
    assert _operations.max_ulp(np.float32([1, np.nextafter(np.float32(2), 3), 0]), expected) == 1
    assert _operations.max_ulp(np.float32([np.nan, 2, 0]), expected) == np.inf
    assert _operations.max_ulp(np.float32([0]), np.longdouble([1e-45])) == 0


@pytest.mark.parametrize("operation", _operations.OPERATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_contender_agrees(operation, dtype):
    contenders, absent = _peers.installed()
    assert {c.name for c in contenders} | set(absent) == {c.name for c in _peers.CONTENDERS}
    contenders = [c for c in contenders if _peers.offers(c, operation)]
    assert [c.name for c in contenders[:2]] == ["fastsoftmax", "NumPy"]
    logits, targets = _operations.make_inputs((40, 12), dtype)
    errors = bench.check(contenders, operation, logits, targets)
    if np.finfo(np.longdouble).nmant > np.finfo(dtype).nmant:
        assert errors["fastsoftmax"] <= 4
    for contender in contenders:
        _peers.prepare(contender, operation, logits, targets)()


def test_wrong_results_are_not_timed():
    class Wrong(_peers.NumPy):
        name = "Wrong"

        def softmax(self, x, y):
            return super().softmax(x, y) * np.float32(1.01)

    inputs = _operations.make_inputs((4, 10))
    with pytest.raises(CommandError, match="Wrong computes a wrong softmax of 4x10 float32"):
        bench.check([Wrong()], "softmax", *inputs)


def test_absent_peer_is_named(run, monkeypatch):
    class Absent(_peers.NumPy):
        name = "Absent"

        def __init__(self):
            raise ModuleNotFoundError(name="absent")

        distribution = "absent"

    monkeypatch.setattr(_peers, "CONTENDERS", (_peers.FastSoftmax, _peers.NumPy, Absent))
    outcome = run("bench", "--seconds", 0.1, "--shape", "4x10", "--operation", "softmax")
    assert outcome.code == 0
    assert "without Absent: not installed: pip install absent" in outcome.out


@pytest.fixture
def standing_clock(monkeypatch):
    """However slow the machine is, there is time left for every row."""
    monkeypatch.setattr(bench.time, "perf_counter", lambda: 0.0)


def test_table(run, monkeypatch, standing_clock):
    monkeypatch.setattr(_peers, "CONTENDERS", (_peers.FastSoftmax, _peers.NumPy))
    outcome = run("bench", "--seconds", 0.2, "--shape", "4x10", "--shape", "3X5")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("operation"))
    rows = [line.split() for line in lines[head + 1 :]]
    assert [row[:2] for row in rows] == [
        [operation, shape] for shape in ("4x10", "3x5") for operation in _operations.OPERATIONS
    ]


def test_json(run, standing_clock):
    report = run("bench", "--seconds", 0.3, "--shape", "8x10", "--json", "--dtype", "float64").json
    assert [row["operation"] for row in report["rows"]] == list(_operations.OPERATIONS)
    assert report["left_out"] == []
    for row in report["rows"]:
        assert (row["n_rows"], row["n_classes"], row["dtype"]) == (8, 10, "float64")
        assert row["seconds"] > 0
        assert row["copy_share"] > 0
        numpy = row["peers"]["NumPy"]
        assert numpy["ratio"] == pytest.approx(numpy["seconds"] / row["seconds"])
        assert {"ratio", "seconds", "ulp"} == set(numpy)


def test_rows_without_time_are_named(run, monkeypatch):
    monkeypatch.setattr(_peers, "CONTENDERS", (_peers.FastSoftmax, _peers.NumPy))
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
