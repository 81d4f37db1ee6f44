"""What an estimator does to X, y and weights before anything is computed."""

import math

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils import assert_all_finite, compute_class_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ._data import READABLE, Rows, is_readable
from ._state import Split
from ._targets import read_targets

_CHECKED_BYTES = 64 << 20


def flatten_images(X):
    """Return X with all axes after the first made one; what is no array is returned as it is."""
    if getattr(X, "ndim", 2) > 2 and not sparse.issparse(X):
        X = np.asanyarray(X)
        X = X.reshape(len(X), -1)
    return X


def check_fit_X(estimator, X, *, reset=True):
    """Return X checked by scikit-learn's rules, in a dtype that kernels read."""
    X = validate_data(
        estimator,
        flatten_images(X),
        reset=reset,
        dtype=list(READABLE),
        accept_sparse="csr" if estimator._accepts_sparse else False,
        ensure_all_finite=sparse.issparse(X),
    )
    if not sparse.issparse(X):
        _require_finite(estimator, X)
    return X.astype(np.float64) if sparse.issparse(X) and X.dtype == np.uint8 else X


def _require_finite(estimator, X):
    """Raise about NaN and infinity, part by part: Ctrl-C is honoured between parts."""
    rows = max(1, _CHECKED_BYTES // max(1, X.shape[1] * X.itemsize))
    for start in range(0, 0 if X.dtype == np.uint8 else len(X), rows):
        assert_all_finite(
            X[start : start + rows],
            estimator_name=type(estimator).__name__,
            input_name="X",
        )


def fit_input_scale(input_scale, X):
    """Return the factor that X is read with: 1/255 for uint8 images under "auto"."""
    if isinstance(input_scale, str):
        return 1 / 255 if X.dtype == np.uint8 else 1.0
    return float(input_scale)


def check_family(estimator, X):
    """Raise if "auto" has scaled the training data and would not scale these, or the reverse."""
    if (
        not isinstance(estimator.input_scale, str)
        or (X.dtype == np.uint8) == estimator._fitted_on_uint8
    ):
        return
    fitted, got = "uint8", X.dtype
    if not estimator._fitted_on_uint8:
        fitted = "floating"
    raise ValueError(
        f"X must have the kind of dtype that the estimator was fitted on ({fitted}, read times "
        f"input_scale_={estimator.input_scale_:.6g}), got {got}: convert it, or pass "
        "input_scale=1.0 or another number instead of 'auto'"
    )


def is_plain(estimator, X):
    """Whether X needs no check but for finite values: the common case, made fast."""
    return (
        type(X) is np.ndarray
        and is_readable(X)
        and X.shape[1] == getattr(estimator, "n_features_in_", -1)
        and X.shape[0] > 0
        and not hasattr(estimator, "feature_names_in_")
    )


def predict_rows(estimator, X):
    """Return (Rows, whether X still has to be checked for NaN and infinity)."""
    if not hasattr(estimator, "classes_"):
        check_is_fitted(estimator, "classes_")
    plain = is_plain(estimator, X)
    if not plain:
        X = check_fit_X(estimator, X, reset=False)
    check_family(estimator, X)
    return Rows(X, estimator.input_scale_), plain


def read_sample_weight(sample_weight, X):
    """Return the weight of each row of X in double."""
    weights = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=True
    )
    if not weights.any():
        raise ValueError("sample_weight must not be 0 for all rows")
    return weights


def row_weights(estimator, X, y, labels, sample_weight):
    """Return the product of sample and class weights in double; None where all are 1."""
    weights = None if sample_weight is None else read_sample_weight(sample_weight, X)
    if estimator.class_weight is None:
        return weights
    if labels.is_multilabel:
        raise ValueError("class_weight must be None for multi-label y")
    by_class = compute_class_weight(
        estimator.class_weight, classes=labels.classes, y=y, sample_weight=sample_weight
    )
    if not (np.isfinite(by_class).all() and (by_class >= 0).all()):
        raise ValueError(f"class_weight must be finite and >= 0, got {estimator.class_weight}")
    by_row = by_class[np.searchsorted(labels.classes, y)]
    weights = by_row if weights is None else weights * by_row
    if not weights.any():
        raise ValueError("class_weight and sample_weight must not be 0 for all rows")
    return weights


def hold_out(estimator, train, labels, y, seed):
    """Return the rows to train on and, under early stopping, a stratified share to validate on."""
    if not estimator.early_stopping:
        return train, None
    n_rows, stratify = train.n_rows, None if labels.is_multilabel else y
    least = 1 if labels.is_multilabel else len(labels.classes)
    n_held = max(math.ceil(estimator.validation_fraction * n_rows), least)
    if n_rows - n_held < least:
        raise ValueError(
            f"early_stopping needs more rows: of {n_rows}, "
            f"validation_fraction={estimator.validation_fraction:g} would hold out {n_held} and "
            f"leave {n_rows - n_held}, fewer than {least}; or pass X_val and y_val"
        )
    kept, held = train_test_split(
        np.arange(n_rows), test_size=n_held, random_state=seed, stratify=stratify
    )
    parts = (np.sort(kept), np.sort(held))
    return [Split(train.rows, train.targets, train.weights, part) for part in parts]


def validation_split(estimator, X_val, y_val, labels):
    """Return the user's own validation data as a Split."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together")
    if X_val is None:
        return None
    X_val = check_fit_X(estimator, X_val, reset=False)
    check_family(estimator, X_val)
    y_val = read_targets(y_val)
    if len(y_val) != X_val.shape[0]:
        raise ValueError(f"y_val must have {X_val.shape[0]} rows like X_val, got {len(y_val)}")
    return Split(Rows(X_val, estimator.input_scale_), labels.encode(y_val))
