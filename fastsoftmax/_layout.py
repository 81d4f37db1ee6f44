"""How an array is seen as `(outer, n_classes, inner)` around an axis, without moving its data.

An array is read where it lies, in any order of its dimensions (C, Fortran, a transposed image batch), and
the result gets the same order, NumPy's "K". It may have gaps: between its rows, and where other dimensions
are innermost, between its classes too; rows may lie in reverse or be repeated. Copied first are arrays whose
innermost dimension has a step of its own, and those whose rows need more than two steps.
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
    order : tuple of int, optional
        The dimensions from the outermost to the innermost; by default as they lie in the memory of `x`.
    """

    def __init__(self, x, axes, order=None):
        self.axes = axes
        self.shape = x.shape
        self.order = memory_order(x) if order is None else order
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

    def strided(self, array):
        """Return `array` as a block where it lies, or None if kernels cannot reach it there.

        The block is C-contiguous, or has steps of its own between outer indices and, where `inner` is more
        than 1, between classes. Outer indices that need two steps make it (groups, outer, n_classes, inner).
        """
        turned = array.transpose(self.order)
        if not array.flags.aligned:
            return None
        if turned.flags.c_contiguous:
            return turned.reshape(self.block_shape)
        shape, stop = self.block_shape, self.start + len(self.axes)
        outer = _runs(turned, 0, self.start)
        classes, inner = _runs(turned, self.start, stop), _runs(turned, stop, turned.ndim)
        innermost = inner or (classes if shape[2] == 1 else [])
        if (
            array.size == 0
            or max(len(outer) - 1, len(classes), len(inner)) > 1
            or any(step != array.itemsize for _, step in innermost)
            or any(step % array.itemsize for _, step in outer + classes)
        ):
            return None
        if len(outer) == 2:
            shape = (outer[0][0], outer[1][0], *shape[1:])
        return turned.reshape(shape)

    def read(self, array):
        """Return `array` as a block that kernels read where it lies if they can, else copied."""
        block = self.strided(array)
        return self.block(array) if block is None else block

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
        if keepdims:
            sizes = [1 if d in self.axes else self.shape[d] for d in self.order]
            return rows.reshape(sizes).transpose(np.argsort(self.order))
        sizes = [self.shape[d] for d in self.order if d not in self.axes]
        return rows.reshape(sizes).transpose(np.argsort(self.row_order).astype(int))

    def row_position(self, flat):
        """Return the index, in the caller's order, of a row of the (outer, inner) form."""
        sizes = [self.shape[d] for d in self.order if d not in self.axes]
        position = np.unravel_index(flat, sizes)
        return tuple(int(position[self.row_order.index(d)]) for d in range(len(sizes)))


def memory_order(x):
    """Return the dimensions from the longest stride to the shortest, as NumPy's functions order their results.

    Dimensions that repeat (stride 0) or have one index alone stay where they are among the others.
    """
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    order = []
    for d in reversed(range(x.ndim)):  # from the innermost out
        place = len(order)
        for at in reversed(range(len(order))):
            if _is_ambiguous(x, d) or _is_ambiguous(x, order[at]):
                continue
            if abs(x.strides[order[at]]) <= abs(x.strides[d]):
                break
            place = at
        order.insert(place, d)
    return tuple(reversed(order))


def _is_ambiguous(x, d):
    return x.strides[d] == 0 or x.shape[d] == 1


def _runs(array, start, stop):
    """Return (size, stride) of dimensions start .. stop, joined where a step leads through several of them."""
    joined = []
    for d in reversed(range(start, stop)):
        size, stride = array.shape[d], array.strides[d]
        if joined and stride == joined[0][0] * joined[0][1]:
            joined[0] = (size * joined[0][0], joined[0][1])
        elif size != 1:
            joined.insert(0, (size, stride))
    return joined


def innermost(arrays, order):
    """Return how many of the innermost dimensions lie in one run of values in each of these arrays."""
    count = 0
    for n in range(1, len(order) + 1):
        for array in arrays:
            turned = array.transpose(order)
            runs = _runs(turned, turned.ndim - n, turned.ndim)
            if len(runs) > 1 or any(step != array.itemsize for _, step in runs):
                return count
        count = n
    return count
