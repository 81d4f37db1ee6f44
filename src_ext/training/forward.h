/* Inference of any network of ReLU layers      (included once per REAL)

   Rows are taken ROW_BLOCK at a time: they stay in L2 through every layer. Rows that need neither scaling nor converting
   are used where they are. */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "training/product.h"
#include "training/dots.h"
#include "training/loss.h"
#include "training/update.h"
#include "training/panels.h"
#include "training/step_rows.h"
#include "training/step_weights.h"
#include "training/step.h"
#endif

/* Whether all values of a row are finite; uint8 always is. Many sums side by side hide the latency of an addition. */
static int FN(row_is_finite)(const char *row, int source, ptrdiff_t n) {
    enum { SUMS = 64 };
    ptrdiff_t i = 0;
    if (source == SOURCE_FLOAT32) {
        const float *x = (const float *)row;
        float zeros[SUMS] = {0}, zero = 0;
        for (; i + SUMS <= n; i += SUMS)
            for (int j = 0; j < SUMS; j++) zeros[j] += x[i + j] * 0.0f;
        for (; i < n; i++) zero += x[i] * 0.0f;
        for (int j = 0; j < SUMS; j++) zero += zeros[j];
        return zero == 0;
    }
    if (source == SOURCE_FLOAT64) {
        const double *x = (const double *)row;
        double zeros[SUMS] = {0}, zero = 0;
        for (; i + SUMS <= n; i += SUMS)
            for (int j = 0; j < SUMS; j++) zeros[j] += x[i + j] * 0.0;
        for (; i < n; i++) zero += x[i] * 0.0;
        for (int j = 0; j < SUMS; j++) zero += zeros[j];
        return zero == 0;
    }
    return 1;
}

/* Rows first..first + n as a matrix of REAL whose rows are `width` long, padded with zeros: where they are, or gathered into
   `buffer`. */
static const REAL *FN(rows_as_real)(const data_rows *data, ptrdiff_t first, ptrdiff_t n, ptrdiff_t width, REAL *buffer,
                                    ptrdiff_t *ldx /* OUT */) {
    const char *x = data->x + first * data->stride;
    const int same = data->source == (REAL_IS_DOUBLE ? SOURCE_FLOAT64 : SOURCE_FLOAT32);
    if (same && data->scale == 1.0 && data->stride % (ptrdiff_t)sizeof(REAL) == 0 && width == data->n_features) {
        *ldx = data->stride / (ptrdiff_t)sizeof(REAL);
        return (const REAL *)x;
    }
    *ldx = width;
    for (ptrdiff_t b = 0; b < n; b++, buffer += width, x += data->stride) {
        FN(gather_row)(buffer, x, data->source, data->n_features, (REAL)data->scale);
        for (ptrdiff_t i = data->n_features; i < width; i++) buffer[i] = 0;
    }
    return buffer - n * width;
}

/* (n, width) = bias + x @ weights, then ReLU: layer i of a network for n rows of `depth` numbers. */
static void FN(layer)(const network_job *J, ptrdiff_t i, ptrdiff_t n, ptrdiff_t depth, const REAL *x, ptrdiff_t ldx,
                      REAL *restrict to /* OUT */) {
    const ptrdiff_t width = J->widths[i];
    const REAL *weights = J->weights[i];
    for (ptrdiff_t b = 0; b < n; b++) memcpy(to + b * width, J->biases[i], width * sizeof(REAL));
    if (n == 1) FN(product_row)(width, depth, x, weights, J->lds[i], J->ends[i], J->n_ends[i], to);
    else FN(product_rows)(1, n, width, depth, x, ldx, weights, J->lds[i], to, width);
    if (i + 1 < J->n_layers)
        for (ptrdiff_t i = 0; i < n * width; i++) to[i] = to[i] < 0 ? 0 : to[i];
}

static void FN(logits_of_block)(const void *task, ptrdiff_t block, char *memory) {
    const network_job *J = task;
    REAL *scratch = (REAL *)memory;
    const ptrdiff_t first = block * ROW_BLOCK, left = J->n_rows - first, n = left < ROW_BLOCK ? left : ROW_BLOCK;
    const ptrdiff_t F = J->data.n_features;
    int finite = ROWS_FINITE | LOGITS_FINITE;
    for (ptrdiff_t b = 0; b < n; b++)
        if (!FN(row_is_finite)(J->data.x + (first + b) * J->data.stride, J->data.source, F)) finite &= ~ROWS_FINITE;
    ptrdiff_t depth = F, ldx;
    const ptrdiff_t most = J->n_rows < ROW_BLOCK ? J->n_rows : ROW_BLOCK;
    REAL *to = scratch + most * F, *other = to + most * J->widest;
    const REAL *x = FN(rows_as_real)(&J->data, first, n, F, scratch, &ldx);
    for (ptrdiff_t i = 0; i < J->n_layers; i++) {
        FN(layer)(J, i, n, depth, x, ldx, to);
        x = to, ldx = J->widths[i], depth = J->sizes[i];
        REAL *swap = to;
        to = other, other = swap;
    }
    REAL *out = (REAL *)J->out + first * J->n_outputs;
    for (ptrdiff_t b = 0; b < n; b++) memcpy(out + b * J->n_outputs, x + b * ldx, J->n_outputs * sizeof(REAL));
    const int source = REAL_IS_DOUBLE ? SOURCE_FLOAT64 : SOURCE_FLOAT32;
    if (!FN(row_is_finite)((const char *)out, source, n * J->n_outputs)) finite &= ~LOGITS_FINITE;
    if (finite != (ROWS_FINITE | LOGITS_FINITE)) atomic_fetch_and(J->finite, finite);
}

/* Logits of all rows. Returns what was finite: ROWS_FINITE, LOGITS_FINITE or both. */
static int FN(forward)(network_job *J, workers *w) {
    atomic_int finite = ROWS_FINITE | LOGITS_FINITE;
    J->finite = &finite;
    w->scratch = J->scratch, w->scratch_bytes = J->scratch_size * (ptrdiff_t)sizeof(REAL);
    run_all_blocks(w, FN(logits_of_block), J, (J->n_rows + ROW_BLOCK - 1) / ROW_BLOCK);
    return atomic_load(&finite);
}
