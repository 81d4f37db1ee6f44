"""What raises about a user's argument: one function per kind of argument.

Every error names the argument, what was expected and what was got. TypeError is for a dtype or kind,
ValueError for a shape, a range or an option, IndexError for a target.
"""

import math
import operator
import sys

import numpy as np

REDUCTIONS = ("none", "mean", "sum")
_INDEX_DTYPES = (np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.uint8))


def _describe(dtype):
    return f"dtype {dtype}"


def _is_real(dtype):
    """Whether dtype is one that kernels read as it is; bfloat16 comes from the package ml_dtypes."""
    return dtype.char in "efd" or dtype.name == "bfloat16"


def is_floating(dtype):
    """Whether dtype is a float of any width; NumPy does not count bfloat16 among them."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def _has_masked(value):
    """Whether `value` is a masked array with a masked entry; np.ma is imported by who has one."""
    ma = sys.modules.get("numpy.ma")
    return ma is not None and isinstance(value, ma.MaskedArray) and ma.is_masked(value)


def as_array(value, name):
    """Return `value` as an ndarray, without a copy where NumPy can view it."""
    if type(value) is np.ndarray:
        return value
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    if _has_masked(value):
        raise TypeError(
            f"{name} must have no masked values, which would be read as if they were not (pass `where`, "
            "sample_weight=0 or ignore_index instead)"
        )
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be an array or nested lists of numbers: {error}") from None


def as_real(value, name):
    """Return `value` as an aligned native array of 16, 32 or 64-bit floats; integers become float64."""
    array = as_array(value, name)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if not _is_real(array.dtype):
        raise TypeError(
            f"{name} must be float16, bfloat16, float32, float64, integer or boolean, "
            f"got {_describe(array.dtype)}"
        )
    return array if array.flags.aligned else array.copy(order="K")


def axes(axis, ndim, name="axis"):
    """Return the axes as a sorted tuple of non-negative integers; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    wanted = axis if isinstance(axis, tuple) else (axis,)
    result = []
    for one in wanted:
        try:
            index = operator.index(one)
        except TypeError:
            raise TypeError(
                f"{name} must be an integer, a tuple of integers or None, got {axis!r}"
            ) from None
        if not -ndim <= index < ndim:
            raise ValueError(
                f"{name} must be in [{-ndim}, {ndim}) for {ndim} dimensions, got {index}"
            )
        result.append(index % ndim)
    if len(set(result)) != len(result):
        raise ValueError(f"{name} must not repeat a dimension, got {axis!r}")
    return tuple(sorted(result))


def one_axis(axis, ndim, name="logits"):
    """Return a single axis as a non-negative integer."""
    if isinstance(axis, tuple) or axis is None:
        raise TypeError(f"axis must be an integer, got {axis!r}")
    if ndim == 0:
        raise ValueError(f"{name} must have at least one dimension, got a scalar")
    return axes(axis, ndim)[0]


def out_array(out, shape, dtype, name="out"):
    """Check that `out` can take a result of this shape and dtype."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be a numpy.ndarray, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must have {_describe(dtype)}, got {_describe(out.dtype)}")
    if out.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} must be writeable, got a read-only array")
    return out


def overlaps(out, array):
    """Whether `out` shares memory with `array` otherwise than by being the same view."""
    if not np.may_share_memory(out, array):
        return False
    same_view = (
        out.__array_interface__["data"] == array.__array_interface__["data"]
        and out.shape == array.shape
        and out.strides == array.strides
        and out.dtype == array.dtype
    )
    if same_view:
        return False
    try:
        return np.shares_memory(out, array, max_work=100_000)
    except np.exceptions.TooHardError:
        return True


def no_overlap(out, array, name, out_name="out"):
    """Raise unless `out` is `array` itself or apart from it."""
    if overlaps(out, array):
        raise ValueError(
            f"{out_name} must be {name} itself or share no memory with it, got a part of it"
        )


def where_mask(where, shape):
    """Return the mask as uint8 broadcast to `shape`, or None."""
    if where is None:
        return None
    mask = as_array(where, "where")
    if mask.dtype != np.bool_:
        raise TypeError(f"where must be boolean, got {_describe(mask.dtype)}")
    try:
        return np.broadcast_to(mask, shape).view(np.uint8)
    except ValueError:
        raise ValueError(
            f"where must broadcast to shape {tuple(shape)}, got {mask.shape}"
        ) from None


def number(value, name, low=-math.inf, high=math.inf, *, open_low=False):
    """Return `value` as a finite float in [low, high], or (low, high] where `open_low`."""
    if type(value) not in (float, int) and (
        isinstance(value, (str, bytes)) or np.iscomplexobj(value) or np.ndim(value) != 0
    ):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}") from None
    too_low = result <= low if open_low else result < low
    if not math.isfinite(result) or too_low or result > high:
        bounds = f"{'(' if open_low else '['}{low:g}, {high:g}{']' if math.isfinite(high) else ')'}"
        raise ValueError(f"{name} must be finite and in {bounds}, got {value!r}")
    return result


def integer(value, name, low=None):
    """Return `value` as an int of at least `low`; booleans are refused."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if low is not None and result < low:
        raise ValueError(f"{name} must be at least {low}, got {result}")
    return result


def generator(seed):
    """Return the random generator that a seed stands for."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"seed must be None, an integer >= 0 or a numpy.random.Generator, got {seed!r}"
        ) from None


def reduction(value):
    """Check the name of a reduction."""
    if value not in REDUCTIONS:
        raise ValueError(
            f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, got {value!r}"
        )
    return value


def n_classes(count, name, shape):
    """Raise unless there is at least one class."""
    if count == 0:
        raise ValueError(f"{name} must have at least one class along axis, got shape {shape}")


def alike(array, name, other, other_name):
    """Raise unless `array` has the shape and dtype of `other`."""
    if array.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name}, {other.shape}, got {array.shape}"
        )
    if array.dtype != other.dtype:
        raise TypeError(
            f"{name} must have the dtype of {other_name}, {other.dtype}, got {array.dtype}"
        )


def weights(value, name, shape):
    """Return weights as float64, finite and not negative, or None."""
    if value is None:
        return None
    array = as_array(value, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, got {_describe(array.dtype)}")
    if array.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {array.shape}")
    array = np.ascontiguousarray(array, dtype=np.float64)
    if array.size and not (array.min() >= 0 and array.max() < np.inf):
        flat = array.ravel()
        at = int(np.flatnonzero(~((flat >= 0) & np.isfinite(flat)))[0])
        raise ValueError(f"{name} must be finite and not negative, got {flat[at]} at position {at}")
    return array


def targets(value, shape, axis, ignore_index):
    """Return (targets, are_indices): class indices of `shape` without `axis`, or probabilities."""
    array = as_array(value, "targets")
    index_shape = shape[:axis] + shape[axis + 1 :]
    if array.size == 0 and array.shape == index_shape and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)  # NumPy reads an empty list as floats
    if array.dtype.kind in "iu":
        if array.shape != index_shape:
            raise ValueError(
                f"targets (class indices) must have shape {index_shape}, got {array.shape}"
            )
        return _index_targets(array, shape[axis], ignore_index), True
    if is_floating(array.dtype):
        return _probability_targets(array, shape, index_shape, ignore_index), False
    raise TypeError(
        f"targets must be integers (class indices) or floating (probabilities), got {_describe(array.dtype)}"
    )


def _probability_targets(array, shape, index_shape, ignore_index):
    if array.shape != tuple(shape):
        if array.shape == index_shape:
            raise TypeError(
                f"targets of shape {index_shape} must be integers (class indices), "
                f"got {_describe(array.dtype)}"
            )
        raise ValueError(
            f"targets (probabilities) must have shape {tuple(shape)}, got {array.shape}"
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
        return array
    if array.dtype == np.uint64 and array.size:
        too_large = array > np.uint64(2**63 - 1)
        if too_large.any():
            at = np.unravel_index(int(np.argmax(too_large)), array.shape)
            raise bad_target(int(array[at]), at, n_classes, ignore_index)
    return array.astype(np.int64)


def bad_target(value, position, n_classes, ignore_index):
    """Return the IndexError of a target outside [0, n_classes)."""
    row = int(position[0]) if len(position) == 1 else tuple(int(one) for one in position)
    hint = ""
    if value == -100 and ignore_index is None:
        hint = " (PyTorch ignores -100 by default; here pass ignore_index=-100)"
    return IndexError(f"targets must be in [0, {n_classes}), got {value} at row {row}{hint}")
