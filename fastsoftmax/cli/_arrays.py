"""Rows and labels as NumPy arrays in .npz and .npy files. Nothing is unpickled."""

import io

import numpy as np

from ._contents import foreign
from ._csv import listed
from ._errors import CommandError, missing_label
from ._labels import RawLabels


def read_arrays(path, kind, data, target):
    """
    Read the rows and the labels of a .npz or .npy file.

    Parameters
    ----------
    path : str
        For messages.
    kind : {"npz", "npy"}
    data : bytes
    target : str or None
        The array that holds the labels.

    Returns
    -------
    X : ndarray, shape (n_rows, ...)
        uint8, float32 or float64.
    labels : RawLabels or None
    """
    arrays = _load(path, kind, data)
    if target is not None and target not in arrays:
        raise CommandError(f"{path} has no array {target!r}; its arrays: {listed(arrays)}")
    labels = None if target is None else _labels(path, target, arrays.pop(target))
    name = next((name for name in ("X", "x") if name in arrays), None)
    if name is None:
        if len(arrays) != 1:
            raise CommandError(f"{path} must hold the rows in an array X; it has {listed(arrays)}")
        name = next(iter(arrays))
    X = _rows(path, name, arrays[name])
    if labels is not None and len(labels) != len(X):
        raise CommandError(
            f"{path}: {len(X)} rows in {name!r}, but {len(labels)} labels in {target!r}"
        )
    return X, labels


def _load(path, kind, data):
    """Return every array of the file; objects, which would have to be unpickled, are refused."""
    with foreign(f"{path} cannot be read as .{kind}"):
        try:
            loaded = np.load(io.BytesIO(data), allow_pickle=False)
            if kind == "npy":
                return {"X": loaded}
            with loaded:
                found = {name: loaded[name] for name in loaded.files}
        except ValueError as error:
            if "allow_pickle" in str(error):
                raise CommandError(
                    f"{path} holds Python objects, which are never loaded"
                ) from error
            raise
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def _rows(path, name, X):
    if X.dtype.kind not in "fiub":
        raise CommandError(f"{path}: {name!r} must hold numbers, got {X.dtype}")
    if X.ndim < 2 or X.size == 0:
        raise CommandError(f"{path}: {name!r} must have the shape (n, ...), got {X.shape}")
    if X.dtype != np.uint8:
        small = X.dtype.kind == "f" and X.dtype.itemsize <= 4
        with np.errstate(over="ignore"):  # a longer float that becomes infinite is told below
            X = X.astype(np.float32 if small else np.float64, copy=False)
    if X.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(X))
        if len(bad):
            row, *column = (int(index) for index in np.unravel_index(bad[0], X.shape))
            where = f"row {row + 1}, position {', '.join(str(index + 1) for index in column)}"
            raise CommandError(f"{path}: {name!r} must hold finite numbers, got another in {where}")
    return X


def _labels(path, name, y):
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise CommandError(f"{path}: {name!r} must have the shape (n,), got {y.shape}")
    if y.dtype.kind not in "iubfU":
        raise CommandError(f"{path}: {name!r} must hold integers or text, got {y.dtype}")
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise missing_label(path, repr(name), np.isnan(y))
    if y.dtype.kind == "U":
        missing = np.char.str_len(y) == 0
        if missing.any():
            raise missing_label(path, repr(name), missing)
        y = y.astype(object)
    return RawLabels(path, name, y.astype(y.dtype.newbyteorder("="), copy=False))
