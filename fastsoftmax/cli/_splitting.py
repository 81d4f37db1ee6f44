"""Which rows are kept for the test: the same ones again for the same labels, size and seed."""

import math

import numpy as np

from ._errors import CommandError, missing_extra
from ._labels import are_measurements

DEFAULT_TEST_SIZE = 0.2


def check_classes(name, y):
    """Raise unless there are two classes with two rows each."""
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise CommandError(f"{name} has one class only, {str(classes[0])!r}; expected two")
    if counts.min() < 2:
        alone = str(classes[counts.argmin()])
        hint = "; labels with fractions look like measurements" if are_measurements(y) else ""
        raise CommandError(
            f"{name}: class {alone!r} has one row only; expected one to train and one to test{hint}"
        )


def default_test_size(y):
    """Return the share of rows to test on; of few rows, one for each class."""
    n_classes = len(np.unique(y))
    return n_classes if math.ceil(DEFAULT_TEST_SIZE * len(y)) < n_classes else DEFAULT_TEST_SIZE


def hold_out(y, size, seed, option):
    """
    Split rows by class and at random.

    Parameters
    ----------
    y : ndarray, shape (n_rows,)
        The classes.
    size : int or float
        The number or the share of the rows to hold out.
    seed : int
    option : str
        What the user said, for messages.

    Returns
    -------
    kept, held : ndarray of int
        The numbers of the rows, from 0, in order.
    """
    try:
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise missing_extra(error, "The trainer") from error
    _check_size(y, size, option)
    try:
        kept, held = train_test_split(
            np.arange(len(y)), test_size=size, random_state=seed, stratify=y
        )
    except ValueError as error:
        raise CommandError(f"{option} {size}: {error}") from error
    return np.sort(kept), np.sort(held)


def _check_size(y, size, option):
    """Raise unless each class can have a row among those that are held out, and one among the others."""
    classes, counts = np.unique(y, return_counts=True)
    n_held = size if isinstance(size, int) else math.ceil(size * len(y))
    if n_held < len(classes):
        raise CommandError(
            f"{option} {size}: expected at least {len(classes)} rows, one for each class, got {n_held}"
        )
    if len(y) - n_held < len(classes):
        raise CommandError(
            f"{option} {size}: expected to leave at least {len(classes)} of {len(y)} rows, one for each "
            f"class, got {max(0, len(y) - n_held)}"
        )
    if counts.min() < 2:
        raise CommandError(
            f"{option} {size}: class {str(classes[counts.argmin()])!r} has one row only to divide; "
            "expected two"
        )
