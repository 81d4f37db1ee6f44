/* Template for one REAL: the passes over a contiguous row of logits. Included by softmax/templates.h.
 *
 * A pass reads the row once, front to back, in vectors; sums go through runs of four vectors into vectors of
 * doubles (float) or compensated doubles (double), so that a sum of a million terms errs by about 1 ULP.
 * Nothing here allocates or checks. Results go to the arguments marked OUT. Pointers may have any alignment. */
#include "layout/upcoming.h"
#include "softmax/exp_sum.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#endif

/* The largest x, exact; NaNs are passed over, -inf where there is nothing else. n >= 0. */
static REAL FN(row_max)(const REAL *x, ptrdiff_t n) {
    const VEC lowest = FN(all)(-INFINITY);
    VEC m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        m0 = FN(max)(FN(load)(x + i), m0);
        m1 = FN(max)(FN(load)(x + i + LANES), m1);
        m2 = FN(max)(FN(load)(x + i + 2 * LANES), m2);
        m3 = FN(max)(FN(load)(x + i + 3 * LANES), m3);
    }
    for (; i + LANES <= n; i += LANES) m0 = FN(max)(FN(load)(x + i), m0);
    if (i < n) m1 = FN(max)(FN(load_part)(x + i, n - i, lowest), m1);
    return FN(max_of_lanes)(FN(max)(FN(max)(m0, m1), FN(max)(m2, m3)));
}

/* Leave out of e the terms of the x that attain the maximum, and count them. */
INLINE VEC FN(leave_out)(VEC e, VEC x, VEC m, IVEC *n_max) {
    *n_max = FN(count_equal)(*n_max, x, m);
    return FN(zero_equal)(e, x, m);
}

/* The same where `rest` is what rounding has taken from x. */
INLINE VEC FN(leave_out_pair)(VEC e, VEC x, VEC rest, VEC m, IVEC *n_max) {
    return FN(leave_out)(e, FN(abs)(x - m) + FN(abs)(rest), (VEC){0}, n_max);
}

/* One vector of terms, of which the first k lanes are there. */
INLINE VEC FN(exp_one)(const REAL *x, const REAL *low, REAL *stage, ptrdiff_t k, VEC m, const FN(exp_frame) * f,
                       IVEC *n_max, int with_stage, int exclude_max, int with_slope) {
    const VEC v = k == LANES ? FN(load)(x) : FN(load_part)(x, k, FN(all)(-INFINITY));
    VEC e = v, rest = {0};
    if (low) {
        rest = FN(load_part)(low, k, (VEC){0});
        FN(exp_group)(&e, &rest, 1, f, 0);
    } else {
        FN(exp_group)(&e, NULL, 1, f, with_slope);
    }
    if (with_stage && k == LANES) FN(store)(stage, e);
    else if (with_stage) FN(store_part)(stage, k, e);
    if (low && exclude_max) return FN(leave_out_pair)(e, v, rest, m, n_max);
    return exclude_max ? FN(leave_out)(e, v, m, n_max) : e;
}

/* The sum of four vectors of terms, `step` values apart. */
INLINE VEC FN(exp_four)(const REAL *x, const REAL *low, REAL *stage, ptrdiff_t step, VEC m, const FN(exp_frame) * f,
                        IVEC *n_max, int with_stage, int exclude_max, int with_slope) {
    VEC v[4], e[4], rest[4];
    for (int k = 0; k < 4; k++) v[k] = e[k] = FN(load)(x + k * step);
    if (low) {
        for (int k = 0; k < 4; k++) rest[k] = FN(load)(low + k * step);
        FN(exp_each_pair)(e, rest, 4, f, 0);
    } else {
        FN(exp_each)(e, 4, f, with_slope);
    }
    for (int k = 0; k < 4 && with_stage; k++) FN(store)(stage + k * step, e[k]);
    for (int k = 0; k < 4 && exclude_max; k++)
        e[k] = low ? FN(leave_out_pair)(e[k], v[k], rest[k], m, n_max) : FN(leave_out)(e[k], v[k], m, n_max);
    return (e[0] + e[1]) + (e[2] + e[3]);
}

/* Whether any of four vectors side by side has a value that equals m. */
INLINE int FN(has_max)(const REAL *x, VEC m) {
    const VEC left = FN(max)(FN(load)(x), FN(load)(x + LANES));
    return FN(any_equal)(FN(max)(left, FN(max)(FN(load)(x + 2 * LANES), FN(load)(x + 3 * LANES))), m);
}

INLINE exp_sum FN(row_exp_sum_body)(const REAL *x, const REAL *low, REAL *stage, ptrdiff_t n, REAL max, REAL slope,
                                    REAL slope_error, const Upcoming *next, int with_stage, int exclude_max,
                                    int with_slope) {
    const Upcoming ahead = *next;
    const VEC m = FN(all)(max);
    const FN(exp_frame) f = FN(exp_setup)(m, slope, slope_error);
    FN(sums) sums = FN(sums_start)();
    IVEC n_max = {0};
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        fetch_ahead(&ahead, i, 4 * VECTOR_BYTES);
        if (exclude_max && __builtin_expect(FN(has_max)(x + i, m), 0))
            FN(sums_add)(&sums, FN(exp_four)(x + i, low ? low + i : NULL, stage + i, LANES, m, &f, &n_max, with_stage,
                                             1, with_slope));
        else
            FN(sums_add)(&sums, FN(exp_four)(x + i, low ? low + i : NULL, stage + i, LANES, m, &f, &n_max, with_stage,
                                             0, with_slope));
    }
    for (; i + LANES <= n; i += LANES)
        FN(sums_add)(&sums, FN(exp_one)(x + i, low ? low + i : NULL, stage + i, LANES, m, &f, &n_max, with_stage,
                                        exclude_max, with_slope));
    if (i < n)
        FN(sums_add)(&sums, FN(exp_one)(x + i, low ? low + i : NULL, stage + i, n - i, m, &f, &n_max, with_stage,
                                        exclude_max, with_slope));
    exp_sum result = {.unit = f.unit[0], .unit_error = f.unit_error[0]};
    result.sum = FN(sums_total)(&sums, &result.sum_error);
    if (exclude_max) result.n_max = FN(count_of_lanes)(n_max);
    else result.sum_error += f.unit_error[0]; /* of the maximum, which may be nearly all of the sum */
    return result;
}

/* Sum exp(x - m) over a row; store the terms, in their unit, unless `stage` is NULL; leave the maxima out of the sum
 * and count them if `exclude_max`, which must be so without a stage. x and stage may be the same. What is `next` is
 * fetched meanwhile. m is the row's maximum, finite; a NaN in x makes the sum NaN, -inf a term of 0. With `low`, what
 * rounding has taken from x, less that of the maximum, or NULL, the maxima are left out and there is no temperature.
 * Error of a term: that of math/exp.h; the summation adds about 1 ULP, whatever n. */
static void FN(row_exp_sum)(const REAL *x, const REAL *low, REAL *stage, ptrdiff_t n, REAL m, double temperature,
                            int exclude_max, const Upcoming *next, exp_sum *result /* OUT */) {
    if (low && stage) {
        *result = FN(row_exp_sum_body)(x, low, stage, n, m, 1, 0, next, 1, 1, 0);
    } else if (low) {
        *result = FN(row_exp_sum_body)(x, low, stage, n, m, 1, 0, next, 0, 1, 0);
    } else if (temperature != 1.0) {
        REAL slope, error;
        FN(slope_parts)(temperature, &slope, &error);
        if (stage) *result = FN(row_exp_sum_body)(x, NULL, stage, n, m, slope, error, next, 1, exclude_max, 1);
        else *result = FN(row_exp_sum_body)(x, NULL, stage, n, m, slope, error, next, 0, 1, 1);
    } else if (stage && exclude_max) {
        *result = FN(row_exp_sum_body)(x, NULL, stage, n, m, 1, 0, next, 1, 1, 0);
    } else if (stage) {
        *result = FN(row_exp_sum_body)(x, NULL, stage, n, m, 1, 0, next, 1, 0, 0);
    } else {
        *result = FN(row_exp_sum_body)(x, NULL, stage, n, m, 1, 0, next, 0, 1, 0);
    }
}

/* A factor in two parts, and the smallest v whose product with each is a normal number: another would
 * cost 150 cycles. */
typedef struct {
    VEC value, error, lowest, lowest_error;
} FN(factor);

/* `error` counts where it is more than 2**-8 ULP of the value. */
INLINE FN(factor) FN(factor_of)(VEC value, VEC error, VEC lowest) {
    const REAL least = REAL_EPSILON / 256; /* an error that is a smaller part of the value does not matter */
    const VEC counts = FN(zero_less)(error, FN(abs)(error), FN(abs)(value) * least);
    return (FN(factor)){value, counts, lowest, lowest * (2 / least)};
}

/* v * (factor + error) with one rounding, and 0 where that is under the smallest normal number. */
INLINE VEC FN(scaled)(VEC v, const FN(factor) * f) {
    return FN(zero_less)(v, v, f->lowest) * f->value + FN(product_from)(f->lowest_error, v, f->error);
}

/* The same, and what its rounding has lost. */
INLINE VEC FN(scaled_in_two)(VEC v, const FN(factor) * f, VEC *lost /* OUT */) {
    const VEC kept = FN(zero_less)(v, v, f->lowest), more = FN(product_from)(f->lowest_error, v, f->error);
    const VEC result = kept * f->value + more;
    *lost = FN(product_error)(kept, f->value, result) + more;
    return result;
}

/* v * inverse, a power of two; 0 where abs(v) is less than `least`, which makes it the smallest normal number. */
INLINE VEC FN(from_unit)(VEC v, VEC least, VEC inverse) { return FN(zero_less)(v, FN(abs)(v), least) * inverse; }

/* a - b and its rounding error (Knuth 1969). */
INLINE VEC FN(difference)(VEC a, VEC b, VEC *error /* OUT */) {
    const VEC d = a - b, part = d - a;
    *error = (a - (d - part)) - (b + part);
    return d;
}

/* The smallest v whose product with the factor is a normal number. */
INLINE REAL FN(lowest_factor)(double factor) {
    double lowest = REAL_MIN_NORMAL / fabs(factor);
    return lowest < REAL_MAX ? (REAL)lowest : lowest >= REAL_MAX ? REAL_MAX : 0;
}

/* What is left of a factor after its rounding: 0 where that cannot matter, or is not finite. */
INLINE REAL FN(factor_error)(double error) {
    return fabs(error) > REAL_MIN_NORMAL && fabs(error) < 1 ? (REAL)error : 0;
}

/* A factor of a row in two parts; what it makes smaller than a normal number counts as 0. */
INLINE FN(factor) FN(factor_of_row)(double factor, double error) {
    const REAL rounded = (REAL)factor;
    return FN(factor_of)(FN(all)(rounded), FN(all)(FN(factor_error)(factor - rounded + error)),
                         FN(all)(FN(lowest_factor)(factor)));
}

/* Multiply terms >= 0 by SMALL_FACTOR; 0 where the product with `factor` after that is under the
 * smallest normal number. */
static void FN(row_shrink)(REAL *stage, ptrdiff_t n, double factor) {
    const VEC small = FN(all)(SMALL_FACTOR), least = FN(all)(FN(lowest_factor)(factor) * (1 / (REAL)SMALL_FACTOR));
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        VEC v = FN(load_part)(stage + i, k, small);
        FN(store_part)(stage + i, k, FN(zero_less)(v, v, least) * small);
    }
}

/* A factor that would not be a normal number of the dtype is taken in steps: the terms shrink by all but the last. */
INLINE void FN(shrink_for)(REAL *stage, ptrdiff_t n, double *factor, double *error) {
    while (*factor != 0 && fabs(*factor) < SMALL_FACTOR) {
        *factor /= SMALL_FACTOR;
        *error /= SMALL_FACTOR;
        FN(row_shrink)(stage, n, *factor);
    }
}

/* What to multiply x, m and a divisor of x - m with, so that x - m does not overflow: 1, or 1/2 beside a
 * very large m. */
INLINE VEC FN(size_beside)(VEC m) {
    return FN(all)(1) - FN(zero_less)(FN(all)((REAL)0.5), m, FN(all)(REAL_MAX * REAL_EPSILON));
}

/* The sum of a * b; of a alone where b is NULL. Products of floats are exact and summed in double;
 * those of doubles carry their rounding errors, as their sums do. NaN and infinities go their usual way. */
static double FN(row_dot)(const REAL *a, const REAL *b, ptrdiff_t n) {
    FN(sums) sums = FN(sums_start)();
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) FN(dots_add)(&sums, FN(load)(a + i), b ? FN(load)(b + i) : FN(all)(1));
    if (i < n)
        FN(dots_add)(&sums, FN(load_part)(a + i, n - i, (VEC){0}),
                     b ? FN(load_part)(b + i, n - i, (VEC){0}) : FN(all)(1));
    double lost;
    return FN(sums_total)(&sums, &lost);
}

/* Whether a sum over a row is so large that what is computed with it could overflow, so small that a part of it could
 * lose digits, or not finite. */
INLINE int FN(is_beyond)(double sum) {
    return sum != 0 &&
           !(fabs(sum) < REAL_MAX * (double)REAL_EPSILON && fabs(sum) > REAL_MIN_NORMAL * 4 * (double)UNIT_POWER);
}

/* out = p * (g - sum(g * p)), and out = g - exp(log_p) * sum(g), where that is so. */
static void FN(row_softmax_backward_wide)(const REAL *g, const REAL *p, REAL *out, ptrdiff_t n) {
    Wide dot = wide_of(0);
    for (ptrdiff_t i = 0; i < n; i++) dot = wide_sum(dot, wide_product(wide_of(g[i]), wide_of(p[i])));
    dot = wide_minus(dot);
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = (REAL)wide_value(wide_product(wide_of(p[i]), wide_sum(wide_of(g[i]), dot)));
}
static void FN(row_log_softmax_backward_wide)(const REAL *g, const REAL *log_p, REAL *out, ptrdiff_t n) {
    Wide sum = wide_of(0);
    for (ptrdiff_t i = 0; i < n; i++) sum = wide_sum(sum, wide_of(g[i]));
    sum = wide_minus(sum);
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = (REAL)wide_value(wide_sum(wide_of(g[i]), wide_product(wide_exp(wide_of(log_p[i])), sum)));
}

/* out = p * (g - dot); out may be either. Three roundings; number by number in Wide where dot is so large or so
 * small that digits would be lost, or not finite. */
static void FN(row_softmax_backward)(const REAL *g, const REAL *p, REAL *out, ptrdiff_t n, double dot) {
    const int loses_digits = sizeof(REAL) == sizeof(double) && FN(is_beyond)(dot); /* products of floats have them */
    if (loses_digits || !(fabs(dot) < REAL_MAX * (double)REAL_EPSILON)) {
        FN(row_softmax_backward_wide)(g, p, out, n);
        return;
    }
    const VEC d = FN(all)((REAL)dot);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        VEC gv = FN(load_part)(g + i, k, d), pv = FN(load_part)(p + i, k, d);
        FN(store_part)(out + i, k, pv * (gv - d));
    }
}

/* out = g - exp(log_p) * sum; out may be either. log_p <= 0; where it is -inf this is g. exp as in math/exp.h;
 * sum, product and difference are rounded once each. */
static void FN(row_log_softmax_backward)(const REAL *g, const REAL *log_p, REAL *out, ptrdiff_t n, double sum) {
    if (FN(is_beyond)(sum)) {
        FN(row_log_softmax_backward_wide)(g, log_p, out, n);
        return;
    }
    const VEC zero = {0};
    const FN(exp_frame) f = FN(exp_setup)(zero, 1, 0);
    const VEC s = (REAL)sum / f.unit;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        VEC gv = FN(load_part)(g + i, k, zero), lv = FN(load_part)(log_p + i, k, zero);
        FN(store_part)(out + i, k, gv - FN(exp_scaled)(lv, &f, 0) * s);
    }
}
