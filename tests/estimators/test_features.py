"""Validation, schedules, multi-label, calibration, interruption, other libraries."""

import multiprocessing
import pickle
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastsoftmax as fs
from fastsoftmax import export
from fastsoftmax.estimators._optimizers import learning_rate_at
from fastsoftmax.estimators.callbacks import Callback


def noisy(images, n_rows=400, share=0.3, seed=0):
    X, y = images(n_rows, dtype="float64", seed=seed)
    rng = np.random.default_rng(seed)
    return X, np.where(rng.uniform(size=n_rows) < share, rng.integers(0, 5, n_rows), y)


@pytest.mark.parametrize("own", [False, True])
def test_early_stopping_restores_the_best_weights(images, own, capsys):
    X, y = noisy(images)
    X_val, y_val = images(300, dtype="float64")
    clf = fs.MLPClassifier((64,), learning_rate_init=0.02, max_iter=500, early_stopping=True)
    clf.set_params(n_iter_no_change=5, random_state=0, verbose=1)
    clf.fit(X, y, X_val=X_val, y_val=y_val) if own else clf.fit(X, y)
    scores = clf.history_["val_accuracy"]
    assert clf.n_iter_ == len(scores) < 500
    assert max(scores[-5:]) <= max(scores[:-5]) + clf.tol
    assert (
        "val_accuracy did not improve by more than tol=0.0001 for 5 epochs"
        in capsys.readouterr().out
    )
    if own:
        assert clf.score(X_val, y_val) == max(scores)


def test_training_stops_when_the_loss_does(images):
    X, y = images(dtype="float64")
    clf = fs.MLPClassifier((16,), learning_rate_init=0.05, max_iter=3000, tol=1e-3, random_state=0)
    clf.fit(X, y)
    gains = -np.diff(clf.history_["loss"])
    assert clf.n_iter_ < 3000
    assert (gains[-10:] <= 1e-3).all()
    assert gains[-11] > 1e-3


@pytest.mark.filterwarnings("ignore:lbfgs did not converge")
def test_warm_start_goes_on(images):
    X, y = noisy(images)
    for clf in (
        fs.MLPClassifier((16,), max_iter=3, random_state=0, warm_start=True),
        fs.SoftmaxRegression(max_iter=3, warm_start=True),
    ):
        losses = [clf.fit(X, y).evaluate(X, y)["loss"] for _ in range(4)]
        assert losses == sorted(losses, reverse=True)
        with pytest.raises(ValueError, match="warm_start needs the classes of the last fit"):
            clf.fit(X, y == 1)
        clf.set_params(warm_start=False).fit(X, y)
        assert clf.evaluate(X, y)["loss"] == pytest.approx(losses[0])


def test_schedules():
    assert learning_rate_at("constant", 0.1, 7, 10) == 0.1
    assert learning_rate_at("invscaling", 0.1, 3, 10) == pytest.approx(0.05)
    assert learning_rate_at("cosine", 0.1, 0, 10) == 0.1
    assert learning_rate_at("cosine", 0.1, 5, 10) == pytest.approx(0.05)
    assert learning_rate_at(lambda epoch: 0.5**epoch, 0.1, 2, 10) == 0.25
    with pytest.raises(ValueError, match=r"learning_rate\(2\) must be .* got nan"):
        learning_rate_at(lambda epoch: float("nan"), 0.1, 2, 10)


@pytest.mark.parametrize("schedule", ["invscaling", "cosine", lambda epoch: 0.02 / (epoch + 1)])
def test_schedules_train(schedule, images):
    X, y = images()
    clf = fs.MLPClassifier(
        (16,), learning_rate=schedule, learning_rate_init=0.02, max_iter=40, batch_size=32
    )
    clf.set_params(random_state=0)
    assert clf.fit(X, y).score(X, y) > 0.9


def test_label_smoothing_holds_probabilities_back(images):
    X, y = images(dtype="float64")
    sharp = fs.SoftmaxRegression(C=1e3, max_iter=1000).fit(X, y)
    smooth = fs.SoftmaxRegression(C=1e3, max_iter=1000, label_smoothing=0.2).fit(X, y)
    assert np.median(smooth.predict_proba(X).max(axis=1)) < 0.9
    assert np.median(sharp.predict_proba(X).max(axis=1)) > 0.95


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_multilabel_is_one_sigmoid_a_column(backend, solver, images):
    X, y = images(500, dtype="float64")
    Y = np.column_stack([y < 2, y % 2 == 0, y == 4]).astype(int)
    with fs.use_backend(backend):
        clf = fs.MLPClassifier(
            (16,), solver=solver, learning_rate_init=0.02, max_iter=60, random_state=0
        ).fit(X, Y)
        assert clf.predict(X).shape == clf.predict_proba(X).shape == Y.shape
        assert clf.score(X, Y) > 0.9
        assert clf.evaluate(X, Y)["accuracy"] == clf.score(X, Y)
        np.testing.assert_array_equal(clf.predict(X), clf.predict_proba(X) > 0.5)


def test_multilabel_regression_is_a_regression_a_column(images):
    X, y = images(200, n_features=6, dtype="float64")
    Y = np.column_stack([y < 2, y % 2 == 0])
    clf = fs.SoftmaxRegression(tol=1e-9, max_iter=1000).fit(X, Y)
    for column in range(2):
        single = fs.SoftmaxRegression(tol=1e-9, max_iter=1000).fit(X, Y[:, column])
        np.testing.assert_allclose(clf.coef_[column], single.coef_[0], atol=1e-5)


def test_one_hot_rows_draw_a_warning(images):
    X, y = images()
    with pytest.warns(UserWarning, match=r"pass y.argmax\(axis=1\)"):
        fs.SoftmaxRegression().fit(X, np.eye(5, dtype=int)[y])
    with pytest.raises(ValueError, match="0 and 1"):
        fs.SoftmaxRegression().fit(X, np.eye(5, dtype=int)[y] * 2 + 1)


def test_calibration_changes_confidence_and_no_class(images):
    X, y = noisy(images, 300)
    X_new, y_new = noisy(images, 300, seed=0)
    y_new = np.where(np.random.default_rng(5).uniform(size=300) < 0.3, (y_new + 1) % 5, y_new)
    clf = fs.MLPClassifier((64,), learning_rate_init=0.02, max_iter=200, random_state=0).fit(X, y)
    classes, loss = clf.predict(X_new), clf.evaluate(X_new, y_new)["loss"]
    assert clf.temperature_ == 1
    clf.calibrate(X_new, y_new)
    assert clf.temperature_ > 1
    assert clf.evaluate(X_new, y_new)["loss"] < loss
    np.testing.assert_array_equal(clf.predict(X_new), classes)
    np.testing.assert_allclose(
        clf.predict_proba(X_new),
        fs.softmax(clf.decision_function(X_new), temperature=clf.temperature_),
        rtol=1e-6,
    )
    assert clf.fit(X, y).temperature_ == 1


def test_top_k_accuracy(images):
    X, y = noisy(images)
    clf = fs.SoftmaxRegression().fit(X, y)
    order = np.argsort(-clf.decision_function(X), axis=1, kind="stable")
    for k in (1, 2, 5):
        expected = (order[:, :k] == y[:, None]).any(axis=1).mean()
        assert clf.evaluate(X, y, top_k=k)[f"top_{k}_accuracy"] == pytest.approx(expected)
    binary = fs.SoftmaxRegression().fit(X, y == 1)
    figures = binary.evaluate(X, y == 1, top_k=1)
    assert figures["top_1_accuracy"] == figures["accuracy"]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_keeps_what_was_learned(solver, images):
    X, y = images()

    class PressCtrlC(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    clf = fs.MLPClassifier((16,), solver=solver, max_iter=50, learning_rate_init=0.05)
    clf.set_params(random_state=0)
    with pytest.warns(
        UserWarning, match=r"interrupted in .* 4 of 50; .* keeps what it has learned"
    ):
        assert clf.fit(X, y, callbacks=[PressCtrlC()]) is clf
    assert len(clf.history_["loss"]) == 3
    best = min(clf.history_["loss"])
    assert clf.evaluate(X, y)["loss"] <= best * (1 + 1e-6)


def test_pipeline_grid_search_clone_and_pickle(images):
    X, y = images(dtype="float64")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), fs.SoftmaxRegression(max_iter=500)),
        {"softmaxregression__C": [0.01, 1.0]},
        cv=3,
    ).fit(X, y)
    assert search.best_score_ > 0.9
    clf = fs.MLPClassifier((7,), max_iter=3, random_state=0).fit(X, y)
    assert clone(clf).get_params() == clf.get_params()
    other = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))
    assert other.partial_fit(X, y).n_iter_ == 4


@pytest.mark.parametrize("library", ["pandas", pytest.param("polars", marks=pytest.mark.peer)])
def test_data_frames(library, images):
    frames = pytest.importorskip(library, reason=f"{library} is absent")
    X, y = images(n_features=3, dtype="float64")
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate("abc")})
    labels = frames.Series(np.array(list("vwxyz"))[y])
    clf = fs.SoftmaxRegression().fit(frame, labels)
    assert clf.feature_names_in_.tolist() == ["a", "b", "c"]
    expected = fs.SoftmaxRegression().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(clf.predict_proba(frame), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[["b", "a", "c"]])


@pytest.mark.parametrize("n_classes", [2, 4])
def test_from_sklearn(n_classes, images):
    X, y = images(n_features=12, n_classes=n_classes, dtype="float64")
    y = np.array(list("abcd"))[y]
    for theirs, ours in (
        (LogisticRegression(C=2.0, max_iter=500), fs.SoftmaxRegression),
        (MLPClassifier((8, 5), max_iter=40, tol=0, n_iter_no_change=100), fs.MLPClassifier),
    ):
        theirs.set_params(
            max_iter=1000 if theirs.__class__ is MLPClassifier else 500, tol=1e-2
        ).fit(X, y)
        clf = ours.from_sklearn(theirs)
        np.testing.assert_allclose(
            clf.predict_proba(X), theirs.predict_proba(X), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_array_equal(clf.predict(X), theirs.predict(X))
    assert clf.hidden_layer_sizes == (8, 5)
    images8 = (X * 255).astype(np.uint8)
    np.testing.assert_allclose(
        clf.predict_proba(images8), theirs.predict_proba(images8), atol=1e-12
    )


def test_from_sklearn_refuses_what_it_cannot_express(images):
    X, y = images()
    with pytest.raises(TypeError, match="must be a LogisticRegression"):
        fs.SoftmaxRegression.from_sklearn(fs.MLPClassifier())
    tanh = MLPClassifier((3,), activation="tanh", tol=1.0, n_iter_no_change=1).fit(X, y)
    with pytest.raises(ValueError, match="activation='relu', got 'tanh'"):
        fs.MLPClassifier.from_sklearn(tanh)


@pytest.mark.peer
@pytest.mark.parametrize("problem", ["classes", "binary", "labels"])
@pytest.mark.parametrize("hidden", [None, (9,), (9, 4)])
def test_onnx(problem, hidden, images, dtype, tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is absent")
    reference = pytest.importorskip("onnx.reference", reason="onnx is absent")
    X, y = images(dtype=dtype)
    Y = {"classes": y, "binary": y < 2, "labels": np.column_stack([y < 2, y > 0])}[problem]
    clf = (
        fs.SoftmaxRegression(max_iter=2000)
        if hidden is None
        else fs.MLPClassifier(hidden, max_iter=3)
    )
    clf.fit(X, Y).temperature_ = 1.5
    model = export.to_onnx(clf, tmp_path / "model.onnx")
    expected = [clf.decision_function(X).reshape(len(X), -1), clf.predict_proba(X)]
    got = reference.ReferenceEvaluator(onnx.load(tmp_path / "model.onnx")).run(None, {"X": X})
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is absent")
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for mine, theirs in zip(session.run(None, {"X": X}), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_memmap_is_read_where_it_is(images, tmp_path):
    X, y = images(dtype="uint8")
    X.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", dtype=np.uint8, mode="r", shape=X.shape)
    got = fs.MLPClassifier((8,), max_iter=3, random_state=0).fit(mapped, y).predict_proba(mapped)
    expected = fs.MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(got, expected)


def test_threads_training_at_once(images):
    X, y = images(2000)
    make = lambda: fs.MLPClassifier((64,), max_iter=5, random_state=0)  # noqa: E731
    expected = make().fit(X, y).predict_proba(X)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(make().fit(X, y).predict_proba(X)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for got in found:
        np.testing.assert_array_equal(got, expected)


def _fit_in_child(X, y, queue):
    queue.put(fs.MLPClassifier((64,), max_iter=3, random_state=0).fit(X, y).predict_proba(X))


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_trains(images):
    X, y = images(2000)
    expected = fs.MLPClassifier((64,), max_iter=3, random_state=0).fit(X, y).predict_proba(X)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_fit_in_child, args=(X, y, queue), daemon=True)
    child.start()
    got = queue.get(timeout=60)
    child.join(timeout=60)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_images_are_never_floats_as_a_whole(backend):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (20_000, 784), dtype=np.uint8)
    y = rng.integers(0, 10, len(X))
    with fs.use_backend(backend):
        for clf in (
            fs.MLPClassifier((16,), batch_size=512, max_iter=1),
            fs.SoftmaxRegression(max_iter=1, tol=1.0),
        ):
            tracemalloc.start()
            clf.fit(X, y).predict_proba(X)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 32 << 20 < X.size * 4
