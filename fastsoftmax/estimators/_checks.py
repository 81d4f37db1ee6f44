"""Validation of options, data and fitted attributes before anything computes with them.

Every fitted attribute is public and may be changed between two calls, so each use checks anew
what it reads: a ValueError names the attribute.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np

from .._validate import integer, number
from ._compiled import all_finite
from ._network import Network
from ._state import FitState

SCALES = (1e-30, 1e30)
"""Factors and divisors beyond these leave the range of float32 together with any data."""

MOST_ITERATIONS = 2**31

MOST_PENALTY = 1e300
"""Penalties above this leave the range of double together with any weights."""

TOTAL_WEIGHTS = (1e-300, 1e304)
"""Sums of the weights of rows beyond these leave the range of double together with any losses."""


# Data


def refuse_masked(value, name):
    """Raise about masked values, which NumPy would read as if they were not masked."""
    parts = value if isinstance(value, (list, tuple)) else (value,)
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise TypeError(
            f"{name} must have no masked values, which would be read as if they were not: "
            "fill them or leave these rows out"
        )


# Fitted attributes


def scale_of(estimator, name):
    """Return a fitted attribute that multiplies or divides: a number in SCALES."""
    value, (low, high) = getattr(estimator, name, None), SCALES
    if type(value) is float and low <= value <= high:
        return value
    try:
        return number(value, name, low, high)
    except TypeError as error:
        raise ValueError(str(error)) from None


def classes_of(estimator):
    """Return classes_, a vector of at least two."""
    classes = getattr(estimator, "classes_", None)
    if type(classes) is np.ndarray and classes.ndim == 1 and len(classes) >= 2:
        return classes
    is_array = isinstance(classes, np.ndarray) and not isinstance(classes, np.ma.MaskedArray)
    if not is_array or classes.ndim != 1 or len(classes) < 2:
        got = f"shape {classes.shape}" if is_array else f"{classes!r:.80}"
        raise ValueError(f"classes_ must be a vector of at least two classes, got {got}")
    return classes


def require_sorted(classes):
    """Raise unless each of classes_ is greater than the one before: labels are searched in them."""
    try:
        is_sorted = bool((classes[1:] > classes[:-1]).all())
    except TypeError:
        is_sorted = False
    if not is_sorted:
        raise ValueError(
            f"classes_ must be sorted, each class once, got {classes.tolist()!r:.80}: to evaluate "
            "or train with other labels, fit with them"
        )


def n_features_of(estimator):
    """Return n_features_in_, an integer of at least 1."""
    return _checked_n_features(getattr(estimator, "n_features_in_", None))


def _checked_n_features(value):
    if type(value) is int and value >= 1:
        return value
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"n_features_in_ must be an integer of at least 1, got {value!r:.80}")
    return int(value)


def names_of(estimator, n_features):
    """Return feature_names_in_ as a list of strings; None where the features have no names."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return None
    try:
        found = [str(name) for name in names if isinstance(name, str)]
        complete = not isinstance(names, str) and len(found) == len(names) == n_features
    except TypeError:  # no sequence
        complete = False
    if not complete:
        raise ValueError(f"feature_names_in_ must be {n_features} names, got {names!r:.80}")
    return found


def _array(value, name, shape):
    """Return weights as an ndarray that compiled code can read, or name what is wrong with them."""
    refuse = f"{name} must be a float32 or float64 array of shape {shape}"
    is_array = type(value) is np.ndarray or isinstance(value, np.ndarray)
    if not is_array or isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{refuse}, got {type(value).__name__}")
    array = value if type(value) is np.ndarray else np.asarray(value)
    if array.dtype.char not in "fd" or not array.dtype.isnative:
        raise ValueError(f"{refuse}, got dtype {array.dtype.str}")
    if array.shape != shape:
        raise ValueError(f"{refuse}, got {array.shape}")
    if not array.flags.aligned:
        raise ValueError(f"{name} must be aligned in memory: assign a copy of it")
    return array


def _sizes(estimator, n_features):
    """Return the numbers of features, of each layer's units but the last, and of outputs."""
    layers = estimator._layers()
    turned = estimator._coefs_are_turned
    ends = [(_size(coef, 2, turned), _size(coef, 2, not turned)) for _, coef, _, _ in layers]
    hidden = []
    for (_, outputs), (inputs, _), (*_, intercept) in zip(ends, ends[1:], layers, strict=False):
        # What most arrays say: the one that differs has been changed, and is named.
        sizes = (outputs, _size(intercept, 1, 0), inputs)
        hidden.append(max(sizes, key=sizes.count))
    return (n_features, *hidden, estimator._labels.n_outputs)


def _size(array, ndim, axis):
    """Return the size of an array along an axis; -1 where it has not as many axes."""
    return array.shape[axis] if isinstance(array, np.ndarray) and array.ndim == ndim else -1


def fitted_network(estimator, *, finite=False, n_features=None):
    """Return the fitted network, whose arrays fit each other, the features and the classes.

    Where `finite`, NaN and infinite weights are refused too. `n_features` is n_features_in_.
    """
    if n_features is None:
        n_features = n_features_of(estimator)
    else:
        n_features = _checked_n_features(n_features)
    sizes, layers, arrays = _sizes(estimator, n_features), estimator._layers(), []
    for i, (coef_name, coef, intercept_name, intercept) in enumerate(layers):
        shape = sizes[i : i + 2]
        turned = estimator._coefs_are_turned
        coef = _array(coef, coef_name, shape[::-1] if turned else shape)
        arrays.append((coef.T if turned else coef, _array(intercept, intercept_name, shape[1:])))
        for name, array in ((coef_name, coef), (intercept_name, intercept)):
            if array.dtype != arrays[0][0].dtype:
                raise ValueError(
                    f"{name} must have the dtype of all weights, {arrays[0][0].dtype}, "
                    f"got {array.dtype}"
                )
            if finite and not all_finite(array):
                raise ValueError(f"{name} must be finite, got NaN or infinity")
    return Network(*map(list, zip(*arrays, strict=True)))


def check_layers(estimator, network):
    """Raise unless the fitted layers are those that the options ask for."""
    wanted = estimator._sizes(network.sizes[0], network.sizes[-1])
    if network.sizes != wanted:
        name = estimator._layers()[0][0].split("[")[0]
        raise ValueError(
            f"{name} must have the layers that the options ask for, {wanted}, got {network.sizes}"
        )


def state_of(estimator, network):
    """Return the training state, whose moments are shaped and typed as the weights are."""
    state = getattr(estimator, "_state", None)
    if not isinstance(state, FitState):
        raise ValueError("the state of the optimiser is missing: fit anew")
    moments = (state.optimizer.first, state.optimizer.second)
    kinds = [[(array.shape, array.dtype) for array in arrays] for arrays in moments]
    wanted = [(array.shape, array.dtype) for array in network.arrays]
    if kinds != [wanted, wanted]:
        name = estimator._layers()[0][0].split("[")[0]
        raise ValueError(
            f"{name} must have the shapes and the dtype of the last step, for the optimiser "
            f"remembers a number for each weight: expected {kinds[0]}, got {wanted}; or fit anew"
        )
    return state


def iterations_of(estimator):
    """Return n_iter_, of one number or a vector of one, as an int."""
    found = value = getattr(estimator, "n_iter_", None)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if not is_count(value, MOST_ITERATIONS):
        raise ValueError(f"n_iter_ must be an integer in [0, {MOST_ITERATIONS}), got {found!r:.80}")
    return int(value)


def convergence_of(estimator):
    """Return converged_ as a bool; False where a fit has not told."""
    value = getattr(estimator, "converged_", False)
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"converged_ must be True or False, got {value!r:.80}")
    return bool(value)


def check_history(history):
    """Raise unless a history is a dict of lists of numbers; return it."""
    if not isinstance(history, dict):
        raise ValueError(f"history_ must be a dict of lists, got {type(history).__name__}")
    for name, values in history.items():
        if not isinstance(name, str) or not isinstance(values, list):
            raise ValueError(f"history_ must be a dict of lists, got {name!r}: {values!r:.80}")
        for value in values:
            if not isinstance(value, Real) or isinstance(value, bool):
                raise ValueError(f"history_[{name!r}] must be numbers, got {value!r:.80}")
    return history


def is_count(value, high=2**53):
    """Whether a value is an integer in [0, high)."""
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= value < high


def is_finite_number(value):
    """Whether a value is a finite real number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


# Options

_MOST_UNITS = 2**31
BATCH_SOLVERS = ("adam", "sgd")
_SCHEDULES = ("constant", "invscaling", "cosine")


def _one_of(value, name, allowed):
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def _boolean(value, name):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")


_NUMBERS = {
    "C": {"low": 0, "open_low": True},
    "l1_ratio": {"low": 0, "high": 1},
    "alpha": {"low": 0},
    "tol": {"low": 0},
    "learning_rate_init": {"low": 0, "open_low": True},
    "label_smoothing": {"low": 0, "high": 1},
    "validation_fraction": {"low": 0, "high": 1, "open_low": True},
    "beta_1": {"low": 0, "high": 1},
    "beta_2": {"low": 0, "high": 1},
    "epsilon": {"low": 0, "open_low": True},
    "momentum": {"low": 0, "high": 1},
}
_BELOW_ONE = ("validation_fraction", "beta_1", "beta_2")


@functools.cache
def _option_names(cls):
    """Return the names of an estimator's options, also of those that a subclass sets for itself."""
    ancestors = [one for one in cls.__mro__ if hasattr(one, "_get_param_names")]
    return sorted({name for one in ancestors for name in one._get_param_names()})


def options_of(estimator):
    """Return all options by name, without reading signatures anew."""
    return {name: getattr(estimator, name) for name in _option_names(type(estimator))}


_PLAIN = frozenset((int, float, str, bool, type(None)))


def check_options(estimator):
    """Raise about the first parameter of an estimator that is out of range."""
    cls, params = type(estimator), options_of(estimator)
    values = [params[name] for name in _checked_names(cls)]
    if _PLAIN.issuperset(map(type, values)):
        _check_once(cls, *values)
    else:
        _check_params(cls, params)
    _check_class_weight(params["class_weight"])
    _check_seed(params["random_state"])


def _check_class_weight(value):
    """Raise unless a value is None, "balanced" or a dict of weights."""
    if value is None or (isinstance(value, str) and value == "balanced"):
        return
    if not isinstance(value, dict):
        raise ValueError(f'class_weight must be a dict, "balanced" or None, got {value!r:.80}')
    for name, weight in value.items():
        if not is_finite_number(weight) or weight < 0:
            raise ValueError(
                f"class_weight[{name!r:.40}] must be finite and >= 0, got {weight!r:.40}"
            )


def _check_seed(value):
    """Raise unless a value seeds a generator, as scikit-learn's check_random_state has it."""
    if value is None or isinstance(value, np.random.RandomState) or value is np.random:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= value < 2**32:
        raise ValueError(
            f"random_state must be an integer in [0, 2**32), a RandomState or None, got {value!r:.80}"
        )


@functools.cache
def _checked_names(cls):
    """Return the names of the parameters that `_check_params` reads."""
    left_out = ("class_weight", "hidden_layer_sizes", "random_state")
    return [name for name in _option_names(cls) if name not in left_out]


@functools.lru_cache(maxsize=64, typed=True)
def _check_once(cls, *values):
    """Check values that cannot change; calls of partial_fit come with the same ones."""
    _check_params(cls, dict(zip(_checked_names(cls), values, strict=True)))


def _check_params(cls, params):
    _one_of(params["solver"], "solver", cls._solvers)
    if not callable(params["learning_rate"]):
        _one_of(params["learning_rate"], "learning_rate", _SCHEDULES)
    for name, bounds in _NUMBERS.items():
        if name in params:
            if name == "C" and params[name] == np.inf:
                continue  # no penalty, as scikit-learn writes it
            value = number(params[name], name, **bounds)
            if name in _BELOW_ONE and value >= 1:
                raise ValueError(f"{name} must be less than 1, got {value}")
    integer(params["max_iter"], "max_iter", low=int(params["solver"] in BATCH_SOLVERS))
    integer(params["n_iter_no_change"], "n_iter_no_change", low=1)
    if not isinstance(params["batch_size"], str) or params["batch_size"] != "auto":
        integer(params["batch_size"], "batch_size", low=1)
    if not isinstance(params["input_scale"], str) or params["input_scale"] != "auto":
        number(params["input_scale"], "input_scale", *SCALES)
    if not isinstance(params["verbose"], (bool, np.bool_)):
        integer(params["verbose"], "verbose", low=0)
    for name in ("fit_intercept", "early_stopping", "warm_start"):
        if name in params:
            _boolean(params[name], name)
    if params.get("l1_ratio", 0) > 0 and params["solver"] not in ("auto", "lbfgs"):
        raise ValueError(
            f"l1_ratio > 0 needs solver='lbfgs' or 'auto', got solver={params['solver']!r}"
        )


def hidden_sizes(value):
    """Return hidden_layer_sizes as a tuple of positive integers; one integer is one layer."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = (value,)
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"hidden_layer_sizes must be a sequence of integers, got {value!r}")
    sizes = tuple(value)
    for size in sizes:
        if integer(size, "hidden_layer_sizes", low=1) >= _MOST_UNITS:
            raise ValueError(f"hidden_layer_sizes must be less than {_MOST_UNITS}, got {size}")
    return tuple(int(size) for size in sizes)
