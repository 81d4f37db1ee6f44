"""`fastsoftmax train --dask`: Parquet files, and more of them than memory holds."""

import concurrent.futures
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("safetensors")
distributed = pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")
pa = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.peer

import psutil  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from partitions import make_rows  # noqa: E402

import fastsoftmax as fs  # noqa: E402
from fastsoftmax.cli import main  # noqa: E402
from fastsoftmax.dask import _cluster  # noqa: E402

MB = 10**6
ROOT = Path(fs.__file__).resolve().parent.parent


def write(path, X, labels, **options):
    columns = {f"x{i}": column for i, column in enumerate(X.T)}
    pq.write_table(pa.table({**columns, "kind": labels}), path, **options)


@pytest.fixture
def flowers(tmp_path):
    """Three files of rows of three kinds."""
    X, y = make_rows(n=3000, n_features=6, n_classes=3)
    labels = np.array(["aster", "iris", "rose"])[y]
    for i in range(3):
        write(tmp_path / f"{i}.parquet", X[i::3], labels[i::3])
    return tmp_path, X, labels


def train(*args):
    return main(["train", "--dask", "--target", "kind", *map(str, args)])


def test_train_on_parquet(flowers, tmp_path, capsys, two_workers):
    folder, X, labels = flowers
    path = tmp_path / "model.safetensors"
    cluster = ["--scheduler", two_workers.scheduler.address]
    assert train("--data", folder / "*.parquet", "--save", path, *cluster) == 0
    out = capsys.readouterr().out
    assert "3000 rows, read in 3 parts" in out
    assert "confusion matrix" in out
    model = fs.load_model(path)
    assert model.classes_.tolist() == ["aster", "iris", "rose"]
    table = {f"x{i}": column for i, column in enumerate(X.T)}
    accuracy = model.score(pytest.importorskip("pandas").DataFrame(table), labels)
    whole = fs.SoftmaxRegression().fit(X, labels).score(X, labels)
    assert accuracy == pytest.approx(whole, abs=0.01)
    assert main(["predict", str(path), str(folder / "0.parquet")]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nothing/*.parquet"], "no such Parquet file"),
        (["--data", "{}", "--plots", "there"], "--dask and --plots exclude each other"),
        (["--data", "{}", "--sep", ";"], "--dask and --sep exclude each other"),
        (["--data", "{}", "--test-size", "7"], "must be a share below 1"),
        (["--data", "{}", "--scheduler", "tcp://a:1", "--workers", "2"], "exclude each other"),
        (["--data", "{}", "--drop", "x9"], "has no column 'x9'"),
        (["--data", "{}", "--target", "x0"], "column 'kind' holds no numbers"),
    ],
)
def test_what_is_refused(flowers, capsys, monkeypatch, options, message):
    monkeypatch.chdir(flowers[0])
    assert train(*(option.format(flowers[0]) for option in options)) == 2
    assert message in capsys.readouterr().err


def test_a_small_limit_of_memory_is_refused(flowers, capsys):
    assert train("--data", flowers[0], "--memory-limit", "20MB") == 2
    assert "--memory-limit must leave room for rows: a worker occupies" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            distributed.KilledWorker("read_part-1", None, 3),
            "4 workers died one after the other while they ran read_part-1: raise --memory-limit",
        ),
        (concurrent.futures.CancelledError("connection lost"), "the cluster gave up the work"),
        (MemoryError("no worker has memory"), "not enough memory: no worker has memory"),
    ],
)
def test_what_becomes_of_a_cluster_is_told(
    flowers, capsys, monkeypatch, two_workers, error, message
):
    def fail(*args):
        raise error

    monkeypatch.setattr(_cluster, "wait_for", fail)
    cluster = ["--scheduler", two_workers.scheduler.address]
    assert train("--data", flowers[0], *cluster) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_options_need_dask(capsys):
    assert main(["train", "--workers", "2"]) == 2
    assert "--workers is for --dask" in capsys.readouterr().err
    assert main(["train", "--dask"]) == 2
    assert "--dask needs --data" in capsys.readouterr().err


class Memory(threading.Thread):
    """Looks at how much memory the largest process below one has, until it is stopped."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._process, self._stop_now, self.curve = psutil.Process(pid), threading.Event(), []

    def run(self):
        while not self._stop_now.wait(0.1):
            try:
                below = self._process.children(recursive=True)
                sizes = [each.memory_info().rss for each in below]
            except psutil.NoSuchProcess:
                continue
            self.curve.append(max(sizes, default=0))

    def stop(self):
        self._stop_now.set()
        self.join()
        return np.array(self.curve)


def test_more_rows_than_memory_holds(tmp_path):
    """The rows are four times the limit of the only worker, which never passes it."""
    limit, n_files, n_features = 512 * MB, 20, 64
    n_rows = 4 * limit // (n_files * n_features * 8) + 1
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n_rows, dtype=np.int8)
    # Few distinct numbers: what counts here is memory, not disk.
    X = (
        rng.integers(-8, 9, (n_rows, n_features)) + 4 * (np.arange(n_features) % 3 == y[:, None])
    ) / 8
    first = tmp_path / "0.parquet"
    write(first, X, y, row_group_size=n_rows // 8)
    for i in range(1, n_files):
        os.link(first, tmp_path / f"{i}.parquet")
    assert n_files * n_rows * n_features * 8 >= 4 * limit
    path = tmp_path / "model.safetensors"
    command = [sys.executable, "-m", "fastsoftmax", "train", "--data", f"{tmp_path}/*.parquet"]
    command += ["--target", "kind", "--dask", "--memory-limit", str(limit), "--no-standardize"]
    command += ["--solver", "adam", "--epochs", "2", "--batch-size", "1024"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--save", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    ) as process:
        memory = Memory(process.pid)
        memory.start()
        out, err = process.communicate()
        curve = memory.stop()
    assert process.returncode == 0, err
    assert "Epoch 2/2" in out
    assert fs.load_model(path).n_iter_ == 2
    assert curve.max() < limit
    early, late = np.array_split(curve, 2)
    assert np.median(late) < 1.1 * np.median(early)
