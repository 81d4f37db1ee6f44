"""What an estimator does to X, y and weights before anything is computed."""

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ._data import READABLE, Rows, is_readable
from ._state import Split
from ._targets import read_targets


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
    )
    return X.astype(np.float64) if sparse.issparse(X) and X.dtype == np.uint8 else X


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


def row_weights(estimator, X, y, labels, sample_weight):
    """Return the product of sample and class weights in double; None where all are 1."""
    weights = None
    if sample_weight is not None:
        weights = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=True
        )
        if not weights.any():
            raise ValueError("sample_weight must not be 0 for all rows")
    if estimator.class_weight is None:
        return weights
    if labels.is_multilabel:
        raise ValueError("class_weight must be None for multi-label y")
    by_class = compute_class_weight(
        estimator.class_weight, classes=labels.classes, y=y, sample_weight=sample_weight
    )
    by_row = by_class[np.searchsorted(labels.classes, y)]
    return by_row if weights is None else weights * by_row


def hold_out(estimator, train, labels, y, seed):
    """Return the rows to train on and, under early stopping, a stratified share to validate on."""
    if not estimator.early_stopping:
        return train, None
    index = np.arange(train.n_rows)
    stratify = None if labels.is_multilabel else y
    kept, held = train_test_split(
        index, test_size=estimator.validation_fraction, random_state=seed, stratify=stratify
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
