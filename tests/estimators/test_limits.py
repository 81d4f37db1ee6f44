"""What a user may hand over by mistake or by bad luck, and what must come of it."""

import signal
import threading

import needs
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

import fastsoftmax as fs
from fastsoftmax.estimators import _compiled


def test_early_stopping_holds_out_a_row_of_each_class(images):
    X, y = images(12, n_classes=3)
    y[:6] = [0, 1, 2, 0, 1, 2]
    clf = fs.MLPClassifier((4,), early_stopping=True, max_iter=2).fit(X, y)
    assert len(clf.history_["val_loss"]) == 2
    with pytest.raises(ValueError, match=r"early_stopping needs more rows: of 5, .* hold out 3"):
        clf.fit(X[:5], y[:5])


@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_partial_fit_after_early_stopping_goes_on(backend, images):
    X, y = images()
    options = {"learning_rate_init": 0.01, "random_state": 0, "early_stopping": True}
    with fs.use_backend(backend):
        fresh = fs.MLPClassifier((8,), **options).partial_fit(X, y, classes=np.arange(5))
        assert fresh.n_iter_ == 1
        clf = fs.MLPClassifier((8,), max_iter=8, **options).fit(X, y)
        before = clf.evaluate(X, y)["loss"]
        for _ in range(20):
            clf.partial_fit(X, y)
    assert clf.evaluate(X, y)["loss"] < before


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("first", ["float32", "float64"])
def test_partial_fit_keeps_the_dtype_of_the_first_call(backend, first, images):
    X, y = images()
    other = {"float32": "float64", "float64": "float32"}[first]
    with fs.use_backend(backend):
        clf = fs.MLPClassifier((8,), random_state=0)
        clf.partial_fit(X.astype(first), y, classes=np.arange(5)).partial_fit(X.astype(other), y)
        expected = fs.MLPClassifier((8,), random_state=0)
        expected.partial_fit(X.astype(first), y, classes=np.arange(5))
        expected.partial_fit(X.astype(first), y)
    assert all(array.dtype == first for array in clf.coefs_ + clf.intercepts_)
    np.testing.assert_array_equal(clf.coefs_[0], expected.coefs_[0])


def test_warm_start_wants_the_same_layers(images):
    X, y = images()
    clf = fs.MLPClassifier((8,), max_iter=1, warm_start=True).fit(X, y)
    with pytest.raises(
        ValueError, match=r"the layers of the last fit, \(40, 8, 5\), got \(7, 8, 5\)"
    ):
        clf.fit(X[:, :7], y)
    clf = fs.MLPClassifier((8,), max_iter=1, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"got \(40, 9, 5\)"):
        clf.set_params(hidden_layer_sizes=(9,)).fit(X, y)
    clf.set_params(hidden_layer_sizes=(8,)).fit(X.astype("float64"), y)
    assert clf.coefs_[0].dtype == np.float64


@pytest.mark.parametrize(
    ("class_weight", "words"),
    [
        ({0: -1.0}, r"class_weight\[0\] must be finite and >= 0, got -1.0"),
        ({0: np.nan}, r"class_weight\[0\] must be finite and >= 0, got nan"),
        (dict.fromkeys(range(5), 0.0), "must not be zero for all rows"),
    ],
)
def test_class_weights_out_of_range(class_weight, words, images):
    with pytest.raises(ValueError, match=words):
        fs.SoftmaxRegression(class_weight=class_weight).fit(*images())


def test_balanced_needs_all_data(images):
    X, y = images()
    clf = fs.MLPClassifier((4,), class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight must be a dict or None for partial_fit"):
        clf.partial_fit(X, y, classes=np.arange(5))


@pytest.mark.parametrize(
    "weights", [-np.ones(300), np.full(300, np.nan), np.zeros(300), np.ones(3)]
)
def test_evaluate_checks_weights(weights, images):
    X, y = images()
    clf = fs.SoftmaxRegression().fit(X, y)
    with pytest.raises(ValueError, match=r"[wW]eight"):
        clf.evaluate(X, y, weights)


@pytest.mark.parametrize(
    ("rate", "error"), [(-1, ValueError), (np.nan, ValueError), ("a", TypeError), (None, TypeError)]
)
def test_a_schedule_must_return_a_rate(rate, error, images):
    with pytest.raises(error, match=r"learning_rate\(0\) must be"):
        fs.MLPClassifier((4,), learning_rate=lambda epoch: rate).fit(*images())


@pytest.mark.parametrize("verbose", ["yes", 1.5, None])
def test_verbose_is_a_number(verbose, images):
    with pytest.raises(TypeError, match="verbose must be an integer"):
        fs.SoftmaxRegression(verbose=verbose).fit(*images())


def test_no_penalty_is_an_infinite_c(images):
    X, y = images(200, n_features=3, dtype="float64")
    y = y % 2
    options = {"C": np.inf, "tol": 1e-8, "max_iter": 5000}
    ours = fs.SoftmaxRegression(**options).fit(X, y)
    theirs = LogisticRegression(**options).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    assert np.isinf(fs.SoftmaxRegression.from_sklearn(theirs).C)


@pytest.mark.filterwarnings("ignore:.*(did not|failed to) converge")
@pytest.mark.parametrize("n_rows", [1000, 3001])
@pytest.mark.parametrize("bytes_a_call", [1, 100_000])
def test_lbfgs_has_the_same_bits_however_often_it_looks_for_ctrl_c(
    n_rows, bytes_a_call, dtype, images, monkeypatch
):
    X, y = images(n_rows, dtype=dtype)
    clf = fs.SoftmaxRegression(max_iter=20)
    expected = clf.fit(X, y).coef_.copy()
    monkeypatch.setattr(_compiled, "_BYTES_A_CALL", bytes_a_call)
    np.testing.assert_array_equal(clf.fit(X, y).coef_, expected)


@needs.compiled  # whose calls are counted
@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_ctrl_c_reaches_a_fit_between_blocks(solver, images, monkeypatch):
    assert threading.current_thread() is threading.main_thread()
    X, y = images(12_000)
    calls = []

    def counted(method):
        def call(self, *args):
            calls.append(1)
            if len(calls) == 5:
                signal.raise_signal(signal.SIGINT)
            return method(self, *args)

        return call

    monkeypatch.setattr(_compiled, "_BYTES_A_CALL", 1)
    monkeypatch.setattr("fastsoftmax.estimators._loop.BLOCK_ROWS", 200)
    monkeypatch.setattr(_compiled.CompiledLinear, "_add", counted(_compiled.CompiledLinear._add))
    step = fs.estimators._compiled.FusedStep
    monkeypatch.setattr(step, "run", counted(step.run))
    clf = (fs.SoftmaxRegression if solver == "lbfgs" else fs.MLPClassifier)(solver=solver)
    with pytest.warns(UserWarning, match="training was interrupted in .* 1 of"):
        clf.fit(X, y)
    assert len(calls) == 5
    assert clf.predict(X).shape == (12_000,)


def test_lbfgs_keeps_the_last_good_weights(images, monkeypatch):
    X, y = images(60)
    from fastsoftmax.estimators import _full_batch

    finite, calls = _full_batch.Network.is_finite, []

    def is_finite(network):
        calls.append(network)
        return len(calls) < 4 and finite(network)

    monkeypatch.setattr(_full_batch.Network, "is_finite", is_finite)
    clf = fs.MLPClassifier((5,), solver="lbfgs", random_state=0)
    with pytest.warns(ConvergenceWarning, match="became NaN or infinite in iteration 4 of lbfgs"):
        clf.fit(X, y)
    monkeypatch.undo()
    assert clf.n_iter_ == 3
    assert np.isfinite(clf.predict_proba(X)).all()


def test_lbfgs_stops_early(noisy):
    clf = fs.MLPClassifier(
        (20,), solver="lbfgs", early_stopping=True, max_iter=1000, random_state=0
    )
    clf.fit(*noisy())
    assert clf.n_iter_ < 1000
    assert len(clf.history_["val_loss"]) == clf.n_iter_
