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
                                   REAL slope, REAL slope_error, double *sum, double *error, double *n_max,
                                   double *unit, const Upcoming *next, int stores, int splits, int has_slope) {
    const Upcoming ahead = *next;
    for (Py_ssize_t lane = 0; lane < stride; lane += LANES) {
        const VEC m = FN(load)(max + lane);
        const FN(exp_frame) f = FN(exp_setup)(m, slope, slope_error);
        FN(sums) sums = FN(sums_start)();
        IVEC count = {0};
        REAL *column = tile + lane;
        Py_ssize_t c = 0;
#define STEP(k) \
    FN(exp_step)(FN(load)(column + (c + k) * stride), column + (c + k) * stride, m, &f, &count, stores, splits, has_slope)
        for (; c + 4 <= n_classes; c += 4) {
            fetch_ahead(&ahead, lane * n_classes + c * LANES, 4 * VECTOR_BYTES);
            VEC e0 = STEP(0), e1 = STEP(1), e2 = STEP(2), e3 = STEP(3);
            FN(sums_add)(&sums, (e0 + e1) + (e2 + e3));
        }
        for (; c < n_classes; c++) FN(sums_add)(&sums, STEP(0));
#undef STEP
        FN(sums_lanes)(&sums, sum + lane, error + lane);
        FN(to_doubles)(f.unit, unit + lane);
        FN(to_doubles)(__builtin_convertvector(count, VEC), n_max + lane);
    }
}

/* row_exp_sum for each lane of a tile; the terms are stored in the tile if `stores`. A sum comes in two parts.
 * What is `next`, the rows that the next tile is turned from and to, is fetched meanwhile. */
static void FN(lanes_exp_sum)(REAL *tile, Py_ssize_t stride, Py_ssize_t n_classes, const REAL *m, double temperature,
                              int stores, int splits, const Upcoming *next, double *sum, double *error, double *n_max,
                              double *unit /* OUT */) {
    if (temperature != 1.0) {
        REAL slope, slope_error;
        FN(slope_parts)(temperature, &slope, &slope_error);
        FN(lanes_exp_sum_body)(tile, stride, n_classes, m, slope, slope_error, sum, error, n_max, unit, next,
                               stores, splits, 1);
    } else if (stores && splits) {
        FN(lanes_exp_sum_body)(tile, stride, n_classes, m, 1, 0, sum, error, n_max, unit, next,
                               1, 1, 0);
    } else if (stores) {
        FN(lanes_exp_sum_body)(tile, stride, n_classes, m, 1, 0, sum, error, n_max, unit, next,
                               1, 0, 0);
    } else {
        FN(lanes_exp_sum_body)(tile, stride, n_classes, m, 1, 0, sum, error, n_max, unit, next,
                               0, 1, 0);
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
