"""Means of the losses of rows, and what gradients are divided by."""

import math

import numpy as np

from .._compiled import fast_path

_SPARE = 2.0**-64
"""So much smaller, the losses of as many rows as there can be have a sum."""


def total_of(losses):
    """Return the sum of losses: within 2 ULP, whatever their number and order."""
    if losses.dtype == np.float64 and losses.flags.c_contiguous:
        return np.float64(fast_path.sum_of(losses))
    return losses.sum()


def mean_of(losses, divisor):
    """Return sum(losses) / divisor, which may be in range where the sum is not; callers silence NumPy's warnings."""
    total = total_of(losses)
    if math.isinf(total):
        return total_of(losses * _SPARE) / divisor / _SPARE
    return total / losses.dtype.type(divisor)


def in_two_parts(value):
    """Return a long double as the nearest double and what is left of it."""
    nearest = float(value)
    return nearest, float(value - nearest) if math.isfinite(nearest) else 0.0


def reciprocal(divisor, error=0.0):
    """Return 1 / (divisor + error) in two parts."""
    value = 1 / divisor if divisor else math.inf
    if not 0 < value < math.inf:
        return value, 0.0
    numerator, denominator = value.as_integer_ratio()
    top, bottom = divisor.as_integer_ratio()
    rest = (denominator * bottom - numerator * top) / (denominator * top)
    return value, rest - value * (error / divisor)
