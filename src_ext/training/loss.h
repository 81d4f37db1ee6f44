/* Losses of one batch and their gradients, transposed: z[c, b], lanes run over rows b    (included once per REAL)

   Softmax: m = max z; S' = sum over z < m of exp(z - m), plus the number of maxima - 1;
   loss = log1p(S') + sum of t * (m - z), never a difference of large numbers. Written over z: the gradient,
   times row_scale (sample weight over the batch's weight). One pass for the maximum, one for the exponentials, one
   for the gradient; all of it sits in L1. */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "training/product.h"
#include "training/dots.h"
#endif

/* exp for x <= 0 to about 1 ULP, 0 under the smallest normal number; NaN stays NaN. */
#if REAL_IS_DOUBLE
INLINE double FN(exp_nonpositive)(double x) {
    const double magic = 6755399441055744.0;
    double clamped = x < -708.0 ? -708.0 : x;
    double shifted = clamped * 1.4426950408889634 + magic;
    double n = shifted - magic;
    double r = clamped - n * 0.693147180369123816490 - n * 1.90821492927058770002e-10;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    union {
        double f;
        int64_t i;
    } bits = {shifted}, power;
    power.i = (int64_t)(((uint64_t)bits.i << 52) + ((uint64_t)1023 << 52));
    return x < -708.0 ? 0.0 : p * power.f;
}
#else
INLINE float FN(exp_nonpositive)(float x) {
    const float magic = 12582912.0f;
    float clamped = x < -87.0f ? -87.0f : x;
    float shifted = clamped * 1.44269504f + magic;
    float n = shifted - magic;
    float r = clamped - n * 0.693145752f - n * 1.42860677e-6f;
    float p = 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    union {
        float f;
        int32_t i;
    } bits = {shifted}, power;
    power.i = (int32_t)(((uint32_t)bits.i << 23) + (127u << 23));
    return x < -87.0f ? 0.0f : p * power.f;
}
#endif

static void FN(maxima)(const REAL *restrict z, REAL *restrict top /* OUT */, ptrdiff_t n_classes, ptrdiff_t lanes) {
    for (ptrdiff_t b = 0; b < lanes; b++) top[b] = -INFINITY;
    for (ptrdiff_t c = 0; c < n_classes; c++) {
        const REAL *row = z + c * lanes;
#pragma omp simd
        for (ptrdiff_t b = 0; b < lanes; b++) top[b] = row[b] > top[b] ? row[b] : top[b];
    }
}

/* z becomes exp(z - top); rest becomes S'. `seen` marks rows whose first maximum has been left out. */
static void FN(exponentials)(REAL *restrict z /* IN, OUT */, const REAL *restrict top, REAL *restrict rest /* OUT */,
                             REAL *restrict seen /* scratch */, ptrdiff_t n_classes, ptrdiff_t lanes) {
    for (ptrdiff_t b = 0; b < lanes; b++) rest[b] = seen[b] = 0;
    for (ptrdiff_t c = 0; c < n_classes; c++) {
        REAL *row = z + c * lanes;
#pragma omp simd
        for (ptrdiff_t b = 0; b < lanes; b++) {
            REAL first = row[b] == top[b] && seen[b] == 0 ? 1 : 0;
            REAL value = FN(exp_nonpositive)(row[b] - top[b]);
            row[b] = value;
            rest[b] += value - first;
            seen[b] += first;
        }
    }
}

/* Softmax cross-entropy of a batch with index targets. z: logits in, gradient out, divided by `divisor`.
   rows: scratch of 4 * lanes; lanes: at most MAX_BLOCK_ROWS. */
static void FN(softmax_loss)(const loss_batch *B, REAL *restrict z /* IN, OUT */, REAL *restrict rows, double divisor,
                             loss_tally *tally /* IN, OUT */) {
    const ptrdiff_t C = B->n_outputs, lanes = B->lanes;
    const double off = B->smoothing / (double)C, on = 1.0 - B->smoothing;
    REAL *top = rows, *rest = rows + lanes, *seen = rows + 2 * lanes, *scale = rows + 3 * lanes;
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
    FN(exponentials)(z, top, rest, seen, C, lanes);
    for (ptrdiff_t b = 0; b < lanes; b++) {
        const double weight = b >= B->n_rows ? 0.0 : B->weights ? B->weights[b] : 1.0;
        scale[b] = (REAL)(divisor > 0 ? weight / divisor : 0.0);
        if (weight > 0) tally->loss += weight * (log1p((double)rest[b]) + gaps[b]);
        seen[b] = scale[b] / (1 + rest[b]);
    }
    const REAL small = (REAL)off;
    for (ptrdiff_t c = 0; c < C; c++) {
        REAL *row = z + c * lanes;
#pragma omp simd
        for (ptrdiff_t b = 0; b < lanes; b++) row[b] = scale[b] > 0 ? row[b] * seen[b] - small * scale[b] : 0;
    }
    for (ptrdiff_t b = 0; b < B->n_rows; b++) {
        REAL *entry = z + B->targets[b] * lanes + b;
        if (!(scale[b] > 0)) continue; /* weight 0: the gradient is 0 whatever the row holds */
        if (off == 0 && gaps[b] == 0) *entry = -rest[b] * seen[b]; /* p - 1 without its cancellation */
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
