"""The example and the benchmarks of Dask run."""

import contextlib
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
    out = run("examples/torch_and_dask/dask_two_workers.py", tmp_path)
    assert "2 workers: " in out
    assert "the same bits: True" in out


@pytest.fixture
def bench_main(monkeypatch, two_workers):
    """The commands of bench/, which start no cluster of their own."""
    main = pytest.importorskip("bench.__main__", reason="bench/ is not here")

    @contextlib.contextmanager
    def shared_client(n_workers):
        yield two_workers

    for name in main.COMMANDS:
        if name.startswith("dask-"):
            monkeypatch.setattr(main.module_of(name), "local_client", shared_client)
    return main.main


def test_benchmark_of_scaling(bench_main, capsys):
    assert bench_main(["dask-scaling", "--small"]) == 0
    out = capsys.readouterr().out
    assert "an evaluation takes\n  rows * classes / threads" in out
    assert "1000   10000000000" in out


def test_benchmark_of_averaging(bench_main, capsys, monkeypatch):
    monkeypatch.delenv("FASTSOFTMAX_DATA", raising=False)
    assert bench_main(["dask-averaging", "--small"]) == 0
    out = capsys.readouterr().out
    assert "one process, all rows" in out
    assert " 2 replicas, averaged" in out
