# The fast path of what goes element by element: sigmoid and the binary cross-entropy.

cdef bint is_dense(const Layout *layout, const Operand *operand) noexcept nogil:
    return (operand.steps.per_group == ONE_GROUP
            and operand.steps.outer == layout.block.n_classes * layout.block.inner)


cdef elementwise(x, out, n_threads):
    cdef const KernelTable *kernels = chosen_kernels
    cdef SigmoidCall call
    cdef Layout layout
    default_sigmoid_call(&call)
    if kernels == NULL or not find_layout(&layout, x) or not read_threads(n_threads, layout.size, &call.n_threads):
        return None
    set_axis(&layout, layout.order[layout.ndim - 1])
    if not place_array(&layout, <cnp.ndarray>x, &call.x):
        return None
    if out is None:
        out = new_result(&layout, dtype_of(<cnp.ndarray>x))
        set_dense(&call.out, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
    elif not place_out(&layout, out, <cnp.ndarray>x, &call.out):
        return None
    call.kind, call.n_rows, call.n_columns = layout.block.kind, layout.block.outer, layout.block.n_classes
    if is_dense(&layout, &call.x) and is_dense(&layout, &call.out):
        call.n_rows, call.n_columns = 1, layout.size
    kernels.sigmoid(&call)
    return out


def sigmoid(x, *, out=None, n_threads=None):
    result = elementwise(x, out, n_threads)
    if result is not None:
        return result
    return general["sigmoid"](x, out=out, n_threads=n_threads)


# Binary targets, and weights of single logits: read and checked by all threads before anything is written.

cdef struct LabelTask:
    const void *data
    Py_ssize_t n
    int item_bytes              # of labels that are integers
    void *copy                  # OUT, of the computing dtype; NULL where data is
    bint is_double
    atomic_int *is_bad          # OUT: set where a label is not in [0, 1]


cdef extern from *:
    """
    enum { LABELS_AT_ONCE = 1 << 15 };

    /* Whether all of n labels are in [0, 1]; without branches, so that it is done in vectors. */
    #define IN_UNIT(name, type) \
        static int name(const type *x, Py_ssize_t n) { \
            int good = 1; \
            for (Py_ssize_t i = 0; i < n; i++) good &= (x[i] >= 0) & (x[i] <= 1); \
            return good; \
        }
    IN_UNIT(are_in_unit_f32, float)
    IN_UNIT(are_in_unit_f64, double)

    /* The same, with a copy. */
    #define COPY_LABELS(name, from, to) \
        static int name(const from *x, Py_ssize_t n, to *out) { \
            int good = 1; \
            for (Py_ssize_t i = 0; i < n; i++) good &= x[i] <= 1, out[i] = (to)x[i]; \
            return good; \
        }
    COPY_LABELS(labels_u8_f32, uint8_t, float)
    COPY_LABELS(labels_u32_f32, uint32_t, float)
    COPY_LABELS(labels_u64_f32, uint64_t, float)
    COPY_LABELS(labels_u8_f64, uint8_t, double)
    COPY_LABELS(labels_u32_f64, uint32_t, double)
    COPY_LABELS(labels_u64_f64, uint64_t, double)
    """
    int LABELS_AT_ONCE
    bint are_in_unit_f32(const float *x, Py_ssize_t n) noexcept nogil
    bint are_in_unit_f64(const double *x, Py_ssize_t n) noexcept nogil
    bint labels_u8_f32(const uint8_t *x, Py_ssize_t n, float *out) noexcept nogil
    bint labels_u32_f32(const uint32_t *x, Py_ssize_t n, float *out) noexcept nogil
    bint labels_u64_f32(const uint64_t *x, Py_ssize_t n, float *out) noexcept nogil
    bint labels_u8_f64(const uint8_t *x, Py_ssize_t n, double *out) noexcept nogil
    bint labels_u32_f64(const uint32_t *x, Py_ssize_t n, double *out) noexcept nogil
    bint labels_u64_f64(const uint64_t *x, Py_ssize_t n, double *out) noexcept nogil


cdef void label_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const LabelTask *task = <const LabelTask *>argument
    cdef Py_ssize_t at = block * LABELS_AT_ONCE, n = min(<Py_ssize_t>LABELS_AT_ONCE, task.n - at)
    cdef bint good
    cdef float *floats = <float *>task.copy + at
    cdef double *doubles = <double *>task.copy + at
    if task.copy == NULL and task.is_double:
        good = are_in_unit_f64(<const double *>task.data + at, n)
    elif task.copy == NULL:
        good = are_in_unit_f32(<const float *>task.data + at, n)
    elif task.item_bytes == 1 and task.is_double:
        good = labels_u8_f64(<const uint8_t *>task.data + at, n, doubles)
    elif task.item_bytes == 1:
        good = labels_u8_f32(<const uint8_t *>task.data + at, n, floats)
    elif task.item_bytes == 4 and task.is_double:
        good = labels_u32_f64(<const uint32_t *>task.data + at, n, doubles)
    elif task.item_bytes == 4:
        good = labels_u32_f32(<const uint32_t *>task.data + at, n, floats)
    elif task.is_double:
        good = labels_u64_f64(<const uint64_t *>task.data + at, n, doubles)
    else:
        good = labels_u64_f32(<const uint64_t *>task.data + at, n, floats)
    if not good:
        atomic_store(task.is_bad, 1)


cdef bint read_labels(const Layout *layout, targets, out, BinaryCall *call, Values *values) except -1:
    """Read binary targets as contiguous numbers in [0, 1] of the computing dtype."""
    cdef bint is_double = layout.block.kind == KIND_F64
    cdef Py_ssize_t n = layout.size
    cdef LabelTask task
    cdef atomic_int is_bad
    cdef int kind
    if not (is_array(targets) and has_shape(layout, <cnp.ndarray>targets)
            and cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>targets)):
        return False
    if not is_apart(out, targets):
        return False
    kind = kind_of(<cnp.ndarray>targets)
    call.target_kind = KIND_F64 if is_double else KIND_F32
    atomic_store(&is_bad, 0)
    task.data, task.n, task.copy = cnp.PyArray_DATA(<cnp.ndarray>targets), n, NULL
    task.is_double, task.is_bad, task.item_bytes = is_double, &is_bad, cnp.PyArray_ITEMSIZE(<cnp.ndarray>targets)
    values.data = <void *>task.data
    if kind != <int>call.target_kind:
        if not (cnp.PyArray_TYPE(<cnp.ndarray>targets) == cnp.NPY_BOOL or cnp.PyArray_ISINTEGER(<cnp.ndarray>targets)
                and task.item_bytes != 2):
            return False
        values.owned = values.data = task.copy = malloc(n * (sizeof(double) if is_double else sizeof(float)))
        if values.data == NULL:
            raise MemoryError("cannot allocate the targets")
    run_blocks(label_block, &task, (n + LABELS_AT_ONCE - 1) // LABELS_AT_ONCE, LABELS_AT_ONCE, call.n_threads, 0)
    return not atomic_load(&is_bad)


cdef bint read_element_weights(const KernelTable *kernels, weights, const Layout *layout, out, BinaryCall *call,
                               Bounds *bounds) except -1:
    """Take float or double weights of every element, which lie side by side and apart from out."""
    if not (is_array(weights) and cnp.PyArray_TYPE(<cnp.ndarray>weights) in (NPY_DOUBLE, NPY_FLOAT)
            and is_apart(out, weights) and cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>weights)
            and has_shape(layout, <cnp.ndarray>weights)):
        return False
    call.weight = cnp.PyArray_DATA(<cnp.ndarray>weights)
    call.weight_kind = KIND_F64 if cnp.PyArray_TYPE(<cnp.ndarray>weights) == NPY_DOUBLE else KIND_F32
    return kernels.find_bounds(call.weight, call.weight_kind, layout.size, call.n_threads, bounds)


cdef binary_loss(logits, targets, weight, pos_weight, reduction, n_threads, out, bint with_grad):
    cdef const KernelTable *kernels = chosen_kernels
    cdef BinaryCall call
    cdef Layout layout
    cdef LossMemory memory
    cdef Reduction kind = MEAN
    cdef Bounds all_bounds = no_bounds(), positive_bounds = no_bounds()
    cdef PartialSums partial
    cdef double low, high, total
    cdef bint is_in_place = False, is_double
    default_binary_call(&call)
    if kernels == NULL or not find_layout(&layout, logits) or not read_reduction(reduction, &kind):
        return None
    if not layout.is_natural or is_broadcast(&layout, <cnp.ndarray>logits):
        return None
    if not read_threads(n_threads, layout.size, &call.n_threads):
        return None
    set_axis(&layout, layout.ndim - 1)
    if not place_array(&layout, <cnp.ndarray>logits, &call.logits):
        return None
    call.kind, call.n_rows, call.n_labels = layout.block.kind, layout.block.outer, layout.block.n_classes
    dtype = dtype_of(<cnp.ndarray>logits)       # as it is now: checks give up the GIL
    if with_grad and out is not None:
        if not place_out(&layout, out, <cnp.ndarray>logits, &call.grad):
            return None
        is_in_place = call.grad.data == call.logits.data
    memory.targets = memory.weight = memory.sample_weight = no_values()
    memory.losses.data, partial.sums, is_double = &memory.losses.few[0], &partial.few[0], call.kind == KIND_F64
    try:
        if weight is not None:
            if not read_element_weights(kernels, weight, &layout, out, &call, &all_bounds):
                return None
        if pos_weight is not None:
            if not read_weights(kernels, pos_weight, &layout, False, out, &memory.weight, &positive_bounds):
                return None
            call.pos_weight = <const double *>memory.weight.data
        if not read_labels(&layout, targets, out, &call, &memory.targets):
            return None
        set_dense(&call.targets, &layout.block, memory.targets.data)
        call.grad_scale = 1.0 / layout.size if kind == MEAN else 1.0
        low = all_bounds.low * min(1.0, positive_bounds.low)
        high = all_bounds.high * max(1.0, positive_bounds.high)
        if not (is_within(all_bounds.low) and is_within(positive_bounds.low) and is_within(positive_bounds.high)
                and is_within(low) and is_within(low * call.grad_scale) and high <= LARGEST_SCALE):
            return None
        rows = None
        start_sums(&partial, layout.size)
        if kind == NONE:
            rows = new_result(&layout, dtype_of_losses(&layout))
            call.rows = cnp.PyArray_DATA(<cnp.ndarray>rows)
        elif kind == MEAN and is_in_place:      # a sum that overflows could not be computed again
            start_losses(&memory.losses, layout.size)
            call.losses = memory.losses.data
        else:
            call.sums = partial.sums
        if with_grad and out is None:
            out = new_result(&layout, dtype)
            set_dense(&call.grad, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
        kernels.binary(&call)
        if kind == NONE:
            if is_double and not is_in_place and has_infinity(<const double *>call.rows, layout.size):
                return None
            result = rows
        elif call.losses != NULL:
            result = finish_losses(MEAN, call.losses, layout.size, layout.size, is_double, None, False)
        else:
            total = total_of(&partial)
            if isinf(total) and (kind == MEAN or is_double) and not is_in_place:
                return None
            result = new_scalar(total / layout.size if kind == MEAN else total, not is_double)
        return (result, out) if with_grad else result
    finally:
        free_loss_memory(&memory)
        free_sums(&partial)


def binary_cross_entropy_with_logits(logits, targets, *, weight=None, pos_weight=None, reduction="mean",
                                     n_threads=None):
    result = binary_loss(logits, targets, weight, pos_weight, reduction, n_threads, None, False)
    if result is not None:
        return result
    return general["binary_cross_entropy_with_logits"](
        logits, targets, weight=weight, pos_weight=pos_weight, reduction=reduction, n_threads=n_threads)


def binary_cross_entropy_with_logits_with_grad(logits, targets, *, weight=None, pos_weight=None, reduction="mean",
                                               n_threads=None, out=None):
    result = binary_loss(logits, targets, weight, pos_weight, reduction, n_threads, out, True)
    if result is not None:
        return result
    return general["binary_cross_entropy_with_logits_with_grad"](
        logits, targets, weight=weight, pos_weight=pos_weight, reduction=reduction, n_threads=n_threads, out=out)
