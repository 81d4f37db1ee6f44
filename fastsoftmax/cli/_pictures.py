"""What `fastsoftmax train --plots DIR` draws: pictures of the fit and of the model on test rows."""

import copy
from pathlib import Path

import numpy as np

from ._errors import CommandError
from ._models import check_folder, feature_names
from ._printing import printable

NAMES = (
    "history.png",
    "confusion_matrix.png",
    "class_weights.png",
    "coefficients.png",
    "decision_regions.png",
    "reliability.png",
)
SQUARES = (64, 784)  # features of a dataset without shape that are images: 8 x 8, 28 x 28
MOST_CLASSES = 30  # a picture for each of more classes is no longer looked at
BINS, ROWS_OF_A_BIN = 10, 10  # of a reliability diagram: fewer rows have fewer and wider bins
LAYOUTS = 2  # before a picture is saved: each starts from the last, and one alone cuts titles off
MIN_HALF = 100  # rows to calibrate with, and rows to see whether it helped


def prepare(folder, *, overwrite):
    """Create the folder and return it as a Path; raise now what would be raised after training."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise CommandError('--plots needs matplotlib: pip install "fastsoftmax[plots]"') from error
    path = Path(folder)
    if not folder or (path.exists() and not path.is_dir()):
        raise CommandError(f"--plots: expected a folder, got {folder!r}")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--plots: {folder} cannot be written: {error}") from error
    check_folder(path, "--plots", folder)
    for name in NAMES:
        if (path / name).exists() and not (path / name).is_file():
            raise CommandError(f"--plots: {path / name} is there and is not a file")
        if (path / name).exists() and not overwrite:
            raise CommandError(
                f"--plots: {path / name} is there already; pass --overwrite to replace it"
            )
    return path


def draw(folder, estimator, X_test, y_test, image_shape, class_names=None):
    """
    Draw what there is to draw, and return the paths of the files.

    Parameters
    ----------
    folder : Path
        From `prepare`.
    estimator : SoftmaxRegression or MLPClassifier
        Fitted.
    X_test, y_test : array_like
        The test rows as the estimator takes them, and their classes.
    image_shape : tuple of two ints or None
        From `image_shape`.
    class_names : list of str, optional
        What the classes are called; their labels by default.
    """
    from .. import plots

    labels = estimator.classes_ if class_names is None else class_names
    names = [printable(label) for label in labels]
    few = len(estimator.classes_) <= MOST_CLASSES
    written = [
        _save(folder, "history", _history(plots, estimator)),
        _save(
            folder, "confusion_matrix", _confusion_matrix(plots, estimator, X_test, y_test, names)
        ),
    ]
    if image_shape is not None and few and hasattr(estimator, "coef_"):
        n_images = len(estimator.coef_)
        figure = _figure(1.5 * min(5, n_images) + 1.5, 1.75 * -(-n_images // 5) + 0.5)
        plots.plot_class_weights(estimator, shape=image_shape, class_names=names, fig=figure)
        written.append(_save(folder, "class_weights", figure))
    features = feature_names(estimator)
    features = features and [printable(name) for name in features]
    if features and few and hasattr(estimator, "coef_"):
        written.append(
            _save(folder, "coefficients", _coefficients(plots, estimator, X_test, features, names))
        )
    if estimator.n_features_in_ == 2 and few and not estimator._fitted_on_uint8:
        ax = _axes(7.4, 4.8, f"test rows ({len(y_test)})")
        plots.plot_decision_regions(
            estimator, X_test, y_test, feature_names=features, class_names=names, ax=ax
        )
        written.append(_save(folder, "decision_regions", ax.figure))
    written.append(_save(folder, "reliability", _reliability(plots, estimator, X_test, y_test)))
    return written


def image_shape(X):
    """Return the height and width of rows that are images, else None."""
    if X.ndim == 3:
        return X.shape[1:]
    side = int(np.sqrt(X.shape[1]))
    return (side, side) if X.ndim == 2 and X.shape[1] in SQUARES else None


def _figure(width, height):
    """Return a figure that no window and no back end knows of: `main` may run in a notebook."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # inches
    return figure


def _axes(width, height, title):
    ax = _figure(width, height).add_subplot()
    ax.set_title(title)
    return ax


def _history(plots, estimator):
    figure = _figure(9.2, 3.6)
    plots.plot_history(estimator, ax=figure.subplots(1, 2))
    return figure


def _confusion_matrix(plots, estimator, X, y, names):
    ax = _axes(7.6, 6.8, f"test rows ({len(y)})")
    plots.plot_confusion_matrix(estimator, X, y, class_names=names, ax=ax)
    return ax.figure


def _coefficients(plots, estimator, X, features, names):
    """Draw the weights of a table's features, which stand for units of their own: by deviations."""
    n_columns, n_rows = len(estimator.coef_), min(40, max(6, len(features)))
    ax = _axes(2.6 + min(10.0, 1.1 * n_columns), 1.2 + 0.3 * n_rows, "")
    plots.plot_coefficients(estimator, X, feature_names=features, class_names=names, ax=ax)
    return ax.figure


def _reliability(plots, estimator, X, y):
    """Draw the model as trained and, with rows enough, as a half of them calibrates it."""
    ax = _axes(5.6, 6.4, f"test rows ({len(y)})")
    models = {"as trained": estimator}
    if len(y) >= 2 * MIN_HALF:
        calibrated = copy.deepcopy(estimator).calibrate(X[::2], y[::2])
        models["after calibrate()"] = calibrated
        X, y = X[1::2], y[1::2]
        ax.set_title(f"half of the test rows ({len(y)}); the other half calibrates")
    n_bins = min(BINS, max(1, len(y) // ROWS_OF_A_BIN))
    if n_bins < BINS:
        ax.set_title(f"test rows ({len(y)}): few, so the dots are uncertain")
    plots.plot_reliability(models, X, y, n_bins=n_bins, ax=ax)
    return ax.figure


def _save(folder, name, figure):
    path = folder / f"{name}.png"
    for _ in range(LAYOUTS):
        figure.draw_without_rendering()
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise CommandError(f"--plots: {path} cannot be written: {error}") from error
    return path
