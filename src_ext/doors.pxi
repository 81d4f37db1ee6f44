# The fast door: plain calls on C-contiguous arrays, without the validation in Python, which takes longer than a small
# kernel. Each function answers None unless its arguments are just that, and the caller goes the long way, where errors
# are told.

from types import SimpleNamespace

cdef enum:
    STACK_ROWS = 256            # their losses fit the stack
    ROWS_A_SUM = 8192           # losses that one thread sums at a time


cdef inline bint is_small(const Geometry *g):
    return g.n_lanes * g.n_classes < SERIAL_BELOW


cdef inline int run_small(block_function run, const void *task, const Geometry *g, Py_ssize_t scratch_bytes) except -1:
    """Run all blocks of a small call in this thread, without a look for Ctrl-C."""
    if scratch_bytes > SMALL_SCRATCH:
        return run_blocks(run, task, g.n_blocks, g.per_block * g.n_classes, 1, scratch_bytes)
    run_here(run, task, 0, g.n_blocks, small_scratch())
    return 0


cdef inline result_like(cnp.ndarray x, const Geometry *g):
    """Return an array for a result in the shape and dtype of x."""
    if is_small(g):
        return cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
    return runtime.new_array(cnp.PyArray_NDIM(x), <const Py_ssize_t *>cnp.PyArray_DIMS(x),
                             <object>cnp.PyArray_DESCR(x), 0)


cdef double pairwise_sum(const double *x, Py_ssize_t n) noexcept nogil:
    """Sum as np.sum does, so that both ways into the library give the same bits."""
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


cdef double mean_of(double *losses, Py_ssize_t n) except? -1:
    """Return the mean, which may be in range where the sum is not; the losses are changed then."""
    cdef double total = sum_losses(losses, n)
    cdef Py_ssize_t i
    if not isinf(total):
        return total / n
    for i in range(n):
        losses[i] *= SPARE
    return sum_losses(losses, n) / n / SPARE


cdef inline bint is_plain(x):
    """Whether x is a non-empty C-contiguous ndarray of the dtypes of the library, in native order and aligned."""
    cdef int type_number
    if type(x) is not cnp.ndarray:
        return False
    type_number = cnp.PyArray_TYPE(<cnp.ndarray>x)
    return ((type_number == cnp.NPY_FLOAT or type_number == cnp.NPY_DOUBLE or type_number == NPY_HALF
             or type_number == bfloat16_number)
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x) and cnp.PyArray_NDIM(<cnp.ndarray>x) >= 1
            and cnp.PyArray_SIZE(<cnp.ndarray>x) > 0)


cdef inline Steps cut_rows(Geometry *g, cnp.ndarray x):
    """Cut the rows of a plain array, and return its steps."""
    cdef Py_ssize_t n_classes = cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1)
    cut(g, cnp.PyArray_SIZE(x) // n_classes, n_classes, 1, kind_of_data(x), True)
    return dense_steps(n_classes, 1)


cdef inline bint lie_apart(cnp.ndarray a, cnp.ndarray b):
    """Whether two contiguous arrays share no memory."""
    cdef const char *first = <const char *>cnp.PyArray_DATA(a)
    cdef const char *other = <const char *>cnp.PyArray_DATA(b)
    return first + cnp.PyArray_NBYTES(a) <= other or other + cnp.PyArray_NBYTES(b) <= first


cdef inline bint is_plain_result(out, cnp.ndarray x):
    """Whether out is an array like a plain x, writable, which is x itself or lies apart from it."""
    return (type(out) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>out) == cnp.PyArray_TYPE(x)
            and cnp.PyArray_ISCARRAY(<cnp.ndarray>out) and cnp.PyArray_SAMESHAPE(<cnp.ndarray>out, x)
            and (cnp.PyArray_DATA(<cnp.ndarray>out) == cnp.PyArray_DATA(x) or lie_apart(<cnp.ndarray>out, x)))


cdef inline softmax_through_door(x, out, bint log):
    cdef SoftmaxTask task
    if not is_plain(x):
        return None
    task.x_steps = task.out_steps = cut_rows(&task.g, x)
    if out is None:
        out = result_like(x, &task.g)
    elif not is_plain_result(out, x):
        return None
    task.x, task.out, task.where = cnp.PyArray_DATA(x), cnp.PyArray_DATA(<cnp.ndarray>out), NULL
    task.temperature, task.log = 1.0, log
    if is_small(&task.g):
        run_small(softmax_block_f64 if task.g.kind == KIND_F64 else softmax_block_f32, &task, &task.g,
                  softmax_scratch(&task.g))
    else:
        run_softmax(&task, runtime.default_threads())
    return out


def _softmax_door(x, out):
    return softmax_through_door(x, out, False)


def _log_softmax_door(x, out):
    return softmax_through_door(x, out, True)


cdef inline bint are_plain_targets(targets, Py_ssize_t n_rows):
    """Whether targets are a C-contiguous int64 ndarray of n_rows."""
    return (type(targets) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>targets) == cnp.NPY_INT64
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>targets) and cnp.PyArray_NDIM(<cnp.ndarray>targets) == 1
            and cnp.PyArray_DIM(<cnp.ndarray>targets, 0) == n_rows)


cdef int run_mean_loss(LossTask *task, double *mean) except -1:
    """Run a loss with room for the losses of the rows, and return their mean."""
    cdef double memory[STACK_ROWS]
    cdef Py_ssize_t n_rows = task.g.n_lanes
    task.losses = &memory[0]
    if n_rows > STACK_ROWS:
        task.losses = <double *>malloc(n_rows * sizeof(double))
        if task.losses == NULL:
            raise MemoryError("cannot allocate the losses of the rows")
    try:
        if is_small(&task.g):
            run_small(loss_block_f64 if task.g.kind == KIND_F64 else loss_block_f32, task, &task.g, loss_scratch(task))
        else:
            run_loss(task, runtime.default_threads())
        mean[0] = mean_of(task.losses, n_rows)
    finally:
        if n_rows > STACK_ROWS:
            free(task.losses)
    return 0


cdef cross_entropy_through_door(x, targets, grad, bint with_grad):
    cdef LossTask task
    cdef double mean = 0
    if not is_plain(x) or cnp.PyArray_NDIM(<cnp.ndarray>x) != 2:
        return None
    task.logits_steps = task.grad_steps = cut_rows(&task.g, x)
    if not are_plain_targets(targets, task.g.n_lanes):
        return None
    task.logits, task.targets, task.kind = cnp.PyArray_DATA(x), cnp.PyArray_DATA(targets), INDEX_INT64
    task.weight, task.sample_weight, task.has_ignore, task.base = NULL, NULL, False, NULL
    task.smoothing, task.z_loss, task.softcap, task.temperature = 0, 0, 0, 1
    task.shift, task.grad = 0, NULL
    set_scale(&task, 1.0 / task.g.n_lanes, fma(-1.0 / task.g.n_lanes, task.g.n_lanes, 1) / task.g.n_lanes)
    if not all_in_range(task.targets, task.kind, task.g.n_lanes, task.g.n_classes,
                        1 if task.g.n_lanes <= ROWS_A_LOOK else runtime.default_threads()):
        return None
    if with_grad:
        if grad is None:
            grad = result_like(x, &task.g)
        elif not is_plain_result(grad, x) or not lie_apart(grad, targets):
            return None
        task.grad = cnp.PyArray_DATA(<cnp.ndarray>grad)
    run_mean_loss(&task, &mean)
    if isinf(mean) and task.g.kind == KIND_F64 and task.grad != task.logits:
        return None     # the mean of losses beyond the range of double may be within
    loss = scalar_of(mean, task.g.kind != KIND_F64)
    return (loss, grad) if with_grad else loss


cdef extern from *:
    """
    #include "numpy/arrayscalars.h"

    static inline PyObject *new_scalar(double value, int is_float) {
        PyObject *scalar;
        if (is_float) {
            scalar = PyArrayScalar_New(Float);
            if (scalar) PyArrayScalar_ASSIGN(scalar, Float, (float)value);
        } else {
            scalar = PyArrayScalar_New(Double);
            if (scalar) PyArrayScalar_ASSIGN(scalar, Double, value);
        }
        return scalar;
    }
    """
    object new_scalar(double value, int is_float)


cdef inline scalar_of(double value, bint is_float):
    """Return a NumPy scalar."""
    return new_scalar(value, is_float)


def _cross_entropy_door(x, targets):
    return cross_entropy_through_door(x, targets, None, False)


def _cross_entropy_with_grad_door(x, targets, out):
    return cross_entropy_through_door(x, targets, out, True)


door = SimpleNamespace(
    softmax=_softmax_door,
    log_softmax=_log_softmax_door,
    cross_entropy=_cross_entropy_door,
    cross_entropy_with_grad=_cross_entropy_with_grad_door,
)
