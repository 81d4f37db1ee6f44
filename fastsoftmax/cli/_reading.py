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


def read_table(path, wanted=None, form=None, remembered=None):
    """
    Read a file.

    Parameters
    ----------
    path : str
        A file, which may be compressed, a pipe, or "-" for standard input.
    wanted : Wanted, optional
        The columns to read; all by default, as numbers.
    form : Format, optional
        How the user says that a CSV file is written.
    remembered : Format, optional
        How the file was written that the model was trained on: what holds where `form` says nothing.

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
    _refuse_options(path, kind, wanted, form)
    if kind in ("npz", "npy"):
        X, labels = read_arrays(path, kind, data, wanted.target)
        return Table(path, None, X, labels)
    form = _complete(form, remembered or Format())
    if kind == "csv":
        columns, labels = read_csv(path, data, wanted, form)
    else:
        columns, labels = read_arrow(path, kind, data, wanted, form.na_values or ())
    return Table(path, columns, None, labels)


def _complete(form, remembered):
    """Return the format with what the user has not said as it was in the training."""
    found = form.or_else(remembered)
    if found.thousands is None or found.thousands != (found.decimal or "."):
        return found
    if form.thousands is None:  # groups were parted by what is the decimal point now
        return found._replace(thousands=None)
    raise CommandError(
        f"--thousands and the decimal point are both {found.thousands!r}: pass another --decimal"
    )


def _refuse_options(path, kind, wanted, form):
    """Raise about options that say nothing about a file of this kind."""
    are_arrays = kind in ("npz", "npy")
    if are_arrays and wanted.guess and (wanted.features or wanted.drop or wanted.texts):
        raise CommandError(
            f"{path}: --features, --drop and --categorical are for tables whose columns have names"
        )
    if kind != "csv" and form._replace(na_values=None) != Format():
        raise CommandError(
            f"{path}: --sep, --encoding, --decimal and --thousands are for CSV files"
        )
    if are_arrays and form.na_values is not None:
        raise CommandError(f"{path}: --na-values is for tables whose columns have names")
