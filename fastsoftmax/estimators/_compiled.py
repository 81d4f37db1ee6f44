"""The compiled kernels: choosing when they serve, and packing parameters for them."""

import functools
import importlib

import numpy as np
from threadpoolctl import ThreadpoolController

from .. import _dispatch, _ext, _threads
from ._losses import Tally
from ._network import Network, activations
from ._state import OptimizerState

MOST_BATCH_ELEMENTS = 1_000_000
"""Three batches are held at a time: larger ones would cost the memory that this library saves."""

MOST_BATCH_ROWS = 4096

MIN_EPSILON = 1e-16
"""The compiled Adam takes second moments under the smallest normal number for 0."""

WORK_A_THREAD = 100_000
"""Multiplications of a step that are worth a thread of their own."""

MOST_LAYERS = 64
SERIAL_BELOW = 1 << 21
"""Inference with fewer multiplications than this runs in the calling thread."""

_GROUPS = 64
_GROUP_BYTES = 16 << 20
_BYTES_A_CALL = 256 << 20
_ROWS_A_CALL = 1 << 16
_ROWS_AT_A_TIME = 4096


def kernels():
    """Return the compiled module for the instruction set in use; None with other back ends."""
    if _dispatch.selection().name != "cython":
        return None
    return _kernels_for(_dispatch.implementation().ISA)


@functools.cache
def _kernels_for(isa):
    return importlib.import_module(f"{_ext.__name__}.training_{isa}")


@functools.cache
def _blas():
    """Find the BLAS of NumPy and SciPy, once: the search reads the list of loaded libraries."""
    return ThreadpoolController()


def one_blas_thread():
    """Hold BLAS to one thread: the same bits everywhere, and no idle one that spins on our cores."""
    return _blas().limit(limits=1, user_api="blas")


def thread_count():
    """Return the number of threads of the compiled kernels."""
    return _dispatch.get_num_threads()


def fits(rows, network, rule, batch_size):
    """Whether the fused step serves: one hidden layer, dense rows, batches of moderate size."""
    return (
        kernels() is not None
        and rows.is_dense
        and len(network.coefs) == 2
        and rule.epsilon >= MIN_EPSILON
        and batch_size <= MOST_BATCH_ROWS
        and batch_size * rows.n_features <= MOST_BATCH_ELEMENTS
    )


# Training


class FusedStep:
    """Train one hidden ReLU layer with the compiled step; the contract of `_steps.NumpyStep`."""

    def __init__(self, network, optimizer, rows, targets, weights, loss, rule, batch_size):
        self._kernels = kernels()
        self._rows, self._targets, self._weights = rows, targets, weights
        self._loss, self._batch_size = loss, batch_size
        self._n_hidden = network.coefs[1].shape[0]
        self._rule = {**rule._asdict(), "label_smoothing": loss.label_smoothing}
        self.step = optimizer.step
        self._state = {}
        for prefix, arrays in zip(
            "pmv", (network.arrays, optimizer.first, optimizer.second), strict=True
        ):
            self._pack(prefix, arrays)
        work = batch_size * network.coefs[0].size
        self._n_threads = max(1, min(thread_count(), len(self._state["w1"]), work // WORK_A_THREAD))
        self._work = self._workspace(network.coefs[1].shape[1])

    def _empty(self, shape):
        array = self._kernels.aligned_empty((int(np.prod(shape)),), self._rows.dtype)
        array[:] = 0
        return array[: int(np.prod(shape))].reshape(shape)

    def _name(self, prefix, key):
        """Name an array as training_job.h does: w1 and b1 have moments m1, v1, mb1, vb1."""
        if prefix == "p":
            return key
        return prefix + (key[1:] if key[0] == "w" else key)

    def _pack(self, prefix, arrays):
        """Store the parameters (or moments) tile by tile, hidden units padded to whole tiles."""
        w1, w2, b1, b2 = arrays
        tile = self._kernels.tile_width(self._rows.dtype.itemsize == 8)
        n_tiles = -(-self._n_hidden // tile)
        n_features, n_outputs = w1.shape[0], w2.shape[1]
        pad = [(0, 0), (0, n_tiles * tile - self._n_hidden)]
        w1 = np.pad(w1, pad).reshape(n_features, n_tiles, tile).transpose(1, 0, 2)
        w2 = np.pad(w2.T, pad).reshape(n_outputs, n_tiles, tile).transpose(1, 0, 2)
        b1 = np.pad(b1, pad[1]).reshape(n_tiles, tile)
        b2 = np.stack([b2, b2]) if prefix == "p" else b2
        for key, array in {"w1": w1, "w2": w2, "b1": b1, "b2": b2}.items():
            packed = self._empty(array.shape)
            packed[...] = array
            self._state[self._name(prefix, key)] = packed

    def _unpack(self, prefix):
        w1, w2, b1, b2 = (self._state[self._name(prefix, key)] for key in ("w1", "w2", "b1", "b2"))
        n_features, n_outputs = w1.shape[1], w2.shape[1]
        w1 = w1.transpose(1, 0, 2).reshape(n_features, -1)[:, : self._n_hidden]
        w2 = w2.transpose(1, 0, 2).reshape(n_outputs, -1)[:, : self._n_hidden].T
        b1 = b1.reshape(-1)[: self._n_hidden]
        b2 = b2[0] if prefix == "p" else b2
        return [np.array(array, order="C") for array in (w1, w2, b1, b2)]

    def _workspace(self, n_outputs):
        is_double = self._rows.dtype.itemsize == 8
        lane = self._kernels.lane_count(is_double)
        tile, line = 2 * lane, 64 // self._rows.dtype.itemsize
        lanes = -(-self._batch_size // lane) * lane
        # An odd number of cache lines a row: rows then spread over all sets of the cache.
        ldx = (-(-self._rows.n_features // line) | 1) * line
        n_tiles = self._state["w1"].shape[0]
        scratch = self._kernels.scratch_size(lanes, n_outputs, is_double)
        scratch = -(-scratch // line) * line
        return {
            "ldx": ldx,
            "lanes": lanes,
            "batches": self._empty((3, self._batch_size, ldx)),
            "hidden": self._empty((n_tiles, lanes, tile)),
            "shares": self._empty((2, n_tiles, n_outputs, lanes)),
            "scratch": self._empty((self._n_threads, scratch)),
        }

    def run(self, order, learning_rate):
        """Train on the rows of `order`, batch after batch; return their Tally."""
        rule = {**self._rule, "learning_rate": learning_rate, "step": self.step}
        sums = self._kernels.train(
            self._rows.X,
            self._rows.scale,
            self._targets,
            self._weights,
            order,
            self._batch_size,
            self._state,
            self._work,
            rule,
            self._loss.logistic,
            self._n_threads,
        )
        self.step += -(-len(order) // self._batch_size)
        return Tally(*sums)

    @property
    def network(self):
        """The parameters as they are now, copied."""
        arrays = self._unpack("p")
        return Network(arrays[:2], arrays[2:])

    @property
    def optimizer(self):
        """The optimiser's state as it is now, copied."""
        return OptimizerState(self.step, self._unpack("m"), self._unpack("v"))


class CompiledLinear:
    """Sum of the losses and its gradient for a linear model, in one pass over the data."""

    def __init__(self, network, loss, split):
        self._kernels, self._n_threads = kernels(), thread_count()
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
    def fits(network, split):
        """Whether this serves."""
        return len(network.coefs) == 1 and split.rows.is_dense and kernels() is not None

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
        return one_blas_thread()

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


def is_compiled(network, rows):
    """Whether compiled kernels serve, which check every array for themselves."""
    return kernels() is not None and rows.is_dense and len(network.coefs) <= MOST_LAYERS


def logits_of(network, rows, n_outputs):
    """Return the logits (n_rows, n_outputs), and whether X and they are known to be finite."""
    if not is_compiled(network, rows):
        return numpy_logits(network, rows)
    out = _threads.runtime.empty((rows.n_rows, n_outputs), network.dtype)
    work = rows.n_rows * sum(coef.size for coef in network.coefs)
    n_threads = 1 if work < SERIAL_BELOW else thread_count()
    coefs, intercepts = list(network.coefs), list(network.intercepts)
    forward, finite, known = kernels().forward, True, True
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
