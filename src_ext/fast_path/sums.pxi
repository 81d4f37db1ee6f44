# Sums of the losses of rows, shared by threads; loss/sums.h has the arithmetic.

cdef extern from "loss/sums.h":
    """
    #define SPARE 0x1p-64   /* so much smaller, the losses of as many rows as there can be have a sum */
    """
    int SUM_AT_ONCE
    double SPARE
    TwoPartSum sum_of_sums(const TwoPartSum *sums, Py_ssize_t n) noexcept nogil
    double whole_of(TwoPartSum sum) noexcept nogil

cdef enum:
    FEW_SUMS = 64               # partial sums on the stack

cdef struct SumTask:
    const double *x
    Py_ssize_t n
    TwoPartSum *sums            # OUT: one a block


# Memory for the partial sums of n losses.
cdef struct PartialSums:
    Py_ssize_t n
    TwoPartSum *sums
    TwoPartSum few[FEW_SUMS]


cdef int start_sums(PartialSums *partial, Py_ssize_t n_losses) except -1:
    partial.n, partial.sums = (n_losses + SUM_AT_ONCE - 1) // SUM_AT_ONCE, &partial.few[0]
    if partial.n > FEW_SUMS:
        partial.sums = <TwoPartSum *>malloc(partial.n * sizeof(TwoPartSum))
        if partial.sums == NULL:
            raise MemoryError("cannot allocate the sums of the losses")
    return 0


cdef inline void free_sums(PartialSums *partial) noexcept:
    if partial.sums != &partial.few[0]:
        free(partial.sums)


cdef inline double total_of(const PartialSums *partial) noexcept nogil:
    return whole_of(sum_of_sums(partial.sums, partial.n)) if partial.n > 0 else 0.0


cdef inline TwoPartSum sum_run(const double *x, Py_ssize_t n) noexcept nogil:
    """Return a sum in two parts, of many losses by the kernels' wider vectors: the same bits."""
    cdef const KernelTable *kernels = chosen_kernels
    return sum_in_two_parts(x, n) if n < SUM_STEP or kernels == NULL else kernels.sum(x, n)


cdef void sum_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SumTask *task = <const SumTask *>argument
    cdef Py_ssize_t start = block * SUM_AT_ONCE
    task.sums[block] = sum_run(task.x + start, min(<Py_ssize_t>SUM_AT_ONCE, task.n - start))


cdef double sum_losses(const double *losses, Py_ssize_t n) except? -1:
    """Return the sum of the losses of the rows; no bit depends on the number of threads."""
    cdef SumTask task
    cdef PartialSums partial
    if n <= SUM_AT_ONCE:
        return whole_of(sum_run(losses, n))
    start_sums(&partial, n)
    try:
        task.x, task.n, task.sums = losses, n, partial.sums
        run_blocks(sum_block, &task, partial.n, SUM_AT_ONCE, runtime.default_threads(), 0)
        return total_of(&partial)
    finally:
        free_sums(&partial)


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
