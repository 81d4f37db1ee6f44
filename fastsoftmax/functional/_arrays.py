"""Allocation and layout that all operations share."""

import numpy as np

from .. import _validate
from .._layout import Layout
from .._threads import runtime

empty, empty_like, zeros = runtime.empty, runtime.empty_like, runtime.zeros
"""Like NumPy's, but of memory kept for results."""

quiet = np.errstate(all="ignore")
"""Decorates what computes with NumPy: overflow and the like are in the result, whatever np.errstate the caller has."""


class Result:
    """Where an operation writes: a block for the kernel, and what the caller gets.

    A caller's `out` that kernels can reach in the order of the layout is written directly; any other goes
    through a block of its own and is filled by `finish`.
    """

    def __init__(self, layout, dtype, out=None):
        self._layout, self._given, self._out = layout, out, _validate.writable(out)
        out = self._out
        self.block = None if out is None else layout.strided(np.asarray(out))
        self._is_direct = self.block is not None
        if not self._is_direct:
            self.block = empty(layout.block_shape, dtype)

    def finish(self):
        """Return the array for the caller, filled."""
        if self._out is None:
            return self._layout.unblock(self.block)
        if not self._is_direct:
            self._out[...] = self._layout.unblock(self.block)
        return self._given


def read_with_out(x, name, out):
    """Return x as an array, and check that a result of its shape and dtype can be written to `out`."""
    given = _validate.as_array(x, name)
    array = _validate.as_real(given, name)
    out = _validate.writable(out)
    if out is not None:
        _validate.out_array(out, array.shape, array.dtype)
        _validate.no_overlap(out, given, name)
    return array


def prepare(x, axis, out, name="x"):
    """Return (array, layout, block, result) of an operation that maps x to its own shape."""
    array = read_with_out(x, name, out)
    layout = Layout(array, _validate.axes(axis, array.ndim))
    return array, layout, layout.read(array), Result(layout, array.dtype, out)
