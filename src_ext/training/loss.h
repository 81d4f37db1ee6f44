/* Losses of one batch and their gradients, transposed: z[c, b], lanes run over rows b    (included once per REAL)

   Softmax: m = max z; S' = sum over z < m of exp(z - m), plus the number of maxima - 1;
   loss = log1p(S') + sum of t * (m - z), never a difference of large numbers. Written over z: the gradient,
   times row_scale (sample weight over the batch's weight). One pass for the maximum, one for the exponentials, one
   for the gradient; all of it sits in L1. */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "training/product.h"
#include "training/dots.h"
#endif

static void FN(maxima)(const REAL *restrict z, REAL *restrict top /* OUT */, ptrdiff_t n_classes, ptrdiff_t lanes) {
    for (ptrdiff_t b = 0; b < lanes; b++) top[b] = -INFINITY;
    for (ptrdiff_t c = 0; c < n_classes; c++) {
        const REAL *row = z + c * lanes;
#pragma omp simd
        for (ptrdiff_t b = 0; b < lanes; b++) top[b] = row[b] > top[b] ? row[b] : top[b];
    }
}

/* z becomes exp(z - top); rest becomes S', which leaves out the first maximum of each row. */
static void FN(exponentials)(REAL *restrict z /* IN, OUT */, const REAL *restrict top, REAL *restrict rest /* OUT */,
                             ptrdiff_t n_classes, ptrdiff_t lanes) {
    const FN(exp_frame) frame = FN(exp_setup)(FN(all)(0), 1, 0);
    const VEC one = FN(all)(1), per_unit = 1 / frame.unit;
    for (ptrdiff_t b = 0; b < lanes; b += LANES) {
        const VEC m = FN(load)(top + b);
        IVEC seen = {0};
        VEC sum = {0};
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            const VEC x = FN(load)(z + c * lanes + b);
            const VEC term = FN(exp_scaled)(x - m, &frame, 0) * per_unit;
            const IVEC first = (IVEC)(x == m) & ~seen;
            sum += term - (VEC)(first & (IVEC)one);
            seen |= first;
            FN(store)(z + c * lanes + b, term);
        }
        FN(store)(rest + b, sum);
    }
}

/* Softmax cross-entropy of a batch with index targets. z: logits in, gradient out, divided by `divisor`.
   rows: scratch of 4 * lanes; lanes: at most MAX_BLOCK_ROWS. */
static void FN(softmax_loss)(const loss_batch *B, REAL *restrict z /* IN, OUT */, REAL *restrict rows, double divisor,
                             loss_tally *tally /* IN, OUT */) {
    const ptrdiff_t C = B->n_outputs, lanes = B->lanes;
    const double off = B->smoothing / (double)C, on = 1.0 - B->smoothing;
    REAL *top = rows, *rest = rows + lanes, *per_sum = rows + 2 * lanes, *scale = rows + 3 * lanes;
    FN(maxima)(z, top, C, lanes);
    double gaps[MAX_BLOCK_ROWS];
    for (ptrdiff_t b = 0; b < B->n_rows; b++) {
        const ptrdiff_t t = B->targets[b];
        double gap = (double)top[b] - (double)z[t * lanes + b];
        int correct = gap == 0;
        for (ptrdiff_t c = 0; correct && c < t; c++) correct = z[c * lanes + b] < top[b];
        gaps[b] = on * gap;
        tally->correct += (B->weights ? B->weights[b] : 1.0) * correct;
    }
    if (off > 0)
        for (ptrdiff_t c = 0; c < C; c++)
            for (ptrdiff_t b = 0; b < B->n_rows; b++) gaps[b] += off * ((double)top[b] - (double)z[c * lanes + b]);
    FN(exponentials)(z, top, rest, C, lanes);
    for (ptrdiff_t b = 0; b < lanes; b++) {
        const double weight = b >= B->n_rows ? 0.0 : B->weights ? B->weights[b] : 1.0;
        scale[b] = (REAL)(divisor > 0 ? weight / divisor : 0.0);
        if (weight > 0) tally->loss += weight * (log1p((double)rest[b]) + gaps[b]);
        per_sum[b] = scale[b] / (1 + rest[b]);
    }
    const REAL small = (REAL)off;
    for (ptrdiff_t c = 0; c < C; c++) {
        REAL *row = z + c * lanes;
#pragma omp simd
        for (ptrdiff_t b = 0; b < lanes; b++) row[b] = scale[b] > 0 ? row[b] * per_sum[b] - small * scale[b] : 0;
    }
    for (ptrdiff_t b = 0; b < B->n_rows; b++) {
        REAL *entry = z + B->targets[b] * lanes + b;
        if (!(scale[b] > 0)) continue; /* weight 0: the gradient is 0 whatever the row holds */
        if (off == 0 && gaps[b] == 0) *entry = -rest[b] * per_sum[b]; /* p - 1 without its cancellation */
        else *entry -= (REAL)on * scale[b];
    }
}

/* One sigmoid a column: loss = sum over columns of max(z, 0) - z * y + log1p(exp(-|z|)). */
static void FN(logistic_loss)(const loss_batch *B, REAL *restrict z /* IN, OUT */, REAL *restrict rows, double divisor,
                              loss_tally *tally /* IN, OUT */) {
    const ptrdiff_t lanes = B->lanes;
    const double off = 0.5 * B->smoothing, on = 1.0 - B->smoothing;
    for (ptrdiff_t b = 0; b < lanes; b++) rows[b] = 1;
    for (ptrdiff_t c = 0; c < B->n_outputs; c++) {
        REAL *row = z + c * lanes;
        for (ptrdiff_t b = 0; b < lanes; b++) {
            if (b >= B->n_rows) {
                row[b] = 0;
                continue;
            }
            const double weight = B->weights ? B->weights[b] : 1.0;
            const int label = B->labels[b][c];
            const double target = off + on * label, logit = (double)row[b];
            const double small = exp(-fabs(logit)), sigmoid = 1.0 / (1.0 + small);
            if (weight > 0) tally->loss += weight * (fmax(logit, 0.0) - logit * target + log1p(small));
            if ((logit > 0) != label) rows[b] = 0;
            /* sigmoid(z) - y, for hard labels without its cancellation */
            const double p = logit >= 0 ? sigmoid : small * sigmoid, q = logit >= 0 ? small * sigmoid : sigmoid;
            const double slope = target == 1.0 ? -q : p - target;
            row[b] = (REAL)(weight > 0 && divisor > 0 ? slope * weight / divisor : 0.0);
        }
    }
    for (ptrdiff_t b = 0; b < B->n_rows; b++) tally->correct += (B->weights ? B->weights[b] : 1.0) * (double)rows[b];
}
