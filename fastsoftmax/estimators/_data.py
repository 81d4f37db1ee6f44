"""What a fit works on: rows read where they are, their targets and weights, and the loss."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

_ROWS_AT_A_TIME = 8192
READABLE = (np.float64, np.float32, np.uint8)


def computing_dtype(dtype):
    """Return the dtype of the parameters for data of a dtype: float32 for uint8."""
    return np.dtype(np.float64) if dtype == np.float64 else np.dtype(np.float32)


class Rows:
    """Rows of X (n_rows, n_features), dense or CSR, and the factor that they are read with.

    `dtype` is what they become when they are read, and the dtype of the parameters.
    """

    def __init__(self, X, scale, dtype=None):
        if not sparse.issparse(X) and not is_readable(X):
            X = np.require(X, requirements=["C", "A"])
        self.X, self.scale = X, scale
        self.dtype = computing_dtype(X.dtype) if dtype is None else dtype
        self.n_rows, self.n_features = X.shape

    @property
    def is_dense(self):
        """Whether compiled kernels can read the rows."""
        return not sparse.issparse(self.X)

    def _as_real(self, x):
        if x.dtype == self.dtype and self.scale == 1:
            return x
        return x.astype(self.dtype) * self.dtype.type(self.scale)

    def take(self, indices):
        """Return some rows, ready for a product."""
        return self._as_real(self.X[indices])

    def slices(self, n_rows):
        """Iterate over (slice, rows) in order, n_rows at a time."""
        for start in range(0, self.n_rows, n_rows):
            part = slice(start, min(start + n_rows, self.n_rows))
            yield part, self._as_real(self.X[part])


def is_readable(X):
    """Whether kernels can read X where it is: rows contiguous, aligned, native byte order."""
    return (
        X.ndim == 2
        and X.dtype.type in READABLE
        and X.dtype.isnative
        and X.flags.aligned
        and (X.strides[1] == X.itemsize or X.shape[1] == 1)
    )


@dataclass
class Split:
    """Some rows of the data with their targets and weights; `index` None means all rows."""

    rows: Rows
    targets: np.ndarray
    weights: np.ndarray | None = None
    index: np.ndarray | None = None

    @property
    def n_rows(self):
        """Number of rows in the split."""
        return self.rows.n_rows if self.index is None else len(self.index)

    @property
    def total_weight(self):
        """Sum of the rows' weights."""
        if self.weights is None:
            return float(self.n_rows)
        weights = self.weights if self.index is None else self.weights[self.index]
        return float(weights.sum())

    def parts(self):
        """Iterate over (Rows, targets, weights), a few thousand rows at a time."""
        for start in range(0, self.n_rows, _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            part = part if self.index is None else self.index[part]
            weights = None if self.weights is None else self.weights[part]
            yield (
                Rows(self.rows.X[part], self.rows.scale, self.rows.dtype),
                self.targets[part],
                weights,
            )

    def whole(self):
        """Return a split of the same rows whose index is None."""
        if self.index is None:
            return self
        weights = None if self.weights is None else self.weights[self.index]
        rows = Rows(self.rows.X[self.index], self.rows.scale, self.rows.dtype)
        return Split(rows, self.targets[self.index], weights)


def weighted_rows(split):
    """Return the rows of positive weight: the others take no part, whatever they hold."""
    if split.weights is None or (split.weights > 0).all():
        return split
    return Split(split.rows, split.targets, split.weights, np.flatnonzero(split.weights))


@dataclass
class Problem:
    """What is to be learned: the rows to train on, the rows to validate on, the loss."""

    train: Split
    validation: Split | None
    loss: Any
