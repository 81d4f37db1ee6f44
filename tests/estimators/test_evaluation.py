"""evaluate, and the calibration of probabilities."""

import numpy as np
import pytest

import fastsoftmax as fs


def test_evaluate_is_the_mean_loss(make, images):
    X, y = images()
    clf = make(max_iter=5, random_state=0).fit(X, y)
    figures = clf.evaluate(X, y)
    np.testing.assert_allclose(
        figures["loss"], fs.cross_entropy(clf.decision_function(X), y), rtol=1e-5
    )
    assert figures["accuracy"] == clf.score(X, y)
    weights = (y == 0).astype(float)
    assert clf.evaluate(X, y, weights)["accuracy"] == pytest.approx(clf.score(X[y == 0], y[y == 0]))
    with pytest.raises(ValueError, match="got 7 at row 0"):
        clf.evaluate(X[:1], [7])


def test_top_k_accuracy(noisy):
    X, y = noisy()
    clf = fs.SoftmaxRegression().fit(X, y)
    order = np.argsort(-clf.decision_function(X), axis=1, kind="stable")
    for k in (1, 2, 5):
        expected = (order[:, :k] == y[:, None]).any(axis=1).mean()
        assert clf.evaluate(X, y, top_k=k)[f"top_{k}_accuracy"] == pytest.approx(expected)
    binary = fs.SoftmaxRegression().fit(X, y == 1)
    figures = binary.evaluate(X, y == 1, top_k=1)
    assert figures["top_1_accuracy"] == figures["accuracy"]


def test_calibration_changes_confidence_and_no_class(noisy):
    X, y = noisy(300)
    X_new, y_new = noisy(300, seed=0)
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
