"""Both sides of the tables in docs/coming_from.md: scikit-learn."""

import warnings

import needs
import numpy as np
import pytest
from agreement import same

import fastsoftmax as fs


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn")


@pytest.fixture
def iris(sklearn):
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)


def test_parameters(sklearn):
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    theirs, ours = MLPClassifier().get_params(), fs.MLPClassifier().get_params()
    names = ("hidden_layer_sizes", "alpha", "epsilon")
    assert [theirs[name] for name in names] == [(100,), 0.0001, 1e-8]
    assert [ours[name] for name in names] == [(128,), 0.0, 1e-7]
    differ = {name for name in set(theirs) & set(ours) if theirs[name] != ours[name]}
    assert differ == set(names)
    missing = {"activation", "shuffle", "power_t", "nesterovs_momentum", "max_fun"}
    assert set(theirs) - set(ours) == missing
    names = set(LogisticRegression().get_params()) - set(fs.SoftmaxRegression().get_params())
    assert names <= {"penalty", "dual", "intercept_scaling", "n_jobs", "multi_class"}
    with pytest.raises(TypeError, match="penalty"):
        fs.SoftmaxRegression(penalty="l2")


@pytest.mark.parametrize("options", [{}, {"C": 0.1}, {"class_weight": "balanced"}])
def test_regression(iris, options):
    from sklearn.linear_model import LogisticRegression

    options = {**options, "tol": 1e-8, "max_iter": 1000}
    theirs = LogisticRegression(**options).fit(*iris)
    ours = fs.SoftmaxRegression(**options).fit(*iris)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    assert ours.n_iter_.shape == theirs.n_iter_.shape == (1,)
    same(
        fs.SoftmaxRegression.from_sklearn(theirs).predict_proba(iris[0]),
        theirs.predict_proba(iris[0]),
    )


def test_elastic_net(iris):
    from sklearn.linear_model import LogisticRegression

    theirs = LogisticRegression(**needs.mixed_penalty(0.5), tol=1e-8, max_iter=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(*iris)
    ours = fs.SoftmaxRegression(l1_ratio=0.5, tol=1e-8, max_iter=5000).fit(*iris)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)


def test_data(sklearn):
    from sklearn.linear_model import LogisticRegression

    images = np.arange(60, dtype=np.uint8).reshape(5, 3, 4)
    labels = np.array([0, 1, 0, 1, 2])
    with pytest.raises(ValueError, match="dim"):
        LogisticRegression().fit(images, labels)
    clf = fs.SoftmaxRegression(tol=0.1).fit(images, labels)
    assert clf.input_scale_ == 1 / 255
    assert clf.n_features_in_ == 12
    columns = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [1, 1]])
    flat = images.reshape(5, -1)
    with pytest.raises(ValueError, match="1d"):
        LogisticRegression().fit(flat, columns)
    assert fs.SoftmaxRegression(tol=0.1).fit(flat, columns).predict(flat).shape == (5, 2)


def test_losses(iris, x):
    from sklearn.metrics import log_loss
    from sklearn.utils.extmath import softmax

    assert log_loss([1], [[1.0, 0.0]], labels=[0, 1]) == pytest.approx(36.04, abs=0.01)
    assert fs.cross_entropy([[0.0, -np.inf]], [1]) == np.inf
    clf = fs.SoftmaxRegression(C=0.1, max_iter=500).fit(*iris)
    want = log_loss(iris[1], clf.predict_proba(iris[0]))
    same(fs.cross_entropy(clf.decision_function(iris[0]), iris[1]), want)
    same(fs.softmax(x), softmax(x))


def test_calibration(iris):
    if not needs.has_scikit_learn(1, 8):
        pytest.skip("scikit-learn calibrates by a temperature from 1.8 on")
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    X, y = iris
    clf = fs.SoftmaxRegression(C=0.01).fit(X, y)
    theirs = CalibratedClassifierCV(FrozenEstimator(clf), method="temperature").fit(X, y)
    got = clf.calibrate(X, y).predict_proba(X)
    np.testing.assert_allclose(got, theirs.predict_proba(X), atol=1e-3)
