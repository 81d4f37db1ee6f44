"""Plain calls of the public functions: C-contiguous arrays of float32 or float64, and no option.

A small call costs what Python spends on it, so these pass by the checks and layouts of the general path: what is not
plain, or not right, they leave to it by returning None. Both call the same kernels and give the same bits.
"""

import functools

import numpy as np

from ..._threads import count_for, runtime
from .. import LossOptions
from .._sums import reciprocal, total_of

_DTYPES = np.dtype(np.float32), np.dtype(np.float64)
_INDEX = np.dtype(np.int64)
_C_CONTIGUOUS_AND_ALIGNED = 0x101
_LARGEST = {"f": float(np.finfo(np.float32).max), "d": float(np.finfo(np.float64).max)}


def _is_plain(array, dtypes):
    flags = _C_CONTIGUOUS_AND_ALIGNED
    return type(array) is np.ndarray and array.dtype in dtypes and array.flags.num & flags == flags


def _block_of(x):
    """Return x as a block of the contract; None unless it is plain and not empty."""
    if not _is_plain(x, _DTYPES) or not x.ndim or not x.size:
        return None
    return x.reshape(-1, x.shape[-1], 1)


def normalise(operation, x):
    """Return softmax or log_softmax of x."""
    block = _block_of(x)
    if block is None:
        return None
    out = runtime.empty_like(x)
    operation(block, out.reshape(block.shape), None, 1.0, count_for(x.size))
    return out


def logsumexp(operation, x):
    """Return logsumexp of the rows of x."""
    block = _block_of(x)
    if block is None:
        return None
    out = runtime.empty(x.shape[:-1], x.dtype)
    operation(block, out.reshape(-1, 1), None, count_for(x.size))
    return out if out.ndim else out[()]


@functools.lru_cache
def _options(n_rows):
    """Return the options of a mean over so many rows."""
    scale, error = reciprocal(float(n_rows))
    return LossOptions(grad_scale=scale, grad_scale_error=error)


def cross_entropy(operation, with_grad, logits, targets):
    """Return the mean loss and, if `with_grad`, the gradient.

    A target out of range makes its loss NaN; the general path says which one it is.
    """
    block = _block_of(logits)
    if block is None or not _is_plain(targets, (_INDEX,)) or targets.shape != logits.shape[:-1]:
        return None
    n_rows = targets.size
    losses, grad, place = np.empty((n_rows, 1)), None, None
    if with_grad:
        grad = runtime.empty_like(logits)
        place = grad.reshape(block.shape)
    index = targets.reshape(losses.shape)
    operation(block, index, losses, place, _options(n_rows), count_for(logits.size))
    mean = float(total_of(losses)) / n_rows
    if not abs(mean) < _LARGEST[logits.dtype.char]:
        return None
    mean = logits.dtype.type(mean)
    return (mean, grad) if with_grad else mean


def calls(softmax, log_softmax, logsumexp_, cross_entropy_):
    """Return the plain calls by the names of the public functions, of the operations of the contract."""
    return {
        "softmax": functools.partial(normalise, softmax.__wrapped__),
        "log_softmax": functools.partial(normalise, log_softmax.__wrapped__),
        "logsumexp": functools.partial(logsumexp, logsumexp_.__wrapped__),
        "cross_entropy": functools.partial(cross_entropy, cross_entropy_.__wrapped__, False),
        "cross_entropy_with_grad": functools.partial(
            cross_entropy, cross_entropy_.__wrapped__, True
        ),
    }
