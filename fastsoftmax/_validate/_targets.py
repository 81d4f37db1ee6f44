"""Targets: class indices or probabilities, and what was probably meant where they do not fit."""

import numpy as np

from ._arrays import aligned, apart, as_array, describe, is_floating

_INDEX_DTYPES = (np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.uint8))


def targets(value, shape, axis, ignore_index, out=None):
    """Return (targets, are_indices, ignore_index): class indices of `shape` without `axis`, or probabilities.

    Integers that int64 cannot hold are refused, or, where they are to be ignored, replaced with the index.
    """
    array = as_array(value, "targets")
    apart(out, array, "targets")
    index_shape = shape[:axis] + shape[axis + 1 :]
    if array.size == 0 and array.shape == index_shape and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)  # NumPy reads an empty list as floats
    if array.dtype.kind in "iu":
        if array.shape != index_shape:
            raise ValueError(
                f"targets (class indices) must have shape {index_shape}, got {array.shape}"
                f"{_hint(array.shape, shape, axis)}"
            )
        array, ignore_index = _index_targets(array, shape[axis], ignore_index)
        return array, True, ignore_index
    if is_floating(array.dtype):
        array = _probability_targets(array, shape, index_shape, ignore_index)
        return aligned(array), False, None
    raise TypeError(
        f"targets must be integers (class indices) or floating (probabilities), got {describe(array.dtype)}"
    )


def _hint(got, shape, axis):
    """Return what was probably meant where class indices have another shape than the rows, or nothing."""
    axes = [
        one for one in range(len(shape)) if one != axis and shape[:one] + shape[one + 1 :] == got
    ]
    if axes:
        meant = " or ".join(f"axis={one}" for one in axes)
        return f"; that is the shape for {meant}: if the classes lie there, pass it"
    if got == tuple(shape):
        return (
            f"; if they are one-hot, pass targets.argmax(axis={axis}), or targets.astype(float) "
            "as probabilities"
        )
    if got == (*shape[:axis], *shape[axis + 1 :], 1):
        return "; drop the last dimension, as in targets[..., 0]"
    return _swapped(got, shape)


def _swapped(got, shape):
    """Return a question where targets look like logits, and logits like class indices."""
    is_column = len(got) == len(shape) > 1 and shape[-1] == 1 != got[-1] and got[:-1] == shape[:-1]
    if is_column or any(got[:one] + got[one + 1 :] == tuple(shape) for one in range(len(got))):
        return "; are logits and targets swapped?"
    return ""


def _probability_targets(array, shape, index_shape, ignore_index):
    if array.shape != tuple(shape):
        if array.shape == index_shape:
            raise TypeError(
                f"targets of shape {index_shape} must be integers (class indices), "
                f"got {describe(array.dtype)}"
            )
        raise ValueError(
            f"targets (probabilities) must have shape {tuple(shape)}, got {array.shape}"
            f"{_swapped(array.shape, shape)}"
        )
    if ignore_index is not None:
        raise ValueError(
            f"ignore_index must be None with probabilities as targets, got {ignore_index!r}"
        )
    return array


def _index_targets(array, n_classes, ignore_index):
    """Bring indices to a dtype that kernels read; no value ever wraps into the range."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype in _INDEX_DTYPES:
        return aligned(array), ignore_index
    if array.dtype == np.uint64:
        too_large = array > np.uint64(2**63 - 1)
        if too_large.any():
            bad = too_large & (array != (-1 if ignore_index is None else ignore_index))
            if bad.any():
                at = np.unravel_index(int(np.argmax(bad)), array.shape)
                raise bad_target(int(array[at]), at, n_classes, ignore_index)
            array, ignore_index = np.where(too_large, 0, array).astype(np.int64), -1
            array[too_large] = -1
    return array.astype(np.int64, copy=False), ignore_index


def bad_target(value, position, n_classes, ignore_index):
    """Return the IndexError of a target outside [0, n_classes)."""
    row = int(position[0]) if len(position) == 1 else tuple(int(one) for one in position)
    where = f" at row {row}" if len(position) else ""
    hint = ""
    if value == -100 and ignore_index is None:
        hint = " (PyTorch ignores -100 by default; here pass ignore_index=-100)"
    return IndexError(f"targets must be in [0, {n_classes}), got {value}{where}{hint}")
