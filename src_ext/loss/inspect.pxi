# Validate index targets before anything is written: find the first bad row, and the divisor of the mean.

cdef enum:
    ROWS_PER_CHECK = 1 << 14    # indices that one thread checks at a time


cdef inline bint is_bad(const LossTask *task, int64_t y) noexcept nogil:
    return (y < 0 or y >= task.g.n_classes) and not (task.has_ignore and y == task.ignore_index)


cdef struct RangeTask:
    const void *targets
    int target_form
    Py_ssize_t n, n_classes
    atomic_int *outside         # OUT: whether an index is no class


cdef void range_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    """Check ROWS_PER_CHECK indices, without a branch a row."""
    cdef const RangeTask *task = <const RangeTask *>argument
    cdef Py_ssize_t i, start = block * ROWS_PER_CHECK, stop = min(task.n, start + ROWS_PER_CHECK)
    cdef uint64_t n_classes = <uint64_t>task.n_classes
    cdef int outside = 0
    if task.target_form == INDEX_INT64:
        for i in range(start, stop):
            outside |= (<const uint64_t *>task.targets)[i] >= n_classes
    elif task.target_form == INDEX_INT32:
        for i in range(start, stop):
            outside |= <uint64_t><int64_t>(<const int32_t *>task.targets)[i] >= n_classes
    else:
        for i in range(start, stop):
            outside |= (<const uint8_t *>task.targets)[i] >= n_classes
    if outside:
        atomic_store(task.outside, 1)


cdef bint all_in_range(const void *targets, int target_form, Py_ssize_t n, Py_ssize_t n_classes,
                       int n_threads) except -1:
    """Whether every index is a class."""
    cdef RangeTask task
    cdef atomic_int outside
    atomic_store(&outside, 0)
    task.targets, task.target_form, task.n, task.n_classes, task.outside = targets, target_form, n, n_classes, &outside
    if n <= ROWS_PER_CHECK:
        range_block(&task, 0, NULL)
    else:
        run_blocks(range_block, &task, (n + ROWS_PER_CHECK - 1) // ROWS_PER_CHECK, ROWS_PER_CHECK, n_threads, 0)
    return not atomic_load(&outside)


cdef Py_ssize_t first_bad(const LossTask *task) noexcept nogil:
    """Return the first row whose target is neither a class nor ignored, or -1."""
    cdef Py_ssize_t row
    for row in range(task.g.n_lanes):
        if is_bad(task, read_index(task.targets, task.target_form, row)):
            return row
    return -1


cdef double divisor_of(const LossTask *task, double *error) noexcept nogil:
    """Return the sum of sample_weight * weight[target] over the rows that are not ignored, and what is left of it.

    Both the products and their sum are kept in two parts: an error here is one of every gradient of the mean.
    """
    cdef double total = 0, lost = 0, w, s, product, sum, part
    cdef Py_ssize_t row
    cdef int64_t y
    for row in range(task.g.n_lanes):
        y = read_index(task.targets, task.target_form, row)
        if task.has_ignore and y == task.ignore_index:
            continue
        w = 1 if task.weight == NULL or is_bad(task, y) else task.weight[y]
        s = 1 if task.sample_weight == NULL else task.sample_weight[row]
        product = w * s
        sum = total + product
        part = sum - total
        lost += (total - (sum - part)) + (product - part) + fma(w, s, -product)
        total = sum
    sum = total + lost
    error[0] = lost - (sum - total) if isfinite(sum) else 0
    return sum
