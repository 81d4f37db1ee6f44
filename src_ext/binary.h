/* Template for one REAL: sigmoid and binary cross-entropy, element by element. Included by primitives.h.
 *
 * With e = exp(-abs(x)), which never overflows: sigmoid(x) is 1 / (1 + e) or e / (1 + e), and softplus(x) is
 * max(x, 0) + log1p(e); nothing cancels. Losses and gradients are put together in double. */

/* e * 2**UNIT_EXPONENT of LANES values. */
INLINE VEC FN(exp_of_minus_abs)(VEC x, const FN(exp_frame) *f) { return FN(exp_scaled)(-FN(abs)(x), f, 0); }

/* out = 1 / (1 + exp(-x)); out may be x. Error: 2.5 ULP. */
static void FN(sigmoid)(const REAL *x, REAL *out, Py_ssize_t n) {
    const FN(exp_frame) f = FN(exp_setup)((VEC){0}, 1, 0);
    const VEC unit = f.unit, zero = {0};
    for (Py_ssize_t i = 0; i < n; i += LANES) {
        Py_ssize_t k = n - i < LANES ? n - i : LANES;
        VEC v = FN(load_part)(x + i, k, zero), e = FN(exp_of_minus_abs)(v, &f);
        IVEC negative = v < zero;
        e = FN(zero_less)(e, e, unit * (REAL)REAL_MIN_NORMAL);
        VEC numerator = (VEC)((negative & (IVEC)e) | (~negative & (IVEC)unit));
        FN(store_part)(out + i, k, numerator / (unit + e));
    }
}

/* loss = w * ((1 - y) * softplus(x) + pos_weight * y * softplus(-x)) and, unless grad is NULL, its gradient times
 * scale. w and pos_weight may be NULL; grad may be x. */
static void FN(binary_row)(const REAL *x, const REAL *y, double *loss, REAL *grad, const double *w,
                           const double *pos_weight, double scale, Py_ssize_t n) {
    enum { STEP = 64 };
    const FN(exp_frame) f = FN(exp_setup)((VEC){0}, 1, 0);
    const double unit = f.unit[0];
    REAL values[STEP], terms[STEP];
    double e[STEP], log_term[STEP];
    for (Py_ssize_t start = 0; start < n; start += STEP) {
        const Py_ssize_t size = n - start < STEP ? n - start : STEP;
        memset(values, 0, sizeof values);
        memcpy(values, x + start, (size_t)size * sizeof(REAL));
        for (int i = 0; i < STEP; i += LANES)
            FN(store)(terms + i, FN(exp_of_minus_abs)(FN(load)(values + i), &f));
        for (int i = 0; i < STEP; i++) e[i] = terms[i] / unit;
        log1p_lanes(e, log_term, STEP);
        for (Py_ssize_t i = 0; i < size; i++) {
            const double v = values[i], target = y[start + i];
            const double weight = w ? w[start + i] : 1, positive = pos_weight ? pos_weight[start + i] * target : target;
            const double negative = 1 - target, above = v > 0 ? v : 0, below = v > 0 ? 0 : -v;
            const double up = negative == 0 ? 0 : negative * (above + log_term[i]);
            const double down = positive == 0 ? 0 : positive * (below + log_term[i]);
            loss[start + i] = weight * (up + down);
            if (grad) {
                const double share = 1 / (1 + e[i]), other = e[i] / (1 + e[i]);
                const double p = v > 0 ? share : other, q = v > 0 ? other : share;
                grad[start + i] = (REAL)(weight * scale * (negative * p - positive * q));
            }
        }
    }
}
