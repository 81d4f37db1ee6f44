"""Parquet files that are larger than memory, as parts of a few row groups, read one at a time.

Every part is read by a task of its own, which is also where test rows are told from the others.
"""

import glob
import os
from typing import NamedTuple

import numpy as np

from ._arrow import is_text, names_of_row_labels, value_type
from ._errors import CommandError
from ._option_types import written

_NARROW = ("bool", "int8", "uint8", "int16", "uint16", "halffloat", "float")
"""Types whose numbers float32 holds exactly."""


class Source(NamedTuple):
    """What every part has in common."""

    features: list[str]
    target: str
    dtype: np.dtype
    test_size: float
    seed: int
    mean: np.ndarray | None = None  # of the features, where they are standardised
    scale: np.ndarray | None = None


class Part(NamedTuple):
    """Some row groups of a file."""

    path: str
    row_groups: list[int]
    n_rows: int
    number: int


class File(NamedTuple):
    """A Parquet file that has rows: the type of each column, and how many rows each group has."""

    path: str
    types: dict
    group_rows: list[int]


def paths_of(data):
    """Return the Parquet files that --data stands for: a file, a folder or a pattern."""
    is_folder = os.path.isdir(data)
    pattern = os.path.join(glob.escape(data), "*.parquet") if is_folder else data
    found = [data] if os.path.isfile(data) else sorted(glob.glob(pattern, recursive=True))
    if not found:
        below = os.path.join(data, "**", "*.parquet")
        hint = f"; for files in folders below it: --data '{below}'" if is_folder else ""
        raise CommandError(f"{data}: no such Parquet file{hint}")
    return found


def files_of(data):
    """Return the Files of --data that have rows."""
    files = [_look_at(path) for path in paths_of(data)]
    found = [file for file in files if sum(file.group_rows)]
    if not found:
        raise CommandError(f"{files[0].path} has no rows")
    return found


def _look_at(path):
    file = _open(path)
    schema, metadata = file.schema_arrow, file.metadata
    row_labels = names_of_row_labels(schema)
    names = [name for name in schema.names if name not in row_labels]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise CommandError(f"{path}: two columns are named {twice[0]!r}")
    group_rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    types = {name: value_type(schema.field(name).type) for name in names}
    return File(path, types, group_rows)


def _open(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open(path, "rb") as file:
            if not file.read(4).startswith(b"PAR"):  # PARE where the footer is encrypted
                raise CommandError(f"{path} is no Parquet file: --dask reads no others")
        return pq.ParquetFile(path, memory_map=False)
    except (OSError, pa.ArrowException) as error:
        raise CommandError(f"{path} cannot be read as Parquet: {error}") from error


def check_columns(files, features, target):
    """Raise unless all files have the columns: features of numbers, labels of one kind."""
    first = files[0]
    for file in files:
        lacking = [name for name in (*features, target) if name not in file.types]
        if lacking:
            raise CommandError(f"{file.path} has no column {lacking[0]!r}, which {first.path} has")
        for name in features:
            if not _is_number(file.types[name]):
                raise CommandError(
                    f"{file.path}: column {name!r} holds {file.types[name]}, no numbers, which --dask "
                    f"learns from: leave it out with --drop {written(name)}"
                )
        mine, theirs = first.types[target], file.types[target]
        if not (_is_number(theirs) or is_text(theirs)):
            raise CommandError(
                f"{file.path}: labels in {target!r} must be integers or text, got {theirs}"
            )
        if _is_number(mine) != _is_number(theirs):
            raise CommandError(
                f"labels in {target!r} must be of one kind, got {mine} in {first.path} and {theirs} in "
                f"{file.path}"
            )


def _is_number(kind):
    import pyarrow as pa

    tests = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
    return any(test(kind) for test in tests)


def dtype_for(files, features):
    """Return the dtype that holds the columns of numbers of all files: uint8, float32, else float64."""
    names = {str(file.types[name]) for file in files for name in features}
    if names == {"uint8"}:
        return np.dtype(np.uint8)
    return np.dtype(np.float32 if names <= set(_NARROW) else np.float64)


def parts_of(files, row_bytes, n_bytes):
    """
    Return the Parts of files: neighbouring row groups, as many as n_bytes hold, at least one.

    Parameters
    ----------
    files : list of File
    row_bytes, n_bytes : int
        The size of a row and the wanted size of a part in memory.

    Returns
    -------
    list of Part
    """
    parts = []
    for file in files:
        groups, held = [], 0
        for group, n_rows in enumerate(file.group_rows):
            if groups and (held + n_rows) * row_bytes > n_bytes:
                parts.append(Part(file.path, groups, held, len(parts)))
                groups, held = [], 0
            groups.append(group)
            held += n_rows
        parts.append(Part(file.path, groups, held, len(parts)))
    return parts


def read_part(part, source, *, test):
    """Return the features, a data frame, and the labels of the rows to train on, or of the test rows.

    What Arrow has used is freed: else it keeps a tenth of a small worker's memory.
    """
    import pandas as pd
    import pyarrow as pa

    table = _open(part.path).read_row_groups(
        part.row_groups, columns=[*source.features, source.target], use_threads=False
    )
    y = _complete(part.path, source.target, table.column(source.target))
    draws = np.random.default_rng((source.seed, part.number)).random(table.num_rows)
    rows = np.flatnonzero((draws < source.test_size) == test)
    X = np.empty((len(rows), len(source.features)), source.dtype)
    for i, name in enumerate(source.features):
        X[:, i] = _complete(part.path, name, table.column(name))[rows]
        if source.mean is not None:
            X[:, i] -= source.mean[i]
            X[:, i] /= source.scale[i]
    y = y[rows]
    del table
    pa.default_memory_pool().release_unused()
    return pd.DataFrame(X, columns=source.features, copy=False), y


def _complete(path, name, column):
    """Return a column as an array; raise unless it has a text or a finite number in each row."""
    if column.null_count:
        rows = f"{column.null_count} of {len(column)} rows"
        raise ValueError(f"{path}: column {name!r} has no value in {rows}, which --dask needs")
    values = column.to_numpy()
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = values[~np.isfinite(values)]
        raise ValueError(f"{path}: column {name!r} must hold finite numbers, got {bad[0]}")
    return values


def moments_of(X):
    """Return (rows, mean, sum of squared deviations from it) of each feature, in double."""
    X = X.to_numpy()
    if not len(X):
        return 0, np.zeros(X.shape[1]), np.zeros(X.shape[1])
    mean = X.mean(axis=0, dtype=np.float64)
    squares = np.array(
        [((x.astype(np.float64) - m) ** 2).sum() for x, m in zip(X.T, mean, strict=True)]
    )
    return len(X), mean, squares


def joined_moments(one, other):
    """Return the moments of two sets of rows (Chan, Golub and LeVeque, 1979)."""
    n = one[0] + other[0]
    step = other[1] - one[1]
    mean = one[1] + step * (other[0] / max(1, n))
    return n, mean, one[2] + other[2] + step**2 * (one[0] * other[0] / max(1, n))
