"""Sparse matrices whose indices lead out of their memory, where SciPy would go by them."""

import numpy as np
import pytest
from scipy import sparse

import fastsoftmax as fs


def damaged(kind, **parts):
    """Return a sparse matrix of 60 rows and 4 columns with parts that do not fit."""
    matrix = sparse.random(60, 4, density=0.5, format=kind, random_state=0)
    for name, change in parts.items():
        value = getattr(matrix, name)
        setattr(matrix, name, change(value if isinstance(value, tuple) else value.copy()))
    return matrix


def with_item(value):
    def change(vector):
        vector[3] = value
        return vector

    return change


DAMAGED = {
    "csr: far column": lambda: damaged("csr", indices=with_item(10**8)),
    "csr: next column": lambda: damaged("csr", indices=with_item(4)),
    "csr: negative column": lambda: damaged("csr", indices=with_item(-1)),
    "csr: far end": lambda: damaged("csr", indptr=with_item(10**8)),
    "csr: negative end": lambda: damaged("csr", indptr=with_item(-(10**8))),
    "csr: few values": lambda: damaged("csr", data=lambda data: data[:5]),
    "csr: few ends": lambda: damaged("csr", indptr=lambda indptr: indptr[:5]),
    "csr: floating columns": lambda: damaged("csr", indices=lambda indices: indices.astype(float)),
    "csr: masked columns": lambda: damaged("csr", indices=np.ma.masked_array),
    "csr: masked ends": lambda: damaged("csr", indptr=lambda p: np.ma.masked_equal(p, p[-1])),
    "csr: masked values": lambda: damaged("csr", data=lambda d: np.ma.masked_equal(d, d[0])),
    "coordinates: masked values": lambda: damaged("coo", data=lambda d: np.ma.masked_equal(d, d[0])),
    "csr: no columns": lambda: damaged("csr", indices=lambda indices: None),
    "csr: many rows": lambda: damaged("csr", _shape=lambda shape: (10**6, 4)),
    "csc: far row": lambda: damaged("csc", indices=with_item(10**8)),
    "csc: far end": lambda: damaged("csc", indptr=with_item(10**8)),
    "bsr: far column": lambda: damaged("bsr", indices=with_item(10**8)),
    "coordinates: far row": lambda: damaged("coo", row=with_item(10**8)),
    "coordinates: far column": lambda: damaged("coo", col=with_item(10**8)),
    "coordinates: negative row": lambda: damaged("coo", row=with_item(-(10**8))),
    "coordinates: few rows": lambda: damaged("coo", row=lambda row: row[:5]),
    "lil: far column": lambda: damaged("lil", rows=lambda rows: [*rows[:-1], [10**8]]),
}  # fmt: skip


@pytest.fixture
def data():
    return np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3


@pytest.fixture
def make_damaged():
    def make(name):
        try:
            return DAMAGED[name]()
        except (ValueError, TypeError, AttributeError):
            pytest.skip("this SciPy does not let it be made")

    return make


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("estimator", [fs.SoftmaxRegression(), fs.MLPClassifier((3,), max_iter=1)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows(name, estimator, data, make_damaged):
    X, y = data
    with pytest.raises(ValueError, match="X must be a sparse matrix that is whole"):
        estimator.fit(make_damaged(name), y)
    fitted = estimator.fit(X, y)
    uses = [fitted.predict, fitted.predict_proba, lambda X: fitted.evaluate(X, y)]
    uses += [lambda X: fitted.partial_fit(X, y)] if hasattr(fitted, "partial_fit") else []
    uses += [lambda V: fitted.fit(X, y, X_val=V, y_val=y)]
    for use in uses:
        with pytest.raises(ValueError, match="X must be a sparse matrix that is whole"):
            use(make_damaged(name))


@pytest.mark.parametrize("name", DAMAGED)
def test_labels_of_rows(name, data, make_damaged):
    with pytest.raises(ValueError, match="y must be a sparse matrix that is whole"):
        fs.SoftmaxRegression().fit(data[0], make_damaged(name))


@pytest.mark.parametrize(
    "part", [{"indices": with_item(10**8)}, {"indptr": with_item(10**8)}, {"data": lambda d: d[:2]}]
)
def test_weights(part, data, tmp_path):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = data
    mine = fs.SoftmaxRegression().fit(X, y).sparsify()
    theirs = linear_model.LogisticRegression().fit(X, y).sparsify()
    for name, change in part.items():
        for model in (mine, theirs):
            setattr(model.coef_, name, change(getattr(model.coef_, name).copy()))
    uses = [
        lambda: mine.predict(X),
        lambda: mine.save(tmp_path / "m"),
        mine.densify,
        mine.coef_table,
    ]
    uses += [lambda: fs.SoftmaxRegression.from_sklearn(theirs)]
    for use in uses:
        with pytest.raises(ValueError, match="coef_ must be a sparse matrix that is whole"):
            use()


@pytest.mark.parametrize("part", [{"indices": with_item(10**8)}, {"indptr": with_item(10**8)}])
def test_pictures(part, data):
    pytest.importorskip("matplotlib")
    X, y = data
    model = fs.SoftmaxRegression().fit(X, y)
    with pytest.raises(ValueError, match="X must be a sparse matrix that is whole"):
        fs.plots.plot_coefficients(model, damaged("csr", **part))
    model.sparsify()
    for name, change in part.items():
        setattr(model.coef_, name, change(getattr(model.coef_, name).copy()))
    with pytest.raises(ValueError, match="coef_ must be a sparse matrix that is whole"):
        fs.plots.plot_coefficients(model)


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr", "coo", "lil", "dok", "dia"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool])
def test_whole_ones_are_read(kind, dtype, data):
    X, y = data
    X = (X * (X > 0) * 20).astype(dtype)
    want = fs.SoftmaxRegression().fit(X.astype(np.float64), y).predict_proba(X.astype(np.float64))
    given = sparse.csr_matrix(X).asformat(kind)
    fitted = fs.SoftmaxRegression().fit(given, y)
    np.testing.assert_allclose(fitted.predict_proba(given), want, rtol=1e-3, atol=1e-4)
