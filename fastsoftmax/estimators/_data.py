"""The user's rows: read where they are, a few at a time, scaled as they are read."""

import numpy as np
from scipy import sparse

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
