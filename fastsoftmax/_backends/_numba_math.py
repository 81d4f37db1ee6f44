"""What the kernels compute per lane: exp, log1p, sums in two parts, scaling. See `_numba_vectors`.

exp(x - m) has no rounding error of x - m. For abs(m) <= shift_above nothing is subtracted: x and m are each
reduced to n * ln2 + r, and the difference of the two integers n is exact, so that

    exp(x - m) = 2**(n_x - n_m) * exp(r_x) / exp(r_m)

and exp(r_m), the "unit", is divided out once a row together with the sum. For larger abs(m), every x whose
exp(x - m) does not underflow lies within a factor 2 of m, where x - m is exact (Sterbenz 1974). One
subtraction serves both: of 0 or of m. With a temperature the argument goes on as a rounded value and its
error, which is added to r. What is returned carries a factor of 2**UNIT_EXPONENT, also a part of the unit, so
that every result that is a normal number after the division was one before it.

Reduction in two parts (Cody and Waite 1980); minimax polynomials (float 2**-28.3, double 2**-57.9). Error of
exp: about 1 ULP.
"""

from types import SimpleNamespace

from numba import types

from ._numba_vectors import lanewise, of_type

UNIT_EXPONENT = 4
_hex = float.fromhex

_FORMATS = {
    32: SimpleNamespace(
        shift_above=256.0,
        rounder=1.5 * 2.0**23,
        log2_e=_hex("0x1.715476p+0"),
        ln2_high=_hex("0x1.62e4p-1"),  # 15 bits: n * ln2_high is exact
        ln2_low=_hex("0x1.7f7d1cp-20"),
        mantissa_bits=23,
        one_bits=0x3F800000,
        abs_bits=0x7FFFFFFF,
        min_exponent=-126,
        max=_hex("0x1.fffffep+127"),
        exp=[
            _hex(c)
            for c in [
                "0x1.6a23ffp-10",
                "0x1.123a02p-7",
                "0x1.5558f2p-5",
                "0x1.555492p-3",
                "0x1.fffffcp-2",
            ]
        ],
    ),
    64: SimpleNamespace(
        shift_above=2048.0,
        rounder=1.5 * 2.0**52,
        log2_e=_hex("0x1.71547652b82fep+0"),
        ln2_high=_hex("0x1.62e42feep-1"),  # 32 bits: n * ln2_high is exact
        ln2_low=_hex("0x1.a39ef35793c76p-33"),
        mantissa_bits=52,
        one_bits=0x3FF0000000000000,
        abs_bits=0x7FFFFFFFFFFFFFFF,
        min_exponent=-1022,
        max=_hex("0x1.fffffffffffffp+1023"),
        exp=[
            _hex(c)
            for c in [
                "0x1.ad7f5623f5103p-26",
                "0x1.28ad87e001450p-22",
                "0x1.71df25844f977p-19",
                "0x1.a01999f6a93d1p-16",
                "0x1.a01a012a32359p-13",
                "0x1.6c16c18431a25p-10",
                "0x1.1111111127c7fp-7",
                "0x1.555555555085cp-5",
                "0x1.55555555554fap-3",
                "0x1.000000000000ap-1",
            ]
        ],
    ),
}


def _format(x):
    return _FORMATS[x.dtype.bitwidth]


def _absolute(x):
    return (x.bits() & _format(x).abs_bits).floats()


def _polynomial(coefficients, x):
    value = x.constant(coefficients[0])
    for coefficient in coefficients[1:]:
        value = value.times_plus(x, coefficient)
    return value


def _exp_scaled(y, error, top, lowest):
    """exp(y + error) * 2**(rounder - top), or 0 where y's part of the exponent is below `lowest`."""
    k = _format(y)
    t = y.times_plus(y.constant(k.log2_e), k.rounder)
    n = t - k.rounder
    r = (-n).times_plus(n.constant(k.ln2_high), y)
    r = (-n).times_plus(n.constant(k.ln2_low), r)
    if error is not None:
        r = r + error
    exp_r = (r * r).times_plus(_polynomial(k.exp, r), r) + 1
    power = (((t.bits() - top.bits()) << k.mantissa_bits) + k.one_bits).floats()
    # Where it is 0 nothing is multiplied: a result under the smallest normal number costs 150 cycles.
    small = t.compare("<", lowest)
    return small.choose(0, exp_r) * small.choose(0, power)


def _sloped(y, slope, slope_error):
    """Return y * (slope + slope_error) as a rounded value and its error."""
    scaled = y * slope
    return scaled, y.fused(slope, -scaled) + y * slope_error


def _exp_frame(m, slope, slope_error):
    k = _format(m)
    bound = m.constant(k.shift_above) / slope
    shift = _absolute(m).compare(">", bound).choose(m, 0)
    top = ((m - shift) * slope).times_plus(m.constant(k.log2_e), k.rounder) - UNIT_EXPONENT
    lowest = top + (k.min_exponent - 2 + UNIT_EXPONENT)
    y, error = _sloped(m - shift, slope, slope_error)
    return shift, top, lowest, _exp_scaled(y, error, top, lowest)


@lanewise(lambda m, slope, slope_error: (m,) * 4)
def exp_frame(m, slope, slope_error):
    """Prepare for exp(x - m): (shift, top, lowest, unit), for exp_plain and exp_sloped."""
    return _exp_frame(m, slope, slope_error)


@lanewise(lambda x, frame: x)
def exp_plain(x, frame):
    """Return exp(x - m) * unit, or 0 where exp(x - m) is not a normal number."""
    shift, top, lowest, _ = frame
    return _exp_scaled(x - shift, None, top, lowest)


@lanewise(lambda x, frame, slope, slope_error: x)
def exp_sloped(x, frame, slope, slope_error):
    """Return exp((x - m) / temperature) * unit; the slope is 1 / temperature in two parts."""
    shift, top, lowest, _ = frame
    y, error = _sloped(x - shift, slope, slope_error)
    return _exp_scaled(y, error, top, lowest)


def _exp_minus_abs(x):
    """exp(-abs(x)) * 2**UNIT_EXPONENT, or 0."""
    zero, one = x.constant(0), x.constant(1)
    _, top, lowest, _ = _exp_frame(zero, one, zero)
    return _exp_scaled(-_absolute(x), None, top, lowest)


@lanewise(lambda x: of_type(x, types.float64))
def exp_minus_abs(x):
    """Return exp(-abs(x)) as doubles; what is not a normal number of x's dtype is 0."""
    return _exp_minus_abs(x).to(types.float64) * 2.0**-UNIT_EXPONENT


@lanewise(lambda x: x)
def sigmoid_of(x):
    """Return 1 / (1 + exp(-x)). Error: 2.5 ULP."""
    unit, e = x.constant(2.0**UNIT_EXPONENT), _exp_minus_abs(x)
    e = e.compare("<", unit * 2.0 ** _format(x).min_exponent).choose(0, e)
    return x.compare("<", 0).choose(e, unit) / (unit + e)


@lanewise(lambda s: s)
def log1p(s):
    """Return log(1 + s) for s >= 0, in double; NaN stays NaN. Error: below 1 ULP.

    The reduction and the polynomial are those of FreeBSD's log1p (Sun Microsystems, 1993): 1 + s = 2**k *
    (1 + f), log(1 + f) = f - f*f/2 + z * (f*f/2 + R(z*z)), z = f / (2 + f); the rounding error of 1 + s enters
    by its first-order term.
    """
    sqrt_half = 0x3FE6A09E00000000
    u = s + 1
    bits = u.bits() + (0x3FF0000000000000 - sqrt_half)
    exponent = (bits >> 52) - 1023
    mantissa = ((bits & 0x000FFFFFFFFFFFFF) + sqrt_half).floats()
    k = exponent.to(types.float64)
    is_small = exponent.compare("==", 0)
    f = is_small.choose(s, mantissa - 1)
    lost = is_small.choose(0, (s - (u - 1)) / u)
    half_square = f * f * 0.5
    z = f / (f + 2)
    z2 = z * z
    z4 = z2 * z2
    even = z4 * _polynomial(
        [1.531383769920937332e-01, 2.222219843214978396e-01, 3.999999999940941908e-01], z4
    )
    odd = [
        1.479819860511658591e-01,
        1.818357216161805012e-01,
        2.857142874366239149e-01,
        6.666666666666735130e-01,
    ]
    r = z * (half_square + (even + z2 * _polynomial(odd, z4)))
    return (
        r
        + (k * 1.90821492927058770002e-10 + lost)
        - half_square
        + f
        + k * 6.93147180369123816490e-01
    )


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


@lanewise(lambda total, error, a, b: (total, error))
def dots_add(total, error, a, b):
    """Add a * b: exact products for float, rounded ones for double."""
    if a.dtype == types.float32:
        return a.to(types.float64).times_plus(b.to(types.float64), total), error
    return _added(total, error, a * b)


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
    """Return the sum over the lanes of sums, in two parts; beside an infinite sum the error is 0."""
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


@lanewise(lambda total, error, n_max, unit: total)
def others_of(total, error, n_max, unit):
    """Return S': the sum over all but one maximum, in units of the maximum's term."""
    return (total + error) / unit + (n_max - 1)


@lanewise(lambda total, error, n_max, unit: (total, error))
def total_of(total, error, n_max, unit):
    """Return the sum over all terms, in two parts."""
    total, lost = _two_sum(n_max * unit, total)
    return total, error + lost


@lanewise(lambda numerator, total, error: (total, total))
def divide(numerator, total, error):
    """Divide by a sum in two parts; the quotient comes in two parts too."""
    numerator = total.alike(numerator)
    quotient = numerator / total
    rest = (-quotient).fused(total, numerator) - quotient * error
    return quotient, rest / total


@lanewise(lambda like, factor, error: (of_type(factor, like.dtype),) * 3)
def scale_parts(like, factor, error):
    """Return a factor rounded to the dtype of `like`, its error, and the lowest v that may be scaled.

    The error is 0 where that cannot matter, or is not finite; below the lowest v, v * factor is not a normal
    number.
    """
    k = _format(like)
    smallest = 2.0**k.min_exponent
    rounded = factor.to(like.dtype)
    rest = factor - rounded.to(types.float64) + error
    size = _absolute(rest)
    rest = size.compare(">", smallest).choose(rest, 0)
    rest = size.compare("<", 1.0).choose(rest, 0)
    lowest = factor.constant(smallest) / _absolute(factor)
    lowest = lowest.compare("<", k.max).choose(lowest, lowest.constant(k.max))
    lowest = factor.compare("==", factor).choose(lowest, 0)
    return rounded, rest.to(like.dtype), lowest.to(like.dtype)


@lanewise(lambda v, parts: v)
def scaled(v, parts):
    """Return v * factor for v >= 0 as if the factor were exact, and 0 where that is not a normal number."""
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
    distance = t.compare("==", 0).choose(0, t * ((m - z) / temperature))
    return s * (t.times_plus(log_sum, distance))


@lanewise(lambda z, m, others, p: p)
def own_slope(z, m, others, p):
    """Return p - 1 of a target with logit z, which would cancel where that is the maximum."""
    return z.compare("==", m).choose(-others / (others + 1), p - 1)


@lanewise(lambda a, b: a)
def quotient(a, b):
    """Return a / b."""
    return a / b


@lanewise(lambda t, s, scale: t)
def product(t, s, scale):
    """Return t * s * scale."""
    return t * s * scale


# ---- the rest: one rounding or two each ----


@lanewise(lambda x, m, log_sum: x)
def log_shifted(x, m, log_sum):
    """Return (x - m) - L: both terms are <= 0, nothing cancels."""
    return (x - m) - log_sum


@lanewise(lambda x, m, log_sum, temperature: x)
def log_shifted_by(x, m, log_sum, temperature):
    """Return (x - m) / temperature - L."""
    return (x - m) / temperature - log_sum


@lanewise(lambda g, p, dot: g)
def softmax_slope(g, p, dot):
    """Return p * (g - dot)."""
    return p * (g - dot)


@lanewise(lambda g, log_p, frame, total: g)
def log_softmax_slope(g, log_p, frame, total):
    """Return g - exp(log_p) * total; the frame is that of 0."""
    shift, top, lowest, unit = frame
    return g - _exp_scaled(log_p - shift, None, top, lowest) * (total / unit)
