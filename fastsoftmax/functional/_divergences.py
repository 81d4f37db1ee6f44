"""Entropy and the Kullback-Leibler divergence, from logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _validate
from .._dispatch import implementation, threads_for, with_fast_path
from .._layout import Layout
from ._arrays import Result, empty, quiet
from ._cross_entropy import reduce_losses

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Axis, Loss, Reduction


def _compute(operation, names, arrays, axis, reduction, n_threads, with_grad):
    """Run an operation of the contract that maps arrays of logits to losses. Return (loss, a gradient or None each)."""
    _validate.reduction(reduction)
    arrays = [_validate.as_real(array, name) for array, name in zip(arrays, names, strict=True)]
    first = arrays[0]
    for name, other in zip(names[1:], arrays[1:], strict=True):
        _validate.alike(other, name, first, names[0])
    layout = Layout(first, _validate.axes(axis, first.ndim))
    outer, n_classes, inner = layout.block_shape
    _validate.n_classes(n_classes, names[0], first.shape)
    losses = empty((outer, inner))
    results = [Result(layout, first.dtype) if with_grad else None for _ in arrays]
    getattr(implementation(), operation)(
        *(layout.read(array) for array in arrays),
        losses,
        *(result.block if with_grad else None for result in results),
        float(losses.size) if reduction == "mean" else 1.0,
        threads_for(len(arrays) * first.size, n_threads),
    )
    loss = reduce_losses(losses, reduction, losses.size, first.dtype)
    if reduction == "none":
        loss = layout.unrows(loss)
    return loss, *(result.finish() if with_grad else None for result in results)


@quiet
def _entropy(logits, axis, reduction, n_threads, with_grad):
    return _compute("entropy", ["logits"], [logits], axis, reduction, n_threads, with_grad)


@with_fast_path
def entropy_with_logits(
    logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Loss:
    """Compute the entropy of softmax(logits) in nats: -sum(p * log(p)) along `axis`.

    Parameters
    ----------
    logits : array_like of float16, bfloat16, float32 or float64
        Any shape and memory order.
    axis : int, tuple of int or None, default -1
        The axis of the classes.
    reduction : {"mean", "sum", "none"}, default "mean"
        Over the rows.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`.

    Returns
    -------
    scalar of the logits' dtype (float32 for 16 bits), or ndarray of the shape of `logits` without `axis`

    Raises
    ------
    TypeError, ValueError
        If a dtype, shape or option does not fit.

    Notes
    -----
    Computed as log(sum(exp(x - m))) + sum(p * (m - x)), m = max(x): no term is negative. Error: at most 4 ULP for each
    row. NaN, +inf or nothing but -inf in a row make its entropy NaN; a class with p = 0 contributes 0. The convention
    is that of `torch.distributions.Categorical(logits=...).entropy()`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> float(fs.entropy_with_logits([[0.0, 0.0], [1000.0, 0.0]]))
    0.34657359027997264
    """
    return _entropy(logits, axis, reduction, n_threads, False)[0]


@with_fast_path
def entropy_with_logits_with_grad(
    logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> tuple[Loss, Array]:
    """Compute the entropy of softmax(logits) and its gradient, -p * (log(p) + entropy).

    Parameters
    ----------
    logits, axis, reduction, n_threads
        As in `entropy_with_logits`.

    Returns
    -------
    entropy : scalar of the logits' dtype (float32 for 16 bits), or ndarray
        As `entropy_with_logits` returns it.
    grad_logits : ndarray
        The shape, dtype and memory order of `logits`: the gradient of the mean, or of the sum.

    Raises
    ------
    TypeError, ValueError
        As `entropy_with_logits`.

    Notes
    -----
    Error of the gradient: at most 4 ULP of p * (abs(log(p)) + entropy), divided by the number of rows under "mean".
    With d = max(x) - x it is computed as p * (d - sum(p * d)).

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> entropy, grad = fs.entropy_with_logits_with_grad([[0.0, 0.0]])
    >>> bool((grad == 0).all())
    True
    """
    return _entropy(logits, axis, reduction, n_threads, True)


@quiet
def _kl_div(p_logits, q_logits, axis, reduction, n_threads, with_grad):
    names, arrays = ["p_logits", "q_logits"], [p_logits, q_logits]
    return _compute("kl_div", names, arrays, axis, reduction, n_threads, with_grad)


@with_fast_path
def kl_div_with_logits(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Loss:
    """Compute KL(P || Q) in nats of P = softmax(p_logits) from Q = softmax(q_logits) along `axis`.

    Parameters
    ----------
    p_logits, q_logits : array_like of float16, bfloat16, float32 or float64
        Any shape and memory order; both of one shape and dtype.
    axis : int, tuple of int or None, default -1
        The axis of the classes.
    reduction : {"mean", "sum", "none"}, default "mean"
        Over the rows (PyTorch's "batchmean").
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`.

    Returns
    -------
    scalar of the logits' dtype (float32 for 16 bits), or ndarray of their shape without `axis`
        A class with p = 0 contributes 0; one with q = 0 and p > 0 infinity.

    Raises
    ------
    TypeError, ValueError
        If a dtype, shape or option does not fit.

    Notes
    -----
    With r = log(p) - log(q), taken from the logits in two parts, the terms are p * (exp(-r) - 1 + r), whose sum is that
    of p * r because p and q each sum to 1. No term is negative, so that near distributions keep their digits and no
    divergence is negative; equal ones have 0. Error: at most 4 ULP of sum(p * abs(r)) for each row, and a few ULP of
    the result itself where p and q are near. NaN, +inf or nothing but -inf in a row of either make it NaN. The
    convention is that of `torch.distributions.kl_divergence`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> round(float(fs.kl_div_with_logits([[0.0, 0.0]], [[1.0, 0.0]])), 6)
    0.120115
    """
    return _kl_div(p_logits, q_logits, axis, reduction, n_threads, False)[0]


@with_fast_path
def kl_div_with_logits_with_grad(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> tuple[Loss, Array, Array]:
    """Compute KL(P || Q) and its gradients with respect to both logits.

    Parameters
    ----------
    p_logits, q_logits, axis, reduction, n_threads
        As in `kl_div_with_logits`.

    Returns
    -------
    divergence : scalar of the logits' dtype (float32 for 16 bits), or ndarray
        As `kl_div_with_logits` returns it.
    grad_p_logits : ndarray
        p * (log(p) - log(q) - divergence), divided by the number of rows under "mean".
    grad_q_logits : ndarray
        q - p, likewise.

    Raises
    ------
    TypeError, ValueError
        As `kl_div_with_logits`.

    Notes
    -----
    Error of the gradients: at most 4 ULP of the sum of the absolute values of their terms; of the gradient with respect
    to `p_logits` 8 ULP where the divergence of the row is 10 or more. A class with p = 0 has gradient 0 with respect to
    `p_logits`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.kl_div_with_logits_with_grad([[0.0, 0.0]], [[0.0, 0.0]])[2].tolist()
    [[0.0, 0.0]]
    """
    return _kl_div(p_logits, q_logits, axis, reduction, n_threads, True)
