"""Arrays: of every kind that NumPy can view, to read, to write, as masks and as weights."""

import sys

import numpy as np

from .. import _memory, _tables


def describe(dtype):
    return f"dtype {dtype}"


def _is_real(dtype):
    """Whether dtype is one that kernels read as it is; bfloat16 comes from the package ml_dtypes."""
    return dtype.char in "efd" or dtype.name == "bfloat16"


def is_floating(dtype):
    """Whether dtype is a float of any width; NumPy does not count bfloat16 among them."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def is_masked_array(value):
    """Whether `value` is of np.ma, which is imported by who has such an array."""
    ma = sys.modules.get("numpy.ma")
    return ma is not None and isinstance(value, ma.MaskedArray)


def wrong_array(value, name):
    """Return what is wrong with an instance of a subclass of ndarray, None if nothing is."""
    if is_masked_array(value):
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
    wrong = None if type(array) is np.ndarray else wrong_array(array, name)
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
    return tensor.view(torch.int16).numpy().view(bfloat16_of(name))


def bfloat16_of(name):
    """Return NumPy's dtype of bfloat16, which the argument `name` has: it comes from the package ml_dtypes."""
    try:
        from ml_dtypes import bfloat16
    except ImportError as error:
        raise ImportError(
            f"{name} is of bfloat16, which needs ml_dtypes: pip install ml_dtypes"
        ) from error
    return bfloat16


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
        if np.lib.NumpyVersion(np.__version__) < "2.1.0":
            raise TypeError(
                f"{name} cannot be written where it lies: NumPy {np.__version__} only reads the memory of other "
                "libraries; 2.1 and newer write it"
            )
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
        where = _tables.in_columns_missing(value)
        raise ValueError(f"{name} must have no missing values, got {n_missing} of them{where}")
    try:
        if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)
        array = _tables.to_array(value)
    except (TypeError, ValueError, BufferError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name} must be an array or nested lists of numbers: {error}") from error
    if not _is_real(array.dtype) and (where := _tables.in_columns_of_texts(value)):
        raise TypeError(f"{name} must hold numbers, got {describe(array.dtype)}{where}")
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
            f"got {describe(array.dtype)}"
        )
    return aligned(array)


def out_array(out, shape, dtype, name="out"):
    """Check that `out` can take a result of this shape and dtype."""
    is_array = isinstance(out, np.ndarray) and not is_masked_array(out)
    if not is_array or wrong_array(out, name):
        raise TypeError(f"{name} must be a numpy.ndarray, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must have {describe(dtype)}, got {describe(out.dtype)}")
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
        raise TypeError(f"where must be boolean, got {describe(mask.dtype)}")
    apart(out, mask, "where")
    try:
        return np.broadcast_to(mask, shape).view(np.uint8)
    except ValueError:
        raise ValueError(
            f"where must broadcast to shape {tuple(shape)}, got {mask.shape}"
        ) from None


def weights(value, name, shape, out=None, *, broadcast=False):
    """Return weights as float64, finite and not negative, or None; `out` must lie apart from them."""
    if value is None:
        return None
    array = as_array(value, name)
    if array.dtype.kind not in "biu" and not is_floating(array.dtype):
        raise TypeError(f"{name} must be real numbers, got {describe(array.dtype)}")
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
