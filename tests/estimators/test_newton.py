"""Newton's method: beside scikit-learn's, statsmodels' and a published table, and where it gives up."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

import fastsoftmax as fs
from fastsoftmax.estimators import _newton

SETS = ["wine", "breast_cancer", "iris", "digits"]


def load(name):
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def close(ours, theirs):
    """Whether two arrays differ by less than 1e-8 of the largest entry."""
    assert np.abs(ours - theirs).max() <= 1e-8 * np.abs(theirs).max()


@pytest.mark.parametrize("name", SETS)
def test_the_coefficients_are_scikit_learns(name):
    X, y = load(name)
    options = {"solver": "newton-cholesky", "tol": 1e-6 if name == "digits" else 1e-9}
    ours = fs.SoftmaxRegression(**options).fit(X, y)
    theirs = LogisticRegression(**options).fit(X, y)
    close(ours.coef_, theirs.coef_)
    close(ours.intercept_, theirs.intercept_)
    assert ours.converged_
    assert ours.max_gradient_ <= ours.tol


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("as_X", [np.asarray, sparse.csr_matrix])
def test_weights_of_rows_and_classes(as_X, n_classes, fit_intercept, noisy):
    X, y = noisy(200)
    y = y % n_classes
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    options = {
        "solver": "newton-cholesky",
        "tol": 1e-10,
        "C": 0.3,
        "class_weight": "balanced",
        "fit_intercept": fit_intercept,
    }
    ours = fs.SoftmaxRegression(**options).fit(as_X(X), y, weights)
    theirs = LogisticRegression(**options).fit(X, y, weights)
    close(ours.coef_, theirs.coef_)
    if fit_intercept:
        close(ours.intercept_, theirs.intercept_)


def program_choice():
    """Return ses (low, middle, high) and write as columns, and prog, of 200 students.

    Source: UCLA Statistical Consulting Group, hsbdemo, "Multinomial logistic regression".
    """
    words = (Path(__file__).parent / "program_choice.txt").read_text().split()
    X = [[word[1] == "m", word[1] == "h", int(word[2:])] for word in words]
    names = {"a": "academic", "g": "general", "v": "vocation"}
    return np.array(X, dtype=float), np.array([names[word[0]] for word in words])


@pytest.mark.parametrize("solver", ["newton-cholesky", "auto"])
def test_a_published_table(solver):
    X, y = program_choice()
    clf = fs.SoftmaxRegression(C=np.inf, solver=solver, tol=1e-9).fit(X, y)
    differences = clf.coef_[1:] - clf.coef_[0]  # to "academic"
    expected = [[-0.533291, -1.162832, -0.0579284], [0.2913931, -0.9826703, -0.1136026]]
    np.testing.assert_allclose(differences, expected, rtol=2e-6)
    np.testing.assert_allclose(
        clf.intercept_[1:] - clf.intercept_[0], [2.852186, 5.218200], rtol=2e-6
    )
    deviance = 2 * len(y) * clf.evaluate(X, y)["loss"]
    assert deviance == pytest.approx(359.9635, abs=5e-5)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["anes96", "spector"])
def test_without_a_penalty_the_coefficients_are_statsmodels(name):
    sm = pytest.importorskip("statsmodels.api")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = getattr(sm.datasets, name).load_pandas()
        X, y = np.asarray(data.exog, float), np.asarray(data.endog).astype(int)
        X = X[:, X.std(axis=0) > 0]
        fitted = sm.MNLogit(y, sm.add_constant(X)).fit(
            method="newton", tol=1e-12, disp=0, maxiter=100
        )
    theirs = np.asarray(fitted.params).T  # of each class but the first: the constant, the features
    clf = fs.SoftmaxRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(X, y)
    if len(clf.classes_) == 2:
        ours = np.column_stack([clf.intercept_, clf.coef_])
    else:
        ours = np.column_stack([clf.intercept_, clf.coef_])[1:]
        ours -= np.append(clf.intercept_[0], clf.coef_[0])
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def test_labels_of_a_row_are_regressions_of_their_own(images):
    X, _ = images(200, dtype="float64")
    Y = (X[:, :3] + np.random.default_rng(0).normal(0, 0.2, (200, 3)) > 0.5).astype(int)
    options = {"solver": "newton-cholesky", "tol": 1e-9}
    clf = fs.SoftmaxRegression(**options).fit(X, Y)
    for label in range(3):
        close(clf.coef_[label], fs.SoftmaxRegression(**options).fit(X, Y[:, label]).coef_[0])


def test_smoothed_labels_have_the_minimum_of_lbfgs(noisy):
    X, y = noisy(300)
    options = {"label_smoothing": 0.1, "tol": 1e-7, "max_iter": 1000}
    newton, lbfgs = (
        fs.SoftmaxRegression(solver=solver, **options).fit(X, y)
        for solver in ("newton-cholesky", "lbfgs")
    )
    np.testing.assert_allclose(newton.coef_, lbfgs.coef_, atol=1e-3)


def test_a_singular_hessian_hands_over_to_lbfgs(noisy):
    X, y = noisy(200)
    X = np.hstack([X, X[:, :1]])
    clf = fs.SoftmaxRegression(C=np.inf, solver="newton-cholesky", max_iter=5000)
    with pytest.warns(LinAlgWarning, match="ill-conditioned Hessian matrix .* goes on with lbfgs"):
        clf.fit(X, y)
    assert clf.converged_
    np.testing.assert_allclose(clf.coef_[:, 0], clf.coef_[:, -1], rtol=1e-6)


def test_a_hessian_that_is_too_large_hands_over_to_lbfgs(monkeypatch, noisy):
    monkeypatch.setattr("fastsoftmax.estimators._newton.MOST_PARAMETERS", 10)
    with pytest.warns(LinAlgWarning, match="more than 10"):
        clf = fs.SoftmaxRegression(solver="newton-cholesky", max_iter=1000).fit(*noisy())
    assert clf.converged_


def test_too_few_iterations_are_told():
    X, y = load("wine")
    with pytest.warns(
        ConvergenceWarning, match="Newton solver did not converge after 2 iterations"
    ):
        clf = fs.SoftmaxRegression(solver="newton-cholesky", max_iter=2).fit(X, y)
    assert not clf.converged_
    assert clf.max_gradient_ > clf.tol
    assert clf.n_iter_ == 2
    with pytest.warns(ConvergenceWarning, match='take solver="newton-cholesky", scale the data'):
        fs.SoftmaxRegression(solver="lbfgs").fit(X, y)


def test_auto_takes_newton_where_the_parameters_are_few(images):
    X, y = load("wine")
    assert fs.SoftmaxRegression().fit(X, y).n_iter_ < 20
    newton = fs.SoftmaxRegression(solver="newton-cholesky").fit(X, y)
    np.testing.assert_array_equal(fs.SoftmaxRegression().fit(X, y).coef_, newton.coef_)
    wide, y = images(50, n_features=2000, dtype="float64")
    lbfgs = fs.SoftmaxRegression(solver="lbfgs").fit(wide, y)
    np.testing.assert_array_equal(fs.SoftmaxRegression().fit(wide, y).coef_, lbfgs.coef_)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky"])
def test_float32_reaches_the_tolerance(solver):
    X, y = load("breast_cancer")
    X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
    clf = fs.SoftmaxRegression(solver=solver, tol=1e-6, max_iter=1000).fit(X, y)
    assert clf.converged_
    assert clf.coef_.dtype == np.float32
    exact = fs.SoftmaxRegression(tol=1e-10, solver="newton-cholesky").fit(X.astype(float), y)
    np.testing.assert_allclose(clf.coef_, exact.coef_, atol=1e-3)


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30_000, 60))
    y = (X[:, :5] + rng.normal(size=(30_000, 5))).argmax(axis=1)
    fitted = []
    for n_threads in (1, 2, 5):
        with fs.set_num_threads(n_threads):
            fitted.append(fs.SoftmaxRegression(solver="newton-cholesky").fit(X, y).coef_)
    np.testing.assert_array_equal(fitted[0], fitted[1])
    np.testing.assert_array_equal(fitted[0], fitted[2])


def test_solvers_of_one_class_are_not_the_others():
    with pytest.raises(ValueError, match="solver must be one of 'adam', 'sgd', 'lbfgs'"):
        fs.MLPClassifier(solver="newton-cholesky").fit(*load("iris"))


def test_the_hessian_of_two_classes_is_that_of_one_output():
    rng = np.random.default_rng(0)
    x, weights, p = rng.standard_normal((20, 3)), rng.random(20), rng.random((20, 1))
    one = _newton.hessian_of_block(x, weights, p, True)
    two = _newton.hessian_of_block(x, weights, np.hstack([p, 1 - p]), False)
    np.testing.assert_allclose(two, one, rtol=1e-14)


@pytest.mark.parametrize(
    "hessian",
    [
        [[np.inf, 0], [0, 1]],
        [[0, 0], [0, 1]],
        [[-1, 0], [0, 1]],
        [[1, 2], [2, 1]],
        [[1, np.nan], [np.nan, 1]],
        [[1, 1 - 2**-53], [1 - 2**-53, 1]],
    ],
)
def test_there_is_no_step_without_a_definite_hessian(hessian):
    with pytest.raises(_newton.NoNewtonStep), np.errstate(invalid="ignore"):
        _newton._solve(np.array(hessian, float), np.ones(2))


def test_blocks_that_are_not_kept_give_the_same_bits(monkeypatch, noisy):
    X, y = noisy(600)
    want = fs.SoftmaxRegression(solver="newton-cholesky").fit(X, y).coef_
    monkeypatch.setattr(_newton, "_KEPT_BYTES", 0)
    np.testing.assert_array_equal(
        fs.SoftmaxRegression(solver="newton-cholesky").fit(X, y).coef_, want
    )


def test_a_tolerance_below_rounding_is_told(noisy):
    clf = fs.SoftmaxRegression(solver="newton-cholesky", tol=1e-300, max_iter=500)
    with pytest.warns(ConvergenceWarning, match="finds no better weights in float64: raise tol"):
        clf.fit(*noisy())
    assert clf.max_gradient_ < 1e-12


def test_a_search_that_finds_nothing_hands_over_to_lbfgs(monkeypatch, noisy):
    X, y = noisy()
    want = fs.SoftmaxRegression(solver="lbfgs", max_iter=1000, tol=1e-7).fit(X, y)
    monkeypatch.setattr(_newton, "_ARMIJO", 1e6)
    clf = fs.SoftmaxRegression(solver="newton-cholesky", max_iter=1000, tol=1e-7)
    with pytest.warns(LinAlgWarning, match="goes on with lbfgs"):
        clf.fit(X, y)
    np.testing.assert_allclose(clf.coef_, want.coef_, atol=1e-3)
