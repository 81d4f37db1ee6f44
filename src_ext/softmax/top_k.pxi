# The k largest probabilities of each row: entries of softmax, with its bits, and their classes.
#
# What softmax does with a row or a tile is done in scratch, while the data are in the cache; of the terms only k are
# scaled. The classes are found in the logits: two that differ may have one probability.

cdef extern from "softmax/primitives.h" nogil:
    void row_top(...)

cdef struct TopTask:
    Geometry g
    const void *x
    Steps x_steps
    void *values                # (outer, k, inner), of the kind of x
    int64_t *indices
    Py_ssize_t k


cdef inline void default_top_task(TopTask *task) noexcept nogil:
    clear_struct(task, sizeof(TopTask))


# Scratch of a row.
cdef struct TopRow:
    void *x                     # the logits, where they do not lie side by side already
    void *terms                 # all of softmax, where rows are computed one by one
    void *best                  # k of each:
    int64_t *index
    char *values                # in the kind of the result
    Part *parts


cdef inline Py_ssize_t row_bytes(Py_ssize_t n) noexcept nogil:
    return round_up(n * sizeof(double), CACHE_LINE)


cdef inline TopRow top_row(const TopTask *task, char *scratch) noexcept nogil:
    """Lay out the scratch of a row, behind two tiles if there are tiles."""
    cdef Py_ssize_t n = row_bytes(task.g.n_classes), k = row_bytes(task.k)
    cdef TopRow row
    scratch += top_tile_bytes(&task.g)
    row.x, row.terms, row.best, row.index = scratch, scratch + n, scratch + 2 * n, <int64_t *>(scratch + 2 * n + k)
    row.values, row.parts = scratch + 2 * n + 2 * k, <Part *>(scratch + 2 * n + 3 * k)
    return row


cdef inline Py_ssize_t top_tile_bytes(const Geometry *g) noexcept nogil:
    """Return the bytes of the logits in scratch, and of the probabilities of a tile."""
    return 2 * tile_bytes(g) if is_tile(g) else tile_bytes(g) if g.form == GATHERED else 0


cdef inline void scale_best(const TopTask *task, const TopRow *row, real *terms, Py_ssize_t at, Py_ssize_t n,
                            const Part *part, const Stat *stat) noexcept nogil:
    """Turn n terms into the probabilities from number `at` on."""
    cdef Factor factor = chunk_factor(real is double, part, stat, 1.0)
    if factor.shrinks:
        row_shrink(terms, n, factor.value)
    row_scale(terms, task.g.kind, row.values, at, n, factor.value, factor.error)


cdef inline void top_of_row(const TopTask *task, Py_ssize_t lane, const real *x, const TopRow *row) noexcept nogil:
    """The largest probabilities of a row of logits, computed as softmax_row does it."""
    cdef Row one
    cdef Stat stat
    cdef Py_ssize_t i, n = task.g.n_classes
    cdef real *terms = <real *>row.terms
    cdef real *best = <real *>row.best
    plan_row(&task.g, task.x, &task.x_steps, NULL, NULL, lane, 1.0, False, &one.plan)
    one.x, one.low, one.max, one.t, one.stage = x, NULL, 0, NULL, terms
    reduce_rows(&one, 1, n, x, row.parts, &stat)
    row_top(x, task.g.n_classes, task.k, best, row.index)
    if n_chunks(n) == 1:
        for i in range(task.k):
            best[i] = terms[row.index[i]]
        scale_best(task, row, best, 0, task.k, row.parts, &stat)
        return
    for i in range(task.k):
        scale_best(task, row, terms + row.index[i], i, 1, row.parts + row.index[i] // CHUNK, &stat)


cdef inline void top_of_lane(const TopTask *task, const real *probs, Py_ssize_t width, const real *x,
                             const TopRow *row) noexcept nogil:
    """The largest of the probabilities of a lane of a tile; x are its logits side by side."""
    cdef Py_ssize_t i
    cdef real *best = <real *>row.best
    row_top(x, task.g.n_classes, task.k, best, row.index)
    for i in range(task.k):
        best[i] = probs[row.index[i] * width]
    if real is float:
        run_store_f32(task.g.kind, best, row.values, 0, task.k)
    else:
        memcpy(row.values, best, task.k * sizeof(double))


cdef inline const real *lane_values(const Geometry *g, const real *tile, Py_ssize_t width, real *to) noexcept nogil:
    """Bring the values of a lane side by side."""
    cdef Py_ssize_t c
    for c in range(g.n_classes):
        to[c] = tile[c * width]
    return to


cdef inline void put_top(const TopTask *task, Py_ssize_t lane, const TopRow *row) noexcept nogil:
    """Write what has been found for a lane to the results."""
    cdef Py_ssize_t i, inner = task.g.inner, size = task.g.data_bytes
    cdef Py_ssize_t at = lane // inner * task.k * inner + lane % inner
    for i in range(task.k):
        task.indices[at + i * inner] = row.index[i]
        memcpy(<char *>task.values + (at + i * inner) * size, row.values + i * size, size)


cdef inline void top_tile(const TopTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *tile,
                          const TopRow *row) noexcept nogil:
    cdef const Geometry *g = &task.g
    cdef real *probs = <real *>(<char *>tile + tile_bytes(g))
    cdef const real *x
    cdef Py_ssize_t lane, width = width_of(g, n_lanes)
    cdef bint lies_in_rows = g.form == TRANSPOSED and g.kind <= KIND_F64
    cdef Upcoming ahead = next_piece(g, task.x, &task.x_steps, NULL, NULL, first)
    tile_load(probs, g, g.kind, task.x, &task.x_steps, first, n_lanes)
    if not lies_in_rows:
        memcpy(tile, probs, width * g.n_classes * sizeof(real))
    softmax_tile(g, probs, width, 1.0, False, behind_values(g, tile), &ahead)
    for lane in range(n_lanes):
        if lies_in_rows:
            x = <const real *>row_at(g, task.x, &task.x_steps, first + lane)
        else:
            x = lane_values(g, tile + lane, width, <real *>row.x)
        top_of_lane(task, probs + lane, width, x, row)
        put_top(task, first + lane, row)


cdef inline void top_pieces(const TopTask *task, Py_ssize_t block, real *tile) noexcept nogil:
    cdef const Geometry *g = &task.g
    cdef TopRow row = top_row(task, <char *>tile)
    cdef Py_ssize_t piece, first, n_lanes, lane, n = g.n_classes
    cdef const real *x
    for piece in range(n_pieces(g, block)):
        first = first_lane(g, block, piece)
        n_lanes = min(g.stride, g.n_lanes - first)
        if is_tile(g):
            top_tile(task, first, n_lanes, tile, &row)
            continue
        if g.form == GATHERED:
            tile_load(tile, g, g.kind, task.x, &task.x_steps, first, n_lanes)
        for lane in range(n_lanes):
            x = <const real *>row_at(g, task.x, &task.x_steps, first + lane)
            if g.form == GATHERED:
                x = tile + lane * n
            elif not in_place(g):
                tile_load(<real *>row.x, g, g.kind, task.x, &task.x_steps, first + lane, 1)
                x = <const real *>row.x
            top_of_row(task, first + lane, x, &row)
            put_top(task, first + lane, &row)


cdef void top_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const TopTask *task = <const TopTask *>argument
    if task.g.kind == KIND_F64:
        top_pieces(task, block, <double *>scratch)
    else:
        top_pieces(task, block, <float *>scratch)


cdef int run_top_k(TopTask *task, int n_threads) except -1:
    """Find the largest probabilities of a block whose task is filled."""
    cdef Geometry *g = &task.g
    if g.n_lanes == 0:
        return 0
    return run_blocks(top_block, task, g.n_blocks, g.per_block * g.n_classes, n_threads,
                      top_tile_bytes(g) + 2 * row_bytes(g.n_classes) + 3 * row_bytes(task.k) + parts_bytes(g))
