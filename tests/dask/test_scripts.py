"""The example and the benchmarks of Dask run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("distributed")
pytest.importorskip("dask.array")
pytestmark = pytest.mark.peer

ROOT = Path(__file__).resolve().parent.parent.parent


def run(path, folder, *args):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / path), *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_example_of_two_workers(tmp_path):
    out = run("examples/dask_two_workers.py", tmp_path)
    assert "2 workers: " in out
    assert "the same bits: True" in out


def test_benchmark_of_scaling(tmp_path):
    out = run("bench/dask_scaling.py", tmp_path, "--quick")
    assert "an evaluation takes\n  rows * classes / threads" in out
    assert "1000   10000000000" in out
