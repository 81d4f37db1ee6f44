# The entropy of softmax, and its gradient.
#
# Maximum; exp, its sum and that of exp(x - m) * (m - x); with the gradient one more pass, over terms that are staged in
# the gradient itself. Error: 4 ULP of the entropy; gradient 4 ULP of the sum of its absolute terms.

cdef extern from "softmax/primitives.h" nogil:
    void row_exp_moment(...)
    void row_entropy_slope(...)
    void lanes_exp_moment(...)
    void lanes_entropy_slope(...)


cdef enum:
    LOWEST_EXPONENT = 1200      # what e.g. 10**9 terms times 2**-1200 and their gap add to a double is nothing


cdef inline void moment_chunk(const real *x, real *stage, Py_ssize_t n, const RowPlan *plan, const Upcoming *ahead,
                              Part *part) noexcept nogil:
    """Sums of a chunk whose maximum is known: sum_chunk, and the moment."""
    part.moment = 0
    if part.max == -INFINITY:
        sum_chunk(x, <const real *>NULL, <const real *>NULL, stage, n, plan, ahead, part)
    else:
        row_exp_moment(x, stage, n, <real>part.max, ahead, &part.terms, &part.moment)


cdef double mean_gap(const Part *parts, Py_ssize_t n_parts, const Stat *stat) noexcept nogil:
    """Merge the moments of the chunks of a row into the sum of p * (m - x); nothing cancels."""
    cdef Py_ssize_t k
    cdef int exponent
    cdef DoublePair total = pair_of(0, 0), weight, terms, gap
    for k in range(n_parts):
        if parts[k].max == stat.max:
            total = pair_sum(total, pair_quotient(pair_of(parts[k].moment, 0), unit_of(parts + k)))
        elif parts[k].max > -INFINITY:
            weight = pair_quotient(chunk_weight(parts[k].max, stat.max, 1.0, &exponent), unit_of(parts + k))
            if weight.high == 0 or exponent < -LOWEST_EXPONENT:     # the gap may be infinite
                continue
            gap = pair_distance(stat.max, parts[k].max, 1.0)
            terms = pair_sum(pair_of(parts[k].terms.sum, parts[k].terms.sum_error),
                             pair_times(unit_of(parts + k), parts[k].terms.n_max))
            terms = pair_product(pair_plus(pair_product(terms, gap), parts[k].moment), weight)
            total = pair_sum(total, pair_scaled(terms, exponent))
    return pair_value(pair_quotient(total, pair_of(stat.total, stat.total_error)))


cdef inline double mean_gap_of(bint is_double, const Part *parts, Py_ssize_t n_parts,
                               const Stat *stat) noexcept nogil:
    """Return the sum of p * (m - x) of a row; a float row of one chunk does without pairs."""
    if not is_double and n_parts == 1:
        return parts.moment / ((parts.terms.unit + parts.terms.unit_error) * stat.total)
    return mean_gap(parts, n_parts, stat)


cdef inline void moments_of_row(const Row *row, Py_ssize_t n_classes, Part *parts, const real *dtype) noexcept nogil:
    """Maximum and sums of the chunks of a row; those after the first one are fetched meanwhile."""
    cdef Py_ssize_t k, at, n = n_chunks(n_classes)
    cdef const real *x = <const real *>row.x
    cdef Upcoming next
    for k in range(n):
        at = k * CHUNK
        next = shifted(&row.plan.ahead, at + CHUNK - n_classes if k < n - 1 else 0)
        parts[k].max = row_max(x + at, chunk_size(n_classes, k))
        moment_chunk(x + at, <real *>NULL if row.stage == NULL else <real *>row.stage + at, chunk_size(n_classes, k),
                     &row.plan, &next, parts + k)


cdef inline void moments_of_rows(const Row *rows, Py_ssize_t n_rows, Py_ssize_t n_classes, Part *parts,
                                 const real *dtype) noexcept nogil:
    """The same of several rows; those of one chunk go in step: what one waits for, the others compute."""
    cdef Py_ssize_t i
    if n_chunks(n_classes) > 1:
        for i in range(n_rows):
            moments_of_row(rows + i, n_classes, parts + i * n_chunks(n_classes), dtype)
        return
    for i in range(n_rows):
        parts[i].max = row_max(<const real *>rows[i].x, n_classes)
    for i in range(n_rows):
        moment_chunk(<const real *>rows[i].x, <real *>rows[i].stage, n_classes, &rows[i].plan, &rows[i].plan.ahead,
                     parts + i)


cdef inline double center_of(double max, double mean, double *error) noexcept nogil:
    """Return m - mean and its rounding error; mean >= 0."""
    cdef double center = max - mean, part = center - max
    error[0] = (max - (center - part)) - (mean + part)
    return center


cdef inline void entropy_slopes(const DivergenceTask *task, const Row *row, const Part *parts, const Stat *stat,
                                double mean, real *out, real *stage) noexcept nogil:
    """The gradient of a row. Terms that are not staged are computed again, chunk by chunk, into `stage`."""
    cdef Py_ssize_t k, at, n, n_classes = task.g.n_classes
    cdef const real *x
    cdef real *terms
    cdef Upcoming nothing = nothing_ahead()
    cdef Part again
    cdef double factor, error, center, center_error
    cdef int lift
    center = center_of(stat.max, mean, &center_error)
    for k in range(n_chunks(n_classes)):
        at, n = k * CHUNK, chunk_size(n_classes, k)
        x, terms = <const real *>row.x + at, stage
        if row.stage != NULL:
            terms = <real *>row.stage + at
        else:
            again = parts[k]
            moment_chunk(x, stage, n, &row.plan, &nothing, &again)
        lift = lift_of(real is double, parts + k, stat)
        slope_factor(real is double, parts + k, stat, task.divisor, lift, &factor, &error)
        row_entropy_slope(x, terms, out + at, n, center, center_error, factor, error,
                          ldexp(unit_power(real is double), lift))


cdef inline void entropy_rows(const DivergenceTask *task, Py_ssize_t first, const Row *rows, Py_ssize_t n_rows,
                              real *const *outs, real *stage, Part *parts) noexcept nogil:
    """Rows first .. first + n_rows, at most ROW_GROUP of them."""
    cdef Py_ssize_t i, n = n_chunks(task.g.n_classes)
    cdef Stat stat
    cdef double mean
    moments_of_rows(rows, n_rows, task.g.n_classes, parts, stage)
    for i in range(n_rows):
        if real is float:
            if n == 1:
                merge_single(parts + i, True, &stat)
            else:
                merge(parts + i * n, n, 1.0, True, &stat)
        else:
            merge(parts + i * n, n, 1.0, True, &stat)
        mean = mean_gap_of(real is double, parts + i * n, n, &stat)
        task.losses[first + i] = log1p(stat.sum_rest) + mean
        if outs[i] != NULL:
            entropy_slopes(task, rows + i, parts + i * n, &stat, mean, outs[i], stage)


cdef inline void entropy_group(const DivergenceTask *task, Py_ssize_t first, Py_ssize_t n_rows,
                               real *scratch) noexcept nogil:
    """Contiguous rows, computed where they lie."""
    cdef const Geometry *g = &task.g
    cdef Row rows[ROW_GROUP]
    cdef real *outs[ROW_GROUP]
    cdef Py_ssize_t i
    for i in range(n_rows):
        place_row(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first + i, NULL, task.grad_p != NULL,
                  1.0, True, rows + i)
        outs[i] = <real *>rows[i].stage
    entropy_rows(task, first, rows, n_rows, outs, scratch, <Part *>(<char *>scratch + stage_bytes(g)))


cdef inline void entropy_in_scratch(const DivergenceTask *task, Py_ssize_t first, Py_ssize_t n_rows, real *values,
                                    char *scratch) noexcept nogil:
    """Rows that have been brought to scratch, one by one; the gradients take their place."""
    cdef Row row
    cdef real *out
    cdef Py_ssize_t i, n = task.g.n_classes
    cdef bint with_grad = task.grad_p != NULL
    row.low = row.t = NULL
    plan_row(&task.g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first, 1.0, True, &row.plan)
    for i in range(n_rows):
        row.x, row.stage, out = values + i * n, NULL, NULL
        if with_grad:
            out = values + i * n
            if keeps_terms(&task.g, task.grad_p):
                row.stage = scratch
        entropy_rows(task, first + i, &row, 1, &out, <real *>scratch, <Part *>(scratch + stage_bytes(&task.g)))


# What lies behind a tile for the entropy: an array of lanes each.
cdef struct EntropyLanes:
    void *max                   # of the computing dtype
    LaneSums sums
    double *mean                # of m - x, then the center m - mean
    double *center_error
    double *log_sum
    double *factor
    double *factor_error


cdef inline void entropy_tile(const DivergenceTask *task, real *tile, real *stage, Py_ssize_t first,
                              Py_ssize_t n_lanes, const Upcoming *ahead) noexcept nogil:
    """A tile of lanes; the terms go to another one unless that is NULL, and gradients take the place of logits."""
    cdef const Geometry *g = &task.g
    cdef EntropyLanes a
    carve_lane_arrays(&a, behind_values(g, tile), g)
    cdef real *m = <real *>a.max
    cdef double *mean = a.mean
    cdef double *factor = a.factor
    cdef Py_ssize_t lane, width = width_of(g, n_lanes)
    lanes_max(tile, width, g.n_classes, m, NULL, <real *>NULL)
    lanes_exp_moment(tile, stage, width, g.n_classes, m, ahead, &a.sums, mean)
    lanes_sum_rest(&a.sums, width, real is double, a.log_sum)
    log1p_lanes(a.log_sum, a.log_sum, width)
    if real is double:
        lanes_mean(&a.sums, width, mean)
        lanes_factor(&a.sums, width, UNIT_F64, NULL, task.divisor, factor, a.factor_error)
    else:
        for lane in range(width):
            factor[lane] = 1 / (a.sums.sum[lane] + a.sums.n_max[lane] * a.sums.unit[lane])
            mean[lane] = mean[lane] * factor[lane]
            factor[lane], a.factor_error[lane] = factor[lane] * (UNIT_F32 / task.divisor), 0
    for lane in range(n_lanes):
        task.losses[first + lane] = a.log_sum[lane] + mean[lane]
    if stage != NULL:
        for lane in range(width):
            mean[lane] = center_of(m[lane], mean[lane], a.center_error + lane)
        lanes_entropy_slope(tile, stage, width, g.n_classes, mean, a.center_error, factor, a.factor_error)


cdef inline void entropy_pieces(const DivergenceTask *task, Py_ssize_t block, real *tile) noexcept nogil:
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t piece, first, n_lanes
    cdef char *rest = <char *>tile + tile_bytes(g)
    cdef Upcoming ahead
    for piece in range(n_pieces(g, block)):
        first = first_lane(g, block, piece)
        n_lanes = min(g.stride, g.n_lanes - first)
        if in_place(g):
            entropy_group(task, first, n_lanes, tile)
            continue
        tile_load(tile, g, g.kind, task.p, &task.p_steps, first, n_lanes)
        if is_tile(g):
            ahead = next_piece(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first)
            entropy_tile(task, tile, <real *>NULL if task.grad_p == NULL else <real *>rest, first, n_lanes, &ahead)
        else:
            entropy_in_scratch(task, first, n_lanes, tile, rest)
        if task.grad_p != NULL:
            tile_store(tile, g, first, n_lanes, task.grad_p, &task.grad_p_steps)


cdef void entropy_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const DivergenceTask *task = <const DivergenceTask *>argument
    if task.g.kind == KIND_F64:
        entropy_pieces(task, block, <double *>scratch)
    else:
        entropy_pieces(task, block, <float *>scratch)
