"""The compiled kernels: when they serve, the step that trains with them, and inference."""

import functools

import numpy as np
from threadpoolctl import ThreadpoolController

from .. import _compiled, _dispatch, _threads
from .._locks import ProcessLock
from ._losses import Tally
from ._network import Network, activations
from ._state import OptimizerState

MOST_LAYERS = 64
"""Of a network that the compiled kernels serve."""

MIN_EPSILON = 1e-16
"""The compiled Adam takes second moments under the smallest normal number for 0."""

WORK_A_THREAD = 100_000
"""Multiplications of a step that are worth a thread of their own."""

SERIAL_BELOW = 1 << 21
"""Inference with fewer multiplications than this runs in the calling thread."""

_DENSE_BYTES = 64 << 20
"""Sparse rows become dense ones so many bytes at a time, or a batch at a time."""

_GROUPS = 64
_GROUP_BYTES = 16 << 20
_BYTES_A_CALL = 256 << 20
_ROWS_A_CALL = 1 << 16
_ROWS_AT_A_TIME = 4096


def kernels():
    """Return the compiled module for the instruction set in use; None with other back ends.

    Another thread may choose a back end meanwhile: who has asked uses what was returned, and does not ask again.
    """
    selection = _dispatch.selection()
    if selection.name != "cython":
        return None
    return _kernels_for(selection.implementation.ISA)


@functools.cache
def _kernels_for(isa):
    return _compiled.load(f"training_{isa}")


@functools.cache
def _blas():
    """Find the BLAS of NumPy and SciPy, once: the search reads the list of loaded libraries."""
    return ThreadpoolController()


class _OneBlasThread:
    """Holds BLAS to one thread while anybody is inside: the same bits everywhere, no idle one on our cores.

    The limit is the process's, so that fits and tasks side by side must not each restore what they found.
    """

    def __init__(self):
        self._counting, self._n_inside, self._limit = ProcessLock(), 0, None

    def __enter__(self):
        with self._counting.lock:
            if self._n_inside == 0:
                self._limit = _blas().limit(limits=1, user_api="blas")
            self._n_inside += 1

    def __exit__(self, *exc_info):
        with self._counting.lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._limit.restore_original_limits()


one_blas_thread = _OneBlasThread()


def thread_count():
    """Return the number of threads of the compiled kernels."""
    return _dispatch.get_num_threads()


def all_finite(array):
    """Whether every number of an array is finite."""
    module = kernels()
    return bool(np.isfinite(array).all()) if module is None else module.all_finite(array)


def kernels_for_steps(rows, network, rule, batch_size):
    """Return the kernels if the compiled step serves: any network of reasonable depth, rows that can be dense."""
    dense_batch = min(batch_size, rows.n_rows) * rows.n_features * rows.dtype.itemsize
    serves = (
        (rows.is_dense or dense_batch <= _DENSE_BYTES)
        and len(network.coefs) <= MOST_LAYERS
        and rule.epsilon >= MIN_EPSILON
    )
    return kernels() if serves else None


# Training


class FusedStep:
    """Train with the compiled step; the contract of `_steps.NumpyStep`.

    `module` has the kernels: what `kernels_for_steps` returned. `held` is what an earlier step has
    left, or None: where `optimizer` is what that one has reached, its compiled trainer goes on,
    which has the moments and the memory of a batch already.
    """

    def __init__(
        self, module, network, optimizer, rows, targets, weights, loss, rule, batch_size, held=None
    ):
        self._rows, self._targets, self._weights = rows, targets, weights
        batch_size = min(batch_size, max(1, rows.n_rows))  # memory is made for whole batches
        self._batch_size, self.step = batch_size, optimizer.step
        work = batch_size * sum(coef.size for coef in network.coefs)
        n_threads = max(1, min(thread_count(), work // WORK_A_THREAD))
        options = (rule, loss.label_smoothing, loss.logistic, batch_size, n_threads)
        make, self._reached = module.Trainer, None
        self._trainer, reached = held or (None, None)
        if type(self._trainer) is make and reached is optimizer:
            self._trainer.go_on(network.arrays, *options)
        else:
            moments = optimizer.first, optimizer.second
            self._trainer = make(network.arrays, *moments, *options)

    @property
    def held(self):
        """The trainer and what it has reached, for a later step to go on with."""
        return self._trainer, self._reached

    def run(self, order, learning_rate):
        """Train on the rows of `order`, batch after batch; return their Tally."""
        rows = self._rows
        if rows.is_dense:
            return self._train(
                rows.X, rows.scale, self._targets, self._weights, order, learning_rate
            )
        tally = Tally()
        a_batch = self._batch_size * rows.n_features * rows.dtype.itemsize
        at_a_time = self._batch_size * max(1, _DENSE_BYTES // max(1, a_batch))
        for start in range(0, len(order), at_a_time):
            some = order[start : start + at_a_time]
            weights = None if self._weights is None else self._weights[some]
            x, targets = rows.take(some).toarray(), self._targets[some]
            tally += self._train(x, 1.0, targets, weights, np.arange(len(some)), learning_rate)
        return tally

    def _train(self, X, scale, targets, weights, order, learning_rate):
        self._reached = None
        sums = self._trainer.train(X, scale, targets, weights, order, learning_rate, self.step)
        self.step += -(-len(order) // self._batch_size)
        return Tally(*sums)

    @property
    def network(self):
        """The parameters as they are now, copied."""
        arrays = self._trainer.parameters()
        return Network(arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :])

    @property
    def optimizer(self):
        """The optimiser's state as it is now, copied."""
        if self._reached is None:
            self._reached = OptimizerState(self.step, *self._trainer.moments())
        return self._reached


class CompiledLinear:
    """Sum of the losses and its gradient for a linear model, in one pass over the data."""

    def __init__(self, module, network, loss, split):
        self._kernels, self._n_threads = module, thread_count()
        self._loss, self._split = loss, split
        n_features, n_outputs = network.coefs[0].shape
        self._dtype = network.dtype
        lane = self._kernels.lane_count(self._dtype.itemsize == 8)
        self._bias = -(-n_features // lane) * lane  # where it lies: behind the padded features
        self._weights = self._kernels.aligned_empty((n_outputs, self._bias + 1), self._dtype)
        self._weights[:] = 0
        # The number of groups is part of the result's bits: it depends on the shape alone.
        n_groups = int(np.clip(_GROUP_BYTES // self._weights.nbytes, 1, _GROUPS))
        shape = self._weights.shape
        self._gradients = self._kernels.aligned_empty((n_groups, *shape), self._dtype)
        self._tallies, self._total = np.empty((n_groups, 3)), np.empty(shape)
        self._rows_a_group = -(-split.rows.n_rows // n_groups)
        self._rows_a_call = self._rows_between_looks(n_groups)

    def _rows_between_looks(self, n_groups):
        """Return how many rows of each group one call takes: Ctrl-C is honoured between calls."""
        X, block = self._split.rows.X, self._kernels.ROWS_A_BLOCK
        blocks = _BYTES_A_CALL // (n_groups * block * max(1, X.shape[1] * X.itemsize))
        return max(1, blocks) * block

    @staticmethod
    def kernels_for(network, split):
        """Return the kernels if this serves."""
        return kernels() if len(network.coefs) == 1 and split.rows.is_dense else None

    def __call__(self, network):
        """Return (Tally, [gradient of coef, of intercept] in double)."""
        coef = network.coefs[0]
        self._weights[:, : len(coef)] = coef.T
        self._weights[:, self._bias] = network.intercepts[0]
        self._tallies[:] = 0
        for first in range(0, self._rows_a_group, self._rows_a_call):
            self._add(first)
        gradients = [self._total[:, : len(coef)].T, self._total[:, self._bias]]
        return Tally(*self._tallies.sum(axis=0)), gradients

    @staticmethod
    def blas():
        """Hold BLAS to one thread: idle ones would spin on the core that the kernel's team needs."""
        return one_blas_thread

    def _add(self, first):
        """Add the losses and gradients of some rows of each group, from its row `first` on."""
        is_last = first + self._rows_a_call >= self._rows_a_group
        self._kernels.linear_loss_gradient(
            self._split.rows.X,
            self._split.rows.scale,
            self._split.targets,
            self._split.weights,
            self._loss.label_smoothing,
            self._weights,
            self._gradients,
            self._tallies,
            self._total if is_last else None,
            self._loss.logistic,
            first,
            self._rows_a_call,
            self._n_threads,
        )


# Inference


def kernels_for_logits(network, rows):
    """Return the kernels if they serve; they check every array for themselves."""
    return kernels() if rows.is_dense and len(network.coefs) <= MOST_LAYERS else None


def logits_of_few(network, X, n_outputs):
    """Return the logits of a plain array of few rows, all finite; None where `logits_of` must look.

    Raises what the compiled checks have against X or the network.
    """
    module = kernels()
    if module is None:
        return None
    return module.finite_logits(X, network.coefs, network.intercepts, n_outputs, SERIAL_BELOW)


def logits_of(network, rows, n_outputs):
    """Return the logits (n_rows, n_outputs), and whether X and they are known to be finite."""
    module = kernels_for_logits(network, rows)
    if module is None:
        return numpy_logits(network, rows)
    return compiled_logits(module, network, rows, n_outputs)


def compiled_logits(module, network, rows, n_outputs):
    """Return what `logits_of` does, by the kernels of a module."""
    out = _threads.runtime.empty((rows.n_rows, n_outputs), network.dtype)
    work = rows.n_rows * sum(coef.size for coef in network.coefs)
    n_threads = 1 if work < SERIAL_BELOW else thread_count()
    coefs, intercepts = list(network.coefs), list(network.intercepts)
    forward, finite, known = module.forward, True, True
    if rows.n_rows <= _ROWS_A_CALL:
        return out, *forward(rows.X, rows.scale, coefs, intercepts, out, n_threads)
    for start in range(0, rows.n_rows, _ROWS_A_CALL):  # Ctrl-C is honoured between calls
        part = slice(start, start + _ROWS_A_CALL)
        found = forward(rows.X[part], rows.scale, coefs, intercepts, out[part], n_threads)
        finite, known = finite and found[0], known and found[1]
    return out, finite, known


@np.errstate(all="ignore")
def numpy_logits(network, rows):
    """Return what `logits_of` does; the caller has checked the network."""
    parts = [activations(network, x)[-1] for _, x in rows.slices(_ROWS_AT_A_TIME)]
    logits = np.concatenate(parts).astype(network.dtype, copy=False)
    return logits, False, bool(np.isfinite(logits).all())
