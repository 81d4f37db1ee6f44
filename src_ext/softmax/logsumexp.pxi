# logsumexp, and the gradients of softmax and log_softmax. One read of each input; the gradients read and write
# rows that are still in the cache. Sums of products keep the rounding errors of
# products of doubles, as of their sums.

cdef inline double lse_of(double max, double sum_rest, bint has_nan) noexcept nogil:
    """Return m + log1p(S'); an infinite maximum is the result itself, unless there is a NaN."""
    if isfinite(max):
        return max + log1p(sum_rest)
    return NAN if has_nan else max


cdef inline double lse_of_row(const real *x, Py_ssize_t n_classes, const Stat *stat) noexcept nogil:
    return lse_of(stat.max, stat.sum_rest, not isfinite(stat.max) and row_has_nan(x, 1, n_classes))


cdef inline double logsumexp_row(const real *x, Py_ssize_t n_classes, const RowPlan *plan,
                                 Part *parts) noexcept nogil:
    cdef Stat stat
    reduce_row(x, <const real *>NULL, <real *>NULL, n_classes, plan, parts, &stat)
    return lse_of_row(x, n_classes, &stat)


cdef inline void logsumexp_group(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_rows, char *scratch,
                                 Part *parts, real *out) noexcept nogil:
    """Rows computed where they lie or, of 16 bits, through scratch."""
    cdef Row rows[ROW_GROUP]
    cdef Stat stats[ROW_GROUP]
    cdef Py_ssize_t i, n = task.g.n_classes
    for i in range(n_rows):
        place_row(&task.g, task.x, &task.x_steps, NULL, NULL, first + i, scratch + i * n * task.g.item_bytes, False,
                  1.0, True, rows + i)
    reduce_rows(rows, n_rows, n, out, parts, stats)
    for i in range(n_rows):
        out[first + i] = <real>lse_of_row(<const real *>rows[i].x, n, stats + i)


cdef inline void logsumexp_tile(const Geometry *g, real *tile, Py_ssize_t n_lanes, real *out, char *scratch,
                                const Upcoming *ahead) noexcept nogil:
    cdef real *m = <real *>lane_array(g, scratch, 0)
    cdef LaneSums terms = lane_sums(g, scratch, 1)
    cdef Py_ssize_t lane, width = width_of(g, n_lanes)
    lanes_max(tile, width, g.n_classes, m, NULL, <real *>NULL)
    lanes_exp_sum(tile, width, g.n_classes, m, 1.0, <const real *>NULL, <real *>NULL, False, True, ahead, &terms)
    lanes_sum_rest(&terms, width, real is double, terms.sum)
    for lane in range(n_lanes):
        out[lane] = <real>lse_of(m[lane], terms.sum[lane],
                                 not isfinite(m[lane]) and row_has_nan(tile + lane, width, g.n_classes))


cdef inline void logsumexp_lanes(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes, char *scratch,
                                 const real *x, real *out) noexcept nogil:
    """Compute lanes first .. first + n_lanes, at most `stride` of them; `out` is of the computing dtype."""
    cdef const Geometry *g = &task.g
    cdef real *tile = <real *>scratch
    cdef real *mask = <real *>(scratch + tile_bytes(g))
    cdef Part *parts = <Part *>mask
    cdef RowPlan plan
    cdef Py_ssize_t lane, n = g.n_classes
    if g.form == ROWS and task.where == NULL:
        logsumexp_group(task, first, n_lanes, scratch, parts, out)
        return
    plan_row(g, x, &task.x_steps, NULL, NULL, first, 1.0, True, &plan)
    tile_load(tile, g, g.kind, x, &task.x_steps, first, n_lanes)
    if is_tile(g):
        if task.where != NULL:
            tile_load(mask, g, KIND_MASK, task.where, &task.where_steps, first, n_lanes)
            lanes_mask(tile, mask, width_of(g, n_lanes) * n, <real>-INFINITY)
        logsumexp_tile(g, tile, n_lanes, out + first, scratch, &plan.ahead)
        return
    for lane in range(n_lanes):
        if task.where != NULL:
            mask_row(tile + lane * n, mask_of(task, first + lane), task.where_steps.classes, n, <real>-INFINITY)
        out[first + lane] = <real>logsumexp_row(tile + lane * n, n, &plan, parts)


cdef inline void logsumexp_block(const void *argument, Py_ssize_t block, char *scratch,
                                 const real *dtype) noexcept nogil:
    cdef const SoftmaxTask *task = <const SoftmaxTask *>argument
    cdef Py_ssize_t piece, first
    for piece in range(n_pieces(&task.g, block)):
        first = first_lane(&task.g, block, piece)
        logsumexp_lanes(task, first, min(task.g.stride, task.g.n_lanes - first), scratch, <const real *>task.x,
                        <real *>task.out)


cdef void logsumexp_block_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    logsumexp_block(task, block, scratch, <const float *>NULL)


cdef void logsumexp_block_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    logsumexp_block(task, block, scratch, <const double *>NULL)


cdef struct BackwardTask:
    Geometry g
    const void *grad
    const void *forward
    void *out
    Steps grad_steps, forward_steps, out_steps
    bint log


cdef inline void backward_row(const real *grad, const real *forward, real *out, Py_ssize_t n, bint log) noexcept nogil:
    if log:
        row_log_softmax_backward(grad, forward, out, n, row_dot(grad, <const real *>NULL, n))
    else:
        row_softmax_backward(grad, forward, out, n, row_dot(grad, forward, n))


cdef inline void backward_block(const void *argument, Py_ssize_t block, char *scratch,
                                const real *dtype) noexcept nogil:
    cdef const BackwardTask *task = <const BackwardTask *>argument
    cdef const Geometry *g = &task.g
    cdef real *grad = <real *>scratch
    cdef real *forward = <real *>(scratch + tile_bytes(g))
    cdef Py_ssize_t piece, first, n_lanes, lane, n = g.n_classes
    for piece in range(n_pieces(g, block)):
        first = first_lane(g, block, piece)
        n_lanes = min(g.stride, g.n_lanes - first)
        if in_place(g):
            backward_row(<const real *>row_at(g, task.grad, &task.grad_steps, first),
                         <const real *>row_at(g, task.forward, &task.forward_steps, first),
                         <real *>row_at(g, task.out, &task.out_steps, first), n, task.log)
            continue
        tile_load(grad, g, g.kind, task.grad, &task.grad_steps, first, n_lanes)
        tile_load(forward, g, g.kind, task.forward, &task.forward_steps, first, n_lanes)
        for lane in range(n_lanes):
            backward_row(grad + lane * n, forward + lane * n, grad + lane * n, n, task.log)
        tile_store(grad, g, first, n_lanes, task.out, &task.out_steps)


cdef void backward_block_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    backward_block(task, block, scratch, <const float *>NULL)


cdef void backward_block_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    backward_block(task, block, scratch, <const double *>NULL)
