"""How good a model is on rows with labels: loss, accuracy, confusion matrix, report."""

from ._printing import printable

_WIDEST = 12  # letters of a class on top of the confusion matrix
MOST_CLASSES = 30  # a wider confusion matrix is left to --json


def assess(estimator, X, y, class_names=None):
    """
    Return loss, accuracy, confusion_matrix and report (scikit-learn's, as a dict).

    `class_names` are what the classes are called in the report; their labels by default.
    """
    from sklearn.metrics import classification_report, confusion_matrix

    predicted = estimator.predict(X)
    labels = estimator.classes_
    names = [str(label) for label in labels] if class_names is None else class_names
    options = {"labels": labels, "zero_division": 0}
    return {
        **{name: float(value) for name, value in estimator.evaluate(X, y).items()},
        "n_rows": len(y),
        "classes": labels.tolist(),
        **({} if class_names is None else {"class_names": class_names}),
        "confusion_matrix": confusion_matrix(y, predicted, labels=labels).tolist(),
        "report": classification_report(
            y, predicted, target_names=names, output_dict=True, **options
        ),
        "text": classification_report(
            y, predicted, target_names=[printable(name) for name in names], digits=4, **options
        ),
    }


def print_assessment(found, kind=""):
    """Print what `assess` found; `kind` says what the rows are, such as "test "."""
    print(f"{kind}loss {found['loss']:.4f}, {kind}accuracy {found['accuracy']:.4f}\n")
    if len(found["classes"]) <= MOST_CLASSES:
        print("confusion matrix (a row per true class, a column per predicted class)")
        names = found.get("class_names", found["classes"])
        print_matrix(names, found["confusion_matrix"])
    else:
        print(f"the confusion matrix of {len(found['classes'])} classes is printed with --json")
    print(f"\n{found['text'].rstrip()}")


def print_matrix(classes, matrix):
    """Print counts with their classes at the left and on top."""
    names = [printable(name) for name in classes]
    left = max(len(name) for name in names)
    wide = max(len(str(count)) for row in matrix for count in row)
    wide = max(wide, min(left, _WIDEST)) + 1
    print(" " * left + "".join(f"{name[: wide - 1]:>{wide}}" for name in names))
    for name, row in zip(names, matrix, strict=True):
        print(f"{name:>{left}}" + "".join(f"{count:>{wide}}" for count in row))
