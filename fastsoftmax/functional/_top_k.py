"""The largest probabilities of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from .._dispatch import implementation, threads_for, with_fast_path
from .._layout import Layout
from ._arrays import empty, quiet

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, NDArray


@with_fast_path
def top_k_softmax(
    x: ArrayLike,
    k: int,
    axis: int = -1,
    *,
    n_threads: int | None = None,
) -> tuple[Array, NDArray[np.int64]]:
    """Return the k largest probabilities of softmax(x) and their classes, largest first.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64
        Logits of any shape.
    k : int
        How many, from 1 to the number of classes.
    axis : int, default -1
        The axis of the classes.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`.

    Returns
    -------
    values : ndarray of the dtype of `x`
        The shape of `x` with k along `axis`. Not renormalised: they are entries of softmax(x).
    indices : ndarray of int64
        Their classes, in the order of falling logits. Of equal logits the smaller index comes first, also at the edge
        of the k. NaN ranks before every number, as in `torch.topk`; its row of probabilities is NaN.

    Raises
    ------
    TypeError, ValueError
        If a dtype or shape does not fit, or `k` is out of range.

    Notes
    -----
    Error: at most 4 ULP; the values have the bits of those that `softmax(x, axis)` returns, though only k of a row are
    stored. The convention is that of `torch.topk(torch.softmax(x, axis), k)`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> values, indices = fs.top_k_softmax([[0.0, 2.0, 1.0]], 2)
    >>> indices
    array([[1, 2]])
    """
    return _top_k(x, k, axis, n_threads)


@quiet
def _top_k(x, k, axis, n_threads):
    array = _validate.as_real(x, "x")
    axis = _validate.one_axis(axis, array.ndim, "x")
    n_classes = array.shape[axis]
    _validate.n_classes(n_classes, "x", array.shape)
    k = _validate.integer(k, "k", low=1)
    if k > n_classes:
        raise ValueError(f"k must be at most the number of classes, {n_classes}, got {k}")
    layout = Layout(array, (axis,))
    outer, _, inner = layout.block_shape
    values = empty((outer, k, inner), array.dtype)
    indices = empty((outer, k, inner), np.int64)
    n_threads = threads_for(array.size, n_threads)
    implementation().top_k_softmax(layout.read(array), values, indices, n_threads)
    return layout.unblock(values), layout.unblock(indices)
