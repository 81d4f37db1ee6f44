"""Sparse matrices as the user passes them: SciPy's compiled code goes by their indices unchecked."""

import numpy as np


def whole(matrix, name):
    """Return a sparse matrix whose indices lie within its shape; one in coordinates as such."""
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            _require_plain(matrix.data)
            _require_integers(matrix.indices, matrix.indptr)
            matrix.check_format(full_check=True)
            return matrix
        matrix = matrix.tocoo()
        _require_plain(matrix.data)
        _require_coordinates(matrix)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{name} must be a sparse matrix that is whole: {error}") from error
    return matrix


def to_dense(matrix, name):
    """Return a sparse matrix as an array."""
    return whole(matrix, name).toarray()


def _require_plain(*arrays):
    for array in arrays:
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise TypeError(f"its parts must be arrays, got {type(array).__name__}")


def _require_integers(*vectors):
    _require_plain(*vectors)
    for vector in vectors:
        if vector.dtype.kind != "i":
            raise TypeError(f"indices must be integers, got {vector.dtype}")


def _require_coordinates(matrix):
    coordinates = getattr(matrix, "coords", None) or (matrix.row, matrix.col)
    _require_integers(*coordinates)
    for vector, size in zip(coordinates, matrix.shape, strict=True):
        if len(vector) != len(matrix.data):
            raise ValueError(f"{len(vector)} indices for {len(matrix.data)} values")
        if len(vector) and not (vector.min() >= 0 and vector.max() < size):
            raise ValueError(f"indices must be in [0, {size})")
