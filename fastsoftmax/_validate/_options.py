"""Options: axes, numbers, flags, seeds and names."""

import math
import operator

import numpy as np

from ._arrays import is_floating, is_masked_array

REDUCTIONS = ("none", "mean", "sum")


def axes(axis, ndim, name="axis"):
    """Return the axes as a sorted tuple of non-negative integers; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    wanted = axis if isinstance(axis, tuple) else (axis,)
    result = []
    for one in wanted:
        index = _index(one, f"{name} must be an integer, a tuple of integers or None, got {axis!r}")
        if not -ndim <= index < ndim:
            raise ValueError(
                f"{name} must be in [{-ndim}, {ndim}) for {ndim} dimensions, got {index}"
            )
        result.append(index % ndim)
    if len(set(result)) != len(result):
        raise ValueError(f"{name} must not repeat a dimension, got {axis!r}")
    return tuple(sorted(result))


def one_axis(axis, ndim, name="logits"):
    """Return a single axis as a non-negative integer."""
    if isinstance(axis, tuple) or axis is None:
        raise TypeError(f"axis must be an integer, got {axis!r}")
    if ndim == 0:
        raise ValueError(f"{name} must have at least one dimension, got a scalar")
    return axes(axis, ndim)[0]


def _is_masked(value):
    """Whether a number is masked; np.ma is not imported for who has no such array."""
    return is_masked_array(value) and np.ma.is_masked(value)


def _as_float(value, message):
    """Return a real number of any class as a float, or raise TypeError; what is too large is infinite."""
    dtype = getattr(value, "dtype", None)
    if (
        isinstance(value, (str, bytes, bytearray))
        or (isinstance(dtype, np.dtype) and dtype.kind not in "biu" and not is_floating(dtype))
        or getattr(value, "ndim", 0) != 0
        or _is_masked(value)
    ):
        raise TypeError(message)
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError) as error:
        raise TypeError(message) from error


def number(value, name, low=-math.inf, high=math.inf, *, open_low=False):
    """Return `value` as a finite float in [low, high], or (low, high] where `open_low`."""
    result = value
    if type(value) is not float:
        result = _as_float(value, f"{name} must be a real number, got {value!r}")
    too_low = result <= low if open_low else result < low
    if not math.isfinite(result) or too_low or result > high:
        bounds = f"{'(' if open_low else '['}{low:g}, {high:g}{']' if math.isfinite(high) else ')'}"
        raise ValueError(f"{name} must be finite and in {bounds}, got {value!r}")
    return result


def _index(value, message):
    """Return an integer of any class as an int, or raise TypeError; booleans and masked ones are refused."""
    if isinstance(value, (bool, np.bool_)) or _is_masked(value):
        raise TypeError(message)
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(message) from error


def integer(value, name, low=None):
    """Return `value` as an int of at least `low`; booleans are refused."""
    result = _index(value, f"{name} must be an integer, got {value!r}")
    if low is not None and result < low:
        raise ValueError(f"{name} must be at least {low}, got {result}")
    return result


def flag(value, name):
    """Return a boolean of Python or NumPy as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def generator(seed):
    """Return the random generator that a seed stands for."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"seed must be None, an integer >= 0 or a numpy.random.Generator, got {seed!r}"
        ) from error


def choice(value, name, choices):
    """Return `value` if it is one of these strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def reduction(value):
    """Check the name of a reduction."""
    return choice(value, "reduction", REDUCTIONS)


def n_classes(count, name, shape):
    """Raise unless there is at least one class."""
    if count == 0:
        raise ValueError(f"{name} must have at least one class along axis, got shape {shape}")
