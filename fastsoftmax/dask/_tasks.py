"""What workers compute: a partition is read, checked, and added up or trained on where it lies."""

import copy
from typing import Any, NamedTuple

import numpy as np
from distributed import get_worker

from ..estimators import _compiled
from ..estimators._compiled import CompiledLinear
from ..estimators._data import Rows, Split
from ..estimators._full_batch import sums_over
from ..estimators._loop import BLOCK_ROWS, evaluate_split
from ..estimators._losses import Tally, tally_of
from ..estimators._network import Network
from ..estimators._newton import Newton
from ..estimators._prediction import ranks, require_range
from ..estimators._state import OptimizerState
from ..estimators._steps import make_step
from ._facts import as_vector, checked_weights, number_of_rows, read
from ._tree import add_neighbours
from ._workers import on_threads, own_team


def identity(value):
    """Return an argument of many tasks, which becomes one of its own: it is sent once."""
    return value


class Plan(NamedTuple):
    """How partitions become rows to learn from; `factors` are those of the classes.

    `seed` tells which rows early stopping holds out; `want_held` asks for these instead of the
    others.
    """

    estimator: Any
    factors: np.ndarray | None
    dtype: np.dtype
    held_share: float | None = None
    seed: int = 0
    want_held: bool = False


class Piece(NamedTuple):
    """A partition, ready to learn from. X is None where it is the user's own array, left in place."""

    X: Any
    targets: np.ndarray
    weights: np.ndarray | None


def aligned(array):
    """Return an array that kernels can read: one that came in a message may begin at any byte."""
    return np.require(array, requirements="A")


def aligned_network(network):
    """Return a network of such arrays."""
    return Network(*([aligned(array) for array in arrays] for arrays in network))


def piece_of(X, y, sample_weight, plan, number, in_place=False):
    """Return the Piece of a partition that has rows."""
    given, estimator = X, plan.estimator
    X, y = read(estimator, X, y, reset=False)
    labels = estimator._labels
    targets, weights = labels.encode(y), None
    if sample_weight is not None:
        weights = checked_weights(sample_weight, X)
    if plan.factors is not None:
        factors = plan.factors[np.searchsorted(labels.classes, y)]
        weights = factors if weights is None else weights * factors
    X = Rows(X, 1.0).X  # as kernels read it
    index = _index(plan, number, targets, weights)
    if index is not None:
        X, targets = X[index], targets[index]
        weights = None if weights is None else weights[index]
    elif in_place and isinstance(given, np.ndarray) and np.shares_memory(X, given):
        X = None
    return Piece(X, targets, weights)


def _index(plan, number, targets, weights):
    """Return which rows of a partition take part; None for all."""
    rows = np.arange(len(targets))
    if weights is not None and not (weights > 0).all():
        rows = np.flatnonzero(weights)
    if plan.held_share is not None:
        rng = np.random.default_rng((plan.seed, 2, number))
        held = np.zeros(len(targets), bool)
        for label in np.unique(targets[rows], axis=0):
            same = rows[(targets[rows] == label).reshape(len(rows), -1).all(axis=1)]
            # On average the share, also of classes of which a partition has few rows.
            n_held = int(plan.held_share * len(same) + rng.random())
            held[rng.permutation(same)[:n_held]] = True
        rows = rows[held[rows] == plan.want_held]
    return None if len(rows) == len(targets) else rows


def split_of(piece, given, plan):
    """Return a Piece as the Split that solvers read; `given` is the user's own array."""
    X = np.asarray(given).reshape(len(given), -1) if piece.X is None else piece.X
    rows = Rows(X, plan.estimator.input_scale_, plan.dtype)
    weights = None if piece.weights is None else aligned(piece.weights)
    return Split(rows, aligned(piece.targets), weights)


def size_of(piece):
    """Return the number of rows of a Piece, and their weight."""
    n_rows = len(piece.targets)
    return n_rows, float(n_rows if piece.weights is None else piece.weights.sum())


def read_and_size(partition, plan, number):
    """Return the same of a partition that is not kept."""
    return size_of(piece_of(*partition, plan, number))


# Sums


class Sums(NamedTuple):
    """What partitions add up to: the Tally, and arrays."""

    tally: Tally
    arrays: tuple = ()

    def __add__(self, other):
        pairs = zip(self.arrays, other.arrays, strict=True)
        return Sums(self.tally + other.tally, tuple(mine + theirs for mine, theirs in pairs))


class LossAndGradient(NamedTuple):
    """Sum of the losses and its gradient in double, one flat array."""

    network: Network

    @np.errstate(all="ignore")  # a line search may try what leaves the range
    def __call__(self, split, loss):
        with on_threads(compiled=CompiledLinear.kernels_for(self.network, split) is not None):
            tally, gradients = sums_over(split, loss, self.network)(self.network)
        return Sums(tally, (np.concatenate([array.ravel() for array in gradients]),))


class Derivatives(NamedTuple):
    """Sum of the losses at parameters theta of Newton's method, their gradient and their Hessians."""

    theta: np.ndarray
    fit_intercept: bool

    def __call__(self, split, loss):
        with own_team():
            newton = NewtonOfPiece(split, loss, 0.0, self.fit_intercept)
            return Sums(*newton.sums_at(self.theta))


class NewtonOfPiece(Newton):
    """What Newton's method needs to know of some of the rows."""

    @np.errstate(all="ignore")  # a line search may try what leaves the range
    def sums_at(self, theta):
        """Return (Tally, (gradient, Hessians)), sums over the rows."""
        with self._threads(self._network_of(theta)):
            self._keep_blocks(theta)
            point = self._evaluate(theta, self._logits(theta))
            arrays = (self._gradient(point), self._hessians(point))
            return self._tally(point), tuple(self._total * array for array in arrays)


class Evaluation(NamedTuple):
    """Loss and accuracy."""

    network: Network

    def __call__(self, split, loss):
        with on_threads(compiled=_compiled.kernels() is not None):
            return Sums(evaluate_split(aligned_network(self.network), loss, split))


class Result(NamedTuple):
    """Sums by node of the tree, and who found them."""

    sums: dict
    worker: str


def add_up(pieces, givens, numbers, n_pieces, plan, job):
    """Return the sums of a job over some of the pieces, as far as the tree lets them be added."""
    sums, loss = {}, plan.estimator._loss
    for piece, given, number in zip(pieces, givens, numbers, strict=True):
        sums[number, number + 1] = job(split_of(piece, given, plan), loss)
    return Result(add_neighbours(sums, n_pieces), get_worker().address)


def read_and_add_up(partition, number, n_pieces, plan, job, place):
    """Do the same for a partition that is not kept: read it, use it, forget it."""
    piece = piece_of(*partition, plan, number)
    return add_up([piece], [None], [place], n_pieces, plan, job)


def join(results, n_pieces):
    """Return neighbouring Results as one."""
    sums = {}
    for result in results:
        sums |= result.sums
    return Result(add_neighbours(sums, n_pieces), get_worker().address)


# Training


class Epoch(NamedTuple):
    """What all tasks of an epoch have in common."""

    number: int
    rate: float
    batch_size: int
    seed: int
    rule: Any


class Reached(NamedTuple):
    """Where a replica of the network has come to, over how many rows."""

    network: Network
    optimizer: OptimizerState
    tally: Tally = Tally()
    n_rows: int = 0


def train_on(reached, piece, given, number, plan, epoch):
    """Train a replica on one partition, its rows in an order that seed, epoch and partition tell."""
    split = split_of(piece, given, plan)
    arguments = (split.rows, split.targets, split.weights, plan.estimator._loss)
    rng = np.random.default_rng((epoch.seed, 1, epoch.number, number))
    order, tally = rng.permutation(split.n_rows), reached.tally
    rows_a_call = max(1, BLOCK_ROWS // epoch.batch_size) * epoch.batch_size
    module = _compiled.kernels_for_steps(split.rows, reached.network, epoch.rule, epoch.batch_size)
    network, (step, *moments) = aligned_network(reached.network), reached.optimizer
    optimizer = OptimizerState(step, *([aligned(array) for array in part] for part in moments))
    with on_threads(compiled=module is not None):
        step = make_step(network, optimizer, *arguments, epoch.rule, epoch.batch_size)
        for start in range(0, len(order), rows_a_call):
            tally += step.run(order[start : start + rows_a_call], epoch.rate)
    return Reached(step.network, step.optimizer, tally, reached.n_rows + split.n_rows)


def read_and_train_on(reached, partition, number, plan, epoch):
    """Do the same for a partition that is not kept."""
    piece = piece_of(*partition, plan, number)
    return train_on(reached, piece, None, number, plan, epoch)


# Scores


def _aligned_estimator(estimator):
    """Return a fitted estimator whose weights kernels can read."""
    estimator = copy.copy(estimator)
    estimator._store(aligned_network(estimator._network))
    return estimator


def score_of(estimator, X, y, sample_weight, top_k):
    """Return the Tally of a fitted estimator on a piece, and the weight of rows right among top_k."""
    if number_of_rows(X) == 0:
        return Sums(Tally(), (np.zeros(()),))
    estimator = _aligned_estimator(estimator)
    with on_threads(compiled=_compiled.kernels() is not None):
        logits, targets = estimator._logits_and_targets(X, as_vector(y))
        weights = np.ones(len(logits))
        if sample_weight is not None:
            weights = checked_weights(sample_weight, logits)
        require_range(logits, weights)
        tempered = estimator._tempered(logits)
        tally = tally_of(estimator._loss, tempered, targets, weights, untempered=logits)
        among = 0.0
        if top_k is not None:
            among = weights @ (ranks(estimator._labels, logits, targets) < top_k)
    return Sums(tally, (np.asarray(among),))


def logits_of(estimator, X, y):
    """Return logits and targets of a piece; None of an empty one."""
    if number_of_rows(X) == 0:
        return None
    estimator = _aligned_estimator(estimator)
    with on_threads(compiled=_compiled.kernels() is not None):
        return estimator._logits_and_targets(X, as_vector(y))


def predict_with(estimator, X, method, shape):
    """Return what a method of a fitted estimator says about a piece; `shape` is that of a row."""
    if number_of_rows(X) == 0:
        return np.empty((0, *shape), dtype_of(estimator, method))
    with on_threads(compiled=_compiled.kernels() is not None):
        return getattr(_aligned_estimator(estimator), method)(X)


def predict_blocks(X, estimator, method, shape):
    """Do the same in the order of arguments that Dask's map_blocks has."""
    return predict_with(estimator, X, method, shape)


def dtype_of(estimator, method):
    """Return the dtype of what a method of a fitted estimator returns."""
    if method != "predict":
        return estimator._network.dtype
    return np.dtype(np.int64) if estimator._labels.is_multilabel else estimator.classes_.dtype
