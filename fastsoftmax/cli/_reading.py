"""Read a table from CSV, Parquet, Arrow or NumPy files, or say in one line what is wrong with it.

Rows are counted from 1 in messages, below the header of a CSV file.
"""

from typing import NamedTuple

import numpy as np

from ._arrays import read_arrays
from ._arrow import read_arrow
from ._columns import Column
from ._contents import read_contents
from ._csv import Format, Wanted, read_csv
from ._errors import CommandError
from ._labels import RawLabels


class Table(NamedTuple):
    """The rows of a file: columns with names, or one array."""

    path: str
    columns: list[Column] | None
    X: np.ndarray | None  # (n_rows, ...): uint8, float32 or float64
    labels: RawLabels | None


def read_table(path, wanted=None, form=None):
    """
    Read a file.

    Parameters
    ----------
    path : str
        A file, which may be compressed, a pipe, or "-" for standard input.
    wanted : Wanted, optional
        The columns to read; all by default, as numbers.
    form : Format, optional
        How a CSV file is written.

    Returns
    -------
    Table

    Raises
    ------
    CommandError
        The file cannot be read, lacks a column, or holds what is neither a number nor a label.
    """
    wanted, form = wanted or Wanted(), form or Format()
    kind, data = read_contents(path)
    if kind in ("npz", "npy"):
        _refuse_drop(path, wanted)
        X, labels = read_arrays(path, kind, data, wanted.target)
        return Table(path, None, X, labels)
    if kind == "csv":
        columns, labels = read_csv(path, data, wanted, form)
    else:
        columns, labels = read_arrow(path, kind, data, wanted, form.na_values or ())
    return Table(path, columns, None, labels)


def _refuse_drop(path, wanted):
    if wanted.guess and (wanted.features or wanted.drop or wanted.texts):
        raise CommandError(
            f"{path}: --features, --drop and --categorical are for tables whose columns have names"
        )
