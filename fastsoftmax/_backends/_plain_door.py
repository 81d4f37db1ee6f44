"""A fast door in Python over the functions of a back end: plain calls without the checks of the long way.

Each function answers None unless its arguments are C-contiguous arrays of the kind that most calls bring; the compiled
kernels have a door of their own.
"""

from types import SimpleNamespace

import numpy as np

from .. import _threads
from . import LossOptions
from ._sums import mean_of, reciprocal

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _is_plain(x):
    return (
        type(x) is np.ndarray and x.ndim > 0 and x.size > 0 and x.dtype in _DTYPES and _is_dense(x)
    )


def _is_dense(x):
    return x.flags.c_contiguous and x.flags.aligned


def _result(out, x):
    """Return an array to fill: a new one, or `out` where it is like x and is x itself or lies apart; else None."""
    if out is None:
        return np.empty(x.shape, x.dtype)
    if type(out) is not np.ndarray or out.dtype != x.dtype or out.shape != x.shape:
        return None
    is_apart = out is x or not np.may_share_memory(out, x)
    return out if is_apart and _is_dense(out) and out.flags.writeable else None


def _are_plain_targets(targets, shape):
    """Whether targets are class indices in range, one a row."""
    return (
        type(targets) is np.ndarray
        and targets.dtype == np.int64
        and targets.shape == shape[:1]
        and _is_dense(targets)
        and targets.view(np.uint64).max() < shape[1]
    )


def plain_door(softmax, log_softmax, cross_entropy):
    """Return the door over these functions of the contract."""
    quiet = np.errstate(all="ignore")

    @quiet
    def normalise(operation, x, out):
        if not _is_plain(x):
            return None
        result = _result(out, x)
        if result is not None:
            shape = (-1, x.shape[-1], 1)
            operation(
                x.reshape(shape), result.reshape(shape), None, 1.0, _threads.count_for(x.size)
            )
        return result

    @quiet
    def run(logits, targets, grad):
        """Return the mean loss, with `grad` filled unless None; None where it leaves the range of double."""
        losses = np.empty((len(logits), 1))
        scale, scale_error = reciprocal(len(logits))
        options = LossOptions(grad_scale=scale, grad_scale_error=scale_error)
        block = None if grad is None else grad[..., None]
        n_threads = _threads.count_for(logits.size)
        cross_entropy(logits[..., None], targets[:, None], losses, block, options, n_threads)
        loss = logits.dtype.type(mean_of(losses, len(logits)))
        is_beyond = logits.dtype == np.float64 and np.isinf(loss) and grad is not logits
        return None if is_beyond else loss

    def is_plain_loss(logits, targets):
        return _is_plain(logits) and logits.ndim == 2 and _are_plain_targets(targets, logits.shape)

    def loss_alone(logits, targets):
        return run(logits, targets, None) if is_plain_loss(logits, targets) else None

    def loss_with_grad(logits, targets, out):
        if not is_plain_loss(logits, targets) or (
            out is not None and np.may_share_memory(out, targets)
        ):
            return None
        grad = _result(out, logits)
        loss = None if grad is None else run(logits, targets, grad)
        return None if loss is None else (loss, grad)

    return SimpleNamespace(
        softmax=lambda x, out: normalise(softmax, x, out),
        log_softmax=lambda x, out: normalise(log_softmax, x, out),
        cross_entropy=loss_alone,
        cross_entropy_with_grad=loss_with_grad,
    )
