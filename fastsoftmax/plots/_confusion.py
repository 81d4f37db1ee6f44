"""Which classes are taken for which."""

from ._arguments import check_classifier, check_rows, class_positions, names_of_classes
from ._figures import axes_or_new

_NORMALIZE = (None, "true", "pred", "all")
_MOST_NUMBERS = 20  # classes above which the numbers in the cells can no longer be read
_MOST_NAMES = 40  # classes above which not all names fit beside the picture
_MOST_LETTERS = 40  # of all names, above which they are written aslant


def plot_confusion_matrix(model, X, y, *, normalize=None, class_names=None, ax=None):
    """Draw how many rows of each true class are predicted as each class.

    Parameters
    ----------
    model : SoftmaxRegression, MLPClassifier or another fitted classifier
    X : array_like, shape (n_rows, ...)
        What `model.predict` takes.
    y : array_like, shape (n_rows,)
        The true classes.
    normalize : {"true", "pred", "all"} or None, default None
        Counts by default; else shares of the true class (rows sum to 1), of the predicted class
        (columns sum to 1), or of all rows.
    class_names : sequence of str, optional
        What to call the classes, in the order of `model.classes_`; their labels by default.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If `model` is no classifier, or `ax` no Axes.
    ValueError
        If `y` has another length than X or a class that the model does not know, `normalize` or
        `class_names` is not one of the above, or the model is multi-label.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = fs.SoftmaxRegression(max_iter=500).fit(X, y)
    >>> ax = fs.plots.plot_confusion_matrix(clf, X, y, class_names=load_iris().target_names)
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['setosa', 'versicolor', 'virginica']
    """
    check_classifier(model)
    if normalize not in _NORMALIZE:
        raise ValueError(
            f"normalize must be one of 'true', 'pred', 'all' or None, got {normalize!r}"
        )
    names = names_of_classes(model.classes_, class_names)
    true = class_positions(y, model.classes_)
    predicted = class_positions(model.predict(X), model.classes_)
    check_rows(len(predicted), true)
    n = len(names)
    ax = axes_or_new(ax, *((6.0, 5.0) if n <= 6 else (7.6, 6.6)))
    _display(true, predicted, names, normalize, ax)
    return ax


def _display(true, predicted, names, normalize, ax):
    from sklearn.metrics import ConfusionMatrixDisplay

    n = len(names)
    ConfusionMatrixDisplay.from_predictions(
        true,
        predicted,
        labels=range(n),
        display_labels=names,
        normalize=normalize,
        include_values=n <= _MOST_NUMBERS,
        values_format="d" if normalize is None else ".2f",
        cmap="Blues",
        ax=ax,
    )
    ax.spines[:].set_visible(False)
    ax.set(xlabel="predicted class", ylabel="true class")
    step = 1 if n <= _MOST_NAMES else -(-n // _MOST_NUMBERS)
    shown = names[::step]
    ax.set_yticks(range(0, n, step), shown)
    ax.set_xticks(range(0, n, step), shown)
    if sum(len(name) for name in shown) > _MOST_LETTERS:
        ax.tick_params(axis="x", labelrotation=45)
        for text in ax.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
