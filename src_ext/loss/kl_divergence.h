/* Template for one REAL: the passes of the Kullback-Leibler divergence, over a row or down the lanes of a tile.
 * Included by softmax/templates.h.
 *
 * Divergence: with r = log(p) - log(q), sum of p * r cancels where p and q are near. Since p and q sum to 1 it is also
 * the sum of q - p + p * r = p * (exp(-r) - 1 + r), in which no term is negative; where abs(r) <= 1 a series replaces
 * what would cancel. r comes from the logits, with the rounding error of each difference. An error d of the two
 * logarithms of sums, which all r share, takes part in its square alone: the terms add up to the divergence and
 * exp(-d) - 1 + d, and the excess, the sum of p - q as the same r give it, tells d. Where p is 0 the term is q. */
#include "loss/divergence_rows.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "softmax/rows.h"
#include "softmax/lanes.h"
#endif

typedef struct {
    VEC p_max, q_max, shift, shift_error, mean, mean_error;
    VEC least, inverse;             /* what the unit of p and q makes of the smallest normal number and of 1; */
    VEC p_least, p_inverse, p_down; /* the same of the unit of p alone, and what leads from it to the common one */
    FN(factor) p, q;
} FN(divergence_frame);

INLINE FN(divergence_frame) FN(divergence_of_row)(const DivergenceRow *d) {
    const REAL shift = (REAL)d->shift, mean = (REAL)d->mean;
    return (FN(divergence_frame)){FN(all)((REAL)d->p_max),
                                  FN(all)((REAL)d->q_max),
                                  FN(all)(shift),
                                  FN(all)((REAL)(d->shift - shift + d->shift_error)),
                                  FN(all)(mean),
                                  FN(all)((REAL)(d->mean - mean)),
                                  FN(all)((REAL)(d->unit * REAL_MIN_NORMAL)),
                                  FN(all)((REAL)(1 / d->unit)),
                                  FN(all)((REAL)(d->p_unit * REAL_MIN_NORMAL)),
                                  FN(all)((REAL)(1 / d->p_unit)),
                                  FN(all)((REAL)(d->unit / d->p_unit)),
                                  FN(factor_of_row)(d->p_factor, d->p_error),
                                  FN(factor_of_row)(d->q_factor, d->q_error)};
}

INLINE FN(divergence_frame)
    FN(divergence_of_lanes)(const DivergenceLanes *d, const REAL *p_max, const REAL *q_max, ptrdiff_t lane) {
    const VEC shift = FN(from_doubles)(d->shift + lane), unit = FN(from_doubles)(d->unit + lane);
    static const double exact[LANES] = {0}; /* what is lost beside a mean in double */
    const VEC mean = FN(from_doubles)(d->mean + lane);
    return (FN(divergence_frame)){FN(load)(p_max + lane),
                                  FN(load)(q_max + lane),
                                  shift,
                                  FN(lost)(d->shift + lane, d->shift_error + lane, shift),
                                  mean,
                                  FN(lost)(d->mean + lane, exact, mean),
                                  unit * (REAL)REAL_MIN_NORMAL,
                                  1 / unit,
                                  unit * (REAL)REAL_MIN_NORMAL,
                                  1 / unit,
                                  FN(all)(1),
                                  FN(factor_of_lanes)(d->p_factor + lane, d->p_error + lane),
                                  FN(factor_of_lanes)(d->q_factor + lane, d->q_error + lane)};
}

/* r = log(p) - log(q), from both logits, with one rounding. */
INLINE VEC FN(log_ratio)(VEC zp, VEC zq, const FN(divergence_frame) * f) {
    VEC p_error, q_error, error, shift_error;
    const VEC p = FN(difference)(f->p_max, zp, &p_error), q = FN(difference)(f->q_max, zq, &q_error);
    const VEC d = FN(difference)(q, p, &error);
    const VEC r = FN(difference)(d, -f->shift, &shift_error);
    const VEC rest = ((error + shift_error) + (q_error - p_error)) + f->shift_error;
    return r + FN(zero_less)(rest, FN(all)(REAL_MAX), FN(abs)(r)); /* an infinite r has no error but NaN */
}

/* What a class contributes, times the unit; p, in two parts, times its own. */
typedef struct {
    VEC p, p_lost, r, term, excess;
} FN(divergence_term);

INLINE FN(divergence_term) FN(divergence_of)(VEC zp, VEC zq, VEC ep, VEC eq, const FN(divergence_frame) * f) {
    FN(divergence_term) t;
    const VEC one = FN(all)(1), q = FN(scaled)(eq, &f->q), zero = {0};
    t.p = FN(scaled_in_two)(ep, &f->p, &t.p_lost);
    t.r = FN(log_ratio)(zp, zq, f);
    const VEC p = t.p * f->p_down, size = FN(abs)(t.r), product = p * t.r;
    const VEC near = product * (t.r * FN(exp_rest)(t.r));
    /* q + p * (r - 1), rounded once where r is large; an infinite one has nothing lost beside it */
    const VEC r = FN(zero_equal)(t.r, p, zero);
    const VEC lost = FN(zero_less)(t.p_lost * f->p_down * r, FN(all)(REAL_MAX), size);
    const VEC far = p * r + ((lost - p) + q);
    t.term = FN(where_at_most)(far, size, one, near);
    t.excess = FN(where_at_most)(p - q, size, one, product - near);
    return t;
}

/* The sums over `n` vectors, `step` values apart. */
INLINE void FN(divergence_sums)(const REAL *zp, const REAL *zq, const REAL *ep, const REAL *eq, ptrdiff_t step,
                                ptrdiff_t n, const FN(divergence_frame) * f, FN(sums) * terms, FN(sums) * excess) {
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4) {
        VEC term = {0}, more = {0};
#pragma GCC unroll 1 /* one after the other: four at once do not fit the registers */
        for (ptrdiff_t at = i * step; at < (i + 4) * step; at += step) {
            const FN(divergence_term) t =
                FN(divergence_of)(FN(load)(zp + at), FN(load)(zq + at), FN(load)(ep + at), FN(load)(eq + at), f);
            term += t.term, more += t.excess;
        }
        FN(sums_add)(terms, term);
        FN(sums_add)(excess, more);
    }
    for (; i < n; i++) {
        const ptrdiff_t at = i * step;
        const FN(divergence_term) t =
            FN(divergence_of)(FN(load)(zp + at), FN(load)(zq + at), FN(load)(ep + at), FN(load)(eq + at), f);
        FN(sums_add)(terms, t.term);
        FN(sums_add)(excess, t.excess);
    }
}

/* Sum the terms of a row, whose exponentials are ep and eq. */
static void FN(row_divergence)(const REAL *zp, const REAL *zq, const REAL *ep, const REAL *eq, ptrdiff_t n,
                               const DivergenceRow *row, double *terms /* OUT */, double *excess /* OUT */) {
    const FN(divergence_frame) f = FN(divergence_of_row)(row);
    FN(sums) sums = FN(sums_start)(), more = FN(sums_start)();
    const ptrdiff_t i = n / LANES * LANES, k = n - i;
    const VEC zero = {0};
    FN(divergence_sums)(zp, zq, ep, eq, LANES, n / LANES, &f, &sums, &more);
    if (k) {
        const FN(divergence_term) t =
            FN(divergence_of)(FN(load_part)(zp + i, k, f.p_max), FN(load_part)(zq + i, k, f.q_max),
                              FN(load_part)(ep + i, k, zero), FN(load_part)(eq + i, k, zero), &f);
        FN(sums_add)(&sums, t.term);
        FN(sums_add)(&more, t.excess);
    }
    double lost;
    *terms = FN(sums_total)(&sums, &lost);
    *excess = FN(sums_total)(&more, &lost);
}

/* The same for each lane of four tiles. */
static void FN(lanes_divergence)(const REAL *zp, const REAL *zq, const REAL *ep, const REAL *eq, ptrdiff_t stride,
                                 ptrdiff_t n_classes, const REAL *p_max, const REAL *q_max,
                                 const DivergenceLanes *lanes) {
    double lost[LANES];
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const FN(divergence_frame) f = FN(divergence_of_lanes)(lanes, p_max, q_max, lane);
        FN(sums) sums = FN(sums_start)(), more = FN(sums_start)();
        FN(divergence_sums)(zp + lane, zq + lane, ep + lane, eq + lane, stride, n_classes, &f, &sums, &more);
        FN(sums_lanes)(&sums, (VEC){0}, lanes->terms + lane, lost);
        FN(sums_lanes)(&more, (VEC){0}, lanes->excess + lane, lost);
    }
}

/* p * (r - mean) and q - p; the difference in two parts, since the mean has errors enough of its own. */
INLINE void FN(divergence_slopes)(VEC zp, VEC zq, VEC ep, VEC eq, const FN(divergence_frame) * f, VEC *for_p,
                                  VEC *for_q) {
    const FN(divergence_term) t = FN(divergence_of)(zp, zq, ep, eq, f);
    VEC error;
    const VEC gap = FN(difference)(t.r, f->mean, &error);
    const VEC lost = t.p * (error - f->mean_error) + t.p_lost * gap;
    const VEC slope = t.p * gap + FN(zero_less)(lost, FN(all)(REAL_MAX), FN(abs)(gap)); /* 0 beside infinity */
    *for_p = FN(from_unit)(FN(zero_equal)(slope, t.p, (VEC){0}), f->p_least, f->p_inverse);
    *for_q = FN(from_unit)(-t.excess, f->least, f->inverse);
}

/* The gradients of the divergence of a row. They may take the place of any of what they are made from. */
static void FN(row_divergence_slopes)(const REAL *zp, const REAL *zq, const REAL *ep, const REAL *eq, REAL *for_p,
                                      REAL *for_q, ptrdiff_t n, const DivergenceRow *row) {
    const FN(divergence_frame) f = FN(divergence_of_row)(row);
    const VEC zero = {0};
    VEC p, q;
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        FN(divergence_slopes)(FN(load)(zp + i), FN(load)(zq + i), FN(load)(ep + i), FN(load)(eq + i), &f, &p, &q);
        FN(store)(for_p + i, p);
        FN(store)(for_q + i, q);
    }
    const ptrdiff_t k = n - i;
    if (k) {
        FN(divergence_slopes)(FN(load_part)(zp + i, k, zero), FN(load_part)(zq + i, k, zero),
                              FN(load_part)(ep + i, k, zero), FN(load_part)(eq + i, k, zero), &f, &p, &q);
        FN(store_part)(for_p + i, k, p);
        FN(store_part)(for_q + i, k, q);
    }
}

/* The same for each lane of four tiles, in the place of the logits. */
static void FN(lanes_divergence_slopes)(REAL *zp, REAL *zq, const REAL *ep, const REAL *eq, ptrdiff_t stride,
                                        ptrdiff_t n_classes, const REAL *p_max, const REAL *q_max,
                                        const DivergenceLanes *lanes) {
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const FN(divergence_frame) f = FN(divergence_of_lanes)(lanes, p_max, q_max, lane);
        for (ptrdiff_t at = lane; at < n_classes * stride; at += stride) {
            VEC p, q;
            FN(divergence_slopes)(FN(load)(zp + at), FN(load)(zq + at), FN(load)(ep + at), FN(load)(eq + at), &f, &p,
                                  &q);
            FN(store)(zp + at, p);
            FN(store)(zq + at, q);
        }
    }
}

/* A class in numbers without bounds: p, q and r. */
typedef struct {
    Wide p, q, r;
} FN(wide_class);

/* The distributions of a row, or of a lane of a tile, whose values are `step` apart. */
typedef struct {
    const REAL *zp, *zq;
    ptrdiff_t step;
    REAL p_max, q_max;
    Wide p_total, q_total, shift;
} FN(wide_row);

static FN(wide_row) FN(wide_row_of)(const REAL *zp, const REAL *zq, ptrdiff_t step, REAL p_max, REAL q_max,
                                    DoublePair p_total, DoublePair q_total) {
    const DoublePair log_ratio = pair_sum(pair_log(q_total), pair_minus(pair_log(p_total)));
    return (FN(wide_row)){.zp = zp,
                          .zq = zq,
                          .step = step,
                          .p_max = p_max,
                          .q_max = q_max,
                          .p_total = wide_normal(p_total, 0),
                          .q_total = wide_normal(q_total, 0),
                          .shift = wide_normal(log_ratio, 0)};
}

static FN(wide_class) FN(wide_class_of)(const FN(wide_row) * row, ptrdiff_t i) {
    const Wide p_distance = wide_sum(wide_of(row->p_max), wide_of(-row->zp[i * row->step]));
    const Wide q_distance = wide_sum(wide_of(row->q_max), wide_of(-row->zq[i * row->step]));
    return (FN(wide_class)){wide_quotient(wide_exp(wide_minus(p_distance)), row->p_total),
                            wide_quotient(wide_exp(wide_minus(q_distance)), row->q_total),
                            wide_sum(wide_sum(q_distance, wide_minus(p_distance)), row->shift)};
}

/* The divergence of a row in numbers without bounds: where a class has p > 0 and q = 0, or a term is beyond the dtype's
 * range. Such rows are rare, and so this goes one by one. */
static double FN(wide_divergence)(const REAL *zp, const REAL *zq, ptrdiff_t step, ptrdiff_t n, REAL p_max, REAL q_max,
                                  DoublePair p_total, DoublePair q_total) {
    const FN(wide_row) row = FN(wide_row_of)(zp, zq, step, p_max, q_max, p_total, q_total);
    const Wide one = wide_of(1);
    Wide sum = wide_of(0);
    for (ptrdiff_t i = 0; i < n && !isinf(sum.size.high); i++) {
        const FN(wide_class) c = FN(wide_class_of)(&row, i);
        if (c.p.size.high == 0) {
            sum = wide_sum(sum, c.q);
        } else if (fabs(wide_value(c.r)) <= 1) {
            const DoublePair near = pair_scaled(c.r.size, (int)(c.r.exponent > -1000 ? c.r.exponent : -1000));
            const DoublePair term = pair_sum(near, pair_expm1(pair_minus(near)));
            sum = wide_sum(sum, wide_product(c.p, wide_normal(term, 0)));
        } else {
            sum = wide_sum(sum, wide_sum(c.q, wide_product(c.p, wide_sum(c.r, wide_minus(one)))));
        }
    }
    return wide_value(sum);
}

/* The gradients of a row likewise, where products of p and r may leave the dtype's range while p is no normal number.
 * `mean` is the divergence, finite. for_p and for_q have the row's step, and may be zp and zq. */
static void FN(wide_slopes)(const REAL *zp, const REAL *zq, ptrdiff_t step, ptrdiff_t n, REAL p_max, REAL q_max,
                            DoublePair p_total, DoublePair q_total, double mean, double divisor, REAL *for_p,
                            REAL *for_q) {
    const FN(wide_row) row = FN(wide_row_of)(zp, zq, step, p_max, q_max, p_total, q_total);
    const Wide minus_mean = wide_of(-mean), wide_divisor = wide_of(divisor);
    for (ptrdiff_t i = 0; i < n; i++) {
        const FN(wide_class) c = FN(wide_class_of)(&row, i);
        const Wide gap = wide_sum(c.r, minus_mean);
        const Wide product = c.p.size.high == 0 ? c.p : wide_product(c.p, gap);
        const double p_slope = wide_value(wide_quotient(product, wide_divisor));
        const double q_slope = wide_value(wide_quotient(wide_sum(c.q, wide_minus(c.p)), wide_divisor));
        for_p[i * step] = fabs(p_slope) < REAL_MIN_NORMAL ? 0 : (REAL)p_slope;
        for_q[i * step] = fabs(q_slope) < REAL_MIN_NORMAL ? 0 : (REAL)q_slope;
    }
}
