# Sums of the losses of rows, in the order of np.sum and shared by threads.

cdef enum:
    ROWS_A_SUM = 8192           # losses that one thread sums at a time


cdef double pairwise_sum(const double *x, Py_ssize_t n) noexcept nogil:
    """Sum as np.sum does, so that the general path gives the same bits."""
    cdef double r[8]
    cdef double total = 0
    cdef Py_ssize_t i, k, half
    if n < 8:
        for i in range(n):
            total += x[i]
        return total
    if n <= 128:
        for k in range(8):
            r[k] = x[k]
        for i in range(1, n // 8):
            for k in range(8):
                r[k] += x[8 * i + k]
        total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
        for i in range(n // 8 * 8, n):
            total += x[i]
        return total
    half = half_of(n)
    return pairwise_sum(x, half) + pairwise_sum(x + half, n - half)


cdef extern from *:
    """
    #define SPARE 0x1p-64   /* so much smaller, the losses of as many rows as there can be have a sum */
    """
    double SPARE


cdef inline Py_ssize_t half_of(Py_ssize_t n) noexcept nogil:
    """Return where a pairwise sum divides n numbers: at whole eights."""
    return n // 2 - n // 2 % 8


# The branches of a pairwise sum that hold at most ROWS_A_SUM numbers are summed by the threads, each as a block.
cdef struct SumTask:
    const double *x
    Py_ssize_t *starts          # of the branches, and the end of the last
    double *sums


cdef void sum_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SumTask *task = <const SumTask *>argument
    task.sums[block] = pairwise_sum(task.x + task.starts[block], task.starts[block + 1] - task.starts[block])


cdef Py_ssize_t find_branches(Py_ssize_t start, Py_ssize_t n, Py_ssize_t *starts) noexcept nogil:
    """Write where each branch starts, and return how many there are."""
    cdef Py_ssize_t half = half_of(n), left
    if n <= ROWS_A_SUM:
        starts[0], starts[1] = start, start + n
        return 1
    left = find_branches(start, half, starts)
    return left + find_branches(start + half, n - half, starts + left)


cdef double join_branches(const double **sums, Py_ssize_t n) noexcept nogil:
    """Add the sums of the branches in the order of the whole sum."""
    cdef Py_ssize_t half = half_of(n)
    cdef double left
    if n <= ROWS_A_SUM:
        sums[0] += 1
        return (sums[0] - 1)[0]
    left = join_branches(sums, half)
    return left + join_branches(sums, n - half)


cdef double sum_losses(const double *losses, Py_ssize_t n) except? -1:
    """Return the sum of the losses of the rows."""
    cdef Py_ssize_t n_branches
    cdef const double *sums
    cdef SumTask task
    if n < 2 * ROWS_A_SUM:
        return pairwise_sum(losses, n)
    n_branches = 2 * (n // (ROWS_A_SUM // 4))       # more than there are: a branch holds at least a third of it
    task.x, task.starts = losses, <Py_ssize_t *>malloc((n_branches + 1) * sizeof(Py_ssize_t))
    task.sums = <double *>malloc(n_branches * sizeof(double))
    try:
        if task.starts == NULL or task.sums == NULL:
            raise MemoryError("cannot allocate the sums of the losses")
        n_branches = find_branches(0, n, task.starts)
        run_blocks(sum_block, &task, n_branches, ROWS_A_SUM, runtime.default_threads(), 0)
        sums = task.sums
        return join_branches(&sums, n)
    finally:
        free(task.starts)
        free(task.sums)


cdef double mean_of(double *losses, Py_ssize_t n, double divisor) except? -1:
    """Return sum(losses) / divisor, which may be in range where the sum is not; the losses are changed then."""
    cdef double total = sum_losses(losses, n)
    cdef Py_ssize_t i
    if not isinf(total):
        return total / divisor
    for i in range(n):
        losses[i] *= SPARE
    return sum_losses(losses, n) / divisor / SPARE
