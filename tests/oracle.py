"""The mathematics in long double: what every implementation is judged against.

x86's long double has 64 bits of precision, 11 more than double. Where long double is double, tests of float64
against it are skipped by name.
"""

import numpy as np

HAS_EXTENDED = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant


def ulp_error(got, want, scale=None):
    """Return the largest error of `got` in units in the last place of `want` (or of `scale`).

    Results under the smallest normal number may be 0; NaN and infinities must agree.
    """
    got, want = np.asarray(got), np.asarray(want, np.longdouble)
    dtype = got.dtype
    tiny = np.finfo(dtype).tiny
    scale = np.abs(want) if scale is None else np.asarray(scale, np.longdouble)
    special = ~np.isfinite(want)
    np.testing.assert_array_equal(got[special], want[special].astype(dtype))
    if not got.size:
        return 0.0
    with np.errstate(all="ignore"):
        unit = np.spacing(np.maximum(scale, tiny).astype(dtype)).astype(np.longdouble)
        error = np.abs(got.astype(np.longdouble) - want) / unit
    is_subnormal = np.abs(want) < tiny
    flushed = np.abs(got) <= tiny
    error = np.where(special | (is_subnormal & flushed), 0, error)
    return float(np.max(error))


class Rows:
    """Every quantity of z over `axis`, in long double and without cancellation."""

    def __init__(self, x, axis=-1, temperature=1.0, softcap=None):
        z = np.asarray(x).astype(np.longdouble) / np.longdouble(temperature)
        self.slope = 1 / np.longdouble(temperature)
        if softcap is not None:
            u = z / np.longdouble(softcap)
            z, self.slope = np.longdouble(softcap) * np.tanh(u), self.slope / np.cosh(u) ** 2
        self.z, self.axis = z, axis
        self.m = z.max(axis, keepdims=True)
        is_max = z == self.m
        terms = np.exp(z - self.m)
        self.others = np.where(is_max, 0, terms).sum(axis, keepdims=True) + (
            is_max.sum(axis, keepdims=True) - 1
        )
        self.L = np.log1p(self.others)
        self.lse = self.m + self.L
        self.probs = terms / (1 + self.others)
        self.log_probs = (z - self.m) - self.L


def cross_entropy(
    x, targets, axis=-1, weight=None, sample_weight=None, ignore_index=None,
    label_smoothing=0.0, z_loss=0.0, softcap=None, temperature=1.0,
):  # fmt: skip
    """Return (losses, gradient of their sum, scale of the gradient's error bound)."""
    r = Rows(x, axis, temperature, softcap)
    n_classes = r.z.shape[axis]
    used, y = np.ones(r.m.shape, bool), targets
    if np.issubdtype(np.asarray(targets).dtype, np.integer):
        index = np.expand_dims(targets, axis)
        used = np.ones(index.shape, bool) if ignore_index is None else index != ignore_index
        classes = np.arange(n_classes).reshape(
            [-1 if d == axis % r.z.ndim else 1 for d in range(r.z.ndim)]
        )
        y = (classes == index).astype(np.longdouble)
    t = (1 - np.longdouble(label_smoothing)) * y + np.longdouble(label_smoothing) / n_classes
    if weight is not None:
        t = t * np.asarray(weight).reshape(
            [-1 if d == axis % r.z.ndim else 1 for d in range(r.z.ndim)]
        )
    s = 1 if sample_weight is None else np.expand_dims(sample_weight, axis)
    total = t.sum(axis, keepdims=True)
    distance = np.where(t != 0, t * (r.m - r.z), 0).sum(axis, keepdims=True)
    losses = s * (total * r.L + distance + z_loss * r.lse**2)
    share = total + 2 * z_loss * r.lse
    own = (t == total) & (r.z == r.m)
    away = np.where(
        own, -t * r.others / (1 + r.others) + 2 * z_loss * r.lse * r.probs, share * r.probs - t
    )
    scale = s * np.maximum(np.abs(share * r.probs), np.abs(t)) * r.slope
    losses = np.where(used, losses, 0).squeeze(axis)
    return losses, np.where(used, s * away * r.slope, 0), np.where(used, scale, 0)
