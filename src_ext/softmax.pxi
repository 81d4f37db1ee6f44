# softmax, log_softmax and logsumexp.
#
# softmax: three passes over a row that stays in L1 or L2 (maximum; exp, store and sum; scale), one read and one
# write of memory. log_softmax and logsumexp store nothing between: maximum; exp and sum; and x - m - log1p(S').
# Rows of more than CHUNK classes are taken in chunks, each with a maximum of its own, merged in double: the
# same chunks whether one thread takes a whole row or several share it. What is computed once a row or a chunk is
# long double, so that it adds one rounding in double. Error: 4 ULP; measured about 3.

from libc.math cimport INFINITY, NAN, fma, isfinite, log1p
from libc.stdint cimport uint8_t
from libc.stdlib cimport malloc

cdef extern from "<math.h>":
    long double expl(long double x) noexcept nogil

cdef enum:
    CHUNK = 8192

cdef struct Part:
    double max
    exp_sum terms
    double distance, target     # sums of t * (m - z) and of t over dense targets, where there are any

cdef struct Stat:
    double max
    double others               # S': the sum over all but one maximum, in units of the maximum's term
    long double total           # 1 + S'
    double distance, target     # those of the row


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


cdef inline void reduce_chunk(const real *x, const real *t, real *stage, Py_ssize_t n, double temperature, bint splits,
                              const Upcoming *ahead, Part *part) noexcept nogil:
    """Maximum and sums of one chunk; the terms go to `stage`, dense targets come from `t`, unless NULL."""
    cdef real m = row_max(x, n)
    part.max = m
    if t != NULL:
        part.distance = row_distance(t, x, n, m if m > -INFINITY else 0, &part.target)
    if m > -INFINITY:
        row_exp_sum(x, stage, n, m, temperature, splits, ahead, &part.terms)
        return
    # Nothing but -inf, which other chunks may outweigh, or NaN.
    part.terms.sum = NAN if row_has_nan(x, 1, n) else 0
    part.terms.n_max, part.terms.unit = 0, 1
    if stage != NULL:
        fill(stage, n, 0)


cdef inline long double outweighed(double max, double row_max, double temperature) noexcept nogil:
    """Return exp((max - row_max) / temperature): the weight of a chunk in its row."""
    return 1 if max == row_max else expl((<long double>max - row_max) / temperature)


cdef void merge(const Part *parts, Py_ssize_t n_parts, double temperature, bint splits, Stat *stat) noexcept nogil:
    """Merge the chunks of a row. What is small is added first, so that S' keeps its digits beside 1."""
    cdef Py_ssize_t k
    cdef long double small = 0, others = 0, n_max = 0, weight
    stat.max = -INFINITY
    for k in range(n_parts):
        stat.max = max(stat.max, parts[k].max)
    for k in range(n_parts):
        weight = outweighed(parts[k].max, stat.max, temperature)
        small += parts[k].terms.sum / parts[k].terms.unit * weight
        if parts[k].max == stat.max:
            n_max += parts[k].terms.n_max
        else:
            others += parts[k].terms.n_max * weight
    if not isfinite(stat.max):
        small = NAN
    others = small + others + (n_max - 1) if splits else small - 1
    stat.others = <double>others
    stat.total = 1 + others


cdef void merge_targets(const Part *parts, Py_ssize_t n_parts, Stat *stat) noexcept nogil:
    """Refer the distances of the chunks to the maximum of the row; nothing cancels."""
    cdef Py_ssize_t k
    stat.distance = stat.target = 0
    for k in range(n_parts):
        stat.distance += parts[k].distance
        stat.target += parts[k].target
        if parts[k].max != stat.max and parts[k].target != 0:
            stat.distance += parts[k].target * (stat.max - (parts[k].max if parts[k].max > -INFINITY else 0))


cdef inline Upcoming shifted(const Upcoming *ahead, Py_ssize_t n) noexcept nogil:
    """Return what follows, n values further on."""
    cdef Upcoming result = ahead[0]
    if result.read != NULL:
        result.read += n * result.item_bytes
    if result.write != NULL:
        result.write += n * result.item_bytes
    return result


cdef inline void reduce_row(const real *x, const real *t, real *stage, Py_ssize_t n_classes, double temperature,
                            bint splits, const Upcoming *ahead, Part *parts, Stat *stat) noexcept nogil:
    """Maximum and sums of a row. `ahead` is what follows the row; all but the last chunk fetch the next one."""
    cdef Py_ssize_t k, at, n = n_chunks(n_classes)
    cdef const real *targets = t
    cdef Upcoming next
    for k in range(n):
        at = k * CHUNK
        if t != NULL:
            targets = t + at
        next = shifted(ahead, at + CHUNK - n_classes if k < n - 1 else 0)
        reduce_chunk(x + at, targets, NULL if stage == NULL else stage + at, chunk_size(n_classes, k), temperature,
                     splits, &next, parts + k)
    merge(parts, n, temperature, splits, stat)
    if t != NULL:
        merge_targets(parts, n, stat)


cdef inline long double chunk_factor(const Part *part, const Stat *stat, double temperature) noexcept nogil:
    """Return what turns the stored terms of a chunk into probabilities."""
    return outweighed(part.max, stat.max, temperature) / (part.terms.unit * stat.total)


cdef struct SoftmaxTask:
    Geometry g
    const void *x
    void *out
    const uint8_t *where
    double temperature
    bint log
    Part *parts                 # of all rows, where the chunks of a row are shared by threads
    Stat *stats


cdef inline void finish_chunk(const real *x, real *out, Py_ssize_t n, const Part *part, const Stat *stat,
                              double temperature, bint log) noexcept nogil:
    if log:
        row_log_shift(x, out, n, <real>stat.max, log1p(stat.others), temperature)
    else:
        row_scale(out, out, n, chunk_factor(part, stat, temperature))


cdef inline void softmax_row(const real *x, real *out, Py_ssize_t n_classes, double temperature, bint log,
                             const Upcoming *ahead, Part *parts) noexcept nogil:
    cdef Stat stat
    cdef Py_ssize_t k
    reduce_row(x, <const real *>NULL, <real *>NULL if log else out, n_classes, temperature, log, ahead, parts, &stat)
    for k in range(n_chunks(n_classes)):
        finish_chunk(x + k * CHUNK, out + k * CHUNK, chunk_size(n_classes, k), parts + k, &stat, temperature, log)


cdef inline void divide(const real *dtype, double numerator, double total, double total_error, double *quotient,
                        double *error) noexcept nogil:
    """Divide by a sum in two parts; for doubles the quotient comes in two parts too."""
    cdef double q = numerator / total
    error[0] = (fma(-q, total, numerator) - q * total_error) / total if real is double else 0
    quotient[0] = q


cdef inline void softmax_tile(const Geometry *g, real *tile, double temperature, bint log, char *scratch,
                              const Upcoming *ahead) noexcept nogil:
    cdef real *m = <real *>lane_array(g, scratch, 0)
    cdef double *total = <double *>lane_array(g, scratch, 1)
    cdef double *n_max = <double *>lane_array(g, scratch, 2)
    cdef double *unit = <double *>lane_array(g, scratch, 3)
    cdef double *error = <double *>lane_array(g, scratch, 4)
    cdef Py_ssize_t lane
    lanes_max(tile, g.stride, g.n_classes, m)
    lanes_exp_sum(tile, g.stride, g.n_classes, m, temperature, not log, log, ahead, total, error, n_max, unit)
    if log:
        for lane in range(g.stride):
            total[lane] = total[lane] / unit[lane] + (n_max[lane] - 1)
        log1p_lanes(total, total, g.stride)
        lanes_log_shift(tile, g.stride, g.n_classes, m, total, temperature)
    else:
        for lane in range(g.stride):
            divide(tile, 1, total[lane], error[lane], total + lane, error + lane)
        lanes_scale(tile, g.stride, g.n_classes, total, error)


cdef inline void mask_row(real *x, const uint8_t *where, Py_ssize_t step, Py_ssize_t n, real value) noexcept nogil:
    """Write `value` where the mask is false."""
    cdef Py_ssize_t i
    for i in range(n):
        if not where[i * step]:
            x[i] = value


cdef inline const uint8_t *mask_of(const SoftmaxTask *task, Py_ssize_t lane) noexcept nogil:
    """Return where the mask of a lane starts; its step is `inner`."""
    cdef const Geometry *g = &task.g
    return task.where + lane // g.inner * g.n_classes * g.inner + lane % g.inner


cdef inline void softmax_masked_tile(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *tile,
                                     char *scratch, const Upcoming *ahead) noexcept nogil:
    """Mask a tile, compute it, and clear what the mask leaves out."""
    cdef const Geometry *g = &task.g
    cdef real *mask = <real *>(scratch + tile_bytes(g))
    tile_load(g, KIND_MASK, task.where, first, n_lanes, mask)
    lanes_mask(tile, mask, g.stride * g.n_classes, <real>-INFINITY)
    softmax_tile(g, tile, task.temperature, task.log, scratch, ahead)
    lanes_mask(tile, mask, g.stride * g.n_classes, <real>-INFINITY if task.log else 0)


cdef inline void softmax_rows(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *rows, Part *parts,
                              const Upcoming *ahead) noexcept nogil:
    """Compute rows in scratch, in place."""
    cdef Py_ssize_t lane, n = task.g.n_classes, step = task.g.inner
    cdef real *row
    for lane in range(n_lanes):
        row = rows + lane * n
        if task.where != NULL:
            mask_row(row, mask_of(task, first + lane), step, n, <real>-INFINITY)
        softmax_row(row, row, n, task.temperature, task.log, ahead, parts)
        if task.where != NULL:
            mask_row(row, mask_of(task, first + lane), step, n, <real>-INFINITY if task.log else 0)


cdef inline void softmax_lanes(const SoftmaxTask *task, Py_ssize_t first, Py_ssize_t n_lanes, char *scratch,
                               const real *x, real *out) noexcept nogil:
    """Compute lanes first .. first + n_lanes, at most `stride` of them."""
    cdef const Geometry *g = &task.g
    cdef real *tile = <real *>scratch
    cdef Part *parts = <Part *>(scratch + tile_bytes(g))
    cdef Upcoming ahead = next_piece(g, x, out, first)
    if lies_ready(g) and task.where == NULL:
        softmax_row(x + first * g.n_classes, out + first * g.n_classes, g.n_classes, task.temperature, task.log,
                    &ahead, parts)
        return
    tile_load(g, g.kind, x, first, n_lanes, tile)
    if not is_tile(g):
        softmax_rows(task, first, n_lanes, tile, parts, &ahead)
    elif task.where != NULL:
        softmax_masked_tile(task, first, n_lanes, tile, scratch, &ahead)
    else:
        softmax_tile(g, tile, task.temperature, task.log, scratch, &ahead)
    tile_store(g, tile, first, n_lanes, out)


cdef inline void softmax_block(const void *argument, Py_ssize_t block, char *scratch, const real *dtype) noexcept nogil:
    cdef const SoftmaxTask *task = <const SoftmaxTask *>argument
    cdef Py_ssize_t piece, first
    for piece in range(n_pieces(&task.g, block)):
        first = first_lane(&task.g, block, piece)
        softmax_lanes(task, first, min(task.g.stride, task.g.n_lanes - first), scratch, <const real *>task.x,
                      <real *>task.out)


cdef void softmax_block_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    softmax_block(task, block, scratch, <const float *>NULL)


cdef void softmax_block_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    softmax_block(task, block, scratch, <const double *>NULL)


# Few long rows: the chunks of a row are shared by the threads, in two rounds with the merge between them.

cdef bint shares_rows(const Geometry *g, int n_threads) noexcept nogil:
    """Whether the rows are too few to go round, and long enough to be shared."""
    return lies_ready(g) and g.n_classes > CHUNK and g.n_lanes < 4 * n_threads and g.n_lanes % n_threads != 0


cdef inline void reduce_shared(const void *argument, Py_ssize_t block, const real *dtype) noexcept nogil:
    cdef const SoftmaxTask *task = <const SoftmaxTask *>argument
    cdef Py_ssize_t n = task.g.n_classes, k = block % n_chunks(n), at = block // n_chunks(n) * n + k * CHUNK
    cdef real *stage = <real *>NULL if task.log else <real *>task.out + at
    cdef Upcoming ahead
    ahead.item_bytes = sizeof(real)
    ahead.read, ahead.write = <const char *>(<const real *>task.x + at + CHUNK), NULL
    if stage != NULL:
        ahead.write = <char *>(stage + CHUNK)
    reduce_chunk(<const real *>task.x + at, <const real *>NULL, stage, chunk_size(n, k), task.temperature, task.log,
                 &ahead, task.parts + block)


cdef inline void finish_shared(const void *argument, Py_ssize_t block, const real *dtype) noexcept nogil:
    cdef const SoftmaxTask *task = <const SoftmaxTask *>argument
    cdef Py_ssize_t n = task.g.n_classes, k = block % n_chunks(n), row = block // n_chunks(n)
    cdef Py_ssize_t at = row * n + k * CHUNK
    finish_chunk(<const real *>task.x + at, <real *>task.out + at, chunk_size(n, k), task.parts + block,
                 task.stats + row, task.temperature, task.log)


cdef void reduce_shared_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    reduce_shared(task, block, <const float *>NULL)


cdef void reduce_shared_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    reduce_shared(task, block, <const double *>NULL)


cdef void finish_shared_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    finish_shared(task, block, <const float *>NULL)


cdef void finish_shared_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    finish_shared(task, block, <const double *>NULL)


cdef int run_shared_softmax(SoftmaxTask *task, int n_threads) except -1:
    cdef Py_ssize_t row, per_row = n_chunks(task.g.n_classes), n_blocks = task.g.n_lanes * per_row
    cdef bint is_float = task.g.kind == KIND_F32
    task.parts = <Part *>malloc(n_blocks * sizeof(Part))
    task.stats = <Stat *>malloc(task.g.n_lanes * sizeof(Stat))
    try:
        if task.parts == NULL or task.stats == NULL:
            raise MemoryError("cannot allocate the scratch space of a kernel")
        run_blocks(reduce_shared_f32 if is_float else reduce_shared_f64, task, n_blocks, CHUNK, n_threads, 0)
        for row in range(task.g.n_lanes):
            merge(task.parts + row * per_row, per_row, task.temperature, task.log, task.stats + row)
        run_blocks(finish_shared_f32 if is_float else finish_shared_f64, task, n_blocks, CHUNK, n_threads, 0)
    finally:
        free(task.parts)
        free(task.stats)
    return 0


cdef inline Py_ssize_t softmax_scratch(const Geometry *g) noexcept nogil:
    """Return the bytes of scratch that a thread needs: a tile, and the tile of a mask or the chunks of a row."""
    return tile_bytes(g) + max(tile_bytes(g) if is_tile(g) else 0, n_chunks(g.n_classes) * <Py_ssize_t>sizeof(Part))


cdef int run_softmax(SoftmaxTask *task, int n_threads) except -1:
    """Run softmax or log_softmax over a block whose task is filled but for its geometry's pieces."""
    cdef Geometry *g = &task.g
    if g.n_lanes == 0:
        return 0
    if n_threads > 1 and task.where == NULL and shares_rows(g, n_threads):
        return run_shared_softmax(task, n_threads)
    return run_blocks(softmax_block_f64 if g.kind == KIND_F64 else softmax_block_f32, task, g.n_blocks,
                      g.per_block * g.n_classes, n_threads, softmax_scratch(g))
