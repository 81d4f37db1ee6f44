"""Which class is predicted where, for two features."""

import numpy as np

from ._arguments import as_text, check_classifier, check_rows, class_positions, names_of_classes
from ._boundaries import as_input, boundaries, linear_parameters, score_differences
from ._figures import INK, LINE_STYLES, add_legend, axes_or_new, class_colours, class_marker

_RESOLUTION = 300
_MARGIN = 0.06  # of the range of a feature, on each side
_REGION_ALPHA = 0.3


def plot_decision_regions(
    model, X, y=None, *, extend_lines=False, feature_names=None, class_names=None, ax=None
):
    """Draw which class a classifier of two features predicts where, and the lines between classes.

    The boundaries of a linear model are exact: classes i and j meet on the line
    ``(w_i - w_j) x + b_i - b_j = 0``, as far as no third class is more probable there. Those of other
    models are contours.

    Parameters
    ----------
    model : SoftmaxRegression, MLPClassifier or another fitted classifier
        Fitted on two features.
    X : array_like, shape (n_rows, 2)
        The rows that the picture has to show.
    y : array_like, shape (n_rows,), optional
        Their true classes; with them, the rows are drawn as points.
    extend_lines : bool, default False
        Draw thin and grey also the parts of the lines of a linear model on which a third class wins.
    feature_names : sequence of str, optional
        The two labels of the axes; by default the names that X or the model has.
    class_names : sequence of str, optional
        What to call the classes, in the order of `model.classes_`; their labels by default.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default. The legend stands beside the picture if the figure
        has a constrained layout, as a new one has; else inside.

    Returns
    -------
    matplotlib.axes.Axes
        Each line of a linear model is one of its `lines`, labelled "class i | class j".

    Raises
    ------
    TypeError
        If `model` is no classifier, X not of numbers, or `ax` no Axes.
    ValueError
        If X or the model does not have two features, X is not finite, `y` has another length than X
        or a class that the model does not know, or the model is multi-label.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = fs.SoftmaxRegression().fit(X[:, 2:], load_iris().target_names[y])
    >>> ax = fs.plots.plot_decision_regions(clf, X[:, 2:])
    >>> [line.get_label() for line in ax.lines]
    ['setosa | versicolor', 'versicolor | virginica']
    """
    check_classifier(model)
    points = _two_features(model, X)
    positions = None if y is None else class_positions(y, model.classes_)
    if positions is not None:
        check_rows(len(points), positions)
    names = names_of_classes(model.classes_, class_names)
    labels = _axis_labels(model, X, feature_names)
    ax = axes_or_new(ax, 7.2, 4.6)
    box = _box(points)
    colours = class_colours(len(names))
    _draw_regions(ax, model, box, colours)
    lines = _draw_boundaries(ax, model, box, names, extend_lines)
    handles = _draw_rows(ax, points, positions, names, colours)
    ax.set(xlim=box[:, 0], ylim=box[:, 1], xlabel=labels[0], ylabel=labels[1])
    add_legend(ax, handles + (lines if len(names) <= len(LINE_STYLES) else []))
    return ax


def _two_features(model, X):
    """Return X as (n_rows, 2) floats."""
    n_features = getattr(model, "n_features_in_", 2)
    if n_features != 2:
        raise ValueError(f"model must have 2 features, got {n_features}")
    try:
        points = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"X must be numbers: {error}") from None
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"X must have shape (n_rows, 2), got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("X must be finite, got NaN or infinity")
    return points


def _axis_labels(model, X, feature_names):
    if feature_names is None:
        feature_names = getattr(X, "columns", getattr(model, "feature_names_in_", None))
    if feature_names is None:
        return "feature 0", "feature 1"
    if isinstance(feature_names, str) or np.shape(feature_names) != (2,):
        raise ValueError(f"feature_names must be two names, got {feature_names!r}")
    return tuple(as_text(name) for name in feature_names)


def _box(points):
    """Return the corners of the picture: the points and a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, _MARGIN * (high - low), 0.5)
    return np.array([low - margin, high + margin])


def _draw_regions(ax, model, box, colours):
    from matplotlib.colors import ListedColormap
    from sklearn.inspection import DecisionBoundaryDisplay

    display = DecisionBoundaryDisplay.from_estimator(
        model,
        as_input(model, box),
        eps=0,
        grid_resolution=_RESOLUTION,
        response_method="predict",
        plot_method="pcolormesh",
        ax=ax,
        alpha=_REGION_ALPHA,
        zorder=0,
    )
    # Set here because versions of scikit-learn differ in which colours they take for `predict`.
    display.surface_.set_cmap(ListedColormap(colours))
    display.surface_.set_clim(-0.5, len(colours) - 0.5)
    display.surface_.set_rasterized(True)


def _draw_boundaries(ax, model, box, names, extend_lines):
    """Draw the lines or contours; return the lines that separate two classes."""
    parameters = linear_parameters(model, box)
    if parameters is None:
        _draw_contours(ax, model, box)
        return []
    lines = []
    for number, boundary in enumerate(boundaries(*parameters, box)):
        few = len(names) <= len(LINE_STYLES)
        style = LINE_STYLES[number % len(LINE_STYLES)] if few else "-"
        i, j = boundary.pair
        label = f"{names[i]} | {names[j]}"
        if extend_lines and boundary.whole is not None:
            grey = ax.plot(*boundary.whole.T, style, color="0.5", linewidth=1, zorder=1)
            grey[0].set_label("_whole" if boundary.segment is not None else label)
            lines += grey if boundary.segment is None else []
        if boundary.segment is not None:
            lines += ax.plot(
                *boundary.segment.T, style, color=INK, linewidth=2, label=label, zorder=1.5
            )
    return lines


def _draw_contours(ax, model, box):
    x, y = (np.linspace(*box[:, axis], _RESOLUTION) for axis in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    rows = as_input(model, grid)
    predicted = class_positions(model.predict(rows), model.classes_)
    for values in score_differences(model, rows, predicted):
        if values.min() < 0 < values.max():
            values = values.reshape(len(y), len(x))
            ax.contour(x, y, values, levels=[0], colors=INK, linewidths=2, zorder=1.5)


def _draw_rows(ax, points, positions, names, colours):
    """Draw the rows as points; return what the legend shows for the classes."""
    from matplotlib.patches import Patch

    if positions is None:
        return [
            Patch(color=colour, alpha=_REGION_ALPHA, label=name)
            for colour, name in zip(colours, names, strict=True)
        ]
    return [
        ax.scatter(
            *points[positions == k].T,
            s=24,
            color=colours[k],
            marker=class_marker(k),
            edgecolors="white",
            linewidths=0.5,
            label=names[k],
            zorder=2,
        )
        for k in range(len(names))
    ]
