/* Template for one REAL: the exponential that all kernels share. Included by primitives.h.
 *
 * exp(x - m) without the rounding error of x - m. For abs(m) <= SHIFT_ABOVE nothing is subtracted: x and m are
 * each reduced to n * ln2 + r, and the difference of the two integers n is exact, so that
 *
 *     exp(x - m) = 2**(n_x - n_m) * exp(r_x) / exp(r_m)
 *
 * and exp(r_m), the "unit", is divided out once a row together with the sum. For larger abs(m), every x whose
 * exp(x - m) does not underflow lies within a factor 2 of m, where x - m is exact (Sterbenz 1974). One
 * subtraction serves both: of 0 or of m. With a temperature the argument goes on as a rounded value and its
 * error, which is added to r.
 *
 * What is returned carries a factor of 2**UNIT_EXPONENT, also a part of the unit: terms down to 2**-UNIT_EXPONENT of
 * the smallest normal number are normal here, so that results at that edge, and sums of such terms, keep their digits.
 *
 * Reduction: n = round(x / ln2) by adding a large constant, r = x - n * ln2 in two parts, exact in the first
 * (Cody and Waite 1980). Polynomial of degree EXP_DEGREE on [-ln2/2, ln2/2], minimax for the relative error
 * (float 2**-28.3, double 2**-57.9). Total error: about 1 ULP, in both dtypes. */

/* What exp needs of a row (or of each lane): see exp_setup. */
typedef struct {
    VEC shift;     /* subtracted from x: 0 or the maximum */
    VEC top;       /* n of the maximum less UNIT_EXPONENT, plus the rounding constant: its bits end in n */
    VEC lowest;    /* where the same of x falls below this, the term counts as 0 */
    VEC unit;      /* what exp_scaled returns for the maximum */
    VEC slope, slope_error; /* 1 / temperature in two parts */
} FN(exp_frame);

INLINE VEC FN(all)(REAL value) { return value - (VEC){0}; }
INLINE VEC FN(load)(const REAL *p) {
    VEC v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void FN(store)(REAL *p, VEC v) { memcpy(p, &v, sizeof v); }
INLINE VEC FN(abs)(VEC v) { return (VEC)((IVEC)v & INT_MAX_REAL); }

/* exp(r) by its polynomial, for abs(r) <= ln2 / 2. */
INLINE VEC FN(exp_reduced)(VEC r) {
    VEC q = EXP_POLYNOMIAL(r);
    return (REAL)1 + (r + r * r * q);
}

/* exp((x - shift) / temperature) * 2**(UNIT_EXPONENT - n_max), or 0 where that is too small. */
INLINE VEC FN(exp_scaled)(VEC x, const FN(exp_frame) *f, int has_slope) {
    VEC y = x - f->shift, error = {0};
    if (has_slope) {
        VEC scaled = y * f->slope;
        error = FN(product_error)(y, f->slope, scaled) + y * f->slope_error;
        y = scaled;
    }
    VEC t = y * LOG2_E + ROUNDER;
    VEC n = t - ROUNDER;
    VEC r = y - n * LN2_HIGH;
    r = r - n * LN2_LOW;
    if (has_slope) r = r + error;
    return FN(times_power)(FN(exp_reduced)(r), t, f->top, f->lowest);
}

/* Prepare for exp(x - m): m is the maximum of the row in every lane, or of each lane. */
INLINE FN(exp_frame) FN(exp_setup)(VEC m, REAL slope, REAL slope_error) {
    FN(exp_frame) f;
    VEC bound = FN(all)(SHIFT_ABOVE / slope);
    f.shift = m - FN(zero_less)(m, bound, FN(abs)(m)); /* m where abs(m) > bound, else 0 */
    f.slope = FN(all)(slope);
    f.slope_error = FN(all)(slope_error);
    f.top = (m - f.shift) * slope * LOG2_E + ROUNDER - UNIT_EXPONENT;
    f.lowest = f.top + (REAL)(MIN_EXPONENT + 2); /* UNIT_EXPONENT - 2 under the smallest normal number */
    f.unit = FN(exp_scaled)(m, &f, 1);
    return f;
}
