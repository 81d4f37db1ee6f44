/* Template for one REAL: passes for targets that touch every class (probabilities, label smoothing), for soft
 * caps, and for elementwise sigmoids. Included by primitives.h. */

/* The sum of t * (m - z), products in double; where t is 0 the term is 0, even beside z = -inf. Also sum(t). */
static double FN(row_distance)(const REAL *t, const REAL *z, Py_ssize_t n, REAL m, double *total /* OUT */) {
    const VEC max = FN(all)(m), zero = {0};
    FN(sums) sums = FN(sums_start)(), totals = FN(sums_start)();
    for (Py_ssize_t i = 0; i < n; i += LANES) {
        Py_ssize_t k = n - i < LANES ? n - i : LANES;
        VEC tv = FN(load_part)(t + i, k, zero), zv = FN(load_part)(z + i, k, max);
        FN(distances_add)(&sums, tv, max, zv);
        FN(sums_add)(&totals, tv);
    }
    *total = FN(sums_total)(&totals);
    return FN(sums_total)(&sums);
}

/* out = w * (1 - smoothing) * y + uniform * w: the dense target t of a row of probabilities y; w may be NULL. */
static void FN(row_target)(const REAL *y, const double *w, double smoothing, REAL *t, Py_ssize_t n) {
    const double kept = 1 - smoothing, uniform = smoothing / (double)n;
    for (Py_ssize_t i = 0; i < n; i++) t[i] = (REAL)((kept * y[i] + uniform) * (w ? w[i] : 1.0));
}

/* out = share * stage - scale * t; out may be stage. */
static void FN(row_combine)(const REAL *stage, const REAL *t, REAL *out, Py_ssize_t n, double share, double scale) {
    const VEC a = FN(all)((REAL)share), b = FN(all)((REAL)scale), zero = {0};
    const VEC lowest = FN(all)(FN(lowest_factor)(share));
    for (Py_ssize_t i = 0; i < n; i += LANES) {
        Py_ssize_t k = n - i < LANES ? n - i : LANES;
        VEC e = FN(load_part)(stage + i, k, zero), tv = FN(load_part)(t + i, k, zero);
        FN(store_part)(out + i, k, FN(scaled)(e, a, zero, lowest) - b * tv);
    }
}
