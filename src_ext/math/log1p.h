/* log(1 + s) of vectors of doubles, s >= 0: below 1 ULP. NaN stays NaN.
 *
 * The reduction and the polynomial are those of FreeBSD's log1p (Sun Microsystems, 1993): 1 + s = 2**k * (1 + f),
 * log(1 + f) = f - f*f/2 + z * (f*f/2 + R(z*z)), z = f / (2 + f); the rounding error of 1 + s enters by its
 * first-order term. All lanes take the same path. Licence: licences/msun.txt.
 *
 * Worst errors of 50,000,000 numbers of every size (tests/kernels):
 *
 *     v4    log1p  0.753 ULP at 0x1.a8012cbda38cap+0
 *     v3    log1p  0.753 ULP at 0x1.a8012cbda38cap+0
 *     v2    log1p  0.834 ULP at 0x1.a27a3702975c3p-2
 */
#ifndef FASTSOFTMAX_LOG1P_H
#define FASTSOFTMAX_LOG1P_H

#include "simd/vector.h"

/* What log(1 + s) is put together from: k * ln 2 + f - half_square + r, and what 1 + s has lost. `inverse` is
 * 1 / (1 + s), which callers may need too. */
typedef struct {
    vec_f64 k, f, half_square, r, lost;
} log1p_terms;

#define LN2_OF_LOG1P 6.93147180369123816490e-01 /* its products with k are exact */
#define LN2_OF_LOG1P_LOW 1.90821492927058770002e-10

INLINE log1p_terms log1p_reduce(vec_f64 s, vec_f64 inverse) {
    const vec_f64 one = 1.0 - (vec_f64){0};
    const int64_t sqrt_half = 0x3fe6a09e00000000LL;
    vec_f64 u = one + s;
    ivec_f64 bits = (ivec_f64)u + (0x3ff0000000000000LL - sqrt_half);
    ivec_f64 exponent = (ivec_f64)((uvec_f64)bits >> 52) - 1023;
    vec_f64 m = (vec_f64)((bits & 0x000fffffffffffffLL) + sqrt_half);
    /* a small integer to double: add it to the bits of 1.5 * 2**52 */
    vec_f64 k = (vec_f64)(exponent + 0x4338000000000000LL) - 0x1.8p52;
    ivec_f64 is_small = exponent == 0;
    vec_f64 f = (vec_f64)((is_small & (ivec_f64)s) | (~is_small & (ivec_f64)(m - 1.0)));
    vec_f64 lost = (vec_f64)(~is_small & (ivec_f64)((s - (u - 1.0)) * inverse));
    vec_f64 half_square = 0.5 * f * f;
    vec_f64 z = f / (2.0 + f), z2 = z * z, z4 = z2 * z2;
    vec_f64 even = z4 * (3.999999999940941908e-01 + z4 * (2.222219843214978396e-01 + z4 * 1.531383769920937332e-01));
    vec_f64 odd =
        z2 * (6.666666666666735130e-01 +
              z4 * (2.857142874366239149e-01 + z4 * (1.818357216161805012e-01 + z4 * 1.479819860511658591e-01)));
    return (log1p_terms){k, f, half_square, z * (half_square + (even + odd)), lost};
}

INLINE vec_f64 log1p_vector(vec_f64 s, vec_f64 inverse) {
    const log1p_terms a = log1p_reduce(s, inverse);
    return a.r + (a.k * LN2_OF_LOG1P_LOW + a.lost) - a.half_square + a.f + a.k * LN2_OF_LOG1P;
}

/* log1p(e) for float results from s = e / (2 + e), 0 <= e <= 1: 2 * atanh(s) = 2 * s * P(s * s), P minimax with a
 * relative error of 2**-33.2. NaN stays NaN. */
INLINE vec_f64 log1p_of_unit(vec_f64 s) {
    const vec_f64 w = s * s, w2 = w * w;
    const vec_f64 low = 0x1.5555597b077dap-2 * w + 0x1.ffffffff2e000p-1;
    const vec_f64 middle = 0x1.25122810f580ap-3 * w + 0x1.999638bb7f313p-3;
    const vec_f64 high = 0x1.f396553366952p-4 * w + 0x1.b63e15bc9ce88p-4;
    return (s + s) * (low + w2 * (middle + w2 * high));
}

/* L = log1p(s) over n values, n a multiple of the lanes; s may be L. */
static void log1p_lanes(const double *s, double *L, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += LANES_F64) {
        vec_f64 v;
        memcpy(&v, s + i, sizeof v);
        v = log1p_vector(v, 1.0 / (1.0 + v));
        memcpy(L + i, &v, sizeof v);
    }
}

#endif
