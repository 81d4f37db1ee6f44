"""Read a table of numbers and labels from CSV or .npz, or say in one line what is wrong with it.

Rows are counted from 1 in messages, below the header of a CSV file.
"""

import textwrap
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ._errors import CommandError, missing_extra


class Table(NamedTuple):
    """The rows of a file."""

    path: str
    X: np.ndarray  # (n_rows, ...): uint8, float32 or float64
    y: np.ndarray | None  # (n_rows,): integers or strings
    features: list[str] | None  # the names of the columns; None in .npz


def read_table(path, target=None, *, features=None, labels_as_text=False):
    """
    Read a file.

    Parameters
    ----------
    path : str
        A .npz file, else CSV with a header (which may be compressed).
    target : str, optional
        The column or array that holds the labels. Without it there are none.
    features : list of str, optional
        The columns of a CSV file to take, in this order; others are passed over. All by default.
    labels_as_text : bool, default False
        Take labels literally, "01" as "01": those of a model that learnt strings.

    Returns
    -------
    Table

    Raises
    ------
    CommandError
        The file cannot be read, lacks a column, or holds what is neither a number nor a label.
    """
    file = Path(path)
    if not file.exists():
        raise CommandError(f"{path}: no such file")
    if file.is_dir():
        raise CommandError(f"{path} is a folder, expected a CSV or .npz file")
    if file.suffix.lower() == ".npz":
        return _read_npz(path, target, labels_as_text)
    return _read_csv(path, target, features, labels_as_text)


# CSV


def _read_csv(path, target, features, labels_as_text):
    header = _header(path)
    if target is not None and target not in header:
        raise CommandError(f"{path} has no column {target!r}; its columns: {_listed(header)}")
    missing = [name for name in features or () if name not in header]
    if missing:
        raise CommandError(
            f"{path} lacks {_listed(missing)}, which the model needs; "
            f"its columns: {_listed(header)}"
        )
    names = [name for name in header if name != target] if features is None else list(features)
    if not names:
        raise CommandError(f"{path} has no columns beside {target!r}")
    text = {target: str} if labels_as_text and target is not None else None
    frame = _parse(path, dtype=text, index_col=False)
    if frame.empty:
        raise CommandError(f"{path} has a header but no rows")
    X = np.empty((len(frame), len(names)))
    for position, name in enumerate(names):
        X[:, position] = _numbers(path, name, frame[name])
    y = None if target is None else _labels(path, target, frame[target])
    return Table(str(path), X, y, names)


def _header(path):
    """Return the names of the columns, each of which must have one of its own."""
    first = _parse(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    header = [str(name) for name in first.iloc[0]]
    for position, name in enumerate(header):
        if not name.strip():
            raise CommandError(
                f"{path}: column {position + 1} has no name; name it, or leave out the row "
                "numbers when writing the file"
            )
        if name in header[:position]:
            raise CommandError(f"{path}: two columns are named {name!r}")
    return header


def _parse(path, **options):
    try:
        import pandas as pd
    except ImportError as error:
        raise missing_extra(error, "Reading CSV") from error

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # told better by _numbers
            return pd.read_csv(path, **options)
    except pd.errors.EmptyDataError as error:
        raise CommandError(f"{path} is empty") from error
    except pd.errors.ParserWarning as error:
        raise CommandError(f"{path}: its rows have more fields than its header") from error
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CommandError(f"{path} cannot be read as CSV: {error}") from error


def _numbers(path, name, column):
    """Return a column as float64; the first value that is none, or not finite, is an error."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if not len(bad):
        return numbers
    row = bad[0]
    value = column.iloc[row]
    if pd.isna(value):
        raise CommandError(f"{path}: missing value in column {name!r}, row {row + 1}")
    raise CommandError(
        f"{path}: column {name!r} must hold finite numbers, got {str(value)!r} in row {row + 1}"
    )


def _labels(path, name, column):
    """Return labels as integers where they are such, else as strings."""
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise CommandError(f"{path}: missing value in column {name!r}, row {missing[0] + 1}")
    if column.dtype.kind in "iu":
        return column.to_numpy()
    if column.dtype.kind == "f":
        return _whole_numbers(path, name, column.to_numpy())
    return column.astype(str).to_numpy(dtype=str)


def _whole_numbers(path, name, labels):
    """Return floating labels as integers; others are measurements, not classes."""
    bad = np.flatnonzero(~(np.abs(labels) < 2**53) | (labels != np.floor(labels)))
    if len(bad):
        raise CommandError(
            f"{path}: labels in {name!r} must be whole numbers or text, "
            f"got {labels[bad[0]]} in row {bad[0] + 1}"
        )
    return labels.astype(np.int64)


# .npz


def _read_npz(path, target, labels_as_text):
    arrays = _load_arrays(path)
    if target is not None and target not in arrays:
        raise CommandError(f"{path} has no array {target!r}; its arrays: {_listed(arrays)}")
    y = None if target is None else _npz_labels(path, target, arrays.pop(target), labels_as_text)
    name = next((name for name in ("X", "x") if name in arrays), None)
    if name is None:
        if len(arrays) != 1:
            raise CommandError(f"{path} must hold the rows in an array X; it has {_listed(arrays)}")
        name = next(iter(arrays))
    X = _npz_rows(path, name, arrays[name])
    if y is not None and len(y) != len(X):
        raise CommandError(f"{path}: {len(X)} rows in {name!r}, but {len(y)} labels in {target!r}")
    return Table(str(path), X, y, None)


def _load_arrays(path):
    """Return every array of the file; objects, which would have to be unpickled, are refused."""
    if not zipfile.is_zipfile(path):
        raise CommandError(f"{path} is not an .npz file, or is truncated")
    try:
        with np.load(path, allow_pickle=False) as file:
            loaded = {name: file[name] for name in file.files}
            return {name: item for name, item in loaded.items() if isinstance(item, np.ndarray)}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise CommandError(f"{path} holds Python objects, which are never loaded") from error
        raise CommandError(f"{path} cannot be read as .npz: {error}") from error


def _npz_rows(path, name, X):
    if X.dtype.kind not in "fiub":
        raise CommandError(f"{path}: {name!r} must hold numbers, got {X.dtype}")
    if X.ndim < 2 or X.size == 0:
        raise CommandError(f"{path}: {name!r} must have the shape (n, ...), got {X.shape}")
    if X.dtype != np.uint8:
        small = X.dtype.kind == "f" and X.dtype.itemsize <= 4
        X = X.astype(np.float32 if small else np.float64, copy=False)
    if X.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(X))
        if len(bad):
            row, *column = (int(index) for index in np.unravel_index(bad[0], X.shape))
            where = f"row {row + 1}, position {', '.join(str(index + 1) for index in column)}"
            raise CommandError(f"{path}: {name!r} must hold finite numbers, got another in {where}")
    return X


def _npz_labels(path, name, y, as_text):
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise CommandError(f"{path}: {name!r} must have the shape (n,), got {y.shape}")
    if y.dtype.kind == "f":
        y = _whole_numbers(path, name, y)
    if y.dtype.kind not in "iubU":
        raise CommandError(f"{path}: {name!r} must hold integers or text, got {y.dtype}")
    return y.astype(str) if as_text or y.dtype.kind == "b" else y


def _listed(names, most=12):
    """Return names for a message: the first dozen, and how many more."""
    names = [repr(textwrap.shorten(str(name), 40)) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"
