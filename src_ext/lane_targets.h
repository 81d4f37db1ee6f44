/* Template for one REAL: index targets of the lanes of a tile. Included by primitives.h. Without a branch a lane: which
 * targets are the largest is as good as random. */

/* Turn class indices into places in the tile, -bad where out of range, and fetch their logits as doubles. Returns
 * whether any is out of range. */
static int FN(lanes_locate)(const REAL *tile, Py_ssize_t width, Py_ssize_t n_lanes, Py_ssize_t n_classes, int bad,
                            int64_t *at /* IN: indices, OUT: places */, double *z /* OUT */) {
    int any = 0;
    for (Py_ssize_t i = 0; i < n_lanes; i++) {
        const int outside = (uint64_t)at[i] >= (uint64_t)n_classes;
        at[i] = outside ? -(int64_t)bad : at[i] * (int64_t)width + (int64_t)i;
        any |= outside;
    }
    for (Py_ssize_t i = 0; i < n_lanes; i++) z[i] = tile[at[i] < 0 ? i : at[i]];
    return any;
}

/* Give index targets their entries: `own` where the target is the largest, where p - 1 would cancel; elsewhere p is at
 * most a half. Lanes with at < 0 are cleared later: what is written there does not matter. */
static void FN(lanes_mend)(REAL *tile, Py_ssize_t width, Py_ssize_t n_lanes, const LossLanes *a, int weighted,
                           const REAL *base, const int64_t *at) {
    double *entry = a->terms.unit;
    if (base)
        for (Py_ssize_t i = 0; i < n_lanes; i++) a->own[i] -= a->scale[i] * base[(at[i] < 0 ? i : at[i]) / width];
    for (Py_ssize_t i = 0; i < n_lanes; i++) entry[i] = tile[at[i] < 0 ? i : at[i]];
    for (Py_ssize_t i = 0; i < n_lanes; i += LANES_F64) {
        vec_f64 scale = load_doubles(a->scale + i);
        if (weighted) scale *= load_doubles(a->t + i);
        const ivec_f64 largest = load_doubles(a->z + i) == load_doubles(a->max + i);
        const ivec_f64 own = (ivec_f64)load_doubles(a->own + i), other = (ivec_f64)(load_doubles(entry + i) - scale);
        store_doubles(entry + i, (vec_f64)((largest & own) | (~largest & other)));
    }
    for (Py_ssize_t i = 0; i < n_lanes; i++) tile[at[i] < 0 ? i : at[i]] = (REAL)entry[i];
}

/* The lanes of m as doubles. */
static void FN(lanes_widen)(const REAL *m, Py_ssize_t width, double *out) {
    for (Py_ssize_t lane = 0; lane < width; lane += LANES) FN(to_doubles)(FN(load)(m + lane), out + lane);
}
