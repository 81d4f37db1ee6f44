"""What the kernels compute per lane beside exp: maxima, sums in two parts, scaling."""

from numba import types

from ._numba_exp import absolute, exp_scaled, format_of
from ._numba_vectors import lanewise, of_type

# ---- maxima, and what is left out of a sum ----


@lanewise(lambda x, m: m)
def larger(x, m):
    """Return max(x, m); a NaN in x is passed over."""
    return x.compare(">", m).choose(x, m)


@lanewise(lambda v: v.dtype)
def max_of_lanes(v):
    """Return the largest lane as a scalar."""
    while v.type.lanes > 1:
        low, high = v.halves()
        v = low.compare(">", high).choose(low, high)
    return v.only()


@lanewise(lambda v, a, b: v)
def zero_equal(v, a, b):
    """Return v, but 0 where a == b."""
    return a.compare("==", b).choose(0, v)


def _integers(x):
    return of_type(x, types.int32 if x.dtype.bitwidth == 32 else types.int64)


@lanewise(_integers)
def no_counts(like):
    """Return counters at 0, one for each lane of `like`."""
    return like.bits().constant(0)


@lanewise(lambda counts, a, b: counts)
def count_equal(counts, a, b):
    """Return the counters, one more where a == b."""
    return a.compare("==", b).choose(counts + 1, counts)


@lanewise(lambda a, b: types.boolean)
def any_equal(a, b):
    """Return whether a == b in any lane."""
    return a.compare("==", b).any()


@lanewise(lambda counts: of_type(counts, types.float64))
def counts_as_doubles(counts):
    """Return counters as doubles."""
    return counts.to(types.float64)


# ---- sums: float lanes are summed in double, double lanes with their rounding error ----


def _two_sum(a, b):
    """Return a + b and what its rounding loses (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _added(total, error, v):
    if v.dtype == types.float32:
        return total + v.to(types.float64), error
    total, lost = _two_sum(total, v)
    return total, error + lost


def _doubles(v):
    return of_type(v, types.float64)


@lanewise(lambda v: v)
def zeros(like):
    """Return 0 in every lane of `like`."""
    return like.constant(0)


@lanewise(_doubles)
def doubles(v):
    """Return the lanes as doubles."""
    return v.to(types.float64)


@lanewise(lambda v, like: of_type(v, like.dtype))
def rounded_as(v, like):
    """Return doubles rounded to the dtype of `like`."""
    return v.to(like.dtype)


@lanewise(lambda total, error, v: (total, error))
def sums_add(total, error, v):
    """Add v to sums in two parts."""
    return _added(total, error, v)


@lanewise(lambda total, error, a, b, c, d: (total, error))
def sums_add_four(total, error, a, b, c, d):
    """Add four vectors to sums in two parts, as one run."""
    return _added(total, error, (a + b) + (c + d))


@lanewise(lambda total, error, other, other_error: (total, error))
def sums_merge(total, error, other, other_error):
    """Add two sums in two parts; an infinite sum has no error."""
    total, lost = _two_sum(total, other)
    error = lost + (error + other_error)
    return total, error.compare("==", error).choose(error, 0)


@lanewise(lambda total, error, a, b: (total, error))
def dots_add(total, error, a, b):
    """Add a * b: exact products for float, products with their rounding errors for double."""
    if a.dtype == types.float32:
        return a.to(types.float64).times_plus(b.to(types.float64), total), error
    product = a * b
    total, error = _added(total, error, product)
    return total, error + a.fused(b, -product)


@lanewise(lambda total, error, t, m, z: (total, error))
def distances_add(total, error, t, m, z):
    """Add t * (m - z), 0 where t is 0 even beside z = -inf."""
    product = t.to(types.float64) * (m.to(types.float64) - z.to(types.float64))
    product = t.compare("==", 0).choose(0, product)
    if t.dtype == types.float32:
        return total + product, error
    return _added(total, error, product)


@lanewise(lambda total, error: (types.float64, types.float64))
def sum_of_lanes(total, error):
    """Return the sum over the lanes, in two parts; beside an infinite sum the error is 0."""
    while total.type.lanes > 1:
        (a, b), (lost_a, lost_b) = total.halves(), error.halves()
        total, lost = _two_sum(a, b)
        error = lost + (lost_a + lost_b)
    total, error = total.only(), error.only()
    error = error.compare("==", error).choose(error, 0)
    rounded = total + error
    rest = error - (rounded - total)
    return rounded, rest.compare("==", rest).choose(rest, 0)


# ---- what is computed once a row, in two parts: scalars of a row or lanes of a tile ----


def _others(total, error, n_max, unit):
    quotient = total / unit
    rest = (-quotient).fused(unit, total) + error
    others, lost = _two_sum(quotient, n_max - 1)
    return others, lost + rest / unit


@lanewise(lambda total, error, n_max, unit: total)
def others_of(total, error, n_max, unit):
    """Return S': the sum over all but one maximum, in units of the maximum's term."""
    others, lost = _others(total, error, n_max, unit)
    return others + lost


@lanewise(lambda total, error, n_max, unit: (total, error))
def total_of(total, error, n_max, unit):
    """Return the sum over all terms, in two parts."""
    total, lost = _two_sum(n_max * unit, total)
    return total, error + lost


def _finite(error):
    """Return an error, 0 where it is not finite."""
    return (error - error).compare("==", 0).choose(error, 0)


@lanewise(lambda numerator, lost, total, error: (total, total))
def divide(numerator, lost, total, error):
    """Divide a number by a sum, both in two parts; the quotient comes in two parts too."""
    numerator = total.alike(numerator)
    quotient = numerator / total
    rest = (-quotient).fused(total, numerator) + lost - quotient * error
    return quotient, rest / total


@lanewise(lambda value, scale, lost: (value, value))
def scale_of(value, scale, lost):
    """Return value * (scale + lost) in two parts; an infinite one has no second."""
    product = value * scale
    return product, _finite(value.fused(scale, -product) + value * lost)


@lanewise(lambda value, scale, lost: value)
def product_of_two(value, scale, lost):
    """Return value * (scale + lost)."""
    return value * scale + value * lost


@lanewise(lambda a, b, product: a)
def product_error(a, b, product):
    """Return what the rounding of a * b to `product` has lost."""
    return a.fused(b, -product)


@lanewise(lambda like, factor, error: (of_type(factor, like.dtype),) * 3)
def scale_parts(like, factor, error):
    """Return a factor rounded to the dtype of `like`, its error, and the lowest v to scale.

    The error is 0 where that cannot matter, or is not finite; below the lowest v, v * factor is
    not a normal number.
    """
    k = format_of(like)
    smallest = 2.0**k.min_exponent
    rounded = factor.to(like.dtype)
    rest = factor - rounded.to(types.float64) + error
    size = absolute(rest)
    rest = size.compare(">", smallest).choose(rest, 0)
    rest = size.compare("<", 1.0).choose(rest, 0)
    lowest = factor.constant(smallest) / absolute(factor)
    lowest = lowest.compare("<", k.max).choose(lowest, lowest.constant(k.max))
    lowest = factor.compare("==", factor).choose(lowest, 0)
    return rounded, rest.to(like.dtype), lowest.to(like.dtype)


@lanewise(lambda v, parts: v)
def scaled(v, parts):
    """Return v * factor for v >= 0 with one rounding, and 0 where it is not a normal number."""
    factor, error, lowest = parts
    kept = v.compare("<", lowest).choose(0, v)
    return kept.times_plus(factor, kept * error)


@lanewise(lambda v, parts, t, scale: v)
def scaled_less(v, parts, t, scale):
    """Return v * factor - scale * t."""
    factor, error, lowest = parts
    kept = v.compare("<", lowest).choose(0, v)
    return (-scale).times_plus(t, kept.times_plus(factor, kept * error))


@lanewise(lambda t, s, z, m, log_sum, temperature: t)
def loss_of(t, s, z, m, log_sum, temperature):
    """Return s * (t * L + t * (m - z) / temperature), where t = 0 counts as 0."""
    distance = (m * 0.5 - z * 0.5) / temperature
    distance = t.compare("==", 0).choose(0, t * distance * 2)
    return s * (t.times_plus(log_sum, distance))


@lanewise(lambda z, m, p, total, error, n_max, unit: p)
def own_slope(z, m, p, total, error, n_max, unit):
    """Return p - 1 of a target with logit z, which would cancel where that is the maximum: -S' / (1 + S')."""
    others, lost = _others(total, error, n_max, unit)
    whole, part = _two_sum(others, total.alike(1.0))
    slope = -others / whole
    rest = slope.fused(whole, others) + lost + slope * (part + lost)
    return z.compare("==", m).choose(slope - rest / whole, p - 1)


@lanewise(lambda a, b: a)
def quotient(a, b):
    """Return a / b."""
    return a / b


# ---- the rest: one rounding or two each ----


@lanewise(lambda x, m, log_sum: x)
def log_shifted(x, m, log_sum):
    """Return (x - m) - L: both terms are <= 0, nothing cancels."""
    return (x - m) - log_sum


@lanewise(lambda x, m, log_sum, temperature: x)
def log_shifted_by(x, m, log_sum, temperature):
    """Return (x - m) / temperature - L; beside a very large m all are halved, so that x - m does not overflow."""
    k = format_of(m)
    size = m.compare(">", k.max * 2.0**-k.mantissa_bits).choose(m.constant(0.5), 1)
    return (x * size - m * size) / (temperature * size) - log_sum


@lanewise(lambda g, p, dot: g)
def softmax_slope(g, p, dot):
    """Return p * (g - dot)."""
    return p * (g - dot)


@lanewise(lambda g, log_p, frame, total: g)
def log_softmax_slope(g, log_p, frame, total):
    """Return g - exp(log_p) * total; the frame is that of 0."""
    shift, top, lowest, unit = frame
    return g - exp_scaled(log_p - shift, None, top, lowest) * (total / unit)
