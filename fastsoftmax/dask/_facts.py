"""What the partitions say about themselves, and what follows for the whole."""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import clone

from ..estimators._inputs import (
    are_images,
    check_class_weights,
    check_family,
    checked_weights,
    fit_input_scale,
    warn_of_bytes,
)
from ..estimators._targets import find_labels


class Facts(NamedTuple):
    """One partition: found by a task, judged by the client."""

    n_rows: int
    n_bytes: int
    n_features: int
    feature_names: Any
    dtype: np.dtype
    scale: float
    largest_byte: int  # of a table of uint8, else 0
    labels: np.ndarray  # the classes that occur, or some rows of a matrix of labels
    weight_by_class: np.ndarray | None
    n_used: int  # rows of positive weight
    weight: float


def number_of_rows(X):
    """Return the number of rows of a piece; lists count as arrays do."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def read(estimator, X, y, *, reset):
    """Return the rows and targets of a piece, checked as the estimator of one machine does."""
    if y is None:
        raise ValueError("y must be given")
    return estimator._read(X, as_vector(y), reset=reset)


def as_vector(y):
    """Return a column as a vector, which the client has warned of; all else as it is."""
    if sparse.issparse(y) or getattr(y, "ndim", 1) != 2 or y.shape[1] != 1:
        return y
    return np.asanyarray(y).reshape(-1)


def facts_of(X, y, sample_weight, estimator, reset, number):
    """Return the Facts of a piece; None if it has no rows. `reset`: nothing is known before."""
    try:
        return _facts_of(X, y, sample_weight, estimator, reset)
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"partition {number}: {error}") from error


def _facts_of(X, y, sample_weight, estimator, reset):
    if not (hasattr(X, "shape") or isinstance(X, (list, tuple))):
        raise TypeError(f"X must be array_like, got {type(X).__name__}")
    if number_of_rows(X) == 0:
        return None
    estimator, given = clone(estimator) if reset else estimator, X
    X, y = read(estimator, X, y, reset=reset)
    if not reset:
        check_family(estimator, given, X.dtype)
    weights = np.ones(len(y)) if sample_weight is None else checked_weights(sample_weight, X)
    is_table_of_bytes = X.dtype == np.uint8 and not are_images(given)
    labels, weight_by_class = _labels(y, weights)
    return Facts(
        n_rows=X.shape[0],
        n_bytes=X.data.nbytes + X.indices.nbytes if sparse.issparse(X) else X.nbytes,
        n_features=X.shape[1],
        feature_names=getattr(estimator, "feature_names_in_", None),
        dtype=X.dtype,
        scale=fit_input_scale(estimator.input_scale, given),
        largest_byte=int(X.max()) if is_table_of_bytes else 0,
        labels=labels,
        weight_by_class=weight_by_class,
        n_used=int(np.count_nonzero(weights)),
        weight=float(weights[weights > 0].sum()),
    )


def _labels(y, weights):
    """Return the classes and the weight of each; or rows that say what kind of labels these are."""
    if y.ndim == 2:
        several = np.flatnonzero(y.sum(axis=1) != 1)
        others = np.flatnonzero(~np.isin(y, (0, 1)).all(axis=1))
        return y[[0, *several[:1], *others[:1]]], None
    classes, codes = np.unique(y, return_inverse=True)
    return classes, np.bincount(codes, weights)


class Whole(NamedTuple):
    """What the facts of all partitions add up to."""

    labels: Any
    n_rows: int
    n_bytes: int
    n_features: int
    feature_names: Any
    dtype: np.dtype
    scale: float
    largest_byte: int
    weight_by_class: np.ndarray | None


_SAME = {"n_features": "number of features", "dtype": "dtype", "scale": "input scale"}


def whole_of(facts, name):
    """Return the Whole of a list of Facts by partition number; raise where they contradict each other."""
    (first, one), *others = facts
    for number, other in others:
        for field, words in _SAME.items():
            mine, theirs = getattr(one, field), getattr(other, field)
            if mine != theirs:
                raise ValueError(
                    f"all partitions of X must have the same {words}, got {mine} in partition "
                    f"{first} and {theirs} in partition {number}"
                )
        if not np.array_equal(one.feature_names, other.feature_names):
            raise ValueError(
                f"all partitions of X must have the same columns, got {one.feature_names} in "
                f"partition {first} and {other.feature_names} in partition {number}"
            )
        if one.labels.shape[1:] != other.labels.shape[1:]:
            raise ValueError(
                f"all partitions of y must have the same shape of a row, got {one.labels.shape[1:]} "
                f"in partition {first} and {other.labels.shape[1:]} in partition {number}"
            )
        if (one.labels.dtype.kind in "biuf") != (other.labels.dtype.kind in "biuf"):
            raise ValueError(
                f"all partitions of y must have labels of one kind, got {one.labels.dtype} in "
                f"partition {first} and {other.labels.dtype} in partition {number}"
            )
    labels = find_labels(np.concatenate([each.labels for _, each in facts]), name)
    by_class = None if labels.is_multilabel else _add_by_class(labels, facts)
    return Whole(
        labels,
        sum(each.n_rows for _, each in facts),
        sum(each.n_bytes for _, each in facts),
        *one[2:6],
        max(each.largest_byte for _, each in facts),
        by_class,
    )


def _add_by_class(labels, facts):
    total = np.zeros(len(labels.classes))
    for _, each in facts:
        total[np.searchsorted(labels.classes, each.labels)] += each.weight_by_class
    return total


def warn_of_images(input_scale, whole):
    """Warn of a table of uint8 that looks like flattened images."""
    if whole.largest_byte:
        largest = np.array([[whole.largest_byte]], np.uint8)
        warn_of_bytes(input_scale, largest, largest)


def class_factors(class_weight, whole):
    """Return the factor of the loss of each class; None where all are 1."""
    from sklearn.utils import compute_class_weight

    if class_weight is None:
        return None
    labels = whole.labels
    if labels.is_multilabel:
        raise ValueError("class_weight must be None for multi-label y")
    if isinstance(class_weight, str) and class_weight == "balanced":
        by_class = whole.weight_by_class
        with np.errstate(all="ignore"):  # a class without weight, told below
            factors = by_class.sum() / (len(by_class) * by_class)
    else:
        factors = compute_class_weight(class_weight, classes=labels.classes, y=labels.classes)
    check_class_weights(factors, class_weight, labels)
    return factors
