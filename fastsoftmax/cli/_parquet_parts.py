"""Parquet files that are larger than memory, as parts of a few row groups, read one at a time.

Every part is read by a task of its own, which is also where test rows are told from the others.
"""

import glob
import os
from typing import NamedTuple

import numpy as np

from ._errors import CommandError

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
    number: int


def files_of(data):
    """Return the Parquet files that --data stands for: a file, a folder or a pattern."""
    pattern = os.path.join(glob.escape(data), "*.parquet") if os.path.isdir(data) else data
    found = [data] if os.path.isfile(data) else sorted(glob.glob(pattern))
    if not found:
        raise CommandError(f"{data}: no such Parquet file")
    return found


def _open(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, memory_map=False)
    except (OSError, pa.ArrowException) as error:
        raise CommandError(f"{path} cannot be read as Parquet: {error}") from error


def columns_of(path):
    """Return the type of each column of a file, by name."""
    schema = _open(path).schema_arrow
    return {name: schema.field(name).type for name in schema.names}


def dtype_for(path, types, features):
    """Return the dtype that holds columns of numbers: uint8, float32, else float64."""
    import pyarrow as pa

    for name in features:
        kind = types[name]
        if not (
            pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
        ):
            raise CommandError(
                f"{path}: column {name!r} holds no numbers, which --dask learns from: leave it out with "
                f"--drop {name}"
            )
    names = {str(types[name]) for name in features}
    if names == {"uint8"}:
        return np.dtype(np.uint8)
    return np.dtype(np.float32 if names <= set(_NARROW) else np.float64)


def parts_of(files, columns, row_bytes, n_bytes):
    """
    Return the Parts of files: neighbouring row groups, as many as n_bytes hold, at least one.

    Parameters
    ----------
    files : list of str
    columns : collection of str
        What each file must have.
    row_bytes, n_bytes : int
        The size of a row and the wanted size of a part in memory.

    Returns
    -------
    parts : list of Part
    n_rows : int
        Of all files.
    """
    parts, total = [], 0
    for path in files:
        file = _open(path)
        lacking = [name for name in columns if name not in file.schema_arrow.names]
        if lacking:
            raise CommandError(f"{path} has no column {lacking[0]!r}, which other files have")
        groups, held = [], 0
        for group in range(file.metadata.num_row_groups):
            n_rows = file.metadata.row_group(group).num_rows
            if groups and (held + n_rows) * row_bytes > n_bytes:
                parts.append(Part(path, groups, len(parts)))
                groups, held = [], 0
            groups.append(group)
            held += n_rows
            total += n_rows
        if groups:
            parts.append(Part(path, groups, len(parts)))
    if not total:
        raise CommandError(f"{files[0]} has no rows")
    return parts, total


def read_part(part, source, *, test):
    """Return the features, a data frame, and the labels of the rows to train on, or of the test rows."""
    import pandas as pd

    table = _open(part.path).read_row_groups(
        part.row_groups, columns=[*source.features, source.target], use_threads=False
    )
    labels = table.column(source.target)
    if labels.null_count:
        raise ValueError(f"{part.path}: column {source.target!r} lacks {labels.null_count} labels")
    draws = np.random.default_rng((source.seed, part.number)).random(table.num_rows)
    rows = np.flatnonzero((draws < source.test_size) == test)
    X = np.empty((len(rows), len(source.features)), source.dtype)
    for i, name in enumerate(source.features):
        X[:, i] = table.column(name).to_numpy()[rows]
        if source.mean is not None:
            X[:, i] -= source.mean[i]
            X[:, i] /= source.scale[i]
    y = labels.to_numpy()[rows]
    return pd.DataFrame(X, columns=source.features, copy=False), y


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
