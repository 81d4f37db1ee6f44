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

cdef extern from "lane_losses.h":
    ctypedef struct LossLanes:
        double *sum
        double *sum_error
        double *n_max
        double *unit
        double *max
        double *z
        double *t
        double *s
        double *distance
        double *dense
        double *loss
        double *factor
        double *factor_error
        double *scale
        double *own
    ctypedef struct LossKind:
        double temperature, z_loss, grad_scale
        int weighted, dense, with_grad, is_double
    void lanes_finish(const LossLanes *lanes, Py_ssize_t n, const LossKind *kind) noexcept nogil

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
                          const Upcoming *ahead, Part *parts) noexcept nogil:
    """One row: x its logits, t its dense targets or the base of its smoothing (or NULL), grad may be x."""
    cdef RowTarget r
    cdef RowLoss loss
    cdef Stat stat
    cdef Py_ssize_t n = task.g.n_classes
    read_target(task, lane, &r)
    if r.state != USED:
        set_row(task.losses + lane, grad, 1, n, 0 if r.state == IGNORED else NAN)
        return
    r.z = x[r.y]
    stat.distance = stat.target = 0
    reduce_row(x, t, grad, n, task.temperature, True, ahead, parts, &stat)
    row_loss(task, &r, stat.max, stat.others, stat.target + r.t, stat.distance / task.temperature, &loss)
    task.losses[lane] = loss.loss
    if grad != NULL:
        subtract_target(task, &r, &loss, &stat, parts, t, grad)


cdef inline bint is_dense(const LossTask *task) noexcept nogil:
    """Whether all classes of a row take part in its target, or its loss has a term of lse."""
    return task.kind == PROBABILITIES or task.base != NULL or task.z_loss != 0


cdef inline LossKind kind_of(const LossTask *task) noexcept nogil:
    cdef LossKind kind
    kind.temperature, kind.z_loss, kind.grad_scale = task.temperature, task.z_loss, task.grad_scale
    kind.weighted = task.weight != NULL or task.sample_weight != NULL or task.has_ignore or is_dense(task)
    kind.dense, kind.with_grad = is_dense(task), task.grad != NULL
    kind.is_double = task.g.kind == KIND_F64
    return kind


cdef void take_lanes(const Geometry *g, char *scratch, LossLanes *a) noexcept nogil:
    """Take arrays of scratch; the first is left for the maxima in the computing dtype."""
    a.sum, a.sum_error = <double *>lane_array(g, scratch, 1), <double *>lane_array(g, scratch, 2)
    a.n_max, a.unit = <double *>lane_array(g, scratch, 3), <double *>lane_array(g, scratch, 4)
    a.max, a.z = <double *>lane_array(g, scratch, 5), <double *>lane_array(g, scratch, 6)
    a.t, a.s = <double *>lane_array(g, scratch, 7), <double *>lane_array(g, scratch, 8)
    a.distance, a.dense = <double *>lane_array(g, scratch, 9), <double *>lane_array(g, scratch, 10)
    a.loss, a.scale = a.distance, <double *>lane_array(g, scratch, 11)
    a.factor, a.factor_error = <double *>lane_array(g, scratch, 12), <double *>lane_array(g, scratch, 13)
    a.own = <double *>lane_array(g, scratch, 14)


cdef inline bint read_targets(const LossTask *task, const real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                              bint weighted, LossLanes *a, int64_t *at) noexcept nogil:
    """Where in the tile each lane's target lies (or minus its state), its logit and its weights.

    Returns whether a lane is ignored or bad.
    """
    cdef Py_ssize_t lane, stride = task.g.stride
    cdef int64_t y
    cdef bint special = False
    cdef RowTarget r
    for lane in range(n_lanes):
        if weighted:
            read_target(task, first + lane, &r)
            a.t[lane], a.s[lane] = r.t, r.s
            at[lane] = r.y * stride + lane if r.state == USED else -<int64_t>r.state
        else:
            y = read_index(task.targets, task.kind, first + lane)
            at[lane] = y * stride + lane if <uint64_t>y < <uint64_t>task.g.n_classes else -<int64_t>BAD
        special |= at[lane] < 0
        a.z[lane] = tile[max(0, at[lane])]
    for lane in range(n_lanes, stride):
        a.z[lane], a.t[lane], a.s[lane] = 0, 1, 1
    return special


cdef inline void mend_targets(const LossTask *task, real *tile, Py_ssize_t n_lanes, const LossKind *kind,
                              const LossLanes *a, const int64_t *at) noexcept nogil:
    """Give index targets their entries: p - 1 would cancel where the target is the largest; elsewhere p is at most
    a half."""
    cdef Py_ssize_t lane
    cdef const real *base = <const real *>task.base
    cdef double t, entry
    for lane in range(n_lanes):
        if at[lane] < 0:
            continue
        if a.z[lane] == a.max[lane]:
            entry = a.own[lane]
            if base != NULL:
                entry -= a.scale[lane] * base[at[lane] // task.g.stride]
        else:
            t = a.t[lane] if kind.weighted else 1
            entry = tile[at[lane]] - a.scale[lane] * t
        tile[at[lane]] = <real>entry


cdef inline void loss_tile(const LossTask *task, real *tile, const real *t, Py_ssize_t first, Py_ssize_t n_lanes,
                           char *scratch, const Upcoming *ahead) noexcept nogil:
    """A tile of lanes; t is a tile of dense targets, or NULL."""
    cdef const Geometry *g = &task.g
    cdef LossLanes a
    cdef LossKind kind = kind_of(task)
    cdef real *m = <real *>lane_array(g, scratch, 0)
    cdef int64_t *at = <int64_t *>lane_array(g, scratch, 15)
    cdef const real *base = <const real *>task.base
    cdef Py_ssize_t lane, n = g.n_classes
    cdef bint special
    take_lanes(g, scratch, &a)
    special = read_targets(task, tile, first, n_lanes, kind.weighted, &a, at)
    lanes_max(tile, g.stride, n, m)
    if t != NULL or base != NULL:
        lanes_distance(tile, t, base, g.stride, n, m, a.distance, a.dense)
    elif kind.dense:
        memset(a.distance, 0, g.stride * sizeof(double))
        memset(a.dense, 0, g.stride * sizeof(double))
    lanes_exp_sum(tile, g.stride, n, m, task.temperature, kind.with_grad, True, ahead, a.sum, a.sum_error, a.n_max,
                  a.unit)
    for lane in range(g.stride):
        a.max[lane] = m[lane]
    lanes_finish(&a, g.stride, &kind)
    memcpy(task.losses + first, a.loss, n_lanes * sizeof(double))
    if kind.with_grad:
        if t != NULL or base != NULL:
            lanes_combine(tile, t, base, g.stride, n, a.factor, a.factor_error, a.scale)
        else:
            lanes_scale(tile, g.stride, n, a.factor, a.factor_error)
        if task.kind != PROBABILITIES:
            mend_targets(task, tile, n_lanes, &kind, &a, at)
    if special:
        clear_lanes(task, tile if kind.with_grad else <real *>NULL, first, n_lanes, at)


cdef inline void clear_lanes(const LossTask *task, real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                             const int64_t *at) noexcept nogil:
    """Set the lanes that are ignored or bad."""
    cdef Py_ssize_t lane
    for lane in range(n_lanes):
        if at[lane] < 0:
            set_row(task.losses + first + lane, tile if tile == NULL else tile + lane, task.g.stride,
                    task.g.n_classes, 0 if -at[lane] == IGNORED else NAN)


cdef inline bint changes_targets(const LossTask *task) noexcept nogil:
    """Whether probabilities are not the dense targets t as they are."""
    return task.weight != NULL or task.smoothing != 0


cdef inline void dense_targets(const LossTask *task, real *t) noexcept nogil:
    """Turn a row of probabilities into t = weight * ((1 - smoothing) * y + smoothing / n_classes)."""
    if changes_targets(task):
        row_target(t, task.weight, task.smoothing, t, task.g.n_classes)


cdef inline void loss_in_place(const LossTask *task, Py_ssize_t first, const real *x, real *grad, real *t,
                               const Upcoming *ahead, Part *parts) noexcept nogil:
    """A row that is computed where it lies; t is scratch for dense targets."""
    cdef Py_ssize_t at = first * task.g.n_classes
    cdef const real *targets = <const real *>task.base
    if task.kind == PROBABILITIES:
        if task.target_kind == task.g.kind and not changes_targets(task):
            targets = <const real *>task.targets + at
        else:
            tile_load(&task.g, task.target_kind, task.targets, first, 1, t)
            dense_targets(task, t)
            targets = t
    loss_row(task, first, x + at, targets, grad if grad == NULL else grad + at, ahead, parts)


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
    cdef Upcoming ahead = next_piece(g, logits, grad, first)
    if lies_ready(g):
        loss_in_place(task, first, logits, grad, dense, &ahead, parts)
        return
    tile_load(g, g.kind, logits, first, n_lanes, tile)
    if is_probabilities:
        tile_load(g, task.target_kind, task.targets, first, n_lanes, dense)
    if is_tile(g):
        if is_probabilities and changes_targets(task):
            lanes_target(dense, g.stride, n, task.weight, task.smoothing)
        loss_tile(task, tile, dense if is_probabilities else <real *>NULL, first, n_lanes, scratch, &ahead)
    else:
        for lane in range(n_lanes):
            if is_probabilities:
                dense_targets(task, dense + lane * n)
                t = dense + lane * n
            loss_row(task, first + lane, tile + lane * n, t, grad if grad == NULL else tile + lane * n, &ahead, parts)
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
