/* The totals of lanes of doubles, in two parts, and what is made of them: factors, means and logarithms of ratios.
 * These are the operations of math/pairs.h over vectors; `LaneSums` stands in simd/sums.h. */
#ifndef FASTSOFTMAX_LOSS_LANE_TOTALS_H
#define FASTSOFTMAX_LOSS_LANE_TOTALS_H

#include "math/log1p.h"
#include "simd/sums.h"

typedef struct {
    vec_f64 high, low;
} PairLanes;

INLINE PairLanes lanes_two_sum(vec_f64 a, vec_f64 b) {
    const vec_f64 sum = a + b, part = sum - a;
    return (PairLanes){sum, (a - (sum - part)) + (b - part)};
}
INLINE PairLanes lanes_times(PairLanes a, vec_f64 b) {
    const vec_f64 product = a.high * b;
    return (PairLanes){product, product_error_f64(a.high, b, product) + a.low * b};
}
INLINE PairLanes lanes_quotient(PairLanes a, PairLanes b) {
    const vec_f64 quotient = a.high / b.high;
    const vec_f64 rest = (a.low - product_error_f64(quotient, b.high, a.high)) - quotient * b.low;
    return (PairLanes){quotient, rest / b.high};
}
/* Beside infinity and NaN the low part is 0. */
INLINE void store_lanes(PairLanes a, double *high, double *low) {
    a.low = (vec_f64)((ivec_f64)a.low & (a.low - a.low == 0));
    memcpy(high, &a.high, sizeof a.high);
    memcpy(low, &a.low, sizeof a.low);
}

/* The sum of all terms, the maxima among them, in the unit of the terms; not normalised. */
INLINE PairLanes total_of_lanes(const LaneSums *a, ptrdiff_t i) {
    const PairLanes unit = {load_doubles(a->unit + i), load_doubles(a->unit_error + i)};
    const PairLanes maxima = lanes_times(unit, load_doubles(a->n_max + i));
    const PairLanes total = lanes_two_sum(load_doubles(a->sum + i), maxima.high);
    return (PairLanes){total.high, total.low + (load_doubles(a->sum_error + i) + maxima.low)};
}
/* The same in the unit of the maximum's term: 1 + S'. */
INLINE PairLanes wholes_of_lanes(const LaneSums *a, ptrdiff_t i) {
    return lanes_quotient(total_of_lanes(a, i),
                          (PairLanes){load_doubles(a->unit + i), load_doubles(a->unit_error + i)});
}

/* What turns terms into probabilities * scale / divisor, in two parts; `scales` is one a lane or NULL for 1. */
static void lanes_factor(const LaneSums *a, ptrdiff_t n, double scale, const double *scales, double divisor,
                         double *factor, double *error /* OUT */) {
    for (ptrdiff_t i = 0; i < n; i += LANES_F64) {
        vec_f64 numerator = scale - (vec_f64){0};
        if (scales) numerator = load_doubles(scales + i) * scale;
        const PairLanes total = lanes_times(total_of_lanes(a, i), divisor - (vec_f64){0});
        store_lanes(lanes_quotient((PairLanes){numerator, {0}}, total), factor + i, error + i);
    }
}

/* mean = moment / total, in place. */
static void lanes_mean(const LaneSums *a, ptrdiff_t n, double *moment) {
    for (ptrdiff_t i = 0; i < n; i += LANES_F64) {
        const PairLanes mean = lanes_quotient((PairLanes){load_doubles(moment + i), {0}}, total_of_lanes(a, i));
        const vec_f64 v = mean.high + (vec_f64)((ivec_f64)mean.low & (mean.low - mean.low == 0));
        memcpy(moment + i, &v, sizeof v);
    }
}

/* The result in two parts, of which the second holds what the rounding of the last sums loses. */
INLINE PairLanes log1p_parts(vec_f64 s, vec_f64 inverse) {
    const log1p_terms a = log1p_reduce(s, inverse);
    const vec_f64 lost_square = 0.5 * product_error_f64(a.f, a.f, a.f * a.f);
    const PairLanes first = lanes_two_sum(a.k * LN2_OF_LOG1P, a.f), second = lanes_two_sum(first.high, -a.half_square);
    const vec_f64 low = (a.r + (a.k * LN2_OF_LOG1P_LOW + a.lost)) + (first.low + second.low - lost_square);
    const vec_f64 high = second.high + low;
    return (PairLanes){high, low - (high - second.high)};
}

/* log(1 + s) for a pair s >= 0, in two parts: math/log1p.h with what its last sums lose. Error: about 2**-57 of the
 * result, from the rounding of the cubic part. */
INLINE PairLanes log1p_pair(PairLanes s) {
    const vec_f64 one = 1.0 - (vec_f64){0}, inverse = one / (one + s.high);
    const vec_f64 rest = s.low * inverse;
    PairLanes result = log1p_parts(s.high, inverse);
    const vec_f64 low = result.low + rest, high = result.high + low;
    return (PairLanes){high, low - (high - result.high)};
}

/* log(b / a) of the sums of each lane, in two parts. The larger is divided by the smaller one, so that
 * nothing cancels. */
static void lanes_log_ratio(const LaneSums *a, const LaneSums *b, ptrdiff_t n, double *shift, double *error /* OUT */) {
    for (ptrdiff_t i = 0; i < n; i += LANES_F64) {
        const PairLanes p = wholes_of_lanes(a, i), q = wholes_of_lanes(b, i);
        const PairLanes apart = lanes_two_sum(q.high, -p.high);
        const vec_f64 low = apart.low + (q.low - p.low), high = apart.high + low;
        const vec_f64 rest = low - (high - apart.high);
        const ivec_f64 is_less = high < 0, sign = is_less & INT64_MIN;
#define FLIPPED(v) (vec_f64)((ivec_f64)(v) ^ sign)
#define SMALLER(part) (vec_f64)((is_less & (ivec_f64)q.part) | (~is_less & (ivec_f64)p.part))
        const PairLanes by = {SMALLER(high), SMALLER(low)};
        const PairLanes log = log1p_pair(lanes_quotient((PairLanes){FLIPPED(high), FLIPPED(rest)}, by));
        store_lanes((PairLanes){FLIPPED(log.high), FLIPPED(log.low)}, shift + i, error + i);
#undef FLIPPED
#undef SMALLER
    }
}

#endif
