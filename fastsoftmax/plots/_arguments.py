"""Validate the models, labels and names that the plots are given."""

import numpy as np


def check_classifier(model):
    """Raise unless `model` is a fitted classifier with one class a row."""
    from sklearn.utils.validation import check_is_fitted

    if isinstance(model, type) or not hasattr(model, "predict"):
        raise TypeError(f"model must be a fitted classifier, got {_kind(model)}")
    check_is_fitted(model)
    if not hasattr(model, "classes_"):
        raise TypeError(f"model must be a classifier with classes_, got {_kind(model)}")
    if getattr(model, "multilabel_", False):
        raise ValueError("model must have one class a row, got a multi-label model")


def _kind(model):
    return f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__


def class_positions(y, classes):
    """Return the position in `classes` of each label of y, which has to be one of them."""
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y must have shape (n_rows,), got {y.shape}")
    numbers = {label: position for position, label in enumerate(np.asarray(classes).tolist())}
    positions = np.array([numbers.get(label, -1) for label in y.tolist()], dtype=np.intp)
    unknown = np.flatnonzero(positions < 0)
    if len(unknown):
        row = int(unknown[0])
        raise ValueError(
            f"y must contain only the {len(numbers)} classes of the model, "
            f"got {y.tolist()[row]!r} at row {row}"
        )
    return positions


def as_array(values, name):
    """Return a sparse matrix as an array; all else as it is."""
    if not hasattr(values, "toarray"):
        return values
    from ..estimators._sparse import to_dense

    return to_dense(values, name)


def check_rows(n_rows, y):
    """Raise unless there is a label for each of `n_rows` rows."""
    if len(y) != n_rows:
        raise ValueError(f"y must have {n_rows} rows like X, got {len(y)}")
    if n_rows == 0:
        raise ValueError("X must have at least one row, got none")


def names_of_classes(classes, class_names):
    """Return what classes are called in a picture: the labels, unless the caller has names."""
    if class_names is None:
        return [as_text(label) for label in np.asarray(classes).tolist()]
    is_list = not isinstance(class_names, str) and hasattr(class_names, "__len__")
    if not is_list or len(class_names) != len(classes):
        got = len(class_names) if is_list else repr(class_names)
        raise ValueError(
            f"class_names must have a name for each of {len(classes)} classes, got {got}"
        )
    return [as_text(name) for name in class_names]


def as_text(name):
    """Return a name for matplotlib, which would set what stands between dollars as mathematics."""
    return str(name).replace("$", r"\$")
