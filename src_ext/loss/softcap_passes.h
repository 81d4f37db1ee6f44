/* Template for one REAL: caps of a row, and of the lanes of a tile. Included by softcap.h, which has the arithmetic. */
#ifndef REAL /* opened alone: by softcap.h */
#include "loss/softcap.h"
#else

/* The largest x, and the largest absolute value. */
static double FN(row_sizes)(const REAL *x, ptrdiff_t n, REAL *max /* OUT */) {
    const VEC lowest = FN(all)(-INFINITY);
    VEC high[4] = {lowest, lowest, lowest, lowest}, low[4] = {lowest, lowest, lowest, lowest};
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++) {
            const VEC v = FN(load)(x + i + k * LANES);
            high[k] = FN(max)(v, high[k]), low[k] = FN(max)(-v, low[k]);
        }
    for (; i < n; i += LANES) {
        const ptrdiff_t k = n - i < LANES ? n - i : LANES;
        high[0] = FN(max)(FN(load_part)(x + i, k, lowest), high[0]);
        low[0] = FN(max)(-FN(load_part)(x + i, k, -lowest), low[0]);
    }
    const VEC highest = FN(max)(FN(max)(high[0], high[1]), FN(max)(high[2], high[3]));
    const REAL largest = FN(max_of_lanes)(highest);
    const REAL smallest = FN(max_of_lanes)(FN(max)(FN(max)(low[0], low[1]), FN(max)(low[2], low[3])));
    *max = largest;
    return largest > smallest ? largest : smallest;
}

/* `count` vectors, at most CAP_GROUP. */
INLINE void FN(cap_values)(const VEC *x, int count, VEC size, const Cap *cap, const FN(cap_series) * series,
                           const exp_frame_f64 *f, int method, int with_temperature, VEC *z, VEC *low, VEC *slope,
                           VEC *slope_low /* OUT */) {
    if (method != CAP_SERIES) FN(cap_by_exp)(x, count, cap, f, z, low, slope, slope_low);
    if (method == CAP_SERIES)
        EACH z[k] = FN(cap_by_series)(x[k], series, with_temperature, low + k, slope + k, slope_low + k);
    if (method != CAP_MIXED) return;
    const VEC largest = FN(all)((REAL)cap->largest_of_series);
    EACH {
        VEC lows, slopes, slopes_low;
        z[k] = FN(where_at_most)(z[k], size, largest, FN(cap_by_series)(x[k], series, 1, &lows, &slopes, &slopes_low));
        low[k] = FN(where_at_most)(low[k], size, largest, lows);
        slope[k] = FN(where_at_most)(slope[k], size, largest, slopes);
        slope_low[k] = FN(where_at_most)(slope_low[k], size, largest, slopes_low);
    }
}

/* The logits of a row or of the lanes of a vector, and where what is made of them goes. */
typedef struct {
    const REAL *x;
    REAL *z, *low, *slope;   /* OUT; z may be x, slope may be NULL */
    ptrdiff_t step, n, last; /* n vectors, `step` values apart, of which the last has `last` lanes */
    VEC max, size;           /* the largest logit, and the largest absolute value */
} FN(cap_column);

INLINE VEC FN(cap_column_body)(const FN(cap_column) * a, const Cap *cap, int method, int with_temperature,
                               int with_slope, VEC *max_low /* OUT */) {
    const FN(cap_series) series = cap->FN(series); /* of its own: nothing that is stored can change it */
    const VEC max = a->max, size = a->size;
    exp_frame_f64 f;
    if (method != CAP_SERIES) f = exp_setup_f64((vec_f64){0}, 1, 0);
    VEC x[CAP_GROUP], z[CAP_GROUP], low[CAP_GROUP], slope[CAP_GROUP], slope_low[CAP_GROUP], capped_max;
#define CAP(x, count, z, low) \
    FN(cap_values)(x, count, size, cap, &series, &f, method, with_temperature, z, low, slope, slope_low)
    CAP(&max, 1, &capped_max, max_low);
    const VEC lost = *max_low;
    const REAL *from = a->x;
    REAL *to = a->z, *low_to = a->low, *slope_to = a->slope;
    const ptrdiff_t step = a->step;
    ptrdiff_t i = 0;
    for (; i + CAP_GROUP < a->n; i += CAP_GROUP) {
        const int count = CAP_GROUP;
        EACH x[k] = FN(load)(from + k * step);
        CAP(x, CAP_GROUP, z, low);
        EACH FN(store)(to + k * step, z[k]);
        EACH FN(store)(low_to + k * step, FN(zero_equal)(low[k] - lost, x[k], max));
        if (with_slope) {
            EACH FN(store)(slope_to + 2 * k * step, slope[k]);
            EACH FN(store)(slope_to + 2 * k * step + LANES, slope_low[k]);
            slope_to += 2 * CAP_GROUP * step;
        }
        from += CAP_GROUP * step, to += CAP_GROUP * step, low_to += CAP_GROUP * step;
    }
    for (; i < a->n; i++) {
        const ptrdiff_t k = i == a->n - 1 ? a->last : LANES;
        x[0] = FN(load_part)(from, k, max);
        CAP(x, 1, z, low);
        FN(store_part)(to, k, z[0]);
        FN(store_part)(low_to, k, FN(zero_equal)(low[0] - lost, x[0], max));
        if (with_slope) FN(store)(slope_to, slope[0]), FN(store)(slope_to + LANES, slope_low[0]);
        from += step, to += step, low_to += step, slope_to += with_slope ? 2 * step : 0;
    }
#undef CAP
    return capped_max;
}

/* Returns the capped maxima; what rounding has taken from them goes to max_low. */
INLINE VEC FN(cap_columns)(const FN(cap_column) * a, const Cap *cap, int method, VEC *max_low /* OUT */) {
#define COLUMN(method, with_temperature)                                         \
    a->slope ? FN(cap_column_body)(a, cap, method, with_temperature, 1, max_low) \
             : FN(cap_column_body)(a, cap, method, with_temperature, 0, max_low)
    if (method == CAP_EXP) return COLUMN(CAP_EXP, 1);
    if (method == CAP_MIXED) return COLUMN(CAP_MIXED, 1);
    return cap->with_temperature ? COLUMN(CAP_SERIES, 1) : COLUMN(CAP_SERIES, 0);
#undef COLUMN
}

/* z of n logits, which it may replace, in two parts: of `low` that of the maximum is subtracted, which max_low gets.
 * UNIT_POWER * sech(...)**2 goes to `slope`, unless NULL: a vector, and one of what rounding has taken from it, for
 * each vector of the row. Returns the capped maximum. */
static double FN(row_cap)(const REAL *x, REAL *z, REAL *low, REAL *slope, ptrdiff_t n, REAL max, double size,
                          const Cap *cap, double *max_low /* OUT */) {
    const ptrdiff_t vectors = (n + LANES - 1) / LANES;
    const FN(cap_column)
        column = {x, z, low, slope, LANES, vectors, n - (vectors - 1) * LANES, FN(all)(max), FN(all)((REAL)size)};
    VEC lost;
    const VEC capped = FN(cap_columns)(&column, cap, cap_method(cap, size), &lost);
    *max_low = lost[0];
    return capped[0];
}

/* The same of each lane of a tile, in place; of the maxima also the sum of both parts. */
static void FN(lanes_cap)(REAL *tile, REAL *low, REAL *slope, ptrdiff_t stride, ptrdiff_t n_classes, const Cap *cap,
                          REAL *max, double *whole_max /* OUT */) {
    const VEC largest = FN(all)((REAL)cap->largest_of_series);
    for (ptrdiff_t lane = 0; lane < stride; lane += LANES) {
        VEC most = FN(all)(-INFINITY), least = most; /* the largest x, and -x */
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            const VEC v = FN(load)(tile + c * stride + lane);
            most = FN(max)(v, most), least = FN(max)(-v, least);
        }
        const VEC size = FN(max)(most, least);
        const FN(cap_column)
            column = {tile + lane, tile + lane, low + lane, slope ? slope + 2 * lane : NULL, stride, n_classes,
                      LANES,       most,        size};
        const uint64_t others = FN(exceeds)(size, largest);
        const int method = others == 0 ? CAP_SERIES : others == ((uint64_t)1 << LANES) - 1 ? CAP_EXP : CAP_MIXED;
        VEC lost;
        const VEC capped = FN(cap_columns)(&column, cap, method, &lost);
        double sum[LANES], rest[LANES];
        FN(to_doubles)(capped, sum), FN(to_doubles)(lost, rest);
        FN(store)(max + lane, capped);
        for (int i = 0; i < LANES; i++) whole_max[lane + i] = sum[i] + rest[i];
    }
}

/* grad *= slope / UNIT_POWER, in two parts; 0 stays 0: a row that is ignored may have a slope of NaN. A slope that is
 * under the smallest normal number, where the product is not, has its digits in the unit: the other factor is divided,
 * unless it is small. */
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
