/* The second job of a batch: blocks of its weights take their gradient and their update       (included once per REAL) */
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
#endif

/* Sum the gradients of some panels of inputs by some tiles of units over the batch, and update those weights. The state of
   each is fetched beside the products. gradient: (panels, tiles, T, T). */
static void FN(update_weights)(const training_job *J, const FN(update_rule) * rule, ptrdiff_t layer, ptrdiff_t panel,
                               ptrdiff_t end_panel, ptrdiff_t tile, ptrdiff_t end_tile, REAL *gradient) {
    const training_layer *L = J->layers + layer;
    const ptrdiff_t batch = J->batch, n_blocks = FN(blocks_of_batch)(J, batch), n_tiles = end_tile - tile;
    for (ptrdiff_t block = 0; block < n_blocks; block++) {
        const ptrdiff_t n = FN(rows_in_block)(J, batch, block);
        for (ptrdiff_t p = panel; p < end_panel; p++) {
            const ptrdiff_t count = FN(columns_in)(L->n_in, p);
            const REAL *x = FN(in_of)(J, layer, batch, block, p);
            for (ptrdiff_t t = tile; t < end_tile; t++) {
                const ptrdiff_t at = (t * L->n_in + p * TILE) * TILE;
                if (!J->ahead) { /* else they are in L2 already */
                    FN(fetch_part)((REAL *)L->w + at, count * TILE, block, n_blocks);
                    FN(fetch_part)((REAL *)L->m + at, count * TILE, block, n_blocks);
                    FN(fetch_part)((REAL *)L->v + at, count * TILE, block, n_blocks);
                }
                FN(product_columns)(block > 0, count, TILE, n, x, TILE, FN(back_of)(J, layer, block, t), TILE,
                                    gradient + ((p - panel) * n_tiles + t - tile) * TILE * TILE, TILE);
            }
        }
    }
    for (ptrdiff_t p = panel; p < end_panel; p++)
        for (ptrdiff_t t = tile; t < end_tile; t++) {
            const ptrdiff_t at = (t * L->n_in + p * TILE) * TILE, count = FN(columns_in)(L->n_in, p);
            FN(update)(rule, rule->decay, count * TILE, (REAL *)L->w + at, (REAL *)L->m + at, (REAL *)L->v + at,
                       gradient + ((p - panel) * n_tiles + t - tile) * TILE * TILE);
        }
}

/* Keep the transposed weights of a panel of inputs by a tile of units: (T units, T inputs). */
static void FN(transpose_weights)(const training_job *J, ptrdiff_t layer, ptrdiff_t panel, ptrdiff_t tile) {
    const training_layer *L = J->layers + layer;
    const ptrdiff_t count = FN(columns_in)(L->n_in, panel);
    const REAL *restrict w = (const REAL *)L->w + (tile * L->n_in + panel * TILE) * TILE;
    REAL *restrict to = (REAL *)L->transposed + (panel * L->n_tiles + tile) * TILE * TILE;
    for (ptrdiff_t unit = 0; unit < TILE; unit++)
        for (ptrdiff_t k = 0; k < count; k++) to[unit * TILE + k] = w[k * TILE + unit];
}

static void FN(update_unit_biases)(const training_job *J, const FN(update_rule) * rule, ptrdiff_t layer, ptrdiff_t tile,
                                   REAL *gradient) {
    const training_layer *L = J->layers + layer;
    for (ptrdiff_t j = 0; j < TILE; j++) gradient[j] = 0;
    for (ptrdiff_t block = 0; block < FN(blocks_of_batch)(J, J->batch); block++) {
        const REAL *back = FN(back_of)(J, layer, block, tile);
        for (ptrdiff_t b = 0; b < FN(rows_in_block)(J, J->batch, block); b++)
            for (ptrdiff_t j = 0; j < TILE; j++) gradient[j] += back[b * TILE + j];
    }
    FN(update)(rule, 0, TILE, (REAL *)L->b + tile * TILE, (REAL *)L->mb + tile * TILE, (REAL *)L->vb + tile * TILE,
               gradient);
}

/* Panels by tiles that are one block of work. */
static inline ptrdiff_t FN(blocks_of_layer)(const training_layer *L) {
    return (FN(panels)(L->n_in) + PANEL_GROUP - 1) / PANEL_GROUP * ((L->n_tiles + TILE_GROUP - 1) / TILE_GROUP);
}

static void FN(update_hidden)(const training_job *J, const FN(update_rule) * rule, ptrdiff_t layer, ptrdiff_t index,
                              REAL *gradient) {
    const training_layer *L = J->layers + layer;
    const ptrdiff_t groups = (L->n_tiles + TILE_GROUP - 1) / TILE_GROUP, n_panels = FN(panels)(L->n_in);
    const ptrdiff_t tile = index % groups * TILE_GROUP, panel = index / groups * PANEL_GROUP;
    const ptrdiff_t end_tile = tile + TILE_GROUP < L->n_tiles ? tile + TILE_GROUP : L->n_tiles;
    const ptrdiff_t end_panel = panel + PANEL_GROUP < n_panels ? panel + PANEL_GROUP : n_panels;
    FN(update_weights)(J, rule, layer, panel, end_panel, tile, end_tile, gradient);
    for (ptrdiff_t t = tile; t < end_tile; t++) {
        if (panel == 0) FN(update_unit_biases)(J, rule, layer, t, gradient);
        for (ptrdiff_t p = panel; layer > 0 && p < end_panel; p++) FN(transpose_weights)(J, layer, p, t);
    }
}

/* The weights of the outputs for one panel of inputs, with the first one the biases too. */
static void FN(update_outputs)(const training_job *J, const FN(update_rule) * rule, ptrdiff_t panel, REAL *gradient) {
    const training_layer *L = J->layers + J->n_hidden;
    const ptrdiff_t C = J->n_outputs, lanes = J->block_rows, n_blocks = FN(blocks_of_batch)(J, J->batch),
                    at = panel * C * TILE;
    for (ptrdiff_t block = 0; block < n_blocks; block++)
        FN(product_rows)(block > 0, C, TILE, FN(rows_in_block)(J, J->batch, block), AT(z) + block * C * lanes, lanes,
                         FN(in_of)(J, J->n_hidden, J->batch, block, panel), TILE, gradient, TILE);
    FN(update)(rule, rule->decay, C * TILE, (REAL *)L->w + at, (REAL *)L->m + at, (REAL *)L->v + at, gradient);
    if (panel > 0 || !J->fit_intercept) return;
    for (ptrdiff_t c = 0; c < C; c++) {
        double sum = 0;
        for (ptrdiff_t block = 0; block < n_blocks; block++)
            for (ptrdiff_t b = 0; b < FN(rows_in_block)(J, J->batch, block); b++)
                sum += (double)AT(z)[(block * C + c) * lanes + b];
        gradient[c] = (REAL)sum;
    }
    FN(update)(rule, 0, C, L->b, L->mb, L->vb, gradient);
}

/* A tile of the first layer after a batch, and the next batch through it. */
static void FN(update_and_forward)(const training_job *J, const FN(update_rule) * rule, ptrdiff_t tile,
                                   REAL *gradient) {
    const ptrdiff_t next = J->batch + 1, n_panels = FN(panels)(J->layers[0].n_in);
    const ptrdiff_t n_blocks = next < J->n_batches ? FN(blocks_of_batch)(J, next) : 0;
    FN(update_unit_biases)(J, rule, 0, tile, gradient);
    for (ptrdiff_t block = 0; block < n_blocks; block++) FN(start_unit_tile)(J, 0, next, block, tile);
    for (ptrdiff_t panel = 0; panel < n_panels; panel += PANEL_GROUP) {
        const ptrdiff_t end = panel + PANEL_GROUP < n_panels ? panel + PANEL_GROUP : n_panels;
        FN(update_weights)(J, rule, 0, panel, end, tile, tile + 1, gradient);
        for (ptrdiff_t block = 0; block < n_blocks; block++)
            for (ptrdiff_t p = panel; p < end; p++) FN(forward_panel)(J, 0, next, block, tile, p);
    }
}

/* Block `index` of the layers from `first` on. */
static void FN(update_layers)(const training_job *J, const FN(update_rule) * rule, ptrdiff_t first, ptrdiff_t index,
                              REAL *gradient) {
    for (ptrdiff_t layer = first; layer < J->n_hidden; layer++) {
        const ptrdiff_t n = FN(blocks_of_layer)(J->layers + layer);
        if (index < n) {
            FN(update_hidden)(J, rule, layer, index, gradient);
            return;
        }
        index -= n;
    }
    FN(update_outputs)(J, rule, index, gradient);
}

static ptrdiff_t FN(count_blocks)(const training_job *J, ptrdiff_t first) {
    ptrdiff_t n = J->layers[J->n_hidden].n_tiles;
    for (ptrdiff_t layer = first; layer < J->n_hidden; layer++) n += FN(blocks_of_layer)(J->layers + layer);
    return n;
}

static FN(update_rule) FN(rule_at)(const training_job *J, int64_t step) {
    FN(update_rule)
    rule = {(REAL)J->learning_rate, (REAL)J->beta_1, (REAL)J->beta_2, (REAL)J->epsilon,
            (REAL)J->momentum,      (REAL)J->decay,  J->solver};
    if (J->solver == SOLVER_ADAM)
        rule.rate =
            (REAL)(J->learning_rate * sqrt(1 - pow(J->beta_2, (double)step)) / (1 - pow(J->beta_1, (double)step)));
    return rule;
}

/* A block of weights; `ahead`, a tile of the first layer and its share of the blocks of the others. */
static void FN(weights_block)(const void *task, ptrdiff_t index, char *memory) {
    const training_job *J = task;
    REAL *gradient = FN(carve_scratch)(memory).gradient;
    const uint64_t mode = flush_subnormals();
    const FN(update_rule) rule = FN(rule_at)(J, J->step + J->batch + 1);
    if (J->ahead) {
        const ptrdiff_t n_tiles = J->layers[0].n_tiles, last = part_start(J->n_weight_blocks, index + 1, n_tiles);
        FN(update_and_forward)(J, &rule, index, gradient);
        for (ptrdiff_t i = part_start(J->n_weight_blocks, index, n_tiles); i < last; i++)
            FN(update_layers)(J, &rule, 1, i, gradient);
    } else {
        FN(update_layers)(J, &rule, 0, index, gradient);
    }
    restore_subnormals(mode);
}
