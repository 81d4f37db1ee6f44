# The look at index targets before anything is written: the first bad row, and the divisor of the mean.

cdef inline bint is_bad(const LossTask *task, int64_t y) noexcept nogil:
    return (y < 0 or y >= task.g.n_classes) and not (task.has_ignore and y == task.ignore_index)


cdef bint all_in_range(const void *targets, int kind, Py_ssize_t n, Py_ssize_t n_classes) noexcept nogil:
    """Whether every index is a class, without a branch a row."""
    cdef Py_ssize_t i
    cdef int outside = 0
    if kind == INDEX_INT64:
        for i in range(n):
            outside |= (<const uint64_t *>targets)[i] >= <uint64_t>n_classes
    elif kind == INDEX_INT32:
        for i in range(n):
            outside |= <uint64_t><int64_t>(<const int32_t *>targets)[i] >= <uint64_t>n_classes
    else:
        for i in range(n):
            outside |= (<const uint8_t *>targets)[i] >= <uint64_t>n_classes
    return not outside


cdef Py_ssize_t first_bad(const LossTask *task) noexcept nogil:
    """Return the first row whose target is neither a class nor ignored, or -1."""
    cdef Py_ssize_t row
    for row in range(task.g.n_lanes):
        if is_bad(task, read_index(task.targets, task.kind, row)):
            return row
    return -1


cdef double divisor_of(const LossTask *task) noexcept nogil:
    """Return the sum of sample_weight * weight[target] over the rows that are not ignored.

    Sums of 256 rows are summed in turn, which keeps the error of millions of rows near that of one sum.
    """
    cdef double total = 0, part = 0
    cdef Py_ssize_t row
    cdef int64_t y
    cdef double w
    for row in range(task.g.n_lanes):
        y = read_index(task.targets, task.kind, row)
        if task.has_ignore and y == task.ignore_index:
            w = 0
        else:
            w = 1 if task.weight == NULL or is_bad(task, y) else task.weight[y]
            if task.sample_weight != NULL:
                w *= task.sample_weight[row]
        part += w
        if row % 256 == 255:
            total += part
            part = 0
    return total + part
