# The Kullback-Leibler divergence of two softmax distributions, and its gradients.
#
# The maximum and the sum of each array; then the terms of loss/kl_divergence.h, and the gradients.
# Error: 4 ULP of the sum of p * abs(log(p) - log(q)); gradients 4 ULP of the sum of their absolute terms, p's 8 beside
# a divergence of 10 or more, which is multiplied with p.

from libc.math cimport fabs, log

cdef extern from "softmax/primitives.h" nogil:
    ctypedef struct DivergenceRow:
        double p_max, q_max, p_factor, p_error, q_factor, q_error, shift, shift_error, mean, unit, p_unit
        bint is_wide
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
    void row_divergence(...)
    void row_divergence_slopes(...)
    void lanes_divergence(...)
    void lanes_divergence_slopes(...)
    double wide_divergence(...)
    void wide_slopes(...)


cdef inline void log_of_ratio(bint is_double, DoublePair p, DoublePair q, double *shift, double *error) noexcept nogil:
    """log(q / p) in two parts."""
    cdef double ratio = q.high / p.high
    cdef DoublePair exact
    if not is_double:
        shift[0] = log1p((q.high - p.high) / p.high) if 0.5 < ratio < 2 else log(ratio)
        error[0] = 0
        return
    if 0.5 < ratio < 2:
        exact = pair_log1p(pair_quotient(pair_sum(q, pair_minus(p)), p))
    else:
        exact = pair_log(pair_quotient(q, p))
    shift[0], error[0] = exact.high, exact.low


cdef inline double least_divergence(bint is_double) noexcept nogil:
    """Below it the distributions differ by about the rounding errors of their sums."""
    return 2.0 ** -98 if is_double else 2.0 ** -40


cdef inline double divergence_from(double terms, double excess) noexcept nogil:
    """Take out of the terms, which are not scaled, what the common error of the r has added."""
    return max(0.0, terms - excess * excess * (0.5 + excess / 3))


cdef inline double correction_of(double excess) noexcept nogil:
    """Return log(1 - excess), which takes the common error out of the r."""
    if fabs(excess) < 1e-4:
        return -excess * (1 + excess * (0.5 + excess * (1.0 / 3 + excess * 0.25)))
    return log1p(-excess) if excess < 1 else 0


cdef inline bint is_usual(double divergence) noexcept nogil:
    """Whether products of an r with probabilities times a unit stay in the range of float; not if NaN or infinite."""
    return divergence < 1e6


cdef inline bint needs_wide_slopes(double terms, double divergence) noexcept nogil:
    """Whether the gradients are computed in numbers without bounds, as a divergence is whose terms leave the range."""
    return isfinite(divergence) and not (is_usual(divergence) and isfinite(terms))


cdef inline double unit_for(bint is_double, double divergence) noexcept nogil:
    """Return the unit of the probabilities in the gradients."""
    return unit_power(is_double) if is_usual(divergence) else 1


cdef inline DoublePair whole_of_row(const Stat *stat) noexcept nogil:
    """Return the sum of all terms of a row in the unit of the maximum's term: 1 + S'."""
    return pair_of(stat.total, stat.total_error)


# A pair of rows, and the gradients.
cdef struct Pair:
    Row rows[2]
    void *grads[2]              # or NULL
    void *stages[2]             # for the terms of a chunk, where a row keeps none


cdef inline void terms_of_chunk(const Pair *pair, int which, Py_ssize_t k, Py_ssize_t n_classes, const Part *parts,
                                real **terms) noexcept nogil:
    """Where the terms of a chunk are, computed again if they have not been kept."""
    cdef const Row *row = &pair.rows[which]
    cdef Upcoming nothing = nothing_ahead()
    cdef Part again = parts[k]
    if row.stage != NULL:
        terms[0] = <real *>row.stage + k * CHUNK
        return
    terms[0] = <real *>pair.stages[which]
    sum_chunk(<const real *>row.x + k * CHUNK, <const real *>NULL, <const real *>NULL, terms[0],
              chunk_size(n_classes, k), &row.plan,
              &nothing, &again)


cdef inline void chunk_factors(bint is_double, const Part *parts, Py_ssize_t n_parts, Py_ssize_t k,
                               const Stat *stats, double unit, bint may_lift, double divisor,
                               DivergenceRow *d) noexcept nogil:
    """Fill the factors of a chunk, whose probabilities are times `unit` and, where they may, lifted."""
    cdef int lift = 0, p_lift = 0
    cdef double scale = unit_power(is_double) / unit * divisor
    if may_lift:
        p_lift = lift_of(is_double, parts + k, stats)
        lift = min(p_lift, lift_of(is_double, parts + n_parts + k, stats + 1))
    slope_factor(is_double, parts + k, stats, scale, p_lift, &d.p_factor, &d.p_error)
    slope_factor(is_double, parts + n_parts + k, stats + 1, scale, lift, &d.q_factor, &d.q_error)
    d.unit, d.p_unit = ldexp(unit, lift), ldexp(unit, p_lift)


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
        chunk_factors(real is double, parts, n_parts, k, stats, unit_power(real is double), True, 1.0, d)
        row_divergence(zp + at, zq + at, ep, eq, n, d, &part, &more)
        terms[0] += part / d.unit
        excess[0] += more / d.unit


cdef inline double divergence_of_pair(const Pair *pair, Py_ssize_t n_classes, const Part *parts, const Stat *stats,
                                      DivergenceRow *d, const real *dtype) noexcept nogil:
    """The divergence of a pair of rows; its shift is left corrected."""
    cdef double terms, excess, divergence, least = least_divergence(real is double)
    sum_divergence(pair, n_classes, parts, stats, d, dtype, &terms, &excess)
    if terms < least and d.shift != 0:
        d.shift = d.shift_error = 0
        sum_divergence(pair, n_classes, parts, stats, d, dtype, &terms, &excess)
    if isfinite(terms):
        d.shift_error += correction_of(excess)
        divergence = divergence_from(terms, excess)
    else:
        divergence = wide_divergence(<const real *>pair.rows[0].x, <const real *>pair.rows[1].x, 1, n_classes,
                                     <real>d.p_max, <real>d.q_max, whole_of_row(stats), whole_of_row(stats + 1))
    d.is_wide = needs_wide_slopes(terms, divergence)
    return divergence


cdef inline void divergence_slopes(const DivergenceTask *task, const Pair *pair, const Part *parts, const Stat *stats,
                                   DivergenceRow *d, const real *dtype) noexcept nogil:
    cdef Py_ssize_t k, at, n, n_classes = task.g.n_classes, n_parts = n_chunks(n_classes)
    cdef real *ep
    cdef real *eq
    cdef const real *zp = <const real *>pair.rows[0].x
    cdef const real *zq = <const real *>pair.rows[1].x
    cdef real *for_p = <real *>pair.grads[0]
    cdef real *for_q = <real *>pair.grads[1]
    cdef double unit = unit_for(real is double, d.mean)
    if d.is_wide:
        wide_slopes(zp, zq, 1, n_classes, <real>d.p_max, <real>d.q_max, whole_of_row(stats), whole_of_row(stats + 1),
                    d.mean, task.divisor, for_p, for_q)
        return
    for k in range(n_parts):
        at, n = k * CHUNK, chunk_size(n_classes, k)
        terms_of_chunk(pair, 0, k, n_classes, parts, &ep)
        terms_of_chunk(pair, 1, k, n_classes, parts + n_parts, &eq)
        chunk_factors(real is double, parts, n_parts, k, stats, unit, is_usual(d.mean), task.divisor, d)
        row_divergence_slopes(zp + at, zq + at, ep, eq, for_p + at, for_q + at, n, d)


cdef inline void divergence_pair(const DivergenceTask *task, Py_ssize_t lane, const Pair *pair, Part *parts,
                                 const real *dtype) noexcept nogil:
    """A pair of rows, computed in step."""
    cdef Stat stats[2]
    cdef DivergenceRow d
    reduce_rows(&pair.rows[0], 2, task.g.n_classes, dtype, parts, stats)
    d.p_max, d.q_max, d.mean, d.shift, d.shift_error = stats[0].max, stats[1].max, NAN, NAN, 0
    d.is_wide = False
    if isfinite(stats[0].total) and isfinite(stats[1].total):
        log_of_ratio(real is double, whole_of_row(stats), whole_of_row(stats + 1), &d.shift, &d.shift_error)
        d.mean = divergence_of_pair(pair, task.g.n_classes, parts, stats, &d, dtype)
    task.losses[lane] = d.mean
    if pair.grads[0] != NULL:
        divergence_slopes(task, pair, parts, stats, &d, dtype)


cdef inline void divergence_rows(const DivergenceTask *task, Py_ssize_t first, Py_ssize_t n_rows,
                                 real *scratch) noexcept nogil:
    """Contiguous rows, computed where they lie."""
    cdef const Geometry *g = &task.g
    cdef Pair pair
    cdef Py_ssize_t i
    cdef bint with_grad = task.grad_p != NULL
    pair.stages[0], pair.stages[1] = scratch, <char *>scratch + stage_bytes(g)
    for i in range(n_rows):
        place_row(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first + i, NULL, with_grad, 1.0, True,
                  &pair.rows[0])
        place_row(g, task.q, &task.q_steps, task.grad_q, &task.grad_q_steps, first + i, NULL, with_grad, 1.0, True,
                  &pair.rows[1])
        pair.grads[0], pair.grads[1] = pair.rows[0].stage, pair.rows[1].stage
        if not with_grad and keeps_terms(g, NULL):
            pair.rows[0].stage, pair.rows[1].stage = pair.stages[0], pair.stages[1]
        divergence_pair(task, first + i, &pair, <Part *>(<char *>scratch + 2 * stage_bytes(g)), scratch)


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
        pair.rows[0].low = pair.rows[1].low = NULL
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
    lanes_exp_sum(terms, <const real *>NULL, width, g.n_classes, m, 1.0, <const real *>NULL, <const real *>NULL,
                  <real *>NULL, True, True, ahead, sums)


cdef inline void sum_divergence_of_lanes(const Geometry *g, const real *p, const real *q, const real *ep,
                                         const real *eq, Py_ssize_t width, const real *p_max, const real *q_max,
                                         const DivergenceLanes *d) noexcept nogil:
    cdef Py_ssize_t lane
    lanes_divergence(p, q, ep, eq, width, g.n_classes, p_max, q_max, d)
    for lane in range(width):
        d.terms[lane] /= unit_power(real is double)
        d.excess[lane] /= unit_power(real is double)


cdef inline bint drop_shifts(bint is_double, const DivergenceLanes *d, Py_ssize_t width) noexcept nogil:
    """Set the shift of lanes whose distributions hardly differ to 0, and return whether there is one."""
    cdef Py_ssize_t lane
    cdef bint found = False
    for lane in range(width):
        if d.terms[lane] < least_divergence(is_double) and d.shift[lane] != 0:
            d.shift[lane] = d.shift_error[lane] = 0
            found = True
    return found


cdef inline DoublePair whole_of_lane(const LaneSums *a, Py_ssize_t lane) noexcept nogil:
    """Return the same of a lane."""
    return pair_sum(pair_of(a.n_max[lane], 0), pair_of(a.sum[lane] / a.unit[lane], a.sum_error[lane] / a.unit[lane]))


cdef inline double lane_divergence(const Geometry *g, const real *p, const real *q, Py_ssize_t lane, Py_ssize_t width,
                                   real p_max, real q_max, const LaneSums *a, const LaneSums *b,
                                   const DivergenceLanes *d) noexcept nogil:
    """The divergence of a lane; its shift is left corrected."""
    cdef DoublePair p_total, q_total
    if isfinite(d.terms[lane]):
        d.shift_error[lane] += correction_of(d.excess[lane])
        return divergence_from(d.terms[lane], d.excess[lane])
    p_total, q_total = whole_of_lane(a, lane), whole_of_lane(b, lane)
    if not (isfinite(p_total.high) and isfinite(q_total.high)):
        return NAN
    return wide_divergence(p + lane, q + lane, width, g.n_classes, p_max, q_max, p_total, q_total)


# What lies behind the tile of p for the divergence: an array of lanes each; behind that of q are SoftmaxLanes.
cdef struct DivergenceScratch:
    SoftmaxLanes p
    DivergenceLanes d


cdef inline void factors_of_lanes(bint is_double, const LaneSums *a, Py_ssize_t width, const double *unit,
                                  double divisor, double *factor, double *error) noexcept nogil:
    """What turns the terms of lanes into probabilities * unit / divisor, in two parts; without a unit, UNIT_POWER."""
    cdef Py_ssize_t lane
    if is_double:
        lanes_factor(a, width, UNIT_F64 if unit == NULL else 1, unit, divisor, factor, error)
        return
    for lane in range(width):
        factor[lane] = (UNIT_F32 if unit == NULL else unit[lane]) / (
            (a.sum[lane] + a.n_max[lane] * a.unit[lane]) * divisor)
        error[lane] = 0


cdef inline void shifts_of_lanes(bint is_double, const LaneSums *a, const LaneSums *b, Py_ssize_t width,
                                 const DivergenceLanes *d) noexcept nogil:
    """log(q / p) of the sums of each lane; for floats a difference of two logarithms in double will do."""
    cdef Py_ssize_t lane
    if is_double:
        lanes_log_ratio(a, b, width, d.shift, d.shift_error)
        return
    lanes_sum_rest(a, width, False, d.shift_error)
    lanes_sum_rest(b, width, False, d.shift)
    log1p_lanes(d.shift_error, d.shift_error, width)
    log1p_lanes(d.shift, d.shift, width)
    for lane in range(width):
        d.shift[lane], d.shift_error[lane] = d.shift[lane] - d.shift_error[lane], 0


cdef inline void divergence_tile(const DivergenceTask *task, Py_ssize_t first, Py_ssize_t n_lanes,
                                 real *p) noexcept nogil:
    """Four tiles of lanes: both logits, in whose place the gradients go, and their terms."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t lane, i, width = width_of(g, n_lanes), n_bytes = tile_bytes(g)
    cdef char *scratch = <char *>p
    cdef real *q = <real *>(scratch + n_bytes)
    cdef real *ep = <real *>(scratch + 2 * n_bytes)
    cdef real *eq = <real *>(scratch + 3 * n_bytes)
    cdef DivergenceScratch of_p
    cdef SoftmaxLanes of_q
    carve_lane_arrays(&of_p, behind_values(g, p), g)
    carve_lane_arrays(&of_q, behind_values(g, q), g)
    cdef real *p_max = <real *>of_p.p.max
    cdef real *q_max = <real *>of_q.max
    cdef LaneSums *a = &of_p.p.sums
    cdef LaneSums *b = &of_q.sums
    cdef DivergenceLanes *d = &of_p.d
    cdef Upcoming ahead = next_piece(g, task.p, &task.p_steps, task.grad_p, &task.grad_p_steps, first)
    exp_of_tile(g, p, ep, width, p_max, a, &ahead)
    ahead = next_piece(g, task.q, &task.q_steps, task.grad_q, &task.grad_q_steps, first)
    exp_of_tile(g, q, eq, width, q_max, b, &ahead)
    factors_of_lanes(real is double, a, width, NULL, 1.0, d.p_factor, d.p_error)
    factors_of_lanes(real is double, b, width, NULL, 1.0, d.q_factor, d.q_error)
    for lane in range(width):
        d.mean[lane], d.unit[lane] = 0, 1
    shifts_of_lanes(real is double, a, b, width, d)
    sum_divergence_of_lanes(g, p, q, ep, eq, width, p_max, q_max, d)
    if drop_shifts(real is double, d, width):
        sum_divergence_of_lanes(g, p, q, ep, eq, width, p_max, q_max, d)
    for lane in range(width):
        d.mean[lane] = lane_divergence(g, p, q, lane, width, p_max[lane], q_max[lane], a, b, d)
        d.unit[lane] = unit_for(real is double, d.mean[lane])
    memcpy(task.losses + first, d.mean, n_lanes * sizeof(double))
    if task.grad_p == NULL:
        return
    factors_of_lanes(real is double, a, width, d.unit, task.divisor, d.p_factor, d.p_error)
    factors_of_lanes(real is double, b, width, d.unit, task.divisor, d.q_factor, d.q_error)
    for lane in range(width):   # where the terms of the lane are, which nothing else needs then
        if needs_wide_slopes(d.terms[lane], d.mean[lane]):
            wide_slopes(p + lane, q + lane, width, g.n_classes, p_max[lane], q_max[lane], whole_of_lane(a, lane),
                        whole_of_lane(b, lane), d.mean[lane], task.divisor, ep + lane, eq + lane)
    lanes_divergence_slopes(p, q, ep, eq, width, g.n_classes, p_max, q_max, d)
    for lane in range(width):
        if needs_wide_slopes(d.terms[lane], d.mean[lane]):
            for i in range(g.n_classes):
                p[i * width + lane], q[i * width + lane] = ep[i * width + lane], eq[i * width + lane]


cdef inline void divergence_pieces(const DivergenceTask *task, Py_ssize_t block, real *p) noexcept nogil:
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t piece, first, n_lanes
    cdef char *scratch = <char *>p
    cdef real *q = <real *>(scratch + tile_bytes(g))
    for piece in range(n_pieces(g, block)):
        first = first_lane(g, block, piece)
        n_lanes = min(g.stride, g.n_lanes - first)
        if in_place(g):
            divergence_rows(task, first, n_lanes, p)
            continue
        tile_load(p, g, g.kind, task.p, &task.p_steps, first, n_lanes)
        tile_load(q, g, g.kind, task.q, &task.q_steps, first, n_lanes)
        if is_tile(g):
            divergence_tile(task, first, n_lanes, p)
        else:
            divergence_in_scratch(task, first, n_lanes, p, q, scratch + 2 * tile_bytes(g))
        if task.grad_p != NULL:
            tile_store(p, g, first, n_lanes, task.grad_p, &task.grad_p_steps)
            tile_store(q, g, first, n_lanes, task.grad_q, &task.grad_q_steps)


cdef void divergence_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const DivergenceTask *task = <const DivergenceTask *>argument
    if task.g.kind == KIND_F64:
        divergence_pieces(task, block, <double *>scratch)
    else:
        divergence_pieces(task, block, <float *>scratch)
