"""The models that the commands train, keep in a file, and read back.

A model file is what the estimators' `save` writes, nothing more: the names of a CSV file's columns
are the estimator's feature_names_in_, and standardisation is folded into the weights of the first
layer, so that the file gives the same predictions from Python. `Notes` are beside them.
"""

import os
import stat
import tempfile
from pathlib import Path

import numpy as np

from ._errors import CommandError, missing_extra

CLASSES = {"softmax": "SoftmaxRegression", "mlp": "MLPClassifier"}
_LEAST_SCALE = 1e-290  # weights are divided by it
BYTE_SCALE = 1 / 255  # what the estimators multiply uint8 with


def estimators():
    """Return the module of the estimators, or say what to install."""
    try:
        import safetensors  # noqa: F401 - asked for now, not after the training
    except ImportError as error:
        raise missing_extra(error, "The trainer") from error
    try:
        import fastsoftmax.estimators as module
    except ImportError as error:
        raise CommandError(str(error)) from error
    return module


def check_path(path, option, *, overwrite, source=None):
    """
    Raise before hours of training, not after, about a file that cannot be written.

    Parameters
    ----------
    path : Path
    option : str
        What names it, for messages.
    overwrite : bool
        Whether a file that is there may be replaced.
    source : str, optional
        The file that is read, which never is.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:  # ValueError: a NUL
        raise CommandError(f"{option}: {path} cannot be written: {error}") from error
    if mode is not None and not stat.S_ISREG(mode):
        raise CommandError(f"{option}: {path} is there and is not a file")
    if mode is not None and source is not None and _same_file(path, source):
        raise CommandError(f"{option}: {path} is the file that is read")
    if mode is not None and not overwrite:
        raise CommandError(f"{option}: {path} is there already; pass --overwrite to replace it")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise CommandError(
            f"{option}: there is no folder {folder if path.is_symlink() else path.parent}"
        )
    check_folder(folder, option, path, path.name)


def check_folder(folder, option, shown, prefix=""):
    """Raise unless a file can be made in a folder; leave none there."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=prefix):
            pass
    except OSError as error:
        raise CommandError(f"{option}: {shown} cannot be written: {error}") from error


def _same_file(path, source):
    try:
        return os.path.samefile(path, source)
    except OSError:
        return False


def save(estimator, path):
    """Write a model file."""
    try:
        estimator.save(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be written: {error}") from error


def load(path):
    """Read a model file of either kind, or say what is wrong with it."""
    module = estimators()
    if not Path(path).is_file():
        raise CommandError(f"{path}: no such model file")
    try:
        estimator = module.load_model(path)
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    if estimator.multilabel_:
        raise CommandError(f"{path} is a multi-label model, which only Python can use")
    return estimator


def feature_names(estimator):
    """Return the names of the columns that the model learnt from; None if they had none."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def standardization(X):
    """Return the mean and the scale of each feature: its standard deviation, 1 for a constant."""
    largest = np.abs(X).max(axis=0)
    unit = np.ldexp(np.ones_like(largest), np.frexp(largest)[1] - 1)  # no square leaves the range
    X = X / unit
    mean = X.mean(axis=0, dtype=np.float64) * unit
    return mean, scales_of(X.std(axis=0, dtype=np.float64) * unit, largest)


def scales_of(deviation, size):
    """Return what features are divided by: the standard deviation, 1 for a constant.

    `size` is how large the values of a feature are: rounding makes constants deviate by a share of
    it, whatever their unit.
    """
    constant = (deviation <= 1e-12 * size) | (deviation < _LEAST_SCALE)
    return np.where(constant, 1.0, deviation)


def fold(estimator, mean, scale, *, is_uint8=False):
    """
    Change a model of (x - mean) / scale into the same model of x.

    Parameters
    ----------
    estimator : SoftmaxRegression or MLPClassifier
        Trained on floats.
    mean, scale : ndarray, shape (n_features,)
        From `standardization`.
    is_uint8 : bool, default False
        Whether x is uint8: the model then reads bytes, and scales them, as others of its kind.
    """
    network = estimator._network
    weights, bias = network.coefs[0], network.intercepts[0]  # (n_features, n_outputs)
    folded = weights.astype(np.float64) / scale[:, None]
    bias -= (mean @ folded).astype(bias.dtype)
    weights[...] = folded / BYTE_SCALE if is_uint8 else folded
    if is_uint8:
        estimator.input_scale_, estimator._fitted_on_uint8 = BYTE_SCALE, True


def as_input(estimator, X):
    """Return rows as the model expects them: as many features, with names if it has names."""
    n_features = int(np.prod(X.shape[1:]))
    if n_features != estimator.n_features_in_:
        raise CommandError(
            f"the model expects {estimator.n_features_in_} features, the rows have {n_features}"
        )
    names = feature_names(estimator)
    return X if names is None else named(X.reshape(len(X), -1), names)


def named(X, names):
    """Return rows with the names of their columns."""
    import pandas as pd

    return pd.DataFrame(X, columns=names, copy=False)
