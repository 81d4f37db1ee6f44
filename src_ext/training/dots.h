/* Products of a few outputs with many features      (included once per REAL)

   Vectors run over the features, so that all their lanes count where a few outputs would fill a part of one. Rows of x
   and of the weights are whole vectors long, padded with zeros. The bits of an element depend neither on its neighbours
   nor on the tile it fell into. */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "training/product.h"
#endif

/* Rows as `dots` reads them: number k of row i stands at data[i * ld + k / T * step + k % T], T = two vectors. A matrix in
   row-major order has step = T, one in panels ld = T. */
typedef struct {
    const REAL *data;
    ptrdiff_t ld, step;
} FN(rows_in_pieces);

INLINE const REAL *FN(piece)(const FN(rows_in_pieces) * m, ptrdiff_t i, ptrdiff_t k) {
    const size_t at = (size_t)k, width = 2 * LANES;
    return m->data + i * m->ld + (ptrdiff_t)(at / width) * m->step + at % width;
}

/* The sum of the lanes: halves onto halves. */
INLINE REAL FN(sum_lanes)(VEC v) {
    REAL lanes[LANES];
    memcpy(lanes, &v, sizeof v);
#pragma GCC unroll 4
    for (int half = LANES / 2; half > 0; half /= 2)
#pragma GCC unroll 16
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

/* z[c * ldz + b] = x[b, :] . weights[c, :] + bias[c * bias_step]: a tile of `outputs` by `rows`, from (c, b) on. */
INLINE void FN(dot_tile)(const int outputs, const int rows, ptrdiff_t c, ptrdiff_t b, ptrdiff_t depth,
                         const FN(rows_in_pieces) * x, const FN(rows_in_pieces) * weights, const REAL *bias,
                         ptrdiff_t bias_step, REAL *z /* OUT */, ptrdiff_t ldz, Fetching *next) {
    VEC sum[DOT_OUTPUTS][DOT_ROWS] = {0};
    const ptrdiff_t ldx = x->ld, ldw = weights->ld;
    for (ptrdiff_t k = 0; k < depth; k += LANES) {
        const REAL *at = FN(piece)(x, b, k), *w_at = FN(piece)(weights, c, k);
        VEC row[DOT_ROWS];
        fetch_line(next);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) row[i] = *(const FN(unaligned) *)(at + i * ldx);
#pragma GCC unroll 8
        for (int o = 0; o < outputs; o++) {
            const VEC w = *(const FN(unaligned) *)(w_at + o * ldw);
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++) sum[o][i] += row[i] * w;
        }
    }
#pragma GCC unroll 8
    for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) z[(c + o) * ldz + b + i] = FN(sum_lanes)(sum[o][i]) + bias[(c + o) * bias_step];
}

/* The tiles of some rows, for a number of outputs that is known only now. */
INLINE void FN(dot_outputs)(ptrdiff_t outputs, const int rows, ptrdiff_t b, ptrdiff_t depth,
                            const FN(rows_in_pieces) * x, const FN(rows_in_pieces) * weights, const REAL *bias,
                            ptrdiff_t bias_step, REAL *z /* OUT */, ptrdiff_t ldz, Fetching *next) {
    ptrdiff_t c = 0;
    for (; c + DOT_OUTPUTS <= outputs; c += DOT_OUTPUTS)
        FN(dot_tile)(DOT_OUTPUTS, rows, c, b, depth, x, weights, bias, bias_step, z, ldz, next);
    for (; DOT_OUTPUTS > 2 && c + 2 <= outputs; c += 2)
        FN(dot_tile)(2, rows, c, b, depth, x, weights, bias, bias_step, z, ldz, next);
    for (; c < outputs; c++) FN(dot_tile)(1, rows, c, b, depth, x, weights, bias, bias_step, z, ldz, next);
}

/* z (outputs, ldz) = the outputs of each of n rows; the bias of output c is bias[c * bias_step]. */
static void FN(dots)(ptrdiff_t n, ptrdiff_t outputs, ptrdiff_t depth, const FN(rows_in_pieces) * x,
                     const FN(rows_in_pieces) * weights, const REAL *bias, ptrdiff_t bias_step, REAL *z /* OUT */,
                     ptrdiff_t ldz, Fetching *next) {
    ptrdiff_t b = 0;
    for (; b + DOT_ROWS <= n; b += DOT_ROWS)
        FN(dot_outputs)(outputs, DOT_ROWS, b, depth, x, weights, bias, bias_step, z, ldz, next);
    for (; b < n; b++) FN(dot_outputs)(outputs, 1, b, depth, x, weights, bias, bias_step, z, ldz, next);
}

/* to[c, :] += sum over b of z[c * ldz + b] * x[b, :]: a tile of `outputs` by `vectors` of features. */
INLINE void FN(outer_tile)(const int outputs, const int vectors, ptrdiff_t n, const REAL *x, ptrdiff_t ldx,
                           const REAL *z, ptrdiff_t ldz, REAL *to /* IN, OUT */, ptrdiff_t ldt, Fetching *next) {
    VEC sum[DOT_OUTPUTS][DOT_ROWS];
#pragma GCC unroll 8
    for (int c = 0; c < outputs; c++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) sum[c][v] = *(const FN(unaligned) *)(to + c * ldt + v * LANES);
    for (ptrdiff_t b = 0; b < n; b++) {
        VEC row[DOT_ROWS];
        fetch_line(next);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) row[v] = *(const FN(unaligned) *)(x + b * ldx + v * LANES);
#pragma GCC unroll 8
        for (int c = 0; c < outputs; c++)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) sum[c][v] += z[c * ldz + b] * row[v];
    }
#pragma GCC unroll 8
    for (int c = 0; c < outputs; c++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) *(FN(unaligned) *)(to + c * ldt + v * LANES) = sum[c][v];
}

INLINE void FN(outer_outputs)(ptrdiff_t outputs, const int vectors, ptrdiff_t n, const REAL *x, ptrdiff_t ldx,
                              const REAL *z, ptrdiff_t ldz, REAL *to /* IN, OUT */, ptrdiff_t ldt, Fetching *next) {
    ptrdiff_t c = 0;
    for (; c + DOT_OUTPUTS <= outputs; c += DOT_OUTPUTS)
        FN(outer_tile)(DOT_OUTPUTS, vectors, n, x, ldx, z + c * ldz, ldz, to + c * ldt, ldt, next);
    for (; DOT_OUTPUTS > 2 && c + 2 <= outputs; c += 2)
        FN(outer_tile)(2, vectors, n, x, ldx, z + c * ldz, ldz, to + c * ldt, ldt, next);
    for (; c < outputs; c++) FN(outer_tile)(1, vectors, n, x, ldx, z + c * ldz, ldz, to + c * ldt, ldt, next);
}

/* to (outputs, ldt) += z (outputs, ldz) times n rows of x; behind the features, the sums of z. */
static void FN(outer)(ptrdiff_t n, ptrdiff_t outputs, ptrdiff_t depth, const REAL *x, ptrdiff_t ldx, const REAL *z,
                      ptrdiff_t ldz, REAL *to /* IN, OUT */, ptrdiff_t ldt, Fetching *next) {
    ptrdiff_t f = 0;
    for (; f + DOT_ROWS * LANES <= depth; f += DOT_ROWS * LANES)
        FN(outer_outputs)(outputs, DOT_ROWS, n, x + f, ldx, z, ldz, to + f, ldt, next);
    for (; f < depth; f += LANES) FN(outer_outputs)(outputs, 1, n, x + f, ldx, z, ldz, to + f, ldt, next);
    for (ptrdiff_t c = 0; c < outputs; c++)
        for (ptrdiff_t b = 0; b < n; b++) to[c * ldt + depth] += z[c * ldz + b];
}
