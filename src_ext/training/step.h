/* A network of ReLU layers, trained batch after batch by the team of threads        (included once per REAL)

   A batch is two jobs of the team. In the first its rows, some at a time, go through all layers and the loss, and the
   gradient comes back to every hidden layer: rows need nothing of each other. In the second each block takes some inputs
   and some units of a layer, sums their gradient over the whole batch, and updates their weights: the gradient of a
   matrix never exists as a whole. One layer without hidden ones, the linear model, goes the same way.

   Where batches are small, reading the first layer's weights costs more than anything: then a tile of its units is one
   block of the second job, which also sends the next batch through the weights that it has just updated (`ahead`). */
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
#endif

static void FN(gather_first)(const void *task, ptrdiff_t block, char *memory) {
    (void)memory;
    FN(gather)(task, 0, block);
}

static void FN(forward_first)(const void *task, ptrdiff_t tile, char *memory) {
    const training_job *J = task;
    const uint64_t mode = flush_subnormals();
    (void)memory;
    for (ptrdiff_t block = 0; block < FN(blocks_of_batch)(J, 0); block++) {
        FN(start_unit_tile)(J, 0, 0, block, tile);
        for (ptrdiff_t p = 0; p < FN(panels)(J->layers[0].n_in); p++) FN(forward_panel)(J, 0, 0, block, tile, p);
    }
    restore_subnormals(mode);
}

/* Whether a batch takes less time with a tile of the first layer's units as one block, although there are few of them, than
 * with the first product among the blocks of rows. Counted in products of one row with all weights of the first layer: a
 * batch takes two of them a row, and an update as much as 20. Without `ahead` the weights come from memory twice; by how much
 * that counts is fitted to steps measured with 2 to 16 threads. */
static int FN(ahead_is_faster)(const training_job *J, ptrdiff_t n_threads) {
    if (J->n_hidden == 0 || J->copies == 1) return 0;
    const double n = (double)J->batch_size, n_tiles = (double)J->layers[0].n_tiles, n_blocks = (double)J->n_blocks;
    const double rows = n * ceil(n_blocks / (double)n_threads) / n_blocks, weights = (n + 20) / (double)n_threads;
    return (2 * n + 20) * ceil(n_tiles / (double)n_threads) / n_tiles <= 1.75 * (rows + weights);
}

/* Train on J->order, all batches in one go. */
static void FN(train)(training_job *J, workers *w) {
    w->scratch = J->scratch, w->scratch_bytes = J->scratch_size * (ptrdiff_t)sizeof(REAL);
    J->n_batches = (J->n_rows + J->batch_size - 1) / J->batch_size;
    J->tally = (loss_tally){0, 0, 0};
    const ptrdiff_t n_tiles = J->n_hidden ? J->layers[0].n_tiles : 0;
    J->ahead = FN(ahead_is_faster)(J, w->n_threads);
    J->n_weight_blocks = FN(count_blocks)(J, J->ahead);
    for (ptrdiff_t layer = 1; layer < J->n_hidden; layer++)
        for (ptrdiff_t panel = 0; panel < FN(panels)(J->layers[layer].n_in); panel++)
            for (ptrdiff_t tile = 0; tile < J->layers[layer].n_tiles; tile++)
                FN(transpose_weights)(J, layer, panel, tile);
    if (J->ahead && J->n_batches) {
        run_all_blocks(w, FN(gather_first), J, FN(blocks_of_batch)(J, 0));
        run_all_blocks(w, FN(forward_first), J, n_tiles);
    }
    for (J->batch = 0; J->batch < J->n_batches; J->batch++) {
        const ptrdiff_t n = FN(rows_of)(J, J->batch), n_blocks = FN(blocks_of_batch)(J, J->batch);
        const int64_t *order = J->order + J->batch * J->batch_size;
        J->divisor = (double)n;
        if (J->weights) {
            J->divisor = 0;
            for (ptrdiff_t b = 0; b < n; b++) J->divisor += J->weights[order[b]];
        }
        run_all_blocks(w, FN(rows_block), J, n_blocks);
        for (ptrdiff_t block = 0; block < n_blocks; block++) {
            J->tally.loss += J->tallies[block].loss;
            J->tally.weight += J->tallies[block].weight;
            J->tally.correct += J->tallies[block].correct;
        }
        run_all_blocks(w, FN(weights_block), J, J->ahead ? n_tiles : J->n_weight_blocks);
    }
}

#undef AT
#undef TILE
