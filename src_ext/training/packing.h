/* Between matrices of any steps and rows of whole vectors      (included once per REAL) */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#endif

typedef uint8_t FN(bytes) __attribute__((vector_size(VECTOR_BYTES), aligned(1), may_alias));

/* Copy a matrix with any steps (in numbers) into rows of whole vectors, padded with zeros. A row that others follow is copied
   a vector at a time, and what does not belong to it is cleared. */
static void FN(pack)(const REAL *from, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t row_step, ptrdiff_t column_step,
                     REAL *restrict to /* OUT */, ptrdiff_t width) {
    const REAL *end = from + (rows - 1) * row_step + columns;
    const ptrdiff_t last = width - LANES;
    FN(bytes) own; /* 0xff where the last vector of a row has numbers of it */
    for (ptrdiff_t i = 0; i < VECTOR_BYTES; i++) own[i] = i < (columns - last) * (ptrdiff_t)sizeof(REAL) ? 0xff : 0;
    const int whole = column_step == 1 && row_step > 0 && columns > last;
    for (; whole && rows > 0 && from + width <= end; rows--, to += width, from += row_step) {
        for (ptrdiff_t j = 0; j < last; j += LANES) memcpy(to + j, from + j, VECTOR_BYTES);
        *(FN(bytes) *)(to + last) = *(const FN(bytes) *)(from + last) & own;
    }
    for (ptrdiff_t i = 0; i < rows; i++, to += width, from += row_step) {
        for (ptrdiff_t j = 0; j < columns; j++) to[j] = from[j * column_step];
        for (ptrdiff_t j = columns; j < width; j++) to[j] = 0;
    }
}

/* The way back: rows of `width` numbers, of which the first `columns` count, into a matrix with any steps. */
static void FN(unpack)(const REAL *restrict from, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width,
                       REAL *restrict to /* OUT */, ptrdiff_t row_step, ptrdiff_t column_step) {
    for (ptrdiff_t i = 0; i < rows; i++, from += width, to += row_step) {
        if (column_step == 1) memcpy(to, from, columns * sizeof(REAL));
        else
            for (ptrdiff_t j = 0; j < columns; j++) to[j * column_step] = from[j];
    }
}
