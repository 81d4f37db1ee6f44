"""Times and ratios as text."""

import math


def duration(seconds):
    """Return a time in the unit that suits it, three digits."""
    if seconds >= 1:
        return f"{three_digits(seconds)} s"
    if seconds >= 1e-3:
        return f"{three_digits(seconds * 1e3)} ms"
    return f"{three_digits(seconds * 1e6)} us"


def three_digits(number):
    """Return a number with three digits, never in scientific notation."""
    if not math.isfinite(number):
        return str(number)
    decimals = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{decimals}f}"
