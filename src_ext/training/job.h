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

/* One layer with its optimiser's state (m: first moment or velocity, v: second moment), T = two vectors.
   Hidden: w, m, v (n_tiles, n_in, T), a tile for T units; b, mb, vb (n_tiles, T).
   Output, transposed: w, m, v (n_tiles, n_in, T), a tile for T inputs, n_in the number of outputs; b, mb, vb (n_in,).
   What is beyond the units, or inputs, of the last tile is 0 and stays 0. */
typedef struct {
    ptrdiff_t n_in, n_tiles;
    void *w, *m, *v, *b, *mb, *vb;
    /* of hidden layers, in panels (n_blocks, n_tiles, block_rows, T): outputs, and the loss's gradient before ReLU */
    void *out, *back;
    void *
        transposed; /* of hidden layers but the first, (tiles of the layer before, n_tiles * T, T): its weights, transposed */
} training_layer;

/* Batches to train a network of ReLU layers on; layers[n_hidden] is the output layer. */
typedef struct {
    data_rows data;
    int loss, solver, fit_intercept;
    const int32_t *targets;
    const uint8_t *labels;
    const double *weights;
    const int64_t *order;
    ptrdiff_t n_rows, batch_size, n_outputs, n_hidden;
    const training_layer *layers;
    double learning_rate, beta_1, beta_2, epsilon, momentum, decay, smoothing;
    int64_t step;
    /* n_blocks of block_rows rows are a batch. x (copies, n_blocks, panels of features, block_rows, T); the first
       layer's out has as many copies; z (n_blocks, n_outputs, block_rows); scratch (n_threads, scratch_size);
       tallies (n_blocks,) */
    ptrdiff_t block_rows, n_blocks, copies;
    void *x, *z, *scratch;
    ptrdiff_t scratch_size;
    loss_tally *tallies;
    loss_tally tally; /* OUT */
    /* where training is, and how its jobs are cut */
    ptrdiff_t batch, n_batches, n_weight_blocks;
    double divisor;
    int ahead;
} training_job;

/* Logits of every row. Layer i: weights[i] has rows of lds[i] >= widths[i] numbers, of which sizes[i] count; widths are
   whole vectors. For a single row lds[i] may be smaller: then ends[i] has the last n_ends[i] rows, padded to widths[i], which
   cannot be read whole where they are. out: (n_rows, n_outputs). scratch: min(ROW_BLOCK, n_rows) * (n_features + 2 * widest) numbers a thread. */
typedef struct {
    data_rows data;
    ptrdiff_t n_rows, n_layers, n_outputs, widest, scratch_size;
    const ptrdiff_t *sizes, *widths, *lds;
    const void *const *weights;
    const void *const *biases;
    const void *const *ends;
    const ptrdiff_t *n_ends;
    void *out, *scratch;
    atomic_int *finite; /* OUT: ROWS_FINITE, LOGITS_FINITE */
} network_job;

/* Sum of losses and gradient of a linear model, by calls that each take the rows first..first + count of every group, in
   order and in whole blocks. weights: (n_outputs, width): the features padded to whole
   vectors with zeros, then the bias; what follows is not read; rows are summed in n_groups
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
