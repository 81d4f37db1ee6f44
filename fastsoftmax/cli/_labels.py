"""Labels: what a file holds, as the classes that a model learns or has learnt.

A CSV file holds text. It is compared with the classes of a model as text, or, where these are
numbers or booleans, by value.
"""

import re

import numpy as np

from ._errors import CommandError

INTEGER = re.compile(r"-?[1-9][0-9]*|0")
WHOLE = re.compile(r"(-?[1-9][0-9]*|0)(\.0*)?")
LONGEST = 1000  # characters
BOOLEANS = {"true": True, "false": False}


class RawLabels:
    """The labels of a file as it holds them.

    Parameters
    ----------
    path, name : str
        The file, and its column or array, for messages.
    values : ndarray, shape (n_rows,)
        Objects that are str; integers, floats or booleans of a file that knows types.
    """

    def __init__(self, path, name, values):
        self.path, self.name, self.values = path, name, values

    def __len__(self):
        return len(self.values)

    def to_learn(self):
        """Return the labels to train with.

        Text becomes integers only if every label is written as Python writes an integer, so that
        "01", "1.0" and "1e3" stay what they are.
        """
        kind = self.values.dtype.kind
        if kind == "f":
            return self._whole_numbers()
        if kind != "O":
            return self.values
        self._check_text()
        texts, codes = _distinct(self.values)
        if all(INTEGER.fullmatch(text) and _is_int64(text) for text in texts):
            return np.array([int(text) for text in texts], dtype=np.int64)[codes]
        return np.array(texts, dtype=str)[codes]

    def to_match(self, classes):
        """Return the labels as elements of `classes`; another label is an error."""
        texts, codes = _distinct(self.values)
        positions = np.array([_position(value, classes) for value in texts], dtype=np.intp)
        unknown = np.flatnonzero(positions[codes] < 0)
        if len(unknown):
            row = unknown[0]
            raise CommandError(
                f"{self.path}: label {_shown(self.values[row])} in row {row + 1} is none of the "
                f"model's {len(classes)} classes"
            )
        return classes[positions[codes]]

    def _check_text(self):
        for row, text in enumerate(self.values):
            if len(text) > LONGEST or "\0" in text:
                what = "a NUL character" if "\0" in text else f"{len(text)} characters"
                raise CommandError(
                    f"{self.path}: the label in {self.name!r}, row {row + 1}, has {what}; "
                    "is it the column of labels?"
                )

    def _whole_numbers(self):
        """Return floating labels as integers; others are measurements, not classes."""
        labels = self.values.astype(np.float64)
        bad = np.flatnonzero(~(np.abs(labels) < 2**53) | (labels != np.floor(labels)))
        if len(bad):
            raise CommandError(
                f"{self.path}: labels in {self.name!r} must be whole numbers or text, "
                f"got {labels[bad[0]]} in row {bad[0] + 1}"
            )
        return labels.astype(np.int64)


def are_measurements(labels):
    """Whether labels are texts of numbers with a fraction: a quantity, not classes."""
    distinct = set(labels.tolist())
    try:
        numbers = [float(label) for label in distinct if isinstance(label, str)]
    except ValueError:
        return False
    return any(number != np.floor(number) for number in numbers)


def _distinct(values):
    """Return the distinct values in the order of their first row, and the number of each row's."""
    numbers = {}
    codes = np.array([numbers.setdefault(value, len(numbers)) for value in values.tolist()])
    return list(numbers), codes.astype(np.intp)


def _is_int64(text):
    return len(text) <= 20 and -(2**63) <= int(text) < 2**63


def _shown(value):
    return repr(value if isinstance(value, str) else str(value))


def _position(value, classes):
    """Return the position of the class that a value is; -1 if it is none."""
    kind = classes.dtype.kind
    for candidate in _readings(value, kind, classes.dtype):
        found = np.flatnonzero(classes == candidate)
        if len(found) == 1:
            return found[0]
    return -1


def _readings(value, kind, dtype):
    """Return what a value may be among classes of a kind, the most literal first."""
    if kind in "UO":
        return _as_texts(value)
    if isinstance(value, str) and value.lower() in BOOLEANS:
        return [BOOLEANS[value.lower()]] if kind == "b" else []
    if isinstance(value, str) and kind in "iub":
        whole = WHOLE.fullmatch(value)
        return _as_integers(int(whole[1]), kind, dtype) if whole and len(value) < 400 else []
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return []
    if not np.isfinite(number):
        return []
    if kind == "f":
        return [dtype.type(number)]
    return _as_integers(int(value), kind, dtype) if number == np.floor(number) else []


def _as_integers(number, kind, dtype):
    if kind == "b":
        return [bool(number)] if number in (0, 1) else []
    bounds = np.iinfo(dtype)
    return [dtype.type(number)] if bounds.min <= number <= bounds.max else []


def _as_texts(value):
    if isinstance(value, bool):
        return [str(value), str(value).upper(), str(value).lower()]
    if isinstance(value, float) and value == np.floor(value) and abs(value) < 2**53:
        return [str(value), str(int(value))]
    return [str(value)]
