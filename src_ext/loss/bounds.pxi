# The bounds of weights: whether they can be used at all, and whether products with them stay in range.

cdef extern from "softmax/primitives.h":
    bint find_bounds_f32(const float *x, Py_ssize_t n, double *low, double *high) noexcept nogil
    bint find_bounds_f64(const double *x, Py_ssize_t n, double *low, double *high) noexcept nogil

cdef enum:
    BOUNDS_AT_ONCE = 1 << 15    # weights of a block

cdef struct BoundsTask:
    const void *weights
    Kind kind
    Py_ssize_t n
    Bounds *bounds              # OUT: one a block
    atomic_int *is_bad          # OUT: set where a weight is negative, infinite or NaN


cdef void bounds_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const BoundsTask *task = <const BoundsTask *>argument
    cdef Py_ssize_t at = block * BOUNDS_AT_ONCE, n = min(<Py_ssize_t>BOUNDS_AT_ONCE, task.n - at)
    cdef Bounds *bounds = task.bounds + block
    cdef bint good
    if task.kind == KIND_F64:
        good = find_bounds_f64(<const double *>task.weights + at, n, &bounds.low, &bounds.high)
    else:
        good = find_bounds_f32(<const float *>task.weights + at, n, &bounds.low, &bounds.high)
    if not good:
        atomic_store(task.is_bad, 1)


cdef int call_find_bounds(const void *weights, Kind kind, Py_ssize_t n, int n_threads, Bounds *bounds) except -1:
    """Find the bounds of the weights that are not 0; return whether all are finite and not negative."""
    cdef BoundsTask task
    cdef atomic_int is_bad
    cdef double low, high
    cdef Py_ssize_t k, n_blocks = (n + BOUNDS_AT_ONCE - 1) // BOUNDS_AT_ONCE
    atomic_store(&is_bad, 0)
    task.weights, task.kind, task.n, task.bounds, task.is_bad = weights, kind, n, bounds, &is_bad
    if n_blocks > 1:
        task.bounds = <Bounds *>malloc(n_blocks * sizeof(Bounds))
        if task.bounds == NULL:
            raise MemoryError("cannot allocate the bounds of the weights")
    try:
        run_blocks(bounds_block, &task, n_blocks, BOUNDS_AT_ONCE, n_threads, 0)
        low, high = INFINITY, 0
        for k in range(n_blocks):
            low, high = min(low, task.bounds[k].low), max(high, task.bounds[k].high)
        bounds.low, bounds.high = low if high > 0 else 1, high if high > 0 else 1
        return not atomic_load(&is_bad)
    finally:
        if task.bounds != bounds:
            free(task.bounds)
