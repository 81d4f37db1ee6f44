"""Whether arrays share memory: with each other, and the elements of one among themselves."""

import numpy as np

_MAX_WORK = 100_000
"""How long NumPy may search for a common byte before the answer is taken to be yes."""


def share(a, b):
    """Whether two arrays have a byte in common, or might where that is hard to tell."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=_MAX_WORK)
    except np.exceptions.TooHardError:
        return True


def is_same_view(a, b):
    """Whether two arrays are the same elements in the same order."""
    return (
        a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
        and a.dtype == b.dtype
        and a.shape == b.shape
        and all(
            one == other
            for size, one, other in zip(a.shape, a.strides, b.strides, strict=True)
            if size > 1
        )
    )


def repeats(array):
    """Whether two elements of an array have a byte in common, as in a broadcast view or a sliding window."""
    if array.flags.c_contiguous or array.flags.f_contiguous or array.size == 0:
        return False
    reach = array.itemsize
    for stride, size in sorted(zip(map(abs, array.strides), array.shape, strict=True)):
        if size > 1 and stride < reach:
            return _halves_share(array)
        reach += (size - 1) * stride
    return False


def _halves_share(array):
    """Look along one dimension after the other: the parts of a half repeat where those of the other do."""
    while array.ndim:
        if len(array) == 1:
            array = array[0]
            continue
        half = (len(array) + 1) // 2
        if share(array[:half], array[half:]):
            return True
        array = array[:half]
    return False
