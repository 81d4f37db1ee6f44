"""The largest probabilities of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from .._backends import LossOptions, computing_dtype
from .._dispatch import implementation, threads_for
from ._softmax import softmax

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, NDArray


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
        Their classes. Of equal values the smaller index comes first; which of several equal values at the edge
        of the k are taken is not specified.

    Raises
    ------
    TypeError, ValueError
        If a dtype or shape does not fit, or `k` is out of range.

    Notes
    -----
    Error: at most 4 ULP. For float32 only k probabilities of a row are ever computed. The convention is that of
    `torch.topk(torch.softmax(x, axis), k)`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> values, indices = fs.top_k_softmax([[0.0, 2.0, 1.0]], 2)
    >>> indices
    array([[1, 2]])
    """
    array = _validate.as_real(x, "x")
    axis = _validate.one_axis(axis, array.ndim, "x")
    n_classes = array.shape[axis]
    _validate.n_classes(n_classes, "x", array.shape)
    k = _validate.integer(k, "k", low=1)
    if k > n_classes:
        raise ValueError(f"k must be at most the number of classes, {n_classes}, got {k}")
    rows = np.moveaxis(array, axis, -1).astype(computing_dtype(array.dtype), copy=False)
    indices = _largest(rows, k)
    if rows.dtype == np.float32:
        values = _probabilities(rows, indices, n_threads)
    else:
        values = np.take_along_axis(softmax(rows, n_threads=n_threads), indices, -1)
    values = values.astype(array.dtype, copy=False)
    return np.moveaxis(values, -1, axis), np.moveaxis(indices, -1, axis)


def _largest(rows, k):
    """Return the indices of the k largest of each row, sorted; NaN counts as the largest."""
    if k == 1:
        return np.argmax(rows, axis=-1, keepdims=True)
    n_classes = rows.shape[-1]
    if k < n_classes:
        found = np.argpartition(rows, n_classes - k, axis=-1)[..., n_classes - k :]
        found.sort(axis=-1)
    else:
        found = np.broadcast_to(np.arange(n_classes), rows.shape)
    order = np.argsort(-np.take_along_axis(rows, found, -1), axis=-1, kind="stable")
    return np.take_along_axis(found, order, -1)


def _probabilities(rows, indices, n_threads):
    """Return exp(x - m - L) of the chosen entries: L in double is the loss of the largest logit."""
    n_classes = rows.shape[-1]
    block = np.ascontiguousarray(rows).reshape(-1, n_classes, 1)
    largest = np.ascontiguousarray(indices[..., 0], dtype=np.int64).reshape(-1, 1)
    log_sums = np.empty(largest.shape)
    n_threads = threads_for(block.size, n_threads)
    implementation().cross_entropy(block, largest, log_sums, None, LossOptions(), n_threads)
    chosen = np.take_along_axis(rows, indices, -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance = chosen - chosen[..., :1]
        return np.exp(distance - log_sums.reshape(indices.shape[:-1])[..., None]).astype(rows.dtype)
