"""What raises about a user's argument: one function per kind of argument.

Every error names the argument, what was expected and what was got. TypeError is for a dtype or kind,
ValueError for a shape, a range or an option, IndexError for a target.
"""

import math
import operator
import sys

import numpy as np

from . import _memory, _tables

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


def _is_masked_array(value):
    """Whether `value` is of np.ma, which is imported by who has such an array."""
    ma = sys.modules.get("numpy.ma")
    return ma is not None and isinstance(value, ma.MaskedArray)


def _wrong_array(value, name):
    """Return what is wrong with an instance of a subclass of ndarray, None if nothing is."""
    if _is_masked_array(value):
        if not np.ma.is_masked(value):
            return None
        return (
            f"{name} must have no masked values, which would be read as if they were not (pass `where`, "
            "sample_weight=0 or ignore_index instead)"
        )
    if type(value) is np.ndarray or isinstance(value, np.memmap):
        return None
    return (
        f"{name} must be a plain array, got the subclass {type(value).__name__}, whose meaning would be lost: "
        f"pass np.asarray({name}) for its values alone"
    )


def _check_items(items, name):
    """Raise about arrays in (nested) lists that NumPy would unmask or strip of their class."""
    for item in items:
        if type(item) in (list, tuple):
            _check_items(item, name)
        elif isinstance(item, np.ndarray):
            _view(item, name)


def _view(array, name):
    """Return the plain array under an ndarray of any class, or raise about the class."""
    wrong = None if type(array) is np.ndarray else _wrong_array(array, name)
    if wrong:
        raise TypeError(wrong)
    return np.asarray(array)


def _is_tensor(value):
    """Whether `value` is of PyTorch, which is imported by who has such a tensor."""
    torch = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", None)
    return tensor is not None and isinstance(value, tensor)


def _tensor_view(tensor, name):
    """Return a plain tensor on the CPU as an array over its memory, or say what to call instead."""
    torch = sys.modules["torch"]
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise TypeError(
            f"{name} must be a plain tensor, got the subclass {type(tensor).__name__}: "
            "call the function of torch.nn.functional"
        )
    if tensor.device.type != "cpu":
        raise TypeError(
            f"{name} must be on the CPU, got a tensor on {tensor.device}: pass {name}.cpu()"
        )
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name} must be dense, got {tensor.layout}: pass {name}.to_dense()")
    if tensor.requires_grad:
        raise TypeError(
            f"{name} requires a gradient, which functions of arrays do not record: call the function of "
            f"fastsoftmax.torch, or pass {name}.detach()"
        )
    if tensor.dtype is not torch.bfloat16:
        return tensor.numpy(force=tensor.is_conj() or tensor.is_neg())
    try:
        from ml_dtypes import bfloat16
    except ImportError as error:
        raise ImportError(
            f'{name} is of bfloat16, which needs ml_dtypes: pip install "fastsoftmax[torch]"'
        ) from error
    return tensor.view(torch.int16).numpy().view(bfloat16)


def writable(out, name="out"):
    """Return `out`, an array, a tensor or another DLPack object, as an array over the same memory."""
    if out is None or isinstance(out, np.ndarray):
        return out
    if _is_tensor(out):
        if out.is_neg() or out.is_conj():
            raise TypeError(
                f"{name} holds its values negated or conjugated, so results cannot be written where it lies: "
                f"pass {name}.resolve_neg().resolve_conj()"
            )
        return _tensor_view(out, name)
    if hasattr(out, "__dlpack__"):
        try:
            return np.from_dlpack(out, copy=False)
        except (BufferError, TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{name} cannot be written where it lies: {error}") from error
    return out


def as_array(value, name):
    """Return `value` as an ndarray, without a copy where NumPy can view it."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ndarray):
        return _view(value, name)
    if isinstance(value, (list, tuple)):
        _check_items(value, name)
    if _is_tensor(value):
        return _tensor_view(value, name)
    n_missing = _tables.n_missing(value)
    if n_missing:
        raise ValueError(f"{name} must have no missing values, got {n_missing} of them")
    try:
        if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)
        array = _tables.to_array(value)
    except (TypeError, ValueError, BufferError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name} must be an array or nested lists of numbers: {error}") from error
    return _view(array, name)


def aligned(array):
    """Return `array`, copied if it is not aligned in memory."""
    return array if array.flags.aligned else array.copy(order="K")


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
    return aligned(array)


def axes(axis, ndim, name="axis"):
    """Return the axes as a sorted tuple of non-negative integers; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    wanted = axis if isinstance(axis, tuple) else (axis,)
    result = []
    for one in wanted:
        index = _index(one, f"{name} must be an integer, a tuple of integers or None, got {axis!r}")
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
    is_array = isinstance(out, np.ndarray) and not _is_masked_array(out)
    if not is_array or _wrong_array(out, name):
        raise TypeError(f"{name} must be a numpy.ndarray, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must have {_describe(dtype)}, got {_describe(out.dtype)}")
    if out.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} must be writeable, got a read-only array")
    if _memory.repeats(out):
        raise ValueError(
            f"{name} must have elements that share no memory with each other, got strides {out.strides} "
            f"for shape {out.shape}"
        )


def no_overlap(out, array, name, out_name="out"):
    """Raise unless `out` is `array` itself or apart from it."""
    if _memory.share(out, array) and not _memory.is_same_view(out, array):
        raise ValueError(
            f"{out_name} must be {name} itself or share no memory with it, got a part of it"
        )


def apart(out, array, name, out_name="out"):
    """Raise unless `out` is None or shares no memory with `array`."""
    out = writable(out, out_name)
    if out is not None and _memory.share(out, array):
        raise ValueError(f"{out_name} must share no memory with {name}, got a part of it")


def where_mask(where, shape, out=None):
    """Return the mask as uint8 broadcast to `shape`, or None; `out` must lie apart from it."""
    if where is None:
        return None
    mask = as_array(where, "where")
    if mask.dtype != np.bool_:
        raise TypeError(f"where must be boolean, got {_describe(mask.dtype)}")
    apart(out, mask, "where")
    try:
        return np.broadcast_to(mask, shape).view(np.uint8)
    except ValueError:
        raise ValueError(
            f"where must broadcast to shape {tuple(shape)}, got {mask.shape}"
        ) from None


def _as_float(value, message):
    """Return a real number of any class as a float, or raise TypeError; what is too large is infinite."""
    dtype = getattr(value, "dtype", None)
    if (
        isinstance(value, (str, bytes, bytearray))
        or (isinstance(dtype, np.dtype) and dtype.kind not in "biuf" and not is_floating(dtype))
        or getattr(value, "ndim", 0) != 0
        or (_is_masked_array(value) and np.ma.is_masked(value))
    ):
        raise TypeError(message)
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError) as error:
        raise TypeError(message) from error


def number(value, name, low=-math.inf, high=math.inf, *, open_low=False):
    """Return `value` as a finite float in [low, high], or (low, high] where `open_low`."""
    result = value
    if type(value) is not float:
        result = _as_float(value, f"{name} must be a real number, got {value!r}")
    too_low = result <= low if open_low else result < low
    if not math.isfinite(result) or too_low or result > high:
        bounds = f"{'(' if open_low else '['}{low:g}, {high:g}{']' if math.isfinite(high) else ')'}"
        raise ValueError(f"{name} must be finite and in {bounds}, got {value!r}")
    return result


def _index(value, message):
    """Return an integer of any class as an int, or raise TypeError; booleans are refused."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(message)
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(message) from error


def integer(value, name, low=None):
    """Return `value` as an int of at least `low`; booleans are refused."""
    result = _index(value, f"{name} must be an integer, got {value!r}")
    if low is not None and result < low:
        raise ValueError(f"{name} must be at least {low}, got {result}")
    return result


def flag(value, name):
    """Return a boolean of Python or NumPy as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def generator(seed):
    """Return the random generator that a seed stands for."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"seed must be None, an integer >= 0 or a numpy.random.Generator, got {seed!r}"
        ) from error


def choice(value, name, choices):
    """Return `value` if it is one of these strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def reduction(value):
    """Check the name of a reduction."""
    return choice(value, "reduction", REDUCTIONS)


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


def weights(value, name, shape, out=None, *, broadcast=False):
    """Return weights as float64, finite and not negative, or None; `out` must lie apart from them."""
    if value is None:
        return None
    array = as_array(value, name)
    if array.dtype.kind not in "biu" and not is_floating(array.dtype):
        raise TypeError(f"{name} must be real numbers, got {_describe(array.dtype)}")
    apart(out, array, name)
    if broadcast:
        try:
            array = np.broadcast_to(array, shape)
        except ValueError:
            raise ValueError(f"{name} must broadcast to shape {shape}, got {array.shape}") from None
    if array.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {array.shape}")
    array = aligned(np.asarray(array, dtype=np.float64, order="C"))
    if array.size and not (array.min() >= 0 and array.max() < np.inf):
        flat = array.ravel()
        at = int(np.flatnonzero(~((flat >= 0) & np.isfinite(flat)))[0])
        raise ValueError(f"{name} must be finite and not negative, got {flat[at]} at position {at}")
    return array


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
        f"targets must be integers (class indices) or floating (probabilities), got {_describe(array.dtype)}"
    )


def _hint(got, shape, axis):
    """Return what was probably meant where class indices have another shape than the rows, or nothing."""
    axes = [
        one for one in range(len(shape)) if one != axis and shape[:one] + shape[one + 1 :] == got
    ]
    if axes:
        meant = " or ".join(f"axis={one}" for one in axes)
        return f"; that is the shape for {meant}: if the classes lie there, pass it"
    if got == (*shape[:axis], *shape[axis + 1 :], 1):
        return "; drop the last dimension, as in targets[..., 0]"
    return _swapped(got, shape)


def _swapped(got, shape):
    """Return a question where targets look like logits, and logits like class indices."""
    if any(got[:one] + got[one + 1 :] == tuple(shape) for one in range(len(got))):
        return "; are logits and targets swapped?"
    return ""


def _probability_targets(array, shape, index_shape, ignore_index):
    if array.shape != tuple(shape):
        if array.shape == index_shape:
            raise TypeError(
                f"targets of shape {index_shape} must be integers (class indices), "
                f"got {_describe(array.dtype)}"
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
