# softmax and log_softmax.
#
# softmax: three passes over a row that stays in L1 or L2 (maximum; exp, store and sum; scale), one read and one
# write of memory. log_softmax stores nothing between: maximum; exp and sum; and x - m - log1p(S').
# Error: 4 ULP; measured about 3.

cdef struct SoftmaxTask:
    Geometry g
    const void *x
    void *out
    const uint8_t *where
    Steps x_steps, out_steps, where_steps
    double temperature
    bint log
    Part *parts                 # of all rows, where the chunks of a row are shared by threads
    Stat *stats
    void *stage                 # the terms of all rows of 16 bits that are shared


cdef inline void default_softmax_task(SoftmaxTask *task) noexcept nogil:
    """Set a task without a mask, of temperature 1."""
    clear_struct(task, sizeof(SoftmaxTask))
    task.temperature = 1


cdef inline void finish_chunk(const real *x, real *out, Py_ssize_t at, Py_ssize_t n, const Part *part,
                              const Stat *stat, const RowPlan *plan, bint log) noexcept nogil:
    cdef Factor factor
    if not log:
        factor = chunk_factor(real is double, part, stat, plan.temperature)
        scale_chunk(out, at, n, &factor, plan)
        return
    if plan.narrow != NULL:
        row_log_shift(x, plan.kind, plan.narrow_out, at, n, <real>stat.max, log1p(stat.sum_rest), plan.temperature)
    else:
        row_log_shift(x, KIND_F32 if real is float else KIND_F64, out, 0, n, <real>stat.max, log1p(stat.sum_rest),
                      plan.temperature)


cdef inline void finish_row(const real *x, real *out, Py_ssize_t n_classes, bint log, const RowPlan *plan,
                            const Part *parts, const Stat *stat) noexcept nogil:
    cdef Py_ssize_t k, at
    for k in range(n_chunks(n_classes)):
        at = k * CHUNK
        finish_chunk(x + at, out + at, at, chunk_size(n_classes, k), parts + k, stat, plan, log)


cdef inline void softmax_row(const real *x, real *out, Py_ssize_t n_classes, bint log, const RowPlan *plan,
                             Part *parts) noexcept nogil:
    cdef Stat stat
    reduce_row(x, <const real *>NULL, 0, <const real *>NULL, <real *>NULL if log else out, n_classes, plan, parts,
               &stat)
    finish_row(x, out, n_classes, log, plan, parts, &stat)


cdef inline void softmax_group(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_rows, real *scratch,
                               Part *parts) noexcept nogil:
    """Rows computed where they lie or, of 16 bits, through scratch."""
    cdef const Geometry *g = &task.g
    cdef Row rows[ROW_GROUP]
    cdef Stat stats[ROW_GROUP]
    cdef Py_ssize_t i, n = g.n_classes
    cdef real *out
    for i in range(n_rows):
        place_row(g, task.x, &task.x_steps, task.out, &task.out_steps, first + i, <char *>(scratch + i * n),
                  not task.log, task.temperature, task.log, rows + i)
    reduce_rows(rows, n_rows, n, scratch, parts, stats)
    for i in range(n_rows):
        out = <real *>row_at(g, task.out, &task.out_steps, first + i)
        if rows[i].plan.narrow != NULL:
            out = <real *>rows[i].x
        finish_row(<const real *>rows[i].x, out, n, task.log, &rows[i].plan, parts + i * n_chunks(n), stats + i)


cdef inline void divide(bint is_double, double numerator, double total, double total_error, double *quotient,
                        double *error) noexcept nogil:
    """Divide by a sum in two parts; for doubles the quotient comes in two parts too."""
    cdef double q = numerator / total
    error[0] = (fma(-q, total, numerator) - q * total_error) / total if is_double else 0
    quotient[0] = q


cdef inline void softmax_tile(const Geometry *g, real *tile, Py_ssize_t width, double temperature, bint log,
                              char *arrays, const Upcoming *ahead) noexcept nogil:
    """Compute a tile in place; its arrays of lanes lie at `arrays`."""
    cdef SoftmaxLanes a
    carve_lane_arrays(&a, arrays, g)
    cdef real *m = <real *>a.max
    cdef double *total = a.sums.sum
    cdef Py_ssize_t lane
    cdef Upcoming first = ahead[0], second = ahead[0]
    if ahead.is_large and not log:  # memory is asked in both passes: one has too little time for all of it
        first.write = NULL
    else:
        second.write = NULL
    lanes_max(tile, width, g.n_classes, m, NULL, <real *>NULL)
    lanes_exp_sum(tile, <const real *>NULL, width, g.n_classes, m, temperature, <const real *>NULL,
                  <const real *>NULL, <real *>NULL, not log, log, &first, &a.sums)
    if log:
        lanes_sum_rest(&a.sums, width, real is double, total)
        log1p_lanes(total, total, width)
        lanes_log_shift(tile, width, g.n_classes, m, total, temperature)
    else:
        for lane in range(width):
            divide(real is double, 1, total[lane], a.sums.sum_error[lane], total + lane, a.sums.sum_error + lane)
        lanes_scale(tile, width, g.n_classes, total, a.sums.sum_error, NULL, <const real *>NULL, &second)


cdef inline const uint8_t *mask_of(const SoftmaxTask *task, Py_ssize_t lane) noexcept nogil:
    """Return where the mask of a lane starts."""
    cdef Py_ssize_t inner = task.g.inner
    return task.where + outer_start(&task.where_steps, lane // inner) + lane % inner


cdef inline bint is_one_run(const Steps *steps, Py_ssize_t n_classes, Py_ssize_t first,
                            Py_ssize_t n_rows) noexcept nogil:
    """Whether rows lie one after the other without gaps."""
    return steps.outer == n_classes and steps.classes == 1 and in_one_group(steps, first, n_rows)


cdef inline void copy_masked(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_rows, real *rows) noexcept nogil:
    """Copy rows that lie in memory as they are computed, with -inf where the mask leaves something out."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t i, n = g.n_classes, step = task.where_steps.classes
    if is_one_run(&task.x_steps, n, first, n_rows) and is_one_run(&task.where_steps, n, first, n_rows):
        row_copy_masked(<const real *>row_at(g, task.x, &task.x_steps, first), mask_of(task, first), 1, n_rows * n,
                        rows)
        return
    for i in range(n_rows):
        row_copy_masked(<const real *>row_at(g, task.x, &task.x_steps, first + i), mask_of(task, first + i), step, n,
                        rows + i * n)


cdef inline void load_masked_tile(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *tile,
                                  real *mask) noexcept nogil:
    """Fill a tile, with -inf where the mask leaves something out; `mask` is a second tile of scratch."""
    cdef const Geometry *g = &task.g
    cdef Steps steps
    if g.form == TRANSPOSED and g.kind <= KIND_F64:
        copy_masked(task, first, n_lanes, mask)
        steps.per_group, steps.group, steps.outer, steps.classes = ONE_GROUP, 0, g.n_classes, 1
        tile_load(tile, g, g.kind, mask, &steps, 0, n_lanes)
        return
    tile_load(tile, g, g.kind, task.x, &task.x_steps, first, n_lanes)
    tile_load(mask, g, KIND_MASK, task.where, &task.where_steps, first, n_lanes)
    lanes_mask(tile, mask, width_of(g, n_lanes) * g.n_classes, <real>-INFINITY)


cdef inline bint has_odd_lane(const SoftmaxLanes *a, Py_ssize_t width, const real *dtype) noexcept nogil:
    """Whether a lane has results that are no numbers: else what is left out is 0, or -inf, already."""
    cdef const real *max = <const real *>a.max
    cdef Py_ssize_t lane
    cdef int found = 0
    for lane in range(width):
        found |= not (fabs(max[lane]) < INFINITY) or a.sums.sum[lane] != a.sums.sum[lane]
    return found


cdef inline void softmax_masked_tile(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *tile,
                                     const Upcoming *ahead) noexcept nogil:
    """Load a masked tile, compute it, and clear what the mask leaves out."""
    cdef const Geometry *g = &task.g
    cdef real *mask = <real *>(<char *>tile + tile_bytes(g))
    cdef Py_ssize_t width = width_of(g, n_lanes)
    cdef SoftmaxLanes a
    carve_lane_arrays(&a, behind_values(g, tile), g)
    load_masked_tile(task, first, n_lanes, tile, mask)
    softmax_tile(g, tile, width, task.temperature, task.log, behind_values(g, tile), ahead)
    if has_odd_lane(&a, width, tile):
        tile_load(mask, g, KIND_MASK, task.where, &task.where_steps, first, n_lanes)
        lanes_mask(tile, mask, width * g.n_classes, <real>-INFINITY if task.log else 0)


cdef inline void softmax_rows(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *rows, Part *parts,
                              const RowPlan *plan) noexcept nogil:
    """Compute rows in scratch, in place."""
    cdef Py_ssize_t lane, n = task.g.n_classes, step = task.where_steps.classes
    cdef real *row
    for lane in range(n_lanes):
        row = rows + lane * n
        if task.where != NULL:
            row_mask(row, mask_of(task, first + lane), step, n, <real>-INFINITY)
        softmax_row(row, row, n, task.log, plan, parts)
        if task.where != NULL:
            row_mask(row, mask_of(task, first + lane), step, n, <real>-INFINITY if task.log else 0)


cdef inline void softmax_masked_rows(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *scratch,
                                     Part *parts, const RowPlan *plan) noexcept nogil:
    """Compute masked copies of rows into the result."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t lane, n = g.n_classes
    cdef Stat stat
    cdef real *out
    for lane in range(n_lanes):
        copy_masked(task, first + lane, 1, scratch)
        out = <real *>row_at(g, task.out, &task.out_steps, first + lane)
        reduce_row(scratch, <const real *>NULL, 0, <const real *>NULL, <real *>NULL if task.log else out, n, plan,
                   parts, &stat)
        finish_row(scratch, out, n, task.log, plan, parts, &stat)
        if not isfinite(stat.sum_rest):
            row_mask(out, mask_of(task, first + lane), task.where_steps.classes, n,
                     <real>-INFINITY if task.log else 0)


cdef inline void softmax_lanes(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes,
                               real *tile) noexcept nogil:
    """Compute lanes first .. first + n_lanes, at most `stride` of them."""
    cdef const Geometry *g = &task.g
    cdef Part *parts = <Part *>(<char *>tile + tile_bytes(g))
    cdef RowPlan plan
    if g.form == ROWS and task.where == NULL:
        softmax_group(task, first, n_lanes, tile, parts)
        return
    plan_row(g, task.x, &task.x_steps, task.out, &task.out_steps, first, task.temperature, task.log, &plan)
    if in_place(g):
        softmax_masked_rows(task, first, n_lanes, tile, parts, &plan)
        return
    if is_tile(g) and task.where != NULL:
        softmax_masked_tile(task, first, n_lanes, tile, &plan.ahead)
    else:
        tile_load(tile, g, g.kind, task.x, &task.x_steps, first, n_lanes)
        if is_tile(g):
            softmax_tile(g, tile, width_of(g, n_lanes), task.temperature, task.log, behind_values(g, tile), &plan.ahead)
        else:
            softmax_rows(task, first, n_lanes, tile, parts, &plan)
    tile_store(tile, g, first, n_lanes, task.out, &task.out_steps)


cdef inline void softmax_pieces(const SoftmaxTask *task, Py_ssize_t block, real *scratch) noexcept nogil:
    cdef Py_ssize_t piece, first
    for piece in range(n_pieces(&task.g, block)):
        first = first_lane(&task.g, block, piece)
        softmax_lanes(task, first, min(task.g.stride, task.g.n_lanes - first), scratch)


cdef void softmax_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SoftmaxTask *task = <const SoftmaxTask *>argument
    if task.g.kind == KIND_F64:
        softmax_pieces(task, block, <double *>scratch)
    else:
        softmax_pieces(task, block, <float *>scratch)


# Few long rows: the chunks of a row are shared by the threads, in two rounds with the merge between them.

cdef bint shares_rows(const Geometry *g, int n_threads) noexcept nogil:
    """Whether the rows are too few to go round, and long enough to be shared."""
    return g.form == ROWS and g.n_classes > CHUNK and g.n_lanes < 4 * n_threads and g.n_lanes % n_threads != 0


cdef inline Py_ssize_t place_shared(const SoftmaxTask *task, Py_ssize_t block, const real **x, real **out,
                                    RowPlan *plan) noexcept nogil:
    """Plan one chunk of a row, which is a block, and return where in its row it starts."""
    cdef Py_ssize_t n = task.g.n_classes, per_row = n_chunks(n), row = block // per_row, at = block % per_row * CHUNK
    cdef Row placed
    place_row(&task.g, task.x, &task.x_steps, task.out, &task.out_steps, row,
              <char *>task.stage + row * n * sizeof(real), True, task.temperature, task.log, &placed)
    plan[0] = placed.plan
    plan.ahead = shifted(&plan.ahead, at + CHUNK - n)
    x[0], out[0] = <const real *>placed.x + at, <real *>placed.stage + at
    return at


cdef inline void reduce_chunk(const SoftmaxTask *task, Py_ssize_t block, const real *x, real *out) noexcept nogil:
    """Maximum and sums of one chunk; x and out are set here."""
    cdef RowPlan plan
    cdef Py_ssize_t at = place_shared(task, block, &x, &out, &plan)
    cdef Py_ssize_t n = chunk_size(task.g.n_classes, at // CHUNK)
    task.parts[block].max = chunk_max(<real *>x, at, n, &plan)
    sum_chunk(x, <const real *>NULL, <const real *>NULL, <real *>NULL if task.log else out, n, &plan, &plan.ahead,
              task.parts + block)


cdef inline void finish_shared_chunk(const SoftmaxTask *task, Py_ssize_t block, const real *x,
                                     real *out) noexcept nogil:
    """The result of one chunk; x and out are set here."""
    cdef RowPlan plan
    cdef Py_ssize_t at = place_shared(task, block, &x, &out, &plan)
    finish_chunk(x, out, at, chunk_size(task.g.n_classes, at // CHUNK), task.parts + block,
                 task.stats + block // n_chunks(task.g.n_classes), &plan, task.log)


cdef void reduce_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SoftmaxTask *task = <const SoftmaxTask *>argument
    if task.g.kind == KIND_F64:
        reduce_chunk(task, block, <const double *>NULL, <double *>NULL)
    else:
        reduce_chunk(task, block, <const float *>NULL, <float *>NULL)


cdef void finish_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SoftmaxTask *task = <const SoftmaxTask *>argument
    if task.g.kind == KIND_F64:
        finish_shared_chunk(task, block, <const double *>NULL, <double *>NULL)
    else:
        finish_shared_chunk(task, block, <const float *>NULL, <float *>NULL)


cdef int run_shared_softmax(SoftmaxTask *task, int n_threads) except -1:
    cdef Py_ssize_t row, per_row = n_chunks(task.g.n_classes), n_blocks = task.g.n_lanes * per_row
    cdef bint is_narrow = not in_place(&task.g)
    task.parts = <Part *>malloc(n_blocks * sizeof(Part))
    task.stats = <Stat *>malloc(task.g.n_lanes * sizeof(Stat))
    task.stage = malloc(task.g.n_lanes * task.g.n_classes * sizeof(float)) if is_narrow else NULL
    try:
        if task.parts == NULL or task.stats == NULL or (is_narrow and task.stage == NULL):
            raise MemoryError("cannot allocate the scratch space of a kernel")
        run_blocks(reduce_block, task, n_blocks, CHUNK, n_threads, 0)
        for row in range(task.g.n_lanes):
            merge(task.parts + row * per_row, per_row, task.temperature, task.log, task.stats + row)
        run_blocks(finish_block, task, n_blocks, CHUNK, n_threads, 0)
    finally:
        free(task.parts)
        free(task.stats)
        free(task.stage)
    return 0


cdef inline Py_ssize_t softmax_scratch(const Geometry *g) noexcept nogil:
    """Return the bytes of scratch that a thread needs: a tile, and the tile of a mask or the chunks of a row."""
    return tile_bytes(g) + max(tile_bytes(g) if is_tile(g) else 0, parts_bytes(g))


cdef int run_softmax(SoftmaxTask *task, int n_threads) except -1:
    """Run softmax or log_softmax over a block whose task is filled but for its geometry's pieces."""
    cdef Geometry *g = &task.g
    if g.n_lanes == 0:
        return 0
    if n_threads > 1 and task.where == NULL and shares_rows(g, n_threads):
        return run_shared_softmax(task, n_threads)
    return run_blocks(softmax_block, task, g.n_blocks, g.per_block * g.n_classes, n_threads, softmax_scratch(g))
