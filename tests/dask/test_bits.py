"""The bits of one process over the same partitions, wherever and by however many they are computed."""

import itertools
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

distributed = pytest.importorskip("distributed")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.peer

import dask  # noqa: E402
from partitions import cut, ends_of, fit_in_one_process, make_rows, piece  # noqa: E402
from scipy.linalg import LinAlgWarning  # noqa: E402
from sklearn.base import clone  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

import fastsoftmax as fs  # noqa: E402
from fastsoftmax.dask import MLPClassifier, SoftmaxRegression, _base  # noqa: E402
from fastsoftmax.dask._tree import add_neighbours, tree_sum  # noqa: E402
from fastsoftmax.estimators.callbacks import Callback, ModelCheckpoint  # noqa: E402

ADAM = {"solver": "adam", "max_iter": 6, "tol": 0.0, "random_state": 3}


def assert_same(one, other):
    for name in ("coef_", "intercept_", "coefs_", "intercepts_"):
        if hasattr(one, name):
            arrays = [getattr(model, name) for model in (one, other)]
            for mine, theirs in zip(*map(list, arrays), strict=True):
                np.testing.assert_array_equal(mine, theirs)
    assert one.history_ == other.history_


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_regression_has_the_bits_of_one_process(two_workers, one_worker, solver, dtype):
    X, y = make_rows(dtype=dtype)
    options = {"solver": solver, "max_iter": 200, "tol": 1e-5}
    model = SoftmaxRegression(**options, client=two_workers).fit(*cut(X, y))
    coef, intercept, history = fit_in_one_process(model, X, y)
    np.testing.assert_array_equal(model.coef_, coef)
    np.testing.assert_array_equal(model.intercept_, intercept)
    assert model.history_ == history
    assert_same(model, SoftmaxRegression(**options, client=one_worker).fit(*cut(X, y)))
    local = fs.SoftmaxRegression(**options).fit(X, y)
    np.testing.assert_allclose(model.coef_, local.coef_, rtol=0, atol=1e-3)


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_newton_finds_the_minimum_of_the_local_class(two_workers, n_classes, fit_intercept):
    X, y = make_rows(n_classes=n_classes, dtype=np.float64)
    weights = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    options = {"solver": "newton-cholesky", "tol": 1e-10, "fit_intercept": fit_intercept, "C": 0.1}
    model = SoftmaxRegression(**options, client=two_workers).fit(*cut(X, y, weights))
    local = fs.SoftmaxRegression(**options).fit(X, y, weights)
    assert model.n_iter_ == local.n_iter_
    np.testing.assert_allclose(model.coef_, local.coef_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.intercept_, local.intercept_, rtol=0, atol=1e-10)


def test_a_singular_hessian_goes_on_with_lbfgs(two_workers):
    X, y = make_rows(dtype=np.float64)
    X = np.column_stack([X, X[:, :1]])
    options = {"solver": "newton-cholesky", "C": np.inf, "max_iter": 1000, "client": two_workers}
    with pytest.warns(LinAlgWarning, match="goes on with lbfgs"):
        model = SoftmaxRegression(**options).fit(*cut(X, y))
    assert model.converged_


def test_auto_takes_newton_for_few_parameters(two_workers):
    X, y = make_rows(dtype=np.float64)
    models = [
        SoftmaxRegression(solver=solver, client=two_workers).fit(*cut(X, y))
        for solver in ("auto", "newton-cholesky", "lbfgs")
    ]
    assert_same(*models[:2])
    assert models[0].n_iter_ < models[2].n_iter_


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (SoftmaxRegression, {"max_iter": 200, "solver": "lbfgs"}),
        (SoftmaxRegression, {"max_iter": 500, "l1_ratio": 0.5, "class_weight": "balanced"}),
        (SoftmaxRegression, ADAM),
        (MLPClassifier, {**ADAM, "hidden_layer_sizes": (16,)}),
        (MLPClassifier, {**ADAM, "hidden_layer_sizes": (16, 8)}),
        (MLPClassifier, {"solver": "lbfgs", "max_iter": 20, "random_state": 0}),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_partition_has_the_bits_of_the_local_class(two_workers, cls, options):
    X, y = make_rows()
    weights = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    model = cls(**options, client=two_workers, n_replicas=1)
    model.fit(*cut(X, y, weights, n_partitions=1))
    with threadpool_limits(1, user_api="blas"):  # as on workers: its bits depend on the number
        local = cls._local_class(**options).fit(X, y, weights)
    assert_same(model, local)


@pytest.mark.parametrize("hidden", [(16,), (16, 8)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_averages_do_not_depend_on_workers(two_workers, one_worker, hidden):
    X, y = make_rows()
    models = [
        MLPClassifier(hidden, **ADAM, client=client, n_replicas=3).fit(*cut(X, y))
        for client in (two_workers, one_worker)
    ]
    assert_same(*models)
    default = MLPClassifier(hidden, **ADAM, client=two_workers).fit(*cut(X, y))
    assert default.n_replicas_ == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_side_by_side_have_the_same_bits(two_workers):
    rows = cut(*make_rows())
    models = [
        SoftmaxRegression(client=two_workers, solver="lbfgs", max_iter=8),
        SoftmaxRegression(client=two_workers, solver="newton-cholesky", max_iter=4),
        MLPClassifier((8,), client=two_workers, n_replicas=2, random_state=0, max_iter=2),
    ]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda model: clone(model).fit(*rows), models + models))
    for model, first, second in zip(models, found[:3], found[3:], strict=True):
        alone = model.fit(*rows)
        assert_same(first, alone)
        assert_same(second, alone)


@pytest.mark.parametrize("cls", [SoftmaxRegression, MLPClassifier])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_is_read_anew_has_the_bits_of_what_is_kept(one_worker, monkeypatch, cls):
    X, y = make_rows()
    options = {"max_iter": 5, "early_stopping": True, "random_state": 0, "client": one_worker}
    kept = cls(**options).fit(*cut(X, y))
    monkeypatch.setattr(_base, "fits_in_memory", lambda *args: False)
    assert_same(kept, cls(**options).fit(*cut(X, y)))


class KillAWorker(Callback):
    """End a worker process by SIGKILL after the second epoch."""

    def __init__(self, client):
        self._client = client

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            pids = self._client.run(os.getpid)
            os.kill(min(pids.values()), signal.SIGKILL)
            self.killed = True


@pytest.fixture(scope="module")
def mortal():
    """Two workers that may be killed; each is started anew."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.mark.parametrize("cls", [SoftmaxRegression, MLPClassifier])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_killed_worker_costs_no_bits(one_worker, mortal, cls):
    ends = ends_of(2400, 6)
    pieces = [dask.delayed(piece)(a, b) for a, b in itertools.pairwise(ends)]
    X, y = [rows[0] for rows in pieces], [rows[1] for rows in pieces]
    options = {"max_iter": 12, "random_state": 0, "n_replicas": 2}
    whole = cls(**options, client=one_worker).fit(X, y)
    mortal.wait_for_workers(2)
    killer = KillAWorker(mortal)
    model = cls(**options, client=mortal).fit(X, y, callbacks=[killer])
    assert killer.killed
    assert_same(model, whole)


class DriverDies(Exception):
    pass


class Die(Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 3:
            raise DriverDies


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_driver_that_dies_goes_on_from_its_checkpoint(two_workers, tmp_path):
    X, y = cut(*make_rows())
    path = tmp_path / "checkpoint.safetensors"
    options = {**ADAM, "max_iter": 8, "n_replicas": 2, "client": two_workers}
    with pytest.raises(DriverDies):
        MLPClassifier((16,), **options).fit(X, y, callbacks=[ModelCheckpoint(path), Die()])
    resumed = MLPClassifier((16,), **options).fit(X, y, resume_from=path)
    assert_same(resumed, MLPClassifier((16,), **options).fit(X, y))


def test_lbfgs_goes_on_to_the_same_minimum(two_workers, tmp_path):
    X, y = cut(*make_rows(dtype=np.float64))
    path = tmp_path / "checkpoint.safetensors"
    options = {"solver": "lbfgs", "tol": 1e-7, "max_iter": 500, "client": two_workers}
    with pytest.raises(DriverDies):
        SoftmaxRegression(**options).fit(X, y, callbacks=[ModelCheckpoint(path), Die()])
    resumed = SoftmaxRegression(**options).fit(X, y, resume_from=path)
    whole = SoftmaxRegression(**options).fit(X, y)
    assert len(resumed.history_["loss"]) == resumed.n_iter_ > 4
    assert resumed.history_["loss"][:4] == whole.history_["loss"][:4]
    np.testing.assert_allclose(resumed.coef_, whole.coef_, rtol=0, atol=1e-4)


def test_any_grouping_has_the_same_tree(rng):
    for n in (1, 2, 3, 7, 8, 13):
        leaves = {(i, i + 1): rng.normal() * 10.0 ** rng.integers(-8, 8) for i in range(n)}
        whole = tree_sum(leaves, n)
        for n_workers in (1, 2, 3, 5):
            owners, partial = rng.integers(0, n_workers, n), {}
            for owner in range(n_workers):
                mine = {(i, i + 1): leaves[i, i + 1] for i in range(n) if owners[i] == owner}
                partial |= add_neighbours(mine, n)
            assert tree_sum(partial, n) == whole
    with pytest.raises(ValueError, match="must cover 3 leaves"):
        tree_sum({(0, 1): 1.0}, 3)
