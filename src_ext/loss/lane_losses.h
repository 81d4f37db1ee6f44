/* The arithmetic of losses and gradients over the lanes of a tile: arrays of doubles, a multiple of the vector long.
 * The names are those of loss/losses.pxi. Division dominates; float rows share one. */
#ifndef FASTSOFTMAX_LANE_LOSSES_H
#define FASTSOFTMAX_LANE_LOSSES_H

#include <float.h>

#include "loss/lane_totals.h"
#include "math/power.h"

/* One value a lane. */
typedef struct {
    LaneSums terms;                /* from lanes_exp_sum, the maxima left out of the sum */
    double *max;                   /* the maximum, */
    double *lse_max;               /* and the one that log(sum(exp)) counts from: another where max is 0 */
    double *z;                     /* the logit of an index target, */
    double *z_low;                 /* and what rounding has taken from it, less that of the maximum; or NULL */
    double *t, *s;                 /* weights of the target and of the row; read where `weighted` */
    double *target_gap, *dense;    /* sums of t * (m - z) / temperature and of t over dense targets; read where
                                      `dense` */
    double *loss;                  /* OUT */
    double *factor, *factor_error; /* OUT: what turns stored terms into gradients */
    double *scale, *scale_error;   /* OUT: s * slope, in two parts */
    double *grad_at_max;           /* OUT: the gradient of a target that attains the maximum */
    double *taken;                 /* OUT: t * scale, what the gradient of another target is less than p; where
                                      `weighted` */
    double *shrink;                /* OUT: multiplies terms before the factor does; where lanes_finish says so */
} LossLanes;

typedef struct {
    double temperature, z_loss, slope, slope_error; /* the slope: see LossTask */
    int weighted, dense, with_grad, is_double;
} LossOptions;

INLINE void store_doubles(double *p, vec_f64 v) { memcpy(p, &v, sizeof v); }

/* scale * (prob_scale - t - t * S') / (1 + S') with the rounding errors of S', of the quotient and of the scale put
 * back: one rounding each would take doubles over their bound. */
INLINE vec_f64 grad_at_max_of_doubles(const LaneSums *a, ptrdiff_t i, vec_f64 t, vec_f64 prob_scale, vec_f64 scale,
                                      vec_f64 scale_error) {
    const vec_f64 sum = load_doubles(a->sum + i), unit = load_doubles(a->unit + i), n_max = load_doubles(a->n_max + i);
    const vec_f64 quotient = sum / unit;
    const vec_f64 sum_error = load_doubles(a->sum_error + i) - quotient * load_doubles(a->unit_error + i);
    const vec_f64 sum_rest = quotient + (n_max - 1.0), part = sum_rest - quotient;
    const vec_f64 lost = ((quotient - (sum_rest - part)) + ((n_max - 1.0) - part)) +
                         (sum_error - product_error_f64(quotient, unit, sum)) / unit;
    const vec_f64 total = 1.0 + sum_rest, rest = total - 1.0;
    const vec_f64 total_lost = (sum_rest - rest) + lost;
    const vec_f64 missed = t * sum_rest, numerator = (prob_scale - t) - missed, result = numerator / total;
    const vec_f64 error = (-product_error_f64(result, total, numerator) - product_error_f64(t, sum_rest, missed) -
                           t * lost - result * total_lost) /
                          total;
    return scale * result + (scale * error + scale_error * result);
}

/* loss + z_loss * lse**2, of doubles: the square would count each rounding of the log-sum-exp twice. */
INLINE vec_f64 with_z_loss_of_doubles(vec_f64 loss, vec_f64 log_sum, vec_f64 lse_max, double temperature,
                                      double z_loss) {
    const PairLanes at_max = lanes_quotient((PairLanes){lse_max, {0}}, (PairLanes){temperature - (vec_f64){0}, {0}});
    PairLanes lse = lanes_two_sum(at_max.high, log_sum);
    lse.low += at_max.low;
    const PairLanes slope = lanes_times(lse, z_loss - (vec_f64){0});
    const vec_f64 product = slope.high * lse.high;
    const PairLanes sum = lanes_two_sum(loss, product);
    const vec_f64 lost =
        sum.low + (product_error_f64(slope.high, lse.high, product) + (slope.high * lse.low + slope.low * lse.high));
    return sum.high + (vec_f64)((ivec_f64)lost & (lost - lost == 0)); /* beside an infinity nothing is lost */
}

/* What multiplies the probabilities of doubles, T + 2 * z_loss * lse, times `size`; in two parts. */
INLINE PairLanes prob_scale_of_doubles(PairLanes total, vec_f64 log_sum, vec_f64 lse_max, double temperature,
                                       double z_loss, double size) {
    const vec_f64 none = {0};
    const PairLanes at_max = lanes_quotient((PairLanes){size * lse_max, none}, (PairLanes){temperature - none, none});
    PairLanes lse = lanes_two_sum(at_max.high, size * log_sum);
    lse.low += at_max.low;
    const PairLanes slope = lanes_times(lse, 2 * z_loss - none);
    PairLanes sum = lanes_two_sum(size * total.high, slope.high);
    sum.low += size * total.low + slope.low;
    sum.low = (vec_f64)((ivec_f64)sum.low & (sum.low - sum.low == 0)); /* an infinite one has none */
    return sum;
}

/* Returns whether a lane has terms to shrink. */
INLINE int lanes_finish_body(const LossLanes *a, ptrdiff_t n, LossOptions k) {
    int shrinks = 0;
    const vec_f64 one = 1.0 - (vec_f64){0};
    for (ptrdiff_t i = 0; i < n; i += LANES_F64) {
        const vec_f64 unit = load_doubles(a->terms.unit + i), by_unit = one / unit;
        const vec_f64 sum_rest = sum_rest_of_lanes(&a->terms, i, by_unit, k.is_double), max = load_doubles(a->max + i);
        const vec_f64 prob_of_max = one / (one + sum_rest);
        const vec_f64 log_sum = log1p_vector(sum_rest, prob_of_max);
        /* half of it for doubles: it may be beyond their range where what comes of it is not */
        const double half = k.is_double ? 0.5 : 1.0;
        vec_f64 t = one, s = one, target_gap = half * max - half * load_doubles(a->z + i);
        if (a->z_low) target_gap -= half * load_doubles(a->z_low + i);
        if (k.temperature != 1.0) target_gap /= k.temperature;
        if (k.weighted) {
            t = load_doubles(a->t + i);
            s = load_doubles(a->s + i);
            target_gap = zero_equal_f64(t * target_gap, t, (vec_f64){0});
        }
        if (k.is_double) target_gap *= 2.0;
        vec_f64 total = t;
        if (k.dense) {
            target_gap += load_doubles(a->target_gap + i);
            total += load_doubles(a->dense + i);
        }
        vec_f64 loss = total * log_sum + target_gap;
        if (k.dense && k.z_loss != 0) {
            const vec_f64 max_of_row = load_doubles(a->lse_max + i), lse = log_sum + max_of_row / k.temperature;
            if (k.is_double) loss = with_z_loss_of_doubles(loss, log_sum, max_of_row, k.temperature, k.z_loss);
            else loss += k.z_loss * lse * lse; /* lse may be infinite */
        }
        store_doubles(a->loss + i, s * loss);
        if (!k.with_grad) continue;
        const vec_f64 scale = s * k.slope;
        vec_f64 scale_error = (k.is_double ? k.slope_error : 0) - (vec_f64){0}; /* floats have digits to spare */
        if (k.is_double && k.weighted) {
            scale_error = product_error_f64(s, k.slope - (vec_f64){0}, scale) + s * k.slope_error;
            scale_error =
                (vec_f64)((ivec_f64)scale_error & (scale_error - scale_error == 0)); /* an infinite scale has none */
        }
        /* with a z_loss a part of each, which is in range where the whole may not be */
        const double size = k.dense && k.is_double && k.z_loss != 0 ? 1 / UNIT_F64 : 1;
        vec_f64 shrink = (k.is_double ? 1 / UNIT_F64 : (double)(1 / UNIT_F32)) - (vec_f64){0};
        vec_f64 lane_size = size - (vec_f64){0}, prob_scale = size * total, prob_scale_error = {0};
        const PairLanes exact =
            k.dense && k.is_double ? lanes_two_sum(load_doubles(a->dense + i), t) : (PairLanes){total, {0}};
        if (k.dense && k.is_double && k.z_loss == 0)
            prob_scale_error = (vec_f64)((ivec_f64)exact.low & (exact.low - exact.low == 0));
        if (k.dense && k.z_loss != 0) {
            const vec_f64 lse_max = load_doubles(a->lse_max + i);
            PairLanes part = {prob_scale + (2 * k.z_loss) * (size * log_sum + size * lse_max / k.temperature), {0}},
                      whole = part;
            if (k.is_double) {
                part = prob_scale_of_doubles(exact, log_sum, lse_max, k.temperature, k.z_loss, size);
                whole = prob_scale_of_doubles(exact, log_sum, lse_max, k.temperature, k.z_loss, 1);
            }
            prob_scale = part.high;
            /* Without a target, and with a log-sum-exp near 0 or a small scale, the factor would be below the range: it
             * is left larger by what the terms are then made smaller with. */
            const double small = k.is_double ? 0x1p-500 : 0x1p-20, least = 0x1p-900, most = 0x1p500;
            const vec_f64 product = prob_scale * scale;
            const ivec_f64 is_small =
                ((prob_scale < small) & (prob_scale > -small)) |
                ((product < least) & (product > -least) & (prob_scale < most) & (prob_scale > -most));
            lane_size = select_f64(is_small, one, lane_size);
            prob_scale = select_f64(is_small, whole.high, part.high);
            prob_scale_error = select_f64(is_small, whole.low, part.low);
            shrink = select_f64(is_small, shrink, one);
            store_doubles(a->shrink + i, shrink);
            for (int lane = 0; lane < LANES_F64; lane++) shrinks |= is_small[lane] != 0;
        }
        const vec_f64 numerator = prob_scale * scale;
        vec_f64 factor, error = {0};
        if (k.is_double) {
            const vec_f64 sum = load_doubles(a->terms.sum + i), n_max = load_doubles(a->terms.n_max + i);
            const vec_f64 maxima = n_max * unit, whole = sum + maxima, part = whole - sum, terms = size * whole;
            const vec_f64 lost =
                (load_doubles(a->terms.sum_error + i) + n_max * load_doubles(a->terms.unit_error + i)) +
                ((sum - (whole - part)) + (maxima - part));
            vec_f64 numerator_error = scale_error;
            if (k.weighted) {
                numerator_error = product_error_f64(prob_scale, scale, numerator) + prob_scale * scale_error +
                                  prob_scale_error * scale;
                numerator_error = (vec_f64)((ivec_f64)numerator_error & (numerator_error - numerator_error == 0));
            }
            factor = numerator / terms;
            error = (product_error_f64(factor, terms, numerator) + factor * (size * lost) - numerator_error) *
                    (-one / terms);
        } else {
            factor = numerator * (prob_of_max * by_unit);
            if (k.dense && k.z_loss != 0) factor /= shrink;
        }
        if (k.dense && k.z_loss != 0) { /* an infinite factor is nothing beside a probability of 0 */
            const ivec_f64 above = factor > DBL_MAX, below = factor < -DBL_MAX, bits = above | below;
            const vec_f64 largest =
                (vec_f64)((above & (ivec_f64)(one * DBL_MAX)) | (below & (ivec_f64)(one * -DBL_MAX)));
            factor = (vec_f64)((bits & (ivec_f64)largest) | (~bits & (ivec_f64)factor));
            error = (vec_f64)(~bits & (ivec_f64)error);
        }
        store_doubles(a->factor + i, factor);
        store_doubles(a->factor_error + i, error);
        store_doubles(a->scale + i, scale);
        store_doubles(a->scale_error + i, scale_error);
        if (k.weighted) {
            vec_f64 taken = t * scale;
            if (k.is_double) {
                const vec_f64 lost = product_error_f64(t, scale, taken) + t * scale_error;
                taken += (vec_f64)((ivec_f64)lost & (lost - lost == 0));
            }
            store_doubles(a->taken + i, taken);
        }
        if (k.is_double) {
            store_doubles(a->grad_at_max + i,
                          grad_at_max_of_doubles(&a->terms, i, lane_size * t, prob_scale, scale, scale_error) /
                              lane_size);
        } else {
            vec_f64 rest = -(t * sum_rest);
            if (k.dense) rest += prob_scale - t;
            store_doubles(a->grad_at_max + i, scale * (rest * prob_of_max));
        }
    }
    return shrinks;
}

/* Losses of n lanes and what their gradients are made with; whether terms are to be multiplied with `shrink` before. */
static int lanes_finish(const LossLanes *a, ptrdiff_t n, const LossOptions *options) {
    const LossOptions k = *options;
    if (k.dense || k.is_double || k.temperature != 1.0) return lanes_finish_body(a, n, k);
    if (k.weighted) return lanes_finish_body(a, n, (LossOptions){1.0, 0, k.slope, 0, 1, 0, k.with_grad, 0});
    if (k.with_grad) return lanes_finish_body(a, n, (LossOptions){1.0, 0, k.slope, 0, 0, 0, 1, 0});
    return lanes_finish_body(a, n, (LossOptions){1.0, 0, 0, 0, 0, 0, 0, 0});
}

#endif
