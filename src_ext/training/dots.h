/* Products of a few outputs with many features      (included once per REAL)

   Vectors run over the features, so that all their lanes count where a few outputs would fill a part of one. Rows of x
   and of the weights are whole vectors long, padded with zeros. The bits of an element depend neither on its neighbours
   nor on the tile it fell into. */

/* The sum of the lanes: halves onto halves. */
ALWAYS_INLINE REAL NAME(sum_lanes)(NAME(vec) v) {
    REAL lanes[VLANES];
    memcpy(lanes, &v, sizeof v);
#pragma GCC unroll 4
    for (int half = VLANES / 2; half > 0; half /= 2)
#pragma GCC unroll 16
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

/* z[c * ldz + b] = x[b, :] . weights[c, :] + weights[c, depth]: a tile of `outputs` by `rows`. */
ALWAYS_INLINE void NAME(dot_tile)(const int outputs, const int rows, ptrdiff_t depth, const REAL *x, ptrdiff_t ldx,
                                  const REAL *weights, ptrdiff_t ldw, REAL *z /* OUT */, ptrdiff_t ldz,
                                  fetching *next) {
    NAME(vec) sum[DOT_OUTPUTS][DOT_ROWS] = {0};
    for (ptrdiff_t k = 0; k < depth; k += VLANES) {
        NAME(vec) row[DOT_ROWS];
        fetch_line(next);
#pragma GCC unroll 8
        for (int b = 0; b < rows; b++) row[b] = *(const NAME(vec) *)(x + b * ldx + k);
#pragma GCC unroll 8
        for (int c = 0; c < outputs; c++) {
            const NAME(vec) w = *(const NAME(vec) *)(weights + c * ldw + k);
#pragma GCC unroll 8
            for (int b = 0; b < rows; b++) sum[c][b] += row[b] * w;
        }
    }
#pragma GCC unroll 8
    for (int c = 0; c < outputs; c++)
#pragma GCC unroll 8
        for (int b = 0; b < rows; b++) z[c * ldz + b] = NAME(sum_lanes)(sum[c][b]) + weights[c * ldw + depth];
}

/* The tile for a number of outputs that is known only now. */
ALWAYS_INLINE void NAME(dot_outputs)(ptrdiff_t outputs, const int rows, ptrdiff_t depth, const REAL *x, ptrdiff_t ldx,
                                     const REAL *weights, ptrdiff_t ldw, REAL *z /* OUT */, ptrdiff_t ldz,
                                     fetching *next) {
    ptrdiff_t c = 0;
    for (; c + DOT_OUTPUTS <= outputs; c += DOT_OUTPUTS)
        NAME(dot_tile)(DOT_OUTPUTS, rows, depth, x, ldx, weights + c * ldw, ldw, z + c * ldz, ldz, next);
    for (; DOT_OUTPUTS > 2 && c + 2 <= outputs; c += 2)
        NAME(dot_tile)(2, rows, depth, x, ldx, weights + c * ldw, ldw, z + c * ldz, ldz, next);
    for (; c < outputs; c++) NAME(dot_tile)(1, rows, depth, x, ldx, weights + c * ldw, ldw, z + c * ldz, ldz, next);
}

/* z (outputs, ldz) = the outputs of each of n rows; the bias of an output lies behind its weights. */
static void NAME(dots)(ptrdiff_t n, ptrdiff_t outputs, ptrdiff_t depth, const REAL *x, ptrdiff_t ldx,
                       const REAL *weights, ptrdiff_t ldw, REAL *z /* OUT */, ptrdiff_t ldz,
                       fetching *next) {
    ptrdiff_t b = 0;
    for (; b + DOT_ROWS <= n; b += DOT_ROWS)
        NAME(dot_outputs)(outputs, DOT_ROWS, depth, x + b * ldx, ldx, weights, ldw, z + b, ldz, next);
    for (; b < n; b++) NAME(dot_outputs)(outputs, 1, depth, x + b * ldx, ldx, weights, ldw, z + b, ldz, next);
}

/* to[c, :] += sum over b of z[c * ldz + b] * x[b, :]: a tile of `outputs` by `vectors` of features. */
ALWAYS_INLINE void NAME(outer_tile)(const int outputs, const int vectors, ptrdiff_t n, const REAL *x, ptrdiff_t ldx,
                                    const REAL *z, ptrdiff_t ldz, REAL *to /* IN, OUT */, ptrdiff_t ldt,
                                    fetching *next) {
    NAME(vec) sum[DOT_OUTPUTS][DOT_ROWS];
#pragma GCC unroll 8
    for (int c = 0; c < outputs; c++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) sum[c][v] = *(const NAME(vec) *)(to + c * ldt + v * VLANES);
    for (ptrdiff_t b = 0; b < n; b++) {
        NAME(vec) row[DOT_ROWS];
        fetch_line(next);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) row[v] = *(const NAME(vec) *)(x + b * ldx + v * VLANES);
#pragma GCC unroll 8
        for (int c = 0; c < outputs; c++)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) sum[c][v] += z[c * ldz + b] * row[v];
    }
#pragma GCC unroll 8
    for (int c = 0; c < outputs; c++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) *(NAME(vec) *)(to + c * ldt + v * VLANES) = sum[c][v];
}

ALWAYS_INLINE void NAME(outer_outputs)(ptrdiff_t outputs, const int vectors, ptrdiff_t n, const REAL *x, ptrdiff_t ldx,
                                       const REAL *z, ptrdiff_t ldz, REAL *to /* IN, OUT */, ptrdiff_t ldt,
                                       fetching *next) {
    ptrdiff_t c = 0;
    for (; c + DOT_OUTPUTS <= outputs; c += DOT_OUTPUTS)
        NAME(outer_tile)(DOT_OUTPUTS, vectors, n, x, ldx, z + c * ldz, ldz, to + c * ldt, ldt, next);
    for (; DOT_OUTPUTS > 2 && c + 2 <= outputs; c += 2)
        NAME(outer_tile)(2, vectors, n, x, ldx, z + c * ldz, ldz, to + c * ldt, ldt, next);
    for (; c < outputs; c++) NAME(outer_tile)(1, vectors, n, x, ldx, z + c * ldz, ldz, to + c * ldt, ldt, next);
}

/* to (outputs, ldt) += z (outputs, ldz) times n rows of x; behind the features, the sums of z. */
static void NAME(outer)(ptrdiff_t n, ptrdiff_t outputs, ptrdiff_t depth, const REAL *x, ptrdiff_t ldx, const REAL *z,
                        ptrdiff_t ldz, REAL *to /* IN, OUT */, ptrdiff_t ldt,
                        fetching *next) {
    ptrdiff_t f = 0;
    for (; f + DOT_ROWS * VLANES <= depth; f += DOT_ROWS * VLANES)
        NAME(outer_outputs)(outputs, DOT_ROWS, n, x + f, ldx, z, ldz, to + f, ldt, next);
    for (; f < depth; f += VLANES) NAME(outer_outputs)(outputs, 1, n, x + f, ldx, z, ldz, to + f, ldt, next);
    for (ptrdiff_t c = 0; c < outputs; c++)
        for (ptrdiff_t b = 0; b < n; b++) to[c * ldt + depth] += z[c * ldz + b];
}
