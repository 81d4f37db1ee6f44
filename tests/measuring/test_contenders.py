"""Contenders: each computes what it is compared for, and who is wrong is not timed."""

import numpy as np
import pytest

from fastsoftmax._measuring import beside_peers, contenders, operations
from fastsoftmax._measuring.beside_peers import Subject, WrongResult

KINDS = (contenders.FastSoftmax, contenders.OneThread, *contenders.PEERS)


@pytest.mark.parametrize("operation", operations.OPERATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_contender_agrees(operation, dtype):
    present, absent = contenders.installed(KINDS)
    assert {one.name for one in present} | set(absent) == {kind.name for kind in KINDS}
    subjects = [one for one in map(Subject, present) if one.offers(operation)]
    assert [one.name for one in subjects[:3]] == ["fastsoftmax", "fastsoftmax, 1 thread", "NumPy"]
    errors = beside_peers.check(subjects, operation, (40, 12), dtype)
    if np.finfo(np.longdouble).nmant > np.finfo(dtype).nmant:
        assert errors["fastsoftmax"] <= 4
    for subject in subjects:
        subject.prepare(operation, (40, 12), dtype)
        assert subject.turn() > 0


class Wrong(contenders.NumPy):
    name = "Wrong"

    def softmax(self, x, y):
        call = super().softmax(x, y)
        return lambda: call() * np.float32(1.01)


def test_wrong_results_are_not_timed():
    with pytest.raises(WrongResult, match="Wrong computes a wrong softmax of 4x10 float32"):
        beside_peers.check([Subject(Wrong())], "softmax", (4, 10), "float32")


def test_a_row_holds_what_was_measured():
    present, _ = contenders.installed((*KINDS[:2], contenders.NumPy, contenders.ScikitLearn))
    row = beside_peers.measure(list(map(Subject, present)), "softmax", (4, 10), "float32", 0.01)
    assert (row["operation"], row["n_rows"], row["n_classes"]) == ("softmax", 4, 10)
    assert set(row["peers"]) == {"NumPy"}  # scikit-learn has no softmax; one thread is no peer
    peer = row["peers"]["NumPy"]
    assert peer["ratio"] == pytest.approx(peer["seconds"] / row["seconds"])
    assert row["copy_share"] > 0
    assert row["ulp"] <= 4


def test_a_missing_library_is_told_by_name():
    class Absent(contenders.NumPy):
        name = distribution = "absent"

        def __init__(self):
            raise ModuleNotFoundError(name="absent")

    class Broken(Absent):
        name = "broken"

        def __init__(self):
            raise ImportError("no symbol")

    present, absent = contenders.installed((Absent, Broken, contenders.NumPy))
    assert [one.name for one in present] == ["NumPy"]
    assert absent == {
        "absent": "not installed: pip install absent",
        "broken": "could not be used: no symbol",
    }
