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
    reduce_row(x, <const real *>NULL, 0, <const real *>NULL, <real *>NULL, n_classes, plan, parts, &stat)
    return lse_of_row(x, n_classes, &stat)


cdef inline void logsumexp_group(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_rows, real *scratch,
                                 Part *parts) noexcept nogil:
    """Rows computed where they lie or, of 16 bits, through scratch."""
    cdef Row rows[ROW_GROUP]
    cdef Stat stats[ROW_GROUP]
    cdef real *out = <real *>task.out
    cdef Py_ssize_t i, n = task.g.n_classes
    for i in range(n_rows):
        place_row(&task.g, task.x, &task.x_steps, NULL, NULL, first + i, <char *>(scratch + i * n), False, 1.0, True,
                  rows + i)
    reduce_rows(rows, n_rows, n, scratch, parts, stats)
    for i in range(n_rows):
        out[first + i] = <real>lse_of_row(<const real *>rows[i].x, n, stats + i)


cdef inline void logsumexp_tile(const Geometry *g, real *tile, Py_ssize_t n_lanes, real *out,
                                const Upcoming *ahead) noexcept nogil:
    cdef SoftmaxLanes a
    carve_lane_arrays(&a, behind_values(g, tile), g)
    cdef real *m = <real *>a.max
    cdef Py_ssize_t lane, width = width_of(g, n_lanes)
    lanes_max(tile, width, g.n_classes, m, NULL, <real *>NULL)
    lanes_exp_sum(tile, <const real *>NULL, width, g.n_classes, m, 1.0, <const real *>NULL, <const real *>NULL,
                  <real *>NULL, False, True, ahead, &a.sums)
    lanes_sum_rest(&a.sums, width, real is double, a.sums.sum)
    for lane in range(n_lanes):
        out[lane] = <real>lse_of(m[lane], a.sums.sum[lane],
                                 not isfinite(m[lane]) and row_has_nan(tile + lane, width, g.n_classes))


cdef inline void logsumexp_lanes(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes,
                                 real *tile) noexcept nogil:
    """Compute lanes first .. first + n_lanes, at most `stride` of them; the results are of the computing dtype."""
    cdef const Geometry *g = &task.g
    cdef real *out = <real *>task.out
    cdef real *mask = <real *>(<char *>tile + tile_bytes(g))
    cdef Part *parts = <Part *>mask
    cdef RowPlan plan
    cdef Py_ssize_t lane, n = g.n_classes
    if g.form == ROWS and task.where == NULL:
        logsumexp_group(task, first, n_lanes, tile, parts)
        return
    plan_row(g, task.x, &task.x_steps, NULL, NULL, first, 1.0, True, &plan)
    if is_tile(g):
        if task.where != NULL:
            load_masked_tile(task, first, n_lanes, tile, mask)
        else:
            tile_load(tile, g, g.kind, task.x, &task.x_steps, first, n_lanes)
        logsumexp_tile(g, tile, n_lanes, out + first, &plan.ahead)
        return
    if in_place(g):
        for lane in range(n_lanes):
            copy_masked(task, first + lane, 1, tile)
            out[first + lane] = <real>logsumexp_row(tile, n, &plan, parts)
        return
    tile_load(tile, g, g.kind, task.x, &task.x_steps, first, n_lanes)
    for lane in range(n_lanes):
        if task.where != NULL:
            row_mask(tile + lane * n, mask_of(task, first + lane), task.where_steps.classes, n, <real>-INFINITY)
        out[first + lane] = <real>logsumexp_row(tile + lane * n, n, &plan, parts)


cdef inline void logsumexp_pieces(const SoftmaxTask *task, Py_ssize_t block, real *scratch) noexcept nogil:
    cdef Py_ssize_t piece, first
    for piece in range(n_pieces(&task.g, block)):
        first = first_lane(&task.g, block, piece)
        logsumexp_lanes(task, first, min(task.g.stride, task.g.n_lanes - first), scratch)


cdef void logsumexp_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SoftmaxTask *task = <const SoftmaxTask *>argument
    if task.g.kind == KIND_F64:
        logsumexp_pieces(task, block, <double *>scratch)
    else:
        logsumexp_pieces(task, block, <float *>scratch)


cdef struct BackwardTask:
    Geometry g
    const void *grad
    const void *forward
    void *out
    Steps grad_steps, forward_steps, out_steps
    bint log


cdef inline void default_backward_task(BackwardTask *task) noexcept nogil:
    clear_struct(task, sizeof(BackwardTask))


cdef inline void backward_row(const real *grad, const real *forward, real *out, Py_ssize_t n, bint log) noexcept nogil:
    if log:
        row_log_softmax_backward(grad, forward, out, n, row_dot(grad, <const real *>NULL, n))
    else:
        row_softmax_backward(grad, forward, out, n, row_dot(grad, forward, n))


cdef inline void backward_pieces(const BackwardTask *task, Py_ssize_t block, real *grad) noexcept nogil:
    cdef const Geometry *g = &task.g
    cdef real *forward = <real *>(<char *>grad + tile_bytes(g))
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


cdef void backward_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const BackwardTask *task = <const BackwardTask *>argument
    if task.g.kind == KIND_F64:
        backward_pieces(task, block, <double *>scratch)
    else:
        backward_pieces(task, block, <float *>scratch)
