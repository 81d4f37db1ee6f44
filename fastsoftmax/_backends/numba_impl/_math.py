"""exp, log1p and arithmetic in two parts, on doubles; LLVM turns a loop over them into vectors.

Everything is computed in double, whatever the dtype of the data. Terms exp(x - m) are multiples of 2**-64: the
maximum's own is `TOP`, and terms down to 2**-64 of the smallest normal number are normal here, so that results at that
edge, and sums of such terms, keep their digits.

- For float64 data x - m and its product with 1 / temperature come with what their roundings have lost, which is added
  after the reduction of the argument. Reduction in two parts (Cody and Waite 1980), polynomial of degree 11.
  Error: below 1 ULP.
- For float32 data x - m is exact enough in double, and 2**y by a polynomial of degree 6 (2**-28.9) will do.
"""

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

TOP = 2.0**64
"""The term of the maximum."""

_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # fmt: skip
compiled = njit(**_OPTIONS)
"""How the functions inside a kernel are compiled: IEEE 754 arithmetic, no fast-math flag."""
contracted = njit(fastmath={"contract"}, **_OPTIONS)
"""The same, where a * b + c may be rounded once: polynomials."""

_P11, _P10, _P9, _P8, _P7, _P6, _P5, _P4, _P3, _P2 = map(float.fromhex, (
    "0x1.ad7f5623f5103p-26", "0x1.28ad87e001450p-22", "0x1.71df25844f977p-19", "0x1.a01999f6a93d1p-16",
    "0x1.a01a012a32359p-13", "0x1.6c16c18431a25p-10", "0x1.1111111127c7fp-7", "0x1.555555555085cp-5",
    "0x1.55555555554fap-3", "0x1.000000000000ap-1",
))  # fmt: skip
_Q6, _Q5, _Q4, _Q3, _Q2, _Q1 = map(float.fromhex, (
    "0x1.41fbbbed9c4fcp-13", "0x1.5f3e52f70d25ap-10", "0x1.3b2d4cf1e699cp-7", "0x1.c6aee88e87f63p-5",
    "0x1.ebfbdc3c304b1p-3", "0x1.62e430af271cep-1",
))  # fmt: skip
LOG2_E = float.fromhex("0x1.71547652b82fep+0")
_LN2_HIGH = float.fromhex("0x1.62e42feep-1")  # 32 bits: n * ln2 is exact
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_ROUNDER = (
    1.5 * 2.0**52 + 1023
)  # a number + this is rounded to an integer, whose last bits are those of an exponent
_TERM_ROUNDER = _ROUNDER + 64  # the same for terms, multiples of 2**-64
_LOWEST = -1084.0  # below it 2**y * TOP is no normal number


@intrinsic
def pointer_to(typing_context, address, like):
    """Return an address as a pointer to numbers of the type of `like`: indices cost nothing but an addition."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.unliteral(like))(address, like), generate


@intrinsic
def fma(typing_context, a, b, c):
    """Return a * b + c of doubles with one rounding."""

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@intrinsic
def read_once(typing_context, pointer, index):
    """Return pointer[index], read from memory exactly once: another thread may change it."""

    def generate(context, builder, signature, arguments):
        return builder.load_atomic(builder.gep(arguments[0], [arguments[1]]), "monotonic", align=8)

    return pointer.dtype(pointer, index), generate


# ---- arithmetic in two parts: a result, and what its rounding has lost ----


@compiled
def difference(a, b):
    """Return a - b in two parts (Knuth)."""
    d = a - b
    part = d - a
    return d, (a - (d - part)) - (b + part)


@compiled
def add(total, error, value):
    """Add a number to a sum in two parts."""
    result = total + value
    part = result - total
    return result, error + ((total - (result - part)) + (value - part))


@compiled
def finite(error):
    """Return what a rounding has lost, 0 beside an infinite result."""
    return error if error - error == 0 else 0.0


@compiled
def scale_of(value, scale, lost):
    """Return value * (scale + lost) in two parts."""
    product = value * scale
    return product, finite(fma(value, scale, -product) + value * lost)


@compiled
def divide(numerator, lost, total, error):
    """Divide one number in two parts by another."""
    quotient = numerator / total
    rest = fma(-quotient, total, numerator) + lost - quotient * error
    return quotient, finite(rest / total)


# ---- exp and log1p ----


@compiled
def _power(t):
    """Return 2**n, where t = n + _ROUNDER; what stands above its last bits is shifted out."""
    return np.int64(np.float64(t).view(np.int64) << 52).view(np.float64)


@contracted
def _reduced(d, lost, rounder):
    """Return (n + rounder, exp(r) - 1) with d + lost = n * log(2) + r."""
    t = d * LOG2_E + rounder
    n = t - rounder
    r = ((d - n * _LN2_HIGH) - n * _LN2_LOW) + lost
    p = ((((_P11 * r + _P10) * r + _P9) * r + _P8) * r + _P7) * r + _P6
    p = (((p * r + _P5) * r + _P4) * r + _P3) * r + _P2
    return t, r * r * p + r


@compiled
def exp_term(d, lost):
    """Return exp(d + lost) * TOP, or 0 where that is no normal number; d is at most 658."""
    t, e = _reduced(d, lost, _TERM_ROUNDER)
    return 0.0 if d * LOG2_E < _LOWEST else (e + 1.0) * _power(t)


@compiled
def expm1(d):
    """Return exp(d) - 1 for d <= 1. Error: 2 ULP."""
    t, e = _reduced(d, 0.0, _ROUNDER)
    power = _power(t)
    return -1.0 if d < -40.0 else power * e + (power - 1.0)


@contracted
def short_term(y):
    """Return 2**y * TOP for y <= 0, or 0 where that is no normal number, for float32 data. Error: 2**-28.9."""
    t = y + _TERM_ROUNDER
    r = y - (t - _TERM_ROUNDER)
    p = (((((_Q6 * r + _Q5) * r + _Q4) * r + _Q3) * r + _Q2) * r + _Q1) * r + 1.0
    return 0.0 if y < _LOWEST else p * _power(t)


@contracted
def log1p(s):
    """Return log(1 + s) for s >= 0; NaN stays NaN. Error: below 1 ULP.

    The reduction and the polynomial are those of FreeBSD's log1p (Copyright 1993 by Sun Microsystems, Inc.: permission
    to use, copy, modify, and distribute it is freely granted, provided that this notice is preserved): 1 + s
    = 2**k * (1 + f), log(1 + f) = f - f*f/2 + z * (f*f/2 + R(z*z)), z = f / (2 + f); the rounding error of 1 + s enters
    by its first-order term.
    """
    u = s + 1.0
    bits = np.float64(u).view(np.int64) + (0x3FF0000000000000 - 0x3FE6A09E00000000)
    exponent = (bits >> 52) - 1023
    mantissa = np.int64((bits & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E00000000).view(np.float64)
    k = np.float64(exponent)
    f = s if exponent == 0 else mantissa - 1.0
    lost = 0.0 if exponent == 0 else (s - (u - 1.0)) / u
    half_square = f * f * 0.5
    z = f / (f + 2.0)
    z2 = z * z
    z4 = z2 * z2
    even = (1.531383769920937332e-01 * z4 + 2.222219843214978396e-01) * z4
    even = (even + 3.999999999940941908e-01) * z4
    odd = 1.479819860511658591e-01 * z4 + 1.818357216161805012e-01
    odd = (odd * z4 + 2.857142874366239149e-01) * z4 + 6.666666666666735130e-01
    r = z * (half_square + (even + z2 * odd))
    low = k * 1.90821492927058770002e-10 + lost
    return ((r + low) - half_square + f) + k * 6.93147180369123816490e-01
