# Cross-entropy: the loss of each row, and its gradient.
#
# Loss alone: one read of the logits; nothing is stored, no probability materialised. With the gradient: as softmax,
# the terms staged in the gradient itself, the factor of the row folded into the last pass; where the target is the
# maximum its entry comes from S', never from p - 1. Probabilities as targets and label smoothing add one pass for
# sum(t * (m - z)) and subtract t in the last. Error: 4 ULP a row for the loss, 4 ULP for the gradient.

cdef extern from "loss/targets.h":
    int64_t read_index(const void *targets, int target_form, Py_ssize_t row) noexcept nogil

cdef extern from "loss/softcap.h":
    ctypedef struct Cap:
        pass
    Cap plan_cap(double softcap, double temperature, bint is_double) noexcept nogil

cdef enum RowState:
    USED = 0
    IGNORED = 1
    BAD = 2                     # out of range only now: another thread has changed it

cdef struct LossTask:
    Geometry g
    const void *logits
    const void *targets
    int target_form
    Kind target_kind            # of probabilities in memory
    double *losses
    void *grad                  # or NULL
    Steps logits_steps, grad_steps
    Steps targets_steps         # of probabilities
    const double *weight        # or NULL
    const double *sample_weight  # or NULL
    bint has_ignore
    int64_t ignore_index
    double smoothing, z_loss, softcap, temperature
    double grad_scale, grad_scale_error     # in two parts
    double slope, slope_error   # grad_scale / temperature, in two parts
    const Cap *cap              # where there is a softcap
    double shift                # what the maximum lacks: 0 unless logits are capped
    const void *base            # smoothing / n_classes * weight in the computing dtype; NULL without smoothing


cdef inline void default_loss_task(LossTask *task) noexcept nogil:
    """Set a task of plain rows: no weights, no options, no gradient, whose scale and temperature would be 1."""
    clear_struct(task, sizeof(LossTask))
    task.temperature = task.grad_scale = task.slope = 1


cdef struct RowTarget:
    RowState state
    int64_t y                   # class index; 0 for probabilities
    double t                    # (1 - smoothing) * weight[y]; 0 for probabilities
    double s                    # sample weight
    double z, low               # logit of y; what rounding has taken from it, less that of the maximum

cdef struct RowLoss:
    double loss
    double prob_scale, prob_scale_error  # T + 2 * z_loss * lse, what multiplies the probabilities, in two parts
    Wide huge_prob_scale        # the same where that is infinite
    double scale, scale_error   # s * slope, in two parts


cdef inline void read_target(const LossTask *task, Py_ssize_t lane, RowTarget *r) noexcept nogil:
    cdef int64_t y
    r.state, r.y, r.t, r.z, r.low = USED, 0, 0, 0, 0
    r.s = 1 if task.sample_weight == NULL else task.sample_weight[lane]
    if r.s == 0:
        r.state = IGNORED
    if task.target_form == PROBABILITIES or r.s == 0:
        return
    y = read_index(task.targets, task.target_form, lane)
    if task.has_ignore and y == task.ignore_index:
        r.state = IGNORED
    elif y < 0 or y >= task.g.n_classes:
        r.state = BAD
    else:
        r.y = y
        r.t = (1 - task.smoothing) * (1 if task.weight == NULL else task.weight[y])


cdef inline void set_scale(LossTask *task, double scale, double error) noexcept nogil:
    """Set what the gradient is multiplied with, in two parts."""
    task.grad_scale, task.grad_scale_error = scale, error
    task.slope, task.slope_error = scale, error
    if task.temperature != 1:
        task.slope = scale / task.temperature
        task.slope_error = (fma(-task.slope, task.temperature, scale) + error) / task.temperature
    if not isfinite(task.slope_error):
        task.slope_error = 0


cdef inline void row_loss(const LossTask *task, const RowTarget *r, double max, double log_sum, DoublePair dense,
                          double target_gap, RowLoss *result) noexcept nogil:
    """Loss and factors of one row; `dense` and `target_gap` sum t and t * (m - z) / temperature over dense targets."""
    cdef DoublePair total = pair_plus(dense, r.t)
    if r.t != 0:
        target_gap += r.t * (gap_of(max, r.z, task.temperature) - r.low)
    result.loss = r.s * (total.high * log_sum + target_gap)
    result.prob_scale, result.prob_scale_error = total.high, total.low if isfinite(total.high) else 0
    if isinf(total.high):
        result.huge_prob_scale = wide_of(total.high)
    result.scale = r.s * task.slope
    result.scale_error = fma(r.s, task.slope, -result.scale) + r.s * task.slope_error
    if not isfinite(result.scale_error):
        result.scale_error = 0
    if task.z_loss != 0:
        add_z_loss(task, r.s, max, log_sum, total, result)


cdef inline bint is_ordinary(double value) noexcept nogil:
    """Whether products of a few such numbers are in the range of double."""
    return 1e-50 < fabs(value) < 1e50


cdef inline void add_z_loss(const LossTask *task, double s, double max, double log_sum, DoublePair total,
                            RowLoss *result) noexcept nogil:
    """Add s * z_loss * lse**2 to the loss and 2 * z_loss * lse to what multiplies the probabilities."""
    cdef DoublePair prob_scale, lse = pair_quotient(two_sum(max, task.shift), pair_of(task.temperature, 0))
    lse = pair_plus(lse, log_sum)
    if is_ordinary(lse.high) and is_ordinary(task.z_loss) and is_ordinary(s):
        result.loss += s * (task.z_loss * pair_value(pair_product(lse, lse)))
        prob_scale = pair_sum(pair_times(lse, 2 * task.z_loss), total)
        result.prob_scale, result.prob_scale_error = prob_scale.high, prob_scale.low
    else:
        add_wide_z_loss(task, s, max, log_sum, total.high, result)


cdef void add_wide_z_loss(const LossTask *task, double s, double max, double log_sum, double total,
                          RowLoss *result) noexcept nogil:
    """The same where the log-sum-exp, or a product with it, may be beyond the range of double."""
    cdef Wide z_loss = wide_of(task.z_loss)
    cdef Wide lse = wide_quotient(wide_sum(wide_of(max), wide_of(task.shift)), wide_of(task.temperature))
    lse = wide_sum(lse, wide_of(log_sum))
    result.loss += wide_value(wide_product(wide_product(wide_of(s), z_loss), wide_product(lse, lse)))
    result.huge_prob_scale = wide_sum(wide_of(total), wide_product(wide_product(wide_of(2), z_loss), lse))
    result.prob_scale, result.prob_scale_error = wide_value(result.huge_prob_scale), 0


cdef inline double target_entry(const RowTarget *r, const RowLoss *loss, double base, const Stat *stat,
                                double probability) noexcept nogil:
    """Return the gradient at an index target: p - 1 would cancel where the target is the largest."""
    cdef DoublePair entry, scale = pair_of(loss.scale, loss.scale_error)
    cdef Wide wide
    if r.z == stat.max and r.low == 0:
        entry = pair_quotient(pair_of(-stat.sum_rest, -stat.sum_rest_error), pair_of(stat.total, stat.total_error))
    else:
        entry = two_sum(probability, -1)
    if probability != 0 and isinf(loss.prob_scale):
        wide = wide_product(wide_sum(loss.huge_prob_scale, wide_of(-r.t)), wide_of(probability))
        wide = wide_sum(wide, wide_of(r.t * pair_value(entry) - base))
        return wide_value(wide_product(wide, wide_of(loss.scale)))
    entry = pair_times(entry, r.t)
    if probability != 0 and loss.prob_scale != r.t:
        entry = pair_sum(entry, two_product(loss.prob_scale - r.t + loss.prob_scale_error, probability))
    return pair_value(pair_product(pair_plus(entry, -base), scale))


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
    cdef double probability = 0
    cdef Factor factor
    for k in range(n_chunks(n)):
        at = k * CHUNK
        factor = chunk_factor(real is double, parts + k, stat, task.temperature)
        if at <= r.y < at + CHUNK:
            probability = grad[r.y] * factor.value * (FIRST_FACTOR if factor.shrinks else 1)
        if isinf(loss.prob_scale):
            factor = times_huge(&factor, wide_product(loss.huge_prob_scale, wide_of(loss.scale)))
        else:
            factor = times(&factor, loss.prob_scale, loss.prob_scale_error)
            factor = times(&factor, loss.scale, loss.scale_error)
        if t == NULL:
            scale_chunk(grad + at, at, chunk_size(n, k), &factor, plan)
        else:
            if factor.shrinks:
                row_shrink(grad + at, chunk_size(n, k), factor.value)
            row_combine(grad + at, t + at, grad + at, chunk_size(n, k), factor.value, factor.error, loss.scale,
                        loss.scale_error)
            store_narrow(grad, at, chunk_size(n, k), plan)
    if task.target_form != PROBABILITIES:
        grad[r.y] = <real>target_entry(r, loss, 0 if t == NULL else t[r.y], stat, probability)
        store_narrow(grad, r.y, 1, plan)


cdef inline bint start_row(const LossTask *task, Py_ssize_t lane, const Row *row, RowTarget *r,
                           const real *dtype) noexcept nogil:
    """Read a row's target; a row that is ignored or bad is finished with that."""
    cdef real *x = <real *>row.x
    read_target(task, lane, r)
    if r.state == USED:
        load_narrow(x, r.y, 1, &row.plan)
        r.z = x[r.y]
        if row.low != NULL:
            r.low = (<const real *>row.low)[r.y]
        return True
    set_row(task.losses + lane, <real *>row.stage, 1, task.g.n_classes, 0 if r.state == IGNORED else NAN)
    if row.stage != NULL:
        store_narrow(<real *>row.stage, 0, task.g.n_classes, &row.plan)
    return False


cdef inline void loss_rows(const LossTask *task, Py_ssize_t first, Row *rows, Py_ssize_t n_rows, Part *parts,
                           const real *dtype) noexcept nogil:
    """Rows first .. first + n_rows, at most ROW_GROUP of them: those that count are moved together and computed."""
    cdef RowTarget r[ROW_GROUP]
    cdef RowLoss loss
    cdef Stat stats[ROW_GROUP]
    cdef Py_ssize_t lanes[ROW_GROUP]
    cdef Py_ssize_t i, used = 0
    memset(stats, 0, sizeof(stats))
    for i in range(n_rows):
        if start_row(task, first + i, rows + i, r + used, dtype):
            rows[used], lanes[used] = rows[i], first + i
            used += 1
    if used == 0:
        return
    reduce_rows(rows, used, task.g.n_classes, dtype, parts, stats)
    for i in range(used):
        row_loss(task, r + i, stats[i].max, log1p(stats[i].sum_rest),
                 pair_of(stats[i].target, stats[i].target_error), stats[i].target_gap, &loss)
        task.losses[lanes[i]] = loss.loss
        if rows[i].stage != NULL:
            subtract_target(task, r + i, &loss, stats + i, &rows[i].plan, parts + i * n_chunks(task.g.n_classes),
                            <const real *>rows[i].t, <real *>rows[i].stage)


include "loss/loss_tiles.pxi"


cdef inline bint changes_targets(const LossTask *task) noexcept nogil:
    """Whether probabilities are not the dense targets t as they are."""
    return task.weight != NULL or task.smoothing != 0


cdef inline void dense_targets(const LossTask *task, real *t) noexcept nogil:
    """Turn a row of probabilities into t = weight * ((1 - smoothing) * y + smoothing / n_classes)."""
    if changes_targets(task):
        row_target(t, task.weight, task.smoothing, t, task.g.n_classes)


cdef inline const char *targets_after(const LossTask *task, Py_ssize_t lane) noexcept nogil:
    """Return the dense targets of the piece after the one at `lane`, to be fetched with its logits; NULL for none."""
    cdef const Geometry *g = &task.g
    if task.target_form != PROBABILITIES or task.target_kind != g.kind:
        return NULL
    return run_after(g, task.targets, &task.targets_steps, lane)


cdef inline const real *targets_of_row(const LossTask *task, Py_ssize_t lane, real *scratch) noexcept nogil:
    """Return the dense targets of a row, in place or in scratch; or what all rows have in common."""
    cdef const Geometry *g = &task.g
    if task.target_form != PROBABILITIES:
        return <const real *>task.base
    if task.target_kind == g.kind and in_place(g) and not changes_targets(task):
        return <const real *>row_at(g, task.targets, &task.targets_steps, lane)
    tile_load(scratch, g, task.target_kind, task.targets, &task.targets_steps, lane, 1)
    dense_targets(task, scratch)
    return scratch


cdef inline void loss_group(const LossTask *task, Py_ssize_t first, Py_ssize_t n_rows, real *values,
                            real *dense, Part *parts) noexcept nogil:
    """Rows computed where they lie or, of 16 bits, through scratch."""
    cdef const Geometry *g = &task.g
    cdef Row rows[ROW_GROUP]
    cdef Py_ssize_t i, n = g.n_classes
    for i in range(n_rows):
        place_row(g, task.logits, &task.logits_steps, task.grad, &task.grad_steps, first + i,
                  <char *>(values + i * n), task.grad != NULL, task.temperature, True, rows + i)
        rows[i].plan.ahead.targets = targets_after(task, first + i)
        rows[i].t = targets_of_row(task, first + i, dense + i * n)
    loss_rows(task, first, rows, n_rows, parts, values)


cdef inline void loss_in_scratch(const LossTask *task, Py_ssize_t first, Py_ssize_t n_rows, real *values, real *dense,
                                 Part *parts) noexcept nogil:
    """Rows that have been gathered in scratch, one by one; the gradients take their place."""
    cdef Row row
    cdef Py_ssize_t i, n = task.g.n_classes
    plan_row(&task.g, task.logits, &task.logits_steps, task.grad, &task.grad_steps, first, task.temperature, True,
             &row.plan)
    for i in range(n_rows):
        row.x, row.low, row.max, row.t, row.stage = values + i * n, NULL, 0, task.base, NULL
        if task.grad != NULL:
            row.stage = values + i * n
        if task.target_form == PROBABILITIES:
            dense_targets(task, dense + i * n)
            row.t = dense + i * n
        loss_rows(task, first + i, &row, 1, parts, values)


cdef inline void loss_lanes(const LossTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *tile) noexcept nogil:
    """Compute lanes first .. first + n_lanes, at most `stride` of them."""
    cdef const Geometry *g = &task.g
    cdef bint is_probabilities = task.target_form == PROBABILITIES
    cdef char *scratch = <char *>tile
    cdef real *dense = <real *>(scratch + tile_bytes(g))
    cdef Part *parts = <Part *>(scratch + 2 * tile_bytes(g))
    cdef Upcoming ahead
    if g.form == ROWS:
        loss_group(task, first, n_lanes, tile, dense, parts)
        return
    tile_load(tile, g, g.kind, task.logits, &task.logits_steps, first, n_lanes)
    if is_probabilities:
        tile_load(dense, g, task.target_kind, task.targets, &task.targets_steps, first, n_lanes)
    if is_tile(g):
        if is_probabilities and changes_targets(task):
            lanes_target(dense, width_of(g, n_lanes), g.n_classes, task.weight, task.smoothing)
        ahead = next_piece(g, task.logits, &task.logits_steps, task.grad, &task.grad_steps, first)
        ahead.targets = targets_after(task, first)
        loss_tile(task, tile, <const real *>NULL, dense if is_probabilities else <real *>NULL, first, n_lanes, &ahead)
    else:
        loss_in_scratch(task, first, n_lanes, tile, dense, parts)
    if task.grad != NULL:
        tile_store(tile, g, first, n_lanes, task.grad, &task.grad_steps)


include "loss/softcap.pxi"


cdef inline void loss_pieces(const LossTask *task, Py_ssize_t block, real *scratch) noexcept nogil:
    cdef Py_ssize_t piece, first, n_lanes
    for piece in range(n_pieces(&task.g, block)):
        first = first_lane(&task.g, block, piece)
        n_lanes = min(task.g.stride, task.g.n_lanes - first)
        if task.softcap != 0:
            capped_lanes(task, first, n_lanes, scratch)
        else:
            loss_lanes(task, first, n_lanes, scratch)


cdef void loss_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const LossTask *task = <const LossTask *>argument
    if task.g.kind == KIND_F64:
        loss_pieces(task, block, <double *>scratch)
    else:
        loss_pieces(task, block, <float *>scratch)


cdef inline Py_ssize_t loss_scratch(const LossTask *task) noexcept nogil:
    """Return the bytes of scratch that a thread needs: two tiles, the chunks of a row, and what soft caps take."""
    cdef Py_ssize_t n_bytes = 2 * tile_bytes(&task.g) + parts_bytes(&task.g)
    return n_bytes if task.softcap == 0 else n_bytes + cap_bytes(&task.g)


cdef int run_loss(LossTask *task, int n_threads) except -1:
    """Run the cross-entropy over a block whose task is filled."""
    cdef Geometry *g = &task.g
    cdef Cap cap
    if g.n_lanes == 0:
        return 0
    if task.softcap != 0:
        cap = plan_cap(task.softcap, task.temperature, g.kind == KIND_F64)
        task.cap = &cap
    return run_blocks(loss_block, task, g.n_blocks, g.per_block * g.n_classes, n_threads, loss_scratch(task))
