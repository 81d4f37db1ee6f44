"""The mathematics in long double: what every implementation is judged against.

x86's long double has 64 bits of precision, 11 more than double; where an argument of exp needs more, it comes in two
parts. Where long double is double, tests of float64 against it are skipped by name.
"""

import numpy as np

HAS_EXTENDED = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant


def _finfo(dtype):
    """Return the limits of a float dtype; bfloat16's are those of ml_dtypes."""
    try:
        return np.finfo(dtype)
    except ValueError:
        import ml_dtypes

        return ml_dtypes.finfo(dtype)


def unit_in_the_last_place(scale, dtype):
    """Return the distance of numbers of a dtype near `scale`, in long double."""
    info = _finfo(dtype)
    _, exponent = np.frexp(np.asarray(scale, np.longdouble))
    return np.ldexp(np.longdouble(1), np.maximum(exponent - 1, int(info.minexp)) - int(info.nmant))


def rounded(want, dtype):
    """Return long doubles as the nearest numbers of a dtype, infinite where they are beyond its range."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(want, np.longdouble).astype(np.float64).astype(dtype)


def ulp_error(got, want, scale=None):
    """Return the largest error of `got` in units in the last place of `want` (or of `scale`).

    Results under the smallest normal number may be 0; NaN and infinities must agree.
    """
    got, want = np.asarray(got), np.asarray(want, np.longdouble)
    tiny = float(_finfo(got.dtype).tiny)
    scale = np.abs(want) if scale is None else np.asarray(scale, np.longdouble)
    special = ~np.isfinite(rounded(want, got.dtype))
    expected = rounded(want, got.dtype)[special].astype(np.float64)
    np.testing.assert_array_equal(got[special].astype(np.float64), expected)
    if not got.size:
        return 0.0
    with np.errstate(all="ignore"):
        unit = unit_in_the_last_place(scale, got.dtype)
        error = np.abs(got.astype(np.longdouble) - want) / unit
        error = np.where(np.isnan(error), np.inf, error)
    is_subnormal = np.abs(want) < tiny
    flushed = np.abs(got) <= tiny
    error = np.where(special | (is_subnormal & flushed), 0, error)
    return float(np.max(error))


def total_of(values, axis):
    """Sum over an axis, which is brought to the end: NumPy sums in pairs only there."""
    values = np.ascontiguousarray(np.moveaxis(values, axis, -1))
    return np.expand_dims(values.sum(axis=-1), axis)


def _two_sum(a, b):
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _product_error(a, b, product):
    """Return a * b - product (Dekker), for long doubles of 64 bits."""
    halves = []
    for one in (a, b):
        wide = one * np.longdouble(2**32 + 1)
        high = wide - (wide - one)
        halves.append((high, one - high))
    (a1, a2), (b1, b2) = halves
    return ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _quotient(value, lost, divisor):
    """Divide a number in two parts; the quotient comes in two parts too."""
    result = value / divisor
    product = result * divisor
    return result, (((value - product) - _product_error(result, divisor, product)) + lost) / divisor


def _capped_distance(u, v, distance, lost, softcap):
    """Return softcap * (tanh(u) - tanh(v)) for u >= v in two parts, given softcap * (u - v) in two parts."""
    a, b = np.exp(-2 * np.abs(u)), np.exp(-2 * np.abs(v))
    alike = -2 * np.maximum(a, b) * np.expm1(-2 * (distance / softcap)) / ((1 + a) * (1 + b))
    capped = softcap * np.where((u >= 0) == (v >= 0), alike, np.tanh(u) - np.tanh(v))
    # Near 0 tanh is its argument but for a small part of it: u - u**3 / 3 + 2 * u**5 / 15.
    is_small = np.maximum(np.abs(u), np.abs(v)) < 2.0**-12
    cubes = (u * u + u * v + v * v) / 3
    fifths = 2 * (u**4 + u**3 * v + u**2 * v**2 + u * v**3 + v**4) / 15
    return np.where(is_small, distance, capped), np.where(
        is_small, lost - distance * (cubes - fifths), 0
    )


class Rows:
    """Every quantity of z over `axis`, in long double and without cancellation."""

    def __init__(self, x, axis=-1, temperature=1.0, softcap=None):
        x, temperature = np.asarray(x).astype(np.longdouble), np.longdouble(temperature)
        with np.errstate(all="ignore"):
            m = x.max(axis, keepdims=True)
            is_max = x == m
            self.m, self.axis, self.slope = m / temperature, axis, 1 / temperature
            distance, lost = _quotient(*_two_sum(m, -x), temperature)
            if softcap is not None:
                softcap = np.longdouble(softcap)
                u, v = self.m / softcap, x / temperature / softcap
                self.m = softcap * np.tanh(u)
                distance, lost = _capped_distance(u, v, distance, lost, softcap)
                e = np.exp(-2 * np.abs(v))
                self.slope = self.slope * 4 * e / (1 + e) ** 2
            self.is_max = is_max
            self.distance = np.where(is_max, 0, distance)
            lost = np.where(is_max | ~np.isfinite(lost), 0, lost)
            terms = np.exp(-self.distance) * np.exp(-np.where(self.distance < 1e5, lost, 0))
            self.others = total_of(np.where(is_max, 0, terms), axis) + (
                is_max.sum(axis, keepdims=True) - 1
            )
            self.others[~np.isfinite(self.m)] = np.nan
            self.L = np.log1p(self.others)
            self.lse = self.m + self.L
            self.probs = terms / (1 + self.others)
            self.log_probs = -(self.distance + (self.L + lost))
            self.distance = self.distance + lost


def _along(values, axis, n_dimensions):
    return np.asarray(values, np.longdouble).reshape(
        [-1 if d == axis % n_dimensions else 1 for d in range(n_dimensions)]
    )


def divisor(targets, axis, weight=None, sample_weight=None, ignore_index=None):
    """Return what the sum of the losses is divided by under "mean"."""
    targets = np.asarray(targets)
    if not np.issubdtype(targets.dtype, np.integer):
        rows = np.delete(targets.shape, axis)
        counted = np.ones(rows, np.longdouble)
        return (counted if sample_weight is None else counted * sample_weight).sum()
    used = np.ones(targets.shape, bool) if ignore_index is None else targets != ignore_index
    counted = np.where(used, np.longdouble(1), 0)
    if weight is not None:
        counted = counted * np.asarray(weight)[np.where(used, targets, 0)]
    return (counted if sample_weight is None else counted * sample_weight).ravel().sum()


def cross_entropy(
    x, targets, axis=-1, weight=None, sample_weight=None, ignore_index=None,
    label_smoothing=0.0, z_loss=0.0, softcap=None, temperature=1.0,
):  # fmt: skip
    """Return (losses, gradient of their sum, scale of the gradient's error bound)."""
    r = Rows(x, axis, temperature, softcap)
    n_classes, n_dimensions = r.probs.shape[axis], r.probs.ndim
    used, y = np.ones(r.m.shape, bool), targets
    if np.issubdtype(np.asarray(targets).dtype, np.integer):
        index = np.expand_dims(targets, axis)
        used = np.ones(index.shape, bool) if ignore_index is None else index != ignore_index
        y = _along(np.arange(n_classes), axis, n_dimensions) == index
    smoothing, z_loss = np.longdouble(label_smoothing), np.longdouble(z_loss)
    t = (1 - smoothing) * np.asarray(y).astype(np.longdouble) + smoothing / n_classes
    if weight is not None:
        t = t * _along(weight, axis, n_dimensions)
    s = np.longdouble(1)
    if sample_weight is not None:
        s = np.expand_dims(np.asarray(sample_weight, np.longdouble), axis)
        used = used & (s != 0)
    with np.errstate(all="ignore"):
        total = total_of(t, axis)
        distance = total_of(np.where(t != 0, t * r.distance, 0), axis)
        losses = s * (total * r.L + distance)
        share, size = total, total
        if z_loss:
            losses = losses + s * z_loss * r.lse**2
            share = total + 2 * z_loss * r.lse
            size = total + 2 * z_loss * np.maximum(np.abs(r.lse), np.abs(r.m))
        own = (t == total) & r.is_max
        missed = -t * r.others / (1 + r.others)
        away = np.where(own, missed, total * r.probs - t)
        if z_loss:
            away = np.where(own, missed + 2 * z_loss * r.lse * r.probs, share * r.probs - t)
        scale = s * np.maximum(np.abs(size * r.probs), np.abs(t)) * r.slope
        losses = np.where(used, losses, 0).squeeze(axis)
        return losses, np.where(used, s * away * r.slope, 0), np.where(used, scale, 0)


def binary_cross_entropy(x, targets, weight=None, pos_weight=None):
    """Return (losses, gradient of their sum, scale of the gradient's error bound)."""
    z, y = np.asarray(x).astype(np.longdouble), np.asarray(targets).astype(np.longdouble)
    w = (
        np.longdouble(1)
        if weight is None
        else np.broadcast_to(weight, z.shape).astype(np.longdouble)
    )
    up, down = 1 - y, y if pos_weight is None else y * np.asarray(pos_weight, np.longdouble)
    with np.errstate(all="ignore"):
        rest = np.log1p(np.exp(-np.abs(z)))
        losses = np.where(up != 0, up * (np.maximum(z, 0) + rest), 0)
        losses = w * (losses + np.where(down != 0, down * (np.maximum(-z, 0) + rest), 0))
        up, down = w * up / (1 + np.exp(-z)), w * down / (1 + np.exp(z))
        used = w != 0
        grad, scale = np.where(used, up - down, 0), np.where(used, np.maximum(up, down), 0)
    return np.where(used, losses, 0), grad, scale


def entropy(x, axis=-1):
    """Return (entropies, gradient of their sum, scale of the gradient's error bound)."""
    r = Rows(x, axis)
    distance = np.where(r.probs != 0, r.distance, 0)
    mean = (r.probs * distance).sum(axis, keepdims=True)
    entropies = r.L + mean
    scale = r.probs * (np.abs(distance + r.L) + entropies)
    return entropies.squeeze(axis), r.probs * (distance - mean), scale


def divergence(p_logits, q_logits, axis=-1):
    """Return (divergences, the scale of their error bound, the gradients of their sum, the scales of theirs).

    With r = log p - log q the terms are p * (exp(-r) - 1 + r): the sum is that of p * r, and nothing cancels.
    """
    p, q = Rows(p_logits, axis), Rows(q_logits, axis)
    used = p.probs != 0
    with np.errstate(invalid="ignore", over="ignore"):
        r = (q.distance - p.distance) + (q.L - p.L)
        r = np.where(used, r, -2)  # any of the far ones
        near = np.abs(r) <= 1
        excess = np.where(near, p.probs * -np.expm1(-r), p.probs - q.probs)
        terms = np.where(near, p.probs * r - excess, q.probs + p.probs * (r - 1))
        kl = terms.sum(axis, keepdims=True)
        absolute = (p.probs * np.abs(r)).sum(axis, keepdims=True)
        logs = np.where(used, np.abs(p.log_probs) + np.abs(q.log_probs), 0)
        grads = np.where(used, p.probs * (r - kl), 0), -excess
        beside = np.where(kl >= 10, 2, 1)  # the documented bound of p's gradient is twice as wide
        scales = np.where(used, p.probs * (logs + absolute) * beside, 0), p.probs + q.probs
    return kl.squeeze(axis), absolute.squeeze(axis), grads, scales
