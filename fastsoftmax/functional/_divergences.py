"""Entropy and the Kullback-Leibler divergence, from logits: compositions of softmax and log_softmax.

Rows are taken in blocks of about a megabyte, in double whatever the dtype, and rounded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from .._dispatch import implementation, threads_for
from .._layout import Layout
from ._arrays import Result
from ._cross_entropy import gradient_scale, reduce_losses

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Axis, Loss, Reduction

BLOCK_ELEMENTS = 1 << 17


class _Problem:
    """One or two arrays of logits as blocks of one layout, and pieces of them in double."""

    def __init__(self, names, arrays, axis, n_threads):
        self.arrays = [_validate.as_real(a, name) for a, name in zip(arrays, names, strict=True)]
        first = self.arrays[0]
        for name, other in zip(names[1:], self.arrays[1:], strict=True):
            _validate.alike(other, name, first, names[0])
        self.layout = Layout(first, _validate.axes(axis, first.ndim))
        _validate.n_classes(self.layout.block_shape[1], names[0], first.shape)
        self.blocks = [self.layout.block(array) for array in self.arrays]
        self.n_threads, self.dtype = n_threads, first.dtype
        self.losses = np.empty((self.layout.block_shape[0], self.layout.block_shape[2]))

    def results(self):
        """Return one output for each array."""
        return [Result(self.layout, self.dtype) for _ in self.arrays]

    def pieces(self):
        """Yield index expressions that cut the block into pieces of whole rows."""
        outer, n_classes, inner = self.layout.block_shape
        step = max(1, BLOCK_ELEMENTS // max(1, n_classes * inner))
        lanes = inner if step > 1 else max(1, BLOCK_ELEMENTS // n_classes)
        for start in range(0, outer, step):
            for lane in range(0, inner, lanes):
                yield slice(start, start + step), slice(lane, lane + lanes)

    def forward(self, block, rows, lanes):
        """Return (probabilities, log-probabilities) of a piece, in double."""
        x = np.ascontiguousarray(block[rows, :, lanes], dtype=np.float64)
        probs, log_probs = np.empty_like(x), np.empty_like(x)
        n_threads = threads_for(x.size, self.n_threads)
        implementation().softmax(x, probs, None, 1.0, n_threads)
        implementation().log_softmax(x, log_probs, None, 1.0, n_threads)
        return probs, log_probs

    def reduce(self, reduction):
        loss = reduce_losses(self.losses, reduction, self.losses.size, self.dtype)
        return self.layout.unrows(loss) if reduction == "none" else loss


def _weighted(probs, values):
    """Return probs * values, 0 where a probability is 0 even beside an infinity."""
    with np.errstate(invalid="ignore"):
        return np.where(probs != 0, probs * values, 0)


def _entropy(logits, axis, reduction, n_threads, with_grad):
    _validate.reduction(reduction)
    problem = _Problem(["logits"], [logits], axis, n_threads)
    scale = gradient_scale(reduction, problem.losses.size)
    (result,) = problem.results() if with_grad else (None,)
    for rows, lanes in problem.pieces():
        probs, log_probs = problem.forward(problem.blocks[0], rows, lanes)
        entropy = -_weighted(probs, log_probs).sum(axis=1, keepdims=True)
        problem.losses[rows, lanes] = entropy[:, 0]
        if with_grad:
            result.block[rows, :, lanes] = -scale * _weighted(probs, log_probs + entropy)
    return problem.reduce(reduction), result.finish() if with_grad else None


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
    Error: at most 4 ULP for each row, all terms being of one sign. The convention is that of
    `torch.distributions.Categorical(logits=...).entropy()`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> float(fs.entropy_with_logits([[0.0, 0.0], [1000.0, 0.0]]))
    0.34657359027997264
    """
    return _entropy(logits, axis, reduction, n_threads, False)[0]


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
    Error of the gradient: at most 4 ULP of p * (abs(log(p)) + entropy).

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> entropy, grad = fs.entropy_with_logits_with_grad([[0.0, 0.0]])
    >>> bool((grad == 0).all())
    True
    """
    return _entropy(logits, axis, reduction, n_threads, True)


def _kl_div(p_logits, q_logits, axis, reduction, n_threads, with_grad):
    _validate.reduction(reduction)
    problem = _Problem(["p_logits", "q_logits"], [p_logits, q_logits], axis, n_threads)
    scale = gradient_scale(reduction, problem.losses.size)
    for_p, for_q = problem.results() if with_grad else (None, None)
    for rows, lanes in problem.pieces():
        p, log_p = problem.forward(problem.blocks[0], rows, lanes)
        q, log_q = problem.forward(problem.blocks[1], rows, lanes)
        with np.errstate(invalid="ignore"):
            ratio = log_p - log_q
        divergence = _weighted(p, ratio).sum(axis=1, keepdims=True)
        problem.losses[rows, lanes] = divergence[:, 0]
        if with_grad:
            with np.errstate(invalid="ignore"):
                for_p.block[rows, :, lanes] = scale * _weighted(p, ratio - divergence)
            for_q.block[rows, :, lanes] = scale * (q - p)
    grads = (for_p.finish(), for_q.finish()) if with_grad else (None, None)
    return (problem.reduce(reduction), *grads)


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
    Error: at most 4 ULP of sum(p * abs(log(p) - log(q))), that is of what is summed. The convention is that of
    `torch.distributions.kl_divergence`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> round(float(fs.kl_div_with_logits([[0.0, 0.0]], [[1.0, 0.0]])), 6)
    0.120115
    """
    return _kl_div(p_logits, q_logits, axis, reduction, n_threads, False)[0]


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
    Error of the gradients: at most 4 ULP of the sum of the absolute values of their terms.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.kl_div_with_logits_with_grad([[0.0, 0.0]], [[0.0, 0.0]])[2].tolist()
    [[0.0, 0.0]]
    """
    return _kl_div(p_logits, q_logits, axis, reduction, n_threads, True)
