# sigmoid and the binary cross-entropy of logits, element by element: one read of each input, one write.

cdef extern from "primitives.h":
    void sigmoid_f32(const float *x, float *out, Py_ssize_t n) noexcept nogil
    void sigmoid_f64(const double *x, double *out, Py_ssize_t n) noexcept nogil
    void binary_row_f32(const float *x, const float *y, double *loss, float *grad, const double *w,
                        const double *pos_weight, double scale, Py_ssize_t n) noexcept nogil
    void binary_row_f64(const double *x, const double *y, double *loss, double *grad, const double *w,
                        const double *pos_weight, double scale, Py_ssize_t n) noexcept nogil

cdef struct SigmoidTask:
    const void *x
    void *out
    Py_ssize_t n

cdef struct BinaryTask:
    const void *logits
    const void *targets
    double *losses
    void *grad
    const double *weight
    const double *pos_weight
    double grad_scale
    Py_ssize_t n_rows, n_labels, per_block


cdef void sigmoid_block_f32(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SigmoidTask *task = <const SigmoidTask *>argument
    cdef Py_ssize_t at = block * BLOCK_ELEMENTS
    sigmoid_f32(<const float *>task.x + at, <float *>task.out + at, min(BLOCK_ELEMENTS, task.n - at))


cdef void sigmoid_block_f64(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SigmoidTask *task = <const SigmoidTask *>argument
    cdef Py_ssize_t at = block * BLOCK_ELEMENTS
    sigmoid_f64(<const double *>task.x + at, <double *>task.out + at, min(BLOCK_ELEMENTS, task.n - at))


cdef void binary_block_f32(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const BinaryTask *task = <const BinaryTask *>argument
    cdef const double *weight
    cdef Py_ssize_t row, at
    for row in range(block * task.per_block, min(task.n_rows, (block + 1) * task.per_block)):
        at = row * task.n_labels
        weight = task.weight
        if weight != NULL:
            weight += at
        binary_row_f32(<const float *>task.logits + at, <const float *>task.targets + at, task.losses + at,
                       NULL if task.grad == NULL else <float *>task.grad + at, weight, task.pos_weight,
                       task.grad_scale, task.n_labels)


cdef void binary_block_f64(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const BinaryTask *task = <const BinaryTask *>argument
    cdef const double *weight
    cdef Py_ssize_t row, at
    for row in range(block * task.per_block, min(task.n_rows, (block + 1) * task.per_block)):
        at = row * task.n_labels
        weight = task.weight
        if weight != NULL:
            weight += at
        binary_row_f64(<const double *>task.logits + at, <const double *>task.targets + at, task.losses + at,
                       NULL if task.grad == NULL else <double *>task.grad + at, weight, task.pos_weight,
                       task.grad_scale, task.n_labels)
