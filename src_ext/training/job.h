/* What the kernels are told, one struct for both precisions (void * points at REAL). */
#ifndef FASTSOFTMAX_TRAINING_JOB_H
#define FASTSOFTMAX_TRAINING_JOB_H

#include <stdatomic.h>

#include "training/config.h"

/* The sums that one batch adds to the history. */
typedef struct {
    double loss, weight, correct;
} loss_tally;

/* What the loss needs to know of a batch; index targets or one label a column. */
typedef struct {
    ptrdiff_t n_rows, lanes, n_outputs; /* lanes: n_rows rounded up to whole vectors */
    const int32_t *targets;             /* (n_rows,), softmax */
    const uint8_t *const *labels;       /* n_rows pointers to (n_outputs,), logistic */
    const double *weights;              /* (n_rows,) or NULL */
    double smoothing;
} loss_batch;

static double batch_weight(const loss_batch *B) {
    double total = (double)B->n_rows;
    if (B->weights) {
        total = 0;
        for (ptrdiff_t b = 0; b < B->n_rows; b++) total += B->weights[b];
    }
    return total;
}

/* The user's rows: C order within a row, any step between rows. */
typedef struct {
    const char *x;
    ptrdiff_t stride, n_features;
    int source;
    double scale;
} data_rows;

/* Batches to train one hidden ReLU layer on. Shapes with T = two vectors:
   w1, m1, v1 (n_tiles, n_features, T); w2, m2, v2 (n_tiles, n_outputs, T); b1.. (n_tiles, T); b2 (2, n_outputs);
   mb2, vb2 (n_outputs,). m: first moment or velocity, v: second moment. */
typedef struct {
    data_rows data;
    int loss, solver;
    const int32_t *targets;
    const uint8_t *labels;
    const double *weights;
    const int64_t *order;
    ptrdiff_t n_rows, batch_size, n_outputs, n_tiles, ldx, lanes;
    void *w1, *m1, *v1, *b1, *mb1, *vb1, *w2, *m2, *v2, *b2, *mb2, *vb2;
    double learning_rate, beta_1, beta_2, epsilon, momentum, decay, smoothing;
    int64_t step;
    /* batches (3, batch_size, ldx); hidden (n_tiles, lanes, T); shares (2, n_tiles, n_outputs, lanes);
       scratch (n_threads, scratch_size) */
    void *batches, *hidden, *shares, *scratch;
    ptrdiff_t scratch_size;
    loss_tally tally; /* OUT */
    ptrdiff_t batch, n_batches; /* where training is */
} training_job;

/* Logits of every row. Layer i: weights[i] has rows of lds[i] >= widths[i] numbers, of which sizes[i] count; widths are
   whole vectors. out: (n_rows, n_outputs). scratch: min(ROW_BLOCK, n_rows) * (n_features + 2 * widest) numbers a thread. */
typedef struct {
    data_rows data;
    ptrdiff_t n_rows, n_layers, n_outputs, widest, scratch_size;
    const ptrdiff_t *sizes, *widths, *lds;
    const void *const *weights;
    const void *const *biases;
    void *out, *scratch;
    atomic_int *finite; /* OUT: ROWS_FINITE, LOGITS_FINITE */
} network_job;

/* Sum of losses and gradient of a linear model, by calls that each take the rows first..first + count of every group, in
   order and in whole blocks. weights: (n_outputs, width): the features padded to whole
   vectors with zeros, then the bias, then anything; rows are summed in n_groups
   groups whose number depends on the shape alone. gradients: (n_groups, n_outputs, width); total: the same, once. */
typedef struct {
    data_rows data;
    ptrdiff_t n_rows, n_outputs, width, n_groups, first, count, scratch_size;
    const int32_t *targets;
    const uint8_t *labels;
    const double *sample_weights;
    double smoothing;
    const void *weights;
    void *gradients, *scratch;
    loss_tally *tallies; /* IN, OUT (n_groups,) */
    double *total;       /* OUT, unless NULL */
} linear_job;

#endif
