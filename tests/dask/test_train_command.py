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
from fastsoftmax.cli._errors import CommandError  # noqa: E402
from fastsoftmax.cli._on_dask import _warn_of_row_groups  # noqa: E402
from fastsoftmax.cli._parquet_parts import Part, files_of  # noqa: E402
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
    capsys.readouterr()
    for options, warned in ([], True), (["--all-rows"], False):
        assert main(["evaluate", str(path), str(folder / "0.parquet"), *options]) == 0
        assert ("also those that it may have learned from" in capsys.readouterr().err) is warned


def test_weights_and_early_stopping(flowers, tmp_path, two_workers):
    path = tmp_path / "model.safetensors"
    cluster = ["--scheduler", two_workers.scheduler.address]
    options = ("--class-weight", "balanced", "--early-stopping", "--epochs", 3)
    assert train("--data", flowers[0], "--save", path, *options, *cluster) == 0
    model = fs.load_model(path)
    assert (model.class_weight, model.early_stopping, model.solver) == ("balanced", True, "adam")
    assert len(model.history_["val_accuracy"]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "nothing/*.parquet"], "no such Parquet file"),
        (["--data", __file__], "test_train_command.py is no Parquet file: --dask reads no others"),
        (["--data", "{}", "--plots", "there"], "--dask and --plots exclude each other"),
        (["--data", "{}", "--sep", ";"], "--dask and --sep exclude each other"),
        (["--data", "{}", "--test-size", "7"], "must be a share below 1"),
        (["--data", "{}", "--scheduler", "tcp://a:1", "--workers", "2"], "exclude each other"),
        (["--data", "{}", "--drop", "x9"], "has no column 'x9'"),
        (["--data", "{}", "--target", "x0"], "column 'kind' holds string, no numbers"),
    ],
)
def test_what_is_refused(flowers, capsys, monkeypatch, options, message):
    monkeypatch.chdir(flowers[0])
    assert train(*(option.format(flowers[0]) for option in options)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "address",
    ["nonsense", "", "tcp://", "http://a:1", "127.0.0.1:1x", "inproc://x/1", "tls://a:1", "ucx://1.2.3.4:1", ":1"],
)  # fmt: skip
def test_addresses_that_are_none(flowers, capsys, tmp_path, address):
    """They are refused before there is a client, which would wait for ever when it is closed."""
    path = tmp_path / "model"
    assert train("--data", flowers[0], "--scheduler", address, "--save", path) == 2
    assert f"--scheduler {address}: " in capsys.readouterr().err
    assert not path.exists()


@pytest.fixture
def two_files(tmp_path, two_workers, capsys):
    """Return a function that trains on a file and on one that differs: code, message, model."""
    X, y = make_rows(n=400, n_features=2, n_classes=3)
    columns = {"x0": X[:, 0], "x1": X[:, 1], "kind": y}

    def train_on(*options, first=None, **changes):
        (tmp_path / "there").mkdir()
        pq.write_table(pa.table({**columns, **(first or {})}), tmp_path / "there" / "a.parquet")
        table = pa.table({**columns, **changes})
        table = table.drop_columns([name for name, column in changes.items() if column is None])
        pq.write_table(table, tmp_path / "there" / "b.parquet")
        path = tmp_path / "model.safetensors"
        options = ["--scheduler", two_workers.scheduler.address, "--save", path, *options]
        code = train("--data", tmp_path / "there", *options)
        model = fs.load_model(path) if code == 0 else None
        return code, capsys.readouterr().err, model

    return train_on


TEXTS, MISSING = pa.array(["1.5"] * 400), pa.array([1.0] * 399 + [None])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x1": pa.nulls(400)}, "b.parquet: column 'x1' holds null, no numbers"),
        ({"x1": TEXTS}, "b.parquet: column 'x1' holds string, no numbers"),
        ({"x1": MISSING}, "b.parquet: column 'x1' has no value in 1 of 400 rows"),
        ({"x1": np.r_[np.inf, np.zeros(399)]}, "'x1' must hold finite numbers, got inf"),
        ({"kind": MISSING}, "b.parquet: column 'kind' has no value in 1 of 400 rows"),
        ({"kind": np.r_[np.nan, np.zeros(399)]}, "'kind' must hold finite numbers, got nan"),
        ({"kind": TEXTS}, "must be of one kind, got int64 in "),
        ({"kind": np.full(400, "2020-01-01", "M8[s]")}, "must be integers or text, got timestamp"),
        ({"first": {"kind": pa.array(["a"] * 400)}, "kind": ["a"] * 400}, "got one class: 'a'"),
    ],
)
def test_files_that_cannot_be_learned_from(two_files, changes, message):
    code, err, _ = two_files(**changes)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_two_columns_of_one_name_are_refused(flowers):
    folder, X, labels = flowers
    table = pa.table([X[:, 0], X[:, 1], labels], names=["x0", "x0", "kind"])
    pq.write_table(table, folder / "0.parquet")
    with pytest.raises(CommandError, match="two columns are named 'x0'"):
        files_of(str(folder))


def test_bytes_in_the_first_file_do_not_wrap_what_others_hold(two_files):
    numbers = np.arange(400) % 7
    first = {"x0": numbers.astype(np.uint8), "x1": numbers.astype(np.uint8), "kind": numbers % 2}
    rest = {"x0": 256 * numbers, "x1": 256 * numbers, "kind": numbers % 2}
    code, err, model = two_files("--no-standardize", first=first, **rest)
    assert (code, err) == (0, "")
    assert model.coef_.dtype == np.float64
    assert np.abs(model.coef_).max() > 0


def test_row_labels_of_data_frames_are_no_features(two_files, monkeypatch):
    pd = pytest.importorskip("pandas")
    labels = pd.DataFrame({"x0": [0.5]}, index=pd.Index([7], name="x1"))
    schema = pa.Table.from_pandas(labels).schema  # as to_parquet of Dask writes it
    plain = pa.table
    monkeypatch.setattr(
        pa, "table", lambda columns: plain(columns).replace_schema_metadata(schema.metadata)
    )
    code, _, model = two_files()
    assert code == 0
    assert model.coef_.shape[1] == 1


def test_files_without_rows_and_folders_below(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    pq.write_table(pa.table({"x": pa.nulls(0)}), tmp_path / "a" / "0.parquet")
    pq.write_table(pa.table({"x": [1.0, 2.0]}), tmp_path / "a" / "b" / "1.parquet")
    found = files_of(f"{tmp_path}/**/*.parquet")
    assert [(Path(file.path).name, file.group_rows) for file in found] == [("1.parquet", [2])]
    with pytest.raises(CommandError, match="has no rows"):
        files_of(str(tmp_path / "a"))
    with pytest.raises(CommandError, match=r"no such Parquet file; .* --data '.*\*\*.*parquet'"):
        files_of(str(tmp_path))


def test_row_groups_that_fill_a_worker_are_warned_of():
    part = Part("a.parquet", [0], n_rows=1000, number=0)
    _warn_of_row_groups(part, row_bytes=MB // 1000, memory=4 * MB)
    with pytest.warns(UserWarning, match="a row group of 1000 rows takes 1 MB"):
        _warn_of_row_groups(part, row_bytes=MB // 1000, memory=3 * MB)


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
