# A row with its classes side by side: its maximum, its sums, and the factor of its terms.
#
# Rows of more than CHUNK classes are taken in chunks, each with a maximum of its own: the same chunks whether one
# thread takes a whole row or several share it. Chunks, and rows of doubles, are merged in pairs of doubles, so that it
# adds one rounding in double; a row of floats in one chunk does without. A row of 16 bits passes through scratch
# chunk by chunk: read and widened while its maximum is sought, rounded while its terms are scaled.

from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, NAN, fabs, fma, isfinite, isinf, ldexp, log1p
from libc.string cimport memcpy, memset

cdef extern from "math/pairs.h" nogil:
    ctypedef struct DoublePair:
        double high, low
    ctypedef struct Wide:
        pass
    DoublePair pair_of(double high, double low)
    double pair_value(DoublePair a)
    DoublePair two_sum(double a, double b)
    DoublePair two_product(double a, double b)
    DoublePair pair_plus(DoublePair a, double b)
    DoublePair pair_sum(DoublePair a, DoublePair b)
    DoublePair pair_minus(DoublePair a)
    DoublePair pair_times(DoublePair a, double b)
    DoublePair pair_product(DoublePair a, DoublePair b)
    DoublePair pair_quotient(DoublePair a, DoublePair b)
    DoublePair pair_scaled(DoublePair a, int exponent)
    DoublePair pair_distance(double a, double b, double temperature)
    DoublePair pair_exp(DoublePair x, int *exponent)
    DoublePair pair_log1p(DoublePair x)
    DoublePair pair_log(DoublePair x)
    Wide wide_of(double value)
    double wide_value(Wide a)
    Wide wide_sum(Wide a, Wide b)
    Wide wide_product(Wide a, Wide b)
    Wide wide_quotient(Wide a, Wide b)

cdef enum:
    CHUNK = 8192

cdef extern from *:
    """
    #define SMALLEST_FACTOR 0x1p-900  /* below, the products of a factor of doubles may lose digits: */
    #define FIRST_FACTOR 0x1p-512     /* their terms are multiplied with this first, by row_shrink_f64 */
    #define FIRST_EXPONENT (-512)
    """
    double SMALLEST_FACTOR, FIRST_FACTOR
    int FIRST_EXPONENT

cdef struct Part:
    double max
    exp_sum terms
    # Where there are dense targets: the sum of t * (m - z) / temperature; that of t, and what its rounding has lost.
    double target_gap, target, target_error
    double moment               # the sum of exp(x - m) * (m - x), for the entropy

cdef struct Stat:
    double max
    double sum_rest, sum_rest_error  # S': the sum over all but one maximum, in units of the maximum's term
    double total, total_error        # 1 + S'
    double target_gap, target, target_error  # those of the row


# How a row is computed: how its sum is taken, what to fetch meanwhile, and, for a row of 16 bits, where it lies.
cdef struct RowPlan:
    double temperature
    bint exclude_max            # leave the maxima out of the sum
    Upcoming ahead              # what follows the row
    Kind kind
    const void *narrow          # read the row from here into scratch, and write its result there; NULL: in place
    void *narrow_out


# Where a row is computed: x and stage in memory or in scratch, t its dense targets or NULL.
cdef struct Row:
    const void *x
    const void *low             # what rounding has taken from x, less that of the maximum; or NULL
    double max                  # the maximum, where there is a `low`
    const void *t
    void *stage                 # of the terms, then of the result; NULL where they are not stored
    RowPlan plan


cdef inline Py_ssize_t n_chunks(Py_ssize_t n_classes) noexcept nogil:
    return (n_classes + CHUNK - 1) // CHUNK


cdef inline Py_ssize_t chunk_size(Py_ssize_t n_classes, Py_ssize_t chunk) noexcept nogil:
    return min(CHUNK, n_classes - chunk * CHUNK)


cdef inline void fill(real *out, Py_ssize_t n, real value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = value


cdef inline bint row_has_nan(const real *x, Py_ssize_t step, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int found = 0
    for i in range(n):
        found |= x[i * step] != x[i * step]
    return found


cdef inline real chunk_max(real *x, Py_ssize_t at, Py_ssize_t n, const RowPlan *plan) noexcept nogil:
    """Return the maximum of a chunk, which 16-bit data are read for into x."""
    if real is float:
        if plan.narrow != NULL:
            return run_max_f32(plan.kind, plan.narrow, at, n, x)
    return row_max(x, n)


cdef inline void sum_chunk(const real *x, const real *low, const real *t, real *stage, Py_ssize_t n,
                           const RowPlan *plan, const Upcoming *ahead, Part *part) noexcept nogil:
    """Sums of a chunk whose maximum is known; the terms go to `stage`, dense targets come from `t`, unless NULL."""
    cdef real m = <real>part.max
    if t != NULL:
        part.target_gap = row_target_gap(t, x, low, n, m if m > -INFINITY else 0, plan.temperature, &part.target,
                                         &part.target_error)
    if m > -INFINITY:
        row_exp_sum(x, low, stage, n, m, plan.temperature, plan.exclude_max, ahead, &part.terms)
        return
    # Nothing but -inf, which other chunks may outweigh, or NaN.
    part.terms.sum = NAN if row_has_nan(x, 1, n) else 0
    part.terms.sum_error, part.terms.n_max, part.terms.unit, part.terms.unit_error = 0, 0, 1, 0
    if stage != NULL:
        fill(stage, n, 0)


cdef inline DoublePair chunk_weight(double max, double row_max, double temperature, int *exponent) noexcept nogil:
    """Return exp((max - row_max) / temperature), the weight of a chunk in its row, without a factor 2**exponent."""
    return pair_exp(pair_distance(max, row_max, temperature), exponent)


cdef inline DoublePair unit_of(const Part *part) noexcept nogil:
    return pair_of(part.terms.unit, part.terms.unit_error)


cdef inline void set_stat(double max, DoublePair sum_rest, Stat *stat) noexcept nogil:
    """Fill the sums of a row: NaN where its maximum is not finite."""
    if not isfinite(max):
        sum_rest = pair_of(NAN, 0)
    stat.max, stat.sum_rest, stat.sum_rest_error = max, sum_rest.high, sum_rest.low
    sum_rest = pair_plus(sum_rest, 1)
    stat.total, stat.total_error = sum_rest.high, sum_rest.low


cdef void merge(const Part *parts, Py_ssize_t n_parts, double temperature, bint exclude_max, Stat *stat) noexcept nogil:
    """Merge the chunks of a row. What is small is added first, so that S' keeps its digits beside 1."""
    cdef Py_ssize_t k
    cdef DoublePair small = pair_of(0, 0), more = pair_of(0, 0), weight, terms
    cdef double n_max = 0
    cdef int exponent
    if n_parts == 1:
        small = pair_quotient(pair_of(parts.terms.sum, parts.terms.sum_error), unit_of(parts))
        set_stat(parts.max, pair_plus(small, parts.terms.n_max - 1 if exclude_max else -1), stat)
        return
    stat.max = -INFINITY
    for k in range(n_parts):
        stat.max = max(stat.max, parts[k].max)
    for k in range(n_parts):
        terms = pair_quotient(pair_of(parts[k].terms.sum, parts[k].terms.sum_error), unit_of(parts + k))
        if parts[k].max == stat.max:
            n_max += parts[k].terms.n_max
        else:
            weight = chunk_weight(parts[k].max, stat.max, temperature, &exponent)
            terms = pair_scaled(pair_product(terms, weight), exponent)
            more = pair_sum(more, pair_scaled(pair_times(weight, parts[k].terms.n_max), exponent))
        small = pair_sum(small, terms)
    set_stat(stat.max, pair_plus(pair_sum(small, more), n_max - 1) if exclude_max else pair_plus(small, -1), stat)


cdef inline void merge_single(const Part *part, bint exclude_max, Stat *stat) noexcept nogil:
    """The statistics of a float row of one chunk: double is wide enough, and pairs take their time."""
    cdef double unit = part.terms.unit + part.terms.unit_error
    cdef double sum = (part.terms.sum + part.terms.sum_error) / unit if isfinite(part.max) else NAN
    stat.max = part.max
    stat.sum_rest = sum + (part.terms.n_max - 1) if exclude_max else sum - 1
    stat.total, stat.total_error, stat.sum_rest_error = 1 + stat.sum_rest, 0, 0


cdef inline double gap_of(double max, double z, double temperature) noexcept nogil:
    """Return (max - z) / temperature, where max - z may be beyond the range of double."""
    return (0.5 * max - 0.5 * z) / temperature * 2


cdef void merge_targets(const Part *parts, Py_ssize_t n_parts, double temperature, Stat *stat) noexcept nogil:
    """Refer the target gaps of the chunks to the maximum of the row; nothing cancels."""
    cdef Py_ssize_t k
    cdef DoublePair gap = pair_of(0, 0), total = pair_of(0, 0)
    for k in range(n_parts):
        gap = pair_plus(gap, parts[k].target_gap)
        total = pair_plus(pair_plus(total, parts[k].target), parts[k].target_error)
        if parts[k].max != stat.max and parts[k].target != 0:
            gap = pair_plus(gap, parts[k].target * gap_of(stat.max, parts[k].max if parts[k].max > -INFINITY else 0,
                                                          temperature))
    stat.target_gap, stat.target, stat.target_error = pair_value(gap), total.high, total.low


cdef inline Upcoming shifted(const Upcoming *ahead, Py_ssize_t n) noexcept nogil:
    """Return what follows, n values further on."""
    cdef Upcoming result = ahead[0]
    if result.read != NULL:
        result.read += n * result.item_bytes
    if result.targets != NULL:
        result.targets += n * result.item_bytes
    if result.write != NULL:
        result.write += n * result.item_bytes
    return result


cdef inline void reduce_row(const real *x, const real *low, double max, const real *t, real *stage,
                            Py_ssize_t n_classes, const RowPlan *plan, Part *parts, Stat *stat) noexcept nogil:
    """Maximum and sums of a row. While all but the last chunk are computed, the next one is fetched."""
    cdef Py_ssize_t k, at, n = n_chunks(n_classes)
    cdef const real *targets = t
    cdef const real *lows = low
    cdef Upcoming next
    for k in range(n):
        at = k * CHUNK
        if t != NULL:
            targets = t + at
        if low != NULL:
            lows = low + at
        next = shifted(&plan.ahead, at + CHUNK - n_classes if k < n - 1 else 0)
        parts[k].max = max if low != NULL else chunk_max(<real *>x + at, at, chunk_size(n_classes, k), plan)
        sum_chunk(x + at, lows, targets, NULL if stage == NULL else stage + at,
                  chunk_size(n_classes, k), plan, &next, parts + k)
    merge(parts, n, plan.temperature, plan.exclude_max, stat)
    if t != NULL:
        merge_targets(parts, n, plan.temperature, stat)


cdef inline void reduce_rows(const Row *rows, Py_ssize_t n_rows, Py_ssize_t n_classes, const real *dtype, Part *parts,
                             Stat *stats) noexcept nogil:
    """Maximum and sums of rows. Those of one chunk go in step: what one waits for, the others compute."""
    cdef Py_ssize_t i
    if n_chunks(n_classes) > 1:
        for i in range(n_rows):
            reduce_row(<const real *>rows[i].x, <const real *>rows[i].low, rows[i].max, <const real *>rows[i].t,
                       <real *>rows[i].stage, n_classes, &rows[i].plan, parts + i * n_chunks(n_classes), stats + i)
        return
    for i in range(n_rows):
        if rows[i].low != NULL:
            parts[i].max = rows[i].max
        else:
            parts[i].max = chunk_max(<real *>rows[i].x, 0, n_classes, &rows[i].plan)
    for i in range(n_rows):
        sum_chunk(<const real *>rows[i].x, <const real *>rows[i].low, <const real *>rows[i].t, <real *>rows[i].stage,
                  n_classes, &rows[i].plan, &rows[i].plan.ahead, parts + i)
    for i in range(n_rows):
        if real is float:
            merge_single(parts + i, rows[i].plan.exclude_max, stats + i)
        else:
            merge(parts + i, 1, rows[i].plan.temperature, rows[i].plan.exclude_max, stats + i)
        if rows[i].t != NULL:
            merge_targets(parts + i, 1, rows[i].plan.temperature, stats + i)


# What turns stored terms into results, with its rounding error. One that no double has digits for is meant for terms
# that row_shrink has made smaller.
cdef struct Factor:
    double value, error
    bint shrinks


cdef inline Factor chunk_factor(bint is_double, const Part *part, const Stat *stat, double temperature) noexcept nogil:
    """Return what turns the stored terms of a chunk into probabilities."""
    cdef Factor factor
    cdef DoublePair exact
    cdef int exponent = 0
    factor.error, factor.shrinks = 0, False
    if not is_double and part.max == stat.max:
        factor.value = 1 / ((part.terms.unit + part.terms.unit_error) * stat.total)
        return factor
    exact = pair_product(unit_of(part), pair_of(stat.total, stat.total_error))
    if part.max == stat.max:
        exact = pair_quotient(pair_of(1, 0), exact)
    else:
        exact = pair_quotient(chunk_weight(part.max, stat.max, temperature, &exponent), exact)
        if is_double:
            factor.shrinks = ldexp(exact.high, exponent) < SMALLEST_FACTOR
            exponent -= FIRST_EXPONENT if factor.shrinks else 0
        exact = pair_scaled(exact, exponent)
    factor.value, factor.error = exact.high, exact.low
    return factor


cdef inline Factor times(const Factor *factor, double value, double error) noexcept nogil:
    """Return a factor times a number in two parts."""
    cdef Factor result
    cdef double first = factor.value, first_error = factor.error
    result.value, result.shrinks = first * value, factor.shrinks
    if fabs(result.value) < SMALLEST_FACTOR and value != 0 and not factor.shrinks:
        first, first_error = first / FIRST_FACTOR, first_error / FIRST_FACTOR
        result.value, result.shrinks = first * value, True
    result.error = fma(first, value, -result.value) + (first * error + first_error * value)
    if not isfinite(result.error):
        result.error = 0
    return result


cdef inline Factor times_huge(const Factor *factor, Wide value) noexcept nogil:
    """Return a factor times a number beyond the range of double; beside a term of 0 even an infinite one is nothing."""
    cdef Factor result
    cdef double exact = wide_value(wide_product(wide_of(factor.value), value))
    result.value = max(min(exact, DBL_MAX), -DBL_MAX)
    result.error, result.shrinks = 0, factor.shrinks
    return result


cdef inline void scale_chunk(real *stage, Py_ssize_t at, Py_ssize_t n, const Factor *factor,
                             const RowPlan *plan) noexcept nogil:
    """Scale the terms of a chunk in place, or into 16 bits."""
    if factor.shrinks:
        row_shrink(stage, n, factor.value)
    if real is float:
        if plan.narrow != NULL:
            row_scale(stage, plan.kind, plan.narrow_out, at, n, factor.value, factor.error)
            return
    row_scale(stage, KIND_F32 if real is float else KIND_F64, stage, 0, n, factor.value, factor.error)


cdef inline void store_narrow(const real *values, Py_ssize_t at, Py_ssize_t n, const RowPlan *plan) noexcept nogil:
    """Write n values of a row in scratch from `at` on, where the row is one of 16 bits."""
    if real is float:
        if plan.narrow != NULL:
            run_store_f32(plan.kind, values + at, plan.narrow_out, at, n)


cdef inline void load_narrow(real *values, Py_ssize_t at, Py_ssize_t n, const RowPlan *plan) noexcept nogil:
    """Read n values of a row into scratch, where the row is one of 16 bits."""
    if real is float:
        if plan.narrow != NULL:
            run_load_f32(plan.kind, plan.narrow, at, n, values + at)


cdef inline void plan_row(const Geometry *g, const void *x, const Steps *x_steps, void *out, const Steps *out_steps,
                          Py_ssize_t lane, double temperature, bint exclude_max, RowPlan *plan) noexcept nogil:
    """Fill the plan of a row that is computed where it is, in memory or in scratch."""
    plan.temperature, plan.exclude_max, plan.kind = temperature, exclude_max, g.kind
    plan.ahead = next_piece(g, x, x_steps, out, out_steps, lane)
    plan.narrow = plan.narrow_out = NULL


cdef inline void place_row(const Geometry *g, const void *x, const Steps *x_steps, void *out, const Steps *out_steps,
                           Py_ssize_t lane, char *scratch, bint with_stage, double temperature, bint exclude_max,
                           Row *row) noexcept nogil:
    """Fill a row that is computed where it lies, or of 16 bits that goes through a row of scratch in chunks."""
    cdef void *from_here = row_at(g, x, x_steps, lane)
    cdef void *to_here = NULL if out == NULL else row_at(g, out, out_steps, lane)
    plan_row(g, x, x_steps, out, out_steps, lane, temperature, exclude_max, &row.plan)
    row.low = row.t = NULL
    row.max = 0
    if not in_place(g):
        row.plan.narrow, row.plan.narrow_out = from_here, to_here
        from_here = to_here = scratch
    row.x, row.stage = from_here, to_here if with_stage else NULL


cdef inline Py_ssize_t parts_bytes(const Geometry *g) noexcept nogil:
    """Return the bytes of the chunks of the rows of a piece."""
    return n_chunks(g.n_classes) * ROW_GROUP * sizeof(Part)
