"""Columns of pandas, polars and Arrow as arrays: dtypes of their own, and values that are missing.

None of these libraries is imported: what a value is follows from the name of its module.
"""

import numpy as np


def _library(value):
    return type(value).__module__.partition(".")[0]


def n_missing(value):
    """Count the missing values of a frame, a series or an Arrow column; NaN in a plain float column is none."""
    library = _library(value)
    if library == "pandas" and hasattr(value, "to_numpy"):
        return sum(int(one.isna().sum()) for one in _columns(value) if _is_extended(one))
    if library not in ("polars", "pyarrow"):
        return 0
    count = getattr(value, "null_count", 0)  # a method, an attribute, or that of each column
    if not hasattr(value, "null_count") and hasattr(value, "columns"):
        return sum(column.null_count for column in value.columns)
    count = count() if callable(count) else count
    return sum(count.row(0)) if hasattr(count, "row") else count


def in_columns_missing(value):
    """Say in which columns of a frame values are missing: " in the columns ...", or "" where they have no names."""
    return _in_columns(value, n_missing)


def in_columns_of_texts(value):
    """Say which columns of a frame hold no numbers, likewise."""
    return _in_columns(value, lambda column: np.asanyarray(column).dtype.kind not in "biuf")


def _in_columns(value, holds):
    library = _library(value)
    if library == "pandas" and getattr(value, "ndim", 0) == 2:
        columns = _columns(value)
    elif library == "polars" and hasattr(value, "get_columns"):
        columns = value.get_columns()
    else:
        return ""
    names = zip(value.columns, columns, strict=True)
    found = [str(name) for name, column in names if holds(column)]
    return f" in the columns {', '.join(found)}" if found else ""


def to_array(value):
    """Return `value` as an array; a frame or series of nullable or Arrow dtypes in the one that they stand for."""
    if _library(value) == "pandas" and hasattr(value, "to_numpy"):
        columns = _columns(value)
        dtypes = [getattr(column.dtype, "numpy_dtype", column.dtype) for column in columns]
        are_numbers = all(isinstance(d, np.dtype) and d.kind in "biuf" for d in dtypes)
        if are_numbers and any(map(_is_extended, columns)):
            return value.to_numpy(dtype=np.result_type(*dtypes))
    return np.asanyarray(value)


def _columns(value):
    return [value.iloc[:, i] for i in range(value.shape[1])] if value.ndim == 2 else [value]


def _is_extended(column):
    return hasattr(column.dtype, "numpy_dtype")
