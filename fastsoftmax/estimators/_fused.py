"""The compiled kernels: packing parameters for them, and choosing when they serve."""

import functools

import numpy as np

from .. import _compiled, _dispatch
from ._losses import Tally
from ._network import Network
from ._optimizers import OptimizerState

MOST_BATCH_ELEMENTS = 1_000_000
"""Three batches are held at a time: larger ones would cost the memory that this library saves."""

MOST_BATCH_ROWS = 4096

MIN_EPSILON = 1e-16
"""The compiled Adam takes second moments under the smallest normal number for 0."""

WORK_A_THREAD = 100_000
"""Multiplications of a step that are worth a thread of their own."""


def kernels():
    """Return the compiled module for the instruction set in use; None with other back ends."""
    if _dispatch.chosen.name != "cython":
        return None
    return _kernels_for(_dispatch.implementation().ISA)


@functools.cache
def _kernels_for(isa):
    return _compiled.load(f"training_{isa}")


def n_threads():
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
        self._n_threads = max(1, min(n_threads(), len(self._state["w1"]), work // WORK_A_THREAD))
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
