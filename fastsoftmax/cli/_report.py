"""How good a model is on rows with labels: loss, accuracy, confusion matrix, report."""

import numpy as np

from ._errors import CommandError
from ._models import has_text_labels

MOST_CLASSES = 30  # a wider confusion matrix is left to --json


def check_labels(estimator, rows):
    """Raise about the first label that the model has never seen."""
    unknown = np.flatnonzero(~np.isin(rows.y, estimator.classes_))
    if rows.y.dtype.kind in "US" and not has_text_labels(estimator):
        unknown = np.arange(len(rows.y))
    if len(unknown):
        row = unknown[0]
        raise CommandError(
            f"{rows.name}: label {str(rows.y[row])!r} in row {row + 1} is none of the model's "
            f"{len(estimator.classes_)} classes"
        )


def assess(estimator, X, y):
    """Return loss, accuracy, confusion_matrix and report (scikit-learn's, as a dict)."""
    from sklearn.metrics import classification_report, confusion_matrix

    predicted = estimator.predict(X)
    labels = estimator.classes_
    report = classification_report(y, predicted, labels=labels, output_dict=True, zero_division=0)
    return {
        **{name: float(value) for name, value in estimator.evaluate(X, y).items()},
        "n_rows": len(y),
        "classes": labels.tolist(),
        "confusion_matrix": confusion_matrix(y, predicted, labels=labels).tolist(),
        "report": report,
        "text": classification_report(y, predicted, labels=labels, digits=4, zero_division=0),
    }


def print_assessment(found):
    """Print what `assess` found."""
    print(f"test loss {found['loss']:.4f}, test accuracy {found['accuracy']:.4f}\n")
    if len(found["classes"]) <= MOST_CLASSES:
        print("confusion matrix (a row per true class, a column per predicted class)")
        print_matrix(found["classes"], found["confusion_matrix"])
    else:
        print(f"the confusion matrix of {len(found['classes'])} classes is printed with --json")
    print(f"\n{found['text'].rstrip()}")


def print_matrix(classes, matrix):
    """Print counts with their classes at the left and on top."""
    names = [str(name) for name in classes]
    left = max(len(name) for name in names)
    wide = max(len(str(count)) for row in matrix for count in row)
    wide = max(wide, min(left, 10)) + 1
    print(" " * left + "".join(f"{name[: wide - 1]:>{wide}}" for name in names))
    for name, row in zip(names, matrix, strict=True):
        print(f"{name:>{left}}" + "".join(f"{count:>{wide}}" for count in row))
