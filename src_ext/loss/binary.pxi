# sigmoid and the binary cross-entropy of logits, element by element: one read of each input, one write.

cdef extern from "softmax/primitives.h":
    void sigmoid_f32(const float *x, float *out, Py_ssize_t n) noexcept nogil
    void sigmoid_f64(const double *x, double *out, Py_ssize_t n) noexcept nogil
    void binary_row_f32(const float *x, const float *y, double *loss, float *grad, const double *w,
                        const double *pos_weight, double scale, Py_ssize_t n) noexcept nogil
    void binary_row_f64(const double *x, const double *y, double *loss, double *grad, const double *w,
                        const double *pos_weight, double scale, Py_ssize_t n) noexcept nogil

cdef struct SigmoidTask:
    Kind kind
    const void *x
    void *out
    Steps x_steps, out_steps
    Py_ssize_t n, per_row

cdef struct BinaryTask:
    Kind kind, target_kind
    const void *logits
    const void *targets
    double *losses
    void *grad
    Steps logits_steps, targets_steps, grad_steps
    const double *weight
    const double *pos_weight
    double grad_scale
    Py_ssize_t n_rows, n_labels, per_block


cdef inline void sigmoid_run(Kind kind, const void *x, Py_ssize_t at, void *out, Py_ssize_t to, Py_ssize_t n,
                             real *values) noexcept nogil:
    """Compute n values side by side, from number `at` of x to number `to` of out."""
    if real is double:
        sigmoid_f64(<const double *>x + at, <double *>out + to, n)
    elif kind == KIND_F32:
        sigmoid_f32(<const float *>x + at, <float *>out + to, n)
    else:
        run_load_f32(kind, x, at, n, values)
        sigmoid_f32(values, values, n)
        run_store_f32(kind, values, out, to, n)


cdef inline void sigmoid_block(const void *argument, Py_ssize_t block, real *scratch) noexcept nogil:
    cdef const SigmoidTask *task = <const SigmoidTask *>argument
    cdef Py_ssize_t at = block * BLOCK_ELEMENTS, stop = min(at + BLOCK_ELEMENTS, task.n), row, column, n
    while at < stop:
        row, column = at // task.per_row, at % task.per_row
        n = min(task.per_row - column, stop - at)
        sigmoid_run(task.kind, task.x, outer_start(&task.x_steps, row) + column,
                    task.out, outer_start(&task.out_steps, row) + column, n, scratch)
        at += n


cdef void sigmoid_block_f32(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    sigmoid_block(task, block, <float *>scratch)


cdef void sigmoid_block_f64(const void *task, Py_ssize_t block, char *scratch) noexcept nogil:
    sigmoid_block(task, block, <double *>scratch)


cdef inline const double *part_of(const double *values, Py_ssize_t at) noexcept nogil:
    if values == NULL:
        return NULL
    return values + at


cdef void binary_piece_f32(const BinaryTask *task, Py_ssize_t row, Py_ssize_t label, Py_ssize_t n,
                           float *scratch) noexcept nogil:
    """Compute n labels of a row, at most BLOCK_ELEMENTS, where they lie or through scratch."""
    cdef Py_ssize_t at = row * task.n_labels + label
    cdef Py_ssize_t logits_at = outer_start(&task.logits_steps, row) + label
    cdef Py_ssize_t targets_at = outer_start(&task.targets_steps, row) + label
    cdef Py_ssize_t grad_at = 0 if task.grad == NULL else outer_start(&task.grad_steps, row) + label
    cdef const float *logits = <const float *>task.logits + logits_at
    cdef const float *targets = <const float *>task.targets + targets_at
    cdef float *grad = <float *>task.grad
    if grad != NULL:
        grad += grad_at
    if task.kind != KIND_F32:
        run_load_f32(task.kind, task.logits, logits_at, n, scratch)
        logits = scratch
        grad = grad if grad == NULL else scratch
    if task.target_kind != KIND_F32:
        run_load_f32(task.target_kind, task.targets, targets_at, n, scratch + BLOCK_ELEMENTS)
        targets = scratch + BLOCK_ELEMENTS
    binary_row_f32(logits, targets, task.losses + at, grad, part_of(task.weight, at), part_of(task.pos_weight, label),
                   task.grad_scale, n)
    if task.kind != KIND_F32 and grad != NULL:
        run_store_f32(task.kind, grad, task.grad, grad_at, n)


cdef void binary_block_f32(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const BinaryTask *task = <const BinaryTask *>argument
    cdef Py_ssize_t row, label
    for row in range(block * task.per_block, min(task.n_rows, (block + 1) * task.per_block)):
        label = 0
        while label < task.n_labels:
            binary_piece_f32(task, row, label, min(BLOCK_ELEMENTS, task.n_labels - label), <float *>scratch)
            label += BLOCK_ELEMENTS


cdef void binary_block_f64(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const BinaryTask *task = <const BinaryTask *>argument
    cdef Py_ssize_t row, at
    cdef double *grad = NULL
    for row in range(block * task.per_block, min(task.n_rows, (block + 1) * task.per_block)):
        at = row * task.n_labels
        if task.grad != NULL:
            grad = <double *>task.grad + outer_start(&task.grad_steps, row)
        binary_row_f64(<const double *>task.logits + outer_start(&task.logits_steps, row),
                       <const double *>task.targets + outer_start(&task.targets_steps, row), task.losses + at, grad,
                       part_of(task.weight, at), task.pos_weight, task.grad_scale, task.n_labels)


cdef inline Py_ssize_t binary_scratch(Kind kind, Kind target_kind) noexcept nogil:
    """Return the bytes of scratch that elementwise operations need on 16-bit data."""
    return 0 if kind <= KIND_F64 and target_kind <= KIND_F64 else 2 * BLOCK_ELEMENTS * sizeof(float)
