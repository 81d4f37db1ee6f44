import csv
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.estimators import _progress
from fastsoftmax.estimators._progress import Reporter
from fastsoftmax.estimators.callbacks import Callback, CSVLogger, ModelCheckpoint


class Recorder(Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_train_end(self, logs=None):
        self.calls.append("end")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(("epoch", epoch))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("done", epoch, logs))


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_hooks_come_in_keras_order(solver, images):
    X, y = images()
    recorder = Recorder()
    clf = fs.MLPClassifier((8,), solver=solver, max_iter=2).fit(X, y, callbacks=[recorder])
    logs = [{name: values[epoch] for name, values in clf.history_.items()} for epoch in (0, 1)]
    assert recorder.calls == [
        "begin",
        ("epoch", 0),
        ("done", 0, logs[0]),
        ("epoch", 1),
        ("done", 1, logs[1]),
        "end",
    ]
    assert recorder.params == {"epochs": 2, "samples": 300, "batch_size": 200, "verbose": 0}
    assert recorder.model is clf


def test_batch_hooks(images):
    X, y = images()

    class Batches(Callback):
        seen = ()

        def on_train_batch_end(self, batch, logs=None):
            self.seen += ((batch, logs["loss"]),)

    batches = Batches()
    clf = fs.MLPClassifier((8,), max_iter=2, batch_size=100, random_state=0)
    clf.fit(X, y, callbacks=[batches])
    assert [batch for batch, _ in batches.seen] == [0, 1, 2, 0, 1, 2]
    assert batches.seen[-1][1] == pytest.approx(clf.history_["loss"][-1])
    plain = fs.MLPClassifier((8,), max_iter=2, batch_size=100, random_state=0).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), clf.predict_proba(X))


def test_any_object_may_stop_training_and_predict(images):
    X, y = images()

    class Anything:
        def set_model(self, model):
            self.model = model

        def on_epoch_end(self, epoch, logs):
            self.model.predict(X)
            self.model.stop_training = epoch == 2

    clf = fs.MLPClassifier((8,), max_iter=50).fit(X, y, callbacks=Anything())
    assert clf.n_iter_ == 3
    assert not hasattr(clf, "stop_training")


def test_csv_logger(images, tmp_path):
    X, y = images()
    path = tmp_path / "log.csv"
    clf = fs.MLPClassifier((8,), max_iter=2).fit(
        X, y, X_val=X, y_val=y, callbacks=[CSVLogger(path)]
    )
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    for name, values in clf.history_.items():
        assert [float(row[name]) for row in rows] == values
    fs.MLPClassifier((8,), max_iter=1).fit(
        X, y, X_val=X, y_val=y, callbacks=[CSVLogger(path, append=True)]
    )
    assert len(path.read_text().splitlines()) == 4


def test_model_checkpoint_keeps_the_best(images, tmp_path):
    X, y = images()
    every = ModelCheckpoint(tmp_path / "{epoch:02d}-{loss:.3f}.safetensors")
    best = ModelCheckpoint(tmp_path / "best.safetensors", "val_accuracy", save_best_only=True)
    clf = fs.MLPClassifier((8,), max_iter=4, learning_rate_init=0.01)
    clf.fit(X, y, X_val=X, y_val=y, callbacks=[every, best])
    assert [p.name[:2] for p in sorted(tmp_path.glob("0*"))] == ["01", "02", "03", "04"]
    kept = fs.MLPClassifier.load(tmp_path / "best.safetensors")
    assert kept.score(X, y) == max(clf.history_["val_accuracy"])
    with pytest.raises(KeyError, match="monitor must be one of loss, accuracy, got 'val_loss'"):
        clf.fit(X, y, callbacks=[ModelCheckpoint(tmp_path / "x", save_best_only=True)])


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_checkpoint_resumes_to_the_same_bits(backend, solver, early_stopping, images, tmp_path):
    X, y = images(500)
    options = {
        "solver": solver,
        "learning_rate": "cosine",
        "early_stopping": early_stopping,
        "random_state": 0,
        "alpha": 1e-3,
    }
    make = lambda: fs.MLPClassifier((20,), max_iter=9, **options)  # noqa: E731

    class StopAfterFour(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 3

    with fs.use_backend(backend):
        whole = make().fit(X, y)
        path = tmp_path / "checkpoint"
        make().fit(X, y, callbacks=[ModelCheckpoint(path), StopAfterFour()])
        resumed = make().fit(X, y, resume_from=path)
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


def test_resuming_something_else_is_an_error(images, tmp_path):
    X, y = images()
    path = tmp_path / "model"
    clf = fs.MLPClassifier((8,), max_iter=2, random_state=0).fit(X, y)
    clf.save(path)
    with pytest.raises(ValueError, match="holds no training state"):
        clf.fit(X, y, resume_from=path)
    clf.save(path, training_state=True)
    with pytest.raises(ValueError, match="was written with batch_size='auto', got 10"):
        fs.MLPClassifier((8,), batch_size=10).fit(X, y, resume_from=path)
    with pytest.raises(ValueError, match="classes"):
        clf.fit(X, y == 0, resume_from=path)
    with pytest.raises(ValueError, match="features"):
        clf.fit(X[:, 1:], y, resume_from=path)
    with pytest.raises(ValueError, match="resume_from must be None with solver='lbfgs'"):
        clf.set_params(solver="lbfgs").fit(X, y, resume_from=path)


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_a_bar_shows_on_terminals_only(monkeypatch, capsys):
    pytest.importorskip("tqdm", reason="tqdm is absent")
    monkeypatch.setattr("fastsoftmax.estimators._progress._BAR_AFTER_SECONDS", 0.0)
    for stream, shown in ((Terminal(), True), (sys.stderr, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        reporter = Reporter(1, 3)
        reporter.epoch_begins(0, 1000)
        reporter.rows_done(500)
        reporter.epoch_ends(0, {"loss": 0.5})
        if shown:
            assert "Epoch 1/3" in stream.text
            assert stream.text.endswith("\r")
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("Epoch 1/3") == 2
    assert "\r" not in out


@pytest.mark.parametrize("kernel", [False, True])
def test_a_notebook_shows_the_bar(kernel, images, monkeypatch, capsys):
    pytest.importorskip("tqdm", reason="tqdm is absent")
    monkeypatch.setattr("fastsoftmax.estimators._progress._BAR_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    shell = SimpleNamespace(**({"kernel": None} if kernel else {}))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    fs.MLPClassifier((4,), max_iter=1, verbose=1).fit(*images())
    assert ("Epoch 1/1" in capsys.readouterr().err) == kernel


def test_a_pipe_gets_plain_lines(tmp_path):
    code = (
        "import numpy as np, fastsoftmax as fs\n"
        "X = np.random.default_rng(0).normal(size=(50, 3))\n"
        "fs.MLPClassifier((4,), max_iter=2, verbose=1).fit(X, X[:, 0] > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )
    assert done.stderr == ""
    assert [line[:9] for line in done.stdout.splitlines()] == ["Epoch 1/2", "Epoch 2/2"]


def test_callbacks_that_nobody_would_call_are_errors(images):
    X, y = images()
    for wrong, words in ((CSVLogger, "got the class CSVLogger"), ("log", "must have a hook")):
        with pytest.raises(TypeError, match=words):
            fs.MLPClassifier((4,), max_iter=1).fit(X, y, callbacks=[wrong])


def test_csv_logger_keeps_what_a_broken_fit_has_logged(images, tmp_path):
    X, y = images()

    class Broken(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise RuntimeError("broken")

    path = tmp_path / "log.csv"
    with pytest.raises(RuntimeError, match="broken"):
        fs.MLPClassifier((4,), max_iter=5).fit(X, y, callbacks=[CSVLogger(path), Broken()])
    with open(path, newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]


def test_times_have_two_digits():
    shown = {
        12.345: "12.35s",
        0.1: "0.10s",
        0.0123: "12ms",
        0.00123: "1.2ms",
        4.56e-5: "46us",
        1e-6: "1.0us",
    }
    for seconds, text in shown.items():
        assert _progress._duration(seconds) == text


def test_there_is_no_bar_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert _progress._bar("Epoch 1/3", 100) is None
