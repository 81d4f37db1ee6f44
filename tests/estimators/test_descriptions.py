"""What fitted estimators say of themselves: tables of coefficients, layers of networks."""

import numpy as np
import pytest
from scipy import sparse

import fastsoftmax as fs


def test_coef_table_has_the_names(images):
    pd = pytest.importorskip("pandas", reason="pandas is absent")
    X, y = images(n_features=3, n_classes=4, dtype="float64")
    frame = pd.DataFrame(X, columns=["length", "width", "height"])
    clf = fs.SoftmaxRegression().fit(frame, np.array(list("abcd"))[y])
    table = clf.coef_table()
    assert table.index.tolist() == ["length", "width", "height", "(intercept)"]
    assert table.columns.tolist() == list("abcd")
    np.testing.assert_array_equal(table.to_numpy()[:3].T, clf.coef_)
    np.testing.assert_array_equal(table.loc["(intercept)"], clf.intercept_)
    two = fs.SoftmaxRegression().fit(X, np.array(["no", "yes"])[y % 2]).coef_table()
    assert (two.columns.tolist(), two.index[0]) == (["yes"], "x0")


def test_summary_of_a_network(images, capsys):
    X, y = images(n_features=30, n_classes=5)
    fs.MLPClassifier((20, 10), max_iter=1).fit(X, y).summary()
    first, _, *layers, total = capsys.readouterr().out.splitlines()
    assert first == "MLPClassifier: 30 features, 5 classes, float32"
    assert [line.split()[-1] for line in layers] == ["620", "210", "55"]
    assert layers[1].split() == ["hidden", "2", "ReLU", "10", "20", "x", "10", "210"]
    assert total.split() == ["total", "885"]


def test_sparse_coefficients_predict_the_same(images, tmp_path):
    X, y = images(dtype="float64")
    clf = fs.SoftmaxRegression(l1_ratio=1.0, C=0.1, max_iter=1000).fit(X, y)
    expected = clf.predict_proba(X)
    assert clf.sparsify() is clf
    assert sparse.issparse(clf.coef_)
    assert clf.coef_.nnz < clf.coef_.shape[0] * clf.coef_.shape[1]
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    np.testing.assert_array_equal(
        clf.predict_proba(sparse.csr_array(X)).argmax(1), expected.argmax(1)
    )
    clf.save(tmp_path / "model")
    np.testing.assert_array_equal(fs.load_model(tmp_path / "model").predict_proba(X), expected)
    clf.coef_ = clf.coef_[:, :3]
    with pytest.raises(ValueError, match="coef_ must be a float32 or float64 array of shape"):
        clf.predict(X)
    clf.fit(X, y).sparsify().densify()
    assert isinstance(clf.coef_, np.ndarray)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky"])
def test_no_iteration_leaves_the_start(solver, images):
    X, y = images(dtype="float64")
    clf = fs.SoftmaxRegression(solver=solver, max_iter=0)
    with pytest.warns(UserWarning, match="converge after 0 iterations"):
        clf.fit(X, y)
    assert clf.n_iter_ == [0]
    assert not clf.coef_.any()
    assert not clf.converged_
    with pytest.raises(ValueError, match="max_iter must be"):
        fs.SoftmaxRegression(solver="adam", max_iter=0).fit(X, y)
