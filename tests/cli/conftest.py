"""What the tests of the command line share."""

import json
from typing import NamedTuple

import numpy as np
import pytest

from fastsoftmax.cli import main


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out, parse_constant=pytest.fail)  # NaN is not JSON


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run the command line in an empty folder; return its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTSOFTMAX_DATA", raising=False)

    def run(*args):
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(run):
    """Run a command that must be refused with one line on stderr; return that line."""

    def refused(*args):
        outcome = run(*args)
        assert outcome.code == 2
        assert outcome.err.startswith("fastsoftmax: ")
        assert outcome.err.count("\n") == 1
        assert outcome.err.endswith("\n")
        return outcome.err

    return refused


@pytest.fixture
def flowers(tmp_path):
    """A CSV file of three separable classes with text labels, and what is in it."""
    rng = np.random.default_rng(0)
    classes = np.array(["aster", "iris", "rose"])
    labels = np.repeat(classes, 20)
    centres = np.repeat([[0.0, 100.0], [4.0, 100.0], [0.0, 160.0]], 20, axis=0)
    X = centres + rng.normal(size=(60, 2)) * [0.5, 5.0]
    order = rng.permutation(60)
    path = tmp_path / "flowers.csv"
    write_csv(path, ["width", "height", "kind"], X[order], labels[order])
    return path, X[order], labels[order]


def write_csv(path, header, X, *columns):
    rows = [
        ",".join([*(repr(float(x)) for x in row), *(str(value) for value in rest)])
        for row, *rest in zip(X, *columns, strict=True)
    ]
    path.write_text("\n".join([",".join(header), *rows]) + "\n")


@pytest.fixture(name="write_csv")
def write_csv_fixture():
    return write_csv
