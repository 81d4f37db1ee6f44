"""Labels as the user writes them, and as the loss reads them."""

import warnings
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ._checks import refuse_masked, require_sorted
from ._sparse import to_dense


class Labels(NamedTuple):
    """The sorted classes of a problem, and whether a row may have several of them."""

    classes: np.ndarray
    is_multilabel: bool

    @property
    def logistic(self):
        """Whether outputs are sigmoids: two classes share one, labels have one each."""
        return self.is_multilabel or len(self.classes) == 2

    @property
    def n_outputs(self):
        """Number of logits."""
        n_classes = len(self.classes)
        return 1 if n_classes == 2 and not self.is_multilabel else n_classes

    def encode(self, y):
        """Return int32 class numbers (n_rows,); uint8 labels (n_rows, n_outputs) for sigmoids."""
        if self.is_multilabel:
            return _encode_indicators(y, len(self.classes))
        if y.ndim != 1:
            raise ValueError(f"y must have shape (n_rows,), got {y.shape}")
        require_sorted(self.classes)
        try:
            codes = _searchsorted(self.classes, y)
            codes[codes == len(self.classes)] = 0
            unknown = self.classes[codes] != y
        except TypeError:  # labels of another type, which cannot be compared with classes
            numbers = {label: number for number, label in enumerate(self.classes.tolist())}
            codes = np.array([numbers.get(label, -1) for label in y.tolist()], np.intp)
            unknown = codes < 0
        if unknown.any():
            row = unknown.argmax()
            raise ValueError(
                f"y must contain only the classes {_shown(self.classes)}, "
                f"got {_plain(y[row])!r} at row {row}"
            )
        if self.logistic:
            return codes.astype(np.uint8)[:, np.newaxis]
        return codes.astype(np.int32)

    def decode(self, logits):
        """Return the predicted labels of rows of logits."""
        if self.is_multilabel:
            return (logits > 0).astype(np.int64)
        if self.logistic:
            return self.classes[(logits[:, 0] > 0).astype(np.intp)]
        return self.classes[logits.argmax(axis=1)]


def _searchsorted(classes, y):
    """Return where labels lie among sorted classes; double has not every uint64 and int64."""
    kinds = classes.dtype.kind + y.dtype.kind
    if kinds in ("iu", "ui") and np.result_type(classes, y).kind == "f":
        classes, y = classes.astype(object), y.astype(object)
    return classes.searchsorted(y)


def _plain(label):
    """Return a label as Python has it: elements of object arrays are already."""
    return label.item() if isinstance(label, np.generic) else label


def _shown(classes):
    names = ", ".join(repr(c) for c in classes[:10].tolist())
    return f"[{names}{', ...' if len(classes) > 10 else ''}]"


def _encode_indicators(y, n_labels):
    if y.ndim != 2 or y.shape[1] != n_labels:
        raise ValueError(f"y must have shape (n_rows, {n_labels}), got {y.shape}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("multi-label y must contain only 0 and 1")
    return np.ascontiguousarray(y, dtype=np.uint8)


def read_targets(y, name="y"):
    """Return y as a vector of labels, or as a matrix where rows may have several."""
    if type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biu":
        return y
    refuse_masked(y, name)
    if sparse.issparse(y):
        y = to_dense(y, name)
    y = y if isinstance(y, np.ndarray) else np.asarray(y)
    if y.dtype.kind == "T":  # NumPy's variable-width strings, which scikit-learn does not take
        y = y.astype(object)
    if y.dtype.kind in "OmM":
        _refuse_na(y, name)
    if y.ndim == 2 and y.shape[1] > 1:
        return check_array(y, dtype=None, input_name=name)
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name=name)
    return y


_MISSING = {"NoneType": "None", "NAType": "NA", "NaTType": "NaT"}
"""What pandas and Python write for a missing value, by the name of its type: it cannot be compared."""


def _refuse_na(y, name):
    """Raise about missing values, which cannot be compared."""
    if y.dtype.kind in "mM":
        found = ["NaT" if missing else None for missing in np.isnat(y).flat]
    else:
        found = [_MISSING.get(type(label).__name__) for label in y.flat]
    for i, missing in enumerate(found):
        if missing is not None:
            row = i // max(1, y[:1].size)
            raise ValueError(f"{name} must have no missing values, got {missing} at row {row}")


def find_labels(y, name):
    """Return the Labels that occur in y; at least two."""
    try:
        return _find_labels(y, name)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in y.flat})
        if len(kinds) < 2:
            raise
        raise TypeError(f"y must have labels of one type, got {', '.join(kinds)}") from error


def _find_labels(y, name):
    check_classification_targets(y)
    if y.ndim == 2:
        if type_of_target(y) != "multilabel-indicator":
            raise ValueError(f"y of shape {y.shape} must contain 0 and 1 only: one label a column")
        if (y.sum(axis=1) == 1).all():
            warnings.warn(
                "every row of y has exactly one 1, so the classes exclude each other: "
                "pass y.argmax(axis=1) to train one softmax instead of a sigmoid a column",
                UserWarning,
                stacklevel=7,
            )
        return Labels(np.arange(y.shape[1]), True)
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"{name} needs samples of at least 2 classes, got one class: {_plain(classes[0])!r}"
        )
    return Labels(classes, False)
