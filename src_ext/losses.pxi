# Cross-entropy: the loss of each row, and its gradient.
#
# Loss alone: one read of the logits; nothing is stored, no probability materialised. With the gradient: as softmax,
# the terms staged in the gradient itself, the factor of the row folded into the last pass, and the target's
# entry mended after it from S', never as p - 1. Probabilities as targets and label smoothing add one pass for
# sum(t * (m - z)) and subtract t in the last. Error: 4 ULP a row for the loss, 4 ULP for the gradient.

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

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
    USED = 0
    IGNORED = 1
    BAD = 2                     # out of range only now: another thread has changed it

cdef struct LossTask:
    Geometry g
    const void *logits
    const void *targets
    int kind
    Kind target_kind            # of probabilities in memory
    double *losses
    void *grad                  # or NULL
    const double *weight        # or NULL
    const double *sample_weight  # or NULL
    bint has_ignore
    int64_t ignore_index
    double smoothing, z_loss, softcap, temperature, grad_scale
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
                                 const RowPlan *plan, const Part *parts, const real *t, real *grad) noexcept nogil:
    """Turn the staged terms of a row into its gradient."""
    cdef Py_ssize_t k, n = task.g.n_classes, at
    cdef double factor, error, share, product, probability = 0
    if task.kind != PROBABILITIES:
        probability = grad[r.y] * chunk_factor(grad, parts + r.y // CHUNK, stat, task.temperature, &error)
    share = loss.share * loss.scale
    for k in range(n_chunks(n)):
        at = k * CHUNK
        factor = chunk_factor(grad, parts + k, stat, task.temperature, &error)
        product = share * factor
        if t == NULL:
            scale_chunk(grad + at, at, chunk_size(n, k), product, fma(share, factor, -product) + share * error, plan)
        else:
            row_combine(grad + at, t + at, grad + at, chunk_size(n, k), product, loss.scale)
            store_narrow(grad, at, chunk_size(n, k), plan)
    if task.kind != PROBABILITIES:
        grad[r.y] = <real>target_entry(r, loss, 0 if t == NULL else t[r.y], stat.max, stat.others, probability)
        store_narrow(grad, r.y, 1, plan)


cdef inline void loss_row(const LossTask *task, Py_ssize_t lane, const real *x, const real *t, real *grad,
                          const RowPlan *plan, Part *parts) noexcept nogil:
    """One row: x its logits, t its dense targets or the base of its smoothing (or NULL), grad may be x."""
    cdef RowTarget r
    cdef RowLoss loss
    cdef Stat stat
    cdef Py_ssize_t n = task.g.n_classes
    read_target(task, lane, &r)
    if r.state != USED:
        set_row(task.losses + lane, grad, 1, n, 0 if r.state == IGNORED else NAN)
        if grad != NULL:
            store_narrow(grad, 0, n, plan)
        return
    load_narrow(<real *>x, r.y, 1, plan)
    r.z = x[r.y]
    stat.distance = stat.target = 0
    reduce_row(x, t, grad, n, plan, parts, &stat)
    row_loss(task, &r, stat.max, stat.others, stat.target + r.t, stat.distance / task.temperature, &loss)
    task.losses[lane] = loss.loss
    if grad != NULL:
        subtract_target(task, &r, &loss, &stat, plan, parts, t, grad)


include "loss_tiles.pxi"


cdef inline bint changes_targets(const LossTask *task) noexcept nogil:
    """Whether probabilities are not the dense targets t as they are."""
    return task.weight != NULL or task.smoothing != 0


cdef inline void dense_targets(const LossTask *task, real *t) noexcept nogil:
    """Turn a row of probabilities into t = weight * ((1 - smoothing) * y + smoothing / n_classes)."""
    if changes_targets(task):
        row_target(t, task.weight, task.smoothing, t, task.g.n_classes)


cdef inline void loss_single(const LossTask *task, Py_ssize_t first, const real *x, real *grad, char *scratch,
                             const RowPlan *plan) noexcept nogil:
    """A contiguous row: computed where it lies or, of 16 bits, passed through scratch in chunks."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t at = first * g.n_classes
    cdef real *row = <real *>scratch
    cdef real *t = <real *>(scratch + tile_bytes(g))
    cdef Part *parts = <Part *>(scratch + 2 * tile_bytes(g))
    cdef const real *targets = <const real *>task.base
    if task.kind == PROBABILITIES:
        if task.target_kind == g.kind and lies_ready(g) and not changes_targets(task):
            targets = <const real *>task.targets + at
        else:
            tile_load(g, task.target_kind, task.targets, first, 1, t)
            dense_targets(task, t)
            targets = t
    if plan.narrow != NULL:
        loss_row(task, first, row, targets, grad if grad == NULL else row, plan, parts)
    else:
        loss_row(task, first, x + at, targets, grad if grad == NULL else grad + at, plan, parts)


cdef inline void loss_lanes(const LossTask *task, Py_ssize_t first, Py_ssize_t n_lanes, char *scratch,
                            const real *logits, real *grad) noexcept nogil:
    """Compute lanes first .. first + n_lanes, at most `stride` of them."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t lane, n = g.n_classes
    cdef bint is_probabilities = task.kind == PROBABILITIES
    cdef real *tile = <real *>scratch
    cdef real *dense = <real *>(scratch + tile_bytes(g))
    cdef Part *parts = <Part *>(scratch + 2 * tile_bytes(g))
    cdef const real *t = <const real *>task.base
    cdef RowPlan plan
    plan_rows(g, logits, grad, first, False, task.temperature, True, &plan)
    if g.form == ROWS:
        loss_single(task, first, logits, grad, scratch, &plan)
        return
    tile_load(g, g.kind, logits, first, n_lanes, tile)
    if is_probabilities:
        tile_load(g, task.target_kind, task.targets, first, n_lanes, dense)
    if is_tile(g):
        if is_probabilities and changes_targets(task):
            lanes_target(dense, width_of(g, n_lanes), n, task.weight, task.smoothing)
        loss_tile(task, tile, dense if is_probabilities else <real *>NULL, first, n_lanes, scratch, &plan.ahead)
    else:
        for lane in range(n_lanes):
            if is_probabilities:
                dense_targets(task, dense + lane * n)
                t = dense + lane * n
            loss_row(task, first + lane, tile + lane * n, t, grad if grad == NULL else tile + lane * n, &plan, parts)
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


cdef int run_loss(LossTask *task, int n_threads) except -1:
    """Run the cross-entropy over a block whose task is filled."""
    cdef Geometry *g = &task.g
    if g.n_lanes == 0:
        return 0
    return run_blocks(loss_block_f64 if g.kind == KIND_F64 else loss_block_f32, task, g.n_blocks,
                      g.per_block * g.n_classes, n_threads, loss_scratch(task))
