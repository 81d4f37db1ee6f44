"""What an estimator does to X, y and weights before anything is computed."""

import inspect
import math
import warnings

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils import assert_all_finite, compute_class_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import _tables
from ._checks import TOTAL_WEIGHTS, n_features_of, names_of, refuse_masked, scale_of
from ._compiled import all_finite
from ._data import READABLE, Rows, Split, is_readable
from ._sparse import whole
from ._targets import read_targets

_parameters = inspect.signature(_check_sample_weight).parameters
_ALL_MAY_BE_0 = {name: True for name in _parameters if name == "allow_all_zero_weights"}
"""scikit-learn 1.9 and newer refuse such weights unless they are told not to."""

_CHECKED_BYTES = 64 << 20
_BYTE_SCALE = 1 / 255
_MOST_OF_A_TABLE = 100
"""A table of uint8 with values above this may be images that somebody has flattened."""


def stacked(X):
    """Return a list of images as one array; all else as it is."""
    if not isinstance(X, (list, tuple)) or not X or getattr(X[0], "ndim", np.ndim(X[0])) < 2:
        return X
    try:
        return np.stack([np.asarray(image) for image in X])
    except ValueError as error:
        raise ValueError(f"X must be images of one shape: {error}") from error


def flatten_images(X):
    """Return X with all axes after the first made one; what is no array is returned as it is."""
    if getattr(X, "ndim", 2) > 2 and not sparse.issparse(X):
        X = np.asanyarray(X)
        X = X.reshape(len(X), -1)
    return X


def check_fit_X(estimator, X, *, reset=True):
    """Return X checked by scikit-learn's rules, in a dtype that kernels read."""
    if not reset and is_plain(estimator, X):
        _require_finite(estimator, X)
        return X
    refuse_masked(X, "X")
    if not reset:
        _refuse_texts_as_they_are(estimator, X)
    X = whole(X, "X") if sparse.issparse(X) else X
    given = X
    try:
        X = validate_data(
            estimator,
            flatten_images(X),
            reset=reset,
            dtype=list(READABLE),
            accept_sparse="csr",
            ensure_all_finite=sparse.issparse(X),
        )
    except (TypeError, ValueError) as error:
        is_about_values = "float" in str(error).lower()
        if not is_about_values or not (where := _tables.in_columns_of_texts(given)):
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"X must hold numbers, got other values{where}: {error}") from error
    if not sparse.issparse(X):
        _require_finite(estimator, X)
    return X.astype(np.float64) if sparse.issparse(X) and X.dtype == np.uint8 else X


def _refuse_texts_as_they_are(estimator, X):
    """Raise about columns of texts in X where a model of the command line has a feature for each text."""
    if getattr(estimator, "_notes", None) is None or not hasattr(X, "columns"):
        return
    features = names_of(estimator, n_features_of(estimator)) or []
    others = set(X.columns) - set(features)
    made = {name: [text for text in features if text.startswith(f"{name}=")] for name in others}
    columns = [name for name in X.columns if made.get(name)]
    if columns:
        raise ValueError(
            f"X must hold the {len(features)} features of feature_names_in_, got columns {columns}: "
            "`fastsoftmax train` has made a feature for each of their texts, such as "
            f"{made[columns[0]][0]!r}; `fastsoftmax predict` reads such tables"
        )


def _require_finite(estimator, X):
    """Raise about NaN and infinity, part by part: Ctrl-C is honoured between parts."""
    rows = max(1, _CHECKED_BYTES // max(1, X.shape[1] * X.itemsize))
    for start in range(0, 0 if X.dtype == np.uint8 else len(X), rows):
        part = X[start : start + rows]
        if not all_finite(part):
            assert_all_finite(part, estimator_name=type(estimator).__name__, input_name="X")


def are_images(X):
    """Whether X is what "auto" scales: uint8 of more than two axes."""
    return getattr(X, "ndim", 2) > 2 and np.asanyarray(X).dtype == np.uint8


def fit_input_scale(input_scale, X):
    """Return the factor that X, as the user has passed it, is read with."""
    if not isinstance(input_scale, str):
        return float(input_scale)
    return _BYTE_SCALE if are_images(X) else 1.0


def warn_of_bytes(input_scale, X, rows):
    """Warn of a table of uint8 that looks like flattened images, which "auto" does not scale."""
    if not isinstance(input_scale, str) or are_images(X):
        return
    is_table_of_bytes = rows.dtype == np.uint8 or getattr(X, "dtype", None) == np.uint8
    if is_table_of_bytes and rows.max() > _MOST_OF_A_TABLE:
        warnings.warn(
            f"X is a table of uint8 with values up to {int(rows.max())}, read as they are: if these "
            "are images, pass input_scale=1/255, or X of shape (n_rows, height, width)",
            UserWarning,
            stacklevel=7,
        )


def check_family(estimator, X, dtype):
    """Raise if "auto" has scaled the training data and would not scale X, or the reverse.

    `dtype` is what scikit-learn's checks have made of X. Where images have been learnt, rows of
    uint8 are images too, flattened.
    """
    if not isinstance(estimator.input_scale, str):
        return
    scale = scale_of(estimator, "input_scale_")
    fitted_on_images = scale != 1
    if dtype == np.uint8 if fitted_on_images else not are_images(X):
        return
    fitted = "images of uint8" if fitted_on_images else "floating images or a table"
    raise ValueError(
        f"X must be of the kind that the estimator was fitted on ({fitted}, read times "
        f"input_scale_={scale:.6g}), got shape {np.shape(X)} and dtype {dtype}: "
        "convert it, or pass input_scale=1.0 or another number instead of 'auto'"
    )


def is_plain(estimator, X):
    """Whether X needs no check but for finite values: the common case, made fast."""
    return (
        type(X) is np.ndarray
        and is_readable(X)
        and X.shape[1] == n_features_of(estimator)
        and X.shape[0] > 0
        and not hasattr(estimator, "feature_names_in_")
    )


def needs_nothing(estimator, X):
    """Whether X is an array of floats that kernels read as it is; they check what it must be."""
    if type(X) is not np.ndarray or X.dtype.char not in "fd":
        return False
    fitted = vars(estimator)
    n_features, scale = fitted.get("n_features_in_"), fitted.get("input_scale_")
    return (
        type(n_features) is int
        and X.shape[-1:] == (n_features,)
        and len(X) > 0
        and type(scale) is float
        and scale == 1.0
        and "feature_names_in_" not in fitted
    )


def predict_rows(estimator, X):
    """Return (Rows, whether X still has to be checked for NaN and infinity)."""
    if not hasattr(estimator, "classes_"):
        check_is_fitted(estimator, "classes_")
    X = stacked(X)
    scale, plain = scale_of(estimator, "input_scale_"), is_plain(estimator, X)
    if plain:
        if scale != 1:  # a table is no image
            check_family(estimator, X, X.dtype)
        return Rows(X, scale), True
    checked = check_fit_X(estimator, X, reset=False)
    check_family(estimator, X, checked.dtype)
    return Rows(checked, scale), False


def checked_weights(sample_weight, X):
    """Return the weight of each row of X in double; all may be 0, as in a part of the rows."""
    refuse_masked(sample_weight, "sample_weight")
    return _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=True, **_ALL_MAY_BE_0
    )


def read_sample_weight(sample_weight, X):
    """Return the weight of each row of X in double; not all may be 0."""
    weights = checked_weights(sample_weight, X)
    if not weights.any():
        raise ValueError("sample_weight must not be zero for all rows")
    return weights


def weights_of_a_mean(sample_weight, X):
    """Return the weight of each row in a mean, which a common factor does not change: at most 1."""
    if sample_weight is None:
        return np.ones(X.shape[0])
    weights = read_sample_weight(sample_weight, X)
    return np.ldexp(weights, -np.frexp(weights.max())[1])  # exact, and no sum leaves the range


def row_weights(estimator, X, y, labels, sample_weight):
    """Return the product of sample and class weights in double; None where all are 1."""
    weights = None if sample_weight is None else read_sample_weight(sample_weight, X)
    if estimator.class_weight is None:
        return _with_usable_sum(weights, "sample_weight")
    if labels.is_multilabel:
        raise ValueError("class_weight must be None for multi-label y")
    with np.errstate(all="ignore"):  # a class without weight, told below
        by_class = compute_class_weight(
            estimator.class_weight, classes=labels.classes, y=y, sample_weight=sample_weight
        )
    check_class_weights(by_class, estimator.class_weight, labels)
    by_row = by_class[np.searchsorted(labels.classes, y)]
    with np.errstate(all="ignore"):
        weights = by_row if weights is None else weights * by_row
    if not weights.any():
        raise ValueError("class_weight and sample_weight must not be zero for all rows")
    return _with_usable_sum(weights, "class_weight and sample_weight")


def check_class_weights(by_class, class_weight, labels):
    """Raise about the weights of classes that a class_weight has led to, if they are of no use."""
    is_finite = np.isfinite(by_class)
    if isinstance(class_weight, str) and not is_finite.all():
        without = labels.classes[~is_finite][0]
        without = without.item() if isinstance(without, np.generic) else without
        raise ValueError(
            f"class_weight='balanced' needs rows of positive sample_weight in each class, "
            f"got none of class {without!r}"
        )
    if not (is_finite.all() and (by_class >= 0).all()):
        raise ValueError(f"class_weight must be finite and >= 0, got {class_weight}")


def _with_usable_sum(weights, name):
    """Return the weights of rows, whose sum must be of a size that losses can be multiplied with."""
    if weights is not None:
        (low, high), largest = TOTAL_WEIGHTS, float(weights.max())
        if not low <= largest or not largest * len(weights) <= high:
            raise ValueError(
                f"{name} must have a sum in [{low:g}, {high:g}], got weights up to {largest:g} for "
                f"{len(weights)} rows"
            )
    return weights


def hold_out(estimator, train, labels, y, seed):
    """Return the rows to train on and, under early stopping, a stratified share to validate on."""
    if not estimator.early_stopping:
        return train, None
    rows = np.arange(train.n_rows) if train.index is None else train.index
    n_rows, stratify = len(rows), None if labels.is_multilabel else y[rows]
    least = 1 if labels.is_multilabel else len(np.unique(stratify))
    n_held = max(math.ceil(estimator.validation_fraction * n_rows), least)
    if n_rows - n_held < least:
        of_what = "" if train.index is None else " of positive weight"
        raise ValueError(
            f"early_stopping needs more rows: of {n_rows}{of_what}, "
            f"validation_fraction={estimator.validation_fraction:g} would hold out {n_held} and "
            f"leave {n_rows - n_held}, fewer than {least}; or pass X_val and y_val"
        )
    kept, held = train_test_split(rows, test_size=n_held, random_state=seed, stratify=stratify)
    parts = (np.sort(kept), np.sort(held))
    return [Split(train.rows, train.targets, train.weights, part) for part in parts]


def validation_split(estimator, X_val, y_val, labels):
    """Return the user's own validation data as a Split."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together")
    if X_val is None:
        return None
    X_val = stacked(X_val)
    checked = check_fit_X(estimator, X_val, reset=False)
    check_family(estimator, X_val, checked.dtype)
    y_val = read_targets(y_val, "y_val")
    if len(y_val) != checked.shape[0]:
        raise ValueError(f"y_val must have {checked.shape[0]} rows like X_val, got {len(y_val)}")
    return Split(Rows(checked, estimator.input_scale_), labels.encode(y_val))
