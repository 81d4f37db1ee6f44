# Sums of the losses of rows: within 2 ULP whatever their number and order, and shared by threads.

cdef enum:
    ROWS_A_SUM = 8192           # losses that one thread sums at a time
    SUM_LANES = 8

cdef extern from *:
    """
    #define SPARE 0x1p-64   /* so much smaller, the losses of as many rows as there can be have a sum */
    """
    double SPARE


# A sum and what its roundings have lost.
cdef struct TwoPartSum:
    double value, lost


cdef inline void add_to(TwoPartSum *sum, double x) noexcept nogil:
    """Add x; the rounding error of the addition is exact (Knuth's two-sum)."""
    cdef double total = sum.value + x, part = total - sum.value
    sum.lost += (sum.value - (total - part)) + (x - part)
    sum.value = total


cdef TwoPartSum sum_in_two_parts(const double *x, Py_ssize_t n) noexcept nogil:
    """Sum x: four at a time are added plainly, the rest in two parts."""
    cdef TwoPartSum lanes[SUM_LANES]
    cdef TwoPartSum total
    cdef Py_ssize_t i = 0, k
    for k in range(SUM_LANES):
        lanes[k].value = lanes[k].lost = 0
    while i + 4 * SUM_LANES <= n:
        for k in range(SUM_LANES):
            add_to(&lanes[k], (x[i + k] + x[i + SUM_LANES + k]) + (x[i + 2 * SUM_LANES + k] + x[i + 3 * SUM_LANES + k]))
        i += 4 * SUM_LANES
    while i < n:
        add_to(&lanes[i % SUM_LANES], x[i])
        i += 1
    total = lanes[0]
    for k in range(1, SUM_LANES):
        add_to(&total, lanes[k].value)
        total.lost += lanes[k].lost
    return total


cdef inline double whole_of(TwoPartSum sum) noexcept nogil:
    """Return the sum as one number; beside an infinity nothing is lost."""
    return sum.value + sum.lost if isfinite(sum.lost) else sum.value


cdef struct SumTask:
    const double *x
    Py_ssize_t n
    TwoPartSum *sums            # OUT: one a block


cdef void sum_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SumTask *task = <const SumTask *>argument
    cdef Py_ssize_t start = block * ROWS_A_SUM
    task.sums[block] = sum_in_two_parts(task.x + start, min(ROWS_A_SUM, task.n - start))


cdef double sum_losses(const double *losses, Py_ssize_t n) except? -1:
    """Return the sum of the losses of the rows; no bit depends on the number of threads."""
    cdef Py_ssize_t k, n_blocks = (n + ROWS_A_SUM - 1) // ROWS_A_SUM
    cdef SumTask task
    cdef TwoPartSum total
    if n_blocks <= 1:
        return whole_of(sum_in_two_parts(losses, n))
    task.x, task.n, task.sums = losses, n, <TwoPartSum *>malloc(n_blocks * sizeof(TwoPartSum))
    if task.sums == NULL:
        raise MemoryError("cannot allocate the sums of the losses")
    try:
        run_blocks(sum_block, &task, n_blocks, ROWS_A_SUM, runtime.default_threads(), 0)
        total = task.sums[0]
        for k in range(1, n_blocks):
            add_to(&total, task.sums[k].value)
            total.lost += task.sums[k].lost
        return whole_of(total)
    finally:
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


def sum_of(cnp.ndarray losses):
    """Return the sum of a C-contiguous array of float64, with the bits of the fast path."""
    return sum_losses(<const double *>cnp.PyArray_DATA(losses), cnp.PyArray_SIZE(losses))
