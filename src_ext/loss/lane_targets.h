/* Template for one REAL: index targets of the lanes of a tile, y: class indices, or less than 0 where a lane does not
 * count; it is cleared later, and what is written there does not matter. Included by softmax/templates.h. Without a
 * branch a lane: which targets are the largest is as good as random. */
#include "loss/lane_losses.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#endif

/* The values at the targets, and new ones: for many classes, where asking each class of the tile costs more. */
static void FN(lanes_pick)(const REAL *tile, ptrdiff_t width, const int32_t *y, REAL *z /* OUT */) {
    for (ptrdiff_t i = 0; i < width; i++) z[i] = tile[(y[i] < 0 ? 0 : y[i]) * width + i];
}
static void FN(lanes_place)(REAL *tile, ptrdiff_t width, const int32_t *y, const REAL *entry) {
    for (ptrdiff_t i = 0; i < width; i++) tile[(y[i] < 0 ? 0 : y[i]) * width + i] = entry[i];
}

/* The gradients at index targets: `grad_at_max` where the target is the largest, where p - 1 would cancel; elsewhere p
 * is at most a half. */
static void FN(lanes_entries)(REAL *term /* IN: what was stored for the target, OUT: its gradient */,
                              const LossLanes *a, ptrdiff_t width, int weighted, const REAL *base, const int32_t *y) {
    double value[LANES];
    for (ptrdiff_t lane = 0; lane < width; lane += LANES) {
        FN(to_doubles)(FN(load)(term + lane), value);
        for (int i = 0; i < LANES; i += LANES_F64) {
            const vec_f64 p = load_doubles(value + i);
            const vec_f64 taken = load_doubles((weighted ? a->taken : a->scale) + lane + i);
            const vec_f64 rest = p * load_doubles(a->factor_error + lane + i) - taken;
            const vec_f64 other = p * load_doubles(a->factor + lane + i) + rest;
            ivec_f64 largest = load_doubles(a->z + lane + i) == load_doubles(a->max + lane + i);
            if (a->z_low) largest &= load_doubles(a->z_low + lane + i) == 0.0;
            const ivec_f64 grad_at_max = (ivec_f64)load_doubles(a->grad_at_max + lane + i);
            store_doubles(value + i, (vec_f64)((largest & grad_at_max) | (~largest & (ivec_f64)other)));
        }
        for (int i = 0; i < LANES && base; i++)
            value[i] -= a->scale[lane + i] * base[y[lane + i] < 0 ? 0 : y[lane + i]];
        FN(store)(term + lane, FN(from_doubles)(value));
    }
}

/* The lanes of m as doubles. */
static void FN(lanes_widen)(const REAL *m, ptrdiff_t width, double *out) {
    for (ptrdiff_t lane = 0; lane < width; lane += LANES) FN(to_doubles)(FN(load)(m + lane), out + lane);
}
