# Cross-entropy: the loss of each row, and its gradient.
#
# Loss alone: one read of the logits; nothing is stored, no probability materialised. With the gradient: as softmax,
# the terms staged in the gradient itself, the factor of the row folded into the last pass, and the target's
# entry mended after it from S', never as p - 1. Probabilities as targets and label smoothing add one pass for
# sum(t * (m - z)) and subtract t in the last. Error: 4 ULP a row for the loss, 4 ULP for the gradient.

from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from *:
    """
    enum { INDEX_INT64, INDEX_INT32, INDEX_UINT8, PROBABILITIES };

    /* Read once: another thread may change it meanwhile. */
    static inline int64_t read_index(const void *targets, int kind, Py_ssize_t row) {
        if (kind == INDEX_INT64) return ((const volatile int64_t *)targets)[row];
        if (kind == INDEX_INT32) return ((const volatile int32_t *)targets)[row];
        return ((const volatile uint8_t *)targets)[row];
    }
    """
    int INDEX_INT64, INDEX_INT32, INDEX_UINT8, PROBABILITIES
    int64_t read_index(const void *targets, int kind, Py_ssize_t row) noexcept nogil

cdef enum RowState:
    USED
    IGNORED
    BAD                         # out of range only now: another thread has changed it

cdef struct LossTask:
    Geometry g
    const void *logits
    const void *targets
    int kind
    double *losses
    void *grad                  # or NULL
    const double *weight        # or NULL
    const double *sample_weight # or NULL
    bint has_ignore
    int64_t ignore_index
    double smoothing, z_loss, softcap, temperature, grad_scale
    bint plain                  # index targets, no smoothing, z_loss or softcap: has a form as a tile
    const void *base            # smoothing / n_classes * weight in the computing dtype; NULL without smoothing

cdef struct RowTarget:
    RowState state
    int64_t y                   # class index; 0 for probabilities
    double t                    # (1 - smoothing) * weight[y]; 0 for probabilities
    double s                    # sample weight
    double z                    # logit of y

cdef struct RowLoss:
    double loss
    double share                # T + 2 * z_loss * lse: what multiplies the probabilities
    double scale                # s * grad_scale / temperature


cdef inline void read_target(const LossTask *task, Py_ssize_t lane, RowTarget *r) noexcept nogil:
    cdef int64_t y
    r.state, r.y, r.t, r.z = USED, 0, 0, 0
    r.s = 1 if task.sample_weight == NULL else task.sample_weight[lane]
    if task.kind == PROBABILITIES:
        return
    y = read_index(task.targets, task.kind, lane)
    if task.has_ignore and y == task.ignore_index:
        r.state = IGNORED
    elif y < 0 or y >= task.g.n_classes:
        r.state = BAD
    else:
        r.y = y
        r.t = (1 - task.smoothing) * (1 if task.weight == NULL else task.weight[y])


cdef inline void row_loss(const LossTask *task, const RowTarget *r, double max, double others, double total,
                          double distance, RowLoss *result) noexcept nogil:
    """Loss and factors of one row; `distance` is the sum of t * (m - z) / temperature over dense targets."""
    cdef double log_sum = log1p(others), lse = max / task.temperature + log_sum
    if r.t != 0:
        distance += r.t * ((max - r.z) / task.temperature)
    result.loss = r.s * (total * log_sum + distance)
    result.share = total
    result.scale = r.s * task.grad_scale / task.temperature
    if task.z_loss != 0:
        result.loss += r.s * task.z_loss * lse * lse
        result.share += 2 * task.z_loss * lse


cdef inline double target_entry(const RowTarget *r, const RowLoss *loss, double base, double max, double others,
                                double probability) noexcept nogil:
    """Return the gradient at an index target: p - 1 would cancel where the target is the largest."""
    cdef double own = -others / (1 + others) if r.z == max else probability - 1
    return loss.scale * (r.t * own + (loss.share - r.t) * probability - base)


cdef inline void set_row(double *loss, real *grad, Py_ssize_t step, Py_ssize_t n, double value) noexcept nogil:
    """Give a row that is ignored (0) or bad (NaN) its loss and gradient."""
    cdef Py_ssize_t i
    loss[0] = value
    if grad != NULL:
        for i in range(n):
            grad[i * step] = <real>value


cdef inline void subtract_target(const LossTask *task, const RowTarget *r, const RowLoss *loss, const Stat *stat,
                                 const Part *parts, const real *t, real *grad) noexcept nogil:
    """Turn the staged terms of a row into its gradient."""
    cdef Py_ssize_t k, n = task.g.n_classes, at
    cdef long double factor
    cdef double probability = 0
    if task.kind != PROBABILITIES:
        probability = <double>(grad[r.y] * chunk_factor(parts + r.y // CHUNK, stat, task.temperature))
    for k in range(n_chunks(n)):
        at = k * CHUNK
        factor = loss.share * loss.scale * chunk_factor(parts + k, stat, task.temperature)
        if t == NULL:
            row_scale(grad + at, grad + at, chunk_size(n, k), factor)
        else:
            row_combine(grad + at, t + at, grad + at, chunk_size(n, k), <double>factor, loss.scale)
    if task.kind != PROBABILITIES:
        grad[r.y] = <real>target_entry(r, loss, 0 if t == NULL else t[r.y], stat.max, stat.others, probability)


cdef inline void loss_row(const LossTask *task, Py_ssize_t lane, const real *x, const real *t, real *grad,
                          Part *parts) noexcept nogil:
    """One row: x its logits, t its dense targets or the base of its smoothing (or NULL), grad may be x."""
    cdef RowTarget r
    cdef RowLoss loss
    cdef Stat stat
    cdef double total = 0, distance = 0
    cdef Py_ssize_t n = task.g.n_classes
    read_target(task, lane, &r)
    if r.state != USED:
        set_row(task.losses + lane, grad, 1, n, 0 if r.state == IGNORED else NAN)
        return
    r.z = x[r.y]
    if t != NULL:
        distance = row_distance(t, x, n, row_max(x, n), &total) / task.temperature
    reduce_row(x, grad, n, task.temperature, True, parts, &stat)
    row_loss(task, &r, stat.max, stat.others, total + r.t, distance, &loss)
    task.losses[lane] = loss.loss
    if grad != NULL:
        subtract_target(task, &r, &loss, &stat, parts, t, grad)


cdef inline double add(double a, double b, double *error) noexcept nogil:
    """Return a + b and add what its rounding loses to `error`."""
    cdef double total = a + b, part = total - a
    error[0] += (a - (total - part)) + (b - part)
    return total


cdef inline void loss_tile(const LossTask *task, real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                           char *scratch) noexcept nogil:
    """A tile of lanes with index targets and neither smoothing nor softcap nor z_loss."""
    cdef const Geometry *g = &task.g
    cdef real *m = <real *>lane_array(g, scratch, 0)
    cdef double *others = <double *>lane_array(g, scratch, 1)
    cdef double *n_max = <double *>lane_array(g, scratch, 2)
    cdef double *unit = <double *>lane_array(g, scratch, 3)
    cdef double *log_sum = <double *>lane_array(g, scratch, 4)
    cdef double *t = <double *>lane_array(g, scratch, 5)
    cdef double *sample = <double *>lane_array(g, scratch, 6)
    cdef double *z = <double *>lane_array(g, scratch, 7)
    cdef double *sum_of_all = <double *>lane_array(g, scratch, 8)
    cdef double *error = <double *>lane_array(g, scratch, 10)
    cdef int64_t *at = <int64_t *>lane_array(g, scratch, 9)
    cdef Py_ssize_t lane
    cdef RowTarget r
    cdef double p, own, total, distance
    for lane in range(n_lanes):
        read_target(task, first + lane, &r)
        at[lane] = r.y * g.stride + lane if r.state == USED else -1 - <int64_t>r.state
        t[lane], sample[lane] = r.t, r.s
        z[lane] = tile[r.y * g.stride + lane]
    lanes_max(tile, g.stride, g.n_classes, m)
    lanes_exp_sum(tile, g.stride, g.n_classes, m, task.temperature, task.grad != NULL, True, others,
                  error, n_max, unit)
    for lane in range(g.stride):
        sum_of_all[lane] = add(others[lane], n_max[lane] * unit[lane], error + lane)
        others[lane] = others[lane] / unit[lane] + (n_max[lane] - 1)
    log1p_lanes(others, log_sum, g.stride)
    for lane in range(n_lanes):
        distance = t[lane] * ((m[lane] - z[lane]) / task.temperature) if t[lane] != 0 else 0
        task.losses[first + lane] = sample[lane] * (t[lane] * log_sum[lane] + distance)
    if task.grad == NULL:
        clear_lanes(task, <real *>NULL, first, n_lanes, at)
        return
    for lane in range(n_lanes):
        total = t[lane] * sample[lane] * (task.grad_scale / task.temperature)
        p = tile[max(0, at[lane])] / sum_of_all[lane]
        own = -others[lane] / (1 + others[lane]) if z[lane] == m[lane] else p - 1
        divide(tile, total, sum_of_all[lane], error[lane], sum_of_all + lane, error + lane)
        log_sum[lane] = total * own
    lanes_scale(tile, g.stride, g.n_classes, sum_of_all, error)
    for lane in range(n_lanes):
        if at[lane] >= 0:
            tile[at[lane]] = <real>log_sum[lane]
    clear_lanes(task, tile, first, n_lanes, at)


cdef inline void clear_lanes(const LossTask *task, real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                             const int64_t *at) noexcept nogil:
    """Set the lanes that are ignored or bad."""
    cdef Py_ssize_t lane
    for lane in range(n_lanes):
        if at[lane] < 0:
            set_row(task.losses + first + lane, tile if tile == NULL else tile + lane, task.g.stride,
                    task.g.n_classes, 0 if -1 - at[lane] == IGNORED else NAN)


cdef inline void dense_targets(const LossTask *task, const real *y, real *t) noexcept nogil:
    """Write t = weight * ((1 - smoothing) * y + smoothing / n_classes) for one row of probabilities."""
    row_target(y, task.weight, task.smoothing, t, task.g.n_classes)


cdef inline void loss_lanes(const LossTask *task, Py_ssize_t first, Py_ssize_t n_lanes, char *scratch,
                            const real *logits, real *grad) noexcept nogil:
    """Compute lanes first .. first + n_lanes, at most `stride` of them."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t lane, n = g.n_classes
    cdef real *tile = <real *>scratch
    cdef real *dense = <real *>(scratch + tile_bytes(g))
    cdef Part *parts = <Part *>(scratch + 2 * tile_bytes(g))
    cdef const real *t = <const real *>task.base
    if g.form == ROWS and task.kind != PROBABILITIES:
        loss_row(task, first, logits + first * n, t, grad if grad == NULL else grad + first * n, parts)
        return
    tile_load(g, logits, first, n_lanes, tile)
    if g.form == TURNED or g.form == COLUMNS:
        loss_tile(task, tile, first, n_lanes, scratch)
    else:
        if task.kind == PROBABILITIES:
            tile_load(g, <const real *>task.targets, first, n_lanes, dense)
        for lane in range(n_lanes):
            if task.kind == PROBABILITIES:
                t = dense + lane * n
                dense_targets(task, t, dense + lane * n)
            loss_row(task, first + lane, tile + lane * n, t, grad if grad == NULL else tile + lane * n, parts)
    if grad != NULL:
        tile_store(g, tile, first, n_lanes, grad)


include "softcap.pxi"


cdef inline void loss_block(const void *argument, Py_ssize_t block, char *scratch, const real *dtype) noexcept nogil:
    cdef const LossTask *task = <const LossTask *>argument
    cdef Py_ssize_t piece, first, n_lanes
    for piece in range(n_pieces(&task.g, block)):
        first = first_lane(&task.g, block, piece)
        n_lanes = min(task.g.stride, task.g.n_lanes - first)
        if task.softcap != 0:
            capped_lanes(task, first, n_lanes, scratch, <const real *>task.logits, <real *>task.grad)
        else:
            loss_lanes(task, first, n_lanes, scratch, <const real *>task.logits, <real *>task.grad)


cdef void loss_block_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    loss_block(task, block, scratch, <const float *>NULL)


cdef void loss_block_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    loss_block(task, block, scratch, <const double *>NULL)


cdef int run_loss(LossTask *task, bint is_float, int n_threads) except -1:
    """Run the cross-entropy over a block whose task is filled."""
    cdef Geometry *g = &task.g
    cdef Py_ssize_t scratch_bytes
    if g.n_lanes == 0:
        return 0
    scratch_bytes = (6 if task.softcap != 0 else 2) * tile_bytes(g) + n_chunks(g.n_classes) * sizeof(Part)
    return run_blocks(loss_block_f32 if is_float else loss_block_f64, task, g.n_blocks,
                      g.per_block * g.n_classes, n_threads, scratch_bytes)
