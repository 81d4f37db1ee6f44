"""The gradients of softmax and log_softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from .._dispatch import implementation, threads_for, with_fast_path
from .._layout import Layout
from ._arrays import Result, quiet, read_with_out

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Axis


@quiet
def _backward(operation, grad, forward, forward_name, axis, out, n_threads):
    """Run a backward function of the contract: `forward` sets the layout, `grad` follows it."""
    forward = read_with_out(forward, forward_name, out)
    grad = read_with_out(grad, "grad", out)
    _validate.alike(grad, "grad", forward, forward_name)
    layout = Layout(forward, _validate.axes(axis, forward.ndim))
    _validate.n_classes(layout.block_shape[1], forward_name, forward.shape)
    result = Result(layout, forward.dtype, out)
    n_threads = threads_for(forward.size, n_threads)
    run = getattr(implementation(), operation)
    run(layout.read(grad), layout.read(forward), result.block, n_threads)
    return result.finish()


@with_fast_path
def softmax_backward(
    grad: ArrayLike,
    probs: ArrayLike,
    axis: Axis = -1,
    *,
    out: np.ndarray | None = None,
    n_threads: int | None = None,
) -> Array:
    """Propagate a gradient through softmax: probs * (grad - sum(grad * probs)) along `axis`.

    Parameters
    ----------
    grad : array_like of float16, bfloat16, float32 or float64
        Gradient with respect to `probs`, of its shape and dtype.
    probs : array_like
        What `softmax` returned.
    axis : int, tuple of int or None, default -1
        The axis of the classes.
    out : ndarray, optional
        Where to write; it may be `grad` or `probs` itself.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`.

    Returns
    -------
    ndarray
        Gradient with respect to the logits; the shape, dtype and memory order of `probs`.

    Raises
    ------
    TypeError, ValueError
        If a dtype or shape does not fit, or `out` shares memory with an input that it is not, or within itself.

    Notes
    -----
    Error: at most 4 ULP of probs * (abs(grad) + sum(abs(grad * probs))). The convention is that of PyTorch's
    autograd.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.softmax_backward([1.0, 0.0], fs.softmax([0.0, 0.0]))
    array([ 0.25, -0.25])
    """
    return _backward("softmax_backward", grad, probs, "probs", axis, out, n_threads)


@with_fast_path
def log_softmax_backward(
    grad: ArrayLike,
    log_probs: ArrayLike,
    axis: Axis = -1,
    *,
    out: np.ndarray | None = None,
    n_threads: int | None = None,
) -> Array:
    """Propagate a gradient through log_softmax: grad - exp(log_probs) * sum(grad) along `axis`.

    Parameters
    ----------
    grad : array_like of float16, bfloat16, float32 or float64
        Gradient with respect to `log_probs`, of its shape and dtype.
    log_probs : array_like
        What `log_softmax` returned.
    axis : int, tuple of int or None, default -1
        The axis of the classes.
    out : ndarray, optional
        Where to write; it may be `grad` or `log_probs` itself.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`.

    Returns
    -------
    ndarray
        Gradient with respect to the logits; the shape, dtype and memory order of `log_probs`.

    Raises
    ------
    TypeError, ValueError
        If a dtype or shape does not fit, or `out` shares memory with an input that it is not, or within itself.

    Notes
    -----
    Error: at most 4 ULP of abs(grad) + exp(log_probs) * sum(abs(grad)), given `log_probs`. The convention is
    that of PyTorch's autograd.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.log_softmax_backward([1.0, 0.0], fs.log_softmax([0.0, 0.0]))
    array([ 0.5, -0.5])
    """
    return _backward("log_softmax_backward", grad, log_probs, "log_probs", axis, out, n_threads)
