"""The models that the commands train, keep in a file, and read back.

A model file is what the estimators' `save` writes: safetensors, nothing that has to be unpickled.
Standardisation is not kept beside the weights but folded into those of the first layer, so that
the file gives the same predictions from Python. What only the command line needs to know (the
names of the columns) is one JSON string in the file's metadata, under NOTES_KEY.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

from ._errors import CommandError, missing_extra

NOTES_KEY = "fastsoftmax.cli"
CLASSES = {"softmax": "SoftmaxRegression", "mlp": "MLPClassifier"}


@dataclasses.dataclass
class Notes:
    """What the command line keeps in a model file for itself."""

    features: list[str] | None = None  # the columns of a CSV file, in the model's order
    standardized: bool = False
    reads_bytes: bool = False  # standardised from uint8, so that bytes are turned into floats


@dataclasses.dataclass
class Model:
    """An estimator and its notes."""

    estimator: object
    notes: Notes

    @property
    def has_text_labels(self):
        """Whether the model learnt strings."""
        return np.asarray(self.estimator.classes_).dtype.kind in "US"


def estimators():
    """Return the module of the estimators, or say what to install."""
    try:
        import fastsoftmax.estimators as module
    except ImportError as error:
        raise missing_extra(error, "The trainer") from error
    return module


def save(model, path):
    """Write a model file, whole or not at all."""
    from safetensors import SafetensorError, safe_open, numpy

    part = path.with_name(f"{path.name}.part")
    try:
        model.estimator.save(part)
        with safe_open(part, "numpy") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata[NOTES_KEY] = json.dumps(dataclasses.asdict(model.notes))
        part.unlink()  # safetensors would leave a file that only its owner may read
        part.write_bytes(numpy.save(tensors, metadata))
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise CommandError(f"{path} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def load(path):
    """Read a model file, or say what is wrong with it."""
    module = estimators()
    if not Path(path).is_file():
        raise CommandError(f"{path}: no such model file")
    errors = []
    for name in CLASSES.values():
        try:
            return Model(getattr(module, name).load(path), _read_notes(path))
        except (ValueError, TypeError, OSError) as error:
            errors.append(error)
    raise CommandError(str(errors[0]))


def _read_notes(path):
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        text = (file.metadata() or {}).get(NOTES_KEY)
    if text is None:
        return Notes()  # saved from Python
    try:
        return Notes(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise CommandError(f"{path}: its {NOTES_KEY} metadata are damaged: {error}") from error


def standardization(X):
    """Return the mean and the scale of each feature: its standard deviation, 1 for a constant."""
    mean = X.mean(axis=0, dtype=np.float64)
    scale = X.std(axis=0, dtype=np.float64)
    scale[scale < 1e-12 * np.maximum(np.abs(mean), 1)] = 1.0  # constant but for rounding
    return mean, scale


def fold(estimator, mean, scale):
    """Change a model of (x - mean) / scale into the same model of x."""
    if hasattr(estimator, "coefs_"):
        weights, bias = estimator.coefs_[0], estimator.intercepts_[0]  # (n_features, n_hidden)
    else:
        weights, bias = estimator.coef_.T, estimator.intercept_  # (n_classes, n_features)
    folded = weights.astype(np.float64) / scale[:, None]
    bias -= (mean @ folded).astype(bias.dtype)
    weights[...] = folded


def as_model_input(model, X):
    """Return rows in the dtype family that a model was trained on, where that changes no value."""
    n_features = int(np.prod(X.shape[1:]))
    expected = getattr(model.estimator, "n_features_in_", n_features)
    if n_features != expected:
        raise CommandError(f"the model expects {expected} features, the rows have {n_features}")
    if model.notes.reads_bytes and X.dtype == np.uint8:
        return X.astype(np.float32)
    return X
