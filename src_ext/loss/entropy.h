/* Template for one REAL: the passes of the entropy, over a row or down the lanes of a tile. Included by
 * softmax/primitives.h.
 *
 * Entropy = L + sum of p * (m - x), L = log1p(S'): no term is negative. Its gradient is p * ((m - x) - mean), where
 * mean is that sum. Errors of the sums: those of softmax/rows.h. A NaN makes NaN of its row. Pointers may have any
 * alignment. */
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "softmax/rows.h"
#include "softmax/lanes.h"
#endif

typedef struct {
    FN(sums) terms, moments;
    IVEC n_max;
} FN(moment_sums);

/* e * (m - x), 0 where e is, also beside x = -inf. */
INLINE VEC FN(moment)(VEC e, VEC m, VEC x) { return FN(zero_equal)(e * (m - x), e, (VEC){0}); }

/* Add four vectors of terms, `step` values apart, and their moments; `with_search`: look for maxima
 * before counting them. */
INLINE void FN(moments_four)(const REAL *x, REAL *stage, ptrdiff_t step, VEC m, const FN(exp_frame) * f,
                             FN(moment_sums) * s, int with_stage, int with_search) {
    VEC v[4], e[4], d[4];
    for (int k = 0; k < 4; k++) v[k] = e[k] = FN(load)(x + k * step);
    FN(exp_each)(e, 4, f, 0);
    for (int k = 0; k < 4; k++) d[k] = FN(moment)(e[k], m, v[k]);
    for (int k = 0; k < 4 && with_stage; k++) FN(store)(stage + k * step, e[k]);
    FN(sums_add)(&s->moments, (d[0] + d[1]) + (d[2] + d[3]));
    if (!with_search || __builtin_expect(FN(any_equal)(FN(max)(FN(max)(v[0], v[1]), FN(max)(v[2], v[3])), m), 0))
        for (int k = 0; k < 4; k++) e[k] = FN(leave_out)(e[k], v[k], m, &s->n_max);
    FN(sums_add)(&s->terms, (e[0] + e[1]) + (e[2] + e[3]));
}

/* The same of one vector, of which the first k lanes are there. */
INLINE void FN(moments_one)(const REAL *x, REAL *stage, ptrdiff_t k, VEC m, const FN(exp_frame) * f,
                            FN(moment_sums) * s, int with_stage) {
    const VEC v = FN(load_part)(x, k, FN(all)(-INFINITY)), e = FN(exp_scaled)(v, f, 0);
    if (with_stage) FN(store_part)(stage, k, e);
    FN(sums_add)(&s->moments, FN(moment)(e, m, v));
    FN(sums_add)(&s->terms, FN(leave_out)(e, v, m, &s->n_max));
}

INLINE void FN(row_exp_moment_body)(const REAL *x, REAL *stage, ptrdiff_t n, REAL max, const Upcoming *next,
                                    exp_sum *result, double *moment, int with_stage) {
    const Upcoming ahead = *next;
    const VEC m = FN(all)(max);
    const FN(exp_frame) f = FN(exp_setup)(m, 1, 0);
    FN(moment_sums) s = {FN(sums_start)(), FN(sums_start)(), {0}};
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        fetch_ahead(&ahead, i, 4 * VECTOR_BYTES);
        FN(moments_four)(x + i, stage + i, LANES, m, &f, &s, with_stage, 1);
    }
    for (; i < n; i += LANES) FN(moments_one)(x + i, stage + i, n - i < LANES ? n - i : LANES, m, &f, &s, with_stage);
    double lost;
    *moment = FN(sums_total)(&s.moments, &lost);
    result->unit = f.unit[0], result->unit_error = f.unit_error[0];
    result->sum = FN(sums_total)(&s.terms, &result->sum_error);
    result->n_max = FN(count_of_lanes)(s.n_max);
}

/* row_exp_sum without the maxima, and the sum of exp(x - m) * (m - x) in the same unit. */
static void FN(row_exp_moment)(const REAL *x, REAL *stage, ptrdiff_t n, REAL m, const Upcoming *next,
                               exp_sum *result /* OUT */, double *moment /* OUT */) {
    if (stage) FN(row_exp_moment_body)(x, stage, n, m, next, result, moment, 1);
    else FN(row_exp_moment_body)(x, NULL, n, m, next, result, moment, 0);
}

INLINE void FN(lanes_exp_moment_body)(const REAL *tile, REAL *stage, ptrdiff_t stride, ptrdiff_t n_classes,
                                      const REAL *max, const Upcoming *next, const LaneSums *result, double *moment,
                                      int with_stage) {
    const Upcoming ahead = *next;
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const VEC m = FN(load)(max + lane);
        const FN(exp_frame) f = FN(exp_setup)(m, 1, 0);
        FN(moment_sums) s = {FN(sums_start)(), FN(sums_start)(), {0}};
        double lost[LANES];
        ptrdiff_t c = 0;
        for (; c + 4 <= n_classes; c += 4) {
            const ptrdiff_t at = c * stride + lane;
            fetch_ahead(&ahead, lane * n_classes + c * LANES, 4 * VECTOR_BYTES);
            FN(moments_four)(tile + at, stage + at, stride, m, &f, &s, with_stage, 0);
        }
        for (; c < n_classes; c++)
            FN(moments_one)(tile + c * stride + lane, stage + c * stride + lane, LANES, m, &f, &s, with_stage);
        FN(sums_lanes)(&s.moments, (VEC){0}, moment + lane, lost);
        FN(sums_lanes)(&s.terms, (VEC){0}, result->sum + lane, result->sum_error + lane);
        FN(to_doubles)(__builtin_convertvector(s.n_max, VEC), result->n_max + lane);
        FN(pair_to_doubles)(f.unit, f.unit_error, result->unit + lane, result->unit_error + lane);
    }
}

/* row_exp_moment for each lane of a tile; the terms go to another one unless that is NULL. */
static void FN(lanes_exp_moment)(const REAL *tile, REAL *stage, ptrdiff_t stride, ptrdiff_t n_classes, const REAL *m,
                                 const Upcoming *next, const LaneSums *result /* OUT */, double *moment /* OUT */) {
    if (stage) FN(lanes_exp_moment_body)(tile, stage, stride, n_classes, m, next, result, moment, 1);
    else FN(lanes_exp_moment_body)(tile, NULL, stride, n_classes, m, next, result, moment, 0);
}

/* p * (center + lost - x), where the center is m - mean in two parts. */
INLINE VEC FN(entropy_slope)(VEC e, VEC x, VEC center, VEC lost, const FN(factor) * f, REAL unit) {
    const VEC p = FN(scaled)(e, f);
    VEC error;
    const VEC d = FN(difference)(center, x, &error);
    return FN(from_unit)(FN(zero_equal)(p * d + p * (error + lost), p, (VEC){0}), FN(all)(unit * (REAL)REAL_MIN_NORMAL),
                         FN(all)(1 / unit));
}

/* The gradient of the entropy of a row of terms e; factor + error turns them into p * unit, a power of two.
 * out may be x or e. */
static void FN(row_entropy_slope)(const REAL *x, const REAL *e, REAL *out, ptrdiff_t n, double center,
                                  double center_error, double factor, double error, double unit) {
    const REAL rounded = (REAL)center;
    const VEC c = FN(all)(rounded), lost = FN(all)((REAL)(center - rounded + center_error)), zero = {0};
    const FN(factor) f = FN(factor_of_row)(factor, error);
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES)
        FN(store)(out + i, FN(entropy_slope)(FN(load)(e + i), FN(load)(x + i), c, lost, &f, (REAL)unit));
    if (i < n) {
        const VEC v = FN(load_part)(x + i, n - i, c), terms = FN(load_part)(e + i, n - i, zero);
        FN(store_part)(out + i, n - i, FN(entropy_slope)(terms, v, c, lost, &f, (REAL)unit));
    }
}

/* The same for each lane of a tile, in the place of x. */
static void FN(lanes_entropy_slope)(REAL *tile, const REAL *e, ptrdiff_t stride, ptrdiff_t n_classes,
                                    const double *center, const double *center_error, const double *factor,
                                    const double *error) {
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const VEC c = FN(from_doubles)(center + lane), lost = FN(lost)(center + lane, center_error + lane, c);
        const FN(factor) f = FN(factor_of_lanes)(factor + lane, error + lane);
        for (ptrdiff_t at = lane; at < n_classes * stride; at += stride)
            FN(store)(tile + at, FN(entropy_slope)(FN(load)(e + at), FN(load)(tile + at), c, lost, &f, UNIT_POWER));
    }
}
