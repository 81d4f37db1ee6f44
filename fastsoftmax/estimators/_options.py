"""What raises about an estimator's own parameters."""

from numbers import Integral

import numpy as np

from .._validate import integer, number
from ._checks import SCALES

_MOST_UNITS = 2**31
_SOLVERS = ("lbfgs", "adam", "sgd")
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


def check_options(params):
    """Raise about the first parameter of an estimator that is out of range."""
    _one_of(params["solver"], "solver", _SOLVERS)
    if not callable(params["learning_rate"]):
        _one_of(params["learning_rate"], "learning_rate", _SCHEDULES)
    for name, bounds in _NUMBERS.items():
        if name in params:
            if name == "C" and params[name] == np.inf:
                continue  # no penalty, as scikit-learn writes it
            value = number(params[name], name, **bounds)
            if name in _BELOW_ONE and value >= 1:
                raise ValueError(f"{name} must be less than 1, got {value}")
    for name in ("max_iter", "n_iter_no_change"):
        integer(params[name], name, low=1)
    if not isinstance(params["batch_size"], str) or params["batch_size"] != "auto":
        integer(params["batch_size"], "batch_size", low=1)
    if not isinstance(params["input_scale"], str) or params["input_scale"] != "auto":
        number(params["input_scale"], "input_scale", *SCALES)
    if not isinstance(params["verbose"], (bool, np.bool_)):
        integer(params["verbose"], "verbose", low=0)
    for name in ("fit_intercept", "early_stopping", "warm_start"):
        if name in params:
            _boolean(params[name], name)
    if params.get("l1_ratio", 0) > 0 and params["solver"] != "lbfgs":
        raise ValueError(f"l1_ratio > 0 needs solver='lbfgs', got solver={params['solver']!r}")


def hidden_sizes(value):
    """Return hidden_layer_sizes as a tuple of positive integers; one integer is one layer."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = (value,)
    try:
        sizes = tuple(value)
    except TypeError:
        raise TypeError(
            f"hidden_layer_sizes must be a sequence of integers, got {value!r}"
        ) from None
    for size in sizes:
        if integer(size, "hidden_layer_sizes", low=1) >= _MOST_UNITS:
            raise ValueError(f"hidden_layer_sizes must be less than {_MOST_UNITS}, got {size}")
    return tuple(int(size) for size in sizes)
