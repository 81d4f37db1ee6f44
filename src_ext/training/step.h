/* One hidden ReLU layer, trained batch after batch by the team of threads        (included once per REAL)

   The hidden units are cut into tiles: their columns of W1, rows of W2 and all optimiser state. A step is one job of the
   team with a block for each tile, which stays with its thread as long as that comes in time. What crosses tiles is their
   shares of the logits: every thread adds the shares in the same order and computes the (small) loss and its gradient for
   itself, at its first block of a batch.
   Fused: gathering and scaling; bias, ReLU and logits; gradient, optimiser and the next batch's forward product,
   block of features by block of features, so W1 and its moments pass through the cache once a step and
   the gradient of W1 never exists as a whole (training/update.h: Adam and the product that uses its result at once).
   The tile does not depend on the number of threads, nor do the bits.

   Layout, T = TILE columns:  w1 (tiles, n_features, T); w2 (tiles, n_outputs, T), turned; hidden (tiles, lanes, T). */

#define TILE (2 * VLANES)
#define ROWS_AHEAD 6
#define AT(field) ((REAL *)J->field)

static inline ptrdiff_t NAME(rows_of)(const training_job *J, ptrdiff_t batch) {
    const ptrdiff_t left = J->n_rows - batch * J->batch_size;
    return left < J->batch_size ? left : J->batch_size;
}

/* One tile's part of the rows of a batch. Rows of X lie anywhere in a memory much larger than the caches: ask for them some
   rows ahead. */
static void NAME(gather)(const training_job *J, ptrdiff_t batch, ptrdiff_t tile) {
    if (batch >= J->n_batches) return;
    const ptrdiff_t n = NAME(rows_of)(J, batch);
    REAL *to = AT(batches) + (batch % 3) * J->batch_size * J->ldx;
    const int64_t *order = J->order + batch * J->batch_size;
    const ptrdiff_t row_bytes = J->data.n_features * source_bytes(J->data.source);
    const ptrdiff_t last = share_start(n, tile + 1, J->n_tiles);
    for (ptrdiff_t b = share_start(n, tile, J->n_tiles); b < last; b++) {
        const char *row = J->data.x + order[b] * J->data.stride;
        if (b + ROWS_AHEAD < last) {
            const char *later = J->data.x + order[b + ROWS_AHEAD] * J->data.stride;
            for (ptrdiff_t at = 0; at < row_bytes; at += 64) __builtin_prefetch(later + at);
        }
        NAME(gather_row)(to + b * J->ldx, row, J->data.source, J->data.n_features, (REAL)J->data.scale);
    }
}

/* Bias has been added: apply ReLU, turn the tile, and leave its share of the logits. turned: (TILE, lanes). */
static void NAME(share_logits)(const training_job *J, ptrdiff_t batch, ptrdiff_t tile, REAL *restrict turned) {
    const ptrdiff_t n = NAME(rows_of)(J, batch), lanes = J->lanes, size = J->n_outputs * lanes;
    REAL *restrict h = AT(hidden) + tile * lanes * TILE;
    for (ptrdiff_t b = 0; b < n; b++)
        for (ptrdiff_t j = 0; j < TILE; j++) {
            const REAL value = h[b * TILE + j];
            h[b * TILE + j] = value < 0 ? 0 : value; /* NaN stays NaN */
            turned[j * lanes + b] = h[b * TILE + j];
        }
    REAL *share = AT(shares) + ((batch & 1) * J->n_tiles + tile) * size;
    NAME(product_rows)(0, J->n_outputs, lanes, TILE, AT(w2) + tile * J->n_outputs * TILE, TILE, turned, lanes, share, lanes);
}

/* Forward product of a block of features for the rows of `batch` but the first `done`, into the tile's hidden units. */
static void NAME(forward_block)(const training_job *J, ptrdiff_t batch, ptrdiff_t tile, ptrdiff_t first, ptrdiff_t count,
                                ptrdiff_t done) {
    const REAL *x = AT(batches) + ((batch % 3) * J->batch_size + done) * J->ldx + first;
    const REAL *w = AT(w1) + (tile * J->data.n_features + first) * TILE;
    REAL *h = AT(hidden) + (tile * J->lanes + done) * TILE;
    NAME(product_rows)(1, NAME(rows_of)(J, batch) - done, TILE, count, x, J->ldx, w, TILE, h, TILE);
}

static void NAME(start_hidden)(const training_job *J, ptrdiff_t batch, ptrdiff_t tile) {
    REAL *h = AT(hidden) + tile * J->lanes * TILE;
    for (ptrdiff_t b = 0; b < NAME(rows_of)(J, batch); b++) memcpy(h + b * TILE, AT(b1) + tile * TILE, TILE * sizeof(REAL));
}

/* Logits of a batch from the shares of all tiles, then loss and gradient, all rows. */
static void NAME(loss_gradient)(training_job *J, ptrdiff_t batch, REAL *restrict z /* OUT */, REAL *restrict rows,
                                double divisor, loss_batch *B, loss_tally *tally) {
    const ptrdiff_t lanes = J->lanes, size = J->n_outputs * lanes;
    const REAL *b2 = AT(b2) + (batch & 1) * J->n_outputs;
    const REAL *share = AT(shares) + (batch & 1) * J->n_tiles * size;
    for (ptrdiff_t c = 0; c < J->n_outputs; c++)
        for (ptrdiff_t b = 0; b < lanes; b++) z[c * lanes + b] = b2[c];
    for (ptrdiff_t tile = 0; tile < J->n_tiles; tile++)
        for (ptrdiff_t i = 0; i < size; i++) z[i] += share[tile * size + i];
    if (J->loss == LOSS_SOFTMAX) NAME(softmax_loss)(B, z, rows, divisor, tally);
    else NAME(logistic_loss)(B, z, rows, divisor, tally);
}

/* The whole update of one tile after `batch`, and the forward pass of the next batch if there is one.
   z: gradient of the logits (n_outputs, lanes). Scratch: back (lanes, TILE), gradient (FEATURE_BLOCK or n_outputs, TILE),
   turned (TILE, lanes). */
static void NAME(step_tile)(const training_job *J, const NAME(update_rule) *rule, ptrdiff_t batch, ptrdiff_t tile,
                            const REAL *z, REAL *back, REAL *gradient, REAL *turned) {
    const ptrdiff_t n = NAME(rows_of)(J, batch), lanes = J->lanes, C = J->n_outputs, F = J->data.n_features;
    const int more = batch + 1 < J->n_batches;
    const int fused = more && rule->solver == SOLVER_ADAM && NAME(rows_of)(J, batch + 1) >= PRODUCT_ROWS;
    REAL *h = AT(hidden) + tile * lanes * TILE;
    REAL *w2 = AT(w2) + tile * C * TILE;
    NAME(product_columns)(0, n, TILE, C, z, lanes, w2, TILE, back, TILE);
    for (ptrdiff_t i = 0; i < n * TILE; i++) back[i] = h[i] > 0 ? back[i] : 0;
    NAME(product_rows)(0, C, TILE, n, z, lanes, h, TILE, gradient, TILE);
    NAME(update)(rule, rule->decay, C * TILE, w2, AT(m2) + tile * C * TILE, AT(v2) + tile * C * TILE, gradient);
    for (ptrdiff_t j = 0; j < TILE; j++) gradient[j] = 0;
    for (ptrdiff_t b = 0; b < n; b++)
        for (ptrdiff_t j = 0; j < TILE; j++) gradient[j] += back[b * TILE + j];
    NAME(update)(rule, 0, TILE, AT(b1) + tile * TILE, AT(mb1) + tile * TILE, AT(vb1) + tile * TILE, gradient);
    if (more) NAME(start_hidden)(J, batch + 1, tile);
    const REAL *x = AT(batches) + (batch % 3) * J->batch_size * J->ldx;
    for (ptrdiff_t first = 0; first < F; first += FEATURE_BLOCK) {
        const ptrdiff_t count = F - first < FEATURE_BLOCK ? F - first : FEATURE_BLOCK;
        const ptrdiff_t at = (tile * F + first) * TILE;
        NAME(product_columns)(0, count, TILE, n, x + first, J->ldx, back, TILE, gradient, TILE);
        ptrdiff_t done = 0;
        if (fused) {
            const REAL *next = AT(batches) + ((batch + 1) % 3) * J->batch_size * J->ldx + first;
            NAME(update_and_forward)(rule, count, AT(w1) + at, AT(m1) + at, AT(v1) + at, gradient, next, J->ldx, h);
            done = PRODUCT_ROWS;
        } else {
            NAME(update)(rule, rule->decay, count * TILE, AT(w1) + at, AT(m1) + at, AT(v1) + at, gradient);
        }
        if (more) NAME(forward_block)(J, batch + 1, tile, first, count, done);
    }
    if (more) NAME(share_logits)(J, batch + 1, tile, turned);
}

/* One owner for the output bias; two copies, since the others still read the old one. */
static void NAME(step_output_bias)(const training_job *J, const NAME(update_rule) *rule, ptrdiff_t batch, const REAL *z,
                                   REAL *gradient) {
    const ptrdiff_t C = J->n_outputs, n = NAME(rows_of)(J, batch);
    REAL *old = AT(b2) + (batch & 1) * C, *new = AT(b2) + ((batch + 1) & 1) * C;
    for (ptrdiff_t c = 0; c < C; c++) {
        double sum = 0;
        for (ptrdiff_t b = 0; b < n; b++) sum += (double)z[c * J->lanes + b];
        gradient[c] = (REAL)sum;
    }
    memcpy(new, old, C * sizeof(REAL));
    NAME(update)(rule, 0, C, new, AT(mb2), AT(vb2), gradient);
}

static NAME(update_rule) NAME(rule_at)(const training_job *J, int64_t step) {
    NAME(update_rule) rule = {(REAL)J->learning_rate, (REAL)J->beta_1, (REAL)J->beta_2, (REAL)J->epsilon, (REAL)J->momentum,
                              (REAL)J->decay, J->solver};
    if (J->solver == SOLVER_ADAM)
        rule.rate = (REAL)(J->learning_rate * sqrt(1 - pow(J->beta_2, (double)step)) / (1 - pow(J->beta_1, (double)step)));
    return rule;
}

/* Copy what the loss needs of the batch's rows next to each other. */
static void NAME(describe_batch)(const training_job *J, ptrdiff_t batch, int32_t *targets, double *weights,
                                 const uint8_t **labels, loss_batch *B /* OUT */) {
    const ptrdiff_t n = NAME(rows_of)(J, batch);
    for (ptrdiff_t b = 0; b < n; b++) {
        const int64_t row = J->order[batch * J->batch_size + b];
        if (J->targets) targets[b] = J->targets[row];
        else labels[b] = J->labels + row * J->n_outputs;
        if (J->weights) weights[b] = J->weights[row];
    }
    *B = (loss_batch){n, J->lanes, J->n_outputs, targets, labels, J->weights ? weights : NULL, J->smoothing};
}

/* A thread's scratch memory. The arrays hold the last batch that the thread has seen. */
typedef struct {
    ptrdiff_t batch; /* -1 at first */
    REAL *z, *rows, *back, *turned, *gradient;
    double *weights;
    int32_t *targets;
    const uint8_t **labels;
} NAME(thread_scratch);

static void NAME(carve_scratch)(const training_job *J, char *memory, NAME(thread_scratch) *s /* OUT */) {
    const ptrdiff_t lanes = J->lanes, C = J->n_outputs, block = C > FEATURE_BLOCK ? C : FEATURE_BLOCK;
    REAL *start = (REAL *)(memory + SCRATCH_HEADER);
    s->z = start, s->rows = s->z + C * lanes, s->back = s->rows + 4 * lanes;
    s->turned = s->back + lanes * TILE, s->gradient = s->turned + lanes * TILE;
    s->weights = (double *)(s->gradient + block * TILE);
    s->targets = (int32_t *)(s->weights + lanes);
    s->labels = (const uint8_t **)(s->weights + 2 * lanes);
    s->batch = -1;
}

/* Have the gradient of the logits of the batch under way in scratch. The caller's scratch is the first: it keeps the tally. */
static void NAME(have_loss)(training_job *J, NAME(thread_scratch) *s) {
    loss_batch B;
    loss_tally others = {0, 0, 0};
    loss_tally *tally = (char *)s == (char *)J->scratch ? &J->tally : &others;
    if (s->batch == J->batch) return;
    s->batch = J->batch;
    NAME(describe_batch)(J, J->batch, s->targets, s->weights, s->labels, &B);
    const double divisor = batch_weight(&B);
    tally->weight += divisor;
    NAME(loss_gradient)(J, J->batch, s->z, s->rows, divisor, &B, tally);
}

static void NAME(gather_block)(const void *task, ptrdiff_t tile, char *scratch) {
    (void)scratch;
    NAME(gather)((const training_job *)task, 0, tile);
}

/* The forward pass of a tile for the first batch. */
static void NAME(first_block)(const void *task, ptrdiff_t tile, char *scratch) {
    const training_job *J = task;
    const uint64_t mode = flush_subnormals();
    NAME(start_hidden)(J, 0, tile);
    NAME(forward_block)(J, 0, tile, 0, J->data.n_features, 0);
    NAME(share_logits)(J, 0, tile, ((NAME(thread_scratch) *)scratch)->turned);
    NAME(gather)(J, 1, tile);
    restore_subnormals(mode);
}

/* The step of a tile. Subnormal numbers are 0: moments of inputs that are seldom on decay to there, where a square root takes 5
   to 10 times as long. v = 0 beside a small m asks for an epsilon that is not smaller still (MIN_EPSILON in _fused.py). */
static void NAME(step_block)(const void *task, ptrdiff_t tile, char *scratch) {
    training_job *J = (training_job *)task;
    NAME(thread_scratch) *s = (NAME(thread_scratch) *)scratch;
    const uint64_t mode = flush_subnormals();
    const NAME(update_rule) rule = NAME(rule_at)(J, J->step + J->batch + 1);
    NAME(have_loss)(J, s);
    if (tile == J->n_tiles - 1) NAME(step_output_bias)(J, &rule, J->batch, s->z, s->gradient);
    NAME(step_tile)(J, &rule, J->batch, tile, s->z, s->back, s->gradient, s->turned);
    NAME(gather)(J, J->batch + 2, tile);
    restore_subnormals(mode);
}

/* Train on J->order, all batches in one go. */
static void NAME(train)(training_job *J, workers *w) {
    w->scratch = J->scratch, w->scratch_bytes = J->scratch_size * (ptrdiff_t)sizeof(REAL);
    J->n_batches = (J->n_rows + J->batch_size - 1) / J->batch_size;
    J->tally = (loss_tally){0, 0, 0};
    for (int i = 0; i < w->n_threads; i++) {
        NAME(thread_scratch) *s = (NAME(thread_scratch) *)(w->scratch + i * w->scratch_bytes);
        NAME(carve_scratch)(J, (char *)s, s);
        memset(s->turned, 0, J->lanes * TILE * sizeof(REAL));
    }
    share_blocks(w, NAME(gather_block), J, J->n_tiles);
    share_blocks(w, NAME(first_block), J, J->n_tiles);
    for (J->batch = 0; J->batch < J->n_batches; J->batch++) {
        share_blocks(w, NAME(step_block), J, J->n_tiles);
        NAME(have_loss)(J, (NAME(thread_scratch) *)w->scratch); /* if others have done all tiles */
    }
    if (J->n_batches & 1) memcpy(AT(b2), AT(b2) + J->n_outputs, J->n_outputs * sizeof(REAL));
}

#undef AT
#undef ROWS_AHEAD
#undef TILE
