"""What both estimators learn, whatever the dtype, the back end and the number of threads."""

import needs
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import fastsoftmax as fs


def test_learns_every_dtype_of_input(make, images, dtype):
    X, y = images(600, dtype=dtype)
    clf = make(max_iter=30, random_state=0).fit(X[:400], y[:400])
    assert clf.score(X[400:], y[400:]) > 0.95
    assert clf.predict_proba(X).dtype == ("float64" if dtype == np.float64 else "float32")
    assert clf.input_scale_ == (1 / 255 if dtype == np.uint8 else 1.0)
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        np.exp(clf.predict_log_proba(X)), clf.predict_proba(X), rtol=1e-4, atol=1e-30
    )
    np.testing.assert_array_equal(clf.predict(X), clf.decision_function(X).argmax(axis=1))


@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_backends_reach_the_same_model(make, backend, images):
    X, y = images()
    expected = make(max_iter=5, random_state=3).fit(X, y).predict_proba(X)
    with fs.use_backend(backend):
        got = make(max_iter=5, random_state=3).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.filterwarnings("ignore:.*(did not|failed to) converge")
def test_random_state_gives_the_bits_for_any_number_of_threads(make, backend, solver, images):
    X, y = images(700)
    found = set()
    with fs.use_backend(backend):
        for n_threads in (1, 2, 4):
            with fs.set_num_threads(n_threads):
                clf = make(max_iter=4, random_state=7).set_params(solver=solver, warm_start=False)
                found.add(clf.fit(X, y).decision_function(X).tobytes())
    assert len(found) == 1


def test_string_labels_and_two_classes(make, images):
    X, y = images(n_classes=2)
    names = np.array(["no", "yes"])[y]
    clf = make(max_iter=20, random_state=0).fit(X, names)
    assert set(clf.predict(X)) == {"no", "yes"}
    assert clf.decision_function(X).shape == (len(X),)
    assert clf.predict_proba(X).shape == (len(X), 2)
    np.testing.assert_array_equal(clf.predict(X) == "yes", clf.decision_function(X) > 0)
    assert clf.score(X, names) > 0.95


def test_attributes_have_scikit_learns_shapes(images):
    X, y = images(n_features=6, n_classes=3)
    clf = fs.SoftmaxRegression().fit(X, y)
    assert clf.coef_.shape == (3, 6)
    assert clf.intercept_.shape == (3,)
    binary = fs.SoftmaxRegression().fit(X, y == 1)
    assert binary.coef_.shape == (1, 6)
    assert binary.intercept_.shape == (1,)
    mlp = fs.MLPClassifier((5, 4), max_iter=2).fit(X, y)
    assert [c.shape for c in mlp.coefs_] == [(6, 5), (5, 4), (4, 3)]
    assert [b.shape for b in mlp.intercepts_] == [(5,), (4,), (3,)]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs_minimises_scikit_learns_objective(
    n_classes, fit_intercept, l1_ratio, weighted, images
):
    X, y = images(200, n_features=8, n_classes=n_classes, dtype="float64")
    weights = np.random.default_rng(0).uniform(0, 2, len(y)) if weighted else None
    options = {"C": 0.5, "fit_intercept": fit_intercept, "tol": 1e-8, "max_iter": 5000}
    ours = fs.SoftmaxRegression(l1_ratio=l1_ratio, class_weight="balanced", **options)
    ours.fit(X, y, weights)
    penalty = needs.mixed_penalty(l1_ratio)
    theirs = LogisticRegression(class_weight="balanced", **penalty, **options)
    theirs.fit(X, y, weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-5)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=2e-5)
    if l1_ratio == 1:
        assert (ours.coef_ == 0).any()


def test_sample_weight_is_repetition(images):
    X, y = images(100, dtype="float64")
    weights = np.arange(100) % 3
    options = {"tol": 1e-8, "max_iter": 2000}
    weighted = fs.SoftmaxRegression(**options).fit(X, y, weights)
    repeated = fs.SoftmaxRegression(**options).fit(X.repeat(weights, axis=0), y.repeat(weights))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-5)


def test_label_smoothing_holds_probabilities_back(images):
    X, y = images(dtype="float64")
    sharp = fs.SoftmaxRegression(C=1e3, max_iter=1000).fit(X, y)
    smooth = fs.SoftmaxRegression(C=1e3, max_iter=1000, label_smoothing=0.2).fit(X, y)
    assert np.median(smooth.predict_proba(X).max(axis=1)) < 0.9
    assert np.median(sharp.predict_proba(X).max(axis=1)) > 0.95


def test_fashion_mnist_reaches_the_accuracy_of_keras(fashion):
    (X, y), (X_test, y_test) = fashion
    clf = fs.MLPClassifier((128,), batch_size=32, max_iter=5, random_state=0).fit(X, y)
    assert clf.evaluate(X_test, y_test)["accuracy"] >= 0.865
