# The entropy of softmax and the Kullback-Leibler divergence of two, with their gradients.
#
# Entropy: maximum; exp, its sum and that of exp(x - m) * (m - x); with the gradient one more pass, over terms that are
# staged in the gradient itself. Divergence: the same sums of both arrays without the moments; then the terms of
# loss/divergences.h, and the gradients. All passes of a row or tile are made while it is in the cache; the terms of
# a row of several chunks, where nothing is there to stage them in, are computed again chunk by chunk.
# Error: 4 ULP of the entropy, 4 ULP of the sum of p * abs(log(p) - log(q)), gradients 4 ULP of the sum of their
# absolute terms.

from libc.math cimport fabs, log

cdef extern from "<math.h>":
    long double log1pl(long double x) noexcept nogil
    long double logl(long double x) noexcept nogil

cdef extern from "softmax/primitives.h":
    ctypedef struct DivergenceRow:
        double p_max, q_max, p_factor, p_error, q_factor, q_error, shift, shift_error, mean, unit
    ctypedef struct DivergenceLanes:
        double *p_factor
        double *p_error
        double *q_factor
        double *q_error
        double *shift
        double *shift_error
        double *mean
        double *unit
        double *terms
        double *excess
    double UNIT_F32, UNIT_F64
    void row_exp_moment_f32(const float *x, float *stage, Py_ssize_t n, float m, const Upcoming *next, exp_sum *result,
                            double *moment) noexcept nogil
    void row_exp_moment_f64(const double *x, double *stage, Py_ssize_t n, double m, const Upcoming *next,
                            exp_sum *result, double *moment) noexcept nogil
    void row_entropy_slope_f32(const float *x, const float *e, float *out, Py_ssize_t n, double center,
                               double center_error, double factor, double error) noexcept nogil
    void row_entropy_slope_f64(const double *x, const double *e, double *out, Py_ssize_t n, double center,
                               double center_error, double factor, double error) noexcept nogil
    void lanes_exp_moment_f32(const float *tile, float *stage, Py_ssize_t stride, Py_ssize_t n_classes, const float *m,
                              const Upcoming *next, const LaneSums *result, double *moment) noexcept nogil
    void lanes_exp_moment_f64(const double *tile, double *stage, Py_ssize_t stride, Py_ssize_t n_classes,
                              const double *m, const Upcoming *next, const LaneSums *result,
                              double *moment) noexcept nogil
    void lanes_entropy_slope_f32(float *tile, const float *e, Py_ssize_t stride, Py_ssize_t n_classes,
                                 const double *center, const double *center_error, const double *factor,
                                 const double *error) noexcept nogil
    void lanes_entropy_slope_f64(double *tile, const double *e, Py_ssize_t stride, Py_ssize_t n_classes,
                                 const double *center, const double *center_error, const double *factor,
                                 const double *error) noexcept nogil
    void row_divergence_f32(const float *zp, const float *zq, const float *ep, const float *eq, Py_ssize_t n,
                            const DivergenceRow *row, double *terms, double *excess) noexcept nogil
    void row_divergence_f64(const double *zp, const double *zq, const double *ep, const double *eq, Py_ssize_t n,
                            const DivergenceRow *row, double *terms, double *excess) noexcept nogil
    void row_divergence_slopes_f32(const float *zp, const float *zq, const float *ep, const float *eq, float *for_p,
                                   float *for_q, Py_ssize_t n, const DivergenceRow *row) noexcept nogil
    void row_divergence_slopes_f64(const double *zp, const double *zq, const double *ep, const double *eq,
                                   double *for_p, double *for_q, Py_ssize_t n, const DivergenceRow *row) noexcept nogil
    void lanes_divergence_f32(const float *zp, const float *zq, const float *ep, const float *eq, Py_ssize_t stride,
                              Py_ssize_t n_classes, const float *p_max, const float *q_max,
                              const DivergenceLanes *lanes) noexcept nogil
    void lanes_divergence_f64(const double *zp, const double *zq, const double *ep, const double *eq,
                              Py_ssize_t stride, Py_ssize_t n_classes, const double *p_max, const double *q_max,
                              const DivergenceLanes *lanes) noexcept nogil
    void lanes_divergence_slopes_f32(float *zp, float *zq, const float *ep, const float *eq, Py_ssize_t stride,
                                     Py_ssize_t n_classes, const float *p_max, const float *q_max,
                                     const DivergenceLanes *lanes) noexcept nogil
    void lanes_divergence_slopes_f64(double *zp, double *zq, const double *ep, const double *eq, Py_ssize_t stride,
                                     Py_ssize_t n_classes, const double *p_max, const double *q_max,
                                     const DivergenceLanes *lanes) noexcept nogil
    double wide_divergence_f32(const float *zp, const float *zq, Py_ssize_t step, Py_ssize_t n, float p_max,
                               float q_max, double p_total, double q_total) noexcept nogil
    double wide_divergence_f64(const double *zp, const double *zq, Py_ssize_t step, Py_ssize_t n, double p_max,
                               double q_max, double p_total, double q_total) noexcept nogil

cdef struct DivergenceTask:
    Geometry g
    const void *p
    const void *q               # NULL for the entropy
    Steps p_steps, q_steps
    double *losses
    void *grad_p                # or NULL
    void *grad_q
    Steps grad_p_steps, grad_q_steps
    double divisor              # of the gradients


cdef inline void put_factor(const real *dtype, long double exact, double *factor, double *error) noexcept nogil:
    """Split a factor into its value and its rounding error, which floats do without."""
    factor[0] = <double>exact
    error[0] = 0
    if real is double:
        if isfinite(factor[0]):
            error[0] = <double>(exact - factor[0])


cdef inline void slope_factor(const real *dtype, const Part *part, const Stat *stat, double divisor, double *factor,
                              double *error) noexcept nogil:
    """What turns the terms of a chunk into probabilities * UNIT_POWER / divisor, in two parts."""
    cdef Factor share = chunk_factor(dtype, part, stat, 1.0)
    cdef long double exact
    if real is float:
        factor[0], error[0] = share.value * (UNIT_F32 / divisor), 0
    else:
        exact = (<long double>share.value + share.error) * (FIRST_FACTOR if share.shrinks else 1)
        put_factor(dtype, exact * UNIT_F64 / divisor, factor, error)


cdef inline bint keeps_terms(const Geometry *g, const void *grad) noexcept nogil:
    """Whether there is room for the terms of a whole row: in its gradient, or in a chunk of scratch."""
    return n_chunks(g.n_classes) == 1 or (grad != NULL and lies_ready(g))


cdef inline Py_ssize_t stage_bytes(const Geometry *g) noexcept nogil:
    """Return the bytes of a chunk of terms."""
    return round_up(min(g.n_classes, CHUNK) * g.item_bytes, CACHE_LINE)


# ---- entropy ----

cdef inline void moment_chunk(const real *x, real *stage, Py_ssize_t n, const RowPlan *plan, const Upcoming *ahead,
                              Part *part) noexcept nogil:
    """Sums of a chunk whose maximum is known: sum_chunk, and the moment as the distance of the part."""
    part.distance = 0
    if part.max == -INFINITY:
        sum_chunk(x, <const real *>NULL, stage, n, plan, ahead, part)
    elif real is float:
        row_exp_moment_f32(x, stage, n, <float>part.max, ahead, &part.terms, &part.distance)
    else:
        row_exp_moment_f64(x, stage, n, part.max, ahead, &part.terms, &part.distance)


cdef double mean_distance(const Part *parts, Py_ssize_t n_parts, const Stat *stat) noexcept nogil:
    """Merge the moments of the chunks of a row into the sum of p * (m - x); nothing cancels."""
    cdef Py_ssize_t k
    cdef long double total = 0, terms
    for k in range(n_parts):
        if parts[k].max > -INFINITY:
            terms = <long double>parts[k].terms.sum + parts[k].terms.sum_error
            terms += parts[k].terms.n_max * unit_of(parts + k)
            total += ((parts[k].distance + terms * (<long double>stat.max - parts[k].max))
                      * outweighed(parts[k].max, stat.max, 1.0) / unit_of(parts + k))
    return <double>(total / (<long double>stat.total + stat.total_error))


cdef inline double mean_distance_of(const real *dtype, const Part *parts, Py_ssize_t n_parts,
                                    const Stat *stat) noexcept nogil:
    """Return the sum of p * (m - x) of a row; a float row of one chunk does without long double."""
    if real is float:
        if n_parts == 1:
            return parts.distance / ((parts.terms.unit + parts.terms.unit_error) * stat.total)
    return mean_distance(parts, n_parts, stat)


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
    cdef Upcoming nothing = shifted(&row.plan.ahead, 0)
    cdef Part again
    cdef double factor, error, center, center_error
    center = center_of(stat.max, mean, &center_error)
    nothing.read = nothing.write = NULL
    for k in range(n_chunks(n_classes)):
        at, n = k * CHUNK, chunk_size(n_classes, k)
        x, terms = <const real *>row.x + at, stage
        if row.stage != NULL:
            terms = <real *>row.stage + at
        else:
            again = parts[k]
            moment_chunk(x, stage, n, &row.plan, &nothing, &again)
        slope_factor(stage, parts + k, stat, task.divisor, &factor, &error)
        if real is float:
            row_entropy_slope_f32(x, terms, out + at, n, center, center_error, factor, error)
        else:
            row_entropy_slope_f64(x, terms, out + at, n, center, center_error, factor, error)


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
        mean = mean_distance_of(stage, parts + i * n, n, &stat)
        task.losses[first + i] = log1p(stat.others) + mean
        if outs[i] != NULL:
            entropy_slopes(task, rows + i, parts + i * n, &stat, mean, outs[i], stage)


cdef inline void entropy_group(const DivergenceTask *task, Py_ssize_t first, Py_ssize_t n_rows, char *scratch,
                               const real *dtype) noexcept nogil:
    """Contiguous rows, computed where they lie."""
    cdef const Geometry *g = &task.g
    cdef Row rows[ROW_GROUP]
    cdef real *outs[ROW_GROUP]
    cdef Py_ssize_t i
    for i in range(n_rows):
        place_row(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first + i, scratch, task.grad_p != NULL,
                  1.0, True, rows + i)
        outs[i] = <real *>rows[i].stage
    entropy_rows(task, first, rows, n_rows, outs, <real *>scratch, <Part *>(scratch + stage_bytes(g)))


cdef inline void entropy_in_scratch(const DivergenceTask *task, Py_ssize_t first, Py_ssize_t n_rows, real *values,
                                    char *scratch) noexcept nogil:
    """Rows that have been brought to scratch, one by one; the gradients take their place."""
    cdef Row row
    cdef real *out
    cdef Py_ssize_t i, n = task.g.n_classes
    cdef bint with_grad = task.grad_p != NULL
    row.t = NULL
    plan_row(&task.g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first, 1.0, True, &row.plan)
    for i in range(n_rows):
        row.x, row.stage, out = values + i * n, NULL, NULL
        if with_grad:
            out = values + i * n
            if keeps_terms(&task.g, task.grad_p):
                row.stage = scratch
        entropy_rows(task, first + i, &row, 1, &out, <real *>scratch, <Part *>(scratch + stage_bytes(&task.g)))


cdef inline long double total_of_lane(const LaneSums *a, Py_ssize_t lane) noexcept nogil:
    """Return the sum of all terms of a lane, the maxima among them, in the unit of the terms."""
    return (<long double>a.sum[lane] + a.sum_error[lane]
            + a.n_max[lane] * (<long double>a.unit[lane] + a.unit_error[lane]))


cdef inline void entropy_tile(const DivergenceTask *task, real *tile, real *stage, Py_ssize_t first,
                              Py_ssize_t n_lanes, char *scratch, const Upcoming *ahead) noexcept nogil:
    """A tile of lanes; the terms go to another one unless that is NULL, and gradients take the place of logits."""
    cdef const Geometry *g = &task.g
    cdef real *m = <real *>lane_array(g, scratch, 0)
    cdef LaneSums a = lane_sums(g, scratch, 1)
    cdef double *mean = <double *>lane_array(g, scratch, 6)
    cdef double *log_sum = <double *>lane_array(g, scratch, 7)
    cdef double *factor = <double *>lane_array(g, scratch, 8)
    cdef double *error = <double *>lane_array(g, scratch, 9)
    cdef double *lost = <double *>lane_array(g, scratch, 10)
    cdef Py_ssize_t lane, width = width_of(g, n_lanes)
    cdef long double total
    lanes_max(tile, width, g.n_classes, m, NULL, <real *>NULL)
    if real is float:
        lanes_exp_moment_f32(tile, stage, width, g.n_classes, m, ahead, &a, mean)
    else:
        lanes_exp_moment_f64(tile, stage, width, g.n_classes, m, ahead, &a, mean)
    lanes_others(&a, width, real is double, log_sum)
    log1p_lanes(log_sum, log_sum, width)
    for lane in range(width):
        if real is float:
            factor[lane] = 1 / (a.sum[lane] + a.n_max[lane] * a.unit[lane])
            mean[lane] = mean[lane] * factor[lane]
            factor[lane], error[lane] = factor[lane] * (UNIT_F32 / task.divisor), 0
        else:
            total = total_of_lane(&a, lane)
            mean[lane] = <double>(mean[lane] / total)
            put_factor(tile, UNIT_F64 / (total * task.divisor), factor + lane, error + lane)
    for lane in range(n_lanes):
        task.losses[first + lane] = log_sum[lane] + mean[lane]
    if stage != NULL:
        for lane in range(width):
            mean[lane] = center_of(m[lane], mean[lane], lost + lane)
        if real is float:
            lanes_entropy_slope_f32(tile, stage, width, g.n_classes, mean, lost, factor, error)
        else:
            lanes_entropy_slope_f64(tile, stage, width, g.n_classes, mean, lost, factor, error)


cdef inline void entropy_block(const void *argument, Py_ssize_t block, char *scratch, const real *dtype) noexcept nogil:
    cdef const DivergenceTask *task = <const DivergenceTask *>argument
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t piece, first, n_lanes
    cdef real *tile = <real *>scratch
    cdef char *rest = scratch + tile_bytes(g)
    cdef Upcoming ahead
    for piece in range(n_pieces(g, block)):
        first = first_lane(g, block, piece)
        n_lanes = min(g.stride, g.n_lanes - first)
        if lies_ready(g):
            entropy_group(task, first, n_lanes, scratch, dtype)
            continue
        tile_load(g, g.kind, task.p, &task.p_steps, first, n_lanes, tile)
        if is_tile(g):
            ahead = next_piece(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first)
            entropy_tile(task, tile, <real *>NULL if task.grad_p == NULL else <real *>rest, first, n_lanes, scratch,
                         &ahead)
        else:
            entropy_in_scratch(task, first, n_lanes, tile, rest)
        if task.grad_p != NULL:
            tile_store(g, tile, first, n_lanes, task.grad_p, &task.grad_p_steps)


cdef void entropy_block_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    entropy_block(task, block, scratch, <const float *>NULL)


cdef void entropy_block_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    entropy_block(task, block, scratch, <const double *>NULL)


# ---- divergence ----

cdef inline void log_of_ratio(const real *dtype, long double p, long double q, double *shift,
                              double *error) noexcept nogil:
    """log(q / p) in two parts."""
    cdef double ratio = <double>q / <double>p
    cdef long double exact
    if real is float:
        shift[0] = log1p((<double>q - <double>p) / <double>p) if 0.5 < ratio < 2 else log(ratio)
        error[0] = 0
    else:
        exact = log1pl((q - p) / p) if 0.5 < ratio < 2 else logl(q / p)
        put_factor(dtype, exact, shift, error)


cdef inline double least_divergence(const real *dtype) noexcept nogil:
    """Below it the distributions differ by about the rounding errors of their sums."""
    return 2.0 ** -40 if real is float else 2.0 ** -98


cdef inline double divergence_from(double terms, double excess) noexcept nogil:
    """Take out of the terms, which are not scaled, what the common error of the r has added."""
    return max(0.0, terms - excess * excess * (0.5 + excess / 3))


cdef inline double correction_of(double excess) noexcept nogil:
    """Return log(1 - excess), which takes the common error out of the r."""
    if fabs(excess) < 1e-4:
        return -excess * (1 + excess * (0.5 + excess * (1.0 / 3 + excess * 0.25)))
    return log1p(-excess) if excess < 1 else 0


cdef inline double unit_power(const real *dtype) noexcept nogil:
    """Return the unit of terms and probabilities."""
    return UNIT_F32 if real is float else UNIT_F64


cdef inline double unit_for(const real *dtype, double divergence) noexcept nogil:
    """Return the unit of the probabilities in the gradients: products with a huge r stay in range without one."""
    return unit_power(dtype) if divergence < 1e18 else 1


# A pair of rows, and the gradients.
cdef struct Pair:
    Row rows[2]
    void *grads[2]              # or NULL
    void *stages[2]             # for the terms of a chunk, where a row keeps none


cdef inline void terms_of_chunk(const Pair *pair, int which, Py_ssize_t k, Py_ssize_t n_classes, const Part *parts,
                                real **terms) noexcept nogil:
    """Where the terms of a chunk are, computed again if they have not been kept."""
    cdef const Row *row = &pair.rows[which]
    cdef Upcoming nothing = shifted(&row.plan.ahead, 0)
    cdef Part again = parts[k]
    if row.stage != NULL:
        terms[0] = <real *>row.stage + k * CHUNK
        return
    nothing.read = nothing.write = NULL
    terms[0] = <real *>pair.stages[which]
    sum_chunk(<const real *>row.x + k * CHUNK, <const real *>NULL, terms[0], chunk_size(n_classes, k), &row.plan,
              &nothing, &again)


cdef inline void chunk_factors(const real *dtype, const Part *parts, Py_ssize_t n_parts, Py_ssize_t k,
                               const Stat *stats, double divisor, DivergenceRow *d) noexcept nogil:
    slope_factor(dtype, parts + k, stats, divisor, &d.p_factor, &d.p_error)
    slope_factor(dtype, parts + n_parts + k, stats + 1, divisor, &d.q_factor, &d.q_error)


cdef inline void sum_divergence(const Pair *pair, Py_ssize_t n_classes, const Part *parts, const Stat *stats,
                                DivergenceRow *d, const real *dtype, double *terms, double *excess) noexcept nogil:
    """Sum the terms of a pair of rows over their chunks."""
    cdef Py_ssize_t k, at, n, n_parts = n_chunks(n_classes)
    cdef real *ep
    cdef real *eq
    cdef const real *zp = <const real *>pair.rows[0].x
    cdef const real *zq = <const real *>pair.rows[1].x
    cdef double part, more
    terms[0] = excess[0] = 0
    for k in range(n_parts):
        at, n = k * CHUNK, chunk_size(n_classes, k)
        terms_of_chunk(pair, 0, k, n_classes, parts, &ep)
        terms_of_chunk(pair, 1, k, n_classes, parts + n_parts, &eq)
        chunk_factors(dtype, parts, n_parts, k, stats, 1.0, d)
        if real is float:
            row_divergence_f32(zp + at, zq + at, ep, eq, n, d, &part, &more)
        else:
            row_divergence_f64(zp + at, zq + at, ep, eq, n, d, &part, &more)
        terms[0] += part / unit_power(dtype)
        excess[0] += more / unit_power(dtype)


cdef inline double row_divergence(const Pair *pair, Py_ssize_t n_classes, const Part *parts, const Stat *stats,
                                  DivergenceRow *d, const real *dtype) noexcept nogil:
    """The divergence of a pair of rows; its shift is left corrected."""
    cdef double terms, excess
    sum_divergence(pair, n_classes, parts, stats, d, dtype, &terms, &excess)
    if terms < least_divergence(dtype) and d.shift != 0:
        d.shift = d.shift_error = 0
        sum_divergence(pair, n_classes, parts, stats, d, dtype, &terms, &excess)
    if isfinite(terms):
        d.shift_error += correction_of(excess)
        return divergence_from(terms, excess)
    if real is float:
        return wide_divergence_f32(<const float *>pair.rows[0].x, <const float *>pair.rows[1].x, 1, n_classes,
                                   <float>d.p_max, <float>d.q_max, stats[0].total, stats[1].total)
    else:
        return wide_divergence_f64(<const double *>pair.rows[0].x, <const double *>pair.rows[1].x, 1, n_classes,
                                   d.p_max, d.q_max, stats[0].total, stats[1].total)


cdef inline void divergence_slopes(const DivergenceTask *task, const Pair *pair, const Part *parts, const Stat *stats,
                                   DivergenceRow *d, const real *dtype) noexcept nogil:
    cdef Py_ssize_t k, at, n, n_classes = task.g.n_classes, n_parts = n_chunks(n_classes)
    cdef real *ep
    cdef real *eq
    cdef const real *zp = <const real *>pair.rows[0].x
    cdef const real *zq = <const real *>pair.rows[1].x
    cdef real *for_p = <real *>pair.grads[0]
    cdef real *for_q = <real *>pair.grads[1]
    cdef double scale
    d.unit = unit_for(dtype, d.mean)
    scale = unit_power(dtype) / d.unit * task.divisor
    for k in range(n_parts):
        at, n = k * CHUNK, chunk_size(n_classes, k)
        terms_of_chunk(pair, 0, k, n_classes, parts, &ep)
        terms_of_chunk(pair, 1, k, n_classes, parts + n_parts, &eq)
        chunk_factors(dtype, parts, n_parts, k, stats, scale, d)
        if real is float:
            row_divergence_slopes_f32(zp + at, zq + at, ep, eq, for_p + at, for_q + at, n, d)
        else:
            row_divergence_slopes_f64(zp + at, zq + at, ep, eq, for_p + at, for_q + at, n, d)


cdef inline void divergence_pair(const DivergenceTask *task, Py_ssize_t lane, const Pair *pair, Part *parts,
                                 const real *dtype) noexcept nogil:
    """A pair of rows, computed in step."""
    cdef Stat stats[2]
    cdef DivergenceRow d
    reduce_rows(&pair.rows[0], 2, task.g.n_classes, dtype, parts, stats)
    d.p_max, d.q_max, d.mean, d.unit, d.shift, d.shift_error = stats[0].max, stats[1].max, NAN, 1, NAN, 0
    if isfinite(stats[0].total) and isfinite(stats[1].total):
        log_of_ratio(dtype, <long double>stats[0].total + stats[0].total_error,
                     <long double>stats[1].total + stats[1].total_error, &d.shift, &d.shift_error)
        d.mean = row_divergence(pair, task.g.n_classes, parts, stats, &d, dtype)
    task.losses[lane] = d.mean
    if pair.grads[0] != NULL:
        divergence_slopes(task, pair, parts, stats, &d, dtype)


cdef inline void divergence_rows(const DivergenceTask *task, Py_ssize_t first, Py_ssize_t n_rows, char *scratch,
                                 const real *dtype) noexcept nogil:
    """Contiguous rows, computed where they lie."""
    cdef const Geometry *g = &task.g
    cdef Pair pair
    cdef Py_ssize_t i
    cdef bint with_grad = task.grad_p != NULL
    pair.stages[0], pair.stages[1] = scratch, scratch + stage_bytes(g)
    for i in range(n_rows):
        place_row(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first + i, NULL, with_grad, 1.0, True,
                  &pair.rows[0])
        place_row(g, task.q, &task.q_steps, task.grad_q, &task.grad_q_steps, first + i, NULL, with_grad, 1.0, True,
                  &pair.rows[1])
        pair.grads[0], pair.grads[1] = pair.rows[0].stage, pair.rows[1].stage
        if not with_grad and keeps_terms(g, NULL):
            pair.rows[0].stage, pair.rows[1].stage = pair.stages[0], pair.stages[1]
        divergence_pair(task, first + i, &pair, <Part *>(scratch + 2 * stage_bytes(g)), dtype)


cdef inline void divergence_in_scratch(const DivergenceTask *task, Py_ssize_t first, Py_ssize_t n_rows, real *p,
                                       real *q, char *scratch) noexcept nogil:
    """Rows that have been brought to scratch; the gradients take their place."""
    cdef const Geometry *g = &task.g
    cdef Pair pair
    cdef Py_ssize_t i, n = g.n_classes
    pair.stages[0], pair.stages[1] = scratch, scratch + stage_bytes(g)
    plan_row(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first, 1.0, True, &pair.rows[0].plan)
    plan_row(g, task.q, &task.q_steps, task.grad_q, &task.grad_q_steps, first, 1.0, True, &pair.rows[1].plan)
    for i in range(n_rows):
        pair.rows[0].x, pair.rows[1].x = p + i * n, q + i * n
        pair.rows[0].t = pair.rows[1].t = pair.rows[0].stage = pair.rows[1].stage = NULL
        pair.grads[0] = pair.grads[1] = NULL
        if task.grad_p != NULL:
            pair.grads[0], pair.grads[1] = p + i * n, q + i * n
        if n_chunks(n) == 1:
            pair.rows[0].stage, pair.rows[1].stage = pair.stages[0], pair.stages[1]
        divergence_pair(task, first + i, &pair, <Part *>(scratch + 2 * stage_bytes(g)), p)


cdef inline void exp_of_tile(const Geometry *g, const real *x, real *terms, Py_ssize_t width, real *m,
                             const LaneSums *sums, const Upcoming *ahead) noexcept nogil:
    """The terms of a tile, and the maxima and sums of its lanes."""
    lanes_max(x, width, g.n_classes, m, NULL, <real *>NULL)
    memcpy(terms, x, width * g.n_classes * sizeof(real))
    lanes_exp_sum(terms, width, g.n_classes, m, 1.0, <const real *>NULL, <real *>NULL, True, True, ahead, sums)


cdef inline void sum_divergence_of_lanes(const Geometry *g, const real *p, const real *q, const real *ep,
                                         const real *eq, Py_ssize_t width, const real *p_max, const real *q_max,
                                         const DivergenceLanes *d) noexcept nogil:
    cdef Py_ssize_t lane
    if real is float:
        lanes_divergence_f32(p, q, ep, eq, width, g.n_classes, p_max, q_max, d)
    else:
        lanes_divergence_f64(p, q, ep, eq, width, g.n_classes, p_max, q_max, d)
    for lane in range(width):
        d.terms[lane] /= unit_power(p)
        d.excess[lane] /= unit_power(p)


cdef inline bint drop_shifts(const real *dtype, const DivergenceLanes *d, Py_ssize_t width) noexcept nogil:
    """Set the shift of lanes whose distributions hardly differ to 0, and return whether there is one."""
    cdef Py_ssize_t lane
    cdef bint found = False
    for lane in range(width):
        if d.terms[lane] < least_divergence(dtype) and d.shift[lane] != 0:
            d.shift[lane] = d.shift_error[lane] = 0
            found = True
    return found


cdef inline long double whole_of_lane(const LaneSums *a, Py_ssize_t lane) noexcept nogil:
    """Return the same in the unit of the maximum's term: 1 + S'."""
    return total_of_lane(a, lane) / (<long double>a.unit[lane] + a.unit_error[lane])


cdef inline double lane_divergence(const Geometry *g, const real *p, const real *q, Py_ssize_t lane, Py_ssize_t width,
                                   real p_max, real q_max, const LaneSums *a, const LaneSums *b,
                                   const DivergenceLanes *d) noexcept nogil:
    """The divergence of a lane; its shift is left corrected."""
    cdef double p_total, q_total
    if isfinite(d.terms[lane]):
        d.shift_error[lane] += correction_of(d.excess[lane])
        return divergence_from(d.terms[lane], d.excess[lane])
    p_total, q_total = <double>whole_of_lane(a, lane), <double>whole_of_lane(b, lane)
    if not (isfinite(p_total) and isfinite(q_total)):
        return NAN
    if real is float:
        return wide_divergence_f32(p + lane, q + lane, width, g.n_classes, p_max, q_max, p_total, q_total)
    else:
        return wide_divergence_f64(p + lane, q + lane, width, g.n_classes, p_max, q_max, p_total, q_total)


cdef inline DivergenceLanes divergence_lanes(const Geometry *g, char *p, char *q) noexcept nogil:
    """Take arrays of the scratch of both tiles, behind those of their maxima and sums."""
    cdef DivergenceLanes d
    d.p_factor, d.p_error = <double *>lane_array(g, p, 6), <double *>lane_array(g, p, 7)
    d.q_factor, d.q_error = <double *>lane_array(g, q, 6), <double *>lane_array(g, q, 7)
    d.shift, d.shift_error = <double *>lane_array(g, p, 8), <double *>lane_array(g, p, 9)
    d.mean, d.unit = <double *>lane_array(g, p, 10), <double *>lane_array(g, p, 11)
    d.terms, d.excess = <double *>lane_array(g, p, 12), <double *>lane_array(g, p, 13)
    return d


cdef inline void lane_factor(const real *dtype, const LaneSums *a, Py_ssize_t lane, double divisor, double *factor,
                             double *error) noexcept nogil:
    """What turns the terms of a lane into probabilities * UNIT_POWER / divisor, in two parts."""
    if real is float:
        factor[lane], error[lane] = UNIT_F32 / ((a.sum[lane] + a.n_max[lane] * a.unit[lane]) * divisor), 0
    else:
        put_factor(dtype, UNIT_F64 / (total_of_lane(a, lane) * divisor), factor + lane, error + lane)


cdef inline void shifts_of_lanes(const real *dtype, const LaneSums *a, const LaneSums *b, Py_ssize_t width,
                                 const DivergenceLanes *d) noexcept nogil:
    """log(q / p) of the sums of each lane; for floats a difference of two logarithms in double will do."""
    cdef Py_ssize_t lane
    if real is float:
        lanes_others(a, width, False, d.shift_error)
        lanes_others(b, width, False, d.shift)
        log1p_lanes(d.shift_error, d.shift_error, width)
        log1p_lanes(d.shift, d.shift, width)
    for lane in range(width):
        if real is float:
            d.shift[lane], d.shift_error[lane] = d.shift[lane] - d.shift_error[lane], 0
        else:
            log_of_ratio(dtype, whole_of_lane(a, lane), whole_of_lane(b, lane), d.shift + lane, d.shift_error + lane)


cdef inline void divergence_tile(const DivergenceTask *task, char *scratch, Py_ssize_t first,
                                 Py_ssize_t n_lanes, const real *dtype) noexcept nogil:
    """Four tiles of lanes: both logits, in whose place the gradients go, and their terms."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t lane, width = width_of(g, n_lanes), n_bytes = tile_bytes(g)
    cdef real *p = <real *>scratch
    cdef real *q = <real *>(scratch + n_bytes)
    cdef real *ep = <real *>(scratch + 2 * n_bytes)
    cdef real *eq = <real *>(scratch + 3 * n_bytes)
    cdef real *p_max = <real *>lane_array(g, scratch, 0)
    cdef real *q_max = <real *>lane_array(g, scratch + n_bytes, 0)
    cdef LaneSums a = lane_sums(g, scratch, 1), b = lane_sums(g, scratch + n_bytes, 1)
    cdef DivergenceLanes d = divergence_lanes(g, scratch, scratch + n_bytes)
    cdef Upcoming ahead = next_piece(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first)
    exp_of_tile(g, p, ep, width, p_max, &a, &ahead)
    ahead = next_piece(g, task.q, &task.q_steps, task.grad_q, &task.grad_q_steps, first)
    exp_of_tile(g, q, eq, width, q_max, &b, &ahead)
    for lane in range(width):
        lane_factor(dtype, &a, lane, 1.0, d.p_factor, d.p_error)
        lane_factor(dtype, &b, lane, 1.0, d.q_factor, d.q_error)
        d.mean[lane], d.unit[lane] = 0, 1
    shifts_of_lanes(dtype, &a, &b, width, &d)
    sum_divergence_of_lanes(g, p, q, ep, eq, width, p_max, q_max, &d)
    if drop_shifts(dtype, &d, width):
        sum_divergence_of_lanes(g, p, q, ep, eq, width, p_max, q_max, &d)
    for lane in range(width):
        d.mean[lane] = lane_divergence(g, p, q, lane, width, p_max[lane], q_max[lane], &a, &b, &d)
        d.unit[lane] = unit_for(dtype, d.mean[lane])
    memcpy(task.losses + first, d.mean, n_lanes * sizeof(double))
    if task.grad_p == NULL:
        return
    for lane in range(width):
        lane_factor(dtype, &a, lane, unit_power(dtype) / d.unit[lane] * task.divisor, d.p_factor, d.p_error)
        lane_factor(dtype, &b, lane, unit_power(dtype) / d.unit[lane] * task.divisor, d.q_factor, d.q_error)
    if real is float:
        lanes_divergence_slopes_f32(p, q, ep, eq, width, g.n_classes, p_max, q_max, &d)
    else:
        lanes_divergence_slopes_f64(p, q, ep, eq, width, g.n_classes, p_max, q_max, &d)


cdef inline void divergence_block(const void *argument, Py_ssize_t block, char *scratch,
                                  const real *dtype) noexcept nogil:
    cdef const DivergenceTask *task = <const DivergenceTask *>argument
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t piece, first, n_lanes
    cdef real *p = <real *>scratch
    cdef real *q = <real *>(scratch + tile_bytes(g))
    for piece in range(n_pieces(g, block)):
        first = first_lane(g, block, piece)
        n_lanes = min(g.stride, g.n_lanes - first)
        if lies_ready(g):
            divergence_rows(task, first, n_lanes, scratch, dtype)
            continue
        tile_load(g, g.kind, task.p, &task.p_steps, first, n_lanes, p)
        tile_load(g, g.kind, task.q, &task.q_steps, first, n_lanes, q)
        if is_tile(g):
            divergence_tile(task, scratch, first, n_lanes, dtype)
        else:
            divergence_in_scratch(task, first, n_lanes, p, q, scratch + 2 * tile_bytes(g))
        if task.grad_p != NULL:
            tile_store(g, p, first, n_lanes, task.grad_p, &task.grad_p_steps)
            tile_store(g, q, first, n_lanes, task.grad_q, &task.grad_q_steps)


cdef void divergence_block_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    divergence_block(task, block, scratch, <const float *>NULL)


cdef void divergence_block_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    divergence_block(task, block, scratch, <const double *>NULL)


cdef inline Py_ssize_t divergence_scratch(const DivergenceTask *task) noexcept nogil:
    """Return the bytes of scratch that a thread needs: of each array a tile of logits or gathered rows, unless they are
    read where they lie; and a tile of terms, or a chunk of terms and the chunks of a row."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t n_arrays = 1 if task.q == NULL else 2, n_bytes = 0
    if not lies_ready(g):
        n_bytes = tile_bytes(g)
    return n_arrays * (n_bytes + (n_bytes if is_tile(g) else stage_bytes(g) + parts_bytes(g)))


cdef int run_divergence(DivergenceTask *task, int n_threads) except -1:
    """Run the entropy, or the divergence where the task has q, over a block whose task is filled."""
    cdef const Geometry *g = &task.g
    cdef bint is_double = g.kind == KIND_F64
    cdef block_function run = entropy_block_f64 if is_double else entropy_block_f32
    if task.q != NULL:
        run = divergence_block_f64 if is_double else divergence_block_f32
    if g.n_lanes == 0:
        return 0
    return run_blocks(run, task, g.n_blocks, g.per_block * g.n_classes, n_threads, divergence_scratch(task))
