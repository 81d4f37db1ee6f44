"""The weights of each class as an image."""

import math
import textwrap

import numpy as np

from .._validate import integer
from ._arguments import names_of_classes
from ._coefficients import weights_of
from ._figures import new_figure

_COLUMNS = 5
_TITLE_WIDTH = 14  # letters above an image


def plot_class_weights(model, *, shape=None, class_names=None, fig=None):
    """Draw the weights of each class of a linear model as an image, all on one scale.

    A pixel is red where a bright input speaks for the class, blue where it speaks against it, and
    white where it does not matter.

    Parameters
    ----------
    model : SoftmaxRegression or another fitted linear classifier with `coef_`
    shape : (int, int), optional
        Height and width of the images; by default the square of as many pixels as features.
    class_names : sequence of str, optional
        What to call the classes, in the order of `model.classes_`; their labels by default.
    fig : matplotlib Figure or SubFigure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (n_images,)
        An image for each row of `coef_`: one a class; for two classes, which share their weights,
        a single one, where red speaks for the second class. ``[0].figure`` is the figure.

    Raises
    ------
    TypeError
        If `model` has no weights per class, as a network with hidden layers has none, or `fig` is no
        figure.
    ValueError
        If the features do not make an image of `shape`, `class_names` has another length than
        `model.classes_`, or the model is multi-label.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    ImportError
        If matplotlib is not installed.

    See Also
    --------
    plot_coefficients : The weights of features with names.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = fs.SoftmaxRegression(max_iter=500).fit(X / 16, y)
    >>> axes = fs.plots.plot_class_weights(clf)
    >>> [ax.get_title() for ax in axes[:3]]
    ['0', '1', '2']
    """
    images = class_weight_images(model, shape)
    names = names_of_classes(model.classes_, class_names)
    if len(images) == 1:
        names = [f"{names[1]} (red) against {names[0]} (blue)"]
    if fig is not None and not hasattr(fig, "subplots"):
        raise TypeError(f"fig must be a matplotlib Figure, got {type(fig).__name__}")
    n_columns = min(_COLUMNS, len(images))
    n_rows = -(-len(images) // n_columns)
    names = [textwrap.fill(name, _TITLE_WIDTH) if len(images) > 1 else name for name in names]
    if fig is None:
        fig = _new_figure(images, n_rows, n_columns, names)
    grid = fig.subplots(n_rows, n_columns, squeeze=False)
    largest = float(np.abs(images).max()) or 1.0
    for ax, image, name in zip(grid.flat, images, names, strict=False):
        shown = ax.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest)
        ax.set_title(name, fontsize="medium")
    for ax in grid.flat:
        ax.set_axis_off()
    fig.colorbar(shown, ax=list(grid.flat), label="weight", shrink=0.8)
    return grid.ravel()[: len(images)]


def _new_figure(images, n_rows, n_columns, names):
    """Return a figure with room for the images and their titles."""
    if len(images) == 1:
        return new_figure(4.6, 3.6)
    height = 1.4 * min(2.0, max(0.4, images.shape[1] / images.shape[2]))
    height += 0.2 * max(name.count("\n") + 1 for name in names)
    return new_figure(1.5 * n_columns + 1.0, max(2.2, (height + 0.15) * n_rows + 0.2))


def class_weight_images(model, shape=None):
    """Return the weights of each class as images, (n_images, height, width)."""
    weights = weights_of(model)
    n_features = weights.shape[1]
    height, width = image_shape(n_features) if shape is None else _pair(shape)
    if height * width != n_features:
        raise ValueError(f"shape must make an image of {n_features} features, got {shape}")
    return weights.reshape(-1, height, width)


def image_shape(n_features):
    """Return the height and width of a square image, or say that the shape has to be given."""
    side = math.isqrt(n_features)
    if side * side != n_features:
        raise ValueError(
            f"shape must be given: {n_features} features make no square image; "
            "pass shape=(height, width)"
        )
    return side, side


def _pair(shape):
    if isinstance(shape, str) or np.ndim(shape) != 1 or len(shape) != 2:
        raise ValueError(f"shape must be (height, width), got {shape!r}")
    return tuple(integer(size, "shape", low=1) for size in shape)
