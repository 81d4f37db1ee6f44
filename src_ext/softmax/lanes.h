/* Template for one REAL: softmax down the columns of a tile (see layout/tiles.h), lanes side by side. Included by
 * softmax/templates.h. All passes work within the tile, which stays in the cache. `stride`, the lanes of the tile, is a
 * multiple of LANES; arrays of lanes have as many values. Pointers may have any alignment. */
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "softmax/rows.h"
#endif

INLINE void FN(lanes_max_body)(const REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes, REAL *m, const int32_t *y,
                               REAL *z, int with_targets) {
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        VEC m0 = FN(all)(-INFINITY), m1 = m0, picked = {0};
        const IVEC target = with_targets ? FN(load_ints)(y + lane) : (IVEC){0};
        IVEC number = {0};
        ptrdiff_t c = 0;
        for (; c + 2 <= n_classes; c += 2) {
            const VEC x0 = FN(load)(tile + c * stride + lane), x1 = FN(load)(tile + (c + 1) * stride + lane);
            m0 = FN(max)(x0, m0);
            m1 = FN(max)(x1, m1);
            if (with_targets) {
                picked = FN(where_equal)(picked, target, number, x0);
                picked = FN(where_equal)(picked, target, number + 1, x1);
                number += 2;
            }
        }
        if (c < n_classes) {
            const VEC x0 = FN(load)(tile + c * stride + lane);
            m0 = FN(max)(x0, m0);
            if (with_targets) picked = FN(where_equal)(picked, target, number, x0);
        }
        FN(store)(m + lane, FN(max)(m0, m1));
        if (with_targets) FN(store)(z + lane, picked);
    }
}

/* The largest value of each lane, exact; NaNs are passed over, -inf where there is nothing else. With y, class indices,
 * also the value of that class, 0 where y is none. */
static void FN(lanes_max)(const REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes, REAL *m /* OUT */, const int32_t *y,
                          REAL *z /* OUT */) {
    if (y) FN(lanes_max_body)(tile, stride, n_classes, m, y, z, 1);
    else FN(lanes_max_body)(tile, stride, n_classes, m, y, z, 0);
}

INLINE void FN(lanes_exp_sum_body)(REAL *tile, const REAL *low, ptrdiff_t stride, ptrdiff_t n_classes, const REAL *max,
                                   REAL slope, REAL slope_error, const REAL *z, const REAL *z_low, REAL *term,
                                   const Upcoming *next, const LaneSums *result, int with_stage, int exclude_max,
                                   int with_slope) {
    const Upcoming ahead = *next;
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const VEC m = FN(load)(max + lane);
        const FN(exp_frame) f = FN(exp_setup)(m, slope, slope_error);
        FN(sums) sums = FN(sums_start)();
        IVEC count = {0};
        REAL *column = tile + lane;
        ptrdiff_t c = 0;
        for (; c + 4 <= n_classes; c += 4) {
            REAL *at = column + c * stride;
            fetch_ahead(&ahead, lane * n_classes + c * LANES, 4 * VECTOR_BYTES);
            FN(sums_add)(&sums, FN(exp_four)(at, low ? low + (at - tile) : NULL, at, stride, m, &f, &count, with_stage,
                                             exclude_max, with_slope));
        }
        for (; c < n_classes; c++) {
            REAL *at = column + c * stride;
            FN(sums_add)(&sums, FN(exp_one)(at, low ? low + (at - tile) : NULL, at, LANES, m, &f, &count, with_stage,
                                            exclude_max, with_slope));
        }
        /* where the maxima are counted in: the error of the maximum, which may be nearly all of the sum */
        FN(sums_lanes)(&sums, exclude_max ? (VEC){0} : f.unit_error, result->sum + lane, result->sum_error + lane);
        FN(to_doubles)(__builtin_convertvector(count, VEC), result->n_max + lane);
        if (z) {
            VEC e = FN(load)(z + lane);
            const VEC rest = z_low ? FN(load)(z_low + lane) : (VEC){0};
            FN(exp_group)(&e, z_low ? &rest : NULL, 1, &f, with_slope);
            FN(store)(term + lane, e);
        }
        FN(pair_to_doubles)(f.unit, f.unit_error, result->unit + lane, result->unit_error + lane);
    }
}

/* row_exp_sum for each lane of a tile, with its errors; the terms are stored in the tile if `with_stage`. With z, a
 * value a lane, also its term. With `low` and z_low, what rounding has taken from the tile and from z: both or neither
 * are NULL. What is `next`, the rows that the next tile is transposed from and to, is fetched meanwhile. As in
 * row_exp_sum not all combinations are compiled: a sum without `with_stage` or with `low` leaves the maxima out, so
 * that exclude_max has to be set there, and `low` is without a temperature. */
static void FN(lanes_exp_sum)(REAL *tile, const REAL *low, ptrdiff_t stride, ptrdiff_t n_classes, const REAL *m,
                              double temperature, const REAL *z, const REAL *z_low, REAL *term /* OUT */,
                              int with_stage, int exclude_max, const Upcoming *next, const LaneSums *result /* OUT */) {
#define SUM(low, slope, error, with_stage, exclude_max, with_slope)                                                 \
    FN(lanes_exp_sum_body)(tile, low, stride, n_classes, m, slope, error, z, z_low, term, next, result, with_stage, \
                           exclude_max, with_slope)
    if (low && with_stage) {
        SUM(low, 1, 0, 1, 1, 0);
    } else if (low) {
        SUM(low, 1, 0, 0, 1, 0);
    } else if (temperature != 1.0) {
        REAL slope, error;
        FN(slope_parts)(temperature, &slope, &error);
        SUM(NULL, slope, error, with_stage, exclude_max, 1);
    } else if (with_stage && exclude_max) {
        SUM(NULL, 1, 0, 1, 1, 0);
    } else if (with_stage) {
        SUM(NULL, 1, 0, 1, 0, 0);
    } else {
        SUM(NULL, 1, 0, 0, 1, 0);
    }
#undef SUM
}

INLINE FN(factor) FN(factor_of_lanes)(const double *factor, const double *error) {
    const VEC f = FN(from_doubles)(factor);
    return FN(factor_of)(f, FN(lost)(factor, error, f), (REAL)REAL_MIN_NORMAL / FN(abs)(f));
}

INLINE void FN(lanes_scale_body)(REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes, const double *factor,
                                 const double *error, const int32_t *y, const REAL *entry, const Upcoming *next,
                                 int with_targets) {
    const Upcoming ahead = *next;
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const FN(factor) f = FN(factor_of_lanes)(factor + lane, error + lane);
        const VEC placed = with_targets ? FN(load)(entry + lane) : (VEC){0};
        const IVEC target = with_targets ? FN(load_ints)(y + lane) : (IVEC){0};
        IVEC number = {0};
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            REAL *at = tile + c * stride + lane;
            fetch_for_writing(&ahead, at - tile, VECTOR_BYTES);
            VEC v = FN(scaled)(FN(load)(at), &f);
            if (with_targets) v = FN(where_equal)(v, target, number, placed);
            number += 1;
            FN(store)(at, v);
        }
    }
}

/* tile *= factor + error of the lane, and 0 where that is under the smallest normal number. With y, class indices, that
 * class gets the entry of the lane instead. Where `next` is to be written is fetched meanwhile. */
static void FN(lanes_scale)(REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes, const double *factor,
                            const double *error, const int32_t *y, const REAL *entry, const Upcoming *next) {
    if (y) FN(lanes_scale_body)(tile, stride, n_classes, factor, error, y, entry, next, 1);
    else FN(lanes_scale_body)(tile, stride, n_classes, factor, error, y, entry, next, 0);
}

/* tile = (tile - m) / temperature - L: a rounding an operation; both terms are <= 0, so that nothing cancels. */
static void FN(lanes_log_shift)(REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes, const REAL *max,
                                const double *log_sum, double temperature) {
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        const VEC m = FN(load)(max + lane), L = FN(from_doubles)(log_sum + lane), size = FN(size_beside)(m);
        const VEC divisor = FN(all)((REAL)temperature) * size;
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            REAL *at = tile + c * stride + lane;
            const VEC v = FN(load)(at);
            FN(store)(at, (temperature != 1.0 ? (v * size - m * size) / divisor : v - m) - L);
        }
    }
}
