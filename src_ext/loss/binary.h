/* Template for one REAL: sigmoid and binary cross-entropy, element by element. Included by softmax/templates.h.
 *
 * With e = exp(-abs(x)), which never overflows: sigmoid(x) is 1 / (1 + e) or e / (1 + e), and softplus(x) is
 * max(x, 0) + log1p(e); nothing cancels. Losses and gradients are put together in double. */
#include "math/log1p.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#endif

/* e * 2**UNIT_EXPONENT of LANES values. */
INLINE VEC FN(exp_of_minus_abs)(VEC x, const FN(exp_frame) * f) { return FN(exp_scaled)(-FN(abs)(x), f, 0); }

/* out = 1 / (1 + exp(-x)); out may be x. Error: 2.5 ULP. */
static void FN(sigmoid_run)(const REAL *x, REAL *out, ptrdiff_t n) {
    const FN(exp_frame) f = FN(exp_setup)((VEC){0}, 1, 0);
    const VEC unit = f.unit, zero = {0};
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        VEC v = FN(load_part)(x + i, k, zero), e = FN(exp_of_minus_abs)(v, &f);
        IVEC negative = v < zero;
        e = FN(zero_less)(e, e, unit * (REAL)REAL_MIN_NORMAL);
        VEC numerator = (VEC)((negative & (IVEC)e) | (~negative & (IVEC)unit));
        FN(store_part)(out + i, k, numerator / (unit + e));
    }
}

/* What multiplies the loss of the answer that the logit is in favour of, log1p(e), and of the other, and for doubles
 * what rounding has taken from both. */
typedef struct {
    vec_f64 near, far, near_error, far_error;
} FN(binary_weights);

INLINE FN(binary_weights)
    FN(weigh_binary)(ivec_f64 positive, vec_f64 target, vec_f64 weight, vec_f64 factor, int weighted) {
    vec_f64 yes = target, no = 1.0 - target;
    if (weighted) yes = factor * target;
    const vec_f64 near = select_f64(positive, yes, no), far = select_f64(positive, no, yes);
    FN(binary_weights) a = {near, far, {0}, {0}};
    if (!weighted) return a;
    a.near = weight * near, a.far = weight * far;
    if (sizeof(REAL) == sizeof(double)) {
        const vec_f64 no_error = weight * ((1.0 - no) - target),
                      yes_error = weight * product_error_f64(factor, target, yes);
        a.near_error = product_error_f64(weight, near, a.near) + select_f64(positive, yes_error, no_error);
        a.far_error = product_error_f64(weight, far, a.far) + select_f64(positive, no_error, yes_error);
    }
    return a;
}

/* LANES_F64 losses, and gradients times `scale` where asked. `term` is exp(-abs(v)) * unit. Losses and gradients are
 * put together in double; what the products of doubles lose by rounding is added, float has digits to spare. */
INLINE void FN(binary_lanes)(vec_f64 v, vec_f64 target, vec_f64 term, double unit, vec_f64 weight, vec_f64 factor,
                             int weighted, double scale, vec_f64 *loss, vec_f64 *grad /* OUT, or NULL */) {
    const ivec_f64 positive = v > 0.0;
    const FN(binary_weights) a = FN(weigh_binary)(positive, target, weight, factor, weighted);
    const vec_f64 e = term * (1 / unit), zero = {0};
    vec_f64 log_term, inverse, near_loss, size = 1.0 + zero, near_term = e;
    if (sizeof(REAL) == sizeof(double)) {
        /* an e that has too few digits keeps the unit until it is weighted */
        const ivec_f64 is_tiny = term < DBL_MIN * 4 * unit;
        inverse = 1.0 / (1.0 + e);
        log_term = log1p_vector(e, inverse);
        size = select_f64(is_tiny, 1 / unit + zero, size);
        near_loss = select_f64(is_tiny, term, log_term), near_term = select_f64(is_tiny, term, e);
        const vec_f64 far_loss = abs_f64(v) + log_term;
        const vec_f64 near = zero_equal_f64(a.near * near_loss * size, a.near, zero);
        const vec_f64 far = zero_equal_f64(a.far * far_loss, a.far, zero);
        *loss = near + far;
        if (weighted) {
            vec_f64 rest = product_error_f64(a.far, far_loss, far) + a.far_error * far_loss;
            rest += a.far * (log_term - (far_loss - abs_f64(v)));
            rest +=
                (vec_f64)(~is_tiny & (ivec_f64)(product_error_f64(a.near, near_loss, near) + a.near_error * near_loss));
            *loss += (vec_f64)((rest - rest == 0.0) & (ivec_f64)rest);
        }
    } else {
        /* one division for both: log1p(e) = 2 * atanh(e / (2 + e)), and 1 / (1 + e) */
        const vec_f64 one_more = 1.0 + e, two_more = 2.0 + e, both = 1.0 / (one_more * two_more);
        inverse = two_more * both;
        log_term = log1p_of_unit(e * (one_more * both));
        near_loss = log_term;
        *loss = zero_equal_f64(a.near * near_loss, a.near, zero) +
                zero_equal_f64(a.far * (abs_f64(v) + log_term), a.far, zero);
    }
    if (grad) {
        vec_f64 near_share = near_term * inverse;
        if (sizeof(REAL) == sizeof(double)) near_share = near_term / (1.0 + e); /* one rounding less */
        const vec_f64 near = a.near * near_share, far = a.far * inverse, plain = far - near * size;
        vec_f64 slope = plain * scale;
        if (sizeof(REAL) == sizeof(double) && weighted) {
            const vec_f64 far_error = product_error_f64(a.far, inverse, far) + a.far_error * inverse;
            const vec_f64 near_error = product_error_f64(a.near, near_share, near) + a.near_error * near_share;
            const vec_f64 rest =
                product_error_f64(plain, scale + zero, slope) + (far_error - near_error * size) * scale;
            slope += (vec_f64)((rest - rest == 0.0) & (ivec_f64)rest);
        }
        slope = select_f64(positive, slope, -slope);
        *grad = weighted ? zero_equal_f64(slope, weight, zero) : slope;
    }
}

/* loss = w * ((1 - y) * softplus(x) + pos_weight * y * softplus(-x)) and, unless grad is NULL, its gradient times
 * scale, of n logits; 0 where w is, whatever x is. w and pos_weight may be NULL; grad may be x. Errors: 3 ULP. */
INLINE void FN(binary_run_of)(const REAL *x, const REAL *y, double *loss, REAL *grad, const double *w,
                              const double *pos_weight, double scale, ptrdiff_t n, int weighted, int with_grad) {
    enum { HALVES = LANES / LANES_F64 };
    const FN(exp_frame) f = FN(exp_setup)((VEC){0}, 1, 0);
    const double unit = f.unit[0];
    const vec_f64 one = 1.0 - (vec_f64){0};
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t k = n - i < LANES ? n - i : LANES;
        const VEC v = FN(load_part)(x + i, k, (VEC){0}), target = FN(load_part)(y + i, k, (VEC){0});
        const VEC e = FN(exp_of_minus_abs)(v, &f);
        double values[3][LANES], losses[LANES], slopes[LANES];
        FN(to_doubles)(v, values[0]), FN(to_doubles)(target, values[1]), FN(to_doubles)(e, values[2]);
        for (int half = 0; half < HALVES; half++) {
            const ptrdiff_t at = half * LANES_F64, left = k - at < 0 ? 0 : k - at < LANES_F64 ? k - at : LANES_F64;
            vec_f64 weight = one, factor = one, l, g;
            if (weighted && w) weight = load_part_f64(w + i + at, left, one);
            if (weighted && pos_weight) factor = load_part_f64(pos_weight + i + at, left, one);
            FN(binary_lanes)(load_doubles(values[0] + at), load_doubles(values[1] + at), load_doubles(values[2] + at),
                             unit, weight, factor, weighted, scale, &l, with_grad ? &g : NULL);
            memcpy(losses + at, &l, sizeof l);
            if (with_grad) memcpy(slopes + at, &g, sizeof g);
        }
        for (int half = 0; half < HALVES; half++) {
            const ptrdiff_t at = half * LANES_F64, left = k - at < 0 ? 0 : k - at < LANES_F64 ? k - at : LANES_F64;
            store_part_f64(loss + i + at, left, load_doubles(losses + at));
        }
        if (with_grad) FN(store_part)(grad + i, k, FN(from_doubles)(slopes));
    }
}

static void FN(binary_run)(const REAL *x, const REAL *y, double *loss, REAL *grad, const double *w,
                           const double *pos_weight, double scale, ptrdiff_t n) {
    if (w || pos_weight) {
        if (grad) FN(binary_run_of)(x, y, loss, grad, w, pos_weight, scale, n, 1, 1);
        else FN(binary_run_of)(x, y, loss, grad, w, pos_weight, scale, n, 1, 0);
    } else if (grad) {
        FN(binary_run_of)(x, y, loss, grad, w, pos_weight, scale, n, 0, 1);
    } else {
        FN(binary_run_of)(x, y, loss, grad, w, pos_weight, scale, n, 0, 0);
    }
}
