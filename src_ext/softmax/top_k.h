/* Template for one REAL: the k largest of a row, in order. Included by softmax/templates.h.
 *
 * A heap holds the k best so far with the worst of them on top; vectors of the row are compared with that one, and only
 * what exceeds it is looked at: about k * log(n / k) values of a random row. NaN ranks before every number; of equals
 * the smaller index does. Exact; pointers may have any alignment. */
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#endif

/* Whether value a, number i, ranks before value b, number j. */
INLINE int FN(ranks_before)(REAL a, int64_t i, REAL b, int64_t j) {
    if (a != a) return b == b || i < j;
    return a > b || (a == b && i < j);
}

/* Let the entry at `at` sink to its place in a heap of n. */
static void FN(heap_sink)(REAL *v, int64_t *index, ptrdiff_t n, ptrdiff_t at) {
    const REAL value = v[at];
    const int64_t number = index[at];
    for (ptrdiff_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && FN(ranks_before)(v[child], index[child], v[child + 1], index[child + 1])) child++;
        if (!FN(ranks_before)(value, number, v[child], index[child])) break;
        v[at] = v[child], index[at] = index[child];
    }
    v[at] = value, index[at] = number;
}

/* Take in the values of four vectors (or of one, padded with the worst) that exceed the worst of the best. */
INLINE void FN(heap_take)(const REAL *x, ptrdiff_t first, uint64_t which, REAL *v, int64_t *index, ptrdiff_t k) {
    for (; which; which &= which - 1) {
        const ptrdiff_t i = first + __builtin_ctzll(which);
        if (!FN(ranks_before)(x[i], i, v[0], index[0])) continue;
        v[0] = x[i], index[0] = i;
        FN(heap_sink)(v, index, k, 0);
    }
}

/* Put the k largest of n values, 1 <= k <= n, into v and their numbers into index, the largest first. */
static void FN(row_top)(const REAL *x, ptrdiff_t n, ptrdiff_t k, REAL *v /* OUT */, int64_t *index /* OUT */) {
    for (ptrdiff_t i = 0; i < k; i++) v[i] = x[i], index[i] = i;
    for (ptrdiff_t i = k / 2 - 1; i >= 0; i--) FN(heap_sink)(v, index, k, i);
    ptrdiff_t i = k;
    for (; i + 4 * LANES <= n && v[0] == v[0]; i += 4 * LANES) { /* nothing ranks before NaNs that came earlier */
        const VEC worst = FN(all)(v[0]);
        uint64_t which = 0;
        for (int j = 0; j < 4; j++) which |= FN(exceeds)(FN(load)(x + i + j * LANES), worst) << j * LANES;
        if (which) FN(heap_take)(x, i, which, v, index, k);
    }
    for (; i < n && v[0] == v[0]; i += LANES) {
        const VEC worst = FN(all)(v[0]);
        const VEC values = FN(load_part)(x + i, n - i < LANES ? n - i : LANES, worst);
        FN(heap_take)(x, i, FN(exceeds)(values, worst), v, index, k);
    }
    for (ptrdiff_t last = k - 1; last > 0; last--) {
        const REAL value = v[last];
        const int64_t number = index[last];
        v[last] = v[0], index[last] = index[0];
        v[0] = value, index[0] = number;
        FN(heap_sink)(v, index, last, 0);
    }
}
