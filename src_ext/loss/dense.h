/* Template for one REAL: passes for targets that touch every class (probabilities, label smoothing), over a row or
 * down the lanes of a tile, and masks of a tile. Included by softmax/templates.h. Pointers may have any alignment. */
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "softmax/rows.h"
#include "softmax/lanes.h"
#endif

/* t * (m - z), 0 where t is; `low` is what rounding has taken from z, less that of m. */
INLINE VEC FN(target_gap_of_pair)(VEC t, VEC m, VEC z, VEC low) {
    return FN(zero_equal)(t * ((m - z) - low), t, (VEC){0});
}

/* t * (m - z), 0 where t is. */
INLINE VEC FN(target_gap)(VEC t, VEC m, VEC z) { return FN(zero_equal)(t * (m - z), t, (VEC){0}); }

/* The same where m - z is beyond the range of the dtype: seldom, and so one by one. */
static double FN(wide_target_gap)(const REAL *t, ptrdiff_t t_step, const REAL *z, ptrdiff_t z_step, ptrdiff_t n, REAL m,
                                  double temperature) {
    Wide target_gap = wide_of(0);
    for (ptrdiff_t i = 0; i < n; i++)
        if (t[i * t_step] != 0)
            target_gap = wide_sum(target_gap,
                                  wide_product(wide_of(t[i * t_step]), wide_sum(wide_of(m), wide_of(-z[i * z_step]))));
    return wide_value(wide_quotient(target_gap, wide_of(temperature)));
}

/* The sum of t * (m - z) for z in two parts, and sum(t). */
static double FN(row_target_gap_of_pairs)(const REAL *t, const REAL *z, const REAL *low, ptrdiff_t n, REAL m,
                                          double *total, double *total_error /* OUT */) {
    const VEC max = FN(all)(m), zero = {0};
    FN(sums) sums = FN(sums_start)(), totals = FN(sums_start)();
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        const VEC target = FN(load_part)(t + i, k, zero), rest = FN(load_part)(low + i, k, zero);
        FN(sums_add)(&sums, FN(target_gap_of_pair)(target, max, FN(load_part)(z + i, k, max), rest));
        FN(sums_add)(&totals, target);
    }
    double lost;
    *total = FN(sums_total)(&totals, total_error);
    return FN(sums_total)(&sums, &lost);
}

/* The sum of t * (m - z) / temperature; where t is 0 the term is 0, even beside z = -inf. Also sum(t), and its rounding
 * error. Both by runs of four vectors: no term is negative, so that each rounds by a few units of its own size. */
static double FN(row_target_gap)(const REAL *t, const REAL *z, const REAL *low, ptrdiff_t n, REAL m, double temperature,
                                 double *total, double *total_error /* OUT */) {
    if (low) return FN(row_target_gap_of_pairs)(t, z, low, n, m, total, total_error);
    const VEC max = FN(all)(m), zero = {0};
    FN(sums) sums = FN(sums_start)(), totals = FN(sums_start)();
    ptrdiff_t i = 0;
#define TARGET(k) FN(load)(t + i + k * LANES)
#define TERM(k) FN(target_gap)(TARGET(k), max, FN(load)(z + i + k * LANES))
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        FN(sums_add)(&sums, (TERM(0) + TERM(1)) + (TERM(2) + TERM(3)));
        FN(sums_add)(&totals, (TARGET(0) + TARGET(1)) + (TARGET(2) + TARGET(3)));
    }
#undef TARGET
#undef TERM
    for (; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        VEC target = FN(load_part)(t + i, k, zero);
        FN(sums_add)(&sums, FN(target_gap)(target, max, FN(load_part)(z + i, k, max)));
        FN(sums_add)(&totals, target);
    }
    double lost;
    *total = FN(sums_total)(&totals, total_error);
    const double target_gap = FN(sums_total)(&sums, &lost);
    return isinf(target_gap) ? FN(wide_target_gap)(t, 1, z, 1, n, m, temperature) : target_gap / temperature;
}

/* What label smoothing makes of probabilities: kept * y + uniform, each factor in two parts. */
typedef struct {
    VEC kept, kept_low, uniform, uniform_low;
} FN(smoothing);

INLINE FN(smoothing) FN(smoothing_of)(double smoothing, ptrdiff_t n_classes) {
    const VEC share = FN(all)((REAL)smoothing), n = FN(all)((REAL)n_classes), one = FN(all)(1);
    const VEC kept = one - share, uniform = share / n, product = uniform * n;
    const VEC rest = (share - product) - FN(product_error)(uniform, n, product);
    return (FN(smoothing)){kept, (one - kept) - share, uniform, rest / n};
}

/* (kept * y + uniform) * w, rounded once: of four roundings, as of doubles one by one, too much would be left of the
 * bound for the rest. */
INLINE VEC FN(dense_target)(VEC y, VEC w, const FN(smoothing) * s) {
    const VEC product = s->kept * y, sum = product + s->uniform, part = sum - product, t = sum * w;
    const VEC lost = ((product - (sum - part)) + (s->uniform - part)) +
                     (FN(product_error)(s->kept, y, product) + s->kept_low * y + s->uniform_low);
    return t + FN(zero_less)(FN(product_error)(sum, w, t) + lost * w, FN(all)(REAL_MAX), FN(abs)(t));
}

/* out = w * (1 - smoothing) * y + uniform * w: the dense target t of a row of probabilities y; w may be NULL. Those of
 * floats are computed in double, which has digits to spare. */
static void FN(row_target)(const REAL *y, const double *w, double smoothing, REAL *t, ptrdiff_t n) {
    if (sizeof(REAL) == sizeof(float)) {
        const double kept = 1 - smoothing, uniform = smoothing / (double)n;
        for (ptrdiff_t i = 0; i < n; i++) t[i] = (REAL)((kept * y[i] + uniform) * (w ? w[i] : 1.0));
        return;
    }
    const FN(smoothing) s = FN(smoothing_of)(smoothing, n);
    const VEC zero = {0}, one = FN(all)(1);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t k = n - i < LANES ? n - i : LANES;
        const VEC weight = w ? FN(load_part)((const REAL *)w + i, k, zero) : one;
        FN(store_part)(t + i, k, FN(dense_target)(FN(load_part)(y + i, k, zero), weight, &s));
    }
}

/* out = (factor + error) * stage - (scale + scale_error) * t; out may be stage. A product with a factor in two parts is
 * one rounding, and so is the difference. */
static void FN(row_combine)(REAL *stage, const REAL *t, REAL *out, ptrdiff_t n, double factor, double error,
                            double scale, double scale_error) {
    FN(shrink_for)(stage, n, &factor, &error);
    const REAL rounded = (REAL)factor;
    const VEC b = FN(all)((REAL)scale), b_low = FN(all)(FN(factor_error)(scale - (REAL)scale + scale_error)),
              zero = {0};
    const FN(factor) a = FN(factor_of)(FN(all)(rounded), FN(all)(FN(factor_error)(factor - rounded + error)),
                                       FN(all)(FN(lowest_factor)(factor)));
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        VEC e = FN(load_part)(stage + i, k, zero), tv = FN(load_part)(t + i, k, zero);
        const VEC low = FN(product_from)(a.lowest_error, e, a.error) - b_low * tv;
        FN(store_part)(out + i, k, (FN(zero_less)(e, e, a.lowest) * a.value + low) - b * tv);
    }
}

/* Write `value` where the mask of a row, bytes `step` apart, is false. */
static void FN(row_mask)(REAL *restrict x, const uint8_t *restrict where, ptrdiff_t step, ptrdiff_t n, REAL value) {
    if (step == 1) {
        for (ptrdiff_t i = 0; i < n; i++) x[i] = where[i] ? x[i] : value;
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++)
        if (!where[i * step]) x[i] = value;
}

/* A copy of x with -inf where the mask, bytes `step` apart, is false. */
static void FN(row_copy_masked)(const REAL *restrict x, const uint8_t *restrict where, ptrdiff_t step, ptrdiff_t n,
                                REAL *restrict out) {
    if (step == 1) {
        for (ptrdiff_t i = 0; i < n; i++) out[i] = where[i] ? x[i] : (REAL)-INFINITY;
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) out[i] = where[i * step] ? x[i] : (REAL)-INFINITY;
}

/* Write `value` where the mask is 0, over a whole tile; what is elsewhere stays, NaN too. */
static void FN(lanes_mask)(REAL *tile, const REAL *mask, ptrdiff_t n, REAL value) {
    for (ptrdiff_t i = 0; i < n; i++) tile[i] = mask[i] != 0 ? tile[i] : value;
}

/* row_target for each lane, in place. */
static void FN(lanes_target)(REAL *t, ptrdiff_t stride, ptrdiff_t n_classes, const double *w, double smoothing) {
    const double kept = 1 - smoothing, uniform = smoothing / (double)n_classes;
    const FN(smoothing) s = FN(smoothing_of)(smoothing, n_classes);
    for (ptrdiff_t c = 0; c < n_classes; c++) {
        const double weight = w ? w[c] : 1;
        if (sizeof(REAL) == sizeof(float))
            for (ptrdiff_t i = c * stride; i < (c + 1) * stride; i++) t[i] = (REAL)((kept * t[i] + uniform) * weight);
        else
            for (ptrdiff_t i = c * stride; i < (c + 1) * stride; i += LANES)
                FN(store)(t + i, FN(dense_target)(FN(load)(t + i), FN(all)((REAL)weight), &s));
    }
}

/* The targets of class c: those of each lane, or, where t is NULL, what all lanes have in common. */
INLINE VEC FN(targets_of)(const REAL *t, const REAL *base, ptrdiff_t at, ptrdiff_t c) {
    return t ? FN(load)(t + at) : FN(all)(base[c]);
}

/* row_target_gap for each lane; `low` is NULL, or a tile of what rounding has taken from the first. */
static void FN(lanes_target_gap)(const REAL *tile, const REAL *low, const REAL *t, const REAL *base, ptrdiff_t stride,
                                 ptrdiff_t n_classes, const REAL *max, double temperature, double *target_gap,
                                 double *total /* OUT */) {
    double lost[LANES];
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const VEC m = FN(load)(max + lane);
        FN(sums) sums = FN(sums_start)(), totals = FN(sums_start)();
        ptrdiff_t c = 0;
        for (; low && c < n_classes; c++) {
            const ptrdiff_t at = c * stride + lane;
            const VEC target = FN(targets_of)(t, base, at, c);
            FN(sums_add)(&sums, FN(target_gap_of_pair)(target, m, FN(load)(tile + at), FN(load)(low + at)));
            FN(sums_add)(&totals, target);
        }
        for (; c + 2 <= n_classes; c += 2) {
            const ptrdiff_t at = c * stride + lane, after = at + stride;
            const VEC t0 = FN(targets_of)(t, base, at, c), t1 = FN(targets_of)(t, base, after, c + 1);
            FN(sums_add)(&sums,
                         FN(target_gap)(t0, m, FN(load)(tile + at)) + FN(target_gap)(t1, m, FN(load)(tile + after)));
            FN(sums_add)(&totals, t0 + t1);
        }
        if (c < n_classes) {
            const VEC last = FN(targets_of)(t, base, c * stride + lane, c);
            FN(sums_add)(&sums, FN(target_gap)(last, m, FN(load)(tile + c * stride + lane)));
            FN(sums_add)(&totals, last);
        }
        FN(sums_lanes)(&sums, (VEC){0}, target_gap + lane, lost);
        FN(sums_lanes)(&totals, (VEC){0}, total + lane, lost);
    }
    for (ptrdiff_t lane = 0; lane < stride; lane++)
        if (isinf(target_gap[lane]))
            target_gap[lane] = FN(wide_target_gap)(t ? t + lane : base, t ? stride : 1, tile + lane, stride, n_classes,
                                                   max[lane], temperature);
        else target_gap[lane] /= temperature;
}

/* tile = tile * (factor + error of the lane) - (scale + scale_error of the lane) * t. */
static void FN(lanes_combine)(REAL *tile, const REAL *t, const REAL *base, ptrdiff_t stride, ptrdiff_t n_classes,
                              const double *factor, const double *error, const double *scale,
                              const double *scale_error) {
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const FN(factor) f = FN(factor_of_lanes)(factor + lane, error + lane);
        const FN(factor) s = FN(factor_of_lanes)(scale + lane, scale_error + lane);
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            const ptrdiff_t at = c * stride + lane;
            const VEC target = FN(targets_of)(t, base, at, c);
            FN(store)(tile + at, (FN(scaled)(FN(load)(tile + at), &f) - s.error * target) - s.value * target);
        }
    }
}
