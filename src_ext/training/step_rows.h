/* The first job of a batch: blocks of its rows, through all layers and the loss, and back     (included once per REAL) */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "training/product.h"
#include "training/dots.h"
#include "training/loss.h"
#include "training/update.h"
#include "training/panels.h"
#endif

#define ROWS_AHEAD 6 /* of the user's data are asked for before they are copied */

/* Copy rows of the user's data, scaled, into panels. They lie anywhere in a memory much larger than the caches: ask for
   them some rows ahead. */
static void FN(gather)(const training_job *J, ptrdiff_t batch, ptrdiff_t block) {
    if (batch >= J->n_batches) return;
    const ptrdiff_t n = FN(rows_in_block)(J, batch, block), F = J->data.n_features, item = source_bytes(J->data.source);
    const int64_t *order = J->order + batch * J->batch_size + block * J->block_rows;
    REAL *to = FN(x_of)(J, batch, block, 0);
    for (ptrdiff_t b = 0; b < n; b++, to += TILE) {
        const char *row = J->data.x + order[b] * J->data.stride;
        if (b + ROWS_AHEAD < n) {
            const char *later = J->data.x + order[b + ROWS_AHEAD] * J->data.stride;
            for (ptrdiff_t at = 0; at < F * item; at += 64) __builtin_prefetch(later + at);
        }
        for (ptrdiff_t p = 0; p < FN(panels)(F); p++)
            FN(gather_row)(to + p * J->block_rows * TILE, row + p * TILE * item, J->data.source, FN(columns_in)(F, p),
                           (REAL)J->data.scale);
    }
}

static void FN(start_unit_tile)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block,
                                ptrdiff_t tile) {
    const REAL *bias = (const REAL *)J->layers[layer].b + tile * TILE;
    REAL *h = FN(out_of)(J, layer, batch, block, tile);
    for (ptrdiff_t b = 0; b < FN(rows_in_block)(J, batch, block); b++) memcpy(h + b * TILE, bias, TILE * sizeof(REAL));
}

/* Add the products of one panel of inputs to the rows of a tile of units. */
static void FN(forward_panel)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block, ptrdiff_t tile,
                              ptrdiff_t panel) {
    const training_layer *L = J->layers + layer;
    const REAL *w = (const REAL *)L->w + (tile * L->n_in + panel * TILE) * TILE;
    FN(product_rows)(1, FN(rows_in_block)(J, batch, block), TILE, FN(columns_in)(L->n_in, panel),
                     FN(in_of)(J, layer, batch, block, panel), TILE, w, TILE, FN(out_of)(J, layer, batch, block, tile),
                     TILE);
}

static void FN(relu)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block, ptrdiff_t tile) {
    const ptrdiff_t n = FN(rows_in_block)(J, batch, block);
    REAL *h = FN(out_of)(J, layer, batch, block, tile);
    for (ptrdiff_t i = 0; i < n * TILE; i++) h[i] = h[i] < 0 ? 0 : h[i]; /* NaN stays NaN */
}

/* Fetch a piece of some memory: part number `part` of n_parts. */
static inline void FN(fetch_part)(const REAL *data, ptrdiff_t count, ptrdiff_t part, ptrdiff_t n_parts) {
    const char *end = (const char *)(data + part_start(count, part + 1, n_parts));
    for (const char *at = (const char *)(data + part_start(count, part, n_parts)); at < end; at += 64)
        __builtin_prefetch(at, 0, 2);
}

static void FN(forward_layer)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block) {
    const training_layer *L = J->layers + layer;
    for (ptrdiff_t tile = 0; tile < L->n_tiles; tile++) {
        FN(start_unit_tile)(J, layer, batch, block, tile);
        for (ptrdiff_t panel = 0; panel < FN(panels)(L->n_in); panel++)
            FN(forward_panel)(J, layer, batch, block, tile, panel);
        FN(relu)(J, layer, batch, block, tile);
    }
}

/* A thread's scratch memory, for the loss of a block of rows or for the gradient of a block of weights. */
typedef struct {
    double *weights;
    int32_t *targets;
    const uint8_t **labels;
    REAL *rows, *gradient;
} FN(training_scratch);

static FN(training_scratch) FN(carve_scratch)(char *memory) {
    FN(training_scratch) s;
    s.weights = (double *)memory;
    s.labels = (const uint8_t **)(s.weights + MAX_BLOCK_ROWS);
    s.targets = (int32_t *)(s.labels + MAX_BLOCK_ROWS);
    s.rows = (REAL *)(s.targets + MAX_BLOCK_ROWS);
    s.gradient = (REAL *)memory;
    return s;
}

/* Logits of a block of rows, their loss, and its gradient in the logits' place. */
static void FN(loss_of_block)(training_job *J, ptrdiff_t batch, ptrdiff_t block, const FN(training_scratch) * s) {
    const training_layer *L = J->layers + J->n_hidden;
    const ptrdiff_t n = FN(rows_in_block)(J, batch, block), C = J->n_outputs, lanes = J->block_rows;
    const ptrdiff_t n_inputs = J->n_hidden ? L->n_tiles * TILE : J->data.n_features,
                    depth = (n_inputs + LANES - 1) / LANES * LANES;
    const int64_t *order = J->order + batch * J->batch_size + block * J->block_rows;
    REAL *z = AT(z) + block * C * lanes;
    const FN(rows_in_pieces) in = {FN(in_of)(J, J->n_hidden, batch, block, 0), TILE, lanes * TILE};
    const FN(rows_in_pieces) weights = {L->w, TILE, C * TILE};
    Fetching nothing = {NULL, NULL};
    if (n < lanes) memset(z, 0, C * lanes * sizeof(REAL));
    FN(dots)(n, C, depth, &in, &weights, L->b, 1, z, lanes, &nothing);
    for (ptrdiff_t b = 0; b < n; b++) {
        if (J->targets) s->targets[b] = J->targets[order[b]];
        else s->labels[b] = J->labels + order[b] * C;
        if (J->weights) s->weights[b] = J->weights[order[b]];
    }
    const loss_batch B = {n, lanes, C, s->targets, s->labels, J->weights ? s->weights : NULL, J->smoothing};
    J->tallies[block] = (loss_tally){0, batch_weight(&B), 0};
    if (J->loss == LOSS_SOFTMAX) FN(softmax_loss)(&B, z, s->rows, J->divisor, J->tallies + block);
    else FN(logistic_loss)(&B, z, s->rows, J->divisor, J->tallies + block);
}

/* The gradient of a hidden layer before its ReLU, from that of the next one. */
static void FN(backward_layer)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block) {
    const training_layer *next = J->layers + layer + 1;
    const ptrdiff_t n = FN(rows_in_block)(J, batch, block), lanes = J->block_rows, C = J->n_outputs;
    for (ptrdiff_t tile = 0; tile < J->layers[layer].n_tiles; tile++) {
        const REAL *h = FN(out_of)(J, layer, batch, block, tile);
        REAL *back = FN(back_of)(J, layer, block, tile);
        if (layer + 1 == J->n_hidden)
            FN(product_columns)(0, n, TILE, C, AT(z) + block * C * lanes, lanes, (REAL *)next->w + tile * C * TILE,
                                TILE, back, TILE);
        else
            for (ptrdiff_t p = 0; p < next->n_tiles; p++)
                FN(product_rows)(p > 0, n, TILE, TILE, FN(back_of)(J, layer + 1, block, p), TILE,
                                 (REAL *)next->transposed + (tile * next->n_tiles + p) * TILE * TILE, TILE, back, TILE);
        for (ptrdiff_t i = 0; i < n * TILE; i++) back[i] = h[i] > 0 ? back[i] : 0;
    }
}

/* A block of rows, forward and back. Subnormal numbers are 0, here and below: moments of inputs that are seldom on decay to
   there, where a square root takes 5 to 10 times as long. v = 0 beside a small m asks for an epsilon that is not smaller
   still (MIN_EPSILON in _compiled.py). */
static void FN(rows_block)(const void *task, ptrdiff_t block, char *memory) {
    training_job *J = (training_job *)task;
    const FN(training_scratch) s = FN(carve_scratch)(memory);
    const uint64_t mode = flush_subnormals();
    if (J->ahead) {
        FN(gather)(J, J->batch + 1, block);
        for (ptrdiff_t tile = 0; tile < J->layers[0].n_tiles; tile++) FN(relu)(J, 0, J->batch, block, tile);
    } else {
        FN(gather)(J, J->batch, block);
    }
    for (ptrdiff_t layer = J->ahead; layer < J->n_hidden; layer++) FN(forward_layer)(J, layer, J->batch, block);
    FN(loss_of_block)(J, J->batch, block, &s);
    for (ptrdiff_t layer = J->n_hidden - 1; layer >= 0; layer--) FN(backward_layer)(J, layer, J->batch, block);
    restore_subnormals(mode);
}

#undef ROWS_AHEAD
