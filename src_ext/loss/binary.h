/* Template for one REAL: sigmoid and binary cross-entropy, element by element. Included by softmax/primitives.h.
 *
 * With e = exp(-abs(x)), which never overflows: sigmoid(x) is 1 / (1 + e) or e / (1 + e), and softplus(x) is
 * max(x, 0) + log1p(e); nothing cancels. Losses and gradients are put together in double. */
#include "math/log1p.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#endif

/* e * 2**UNIT_EXPONENT of LANES values. */
INLINE VEC FN(exp_of_minus_abs)(VEC x, const FN(exp_frame) *f) { return FN(exp_scaled)(-FN(abs)(x), f, 0); }

/* out = 1 / (1 + exp(-x)); out may be x. Error: 2.5 ULP. */
static void FN(sigmoid)(const REAL *x, REAL *out, ptrdiff_t n) {
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

/* loss = w * ((1 - y) * softplus(x) + pos_weight * y * softplus(-x)) and, unless grad is NULL, its gradient times
 * scale; 0 where w is, whatever x is. w and pos_weight may be NULL; grad may be x. What the products of doubles lose by
 * rounding is added to the sum; float has digits to spare in double. */
static void FN(binary_row)(const REAL *x, const REAL *y, double *loss, REAL *grad, const double *w,
                           const double *pos_weight, double scale, ptrdiff_t n) {
    enum { STEP = 64 };
    const FN(exp_frame) f = FN(exp_setup)((VEC){0}, 1, 0);
    const double unit = f.unit[0];
    REAL values[STEP], terms[STEP];
    double e[STEP], log_term[STEP];
    for (ptrdiff_t start = 0; start < n; start += STEP) {
        const ptrdiff_t size = n - start < STEP ? n - start : STEP;
        memset(values, 0, sizeof values);
        memcpy(values, x + start, (size_t)size * sizeof(REAL));
        for (int i = 0; i < STEP; i += LANES)
            FN(store)(terms + i, FN(exp_of_minus_abs)(FN(load)(values + i), &f));
        for (int i = 0; i < STEP; i++) e[i] = terms[i] / unit;
        log1p_lanes(e, log_term, STEP);
        for (ptrdiff_t i = 0; i < size; i++) {
            const double v = values[i], target = y[start + i], negative = 1 - target;
            const double weight = w ? w[start + i] : 1, factor = pos_weight ? pos_weight[start + i] : 1;
            const double positive = factor * target;
            double near_error = 0, far_error = 0, rest = 0;
            /* of the answer that v is in favour of, whose loss is log1p(e), and of the other one */
            const double near_weight = weight * (v > 0 ? positive : negative);
            const double far_weight = weight * (v > 0 ? negative : positive);
            /* an e that has too few digits keeps the unit until it is weighted */
            const int is_tiny = sizeof(REAL) == sizeof(double) && terms[i] < (REAL)(REAL_MIN_NORMAL * 4) * UNIT_POWER;
            const double size_of_near = is_tiny ? 1 / unit : 1, near_loss = is_tiny ? terms[i] : log_term[i];
            const double far_loss = fabs(v) + log_term[i];
            const double near = near_weight == 0 ? 0 : near_weight * near_loss * size_of_near;
            const double far = far_weight == 0 ? 0 : far_weight * far_loss;
            if (sizeof(REAL) == sizeof(double) && (w || pos_weight)) {
                const double up_error = weight * ((1 - negative) - target), down_error = weight * fma(factor, target, -positive);
                near_error = fma(weight, v > 0 ? positive : negative, -near_weight) + (v > 0 ? down_error : up_error);
                far_error = fma(weight, v > 0 ? negative : positive, -far_weight) + (v > 0 ? up_error : down_error);
                rest = fma(far_weight, far_loss, -far) + far_error * far_loss;
                rest += far_weight * (log_term[i] - (far_loss - fabs(v)));
                rest += is_tiny ? 0 : fma(near_weight, near_loss, -near) + near_error * near_loss;
                rest = isfinite(rest) ? rest : 0;
            }
            loss[start + i] = (near + far) + rest;
            if (grad) {
                const double far_share = 1 / (1 + e[i]), near_share = is_tiny ? terms[i] : e[i] / (1 + e[i]);
                const double near_slope = near_weight * near_share * size_of_near + near_error * near_share * size_of_near;
                const double slope = (far_weight * far_share - near_slope) + far_error * far_share;
                grad[start + i] = (REAL)(weight == 0 ? 0 : (v > 0 ? slope : -slope) * scale);
            }
        }
    }
}
