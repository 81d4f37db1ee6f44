"""Keep some of the rows for the test."""

from typing import NamedTuple

import numpy as np

from ._errors import CommandError, missing_extra

DEFAULT_TEST_SIZE = 0.2


class Parts(NamedTuple):
    """Rows to train with and rows to test with."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    how: str


def split(rows, test_size, seed):
    """Split by class and at random, unless the dataset has test rows of its own."""
    if len(np.unique(rows.y)) < 2:
        raise CommandError(f"{rows.name} has one class only, {str(rows.y[0])!r}; expected two")
    if rows.test is not None:
        if test_size is not None:
            raise CommandError(f"--test-size: {rows.name} has test rows of its own")
        return Parts(rows.X, rows.y, *rows.test, "its own test rows")
    try:
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise missing_extra(error, "The trainer") from error
    classes, counts = np.unique(rows.y, return_counts=True)
    if counts.min() < 2:
        alone = str(classes[counts.argmin()])
        raise CommandError(
            f"{rows.name}: class {alone!r} has one row only; expected one to train and one to test"
        )
    size = DEFAULT_TEST_SIZE if test_size is None else test_size
    try:
        X, X_test, y, y_test = train_test_split(
            rows.X, rows.y, test_size=size, random_state=seed, stratify=rows.y
        )
    except ValueError as error:
        raise CommandError(f"--test-size {size}: {error}") from error
    return Parts(X, y, X_test, y_test, "split by class, at random")
