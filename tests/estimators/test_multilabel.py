"""Targets of several columns, each a yes or no."""

import numpy as np
import pytest

import fastsoftmax as fs


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
    clf = fs.SoftmaxRegression(tol=1e-8, max_iter=1000).fit(X, Y)
    for column in range(2):
        single = fs.SoftmaxRegression(tol=1e-8, max_iter=1000).fit(X, Y[:, column])
        np.testing.assert_allclose(clf.coef_[column], single.coef_[0], atol=1e-5)


def test_one_hot_rows_draw_a_warning(images):
    X, y = images()
    with pytest.warns(UserWarning, match=r"pass y.argmax\(axis=1\)"):
        fs.SoftmaxRegression().fit(X, np.eye(5, dtype=int)[y])
    with pytest.raises(ValueError, match="0 and 1"):
        fs.SoftmaxRegression().fit(X, np.eye(5, dtype=int)[y] * 2 + 1)


def test_what_goes_with_one_label_a_row_alone_is_refused(images):
    X, y = images()
    Y = np.column_stack([y < 2, y % 2 == 0]).astype(int)
    clf = fs.SoftmaxRegression().fit(X, Y)
    with pytest.raises(ValueError, match="top_k must be None for multi-label y"):
        clf.evaluate(X, Y, top_k=1)
    with pytest.raises(ValueError, match="multi-label y must contain only 0 and 1"):
        clf.evaluate(X, Y * 2)
