/* Loss and gradient of a linear model over all rows      (included once per REAL)

   Rows are taken ROW_BLOCK at a time: they stay in L2 through both the forward product and the gradient, so that the data
   are read from memory once. */
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
#include "training/forward.h"
#endif

/* Some rows of one group, added to what earlier calls have summed. The group's gradient: (n_outputs, width), the bias
   behind the features. */
static void FN(linear_group)(const linear_job *J, ptrdiff_t group, REAL *scratch) {
    const ptrdiff_t C = J->n_outputs, width = J->width, lanes = ROW_BLOCK;
    const ptrdiff_t depth = (J->data.n_features + LANES - 1) / LANES * LANES;
    REAL *buffer = scratch, *z = buffer + ROW_BLOCK * depth, *rows = z + C * lanes;
    REAL *gradient = (REAL *)J->gradients + group * C * width;
    const uint8_t *labels[ROW_BLOCK];
    loss_tally tally = J->tallies[group];
    if (J->first == 0) memset(gradient, 0, C * width * sizeof(REAL));
    const ptrdiff_t start = part_start(J->n_rows, group, J->n_groups) + J->first;
    const ptrdiff_t last = part_start(J->n_rows, group + 1, J->n_groups);
    const ptrdiff_t end = last - start < J->count ? last : start + J->count;
    for (ptrdiff_t first = start; first < end; first += ROW_BLOCK) {
        const ptrdiff_t n = end - first < ROW_BLOCK ? end - first : ROW_BLOCK;
        ptrdiff_t ldx;
        const REAL *x = FN(rows_as_real)(&J->data, first, n, depth, buffer, &ldx);
        const char *behind = J->data.x + (first + n) * J->data.stride;
        const ptrdiff_t n_next = end - first - n < ROW_BLOCK ? end - first - n : ROW_BLOCK;
        Fetching next = {behind, behind + n_next * J->data.stride};
        if (n < lanes) memset(z, 0, C * lanes * sizeof(REAL));
        const FN(rows_in_pieces) in = {x, ldx, 2 * LANES}, weights = {J->weights, width, 2 * LANES};
        FN(dots)(n, C, depth, &in, &weights, weights.data + depth, width, z, lanes, &next);
        for (ptrdiff_t b = 0; J->labels && b < n; b++) labels[b] = J->labels + (first + b) * C;
        const loss_batch B = {n,           lanes,
                              C,           J->targets ? J->targets + first : NULL,
                              labels,      J->sample_weights ? J->sample_weights + first : NULL,
                              J->smoothing};
        tally.weight += batch_weight(&B);
        if (J->labels) FN(logistic_loss)(&B, z, rows, 1.0, &tally);
        else FN(softmax_loss)(&B, z, rows, 1.0, &tally);
        FN(outer)(n, C, depth, x, ldx, z, lanes, gradient, width, &next);
    }
    J->tallies[group] = tally;
}

static void FN(linear_group_block)(const void *task, ptrdiff_t group, char *scratch) {
    FN(linear_group)(task, group, (REAL *)scratch);
}

/* Sum the groups' gradients in order, in double, for some of the entries. */
static void FN(linear_sum_block)(const void *task, ptrdiff_t block, char *scratch) {
    const linear_job *J = task;
    const ptrdiff_t size = J->n_outputs * J->width, first = block * SUM_BLOCK;
    const ptrdiff_t end = size - first < SUM_BLOCK ? size : first + SUM_BLOCK;
    (void)scratch;
    for (ptrdiff_t i = first; i < end; i++) J->total[i] = 0;
    for (ptrdiff_t group = 0; group < J->n_groups; group++) {
        const REAL *gradient = (const REAL *)J->gradients + group * size;
        for (ptrdiff_t i = first; i < end; i++) J->total[i] += (double)gradient[i];
    }
}

static void FN(linear_loss_gradient)(const linear_job *J, workers *w) {
    w->scratch = J->scratch, w->scratch_bytes = J->scratch_size * (ptrdiff_t)sizeof(REAL);
    run_all_blocks(w, FN(linear_group_block), J, J->n_groups);
    if (J->total) run_all_blocks(w, FN(linear_sum_block), J, (J->n_outputs * J->width + SUM_BLOCK - 1) / SUM_BLOCK);
}
