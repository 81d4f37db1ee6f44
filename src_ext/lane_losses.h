/* The arithmetic of losses and gradients over the lanes of a tile: arrays of doubles, a multiple of the vector long.
 * The names are those of losses.pxi. Divisions are what it costs: for float they are shared. */
#ifndef FASTSOFTMAX_LANE_LOSSES_H
#define FASTSOFTMAX_LANE_LOSSES_H

#include "log1p.h"
#include "vec_sums.h"

/* One value a lane. */
typedef struct {
    LaneSums terms;                         /* from lanes_exp_sum, the maxima left out of the sum */
    double *max, *z;                        /* the maximum, and the logit of an index target */
    double *t, *s;                          /* weights of the target and of the row; read where `weighted` */
    double *distance, *dense;               /* sums of t * (m - z) and of t over dense targets; read where `dense` */
    double *loss;                           /* OUT */
    double *factor, *factor_error;          /* OUT: what turns stored terms into gradients */
    double *scale;                          /* OUT: s * grad_scale / temperature */
    double *own;                            /* OUT: the gradient of a target that attains the maximum */
} LossLanes;

typedef struct {
    double temperature, z_loss, grad_scale;
    int weighted, dense, with_grad, is_double;
} LossKind;

INLINE void store_doubles(double *p, vec_f64 v) { memcpy(p, &v, sizeof v); }

/* scale * (share - t - t * S') / (1 + S') with the rounding errors of S' and of the quotient put back: one rounding
 * each would take doubles over their bound. */
INLINE vec_f64 own_of_doubles(const LaneSums *a, Py_ssize_t i, vec_f64 t, vec_f64 share, vec_f64 scale) {
    const vec_f64 sum = load_doubles(a->sum + i), unit = load_doubles(a->unit + i), n_max = load_doubles(a->n_max + i);
    const vec_f64 quotient = sum / unit;
    const vec_f64 sum_error = load_doubles(a->sum_error + i) - quotient * load_doubles(a->unit_error + i);
    const vec_f64 others = quotient + (n_max - 1.0), part = others - quotient;
    const vec_f64 lost = ((quotient - (others - part)) + ((n_max - 1.0) - part)) +
                         (sum_error - product_error_f64(quotient, unit, sum)) / unit;
    const vec_f64 total = 1.0 + others, rest = total - 1.0;
    const vec_f64 total_lost = (others - rest) + lost;
    const vec_f64 numerator = (share - t) - t * others, result = numerator / total;
    const vec_f64 error = (-product_error_f64(result, total, numerator) - t * lost - result * total_lost) / total;
    return scale * result + scale * error;
}

INLINE void lanes_finish_body(const LossLanes *a, Py_ssize_t n, LossKind k) {
    const vec_f64 one = 1.0 - (vec_f64){0};
    for (Py_ssize_t i = 0; i < n; i += LANES_F64) {
        const vec_f64 unit = load_doubles(a->terms.unit + i), by_unit = one / unit;
        const vec_f64 others = others_of_lanes(&a->terms, i, by_unit, k.is_double), max = load_doubles(a->max + i);
        const vec_f64 share_of_max = one / (one + others);
        const vec_f64 log_sum = log1p_vector(others, share_of_max);
        vec_f64 t = one, s = one, distance = max - load_doubles(a->z + i);
        if (k.temperature != 1.0) distance /= k.temperature;
        if (k.weighted) {
            t = load_doubles(a->t + i);
            s = load_doubles(a->s + i);
            distance = zero_equal_f64(t * distance, t, (vec_f64){0});
        }
        vec_f64 total = t, lse = log_sum;
        if (k.dense) {
            distance += load_doubles(a->distance + i) / k.temperature;
            total += load_doubles(a->dense + i);
            lse += max / k.temperature;
        }
        vec_f64 loss = total * log_sum + distance;
        if (k.dense && k.z_loss != 0) loss += k.z_loss * lse * lse; /* lse may be infinite */
        store_doubles(a->loss + i, s * loss);
        if (!k.with_grad) continue;
        const vec_f64 scale = s * (k.grad_scale / k.temperature);
        vec_f64 share = total;
        if (k.dense && k.z_loss != 0) share += 2 * k.z_loss * lse;
        const vec_f64 numerator = share * scale;
        vec_f64 factor, error = {0};
        if (k.is_double) {
            const vec_f64 sum = load_doubles(a->terms.sum + i), n_max = load_doubles(a->terms.n_max + i);
            const vec_f64 maxima = n_max * unit, terms = sum + maxima, part = terms - sum;
            const vec_f64 lost = (load_doubles(a->terms.sum_error + i) + n_max * load_doubles(a->terms.unit_error + i)) +
                                 ((sum - (terms - part)) + (maxima - part));
            factor = numerator / terms;
            error = (product_error_f64(factor, terms, numerator) + factor * lost) * (-one / terms);
        } else {
            factor = numerator * (share_of_max * by_unit);
        }
        store_doubles(a->factor + i, factor);
        store_doubles(a->factor_error + i, error);
        store_doubles(a->scale + i, scale);
        if (k.is_double) {
            store_doubles(a->own + i, own_of_doubles(&a->terms, i, t, share, scale));
        } else {
            vec_f64 rest = -(t * others);
            if (k.dense) rest += share - t;
            store_doubles(a->own + i, scale * (rest * share_of_max));
        }
    }
}

/* Losses of n lanes and what their gradients are made with. */
static void lanes_finish(const LossLanes *a, Py_ssize_t n, const LossKind *kind) {
    const LossKind k = *kind;
    if (k.dense || k.is_double || k.temperature != 1.0) {
        lanes_finish_body(a, n, k);
    } else if (k.weighted) {
        lanes_finish_body(a, n, (LossKind){1.0, 0, k.grad_scale, 1, 0, k.with_grad, 0});
    } else if (k.with_grad) {
        lanes_finish_body(a, n, (LossKind){1.0, 0, k.grad_scale, 0, 0, 1, 0});
    } else {
        lanes_finish_body(a, n, (LossKind){1.0, 0, 0, 0, 0, 0, 0});
    }
}

#endif
