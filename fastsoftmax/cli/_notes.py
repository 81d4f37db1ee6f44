"""What a model file says about the table that the model was trained on.

How columns become features, how a CSV file was written, and which rows were held out: `evaluate` and
`predict` go by it. It comes out of a file, so everything is checked before it is used.
"""

import hashlib
import json
from typing import NamedTuple

import numpy as np

from ._columns import Rule
from ._csv import Format, check_encoding, check_thousands
from ._errors import CommandError


class Held(NamedTuple):
    """Rows that were kept from training, and how to find them again."""

    data: str  # fingerprint of the features and labels of all rows
    weights: str  # fingerprint of the model after training
    rows: str  # fingerprint of the numbers of the rows
    n_rows: int
    test_size: float | int
    seed: int


class Notes(NamedTuple):
    """What `train` keeps in a model."""

    target: str | None = None
    rules: list[Rule] | None = None  # None: the rows were no table
    form: Format = Format()
    held: Held | None = None
    class_names: list[str] | None = None  # where labels are numbers of things
    on_dask: bool = False  # each part of the files held out rows of its own

    def to_json(self):
        """Return the notes as JSON has them."""
        return {
            "target": self.target,
            "columns": None if self.rules is None else [rule._asdict() for rule in self.rules],
            "format": self.form._asdict(),
            "held_out": None if self.held is None else self.held._asdict(),
            "class_names": self.class_names,
            "on_dask": self.on_dask,
        }


def read_notes(path, estimator):
    """Return the Notes of a model; of one that Python saved, empty ones."""
    found = getattr(estimator, "_notes", None)
    if found is None:
        return Notes()
    names = getattr(estimator, "feature_names_in_", None)
    try:
        notes = Notes(
            target=_text(found["target"], or_none=True),
            rules=None if found["columns"] is None else _rules(found["columns"]),
            form=_format(found["format"]),
            held=None if found["held_out"] is None else _held(found["held_out"]),
            class_names=None if found["class_names"] is None else _texts(found["class_names"]),
            on_dask=found.get("on_dask", False),  # models of before lack it
        )
        if type(notes.on_dask) is not bool:
            raise TypeError(f"on_dask must be true or false, got {notes.on_dask!r:.40}")
        if notes.class_names is not None and len(notes.class_names) != len(estimator.classes_):
            raise ValueError("a name for each class")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CommandError(f"{path}: what it says about its table is damaged: {error}") from error
    if notes.rules is not None:
        features = [feature for rule in notes.rules for feature in rule.features]
        if names is None or features != [str(name) for name in names]:
            return Notes()  # Python has fitted it again, on other columns
    return notes


def _rules(found):
    if not isinstance(found, list):
        raise TypeError(f"expected a list of columns, got {found!r:.40}")
    return [_rule(rule) for rule in found]


def _rule(found):
    texts = None if found["texts"] is None else _texts(found["texts"])
    fill = found["fill"]
    if fill is not None and texts is None:
        fill = _number(fill)
    elif fill is not None:
        fill = _text(fill)
    return Rule(_text(found["name"]), texts, fill)


def _format(found):
    sep, decimal = (_text(found[name], or_none=True) for name in ("sep", "decimal"))
    thousands = _text(found.get("thousands"), or_none=True)  # models of before --thousands lack it
    if any(mark is not None and len(mark) != 1 for mark in (sep, decimal)):
        raise ValueError("sep and decimal must be one character")
    encoding = _text(found["encoding"], or_none=True)
    na_values = None if found["na_values"] is None else tuple(_texts(found["na_values"]))
    return Format(
        sep,
        encoding and check_encoding(encoding),
        decimal,
        None if thousands is None else check_thousands(thousands),
        na_values,
    )


def _held(found):
    size = found["test_size"]
    if (
        type(size) not in (int, float)
        or not 0 < size < 2**63
        or (size >= 1 and type(size) is float)
    ):
        raise ValueError(f"test_size must be a share or a count, got {size!r}")
    for name, most in (("n_rows", 2**63), ("seed", 2**32)):
        if type(found[name]) is not int or not 0 <= found[name] < most:
            raise ValueError(f"{name} must be a whole number, got {found[name]!r}")
    prints = [_text(found[name]) for name in ("data", "weights", "rows")]
    return Held(*prints, found["n_rows"], size, found["seed"])


def _text(value, *, or_none=False):
    if not (isinstance(value, str) or (or_none and value is None)):
        raise TypeError(f"expected text, got {value!r:.40}")
    return value


def _texts(values):
    if not isinstance(values, list):
        raise TypeError(f"expected a list, got {values!r:.40}")
    return [_text(value) for value in values]


def _number(value):
    if type(value) not in (int, float) or not np.isfinite(value):
        raise TypeError(f"expected a finite number, got {value!r:.40}")
    return float(value)


# Fingerprints


def of_data(X, y):
    """Return the fingerprint of rows and their labels."""
    digest = hashlib.sha256(f"{X.shape} {X.dtype.str} ".encode())
    digest.update(np.ascontiguousarray(X).data)
    digest.update(json.dumps(y.tolist()).encode())
    return digest.hexdigest()


def of_rows(rows):
    """Return the fingerprint of the numbers of rows."""
    return hashlib.sha256(np.asarray(rows, dtype="<i8").tobytes()).hexdigest()


def of_weights(estimator):
    """Return the fingerprint of the weights of a model."""
    digest = hashlib.sha256()
    for array in estimator._network.arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
