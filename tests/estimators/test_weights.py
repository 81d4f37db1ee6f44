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


# Weights at the ends of the range


@pytest.mark.parametrize("solver", ["newton-cholesky", "lbfgs", "adam", "sgd"])
@pytest.mark.parametrize("size", [1e-299, 1e299])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_factor_of_all_weights_changes_nothing(solver, size):
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(90, 4)), np.arange(90) % 3, rng.uniform(0.5, 1, 90)
    options = {"solver": solver, "C": np.inf, "max_iter": 20, "random_state": 0}
    want = fs.SoftmaxRegression(**options).fit(X, y, w).coef_
    found = fs.SoftmaxRegression(**options).fit(X, y, w * size).coef_
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "adam"])
@pytest.mark.parametrize("size", [1e-310, 1e307])
def test_weights_whose_sum_is_of_no_use(solver, size):
    X, y = np.eye(60)[:, :4], np.arange(60) % 3
    clf = fs.SoftmaxRegression(solver=solver)
    words = "sample_weight must have a sum in"
    with np.errstate(all="raise"), pytest.raises(ValueError, match=words):
        clf.fit(X, y, np.full(60, size))
    clf.set_params(class_weight={0: 1e200, 1: 1e200, 2: 1e200})
    with np.errstate(all="raise"), pytest.raises(ValueError, match=f"class_weight and {words}"):
        clf.fit(X, y, np.full(60, 1e200))


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-300, 1e300, 1.7e308])
def test_means_of_any_weights(size):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 4)), np.arange(90) % 3
    clf = fs.SoftmaxRegression().fit(X, y)
    weights = (rng.uniform(size=90) < 0.5).astype(float)
    with np.errstate(all="raise"):
        want = clf.evaluate(X, y, weights, top_k=2)
        assert clf.evaluate(X, y, weights * size, top_k=2) == pytest.approx(want, rel=1e-12)
        want = clf.calibrate(X, y, weights).temperature_
        found = clf.calibrate(X, y, weights * size).temperature_
    assert found == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "adam", "sgd"])
def test_penalties_beyond_the_range(solver):
    X, y = np.eye(60)[:, :4], np.arange(60) % 3
    clf = fs.SoftmaxRegression(solver=solver, C=5e-324)
    for weights in (None, np.full(60, 1e-5)):
        with pytest.raises(ValueError, match="C must be at least 1e-300 / the total weight"):
            clf.fit(X, y, weights)


def test_balance_of_classes_without_weight():
    X, y = np.eye(60)[:, :4], np.array(["a", "b", "c"])[np.arange(60) % 3]
    clf = fs.SoftmaxRegression(class_weight="balanced")
    words = "positive sample_weight in each class, got none of class 'a'"
    with np.errstate(all="raise"), pytest.raises(ValueError, match=words):
        clf.fit(X, y, (y != "a").astype(float))
