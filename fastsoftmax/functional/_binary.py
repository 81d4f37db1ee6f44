"""sigmoid, and the binary cross-entropy of logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from .._backends import computing_dtype, numpy_impl
from .._backends._extremes import are_extreme_weights
from .._dispatch import implementation, threads_for, with_fast_path
from .._layout import Layout, innermost, memory_order
from ._arrays import Result, empty, empty_like, quiet, read_with_out
from ._cross_entropy import gradient_scale, reduce_losses

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Loss, Reduction


@with_fast_path
def sigmoid(
    x: ArrayLike,
    *,
    out: np.ndarray | None = None,
    n_threads: int | None = None,
) -> Array:
    """Compute 1 / (1 + exp(-x)), element by element.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64
        Any shape and memory order. Integers and booleans become float64.
    out : ndarray, optional
        Where to write: the shape and dtype of the result, any strides; it may be `x` itself.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`.

    Returns
    -------
    ndarray
        The shape, dtype and memory order of `x`.

    Raises
    ------
    TypeError, ValueError
        If `x` is not real numbers, or `out` does not fit or shares memory with `x` that it is not, or within itself.

    Notes
    -----
    Error: at most 4 ULP where the result is a normal number; it never overflows. The convention is that of
    `scipy.special.expit`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.sigmoid([0.0, 1000.0, -1000.0])
    array([0.5, 1. , 0. ])
    """
    return _sigmoid(x, out, n_threads)


@quiet
def _sigmoid(x, out, n_threads):
    """Check everything, then run the contract's sigmoid over runs of values."""
    array = read_with_out(x, "x", out)
    order = memory_order(array)
    run = innermost([array] if out is None else [array, np.asarray(_validate.writable(out))], order)
    layout = Layout(array, order[array.ndim - run :], order)
    result = Result(layout, array.dtype, out)
    implementation().sigmoid(layout.read(array), result.block, threads_for(array.size, n_threads))
    return result.finish()


def _labels(targets, logits, out):
    """Return targets as kernels read them: numbers in [0, 1], in the logits' dtype or the computing one."""
    array = _validate.as_array(targets, "targets")
    if array.dtype.kind not in "biu" and not _validate.is_floating(array.dtype):
        raise TypeError(f"targets must be real numbers or booleans, got dtype {array.dtype}")
    if array.shape != logits.shape:
        raise ValueError(f"targets must have shape {logits.shape}, got {array.shape}")
    if out is not None:
        _validate.no_overlap(_validate.writable(out), array, "targets")
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        flat = array.ravel()
        at = int(np.flatnonzero(~((flat >= 0) & (flat <= 1)))[0])
        hint = "; are logits and targets swapped?" if np.isin(logits, (0, 1)).all() else ""
        raise ValueError(f"targets must be in [0, 1], got {flat[at]} at position {at}{hint}")
    if array.dtype == logits.dtype:
        return _validate.aligned(array)
    return array.astype(computing_dtype(logits.dtype), copy=False)


@quiet
def _binary(logits, targets, weight, pos_weight, reduction, n_threads, out, with_grad):
    """Check everything, then run the contract once over (n_rows, n_labels) in C order."""
    _validate.reduction(reduction)
    array = read_with_out(logits, "logits", out)
    targets = _labels(targets, array, out)
    layout = Layout(array, (array.ndim - 1,) if array.ndim else (), tuple(range(array.ndim)))
    shape = layout.block_shape[:2]
    n_labels = shape[1]
    weight = _validate.weights(weight, "weight", array.shape, out, broadcast=True)
    pos_weight = _validate.weights(pos_weight, "pos_weight", (n_labels,), out)
    scale = gradient_scale(reduction, array.size)
    is_wide = are_extreme_weights(weight, pos_weight, scale, array.dtype)
    losses, result = empty(shape, np.longdouble if is_wide else np.float64), None
    if with_grad:
        result = Result(layout, array.dtype, empty_like(array) if out is None else out)
    blocks = layout.read(array), layout.read(targets)
    weight = None if weight is None else weight.reshape(shape)
    run = numpy_impl if is_wide else implementation()
    grad = result.block if with_grad else None
    n_threads = threads_for(array.size, n_threads)
    keeps_logits = grad is None or not np.may_share_memory(grad, blocks[0])
    run.binary_cross_entropy(*blocks, losses, grad, weight, pos_weight, scale, n_threads)
    loss = reduce_losses(losses.reshape(array.shape), reduction, array.size, array.dtype)
    if reduction == "mean" and array.dtype == np.float64 and keeps_logits and np.isinf(loss):
        # Single losses may be beyond the range of double where their mean is not.
        losses = losses.astype(np.longdouble)
        numpy_impl.binary_cross_entropy(*blocks, losses, None, weight, pos_weight, scale, 1)
        loss = reduce_losses(losses, reduction, array.size, array.dtype)
    return loss, result.finish() if with_grad else None


@with_fast_path
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Loss:
    """Compute the cross-entropy of independent yes-or-no targets under sigmoid(logits).

    The loss of an element is, with softplus(x) = log(1 + exp(x))::

        weight * [ (1 - targets) * softplus(logits) + pos_weight * targets * softplus(-logits) ]

    Parameters
    ----------
    logits : array_like of float16, bfloat16, float32 or float64
        Any shape; the labels of a row along the last axis.
    targets : array_like
        Booleans, or numbers in [0, 1] of any integer or floating dtype, bfloat16 too; the shape of `logits`.
    weight : array_like, optional
        Broadcast to `logits`; finite and not negative. Where it is 0, so are the loss and its gradient.
    pos_weight : array_like, shape (n_labels,), optional
        Weights of the positive answers, one for each label.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides the sum by the number of elements.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`.

    Returns
    -------
    scalar of the logits' dtype (float32 for 16 bits), or ndarray of their shape

    Raises
    ------
    TypeError, ValueError
        If a dtype, shape or option does not fit, or a target is outside [0, 1].

    Notes
    -----
    Error: at most 4 ULP for each element; nothing overflows. The convention is that of
    `torch.nn.functional.binary_cross_entropy_with_logits`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> float(fs.binary_cross_entropy_with_logits([[0.0, 1000.0]], [[1, 1]]))
    0.34657359027997264
    """
    return _binary(logits, targets, weight, pos_weight, reduction, n_threads, None, False)[0]


@with_fast_path
def binary_cross_entropy_with_logits_with_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[Loss, Array]:
    """Compute the binary cross-entropy and its gradient with respect to the logits.

    Parameters
    ----------
    logits, targets, weight, pos_weight, reduction, n_threads
        As in `binary_cross_entropy_with_logits`.
    out : ndarray, optional
        Where to write the gradient; it may be `logits` itself.

    Returns
    -------
    loss : scalar of the logits' dtype (float32 for 16 bits), or ndarray of their shape
    grad_logits : ndarray
        The shape and dtype of `logits`: the gradient of the mean, or of the sum (also under "none").

    Raises
    ------
    TypeError, ValueError
        As `binary_cross_entropy_with_logits`.

    Notes
    -----
    Error of the gradient: at most 4 ULP for targets of 0 and 1; otherwise 4 ULP of the larger of its two terms.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.binary_cross_entropy_with_logits_with_grad([0.0, 0.0], [0, 1])[1]
    array([ 0.25, -0.25])
    """
    return _binary(logits, targets, weight, pos_weight, reduction, n_threads, out, True)
