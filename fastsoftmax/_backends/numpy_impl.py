"""The specification: every operation of the contract in its shortest and clearest form.

Each function computes in a wider dtype and rounds once: 16 and 32-bit data in float64. For float64 that is
long double, 80 bits on x86; where long double is no wider than double, the bounds of float64 hold for the other
back ends only. Options that kernels have no room for (`_extremes`) are computed in long double for every dtype; the
losses are of that dtype then.
Threads are not used: `n_threads` is a bound, and one thread keeps it.
"""

import math

import numpy as np

from ._extremes import is_extreme
from ._sums import in_two_parts

_WIDER = {"f": np.float64, "d": np.longdouble}


def _widen(x, is_wide=False):
    """Return a block in the wider dtype, C-contiguous and with its groups joined."""
    wider = np.longdouble if is_wide else _WIDER.get(x.dtype.char, np.float64)
    return _joined(x.astype(wider, order="C"))


def _joined(x):
    return x if x.ndim < 4 else x.reshape(-1, *x.shape[2:])


def _mask(where):
    return None if where is None else _joined(np.ascontiguousarray(where))


def _store(out, values):
    """Round `values` to the dtype of `out`; what is under the smallest normal number of what it is computed in, 0."""
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        if out.dtype.itemsize == 2:
            values = values.astype(np.float64)
        rounded = values.astype(out.dtype)
        if out.dtype in (np.float32, np.float64):
            rounded[np.abs(rounded) < np.finfo(out.dtype).tiny] = 0
    out[...] = rounded.reshape(out.shape)


def _masked(x, where):
    return x if where is None else np.where(where, x, -np.inf)


def _sum(values):
    """Sum over the classes, which are brought side by side: NumPy sums in pairs only there."""
    return np.ascontiguousarray(np.moveaxis(values, 1, -1)).sum(axis=-1)[:, None]


def _capped_distance(u, v, difference, softcap):
    """Return softcap * (tanh(u) - tanh(v)) for u >= v, given u - v; nothing cancels.

    Where u and v have one sign, tanh(u) - tanh(v) = sinh(u - v) / (cosh(u) * cosh(v)), in powers of e**-2 here.
    """
    a, b = np.exp(-2 * np.abs(u)), np.exp(-2 * np.abs(v))
    alike = -2 * np.maximum(a, b) * np.expm1(-2 * difference) / ((1 + a) * (1 + b))
    return softcap * np.where((u > 0) == (v > 0), alike, np.tanh(u) - np.tanh(v))


class _Rows:
    """What every operation needs of z = x / temperature, perhaps capped, per row.

    distance = m - z with m = max z, L = log1p(S'), lse, and probabilities. The maximum is subtracted before anything is
    rounded by the division.
    """

    def __init__(self, x, temperature=1.0, softcap=0.0):
        with np.errstate(all="ignore"):
            m = x.max(axis=1, keepdims=True, initial=-np.inf)
            self.is_max = x == m
            self.m, self.distance = m / temperature, (m - x) / temperature
            if softcap:
                u, v = self.m / softcap, x / temperature / softcap
                self.m = softcap * np.tanh(u)
                self.distance = _capped_distance(u, v, self.distance / softcap, softcap)
            self.distance = np.where(self.is_max, 0, self.distance)
            terms = np.exp(-self.distance)
            self.others = _sum(np.where(self.is_max, 0, terms)) + (_sum(self.is_max) - 1)
            self.others[~np.isfinite(self.m)] = np.nan
            self.L = np.log1p(self.others)
            self.lse = self.m + self.L
            self.probs = terms / (1 + self.others)


def wide_logsumexp(x, temperature, softcap):
    """Return the log-sum-exp of rows, capped where `softcap` is not 0, as a column of long doubles."""
    number = np.longdouble
    return _Rows(x.astype(number), number(temperature), number(softcap)).lse


def softmax(x, out, where, temperature, n_threads):
    """Write softmax(x / temperature) to `out`."""
    where = _mask(where)
    x = _masked(_widen(x, is_extreme(temperature, x.dtype)), where)
    probs = _Rows(x, temperature).probs
    _store(out, probs if where is None else np.where(where, probs, 0))


def log_softmax(x, out, where, temperature, n_threads):
    """Write (z - m) - L to `out`: both terms are negative, so nothing cancels."""
    where = _mask(where)
    x = _masked(_widen(x, is_extreme(temperature, x.dtype)), where)
    rows = _Rows(x, temperature)
    with np.errstate(invalid="ignore"):
        log_probs = -rows.distance - rows.L
    _store(out, log_probs if where is None else np.where(where, log_probs, -np.inf))


def logsumexp(x, out, where, n_threads):
    """Write m + L to `out`; where m is infinite it is the result, unless the row has a NaN."""
    x = _masked(_widen(x), _mask(where))
    rows = _Rows(x)
    has_nan = np.isnan(x).any(axis=1, keepdims=True)
    lse = np.where(np.isfinite(rows.m), rows.lse, np.where(has_nan, np.nan, rows.m))
    _store(out, lse[:, 0])


def softmax_backward(grad, probs, out, n_threads):
    """Write probs * (grad - sum(grad * probs)) to `out`."""
    g, p = _widen(grad), _widen(probs)
    with np.errstate(invalid="ignore"):
        _store(out, p * (g - _sum(g * p)))


def log_softmax_backward(grad, log_probs, out, n_threads):
    """Write grad - exp(log_probs) * sum(grad) to `out`."""
    g = _widen(grad)
    with np.errstate(all="ignore"):
        _store(out, g - np.exp(_widen(log_probs)) * _sum(g))


def divisor_of(targets, options):
    """Return the divisor of "mean" in long double: the sum of sample_weight, times weight[target] for an index."""
    is_index = targets.dtype.kind in "iu"
    shape = targets.shape if is_index else (math.prod(targets.shape[:-2]), targets.shape[-1])
    counted = np.ones(shape, np.longdouble)
    if options.sample_weight is not None:
        counted *= options.sample_weight
    if is_index:
        used = True if options.ignore_index is None else targets != options.ignore_index
        if options.weight is not None:
            counted *= options.weight[np.where(used, targets, 0)]
        counted = np.where(used, counted, 0)
    return counted.ravel().sum()


def inspect_targets(targets, n_classes, options, n_threads):
    """Return (first bad row or -1, its value, divisor of "mean" in two parts)."""
    bad = (targets < 0) | (targets >= n_classes)
    if options.ignore_index is not None:
        bad &= targets != options.ignore_index
    if bad.any():
        row = int(np.argmax(bad))
        return row, int(targets.flat[row]), 0.0, 0.0
    return -1, 0, *in_two_parts(divisor_of(targets, options))


def _target_terms(targets, dtype, n_classes, options):
    """Return t = w * ((1 - eps) * y + eps / C), and which rows are used."""
    if targets.dtype.kind not in "iu":
        y = _joined(targets.astype(dtype, order="C"))
        used = np.ones((y.shape[0], 1, y.shape[2]), bool)
    else:
        used = np.ones((targets.shape[0], 1, targets.shape[1]), bool)
        index = targets[:, None, :]
        if options.ignore_index is not None:
            used = index != options.ignore_index
        index = np.where(used & (index >= 0) & (index < n_classes), index, 0)
        y = (np.arange(n_classes)[:, None] == index).astype(dtype)
    smoothing = dtype.type(options.label_smoothing)
    t = (1 - smoothing) * y + smoothing / n_classes
    if options.weight is not None:
        t = t * options.weight.astype(dtype)[:, None]
    return t, used


def cross_entropy(logits, targets, losses, grad, options, n_threads):
    """Write s * [T * L + sum t * (m - z) + z_loss * lse**2], and its gradient."""
    x = _widen(logits, losses.dtype == np.longdouble)
    number = x.dtype.type
    temperature, softcap = number(options.temperature), number(options.softcap)
    t, used = _target_terms(targets, x.dtype, x.shape[1], options)
    s = np.ones((), x.dtype)
    if options.sample_weight is not None:
        s = options.sample_weight.astype(x.dtype)[:, None, :]
        used = used & (s != 0)
    rows, z_loss = _Rows(x, temperature, softcap), number(options.z_loss)
    with np.errstate(all="ignore"):
        distance = _sum(np.where(t != 0, t * rows.distance, 0))
        total = _sum(t)
        loss = s * (total * rows.L + distance)
        if z_loss:
            loss = loss + s * z_loss * rows.lse**2
        losses[...] = np.where(used, loss, 0)[:, 0]
        if grad is None:
            return
        # p - 1 of the largest logit would cancel: its complement is the share of the others.
        missed = -t * rows.others / (1 + rows.others)
        away = np.where((t == total) & rows.is_max, missed, total * rows.probs - t)
        if z_loss:
            away = away + 2 * z_loss * rows.lse * rows.probs
        slope = 1 / temperature
        if softcap:
            e = np.exp(-2 * np.abs(x / temperature / softcap))
            slope = 4 * e / (1 + e) ** 2 * slope
        scale = number(options.grad_scale) + number(options.grad_scale_error)
        _store(grad, np.where(used, s * away * slope * scale, 0))


def sigmoid(x, out, n_threads):
    """Write 1 / (1 + exp(-x)) to `out`."""
    with np.errstate(over="ignore", under="ignore"):
        _store(out, 1 / (1 + np.exp(-_widen(x))))


def _weighted(t, losses):
    """Return t * losses, 0 where t is 0 even beside an infinite loss."""
    return np.where(t != 0, t * losses, 0)


def binary_cross_entropy(logits, targets, losses, grad, weight, pos_weight, grad_scale, n_threads):
    """Write w * [(1 - y) * softplus(x) + pos_weight * y * softplus(-x)], and its gradient."""
    x = _widen(logits, losses.dtype == np.longdouble).reshape(losses.shape)
    y = targets.astype(x.dtype).reshape(losses.shape)
    w = np.ones((), x.dtype) if weight is None else weight.astype(x.dtype)
    positive = y if pos_weight is None else y * pos_weight.astype(x.dtype)
    with np.errstate(all="ignore"):
        rest = np.log1p(np.exp(-np.abs(x)))
        softplus, softplus_of_minus = np.maximum(x, 0) + rest, np.maximum(-x, 0) + rest
        loss = _weighted(1 - y, softplus) + _weighted(positive, softplus_of_minus)
        losses[...] = np.where(w != 0, w * loss, 0)
        if grad is not None:
            slope = (1 - y) / (1 + np.exp(-x)) - positive / (1 + np.exp(x))
            _store(grad, np.where(w != 0, w * slope * grad_scale, 0))


def entropy(logits, losses, grad, divisor, n_threads):
    """Write L + sum p * (m - z), and p * (m - z - that sum): nothing cancels in the former."""
    z = _widen(logits)
    rows = _Rows(z)
    with np.errstate(all="ignore"):
        distance = rows.m - z
        mean = _weighted(rows.probs, distance).sum(axis=1, keepdims=True)
        losses[...] = (rows.L + mean)[:, 0]
        if grad is not None:
            _store(grad, _weighted(rows.probs, distance - mean) / divisor)


def kl_div(p_logits, q_logits, losses, grad_p, grad_q, divisor, n_threads):
    """Write sum p * (exp(-r) - 1 + r), r = log p - log q, and p * (r - that sum) and q - p.

    It is the sum of p * r because p and q sum to 1; but no term is negative. Where p = 0 its term is q.
    """
    zp, zq = _widen(p_logits), _widen(q_logits)
    p, q = _Rows(zp), _Rows(zq)
    with np.errstate(all="ignore"):
        r = ((q.m - zq) - (p.m - zp)) + (q.L - p.L)
        near = np.abs(r) <= 1
        excess = np.where(near, p.probs * -np.expm1(-r), p.probs - q.probs)
        far = q.probs + _weighted(p.probs, r - 1)
        terms = np.where(near, np.maximum(p.probs * r - excess, 0), far)
        divergence = terms.sum(axis=1, keepdims=True)
        losses[...] = divergence[:, 0]
        if grad_p is not None:
            _store(grad_p, _weighted(p.probs, r - divergence) / divisor)
            _store(grad_q, -excess / divisor)


def top_k_softmax(x, values, indices, n_threads):
    """Write the largest of softmax(x) to `values`, and their classes to `indices`."""
    take_largest(x, softmax, values, indices, n_threads)


def take_largest(x, softmax, values, indices, n_threads):
    """Take the largest of what `softmax` makes of x: in the order of falling x, NaN before all numbers."""
    x = _joined(np.ascontiguousarray(x))
    probs = np.empty_like(x)
    softmax(x, probs, None, 1.0, n_threads)
    z = _widen(x)
    indices[...] = np.lexsort((-z, ~np.isnan(z)), axis=1)[:, : values.shape[1]]
    values[...] = np.take_along_axis(probs, indices, axis=1)
