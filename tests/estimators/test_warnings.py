"""What fit and calibrate say about a result that is not what was asked for."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning

import fastsoftmax as fs
from fastsoftmax.estimators.callbacks import Callback


def largest_slope(clf, X, y):
    """Return the largest entry of the gradient of a fitted binary regression, in double."""
    p = clf.predict_proba(X)[:, 1].astype(float)
    slopes = X.T.astype(float) @ (p - y) / len(y) + clf.coef_[0].astype(float) / (clf.C * len(y))
    return max(np.abs(slopes).max(), abs((p - y).mean()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("max_iter", [5, 300, 10_000])
@pytest.mark.parametrize("scaled", [False, True])
def test_lbfgs_says_whether_the_gradient_is_as_small_as_asked(dtype, max_iter, scaled):
    X, y = load_breast_cancer(return_X_y=True)
    X = ((X - X.mean(axis=0)) / X.std(axis=0) if scaled else X).astype(dtype)
    clf = fs.SoftmaxRegression(max_iter=max_iter)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        clf.fit(X, y)
    warned = [w for w in told if issubclass(w.category, ConvergenceWarning)]
    assert clf.converged_ == (not warned)
    if clf.converged_:
        assert largest_slope(clf, X, y) <= 2 * clf.tol
    else:
        assert "largest entry of the gradient is" in str(warned[0].message)
    assert clf.converged_ or not (scaled and max_iter == 10_000)


def test_lbfgs_with_bounds_converges(images):
    X, y = images(100, dtype="float64")
    assert fs.SoftmaxRegression(l1_ratio=1.0, C=0.1, max_iter=2000).fit(X, y).converged_


@pytest.mark.parametrize("early_stopping", [False, True])
def test_epochs_that_run_out(make, early_stopping, images):
    X, y = images()
    clf = make(max_iter=3, early_stopping=early_stopping)
    with pytest.warns(
        ConvergenceWarning, match="max_iter=3 epochs before the .* stood still"
    ) as told:
        clf.fit(X, y)
    assert told[0].filename == __file__
    assert not clf.converged_
    clf.set_params(max_iter=2000, tol=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clf.fit(X, y).converged_
        clf.partial_fit(X, y)


def test_who_stops_training_is_not_told_about_it(images):
    X, y = images()

    class Stops(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for solver in ("adam", "lbfgs"):
            clf = fs.MLPClassifier((8,), max_iter=1, solver=solver).fit(X, y, callbacks=[Stops()])
            assert not clf.converged_


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_nan_in_learning_says_what_to_do(solver, backend, images):
    X, y = images()
    clf = fs.MLPClassifier((8,), solver=solver, learning_rate_init=1e30, max_iter=5, random_state=0)
    with fs.use_backend(backend):
        for learn in (clf.fit, lambda X, y: clf.partial_fit(X, y)):
            with pytest.warns(ConvergenceWarning, match="NaN or infinite .* Try a smaller"):
                _ = [learn(X, y) for _ in range(3)]
            assert all(np.isfinite(coef).all() for coef in clf.coefs_)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_calibration_at_the_bounds_of_its_search(n_classes, images):
    X, y = images(n_classes=n_classes, dtype="float64")
    clf = fs.SoftmaxRegression(tol=1e-3).fit(X, y)
    learnt = clf.predict(X)
    with pytest.warns(ConvergenceWarning, match="temperature_=0.01, the bound of its search"):
        clf.calibrate(X, learnt)
    assert clf.temperature_ == 0.01
    with pytest.warns(ConvergenceWarning, match="temperature_=100, the bound"):
        clf.calibrate(X, (learnt + 1) % n_classes)
    assert clf.temperature_ == 100


def test_calibration_takes_weights(noisy):
    X, y = noisy(300)
    y = np.where(np.arange(300) % 3 == 0, (y + 1) % 5, y)
    clf = fs.SoftmaxRegression(C=100, max_iter=1000, tol=1e-3).fit(X, y)
    weights = np.arange(300) % 3
    expected = clf.calibrate(X.repeat(weights, axis=0), y.repeat(weights)).temperature_
    assert clf.calibrate(X, y, weights).temperature_ == pytest.approx(expected, rel=1e-4)
    assert clf.calibrate(X, y).temperature_ != pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match=r"[wW]eight"):
        clf.calibrate(X, y, np.zeros(300))
