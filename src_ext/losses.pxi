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

cdef extern from "lane_losses.h":
    void lanes_totals(Py_ssize_t n, const double *n_max, const double *unit, double *others, double *total,
                      double *error) noexcept nogil
    void lanes_loss(Py_ssize_t n, const double *t, const double *s, const double *m, const double *z,
                    const double *log_sum, double temperature, double *loss) noexcept nogil
    void lanes_factors(Py_ssize_t n, const double *t, const double *s, double scale, const double *others,
                       double *total_to_factor, double *error, double *share, double *missed) noexcept nogil

cdef enum RowState:
    USED = 0
    IGNORED = 1
    BAD = 2                     # out of range only now: another thread has changed it

cdef struct LossTask:
    Geometry g
    const void *logits
    const void *targets
    int kind
    double *losses
    void *grad                  # or NULL
    const double *weight        # or NULL
    const double *sample_weight  # or NULL
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


cdef inline void read_targets(const LossTask *task, const real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                              int64_t *at, double *z, double *t, double *s) noexcept nogil:
    """Where in the tile each lane's target lies (or minus its state), its logit and its weights."""
    cdef Py_ssize_t lane, stride = task.g.stride
    cdef bint weighs = task.weight != NULL or task.sample_weight != NULL or task.has_ignore
    cdef int64_t y
    cdef RowTarget r
    for lane in range(stride):
        at[lane], z[lane], t[lane], s[lane] = 0, 0, 1, 1
    for lane in range(n_lanes):
        if weighs:
            read_target(task, first + lane, &r)
            t[lane], s[lane] = r.t, r.s
            at[lane] = r.y * stride + lane if r.state == USED else -<int64_t>r.state
        else:
            y = read_index(task.targets, task.kind, first + lane)
            at[lane] = y * stride + lane if <uint64_t>y < <uint64_t>task.g.n_classes else -<int64_t>BAD
        z[lane] = tile[max(0, at[lane])]


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
    cdef double *s = <double *>lane_array(g, scratch, 6)
    cdef double *z = <double *>lane_array(g, scratch, 7)
    cdef double *total = <double *>lane_array(g, scratch, 8)
    cdef int64_t *at = <int64_t *>lane_array(g, scratch, 9)
    cdef double *error = <double *>lane_array(g, scratch, 10)
    cdef double *m_wide = <double *>lane_array(g, scratch, 11)
    cdef Py_ssize_t lane
    read_targets(task, tile, first, n_lanes, at, z, t, s)
    lanes_max(tile, g.stride, g.n_classes, m)
    lanes_exp_sum(tile, g.stride, g.n_classes, m, task.temperature, task.grad != NULL, True,
                  rows_after(g, <const real *>task.logits, first), rows_after(g, <const real *>task.grad, first),
                  others, error, n_max, unit)
    lanes_totals(g.stride, n_max, unit, others, total, error)
    log1p_lanes(others, log_sum, g.stride)
    for lane in range(g.stride):
        m_wide[lane] = m[lane]
    lanes_loss(g.stride, t, s, m_wide, z, log_sum, task.temperature, unit)
    memcpy(task.losses + first, unit, n_lanes * sizeof(double))
    if task.grad != NULL:
        lanes_factors(g.stride, t, s, task.grad_scale / task.temperature, others, total, error, n_max, log_sum)
        lanes_scale(tile, g.stride, g.n_classes, total, error)
        for lane in range(n_lanes):
            # p - 1 would cancel where the target is the largest; elsewhere p is at most a half
            if at[lane] >= 0:
                tile[at[lane]] = <real>(log_sum[lane] if z[lane] == m_wide[lane] else tile[at[lane]] - n_max[lane])
    clear_lanes(task, tile if task.grad != NULL else <real *>NULL, first, n_lanes, at)


cdef inline void clear_lanes(const LossTask *task, real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                             const int64_t *at) noexcept nogil:
    """Set the lanes that are ignored or bad."""
    cdef Py_ssize_t lane
    for lane in range(n_lanes):
        if at[lane] < 0:
            set_row(task.losses + first + lane, tile if tile == NULL else tile + lane, task.g.stride,
                    task.g.n_classes, 0 if -at[lane] == IGNORED else NAN)


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
    if g.form == ROWS:
        if task.kind == PROBABILITIES:
            t = <const real *>task.targets + first * n
            if task.weight != NULL or task.smoothing != 0:
                dense_targets(task, t, dense)
                t = dense
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


cdef inline Py_ssize_t loss_scratch(const LossTask *task) noexcept nogil:
    """Return the bytes of scratch that a thread needs: two tiles, the chunks of a row, capped rows."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t n_bytes = 2 * tile_bytes(g) + n_chunks(g.n_classes) * sizeof(Part)
    if task.softcap != 0:
        n_bytes += CAPPED_ROWS * round_up(g.n_classes, LANES_F64) * sizeof(double)
    return n_bytes


cdef int run_loss(LossTask *task, bint is_float, int n_threads) except -1:
    """Run the cross-entropy over a block whose task is filled."""
    cdef Geometry *g = &task.g
    if g.n_lanes == 0:
        return 0
    return run_blocks(loss_block_f32 if is_float else loss_block_f64, task, g.n_blocks,
                      g.per_block * g.n_classes, n_threads, loss_scratch(task))
