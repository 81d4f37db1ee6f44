"""The specification: every operation of the contract in its shortest and clearest form.

Each function computes in a wider dtype and rounds once: 16 and 32-bit data in float64. For float64 that is
long double, 80 bits on x86; where long double is no wider than double, the bounds of float64 hold for the other
back ends only.
Threads are not used: `n_threads` is a bound, and one thread keeps it.
"""

import numpy as np

_WIDER = {"f": np.float64, "d": np.longdouble}


def _widen(x):
    return x.astype(_WIDER.get(x.dtype.char, np.float64))


def _store(out, values):
    """Round `values` to the dtype of `out`; what is under the smallest normal number of what it is computed in, 0."""
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        rounded = values.astype(out.dtype)
        if out.dtype in (np.float32, np.float64):
            rounded[np.abs(rounded) < np.finfo(out.dtype).tiny] = 0
    out[...] = rounded


def _masked(z, where):
    return z if where is None else np.where(where, z, -np.inf)


class _Rows:
    """What every operation needs of z, per row: m = max z, L = log1p(S'), lse, and probabilities."""

    def __init__(self, z):
        with np.errstate(all="ignore"):
            self.m = z.max(axis=1, keepdims=True, initial=-np.inf)
            below = np.where(z == self.m, 0, np.exp(z - self.m))
            n_maxima = (z == self.m).sum(axis=1, keepdims=True)
            self.others = below.sum(axis=1, keepdims=True) + (n_maxima - 1)
            self.others[~np.isfinite(self.m)] = np.nan
            self.L = np.log1p(self.others)
            self.lse = self.m + self.L
            self.probs = np.exp(z - self.m) / (1 + self.others)


def softmax(x, out, where, temperature, n_threads):
    """Write softmax(x / temperature) to `out`."""
    probs = _Rows(_masked(_widen(x) / temperature, where)).probs
    _store(out, probs if where is None else np.where(where, probs, 0))


def log_softmax(x, out, where, temperature, n_threads):
    """Write (z - m) - L to `out`: both terms are negative, so nothing cancels."""
    z = _masked(_widen(x) / temperature, where)
    rows = _Rows(z)
    with np.errstate(invalid="ignore"):
        log_probs = (z - rows.m) - rows.L
    _store(out, log_probs if where is None else np.where(where, log_probs, -np.inf))


def logsumexp(x, out, where, n_threads):
    """Write m + L to `out`; where m is infinite it is the result, unless the row has a NaN."""
    z = _masked(_widen(x), where)
    rows = _Rows(z)
    has_nan = np.isnan(z).any(axis=1, keepdims=True)
    lse = np.where(np.isfinite(rows.m), rows.lse, np.where(has_nan, np.nan, rows.m))
    _store(out, lse[:, 0])


def softmax_backward(grad, probs, out, n_threads):
    """Write probs * (grad - sum(grad * probs)) to `out`."""
    g, p = _widen(grad), _widen(probs)
    with np.errstate(invalid="ignore"):
        _store(out, p * (g - (g * p).sum(axis=1, keepdims=True)))


def log_softmax_backward(grad, log_probs, out, n_threads):
    """Write grad - exp(log_probs) * sum(grad) to `out`."""
    g = _widen(grad)
    with np.errstate(all="ignore"):
        _store(out, g - np.exp(_widen(log_probs)) * g.sum(axis=1, keepdims=True))


def inspect_targets(targets, n_classes, options, n_threads):
    """Return (first bad row or -1, its value, divisor of "mean")."""
    used = np.ones(targets.shape, bool)
    if options.ignore_index is not None:
        used = targets != options.ignore_index
    bad = np.flatnonzero(used & ((targets < 0) | (targets >= n_classes)))
    if bad.size:
        return int(bad[0]), int(targets.flat[bad[0]]), 0.0
    counted = np.ones(targets.shape) if options.sample_weight is None else options.sample_weight
    if options.weight is not None:
        counted = counted * options.weight[np.where(used, targets, 0)]
    return -1, 0, float(np.sum(counted, where=used))


def _target_terms(targets, z, options):
    """Return t = w * ((1 - eps) * y + eps / C), and which rows are used."""
    n_classes = z.shape[1]
    used = np.ones((z.shape[0], 1, z.shape[2]), bool)
    if targets.dtype.kind not in "iu":
        y = _widen(targets)
    else:
        index = targets[:, None, :]
        if options.ignore_index is not None:
            used = index != options.ignore_index
        index = np.where(used & (index >= 0) & (index < n_classes), index, 0)
        y = (np.arange(n_classes)[:, None] == index).astype(z.dtype)
    t = (1 - options.label_smoothing) * y + z.dtype.type(options.label_smoothing) / n_classes
    if options.weight is not None:
        t = t * options.weight[:, None]
    return t, used


def cross_entropy(logits, targets, losses, grad, options, n_threads):
    """Write s * [T * L + sum t * (m - z) + z_loss * lse**2], and its gradient."""
    z = _widen(logits) / options.temperature
    slope = 1 / z.dtype.type(options.temperature)
    if options.softcap:
        u = z / options.softcap
        with np.errstate(over="ignore"):
            z, slope = options.softcap * np.tanh(u), slope / np.cosh(u) ** 2
    t, used = _target_terms(targets, z, options)
    rows = _Rows(z)
    s = 1.0 if options.sample_weight is None else options.sample_weight[:, None, :]
    with np.errstate(all="ignore"):
        distance = np.where(t != 0, t * (rows.m - z), 0).sum(axis=1, keepdims=True)
        total = t.sum(axis=1, keepdims=True)
        loss = s * (total * rows.L + distance)
        if options.z_loss:
            loss = loss + s * options.z_loss * rows.lse**2
        losses[...] = np.where(used, loss, 0)[:, 0]
        if grad is None:
            return
        # p - 1 of the largest logit would cancel: its complement is the share of the others.
        missed = -t * rows.others / (1 + rows.others)
        away = np.where((t == total) & (z == rows.m), missed, total * rows.probs - t)
        if options.z_loss:
            away = away + 2 * options.z_loss * rows.lse * rows.probs
        _store(grad, np.where(used, s * away * slope * options.grad_scale, 0))


def sigmoid(x, out, n_threads):
    """Write 1 / (1 + exp(-x)) to `out`."""
    with np.errstate(over="ignore", under="ignore"):
        _store(out, 1 / (1 + np.exp(-_widen(x))))


def _weighted(t, losses):
    """Return t * losses, 0 where t is 0 even beside an infinite loss."""
    return np.where(t != 0, t * losses, 0)


def binary_cross_entropy(logits, targets, losses, grad, weight, pos_weight, grad_scale, n_threads):
    """Write w * [(1 - y) * softplus(x) + pos_weight * y * softplus(-x)], and its gradient."""
    x, y = _widen(logits), _widen(targets)
    w = 1.0 if weight is None else weight
    positive = y if pos_weight is None else y * pos_weight
    with np.errstate(all="ignore"):
        rest = np.log1p(np.exp(-np.abs(x)))
        softplus, softplus_of_minus = np.maximum(x, 0) + rest, np.maximum(-x, 0) + rest
        losses[...] = w * (_weighted(1 - y, softplus) + _weighted(positive, softplus_of_minus))
        if grad is not None:
            slope = (1 - y) / (1 + np.exp(-x)) - positive / (1 + np.exp(x))
            _store(grad, w * grad_scale * slope)
