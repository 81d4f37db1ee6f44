"""Models as files: weights as safetensors, all else as JSON in its metadata. Nothing is pickled.

What a file says is not believed: every field and every array is checked, by itself and against the
others, before an estimator is made of it. `_fields` reads the metadata.
"""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING

import numpy as np

from .._version import __version__
from . import _checks, _fields, _files
from ._data import computing_dtype
from ._network import Network
from ._state import FitState, OptimizerState
from .callbacks import is_fitted_elsewhere

if TYPE_CHECKING:
    from . import MLPClassifier, SoftmaxRegression
    from ._types import Path

FORMAT = "fastsoftmax-model-1"
_FREE_ON_RESUME = ("max_iter", "verbose", "warm_start", "random_state")
_DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


def _libraries():
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            'Saving and loading need safetensors: pip install "fastsoftmax[train]"'
        ) from error
    return safetensors


# Writing


def _json_params(estimator):
    """Return the parameters that JSON can hold; warn about the others."""
    kept, lost = {}, []
    for name, value in estimator.get_params(deep=False).items():
        try:
            kept[name] = _fields.as_json(value)
        except (TypeError, ValueError, RecursionError):
            lost.append(name)
    if lost:
        warnings.warn(
            f"{', '.join(lost)} cannot be written as JSON: the saved model has the default instead",
            UserWarning,
            stacklevel=5,
        )
    return kept


def _metadata(estimator):
    n_features = _checks.n_features_of(estimator)
    return {
        "class": type(estimator).__name__,
        "version": __version__,
        "params": _json_params(estimator),
        "classes": _fields.classes_as_json(_checks.classes_of(estimator)),
        "multilabel": estimator._labels.is_multilabel,
        "n_features_in": n_features,
        "feature_names_in": _checks.names_of(estimator, n_features),
        "input_scale": _checks.scale_of(estimator, "input_scale_"),
        "temperature": _checks.scale_of(estimator, "temperature_"),
        "fitted_on_uint8": bool(getattr(estimator, "_fitted_on_uint8", False)),
        "converged": _checks.convergence_of(estimator),
        "n_iter": _checks.iterations_of(estimator),
        "history": _checks.check_history(getattr(estimator, "history_", None)),
        "notes": getattr(estimator, "_notes", None),
    }


def _network_tensors(prefix, network):
    pairs = [("coefs", network.coefs), ("intercepts", network.intercepts)]
    return {
        f"{prefix}{name}.{i}": np.ascontiguousarray(array)
        for name, arrays in pairs
        for i, array in enumerate(arrays)
    }


def _state_tensors(state):
    """Return the arrays of a FitState beside its network."""
    n_layers = len(state.network.coefs)
    tensors = {}
    for name in ("first", "second"):
        arrays = getattr(state.optimizer, name)
        tensors |= _network_tensors(f"{name}.", Network(arrays[:n_layers], arrays[n_layers:]))
    tensors |= _network_tensors("last.", state.network)
    if state.best_network is not None:
        tensors |= _network_tensors("best.", state.best_network)
    return tensors


def _training(state):
    """Return the numbers of a FitState."""
    return {
        "step": state.optimizer.step,
        "seed": state.seed,
        "epoch": state.epoch,
        "best_score": state.best_score if np.isfinite(state.best_score) else None,
        "stale": state.stale,
    }


def save(estimator, path, training_state):
    """Write the estimator; the file appears whole or not at all, and `load` can read it."""
    libraries = _libraries()
    if training_state and is_fitted_elsewhere(estimator):
        raise RuntimeError(
            f"this {type(estimator).__name__} is being fitted by another thread, so its training "
            "state is of no single epoch: save it with the callback ModelCheckpoint"
        )
    _checks.check_options(estimator)
    network = _checks.fitted_network(estimator, finite=True)
    _checks.check_layers(estimator, network)
    metadata = _metadata(estimator) | {"n_layers": len(network.coefs)}
    tensors = _network_tensors("", network)
    if training_state:
        state = _checks.state_of(estimator, network)
        tensors |= _state_tensors(state)
        metadata["training"] = _training(state)
    content = json.dumps(metadata, default=_fields.plain)
    _restore(type(estimator)(), json.loads(content), tensors)  # raises about what load would refuse
    header = {"format": FORMAT, "fastsoftmax": content}
    _files.replace(path, libraries.numpy.save(tensors, metadata=header))


# Reading


def read(path):
    """Return (metadata, tensors) of a file, or say in what way it is no model."""
    safetensors = _libraries()
    content, path = _files.read(path), os.fsdecode(path)
    try:
        tensors = safetensors.deserialize(content)
        length = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:length]).get("__metadata__") or {}
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not a fastsoftmax model: its format is {header.get('format')!r:.80}, "
            f"expected {FORMAT!r}"
        )
    try:
        metadata = _fields.parse(header.get("fastsoftmax", ""))
        return metadata, {name: _tensor(name, tensor) for name, tensor in tensors}
    except ValueError as error:
        raise ValueError(f"{path} is a damaged fastsoftmax model: {error}") from None


def _tensor(name, tensor):
    """Return the array of a safetensors entry."""
    if tensor["dtype"] not in _DTYPES:
        raise ValueError(f"{name} must have dtype F32 or F64, got {tensor['dtype']}")
    array = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A", "W"])


class _Tensors:
    """Takes the arrays of a file network by network: each must be there, shaped and finite."""

    def __init__(self, tensors, sizes):
        self._left, self._sizes, self._dtype = dict(tensors), sizes, None

    def _take(self, name, shape):
        if name not in self._left:
            raise ValueError(f"{name} is missing")
        array = self._left.pop(name)
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
        self._dtype = self._dtype or array.dtype
        if array.dtype != self._dtype:
            raise ValueError(
                f"{name} must have the dtype of all arrays, {self._dtype}, got {array.dtype}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
        return array

    def network(self, prefix, n_layers):
        """Return the network of a prefix."""
        sizes = self._sizes
        return Network(
            [self._take(f"{prefix}coefs.{i}", sizes[i : i + 2]) for i in range(n_layers)],
            [self._take(f"{prefix}intercepts.{i}", sizes[i + 1 : i + 2]) for i in range(n_layers)],
        )

    def has(self, prefix):
        """Whether any array of a prefix is left."""
        return any(name.startswith(prefix) for name in self._left)

    def end(self):
        """Raise about arrays that nothing has taken."""
        if self._left:
            raise ValueError(f"{min(self._left)!r:.80} is no array of such a model")


def _restore(estimator, metadata, tensors):
    """Make `estimator` what metadata and tensors say; ValueError where they are not whole."""
    fields = _fields.Fields(metadata)
    estimator.set_params(**fields.params(estimator))
    _checks.check_options(estimator)
    estimator.multilabel_ = fields.boolean("multilabel")
    estimator.classes_ = fields.classes(estimator.multilabel_)
    estimator.n_features_in_ = fields.count("n_features_in", low=1)
    names = fields.feature_names(estimator.n_features_in_)
    if names is not None:
        estimator.feature_names_in_ = names
    estimator.input_scale_ = fields.scale("input_scale")
    estimator.temperature_ = fields.scale("temperature")
    estimator._fitted_on_uint8 = fields.boolean("fitted_on_uint8")
    estimator.converged_ = fields.boolean("converged", default=False)
    estimator._count(fields.count("n_iter", high=_checks.MOST_ITERATIONS))
    estimator.history_ = fields.history()
    estimator._notes = metadata.get("notes")  # the command line's own, which checks them
    sizes = estimator._sizes(estimator.n_features_in_, estimator._labels.n_outputs)
    n_layers = fields.count("n_layers", low=1)
    if n_layers != len(sizes) - 1:
        raise ValueError(f"n_layers must be {len(sizes) - 1}, got {n_layers}")
    arrays = _Tensors(tensors, sizes)
    network = arrays.network("", n_layers)
    estimator._store(network)
    estimator._state = _read_state(fields, arrays, network, estimator.history_)
    arrays.end()
    return estimator


def _read_state(fields, arrays, network, history):
    """Return the training state of a checkpoint; of a plain model, a state that starts afresh."""
    training, n_layers = fields.training(), len(network.coefs)
    if training is None:
        return FitState(network, OptimizerState.zeros(network), 0, history=history)
    first, second = (arrays.network(f"{name}.", n_layers).arrays for name in ("first", "second"))
    if any((array < 0).any() for array in second):
        raise ValueError("the second moments, second.*, must not be negative")
    step = training.count("step")
    state = FitState(
        network=arrays.network("last.", n_layers),
        optimizer=OptimizerState(step, first, second),
        seed=training.count("seed", high=2**32),
        epoch=training.count("epoch"),
        history=history,
        best_score=training.score("best_score"),
        stale=training.count("stale"),
    )
    if arrays.has("best."):
        state.best_network = arrays.network("best.", n_layers)
    return state


def load(path, *expected):
    """Return the estimator in a file, whose class must be one of `expected`."""
    estimator, _ = _load(path, *expected)
    return estimator


def _load(path, *expected):
    metadata, tensors = read(path)
    name, path = metadata.get("class"), os.fsdecode(path)
    for cls in expected:
        if cls.__name__ == name:
            break
    else:
        names = " or ".join(cls.__name__ for cls in expected)
        raise ValueError(f"{path} holds a {name!s:.80}, expected a {names}")
    try:
        return _restore(cls(), metadata, tensors), metadata
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is a damaged fastsoftmax model: {error}") from None


def load_training_state(estimator, path, dtype):
    """Return the state in a checkpoint of an estimator with the same options and data of `dtype`."""
    other, metadata = _load(path, type(estimator))
    if "training" not in metadata:
        raise ValueError(
            f"{os.fsdecode(path)} holds no training state: save it with training_state=True"
        )
    mine, theirs = _json_params(estimator), metadata["params"]
    for name in sorted(set(mine) | set(theirs)):
        if name not in _FREE_ON_RESUME and mine.get(name) != theirs.get(name):
            raise ValueError(
                f"the checkpoint was written with {name}={theirs.get(name)!r}, "
                f"got {mine.get(name)!r}"
            )
    pairs = {
        "multilabel_": (other.multilabel_, estimator.multilabel_),
        "features": (other.n_features_in_, estimator.n_features_in_),
        "input_scale_": (other.input_scale_, estimator.input_scale_),
        "the dtype": (other._state.network.dtype, computing_dtype(dtype)),
    }
    if not np.array_equal(other.classes_, estimator.classes_):
        raise ValueError(f"the checkpoint has classes {other.classes_}, got {estimator.classes_}")
    for name, (there, here) in pairs.items():
        if there != here:
            raise ValueError(f"the checkpoint has {name} {there}, the data have {here}")
    return other._state


def load_model(path: Path) -> SoftmaxRegression | MLPClassifier:
    """Return the estimator that its `save` has written, of whichever class it is.

    Parameters
    ----------
    path : path
        A regular file.

    Returns
    -------
    SoftmaxRegression or MLPClassifier
        Fitted; it predicts the same bits.

    Raises
    ------
    ValueError
        If the file is not a whole model of either class.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastsoftmax as fs
    >>> clf = fs.SoftmaxRegression().fit([[0.0], [1.0]], ["low", "high"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     clf.save(path)
    ...     fs.load_model(path).predict([[2.0]])
    array(['high'], dtype='<U4')
    """
    from . import MLPClassifier, SoftmaxRegression  # which import this module

    return load(path, SoftmaxRegression, MLPClassifier)
