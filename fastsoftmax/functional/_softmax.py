"""softmax, log_softmax and logsumexp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from .._backends import computing_dtype, numpy_impl
from .._backends._extremes import is_extreme
from .._dispatch import implementation, threads_for, with_fast_path
from .._layout import Layout
from ._arrays import empty, prepare, quiet

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Axis, Loss


@quiet
def _normalise(operation, x, axis, out, where, temperature, n_threads):
    """Run softmax or log_softmax of the contract."""
    temperature = _validate.number(temperature, "temperature", 0, open_low=True)
    array, layout, block, result = prepare(x, axis, out)
    _validate.n_classes(layout.block_shape[1], "x", array.shape)
    mask = _validate.where_mask(where, array.shape, out)
    if mask is not None:
        mask = layout.read(mask)
    n_threads = threads_for(array.size, n_threads)
    run = numpy_impl if is_extreme(temperature, array.dtype) else implementation()
    getattr(run, operation)(block, result.block, mask, temperature, n_threads)
    return result.finish()


@with_fast_path
def softmax(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    out: np.ndarray | None = None,
    where: ArrayLike | None = None,
    temperature: float = 1.0,
    n_threads: int | None = None,
) -> Array:
    """Turn logits into probabilities: exp(x) / sum(exp(x)) along `axis`.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64
        Logits of any shape and memory order. Integers and booleans become float64.
    axis : int, tuple of int or None, default -1
        The axis of the classes; None for all axes.
    out : ndarray, optional
        Where to write: the shape and dtype of the result, any strides; it may be `x` itself.
    where : array_like of bool, optional
        What takes part, broadcast to x; the rest gets 0.
    temperature : float, default 1.0
        What x is divided by, without an intermediate rounding. Any size: beyond 2**-72 to 2**72 (float64: 2**-800
        to 2**800) it is computed in long double, slowly.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`. Results do not depend on it.

    Returns
    -------
    ndarray
        The shape, dtype and memory order of `x`. A NaN or +inf in a row, or nothing but -inf, makes that
        row NaN and leaves the others untouched. A row where `where` is all false is 0.

    Raises
    ------
    TypeError
        If `x` is not real numbers, or `out` not an array of the result's dtype.
    ValueError
        If there are no classes, or a shape or option does not fit, or `out` shares memory with an argument
        (unless it is `x`) or within itself.

    Notes
    -----
    Error: at most 4 ULP where the result is a normal number; smaller ones may be 0. The convention is that of
    `scipy.special.softmax`, except that the default axis is the last.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.softmax([[1.0, 1.0], [1000.0, 0.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _normalise("softmax", x, axis, out, where, temperature, n_threads)


@with_fast_path
def log_softmax(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    out: np.ndarray | None = None,
    where: ArrayLike | None = None,
    temperature: float = 1.0,
    n_threads: int | None = None,
) -> Array:
    """Turn logits into logarithms of probabilities: x - log(sum(exp(x))) along `axis`.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64
        Logits of any shape and memory order. Integers and booleans become float64.
    axis : int, tuple of int or None, default -1
        The axis of the classes; None for all axes.
    out : ndarray, optional
        Where to write: the shape and dtype of the result, any strides; it may be `x` itself.
    where : array_like of bool, optional
        What takes part, broadcast to x; the rest gets -inf.
    temperature : float, default 1.0
        What x is divided by, without an intermediate rounding.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`. Results do not depend on it.

    Returns
    -------
    ndarray
        The shape, dtype and memory order of `x`. -inf beside finite logits stays -inf; a NaN or +inf in a
        row, or nothing but -inf, makes that row NaN.

    Raises
    ------
    TypeError
        If `x` is not real numbers, or `out` not an array of the result's dtype.
    ValueError
        If there are no classes, or a shape or option does not fit, or `out` shares memory with an argument
        (unless it is `x`) or within itself.

    Notes
    -----
    Error: at most 4 ULP, also where the result is as small as -1e-30. The convention is that of
    `scipy.special.log_softmax`, except that the default axis is the last.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.log_softmax([[0.0, 0.0], [1000.0, 0.0]])
    array([[-6.93147181e-01, -6.93147181e-01],
           [ 0.00000000e+00, -1.00000000e+03]])
    """
    return _normalise("log_softmax", x, axis, out, where, temperature, n_threads)


@with_fast_path
def logsumexp(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    out: np.ndarray | None = None,
    where: ArrayLike | None = None,
    n_threads: int | None = None,
) -> Loss:
    """Compute log(sum(exp(x))) along `axis` without overflow.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64
        Logits of any shape and memory order. Integers and booleans become float64.
    axis : int, tuple of int or None, default -1
        The axis of the classes; None for all axes.
    keepdims : bool, default False
        Keep the reduced axes with size 1.
    out : ndarray, optional
        Where to write: the shape and dtype of the result, any strides; apart from `x`.
    where : array_like of bool, optional
        What takes part, broadcast to x.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`. Results do not depend on it.

    Returns
    -------
    ndarray or scalar
        The shape of `x` without `axis`, its dtype. +inf where a row has +inf; -inf where it is all -inf,
        empty or masked; NaN where it has a NaN.

    Raises
    ------
    TypeError
        If `x` is not real numbers, or `out` not an array of the result's dtype.
    ValueError
        If a shape does not fit, or `out` shares memory with an argument or within itself.

    Notes
    -----
    Error: at most 4 ULP of max(abs(result), abs(max(x))). The convention is that of
    `scipy.special.logsumexp`, except that the default axis is the last.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> float(fs.logsumexp([1000.0, 1000.0]))
    1000.6931471805599
    """
    return _logsumexp(x, axis, keepdims, out, where, n_threads)


@quiet
def _logsumexp(x, axis, keepdims, out, where, n_threads):
    """Check everything, then run the contract's logsumexp into rows that are copied to `out`."""
    given = _validate.as_array(x, "x")
    array = _validate.as_real(given, "x")
    layout = Layout(array, _validate.axes(axis, array.ndim))
    keepdims = _validate.flag(keepdims, "keepdims")
    mask = _validate.where_mask(where, array.shape)
    outer, n_classes, inner = layout.block_shape
    rows = empty((outer, inner), computing_dtype(array.dtype))
    result = layout.unrows(rows, keepdims)
    wanted, out = out, _validate.writable(out)
    if out is not None:
        _validate.out_array(out, result.shape, array.dtype)
        _validate.apart(out, given, "x")
        if mask is not None:
            _validate.apart(out, mask, "where")
    if n_classes == 0:
        rows[...] = -np.inf
    else:
        mask = None if mask is None else layout.read(mask)
        n_threads = threads_for(array.size, n_threads)
        implementation().logsumexp(layout.read(array), rows, mask, n_threads)
    if out is not None:
        out[...] = result
        return wanted
    result = result.astype(array.dtype, copy=False)
    return result if result.ndim else result[()]
