"""How an array is seen as `(outer, n_classes, inner)` around an axis, without moving its data.

An array that is dense in any order of its dimensions (C, Fortran, a transposed image batch) is read where
it lies; the result gets the same order, NumPy's "K". Only arrays with gaps, and several axes that do not
lie next to each other, are copied first.
"""

import math

import numpy as np


class Layout:
    """The view of one array as a block, and the way back.

    Parameters
    ----------
    x : ndarray
        Aligned, in native byte order.
    axes : tuple of int
        The class axes, sorted.
    """

    def __init__(self, x, axes):
        self.axes = axes
        self.shape = x.shape
        self.order = _memory_order(x)
        self._settle(x)
        if self.start is None:  # class axes apart in memory: bring them to the end
            self.order = tuple(d for d in range(x.ndim) if d not in axes) + axes
            self._settle(x)

    def _settle(self, x):
        """Set where the class axes stand in `self.order`, and the shape of the block."""
        places = [self.order.index(axis) for axis in self.axes]
        self.start, n_axes = (min(places), len(places)) if places else (x.ndim, 0)
        if places and max(places) - min(places) + 1 != n_axes:
            self.start = None
            return
        sizes = [x.shape[d] for d in self.order]
        stop = self.start + n_axes
        self.block_shape = (
            math.prod(sizes[: self.start]),
            math.prod(sizes[self.start : stop]),
            math.prod(sizes[stop:]),
        )

    def block(self, array):
        """Return `array` (of the layout's shape) as a C-contiguous block, copied only if it must be."""
        turned = array.transpose(self.order)
        if not turned.flags.c_contiguous:
            turned = turned.copy(order="C")
        return turned.reshape(self.block_shape)

    def holds(self, array):
        """Whether `array` can be written through a block without a copy."""
        return array.flags.aligned and array.transpose(self.order).flags.c_contiguous

    def unblock(self, block):
        """Return a block as an array of the layout's shape; of one class axis it may hold another number of classes."""
        sizes = [block.shape[1] if (d,) == self.axes else self.shape[d] for d in self.order]
        turned = block.reshape(sizes)
        return turned.transpose(np.argsort(self.order))

    @property
    def row_order(self):
        """The order in memory of the dimensions without the class axes, numbered without them."""
        rest = sorted(d for d in self.order if d not in self.axes)
        return tuple(rest.index(d) for d in self.order if d not in self.axes)

    def rows(self, array):
        """Return `array`, of the layout's shape without the class axes, as (outer, inner)."""
        turned = np.ascontiguousarray(array.transpose(self.row_order))
        return turned.reshape(self.block_shape[0], self.block_shape[2])

    def unrows(self, rows, keepdims=False):
        """Return (outer, inner) as an array of the layout's shape without the class axes."""
        sizes = [self.shape[d] for d in self.order if d not in self.axes]
        result = rows.reshape(sizes).transpose(np.argsort(self.row_order).astype(int))
        return np.expand_dims(result, self.axes) if keepdims else result

    def row_position(self, flat):
        """Return the index, in the caller's order, of a row of the (outer, inner) form."""
        sizes = [self.shape[d] for d in self.order if d not in self.axes]
        position = np.unravel_index(flat, sizes)
        return tuple(int(position[self.row_order.index(d)]) for d in range(len(sizes)))


def _memory_order(x):
    """Return the dimensions from the longest stride to the shortest; ties keep their order."""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda d: -abs(x.strides[d])))
