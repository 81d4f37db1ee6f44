/* Template for one REAL: the exponential that all kernels share. Included by softmax/templates.h
 * and training/kernels.h.
 *
 * exp(x - m) without the rounding error of x - m. For abs(m) <= SHIFT_ABOVE nothing is subtracted: x and m are
 * each reduced to n * ln2 + r, and the difference of the two numbers n is exact, so that
 *
 *     exp(x - m) = 2**(n_x - n_m) * exp(r_x) / exp(r_m)
 *
 * and exp(r_m), the "unit", is divided out once a row together with the sum. For larger abs(m), every x whose
 * exp(x - m) does not underflow lies within a factor 2 of m, where x - m is exact (Sterbenz 1974). One
 * subtraction serves both: of 0 or of m. With a temperature the argument goes on as a rounded value and its
 * error, which is added to r.
 *
 * What is returned carries a factor of 2**UNIT_EXPONENT, also a part of the unit: terms down to 2**-UNIT_EXPONENT of
 * the smallest normal number are normal here, so that results at that edge, and sums of very many terms below it, keep
 * their digits.
 *
 * Reduction: n is x / ln2 rounded to a multiple of 2**-POWER_BITS by adding a large constant; r = x - n * ln2 in two
 * parts, exact in the first (Cody and Waite 1980; with a table the product has more digits than a REAL, and is fused).
 * 2**n comes from a table of 2**POWER_BITS entries in a register and the bits of n; exp(r) - 1 from a polynomial
 * (Tang 1989 reduces likewise) whose relative error is: float 2**-28.0 (no table), 2**-32.3 (8 entries),
 * 2**-29.2 (16); double 2**-56.5 (none), 2**-58.2 (8), as `python tools/coefficients.py` finds them, rounded as they are.
 *
 * Worst errors of a term beside the maximum 0, of every float and of 20,000,000 doubles (`make kernels` finds them again):
 *
 *     v4    exp_f32  0.989 ULP at -0x1.6078c4p+4
 *     v4    exp_f64  0.991 ULP at -0x1.0150a037d7f8ap+9
 *     v3    exp_f32  0.889 ULP at -0x1.433e38p+3
 *     v3    exp_f64  1.023 ULP at -0x1.2b4283cbd8088p+9
 *     v2    exp_f32  0.976 ULP at -0x1.7714d4p+2
 *     v2    exp_f64  1.004 ULP at -0x1.9a05e6a345344p+3
 *
 * Beside any maximum, which has an error of its own, and with any temperature: at most 1.04 (v4) or 1.56 ULP (v3, v2). */
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#endif

/* What exp needs of a row (or of each lane): see exp_setup. */
typedef struct {
    VEC shift;      /* subtracted from x: 0 or the maximum */
    VEC rounder;    /* ROUNDER + UNIT_EXPONENT - n of the maximum: a sum with it ends in the bits of n_x - n_m */
    VEC unit;       /* what exp_each returns for the maximum */
    VEC unit_error; /* what rounding has taken from it */
    VEC slope, slope_error; /* 1 / temperature in two parts */
} FN(exp_frame);

INLINE VEC FN(all)(REAL value) { return value - (VEC){0}; }
INLINE VEC FN(load)(const REAL *p) {
    VEC v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void FN(store)(REAL *p, VEC v) { memcpy(p, &v, sizeof v); }

#define EACH for (int k = 0; k < count; k++)

/* Reduce `count` vectors x, at most EXP_GROUP: exp((x - shift) / temperature) is 2**(t - rounder) * (1 + p), with p in
 * the place of x. They go in step: what one waits for, the others compute. With `low`, what the rounding of x has taken
 * from it, exp is that of both; then there is no temperature. */
INLINE void FN(exp_reduce_pairs)(VEC *x, const VEC *low, VEC *t /* OUT */, int count, const FN(exp_frame) * f,
                                 int with_slope) {
    VEC error[EXP_GROUP], n[EXP_GROUP], r[EXP_GROUP], q[EXP_GROUP];
    EACH r[k] = x[k] - f->shift;
    if (with_slope) {
        EACH {
            VEC scaled = r[k] * f->slope;
            error[k] = FN(product_error)(r[k], f->slope, scaled) + r[k] * f->slope_error;
            r[k] = scaled;
        }
    }
    EACH t[k] = r[k] * LOG2_E + f->rounder;
    EACH n[k] = t[k] - f->rounder;
    EACH r[k] = FN(less_product)(r[k], n[k], FN(all)(LN2_HIGH));
    EACH r[k] = FN(less_product)(r[k], n[k], FN(all)(LN2_LOW));
    if (with_slope) EACH r[k] = r[k] + error[k];
    if (low) EACH r[k] = r[k] + low[k];
    EACH q[k] = EXP_POLYNOMIAL(r[k]);
    EACH x[k] = r[k] + r[k] * r[k] * q[k];
}

/* Replace `count` vectors x, at most EXP_GROUP, by exp((x - shift) / temperature) * 2**(UNIT_EXPONENT - n_max), or
 * by 0 where that is too small. */
INLINE void FN(exp_group)(VEC *x, const VEC *low, int count, const FN(exp_frame) * f, int with_slope) {
    VEC t[EXP_GROUP];
    FN(exp_reduce_pairs)(x, low, t, count, f, with_slope);
    EACH x[k] = FN(times_power)(x[k], t[k], FN(all)(LOWEST_POWER));
}
#undef EACH

/* The same for any constant count. */
INLINE void FN(exp_each_pair)(VEC *x, const VEC *low, int count, const FN(exp_frame) * f, int with_slope) {
    for (int k = 0; k < count; k += EXP_GROUP)
        FN(exp_group)(x + k, low ? low + k : NULL, count - k < EXP_GROUP ? count - k : EXP_GROUP, f, with_slope);
}
INLINE void FN(exp_each)(VEC *x, int count, const FN(exp_frame) * f, int with_slope) {
    FN(exp_each_pair)(x, NULL, count, f, with_slope);
}

INLINE VEC FN(exp_scaled)(VEC x, const FN(exp_frame) * f, int with_slope) {
    FN(exp_group)(&x, NULL, 1, f, with_slope);
    return x;
}

/* Prepare for exp(x - m): m is the maximum of the row in every lane, or of each lane. */
INLINE FN(exp_frame) FN(exp_setup)(VEC m, REAL slope, REAL slope_error) {
    FN(exp_frame) f;
    VEC bound = FN(all)(SHIFT_ABOVE / slope);
    f.shift = m - FN(zero_less)(m, bound, FN(abs)(m)); /* m where abs(m) > bound, else 0 */
    f.slope = FN(all)(slope);
    f.slope_error = FN(all)(slope_error);
    f.rounder = (REAL)(ROUNDER + UNIT_EXPONENT) - (((m - f.shift) * slope * LOG2_E + ROUNDER) - ROUNDER);
    VEC p = m, t;
    FN(exp_reduce_pairs)(&p, NULL, &t, 1, &f, 1);
    f.unit = FN(times_power)(p, t, FN(all)(LOWEST_POWER));
    f.unit_error = p * UNIT_POWER - (f.unit - UNIT_POWER);
    return f;
}
