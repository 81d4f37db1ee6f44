/* One hidden ReLU layer, trained batch after batch by one team of threads        (included once per REAL)

   A thread owns fixed tiles of hidden units: their columns of W1, rows of W2 and all optimiser state. What
   crosses threads is the tiles' shares of the logits, so one barrier a step is enough: every thread adds the shares
   in the same order and computes the (small) loss and its gradient for itself.
   Fused: gathering and scaling; bias, ReLU and logits; gradient, optimiser and the next batch's forward product,
   block of features by block of features, so W1 and its moments pass through the cache once a step and
   the gradient of W1 never exists as a whole (training_update.h: Adam and the product that uses its result at once).
   The tile does not depend on the number of threads, nor do the bits.

   Layout, T = TILE columns:  w1 (tiles, n_features, T); w2 (tiles, n_outputs, T), turned; hidden (tiles, lanes, T). */

#define TILE (2 * VLANES)
#define ROWS_AHEAD 6
#define AT(field) ((REAL *)J->field)

static inline ptrdiff_t NAME(rows_of)(const training_job *J, ptrdiff_t batch) {
    const ptrdiff_t left = J->n_rows - batch * J->batch_size;
    return left < J->batch_size ? left : J->batch_size;
}

/* Rows of X lie anywhere in a memory much larger than the caches: ask for them some rows ahead. */
static void NAME(gather)(const training_job *J, ptrdiff_t batch, int thread, int n_threads) {
    const ptrdiff_t n = NAME(rows_of)(J, batch);
    REAL *to = AT(batches) + (batch % 3) * J->batch_size * J->ldx;
    const int64_t *order = J->order + batch * J->batch_size;
    const ptrdiff_t row_bytes = J->data.n_features * source_bytes(J->data.source);
    const ptrdiff_t last = share_start(n, thread + 1, n_threads);
    for (ptrdiff_t b = share_start(n, thread, n_threads); b < last; b++) {
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
static void NAME(step_tile)(const training_job *J, const NAME(update_rule) *rule, ptrdiff_t batch, ptrdiff_t n_batches,
                            ptrdiff_t tile, const REAL *z, REAL *back, REAL *gradient, REAL *turned) {
    const ptrdiff_t n = NAME(rows_of)(J, batch), lanes = J->lanes, C = J->n_outputs, F = J->data.n_features;
    const int more = batch + 1 < n_batches;
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

/* Trains with subnormal numbers as 0: moments of inputs that are seldom on decay to there, where a square root takes 5 to
   10 times as long. v = 0 beside a small m asks for an epsilon that is not smaller still (MIN_EPSILON in _fused.py). */
static void NAME(train_thread)(training_job *J, spin_barrier *barrier, int thread, int n_threads) {
    const ptrdiff_t lanes = J->lanes, C = J->n_outputs;
    const ptrdiff_t n_batches = (J->n_rows + J->batch_size - 1) / J->batch_size;
    const ptrdiff_t first_tile = share_start(J->n_tiles, thread, n_threads);
    const ptrdiff_t last_tile = share_start(J->n_tiles, thread + 1, n_threads);
    const ptrdiff_t block = C > FEATURE_BLOCK ? C : FEATURE_BLOCK;
    REAL *z = AT(scratch) + thread * J->scratch_size, *rows = z + C * lanes, *back = rows + 4 * lanes;
    REAL *turned = back + lanes * TILE, *gradient = turned + lanes * TILE, *end = gradient + block * TILE;
    double *weights = (double *)end;
    int32_t *targets = (int32_t *)(weights + lanes);
    const uint8_t **labels = (const uint8_t **)(weights + 2 * lanes);
    loss_tally tally = {0, 0, 0};
    const uint64_t mode = flush_subnormals();

    memset(turned, 0, lanes * TILE * sizeof(REAL));
    NAME(gather)(J, 0, thread, n_threads);
    spin_wait(barrier);
    for (ptrdiff_t tile = first_tile; tile < last_tile; tile++) {
        NAME(start_hidden)(J, 0, tile);
        NAME(forward_block)(J, 0, tile, 0, J->data.n_features, 0);
        NAME(share_logits)(J, 0, tile, turned);
    }
    if (n_batches > 1) NAME(gather)(J, 1, thread, n_threads);
    spin_wait(barrier);
    for (ptrdiff_t batch = 0; batch < n_batches; batch++) {
        loss_batch B;
        NAME(describe_batch)(J, batch, targets, weights, labels, &B);
        const double divisor = batch_weight(&B);
        const NAME(update_rule) rule = NAME(rule_at)(J, J->step + batch + 1);
        tally.weight += divisor;
        NAME(loss_gradient)(J, batch, z, rows, divisor, &B, &tally);
        if (thread == n_threads - 1) NAME(step_output_bias)(J, &rule, batch, z, gradient);
        for (ptrdiff_t tile = first_tile; tile < last_tile; tile++)
            NAME(step_tile)(J, &rule, batch, n_batches, tile, z, back, gradient, turned);
        if (batch + 2 < n_batches) NAME(gather)(J, batch + 2, thread, n_threads);
        spin_wait(barrier);
    }
    if (thread == n_threads - 1) {
        if (n_batches & 1) memcpy(AT(b2), AT(b2) + C, C * sizeof(REAL));
        J->tally = tally;
    }
    restore_subnormals(mode);
}

/* Train on J->order, all batches in one go. */
static void NAME(train)(training_job *J, int n_threads) {
    spin_barrier barrier = {1, 0, 0, 0};
    J->stalls = 0;
    if (n_threads <= 1) {
        NAME(train_thread)(J, &barrier, 0, 1);
        return;
    }
#if defined(_OPENMP)
#pragma omp parallel num_threads(n_threads)
    {
#pragma omp single
        barrier.n_threads = omp_get_num_threads();
        NAME(train_thread)(J, &barrier, omp_get_thread_num(), omp_get_num_threads());
    }
    J->stalls = barrier.stalls;
#endif
}

#undef AT
#undef ROWS_AHEAD
#undef TILE
