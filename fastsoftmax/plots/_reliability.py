"""Whether probabilities can be believed: how often the class predicted with 80 % is right."""

from collections.abc import Mapping

import numpy as np

from .._validate import integer
from ._arguments import check_classifier, check_rows, class_positions
from ._figures import COLOURS, add_legend, axes_or_new, class_marker

_LARGEST_DOT = 220.0  # square points, for a bin that holds all rows
_DEFINITIONS = (
    "{n_bins} bins; area of a dot: its share of the rows\n"
    "ECE: distance from the diagonal, averaged over the rows"
)
_COLOUR_ORDER = (5, 0, 2, 3, 1, 4, 7)


def plot_reliability(models, X, y, *, n_bins=10, ax=None):
    """Draw how often predictions are right against how probable they were said to be.

    Rows are sorted into bins of equal width by the probability of their predicted class. Each bin is a dot: at the mean
    of these probabilities, as high as the share of rows predicted right, its area the share of rows it holds. Dots on
    the diagonal are calibrated: of the rows predicted with 80 %, 80 % are right. Below it the model is overconfident,
    above it underconfident. The legend gives the expected calibration error (ECE): the distance of each dot from the
    diagonal, averaged over the rows.

    Parameters
    ----------
    models : classifier, ndarray of shape (n_rows, n_classes), or dict of these by name
        Fitted classifiers with `predict_proba`, or probabilities that one has returned. To compare
        a model before and after `calibrate`, keep the probabilities from before.
    X : array_like, shape (n_rows, ...) or None
        Rows that the model was not fitted on; None if all `models` are probabilities.
    y : array_like, shape (n_rows,)
        Their true classes. Columns of probabilities belong to the classes of a model in the same
        dict, or else to the sorted classes of y.
    n_bins : int, default 10
        Bins of equal width in [0, 1].
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If one of `models` is neither a classifier with `predict_proba` nor probabilities, or `ax` is
        no Axes.
    ValueError
        If probabilities have another shape than y and its classes ask for, or are none; if `y` has a
        class that the model does not know; if X is missing; or if a model is multi-label.
    sklearn.exceptions.NotFittedError
        If a model is not fitted.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = fs.MLPClassifier((32,), max_iter=30, random_state=0).fit(X[:1000], y[:1000])
    >>> before = clf.predict_proba(X[1400:])
    >>> clf = clf.calibrate(X[1000:1400], y[1000:1400])
    >>> ax = fs.plots.plot_reliability({"before": before, "after": clf}, X[1400:], y[1400:])
    """
    n_bins = integer(n_bins, "n_bins", low=1)
    named = models if isinstance(models, Mapping) else {None: models}
    if not named:
        raise ValueError("models must hold at least one model, got none")
    rows = {name: _confidences(model, named, X, y) for name, model in named.items()}
    ax = axes_or_new(ax, 5.6, 6.2)
    ax.plot([0, 1], [0, 1], "--", color="0.4", linewidth=1, label="perfectly calibrated")
    for number, (name, (confidence, right)) in enumerate(rows.items()):
        bins = reliability_bins(confidence, right, n_bins)
        error = float(np.average(np.abs(bins[0] - bins[1]), weights=bins[2]))
        label = " ".join([str(name)] * (name is not None) + [f"(ECE {error:.3f})"])
        _draw(ax, bins, label, number)
    ax.set(
        xlim=(0, 1.02),
        ylim=(0, 1.02),
        xlabel="mean probability of the predicted class, in each bin",
        ylabel="share of the bin's rows predicted right",
        aspect="equal",
    )
    ax.grid(alpha=0.3)
    add_legend(ax, list(ax.lines), below=True)
    ax.get_legend().set_title(_DEFINITIONS.format(n_bins=n_bins))
    return ax


def _draw(ax, bins, label, number):
    mean, share, weight = bins
    colour = COLOURS[_COLOUR_ORDER[number % len(_COLOUR_ORDER)]]
    marker = class_marker(number)
    ax.plot(mean, share, color=colour, linewidth=1, marker=marker, markersize=4, label=label)
    ax.scatter(mean, share, s=_LARGEST_DOT * weight, color=colour, marker=marker, alpha=0.5)


def reliability_bins(confidence, right, n_bins):
    """Return of each bin that is not empty the mean confidence, share right and share of rows."""
    index = np.clip((confidence * n_bins).astype(int), 0, n_bins - 1)
    counts = np.bincount(index, minlength=n_bins)
    held = counts > 0
    means = [
        np.bincount(index, values, n_bins)[held] / counts[held] for values in (confidence, right)
    ]
    return *means, counts[held] / len(index)


def _confidences(model, named, X, y):
    """Return the probability of the predicted class of each row, and whether it is the right one."""
    if hasattr(model, "predict") or isinstance(model, type):
        check_classifier(model)
        if not hasattr(model, "predict_proba"):
            raise TypeError(f"model must have predict_proba, which {type(model).__name__} lacks")
        if X is None:
            raise ValueError("X must be given with a model, got None")
        probabilities, classes = np.asarray(model.predict_proba(X)), model.classes_
    else:
        probabilities, classes = _checked(model), _classes_beside(named, y)
        if probabilities.shape[1] != len(classes):
            raise ValueError(
                f"probabilities must have a column for each of {len(classes)} classes, "
                f"got shape {probabilities.shape}"
            )
    positions = class_positions(y, classes)
    check_rows(len(probabilities), positions)
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == positions


def _classes_beside(named, y):
    """Return the classes that columns of probabilities belong to."""
    for model in named.values():
        if hasattr(model, "classes_"):
            return model.classes_
    return np.unique(np.asarray(y))


def _checked(probabilities):
    if probabilities is None:
        raise TypeError("models must be classifiers or probabilities, got None")
    try:
        array = np.asarray(probabilities, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"models must be classifiers or probabilities, got {type(probabilities).__name__}"
        ) from None
    if array.ndim != 2:
        raise ValueError(f"probabilities must have shape (n_rows, n_classes), got {array.shape}")
    if not ((array >= 0) & (array <= 1)).all() or (np.abs(array.sum(axis=1) - 1) > 1e-3).any():
        raise ValueError("probabilities must be in [0, 1], and each row sum to 1")
    return array
