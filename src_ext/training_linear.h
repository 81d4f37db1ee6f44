/* Inference of any network of ReLU layers, and loss with gradient of a linear model over all rows   (once per REAL)

   Rows are taken ROW_BLOCK at a time: they stay in L2 through every layer, and in the linear model through both the
   forward product and the gradient, so that the data are read from memory once. Rows that need neither scaling nor
   converting are used where they are. */

/* Whether all values of a row are finite; uint8 always is. */
static int NAME(row_is_finite)(const char *row, int source, ptrdiff_t n) {
    if (source == SOURCE_FLOAT32) {
        const float *x = (const float *)row;
        float zero = 0;
#pragma omp simd reduction(+ : zero)
        for (ptrdiff_t i = 0; i < n; i++) zero += x[i] * 0.0f;
        return zero == 0;
    }
    if (source == SOURCE_FLOAT64) {
        const double *x = (const double *)row;
        double zero = 0;
#pragma omp simd reduction(+ : zero)
        for (ptrdiff_t i = 0; i < n; i++) zero += x[i] * 0.0;
        return zero == 0;
    }
    return 1;
}

/* Rows first..first + n as a matrix of REAL: where they are, or gathered into `buffer`. */
static const REAL *NAME(rows_as_real)(const data_rows *data, ptrdiff_t first, ptrdiff_t n, REAL *buffer, ptrdiff_t *ldx /* OUT */) {
    const char *x = data->x + first * data->stride;
    const int same = data->source == (REAL_IS_DOUBLE ? SOURCE_FLOAT64 : SOURCE_FLOAT32);
    if (same && data->scale == 1.0 && data->stride % (ptrdiff_t)sizeof(REAL) == 0) {
        *ldx = data->stride / (ptrdiff_t)sizeof(REAL);
        return (const REAL *)x;
    }
    *ldx = data->n_features;
    for (ptrdiff_t b = 0; b < n; b++)
        NAME(gather_row)(buffer + b * data->n_features, x + b * data->stride, data->source, data->n_features, (REAL)data->scale);
    return buffer;
}

/* (n, width) = bias + x @ weights, then ReLU. */
static void NAME(layer)(ptrdiff_t n, ptrdiff_t depth, ptrdiff_t width, const REAL *x, ptrdiff_t ldx, const REAL *weights,
                        ptrdiff_t ldw, const REAL *bias, int relu, REAL *restrict to /* OUT */) {
    for (ptrdiff_t b = 0; b < n; b++) memcpy(to + b * width, bias, width * sizeof(REAL));
    NAME(product_rows)(1, n, width, depth, x, ldx, weights, ldw, to, width);
    if (relu)
        for (ptrdiff_t i = 0; i < n * width; i++) to[i] = to[i] < 0 ? 0 : to[i];
}

/* Fetch a part of the rows first .. first + n while others are computed; past the end nothing happens. */
static void NAME(fetch_rows)(const data_rows *data, ptrdiff_t first, ptrdiff_t n, int part, int n_parts) {
    const ptrdiff_t bytes = n * data->stride;
    if (bytes < 0) return;
    const char *rows = data->x + first * data->stride;
    for (ptrdiff_t at = bytes * part / n_parts; at < bytes * (part + 1) / n_parts; at += 64)
        __builtin_prefetch(rows + at, 0, 2);
}

/* The layer over rows of the data, PRODUCT_ROWS at a time; beside them the `n_next` rows behind these n are fetched, in
   parts from 0 on. Returns the number of parts. */
static int NAME(first_layer)(const data_rows *data, ptrdiff_t first, ptrdiff_t n, ptrdiff_t n_next, int n_parts, ptrdiff_t width,
                             const REAL *x, ptrdiff_t ldx, const REAL *weights, ptrdiff_t ldw, const REAL *bias, int relu,
                             REAL *restrict to /* OUT */) {
    int part = 0;
    for (ptrdiff_t b = 0; b < n; b += PRODUCT_ROWS) {
        const ptrdiff_t few = n - b < PRODUCT_ROWS ? n - b : PRODUCT_ROWS;
        NAME(fetch_rows)(data, first + n, n_next, part++, n_parts);
        NAME(layer)(few, data->n_features, width, x + b * ldx, ldx, weights, ldw, bias, relu, to + b * width);
    }
    return part;
}

/* Copy a matrix with any steps (in numbers) into rows of whole vectors, padded with zeros. */
static void NAME(pack)(const REAL *from, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t row_step, ptrdiff_t column_step,
                       REAL *restrict to /* OUT */, ptrdiff_t width) {
    for (ptrdiff_t i = 0; i < rows; i++, to += width, from += row_step) {
        for (ptrdiff_t j = 0; j < columns; j++) to[j] = from[j * column_step];
        for (ptrdiff_t j = columns; j < width; j++) to[j] = 0;
    }
}

static int NAME(logits_of_block)(const network_job *J, ptrdiff_t block, REAL *scratch) {
    const ptrdiff_t first = block * ROW_BLOCK, left = J->n_rows - first, n = left < ROW_BLOCK ? left : ROW_BLOCK;
    const ptrdiff_t F = J->data.n_features;
    int finite = 1;
    for (ptrdiff_t b = 0; b < n; b++)
        finite &= NAME(row_is_finite)(J->data.x + (first + b) * J->data.stride, J->data.source, F);
    ptrdiff_t depth = F, ldx;
    const ptrdiff_t most = J->n_rows < ROW_BLOCK ? J->n_rows : ROW_BLOCK;
    REAL *to = scratch + most * F, *other = to + most * J->widest;
    const REAL *x = NAME(rows_as_real)(&J->data, first, n, scratch, &ldx);
    for (ptrdiff_t i = 0; i < J->n_layers; i++) {
        const ptrdiff_t width = J->widths[i];
        const int relu = i + 1 < J->n_layers;
        if (i > 0) NAME(layer)(n, depth, width, x, ldx, J->weights[i], J->lds[i], J->biases[i], relu, to);
        else
            NAME(first_layer)(&J->data, first, n, left - n < ROW_BLOCK ? left - n : ROW_BLOCK, ROW_BLOCK / PRODUCT_ROWS + 1,
                              width, x, ldx, J->weights[i], J->lds[i], J->biases[i], relu, to);
        x = to, ldx = width, depth = J->sizes[i];
        REAL *swap = to;
        to = other, other = swap;
    }
    REAL *out = (REAL *)J->out + first * J->n_outputs;
    for (ptrdiff_t b = 0; b < n; b++) memcpy(out + b * J->n_outputs, x + b * ldx, J->n_outputs * sizeof(REAL));
    return finite;
}

/* Logits of all rows. Returns whether X was finite. */
static int NAME(forward)(const network_job *J, int n_threads) {
    const ptrdiff_t n_blocks = (J->n_rows + ROW_BLOCK - 1) / ROW_BLOCK;
    REAL *scratch = J->scratch;
    int finite = 1;
    if (n_threads <= 1) {
        for (ptrdiff_t block = 0; block < n_blocks; block++) finite &= NAME(logits_of_block)(J, block, scratch);
        return finite;
    }
#if defined(_OPENMP)
#pragma omp parallel for num_threads(n_threads) schedule(static) reduction(& : finite)
    for (ptrdiff_t block = 0; block < n_blocks; block++)
        finite &= NAME(logits_of_block)(J, block, scratch + omp_get_thread_num() * J->scratch_size);
#endif
    return finite;
}

/* Loss and gradient of some rows of one group, added to what earlier calls have summed. The group's gradient: (n_features + 1, width), bias last. */
static void NAME(linear_group)(const linear_job *J, ptrdiff_t group, REAL *scratch) {
    const ptrdiff_t F = J->data.n_features, C = J->n_outputs, width = J->width, lanes = ROW_BLOCK;
    REAL *buffer = scratch, *logits = buffer + ROW_BLOCK * F, *z = logits + ROW_BLOCK * width, *rows = z + C * lanes;
    REAL *gradient = (REAL *)J->gradients + group * (F + 1) * width;
    const REAL *weights = J->weights;
    const uint8_t *labels[ROW_BLOCK];
    loss_tally tally = J->tallies[group];
    if (J->first == 0) memset(gradient, 0, (F + 1) * width * sizeof(REAL));
    const ptrdiff_t start = share_start(J->n_rows, group, J->n_groups) + J->first;
    const ptrdiff_t last = share_start(J->n_rows, group + 1, J->n_groups);
    const ptrdiff_t end = last - start < J->count ? last : start + J->count;
    for (ptrdiff_t first = start; first < end; first += ROW_BLOCK) {
        const ptrdiff_t n = end - first < ROW_BLOCK ? end - first : ROW_BLOCK;
        ptrdiff_t ldx;
        const REAL *x = NAME(rows_as_real)(&J->data, first, n, buffer, &ldx);
        const ptrdiff_t next = first + n, n_next = end - next < ROW_BLOCK ? end - next : ROW_BLOCK;
        int part = NAME(first_layer)(&J->data, first, n, n_next, FETCH_PARTS, width, x, ldx, weights, width,
                                     weights + F * width, 0, logits);
        for (ptrdiff_t c = 0; c < C; c++)
            for (ptrdiff_t b = 0; b < lanes; b++) z[c * lanes + b] = b < n ? logits[b * width + c] : 0;
        for (ptrdiff_t b = 0; J->labels && b < n; b++) labels[b] = J->labels + (first + b) * C;
        const loss_batch B = {n, lanes, C, J->targets ? J->targets + first : NULL, labels,
                              J->sample_weights ? J->sample_weights + first : NULL, J->smoothing};
        tally.weight += batch_weight(&B);
        if (J->labels) NAME(logistic_loss)(&B, z, rows, 1.0, &tally);
        else NAME(softmax_loss)(&B, z, rows, 1.0, &tally);
        for (ptrdiff_t b = 0; b < n; b++)
            for (ptrdiff_t c = 0; c < C; c++) {
                logits[b * width + c] = z[c * lanes + b];
                gradient[F * width + c] += z[c * lanes + b];
            }
        const ptrdiff_t step = (F / (FETCH_PARTS - part) / PRODUCT_ROWS + 1) * PRODUCT_ROWS;
        for (ptrdiff_t f = 0; f < F; f += step) {
            const ptrdiff_t some = F - f < step ? F - f : step;
            NAME(fetch_rows)(&J->data, next, n_next, part++, FETCH_PARTS);
            NAME(product_columns)(1, some, width, n, x + f, ldx, logits, width, gradient + f * width, width);
        }
    }
    J->tallies[group] = tally;
}

/* Sum the groups' gradients in order, in double, for a share of the entries. */
static void NAME(linear_sum)(const linear_job *J, int thread, int n_threads) {
    const ptrdiff_t size = (J->data.n_features + 1) * J->width;
    const ptrdiff_t first = share_start(size, thread, n_threads), end = share_start(size, thread + 1, n_threads);
    for (ptrdiff_t i = first; i < end; i++) J->total[i] = 0;
    for (ptrdiff_t group = 0; group < J->n_groups; group++) {
        const REAL *gradient = (const REAL *)J->gradients + group * size;
        for (ptrdiff_t i = first; i < end; i++) J->total[i] += (double)gradient[i];
    }
}

static void NAME(linear_loss_gradient)(const linear_job *J, int n_threads) {
    if (n_threads <= 1) {
        for (ptrdiff_t group = 0; group < J->n_groups; group++) NAME(linear_group)(J, group, J->scratch);
        if (J->total) NAME(linear_sum)(J, 0, 1);
        return;
    }
#if defined(_OPENMP)
#pragma omp parallel num_threads(n_threads)
    {
        const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic)
        for (ptrdiff_t group = 0; group < J->n_groups; group++)
            NAME(linear_group)(J, group, (REAL *)J->scratch + thread * J->scratch_size);
        if (J->total) NAME(linear_sum)(J, thread, omp_get_num_threads());
    }
#endif
}
