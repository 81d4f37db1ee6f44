"""exp, log1p and the sigmoid of every lane, for Numba. See `_numba_vectors`.

exp(x - m) has no rounding error of x - m. For abs(m) <= shift_above nothing is subtracted: x and
m are each reduced to n * ln2 + r, and the difference of the two integers n is exact, so that

    exp(x - m) = 2**(n_x - n_m) * exp(r_x) / exp(r_m)

and exp(r_m), the "unit", is divided out once a row together with the sum. For larger abs(m),
every x whose exp(x - m) does not underflow lies within a factor 2 of m, where x - m is exact
(Sterbenz 1974). One subtraction serves both: of 0 or of m. With a temperature the argument goes
on as a rounded value and its error, which is added to r. What is returned carries a factor of
2**unit_exponent, also a part of the unit: terms down to 2**-unit_exponent of the smallest normal
number are normal here, so that results at that edge, and sums of such terms, keep their digits.

Reduction in two parts (Cody and Waite 1980); minimax polynomials (float 2**-28.3, double
2**-56.5). Error of exp: about 1 ULP.
"""

from types import SimpleNamespace

from numba import types

from ._numba_vectors import lanewise, of_type

UNIT_EXPONENT = 80  # of double
_hex = float.fromhex

_FORMATS = {
    32: SimpleNamespace(
        shift_above=256.0,
        rounder=1.5 * 2.0**23,
        log2_e=_hex("0x1.715476p+0"),
        ln2_high=_hex("0x1.62e4p-1"),  # 15 bits: n * ln2_high is exact
        ln2_low=_hex("0x1.7f7d1cp-20"),
        mantissa_bits=23,
        unit_exponent=40,
        one_bits=0x3F800000,
        abs_bits=0x7FFFFFFF,
        min_exponent=-126,
        max=_hex("0x1.fffffep+127"),
        exp=[
            _hex("0x1.6a23ffp-10"),
            _hex("0x1.123a02p-7"),
            _hex("0x1.5558f2p-5"),
            _hex("0x1.555492p-3"),
            _hex("0x1.fffffcp-2"),
        ],
    ),
    64: SimpleNamespace(
        shift_above=2048.0,
        rounder=1.5 * 2.0**52,
        log2_e=_hex("0x1.71547652b82fep+0"),
        ln2_high=_hex("0x1.62e42feep-1"),  # 32 bits: n * ln2_high is exact
        ln2_low=_hex("0x1.a39ef35793c76p-33"),
        mantissa_bits=52,
        unit_exponent=UNIT_EXPONENT,
        one_bits=0x3FF0000000000000,
        abs_bits=0x7FFFFFFFFFFFFFFF,
        min_exponent=-1022,
        max=_hex("0x1.fffffffffffffp+1023"),
        exp=[
            _hex("0x1.ad7f5623f5103p-26"),
            _hex("0x1.28ad87e001450p-22"),
            _hex("0x1.71df25844f977p-19"),
            _hex("0x1.a01999f6a93d1p-16"),
            _hex("0x1.a01a012a32359p-13"),
            _hex("0x1.6c16c18431a25p-10"),
            _hex("0x1.1111111127c7fp-7"),
            _hex("0x1.555555555085cp-5"),
            _hex("0x1.55555555554fap-3"),
            _hex("0x1.000000000000ap-1"),
        ],
    ),
}


def format_of(x):
    """Return the constants of the dtype of x."""
    return _FORMATS[x.dtype.bitwidth]


def absolute(x):
    """Return abs(x)."""
    return (x.bits() & format_of(x).abs_bits).floats()


def _polynomial(coefficients, x):
    value = x.constant(coefficients[0])
    for coefficient in coefficients[1:]:
        value = value.times_plus(x, coefficient)
    return value


def exp_scaled(y, error, top, lowest):
    """Return exp(y + error) in the unit of `top`, or 0 where its exponent is below `lowest`."""
    k = format_of(y)
    t = y.times_plus(y.constant(k.log2_e), k.rounder)
    n = t - k.rounder
    r = (-n).times_plus(n.constant(k.ln2_high), y)
    r = (-n).times_plus(n.constant(k.ln2_low), r)
    if error is not None:
        r = r + error
    exp_r = (r * r).times_plus(_polynomial(k.exp, r), r) + 1
    power = (((t.bits() - top.bits()) << k.mantissa_bits) + k.one_bits).floats()
    # Where it is 0 nothing is multiplied: a result that is not a normal number costs 150 cycles.
    small = t.compare("<", lowest)
    return small.choose(0, exp_r) * small.choose(0, power)


def _sloped(y, slope, slope_error):
    """Return y * (slope + slope_error) as a rounded value and its error."""
    scaled = y * slope
    return scaled, y.fused(slope, -scaled) + y * slope_error


def _exp_frame(m, slope, slope_error):
    k = format_of(m)
    bound = m.constant(k.shift_above) / slope
    shift = absolute(m).compare(">", bound).choose(m, 0)
    top = ((m - shift) * slope).times_plus(m.constant(k.log2_e), k.rounder) - k.unit_exponent
    lowest = top + (k.min_exponent + 2)
    y, error = _sloped(m - shift, slope, slope_error)
    return shift, top, lowest, exp_scaled(y, error, top, lowest)


@lanewise(lambda m, slope, slope_error: (m,) * 4)
def exp_frame(m, slope, slope_error):
    """Prepare for exp(x - m): (shift, top, lowest, unit), for exp_plain and exp_sloped."""
    return _exp_frame(m, slope, slope_error)


@lanewise(lambda x, frame: x)
def exp_plain(x, frame):
    """Return exp(x - m) * unit, or 0 where that is too small."""
    shift, top, lowest, _ = frame
    return exp_scaled(x - shift, None, top, lowest)


@lanewise(lambda x, frame, slope, slope_error: x)
def exp_sloped(x, frame, slope, slope_error):
    """Return exp((x - m) / temperature) * unit; the slope is 1 / temperature in two parts."""
    shift, top, lowest, _ = frame
    y, error = _sloped(x - shift, slope, slope_error)
    return exp_scaled(y, error, top, lowest)


def _exp_minus_abs(x):
    """Return exp(-abs(x)) in the unit of 0, or 0."""
    zero, one = x.constant(0), x.constant(1)
    _, top, lowest, _ = _exp_frame(zero, one, zero)
    return exp_scaled(-absolute(x), None, top, lowest)


@lanewise(lambda x: of_type(x, types.float64))
def exp_minus_abs(x):
    """Return exp(-abs(x)) * 2**UNIT_EXPONENT as doubles, or 0 where that is too small."""
    e = _exp_minus_abs(x).to(types.float64)
    return e * 2.0 ** (UNIT_EXPONENT - format_of(x).unit_exponent)


@lanewise(lambda e: e)
def without_unit(e):
    """Return what `exp_minus_abs` returned, without its factor."""
    return e * 2.0**-UNIT_EXPONENT


@lanewise(lambda x: x)
def sigmoid_of(x):
    """Return 1 / (1 + exp(-x)). Error: 2.5 ULP."""
    unit, e = x.constant(2.0 ** format_of(x).unit_exponent), _exp_minus_abs(x)
    e = e.compare("<", unit * 2.0 ** format_of(x).min_exponent).choose(0, e)
    return x.compare("<", 0).choose(e, unit) / (unit + e)


@lanewise(lambda s: s)
def log1p(s):
    """Return log(1 + s) for s >= 0, in double; NaN stays NaN. Error: below 1 ULP.

    The reduction and the polynomial are those of FreeBSD's log1p (Sun Microsystems, 1993): 1 + s
    = 2**k * (1 + f), log(1 + f) = f - f*f/2 + z * (f*f/2 + R(z*z)), z = f / (2 + f); the rounding
    error of 1 + s enters by its first-order term.
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
