/* Template for one REAL: softmax down the columns of a tile (see tiles.h), lanes side by side. Included by
 * primitives.h. All passes work within the tile, which stays in the cache. */

/* The largest value of each lane; NaNs are passed over. */
static void FN(lanes_max)(const REAL *tile, Py_ssize_t stride, Py_ssize_t n_classes, REAL *m /* OUT */) {
    for (Py_ssize_t lane = 0; lane < stride; lane += LANES) {
        VEC m0 = FN(all)(-INFINITY), m1 = m0;
        Py_ssize_t c = 0;
        for (; c + 2 <= n_classes; c += 2) {
            m0 = FN(max)(FN(load)(tile + c * stride + lane), m0);
            m1 = FN(max)(FN(load)(tile + (c + 1) * stride + lane), m1);
        }
        if (c < n_classes) m0 = FN(max)(FN(load)(tile + c * stride + lane), m0);
        FN(store)(m + lane, FN(max)(m0, m1));
    }
}

INLINE void FN(lanes_exp_sum_body)(REAL *tile, Py_ssize_t stride, Py_ssize_t n_classes, const REAL *max,
                                   REAL slope, REAL slope_error, const Upcoming *next, const LaneSums *result,
                                   int stores, int splits, int has_slope) {
    const Upcoming ahead = *next;
    for (Py_ssize_t lane = 0; lane < stride; lane += LANES) {
        const VEC m = FN(load)(max + lane);
        const FN(exp_frame) f = FN(exp_setup)(m, slope, slope_error);
        FN(sums) sums = FN(sums_start)();
        IVEC count = {0};
        REAL *column = tile + lane;
        Py_ssize_t c = 0;
        for (; c + 4 <= n_classes; c += 4) {
            REAL *at = column + c * stride;
            fetch_ahead(&ahead, lane * n_classes + c * LANES, 4 * VECTOR_BYTES);
            FN(sums_add)(&sums, FN(exp_four)(at, at, stride, m, &f, &count, stores, splits, has_slope));
        }
        for (; c < n_classes; c++) {
            REAL *at = column + c * stride;
            FN(sums_add)(&sums, FN(exp_one)(at, at, LANES, m, &f, &count, stores, splits, has_slope));
        }
        /* without a split: the error of the maximum, which may be nearly all of the sum */
        FN(sums_lanes)(&sums, splits ? (VEC){0} : f.unit_error, result->sum + lane, result->sum_error + lane);
        FN(to_doubles)(__builtin_convertvector(count, VEC), result->n_max + lane);
        FN(pair_to_doubles)(f.unit, f.unit_error, result->unit + lane, result->unit_error + lane);
    }
}

/* row_exp_sum for each lane of a tile; the terms are stored in the tile if `stores`. What is `next`, the rows that the
 * next tile is turned from and to, is fetched meanwhile. */
static void FN(lanes_exp_sum)(REAL *tile, Py_ssize_t stride, Py_ssize_t n_classes, const REAL *m, double temperature,
                              int stores, int splits, const Upcoming *next, const LaneSums *result /* OUT */) {
    if (temperature != 1.0) {
        REAL slope, error;
        FN(slope_parts)(temperature, &slope, &error);
        FN(lanes_exp_sum_body)(tile, stride, n_classes, m, slope, error, next, result, stores, splits, 1);
    } else if (stores && splits) {
        FN(lanes_exp_sum_body)(tile, stride, n_classes, m, 1, 0, next, result, 1, 1, 0);
    } else if (stores) {
        FN(lanes_exp_sum_body)(tile, stride, n_classes, m, 1, 0, next, result, 1, 0, 0);
    } else {
        FN(lanes_exp_sum_body)(tile, stride, n_classes, m, 1, 0, next, result, 0, 1, 0);
    }
}

/* tile *= factor + error of the lane, and 0 where that is under the smallest normal number. */
static void FN(lanes_scale)(REAL *tile, Py_ssize_t stride, Py_ssize_t n_classes, const double *factor,
                            const double *error) {
    for (Py_ssize_t lane = 0; lane < stride; lane += LANES) {
        const VEC f = FN(from_doubles)(factor + lane), e = FN(lost)(factor + lane, error + lane, f);
        const VEC lowest = (REAL)REAL_MIN_NORMAL / FN(abs)(f);
        for (Py_ssize_t c = 0; c < n_classes; c++) {
            REAL *at = tile + c * stride + lane;
            FN(store)(at, FN(scaled)(FN(load)(at), f, e, lowest));
        }
    }
}

/* tile = (tile - m) / temperature - L. */
static void FN(lanes_log_shift)(REAL *tile, Py_ssize_t stride, Py_ssize_t n_classes, const REAL *max,
                                const double *log_sum, double temperature) {
    for (Py_ssize_t lane = 0; lane < stride; lane += LANES) {
        const VEC m = FN(load)(max + lane), L = FN(from_doubles)(log_sum + lane), divisor = FN(all)((REAL)temperature);
        for (Py_ssize_t c = 0; c < n_classes; c++) {
            REAL *at = tile + c * stride + lane;
            VEC d = FN(load)(at) - m;
            if (temperature != 1.0) d = d / divisor;
            FN(store)(at, d - L);
        }
    }
}
