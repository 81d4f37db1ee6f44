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
    return _LARGEST_SCALES[max(4, np.dtype(dtype).itemsize)]


def is_extreme(number, dtype):
    """Whether an option, 0 for none, is beyond what kernels of this dtype have room for."""
    limit = _LIMITS[max(4, np.dtype(dtype).itemsize)]
    return number != 0 and not 1 / limit <= number <= limit


def are_extreme(options, n_classes, grad_scale, dtype):
    """Whether the options of a cross-entropy, or their products, are beyond what kernels have room for."""
    factors = [options.temperature, options.softcap, options.z_loss, options.label_smoothing]
    if options.weight is not None or options.sample_weight is not None:
        row, target = _bounds(options.sample_weight), _bounds(options.weight)
        factors += [*row, *target, row[0] * target[0], row[1] * target[1]]
    else:
        row = target = (1.0, 1.0)
    if options.label_smoothing:
        target = (min(1.0, options.label_smoothing / n_classes) * target[0], target[1])
        factors.append(target[0])
    if 0 < grad_scale < np.inf:
        scale = grad_scale / options.temperature
        largest = row[1] * max(1.0, target[1] + 2.0**12 * options.z_loss) * scale
        if largest > _largest_scale(dtype):
            return True
        factors += [row[0] * scale, row[0] * min(1.0, target[0]) * scale, largest]
    # A product that was rounded to 0 is one of them.
    return any(is_extreme(one, dtype) for one in factors[:4]) or any(
        one == 0 or is_extreme(one, dtype) for one in factors[4:]
    )


def are_extreme_weights(weight, pos_weight, grad_scale, dtype):
    """Whether the weights of a binary cross-entropy, or their products, are beyond what kernels have room for."""
    row, positive = _bounds(weight), _bounds(pos_weight)
    low, high = row[0] * min(1.0, positive[0]), row[1] * max(1.0, positive[1])
    factors = [*row, *positive, low, high, low * grad_scale]
    return high > _largest_scale(dtype) or any(
        one == 0 or is_extreme(one, dtype) for one in factors
    )
