"""Models as files: weights as safetensors, all else as JSON in its metadata. Nothing is pickled."""

import json
import os
import stat
import warnings

import numpy as np

from .._version import __version__
from ._network import Network
from ._optimizers import OptimizerState
from ._state import FitState

FORMAT = "fastsoftmax-model-1"
_FREE_ON_RESUME = ("max_iter", "verbose", "warm_start", "random_state")


def _libraries():
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            'Saving and loading need safetensors: pip install "fastsoftmax[train]"'
        ) from error
    return safetensors


def _json_params(estimator):
    """Return the parameters that JSON can hold; warn about the others."""
    kept, lost = {}, []
    for name, value in estimator.get_params(deep=False).items():
        try:
            kept[name] = json.loads(json.dumps(value, default=_plain))
        except (TypeError, ValueError):
            lost.append(name)
    if lost:
        warnings.warn(
            f"{', '.join(lost)} cannot be written as JSON: the saved model has the default instead",
            UserWarning,
            stacklevel=4,
        )
    return kept


def _plain(value):
    """Return NumPy's numbers and arrays as JSON writes them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} is not JSON")


def _classes_as_json(classes):
    if classes.dtype.kind not in "biufUO":
        raise ValueError(
            f"classes must be numbers or strings to be saved, got dtype {classes.dtype}"
        )
    values = classes.tolist()
    if classes.dtype.kind == "O" and not all(isinstance(value, str) for value in values):
        raise ValueError("classes of mixed types cannot be saved")
    return {"dtype": classes.dtype.str if classes.dtype.kind != "O" else "O", "values": values}


def _classes_from_json(classes):
    if classes["dtype"] == "O" or classes["dtype"][1] == "U":
        values = [str(value) for value in classes["values"]]
        found = np.array(values, dtype=object if classes["dtype"] == "O" else None)
    else:
        found = np.array(classes["values"], dtype=np.dtype(classes["dtype"]))
    if found.dtype.kind not in "biufUO" or not np.array_equal(np.unique(found), found):
        raise ValueError("classes are not sorted numbers or strings")
    return found


def _metadata(estimator):
    names = getattr(estimator, "feature_names_in_", None)
    return {
        "class": type(estimator).__name__,
        "version": __version__,
        "params": _json_params(estimator),
        "classes": _classes_as_json(estimator.classes_),
        "multilabel": estimator.multilabel_,
        "n_features_in": int(estimator.n_features_in_),
        "feature_names_in": None if names is None else [str(name) for name in names],
        "input_scale": estimator.input_scale_,
        "temperature": estimator.temperature_,
        "fitted_on_uint8": estimator._fitted_on_uint8,
        "n_layers": len(estimator._network.coefs),
        "n_iter": estimator.n_iter_,
        "history": estimator.history_,
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


def save(estimator, path, training_state):
    """Write the estimator; the file appears whole or not at all."""
    libraries = _libraries()
    metadata = _metadata(estimator)
    tensors = _network_tensors("", estimator._network)
    if training_state:
        state = estimator._state
        tensors |= _state_tensors(state)
        metadata["training"] = {
            "step": state.optimizer.step,
            "seed": state.seed,
            "epoch": state.epoch,
            "best_score": state.best_score if np.isfinite(state.best_score) else None,
            "stale": state.stale,
        }
    header = {"format": FORMAT, "fastsoftmax": json.dumps(metadata)}
    _replace(_regular_file(path), libraries.numpy.save(tensors, metadata=header))


def _regular_file(path):
    """Return the file that a path leads to; devices, pipes and folders are none."""
    path = os.path.realpath(os.fsdecode(path))
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError(f"path must lead to a regular file, got {path}")
    return path


def _replace(path, content):
    """Put `content` where `path` is, whole or not at all."""
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def read(path):
    """Return (metadata, tensors) of a file, or say in what way it is no model."""
    safetensors = _libraries()
    file_path, path = _regular_file(path), os.fsdecode(path)
    with open(file_path, "rb"):  # OSError in Python's own words
        pass
    try:
        with safetensors.safe_open(file_path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not a fastsoftmax model: its format is {header.get('format')!r}, "
            f"expected {FORMAT!r}"
        )
    try:
        metadata = json.loads(header["fastsoftmax"])
        if not isinstance(metadata, dict):
            raise ValueError("its metadata are no JSON object")
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is a damaged fastsoftmax model: {error}") from None
    return metadata, tensors


def _network_from(tensors, prefix, n_layers):
    return Network(
        [tensors[f"{prefix}coefs.{i}"] for i in range(n_layers)],
        [tensors[f"{prefix}intercepts.{i}"] for i in range(n_layers)],
    )


def _check_network(network, sizes):
    """Raise if the arrays do not fit together: a damaged file must not reach compiled code."""
    for i, (coef, intercept) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        shapes = (coef.shape, intercept.shape)
        if shapes != ((sizes[i], sizes[i + 1]), (sizes[i + 1],)):
            raise ValueError(f"layer {i} has shapes {shapes}")
        if coef.dtype not in (np.float32, np.float64) or coef.dtype != intercept.dtype:
            raise ValueError(f"layer {i} has dtypes {coef.dtype} and {intercept.dtype}")


def _restore(estimator, metadata, tensors):
    estimator.set_params(**metadata["params"])
    estimator.classes_ = _classes_from_json(metadata["classes"])
    estimator.multilabel_ = bool(metadata["multilabel"])
    estimator.n_features_in_ = int(metadata["n_features_in"])
    if metadata["feature_names_in"] is not None:
        estimator.feature_names_in_ = np.array(metadata["feature_names_in"], dtype=object)
    estimator.input_scale_ = float(metadata["input_scale"])
    estimator.temperature_ = float(metadata["temperature"])
    estimator._fitted_on_uint8 = bool(metadata["fitted_on_uint8"])
    estimator.n_iter_, estimator.history_ = metadata["n_iter"], metadata["history"]
    estimator._notes = metadata.get("notes")  # the command line's own, which checks them
    network = _network_from(tensors, "", metadata["n_layers"])
    _check_network(network, estimator._sizes(estimator.n_features_in_, estimator._labels.n_outputs))
    estimator._store(network)
    estimator._state = _read_state(metadata, tensors, network)
    return estimator


def _read_state(metadata, tensors, network):
    """Return the training state of a checkpoint; of a plain model, a state that starts afresh."""
    training, n_layers = metadata.get("training"), metadata["n_layers"]
    if training is None:
        return FitState(network, OptimizerState.zeros(network), 0, history=metadata["history"])
    moments = [_network_from(tensors, f"{name}.", n_layers).arrays for name in ("first", "second")]
    best = _network_from(tensors, "best.", n_layers) if "best.coefs.0" in tensors else None
    best_score = training["best_score"]
    return FitState(
        network=_network_from(tensors, "last.", n_layers),
        optimizer=OptimizerState(training["step"], *moments),
        seed=training["seed"],
        epoch=training["epoch"],
        history=metadata["history"],
        best_score=-np.inf if best_score is None else best_score,
        best_network=best,
        stale=training["stale"],
    )


def load(path, *expected):
    """Return the estimator in a file, whose class must be one of `expected`."""
    metadata, tensors = read(path)
    name, path = metadata.get("class"), os.fsdecode(path)
    for cls in expected:
        if cls.__name__ == name:
            break
    else:
        names = " or ".join(cls.__name__ for cls in expected)
        raise ValueError(f"{path} holds a {name}, expected a {names}")
    try:
        return _restore(cls(), metadata, tensors)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is a damaged fastsoftmax model: {error}") from None


def load_training_state(estimator, path):
    """Return the state in a checkpoint of an estimator with the same options and data."""
    other = load(path, type(estimator))
    metadata, _ = read(path)
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
    if not np.array_equal(other.classes_, estimator.classes_):
        raise ValueError(f"the checkpoint has classes {other.classes_}, got {estimator.classes_}")
    if other.n_features_in_ != estimator.n_features_in_:
        raise ValueError(
            f"the checkpoint has {other.n_features_in_} features, got {estimator.n_features_in_}"
        )
    return other._state
