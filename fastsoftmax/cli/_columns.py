"""The columns of a table: numbers or texts, and how they become the features of a model.

A column of numbers is one feature. A column of texts is a feature for each distinct text, 1 where
the row holds it and 0 elsewhere, named column=text.
"""

import contextlib
import warnings
from typing import NamedTuple

import numpy as np

from ._errors import CommandError, missing_value
from ._number_texts import LIKE_A_NUMBER
from ._option_types import written

MOST_TEXTS = 100  # distinct texts of a column above which it is a name, not a category


class Column(NamedTuple):
    """A column as the file has it."""

    name: str
    values: np.ndarray  # float64, NaN where missing; or objects: str, None where missing

    @property
    def is_text(self):
        """Whether it holds texts."""
        return self.values.dtype == object

    @property
    def missing(self):
        """Whether each row lacks a value."""
        if self.is_text:
            return np.array([value is None for value in self.values], dtype=bool)
        return np.isnan(self.values)


class Rule(NamedTuple):
    """How a column becomes features."""

    name: str
    texts: list[str] | None  # None: numbers
    fill: float | str | None  # what stands for a missing value; None: it is an error

    @property
    def features(self):
        """The names of its features."""
        if self.texts is None:
            return [self.name]
        return [f"{self.name}={text}" for text in self.texts]


def without_numbers(values, na_values):
    """Return numbers with NaN for those that one of `na_values` writes."""
    for text in na_values:
        with contextlib.suppress(ValueError):  # a text, which no number is
            values = np.where(values == float(text), np.nan, values)
    return values


def warn_of_numbers(path, name, texts, hint):
    """Warn of a column that nobody has called one of texts, where each of them looks like a number."""
    if texts and all(LIKE_A_NUMBER.fullmatch(text) for text in texts):
        warnings.warn(
            f"{path}: column {name!r} is read as texts, such as {texts[0]!r}, with a feature for each: "
            f"if they are numbers, {hint}; if they are texts, pass --categorical {written(name)}",
            UserWarning,
            stacklevel=2,
        )


def warn_of_groups(path, name, texts, hint):
    """
    Warn of a column that nobody has called one of texts, with numbers in groups of three digits.

    With more texts than a column of categories holds it is an error.
    """
    if len(set(texts)) > MOST_TEXTS:
        raise CommandError(
            f"{path}: column {name!r} holds numbers in groups of three digits, such as {texts[0]!r}: "
            f"{hint}"
        )
    warnings.warn(
        f"{path}: column {name!r} is read as texts, such as {texts[0]!r}, with a feature for each, "
        f"but these are numbers in groups of three digits: {hint}",
        UserWarning,
        stacklevel=2,
    )


def learn_rules(path, columns, rows, *, fill, many_texts=()):
    """
    Return a Rule for each column.

    Parameters
    ----------
    path : str
        For messages.
    columns : list of Column
    rows : ndarray of int
        The rows to train on, which the values to fill with are taken from.
    fill : bool
        Whether missing values are filled: with the median, or the most frequent text.
    many_texts : collection of str
        Columns that may hold more than `MOST_TEXTS` distinct texts.
    """
    rules = [_learn_rule(path, column, rows, fill, many_texts) for column in columns]
    names = [name for rule in rules for name in rule.features]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CommandError(f"{path}: two features would be named {twice!r}; rename a column")
    return rules


def _learn_rule(path, column, rows, fill, many_texts):
    present = ~column.missing
    if not present.any():
        raise CommandError(
            f"{path}: column {column.name!r} is empty; leave it out with --drop {written(column.name)}"
        )
    known = column.values[rows][present[rows]]
    if fill and not len(known):
        raise CommandError(f"{path}: column {column.name!r} is empty in all rows to train on")
    if not column.is_text:
        return Rule(column.name, None, float(np.median(known)) if fill else None)
    texts = sorted(set(column.values[present]))
    if len(texts) > MOST_TEXTS and column.name not in many_texts:
        raise CommandError(
            f"{path}: column {column.name!r} holds {len(texts)} different texts, such as "
            f"{texts[0][:40]!r}: leave it out with --drop, or take each for a category with "
            "--categorical"
        )
    known = known.tolist()
    return Rule(column.name, texts, max(sorted(set(known)), key=known.count) if fill else None)


def to_features(path, columns, rules, *, remedy):
    """
    Return the features of all rows, float64.

    Parameters
    ----------
    path : str
        For messages.
    columns : list of Column
    rules : list of Rule
        In the order of the columns.
    remedy : str
        What the user may do about missing values, for messages.
    """
    n_rows = len(columns[0].values)
    X = np.zeros((n_rows, sum(len(rule.features) for rule in rules)))
    first = 0
    for column, rule in zip(columns, rules, strict=True):
        width = len(rule.features)
        _write(path, column, rule, X[:, first : first + width], remedy)
        first += width
    return X


def _write(path, column, rule, block, remedy):
    values, missing = column.values, column.missing
    if missing.any():
        if rule.fill is None:
            raise missing_value(path, f"column {column.name!r}", missing, remedy)
        values = np.where(missing, rule.fill, values)
    if rule.texts is None:
        block[:, 0] = values
        return
    numbers = {text: number for number, text in enumerate(rule.texts)}
    codes = np.array([numbers.get(text, -1) for text in values], dtype=np.intp)
    known = np.flatnonzero(codes >= 0)
    block[known, codes[known]] = 1
    unknown = len(codes) - len(known)
    if unknown:
        row = int(np.flatnonzero(codes < 0)[0])
        warnings.warn(
            f"{path}: column {column.name!r} holds {values[row]!r} in row {row + 1}, which the "
            f"model has not learnt; it counts as none of its texts ({unknown} row{'' if unknown == 1 else 's'})",
            UserWarning,
            stacklevel=2,
        )


def which_are_numbers(rules):
    """Return whether each feature is a number, not one of the texts of a column."""
    return np.array([rule.texts is None for rule in rules for _ in rule.features], dtype=bool)
