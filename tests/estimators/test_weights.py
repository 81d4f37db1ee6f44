"""Rows of weight 0 take no part, whatever they hold."""

import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier

import fastsoftmax as fs

HUGE = {"float32": 3e38, "float64": 1e308}


@pytest.fixture(params=["lbfgs", "adam", "sgd", "deep", "deep lbfgs", "fused"])
def estimator(request):
    options = {"max_iter": 4, "random_state": 0}
    if request.param in ("lbfgs", "adam", "sgd"):
        return fs.SoftmaxRegression(solver=request.param, **options)
    sizes = (6,) if request.param == "fused" else (6, 4)
    solver = "lbfgs" if request.param == "deep lbfgs" else "adam"
    return fs.MLPClassifier(sizes, solver=solver, **options)


@pytest.mark.filterwarnings("ignore:.*(did not|failed to) converge")
@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_of_weight_0_is_a_row_left_out(estimator, backend, n_classes, dtype, images):
    X, y = images(90, n_classes=n_classes, dtype=dtype)
    weights = np.where(np.arange(90) % 3 == 0, 0.0, 1.0 + np.arange(90) % 2)
    X[::3] = HUGE[dtype]
    kept = weights > 0
    with fs.use_backend(backend):
        whole = estimator.fit(X, y, weights)
        history, probs = whole.history_, whole.predict_proba(X[kept])
        part = estimator.fit(X[kept], y[kept], weights[kept])
        np.testing.assert_array_equal(probs, part.predict_proba(X[kept]))
        assert part.history_ == history
        assert np.isfinite(history["loss"]).all()
        figures = part.evaluate(X, y, weights)
        expected = part.evaluate(X[kept], y[kept], weights[kept])
        assert figures == pytest.approx(expected, rel=1e-6)


def test_partial_fit_leaves_them_out_too(images):
    X, y = images(60)
    weights = (np.arange(60) % 2).astype(float)
    clf = fs.MLPClassifier((6,), random_state=0)
    clf.partial_fit(X, y, np.arange(5), weights)
    other = fs.MLPClassifier((6,), random_state=0)
    other.partial_fit(X[1::2], y[1::2], np.arange(5))
    np.testing.assert_array_equal(clf.coefs_[0], other.coefs_[0])


@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_early_stopping_validates_on_rows_that_count(backend, images):
    X, y = images(200)
    weights = np.zeros(200)
    weights[:60] = 1
    clf = fs.MLPClassifier((6,), early_stopping=True, max_iter=5, random_state=0)
    with fs.use_backend(backend):
        history = clf.fit(X, y, weights).history_
        assert np.isfinite(history["val_accuracy"]).all()
        assert np.isfinite(history["val_loss"]).all()
        assert clf.fit(X[:60], y[:60]).history_ == history
    weights[8:] = 0
    with pytest.raises(ValueError, match="early_stopping needs more rows: of 8 of positive weight"):
        clf.fit(X, np.arange(200) % 5, weights)
    with pytest.raises(ValueError, match=r"[wW]eight"):
        clf.fit(X, y, np.zeros(200))


def test_a_class_that_counts_for_nothing(images):
    X, y = images(200, n_classes=3)
    clf = fs.MLPClassifier((6,), early_stopping=True, class_weight={0: 0.0}, max_iter=5)
    assert np.isfinite(clf.fit(X, y).history_["val_loss"]).all()


def test_bagging(images):
    X, y = images(300, n_classes=3)
    options = {"early_stopping": True, "learning_rate_init": 0.02, "max_iter": 40}
    bag = BaggingClassifier(fs.MLPClassifier((8,), **options), n_estimators=4, random_state=0)
    assert bag.fit(X, y).score(X, y) > 0.8


def test_nan_is_refused_whatever_its_weight(estimator, images):
    X, y = images(60)
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(X, y, np.arange(60) > 0)
