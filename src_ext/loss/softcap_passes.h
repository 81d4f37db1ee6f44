/* Template for one REAL: caps of a row, and of the lanes of a tile. Included by softcap.h, which has the arithmetic. */
#ifndef REAL /* opened alone: by softcap.h */
#include "loss/softcap.h"
#else

/* The largest x, and the largest absolute value. */
static double FN(row_sizes)(const REAL *x, ptrdiff_t n, REAL *max /* OUT */) {
    const VEC lowest = FN(all)(-INFINITY);
    VEC high = lowest, low = lowest;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t k = n - i < LANES ? n - i : LANES;
        high = FN(max)(FN(load_part)(x + i, k, lowest), high), low = FN(max)(-FN(load_part)(x + i, k, -lowest), low);
    }
    const REAL largest = FN(max_of_lanes)(high), smallest = FN(max_of_lanes)(low);
    *max = largest;
    return largest > smallest ? largest : smallest;
}

INLINE void FN(cap_column)(REAL *x, REAL *low, REAL *slope, ptrdiff_t step, ptrdiff_t n, ptrdiff_t last, VEC max,
                           const FN(capped_max) * m, const Cap *cap, const exp_frame_f64 *f, int method,
                           const FN(cap_lanes) * series, int with_slope) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t k = i == n - 1 ? last : LANES;
        VEC rest, slopes, slopes_low;
        const VEC d =
            FN(cap_distance)(FN(load_part)(x, k, max), max, m, cap, f, method, series, &rest, &slopes, &slopes_low);
        FN(store_part)(x, k, d);
        FN(store_part)(low, k, rest);
        if (with_slope) FN(store)(slope, slopes), FN(store)(slope + LANES, slopes_low), slope += 2 * step;
        x += step, low += step;
    }
}

/* n vectors, `step` values apart, of which the last has `last` lanes; `size` is the largest absolute value of each row. */
INLINE void FN(cap_columns)(REAL *x, REAL *low, REAL *slope, ptrdiff_t step, ptrdiff_t n, ptrdiff_t last, VEC max,
                            VEC size, const Cap *cap, double *capped_max /* OUT, a vector */) {
    const exp_frame_f64 f = exp_setup_f64((vec_f64){0}, 1, 0);
    const int method = FN(method_of_lanes)(size, cap);
    const FN(cap_lanes) series = FN(lanes_of_series)(size, cap);
    const FN(capped_max) m = FN(cap_max)(max, cap, &f, method, &series);
#define COLUMN(method, with_slope) \
    FN(cap_column)(x, low, slope, step, n, last, max, &m, cap, &f, method, &series, with_slope)
    if (method == CAP_SERIES && slope) COLUMN(CAP_SERIES, 1);
    else if (method == CAP_SERIES) COLUMN(CAP_SERIES, 0);
    else if (method == CAP_EXP && slope) COLUMN(CAP_EXP, 1);
    else if (method == CAP_EXP) COLUMN(CAP_EXP, 0);
    else if (slope) COLUMN(CAP_MIXED, 1);
    else COLUMN(CAP_MIXED, 0);
#undef COLUMN
    FN(capped_max_to_doubles)(&m, capped_max);
}

/* Replace n logits by z - m; what rounding takes from them goes to `low`, UNIT_POWER * sech(...)**2 to `slope`, unless NULL: a
 * vector, and one of what rounding has taken from it, for each vector of the row. Returns m. */
static double FN(row_cap)(REAL *x, REAL *low, REAL *slope, ptrdiff_t n, REAL max, double size, const Cap *cap) {
    const ptrdiff_t vectors = (n + LANES - 1) / LANES;
    double lanes[LANES];
    FN(cap_columns)(x, low, slope, LANES, vectors, n - (vectors - 1) * LANES, FN(all)(max), FN(all)((REAL)size), cap,
                    lanes);
    return lanes[0];
}

/* The same of each lane of a tile. */
static void FN(lanes_cap)(REAL *tile, REAL *low, REAL *slope, ptrdiff_t stride, ptrdiff_t n_classes, const Cap *cap,
                          double *capped_max /* OUT */) {
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        VEC max = FN(all)(-INFINITY), other = max; /* the largest x, and -x */
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            const VEC v = FN(load)(tile + c * stride + lane);
            max = FN(max)(v, max), other = FN(max)(-v, other);
        }
        FN(cap_columns)(tile + lane, low + lane, slope ? slope + 2 * lane : NULL, stride, n_classes, LANES, max,
                        FN(max)(max, other), cap, capped_max + lane);
    }
}

/* grad *= slope / UNIT_POWER, in two parts; 0 stays 0: a row that is ignored may have a slope of NaN. A slope that is under the
 * smallest normal number, where the product is not, has its digits in the unit: the other factor is divided, unless it is small. */
static void FN(times_slopes)(REAL *grad, const REAL *slope, ptrdiff_t n) {
    const VEC zero = {0}, one = FN(all)(1), by_unit = FN(all)(1 / UNIT_POWER);
    const REAL smallest = REAL_MIN_NORMAL * UNIT_POWER;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t k = n - i < LANES ? n - i : LANES;
        const VEC v = FN(load_part)(grad + i, k, zero);
        const IVEC is_small = FN(abs)(v) < smallest, first = (IVEC)one ^ (((IVEC)one ^ (IVEC)by_unit) & ~is_small),
                   last = (IVEC)one ^ (((IVEC)one ^ (IVEC)by_unit) & is_small);
        const VEC part = v * (VEC)first;
        const VEC product = part * FN(load)(slope + 2 * i) + part * FN(load)(slope + 2 * i + LANES);
        FN(store_part)(grad + i, k, FN(zero_equal)(product * (VEC)last, v, zero));
    }
}

#endif
