"""The weights of a linear model, a row for each feature and a column for each class."""

import numpy as np

from ._arguments import as_array, as_text, check_classifier, names_of_classes
from ._figures import axes_or_new

_MOST_FEATURES = 40  # whose names can be read beside one picture
_MOST_NUMBERS = 10  # classes above which the numbers in the cells can no longer be read
_MOST_LETTERS = 40  # of all names of classes, above which they are written aslant


def plot_coefficients(model, X=None, *, feature_names=None, class_names=None, ax=None):
    """Draw the weights of a linear model on features with names: red for a class, blue against it.

    Parameters
    ----------
    model : SoftmaxRegression or another fitted linear classifier with `coef_`
    X : array_like, shape (n_rows, n_features), optional
        Numbers in the units of the features: each weight is multiplied with the standard deviation
        of its feature in X, so that features of any unit can be compared.
    feature_names : sequence of str, optional
        What to call the features; by default the columns of X, else the model's `feature_names_in_`,
        else x0, x1 and so on.
    class_names : sequence of str, optional
        What to call the classes, in the order of `model.classes_`; their labels by default.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        A row for each feature, of more than 40 for those with the largest weights, in their order; a
        column for each class, and one for two classes, which share their weights: red speaks for the
        second.

    Raises
    ------
    TypeError
        If `model` has no weights per class, as a network with hidden layers has none, or `ax` is no
        Axes.
    ValueError
        If X has other features than the model, `feature_names` or `class_names` has another length
        than there are features or classes, or the model is multi-label.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> from sklearn.datasets import load_iris
    >>> iris = load_iris()
    >>> clf = fs.SoftmaxRegression().fit(iris.data, iris.target_names[iris.target])
    >>> ax = fs.plots.plot_coefficients(clf, iris.data, feature_names=iris.feature_names)
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['setosa', 'versicolor', 'virginica']
    >>> ax.get_yticklabels()[0].get_text()
    'sepal length (cm)'
    """
    weights = weights_of(model)
    names = _feature_names(model, X, feature_names)
    columns = names_of_classes(model.classes_, class_names)
    if len(weights) == 1:
        columns = [f"{columns[1]} (red) against {columns[0]} (blue)"]
    what = "weight"
    if X is not None:
        weights, what = weights * _deviations(X, weights.shape[1]), "weight x standard deviation"
    shown = _largest(weights)
    ax = axes_or_new(ax, 2.6 + min(10.0, 1.1 * len(columns)), 1.2 + 0.3 * max(6, len(shown)))
    if len(shown) < len(names):
        ax.set_title(f"{len(shown)} of {len(names)} features: the largest weights")
    _draw(ax, weights[:, shown].T, [names[i] for i in shown], columns, what)
    return ax


def weights_of(model):
    """Return the weights of each class of a linear model, (n_classes, n_features) or (1, n_features)."""
    check_classifier(model)
    weights = getattr(model, "coef_", None)
    weights = as_array(weights, "coef_")
    if np.ndim(weights) != 2 or len(weights) not in {1, len(model.classes_)}:
        raise TypeError(
            f"model must be linear, with coef_: a row per class; got {type(model).__name__}"
        )
    return np.asarray(weights, dtype=np.float64)


def _feature_names(model, X, names):
    n_features = model.coef_.shape[1]
    if names is None:
        names = getattr(X, "columns", getattr(model, "feature_names_in_", None))
    if names is None:
        return [f"x{i}" for i in range(n_features)]
    is_list = not isinstance(names, str) and hasattr(names, "__len__")
    if not is_list or len(names) != n_features:
        got = len(names) if is_list else repr(names)
        raise ValueError(f"feature_names must be {n_features} names, got {got}")
    return [as_text(name) for name in names]


def _deviations(X, n_features):
    """Return the standard deviation of each feature."""
    X = np.asarray(as_array(X, "X"), dtype=np.float64)
    X = X.reshape(len(X), -1) if X.ndim > 2 else X
    if X.ndim != 2 or X.shape[1] != n_features or not len(X):
        raise ValueError(f"X must have shape (n_rows, {n_features}), got {X.shape}")
    return X.std(axis=0)


def _largest(weights):
    """Return the positions of the features with the largest weights, in their order."""
    strength = np.abs(weights).max(axis=0)
    return np.sort(np.argsort(-strength, kind="stable")[:_MOST_FEATURES])


def _draw(ax, weights, features, classes, what):
    largest = float(np.abs(weights).max()) or 1.0
    shown = ax.imshow(weights, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(shown, ax=ax, label=what)
    ax.set_xticks(range(len(classes)), classes)
    ax.set_yticks(range(len(features)), features)
    if sum(map(len, classes)) > _MOST_LETTERS and len(classes) > 1:
        ax.tick_params(axis="x", labelrotation=45)
        for text in ax.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
    if len(classes) > _MOST_NUMBERS:
        return
    for (row, column), weight in np.ndenumerate(weights):
        ink = "white" if abs(weight) > 0.6 * largest else "black"
        ax.text(column, row, f"{weight:.2g}", ha="center", va="center", color=ink, fontsize="small")
