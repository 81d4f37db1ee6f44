"""Options that a kernel's arithmetic has no room for; the specification serves them, in long double.

Kernels multiply options with one another and with the terms of a row in double, and factors of a row come to them in
the computing dtype. While each of these stays within `_LIMITS`, no product on the way to a result that is a normal
number overflows or loses digits. Beyond, the exponents of long double reach 16 times as far as those of double.
"""

import numpy as np

_LIMITS = {4: 2.0**72, 8: 2.0**800}
"""By the bytes of the computing dtype."""

_LARGEST_SCALES = {4: 2.0**20, 8: 2.0**40}
"""What terms may be multiplied with: they are kept down to a small part of the smallest normal number."""


_PLAIN = [1.0, 0.0, 0.0, 0.0]
_SMALLEST_PLAIN_SCALE = 2.0**-64
"""1 / divisor of as many rows as there can be, where no option changes it."""


def _bounds(values):
    """Return the smallest value but 0 and the largest of weights; 1 and 1 where there are none."""
    if values is None or not values.size:
        return 1.0, 1.0
    low, high = float(values.min()), float(values.max())
    if high == 0:
        return 1.0, 1.0
    if low == 0:
        low = float(np.min(values, where=values > 0, initial=high))
    return low, high


def _largest_scale(dtype):
    return _LARGEST_SCALES[max(4, dtype.itemsize)]


def _limit(dtype):
    return _LIMITS[max(4, dtype.itemsize)]


def is_extreme(number, dtype):
    """Whether an option, 0 for none, is beyond what kernels of this dtype have room for."""
    limit = _limit(dtype)
    return number != 0 and not 1 / limit <= number <= limit


def are_extreme(options, n_classes, grad_scale, dtype):
    """Whether the options of a cross-entropy, or their products, are beyond what kernels have room for."""
    factors = [options.temperature, options.softcap, options.z_loss, options.label_smoothing]
    if factors == _PLAIN and options.weight is None and options.sample_weight is None:
        return not (_SMALLEST_PLAIN_SCALE <= grad_scale <= 1 or grad_scale in (0, np.inf))
    row = target = (1.0, 1.0)
    products = []  # one that was rounded to 0 is beyond too
    if options.weight is not None or options.sample_weight is not None:
        row, target = _bounds(options.sample_weight), _bounds(options.weight)
        products = [*row, *target, row[0] * target[0], row[1] * target[1]]
    if options.label_smoothing:
        target = (min(1.0, options.label_smoothing / n_classes) * target[0], target[1])
        products.append(target[0])
    if 0 < grad_scale < np.inf:
        scale = grad_scale / options.temperature
        largest = row[1] * max(1.0, target[1] + 2.0**12 * options.z_loss) * scale
        if largest > _largest_scale(dtype):
            return True
        products += [row[0] * scale, row[0] * min(1.0, target[0]) * scale, largest]
    factors = [one for one in factors if one] + products
    limit = _limit(dtype)
    return not (1 / limit <= min(factors) and max(factors) <= limit)


def are_extreme_weights(weight, pos_weight, grad_scale, dtype):
    """Whether the weights of a binary cross-entropy, or their products, are beyond what kernels have room for."""
    row, positive = _bounds(weight), _bounds(pos_weight)
    low, high = row[0] * min(1.0, positive[0]), row[1] * max(1.0, positive[1])
    factors = [*row, *positive, low, high, low * grad_scale]
    return high > _largest_scale(dtype) or any(
        one == 0 or is_extreme(one, dtype) for one in factors
    )
