/* c[i, :] (+)= sum over k of a[i * row_step + k * depth_step] * b[k, :]      (included once per REAL)

   One product serves the whole network: x @ W, x.T @ dh, h.T @ g and g @ W2.T differ only in the steps
   of `a`. The columns are whole vectors (the callers pad), b and c are row-major; nothing is packed here, since
   training keeps its matrices in panels (training/step.h). The sum over k stays in registers, in order, and is added to
   c at the end: bits depend neither on the neighbours of an element nor on the tile it fell into, and sums that come in
   pieces lose less. One core of a Zen 4 does 115 of its 117 GFLOP/s in float32 (panels in L2, 128 rows). */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#endif

INLINE void FN(micro)(const int rows, const int vectors, const int accumulate, ptrdiff_t depth, const REAL *a,
                      ptrdiff_t row_step, ptrdiff_t depth_step, const REAL *b, ptrdiff_t ldb, REAL *c /* OUT */,
                      ptrdiff_t ldc) {
    VEC sum[PRODUCT_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sum[i][v] = (VEC){0};
    for (ptrdiff_t k = 0; k < depth; k++) {
        VEC row[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) row[v] = *(const FN(unaligned) *)(b + v * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sum[i][v] += a[i * row_step] * row[v];
        a += depth_step;
        b += ldb;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            FN(unaligned) *at = (FN(unaligned) *)(c + i * ldc + v * LANES);
            if (accumulate) *at += sum[i][v];
            else *at = sum[i][v];
        }
}

/* All rows of one panel of one or two vectors of columns. */
INLINE void FN(panel)(const int vectors, const int accumulate, ptrdiff_t rows, ptrdiff_t depth, const REAL *a,
                      ptrdiff_t row_step, ptrdiff_t depth_step, const REAL *b, ptrdiff_t ldb, REAL *c /* OUT */,
                      ptrdiff_t ldc) {
    for (; rows >= PRODUCT_ROWS; rows -= PRODUCT_ROWS, a += PRODUCT_ROWS * row_step, c += PRODUCT_ROWS * ldc)
        FN(micro)(PRODUCT_ROWS, vectors, accumulate, depth, a, row_step, depth_step, b, ldb, c, ldc);
#define LESS(n)                                                           \
    for (; rows >= (n); rows -= (n), a += (n) * row_step, c += (n) * ldc) \
        FN(micro)((n), vectors, accumulate, depth, a, row_step, depth_step, b, ldb, c, ldc);
#if PRODUCT_ROWS > 8
    LESS(8)
#endif
    LESS(4)
    LESS(2)
    LESS(1)
#undef LESS
}

/* Some vectors of c += a @ b for one row a: as many sums as hide the latency of an addition. */
INLINE void FN(row_micro)(const int vectors, ptrdiff_t depth, const REAL *a, const REAL *b, ptrdiff_t ldb,
                          const REAL *end, ptrdiff_t n_end, ptrdiff_t ld_end, REAL *c /* OUT */) {
    VEC sum[WIDE_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) sum[v] = (VEC){0};
    for (ptrdiff_t k = 0; k < depth - n_end; k++, b += ldb)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) sum[v] += a[k] * *(const FN(unaligned) *)(b + v * LANES);
    for (ptrdiff_t k = depth - n_end; k < depth; k++, end += ld_end)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) sum[v] += a[k] * *(const FN(unaligned) *)(end + v * LANES);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) *(FN(unaligned) *)(c + v * LANES) += sum[v];
}

/* c += a @ b for one row a, with the bits of `product_rows`. The last n_end rows of b are those of `end`, which are padded to
   `columns`: a row of b may be shorter, since what follows it can be read, and does not count. */
static void FN(product_row)(ptrdiff_t columns, ptrdiff_t depth, const REAL *a, const REAL *b, ptrdiff_t ldb,
                            const REAL *end, ptrdiff_t n_end, REAL *c /* OUT */) {
    const ptrdiff_t wide = WIDE_VECTORS * LANES;
    ptrdiff_t j = 0;
    for (; columns - j >= wide; j += wide)
        FN(row_micro)(WIDE_VECTORS, depth, a, b + j, ldb, end + j, n_end, columns, c + j);
    for (; j < columns; j += LANES) FN(row_micro)(1, depth, a, b + j, ldb, end + j, n_end, columns, c + j);
}

INLINE void FN(product)(const int accumulate, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, const REAL *a,
                        ptrdiff_t row_step, ptrdiff_t depth_step, const REAL *b, ptrdiff_t ldb, REAL *c /* OUT */,
                        ptrdiff_t ldc) {
    for (; columns >= 2 * LANES; columns -= 2 * LANES, b += 2 * LANES, c += 2 * LANES)
        FN(panel)(2, accumulate, rows, depth, a, row_step, depth_step, b, ldb, c, ldc);
    if (columns > 0) FN(panel)(1, accumulate, rows, depth, a, row_step, depth_step, b, ldb, c, ldc);
}

/* The two shapes of `a` that matter: rows of a matrix, and its columns. */
static void FN(product_rows)(int accumulate, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, const REAL *a,
                             ptrdiff_t lda, const REAL *b, ptrdiff_t ldb, REAL *c /* OUT */, ptrdiff_t ldc) {
    if (accumulate) FN(product)(1, rows, columns, depth, a, lda, 1, b, ldb, c, ldc);
    else FN(product)(0, rows, columns, depth, a, lda, 1, b, ldb, c, ldc);
}

static void FN(product_columns)(int accumulate, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, const REAL *a,
                                ptrdiff_t lda, const REAL *b, ptrdiff_t ldb, REAL *c /* OUT */, ptrdiff_t ldc) {
    if (accumulate) FN(product)(1, rows, columns, depth, a, 1, lda, b, ldb, c, ldc);
    else FN(product)(0, rows, columns, depth, a, 1, lda, b, ldb, c, ldc);
}

/* Copy one row of the user's data, scaled, into a batch. */
static void FN(gather_row)(REAL *restrict to /* OUT */, const char *row, int source, ptrdiff_t n, REAL scale) {
    if (source == SOURCE_UINT8) {
        const uint8_t *restrict from = (const uint8_t *)row;
        for (ptrdiff_t i = 0; i < n; i++) to[i] = (REAL)from[i] * scale;
    } else if (source == SOURCE_FLOAT32) {
        const float *restrict from = (const float *)row;
        for (ptrdiff_t i = 0; i < n; i++) to[i] = (REAL)from[i] * scale;
    } else {
        const double *restrict from = (const double *)row;
        for (ptrdiff_t i = 0; i < n; i++) to[i] = (REAL)from[i] * scale;
    }
}
