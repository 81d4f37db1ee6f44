"""Loss and accuracy by epoch."""

from collections.abc import Mapping

import numpy as np

from ._figures import COLOURS, check_axes, new_figure

_PANELS = ("loss", "accuracy")
_MANY = 30  # epochs above which a marker per epoch would hide the line


def plot_history(history, *, ax=None):
    """Draw the loss and the accuracy of every epoch of a fit, in training and in validation, a panel each.

    Figures of the validation are there if the fit had rows to validate with: ``fit(X, y, X_val=..., y_val=...)`` or
    ``early_stopping=True``. Where the curve of the validation turns up while that of the training still falls, the
    model has begun to learn its training rows by heart.

    Parameters
    ----------
    history : SoftmaxRegression, MLPClassifier or dict of lists
        A fitted estimator, or its `history_`: "loss" and "accuracy", and, if the fit validated,
        "val_loss" and "val_accuracy".
    ax : sequence of matplotlib Axes, optional
        Where to draw: an Axes for each panel, loss first. By default a new figure.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (n_panels,)
        The panels, loss first; ``[0].figure`` is the figure.

    Raises
    ------
    TypeError
        If `history` is neither a fitted estimator of this package nor a dict, or `ax` holds
        something else than Axes.
    ValueError
        If there is neither "loss" nor "accuracy", the lists are empty or differ in length, or `ax`
        does not hold an Axes for each panel.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = fs.MLPClassifier((8,), max_iter=5, early_stopping=True, random_state=0).fit(X, y)
    >>> axes = fs.plots.plot_history(clf)
    >>> [ax.get_ylabel() for ax in axes]
    ['loss', 'accuracy']
    """
    by_batches = getattr(history, "solver", "adam") in ("adam", "sgd")
    unit = "epoch" if by_batches else "iteration"
    figures = _figures_of(history)
    panels = [name for name in _PANELS if name in figures]
    axes = _axes_of(ax, len(panels))
    for panel, name in zip(axes, panels, strict=True):
        _draw(panel, figures, name, unit)
    return axes


def _figures_of(history):
    """Return the dict of lists, checked."""
    if not isinstance(history, Mapping):
        history = _of_estimator(history)
    names = [name for panel in _PANELS for name in (panel, f"val_{panel}") if name in history]
    if not any(name in _PANELS for name in names):
        raise ValueError(f"history must have 'loss' or 'accuracy', got {sorted(map(str, history))}")
    lengths = {name: np.size(history[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"history must have lists of one length, got {lengths}")
    if not lengths[names[0]]:
        raise ValueError("history must have at least one epoch, got none")
    return {name: np.asarray(history[name], dtype=np.float64) for name in names}


def _of_estimator(estimator):
    from sklearn.utils.validation import check_is_fitted

    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise TypeError(
            f"history must be a fitted estimator or a dict, got {type(estimator).__name__}"
        )
    check_is_fitted(estimator)
    if not hasattr(estimator, "history_"):
        hint = ": pass its last step, pipeline[-1]" if hasattr(estimator, "steps") else ""
        kind = type(estimator).__name__
        raise TypeError(f"history must come with history_, which {kind} lacks{hint}")
    return estimator.history_


def _axes_of(ax, n_panels):
    if ax is None:
        return new_figure(4.6 * n_panels, 3.6).subplots(1, n_panels, squeeze=False)[0]
    axes = np.ravel(np.asarray(ax, dtype=object))
    for one in axes:
        check_axes(one)
    if len(axes) != n_panels:
        raise ValueError(f"ax must hold {n_panels} Axes, one for each panel, got {len(axes)}")
    return axes


def _draw(ax, figures, name, unit):
    from matplotlib.ticker import MaxNLocator

    for key, label, colour, style, marker in (
        (name, "training", COLOURS[0], "-", "o"),
        (f"val_{name}", "validation", COLOURS[5], "--", "s"),
    ):
        if key in figures:
            values = figures[key]
            epochs = np.arange(1, len(values) + 1)
            marker = marker if len(values) <= _MANY else None
            ax.plot(epochs, values, style, color=colour, marker=marker, markersize=4, label=label)
    ax.set(xlabel=unit, ylabel=name, title=f"{name} per {unit}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(alpha=0.3)
    if f"val_{name}" in figures:
        ax.legend()
