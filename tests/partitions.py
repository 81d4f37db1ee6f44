"""Rows and their partitions for the tests of fastsoftmax.dask, and a fit of them in one process."""

import itertools
from types import SimpleNamespace

import numpy as np

from fastsoftmax.estimators._data import Problem, Rows, Split
from fastsoftmax.estimators._losses import SoftmaxLoss
from fastsoftmax.estimators._network import zero_network
from fastsoftmax.estimators._progress import Reporter
from fastsoftmax.estimators._state import FitState, OptimizerState
from fastsoftmax.estimators.callbacks import CallbackList


def make_rows(n=1200, n_features=20, n_classes=5, seed=0, dtype=np.float32, noise=1.5):
    """Return rows of overlapping classes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_classes, n_features))
    y = rng.integers(0, n_classes, n)
    return (centres[y] + noise * rng.normal(size=(n, n_features))).astype(dtype), y


def ends_of(n, n_partitions):
    """Return where partitions of unequal lengths begin and end."""
    ends = np.linspace(0, n, n_partitions + 1).astype(int)
    ends[1:-1] += np.arange(n_partitions - 1) % 3
    return ends


def cut(*arrays, n_partitions=7):
    """Return Dask arrays in such partitions."""
    import dask.array as da

    chunks = tuple(np.diff(ends_of(len(arrays[0]), n_partitions)).tolist())
    return [da.from_array(a, chunks=(chunks, *a.shape[1:])) for a in arrays]


def piece(start, stop):
    """Return some of 2400 rows and their classes."""
    X, y = make_rows(n=2400)
    return X[start:stop], y[start:stop]


def pieces_held(dask_worker):
    """Return the dtype of each partition that a worker keeps, by its key; None for the user's own array."""
    pieces = {
        key: value for key, value in dask_worker.data.items() if type(value).__name__ == "Piece"
    }
    return {key: None if piece.X is None else str(piece.X.dtype) for key, piece in pieces.items()}


def threads_inside():
    """Return how many threads kernels have in a task."""
    import fastsoftmax as fs
    from fastsoftmax.dask._workers import on_threads

    with on_threads(compiled=True):
        return fs.get_num_threads()


class InTurn:
    """Partitions in this process: one after the other, then neighbours are added level by level."""

    def __init__(self, splits, loss):
        self._splits, self._loss = splits, loss

    def add_up(self, job, name, n_bytes, **options):
        """Return the sum of a job over all of them, without Dask and without the code for trees."""
        level = [job(split, self._loss) for split in self._splits]
        while len(level) > 1:
            pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
            level = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
        return level[0]


def fit_in_one_process(model, X, y, n_partitions=7, scale=1.0):
    """Return (coef, intercept, history) of a full-batch solver over the partitions, without Dask."""
    from fastsoftmax.dask._full_batch import DistributedIterations
    from fastsoftmax.dask._problem import Train

    ends, loss = ends_of(len(X), n_partitions), SoftmaxLoss()
    splits = [
        Split(Rows(X[a:b], scale), y[a:b].astype(np.int32), None)
        for a, b in itertools.pairwise(ends)
    ]
    network = zero_network((X.shape[1], y.max() + 1), splits[0].rows.dtype)
    problem = Problem(Train(InTurn(splits, loss), len(X), float(len(X))), None, loss)
    state = FitState(network, OptimizerState.zeros(network), 0)
    host = SimpleNamespace(
        tol=model.tol,
        early_stopping=False,
        n_iter_no_change=10,
        verbose=0,
        _solvers=model._solvers,
        _take=lambda state: None,
    )
    penalties, hooks = (1 / (model.C * len(X)), 0.0), CallbackList(None, host, {})
    iterations = DistributedIterations(host, problem, state, penalties, True, hooks, Reporter(0, 1))
    iterations.run(model.solver, model.max_iter)
    return state.network.coefs[0].T, state.network.intercepts[0], state.history
