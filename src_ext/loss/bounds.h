/* Template for one REAL: the bounds of weights. Included by softmax/templates.h. */
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#endif

/* The bounds of those of n numbers that are not 0; low is infinite and high 0 where there are none. Returns whether all
 * are finite and not negative. */
static int FN(find_bounds)(const REAL *x, ptrdiff_t n, double *low, double *high /* OUT */) {
    const VEC zero = {0}, infinity = FN(all)((REAL)INFINITY);
    VEC lows = infinity, highs = zero;
    IVEC good = ~(IVEC){0};
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const VEC v = FN(load_part)(x + i, n - i < LANES ? n - i : LANES, zero);
        const IVEC lower = (v < lows) & (v > zero);
        good &= (v >= zero) & (v < infinity);
        highs = FN(max)(v, highs);
        lows = (VEC)((lower & (IVEC)v) | (~lower & (IVEC)lows));
    }
    *low = -FN(max_of_lanes)(-lows), *high = FN(max_of_lanes)(highs);
    int all_good = 1;
    for (int k = 0; k < LANES; k++) all_good &= good[k] != 0;
    return all_good;
}
