/* A network of ReLU layers, trained batch after batch by the team of threads        (included once per REAL)

   A batch is two jobs of the team. In the first its rows, some at a time, go through all layers and the loss, and the
   gradient comes back to every hidden layer: rows need nothing of each other. In the second each block takes some inputs
   and some units of a layer, sums their gradient over the whole batch, and updates their weights: the gradient of a
   matrix never exists as a whole. One layer without hidden ones, the linear model, goes the same way.

   Where batches are small, reading the first layer's weights costs more than anything: then a tile of its units is one
   block of the second job, which also sends the next batch through the weights that it has just updated (`ahead`).

   All matrices lie in panels of T columns, T = two vectors, so that products read memory in order:
   x and the outputs of a hidden layer are (blocks of rows, panels, rows, T), weights (tiles of T units, inputs, T).
   Neither T nor the blocks of rows depend on the number of threads, nor do the bits; how the second job is cut does not
   enter into them. */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "training/product.h"
#include "training/dots.h"
#include "training/loss.h"
#include "training/update.h"
#endif

#define TILE (2 * LANES)
#define ROWS_AHEAD 6
#define AT(field) ((REAL *)J->field)

static inline ptrdiff_t FN(rows_of)(const training_job *J, ptrdiff_t batch) {
    const ptrdiff_t left = J->n_rows - batch * J->batch_size;
    return left < J->batch_size ? left : J->batch_size;
}

/* Rows in a block of a batch, 0 or less for blocks beyond a short last batch. */
static inline ptrdiff_t FN(rows_in_block)(const training_job *J, ptrdiff_t batch, ptrdiff_t block) {
    const ptrdiff_t left = FN(rows_of)(J, batch) - block * J->block_rows;
    return left < J->block_rows ? left : J->block_rows;
}

static inline ptrdiff_t FN(panels)(ptrdiff_t columns) { return (columns + TILE - 1) / TILE; }

/* Columns in a panel of so many. */
static inline ptrdiff_t FN(columns_in)(ptrdiff_t columns, ptrdiff_t panel) {
    const ptrdiff_t left = columns - panel * TILE;
    return left < TILE ? left : TILE;
}

/* Panel of a block of rows in a matrix of n_panels panels. */
static inline REAL *FN(panel_of)(const training_job *J, void *matrix, ptrdiff_t n_panels, ptrdiff_t block, ptrdiff_t panel) {
    return (REAL *)matrix + (block * n_panels + panel) * J->block_rows * TILE;
}

static inline REAL *FN(x_of)(const training_job *J, ptrdiff_t batch, ptrdiff_t block, ptrdiff_t panel) {
    const ptrdiff_t copy = batch % J->copies;
    return FN(panel_of)(J, J->x, FN(panels)(J->data.n_features), copy * J->n_blocks + block, panel);
}

static inline REAL *FN(out_of)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block, ptrdiff_t tile) {
    const training_layer *L = J->layers + layer;
    const ptrdiff_t copy = layer == 0 ? batch % J->copies : 0;
    return FN(panel_of)(J, L->out, L->n_tiles, copy * J->n_blocks + block, tile);
}

static inline REAL *FN(back_of)(const training_job *J, ptrdiff_t layer, ptrdiff_t block, ptrdiff_t tile) {
    const training_layer *L = J->layers + layer;
    return FN(panel_of)(J, L->back, L->n_tiles, block, tile);
}

/* What a layer reads. */
static inline REAL *FN(in_of)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block, ptrdiff_t panel) {
    return layer == 0 ? FN(x_of)(J, batch, block, panel) : FN(out_of)(J, layer - 1, batch, block, panel);
}

/* ---- a batch's rows ---- */

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

static void FN(start_unit_tile)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block, ptrdiff_t tile) {
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
static void FN(loss_of_block)(training_job *J, ptrdiff_t batch, ptrdiff_t block, const FN(training_scratch) *s) {
    const training_layer *L = J->layers + J->n_hidden;
    const ptrdiff_t n = FN(rows_in_block)(J, batch, block), C = J->n_outputs, lanes = J->block_rows;
    const ptrdiff_t n_inputs = J->n_hidden ? L->n_tiles * TILE : J->data.n_features, depth = (n_inputs + LANES - 1) / LANES * LANES;
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
            FN(product_columns)(0, n, TILE, C, AT(z) + block * C * lanes, lanes, (REAL *)next->w + tile * C * TILE, TILE,
                                back, TILE);
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

/* ---- a batch's weights ---- */

static inline ptrdiff_t FN(blocks_of_batch)(const training_job *J, ptrdiff_t batch) {
    return (FN(rows_of)(J, batch) + J->block_rows - 1) / J->block_rows;
}

/* Sum the gradients of some panels of inputs by some tiles of units over the batch, and update those weights. The state of
   each is fetched beside the products. gradient: (panels, tiles, T, T). */
static void FN(update_weights)(const training_job *J, const FN(update_rule) *rule, ptrdiff_t layer, ptrdiff_t panel,
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

static void FN(update_unit_biases)(const training_job *J, const FN(update_rule) *rule, ptrdiff_t layer, ptrdiff_t tile,
                                   REAL *gradient) {
    const training_layer *L = J->layers + layer;
    for (ptrdiff_t j = 0; j < TILE; j++) gradient[j] = 0;
    for (ptrdiff_t block = 0; block < FN(blocks_of_batch)(J, J->batch); block++) {
        const REAL *back = FN(back_of)(J, layer, block, tile);
        for (ptrdiff_t b = 0; b < FN(rows_in_block)(J, J->batch, block); b++)
            for (ptrdiff_t j = 0; j < TILE; j++) gradient[j] += back[b * TILE + j];
    }
    FN(update)(rule, 0, TILE, (REAL *)L->b + tile * TILE, (REAL *)L->mb + tile * TILE, (REAL *)L->vb + tile * TILE, gradient);
}

/* Panels by tiles that are one block of work. */
static inline ptrdiff_t FN(blocks_of_layer)(const training_layer *L) {
    return (FN(panels)(L->n_in) + PANEL_GROUP - 1) / PANEL_GROUP * ((L->n_tiles + TILE_GROUP - 1) / TILE_GROUP);
}

static void FN(update_hidden)(const training_job *J, const FN(update_rule) *rule, ptrdiff_t layer, ptrdiff_t index,
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
static void FN(update_outputs)(const training_job *J, const FN(update_rule) *rule, ptrdiff_t panel, REAL *gradient) {
    const training_layer *L = J->layers + J->n_hidden;
    const ptrdiff_t C = J->n_outputs, lanes = J->block_rows, n_blocks = FN(blocks_of_batch)(J, J->batch), at = panel * C * TILE;
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
static void FN(update_and_forward)(const training_job *J, const FN(update_rule) *rule, ptrdiff_t tile, REAL *gradient) {
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
static void FN(update_layers)(const training_job *J, const FN(update_rule) *rule, ptrdiff_t first, ptrdiff_t index,
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
    FN(update_rule) rule = {(REAL)J->learning_rate, (REAL)J->beta_1, (REAL)J->beta_2, (REAL)J->epsilon, (REAL)J->momentum,
                            (REAL)J->decay, J->solver};
    if (J->solver == SOLVER_ADAM)
        rule.rate = (REAL)(J->learning_rate * sqrt(1 - pow(J->beta_2, (double)step)) / (1 - pow(J->beta_1, (double)step)));
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

/* ---- all batches ---- */

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

/* Train on J->order, all batches in one go. */
static void FN(train)(training_job *J, workers *w) {
    w->scratch = J->scratch, w->scratch_bytes = J->scratch_size * (ptrdiff_t)sizeof(REAL);
    J->n_batches = (J->n_rows + J->batch_size - 1) / J->batch_size;
    J->tally = (loss_tally){0, 0, 0};
    const ptrdiff_t n_tiles = J->n_hidden ? J->layers[0].n_tiles : 0;
    J->ahead = J->n_hidden && J->copies > 1 && n_tiles % w->n_threads == 0;
    J->n_weight_blocks = FN(count_blocks)(J, J->ahead);
    for (ptrdiff_t layer = 1; layer < J->n_hidden; layer++)
        for (ptrdiff_t panel = 0; panel < FN(panels)(J->layers[layer].n_in); panel++)
            for (ptrdiff_t tile = 0; tile < J->layers[layer].n_tiles; tile++) FN(transpose_weights)(J, layer, panel, tile);
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
#undef ROWS_AHEAD
#undef TILE
