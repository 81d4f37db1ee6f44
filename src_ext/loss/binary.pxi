# sigmoid and the binary cross-entropy of logits, element by element: one read of each input, one write.

cdef extern from "softmax/primitives.h" nogil:
    void sigmoid_run(...)
    void binary_run(...)

cdef extern from "loss/sums.h":
    int SUM_AT_ONCE
    ctypedef struct EightSums:
        pass
    void sums_add_run(EightSums *sums, const double *x, Py_ssize_t n) noexcept nogil
    TwoPartSum sum_of_eight(const EightSums *lanes) noexcept nogil

cdef struct SigmoidTask:
    Kind kind
    const void *x
    void *out
    Steps x_steps, out_steps
    Py_ssize_t n, per_row


cdef inline void default_sigmoid_task(SigmoidTask *task) noexcept nogil:
    clear_struct(task, sizeof(SigmoidTask))


cdef enum:
    PIECE = 512                 # logits that are computed at once, a multiple of SUM_STEP

# Blocks are SUM_AT_ONCE logits in C order, whatever the rows: those of a sum of losses.
cdef struct BinaryTask:
    Kind kind, target_kind
    const void *logits
    const void *targets
    void *grad
    Steps logits_steps, targets_steps, grad_steps
    double *losses              # where each loss goes, or NULL;
    void *rows                  # the same in float or double, or NULL;
    TwoPartSum *sums            # the sum of each block, or NULL
    const void *weight
    Kind weight_kind
    const double *pos_weight
    double grad_scale
    Py_ssize_t n, n_labels


cdef inline void default_binary_task(BinaryTask *task) noexcept nogil:
    """Set a task without weights, gradient and results, whose gradient's scale would be 1."""
    clear_struct(task, sizeof(BinaryTask))
    task.grad_scale = 1


cdef inline void sigmoid_piece(Kind kind, const void *x, Py_ssize_t at, void *out, Py_ssize_t to, Py_ssize_t n,
                               real *values) noexcept nogil:
    """Compute n values side by side, from number `at` of x to number `to` of out."""
    if kind <= KIND_F64:
        sigmoid_run(<const real *>x + at, <real *>out + to, n)
    elif real is float:
        run_load_f32(kind, x, at, n, values)
        sigmoid_run(values, values, n)
        run_store_f32(kind, values, out, to, n)


cdef inline void sigmoid_runs(const SigmoidTask *task, Py_ssize_t block, real *scratch) noexcept nogil:
    cdef Py_ssize_t at = block * BLOCK_ELEMENTS, stop = min(at + BLOCK_ELEMENTS, task.n), row, column, n
    while at < stop:
        row, column = at // task.per_row, at % task.per_row
        n = min(task.per_row - column, stop - at)
        sigmoid_piece(task.kind, task.x, outer_start(&task.x_steps, row) + column,
                      task.out, outer_start(&task.out_steps, row) + column, n, scratch)
        at += n


cdef void sigmoid_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const SigmoidTask *task = <const SigmoidTask *>argument
    if task.kind == KIND_F64:
        sigmoid_runs(task, block, <double *>scratch)
    else:
        sigmoid_runs(task, block, <float *>scratch)


cdef inline bint is_flat(const Steps *steps, Py_ssize_t per_row, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Whether values at .. at + n of an array in C order lie side by side."""
    return at % per_row + n <= per_row or (steps.per_group == ONE_GROUP and steps.outer == per_row)


cdef inline const real *read_flat(Kind kind, const void *data, const Steps *steps, Py_ssize_t per_row, Py_ssize_t at,
                                  Py_ssize_t n, real *scratch) noexcept nogil:
    """Return values at .. at + n in C order, where they lie or in scratch."""
    cdef Py_ssize_t done = 0, row, column, run
    if is_flat(steps, per_row, at, n):
        row, column = outer_start(steps, at // per_row), at % per_row
        if real is float and kind != KIND_F32:
            run_load_f32(kind, data, row + column, n, scratch)
            return scratch
        return <const real *>data + row + column
    while done < n:
        row, column = outer_start(steps, (at + done) // per_row), (at + done) % per_row
        run = min(per_row - column, n - done)
        if real is double:
            memcpy(scratch + done, <const double *>data + row + column, run * sizeof(double))
        else:
            run_load_f32(kind, data, row + column, run, scratch + done)
        done += run
    return scratch


cdef inline void write_flat(Kind kind, const real *values, void *data, const Steps *steps, Py_ssize_t per_row,
                            Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t done = 0, row, column, run
    while done < n:
        row, column = outer_start(steps, (at + done) // per_row), (at + done) % per_row
        run = n - done if is_flat(steps, per_row, at, n) else min(per_row - column, n - done)
        if real is double:
            memcpy(<double *>data + row + column, values + done, run * sizeof(double))
        else:
            run_store_f32(kind, values + done, data, row + column, run)
        done += run


cdef inline void repeat_labels(const double *pos_weight, Py_ssize_t n_labels, Py_ssize_t at, Py_ssize_t n,
                               double *out) noexcept nogil:
    cdef Py_ssize_t i, label = at % n_labels
    for i in range(n):
        out[i] = pos_weight[label]
        label += 1
        if label == n_labels:
            label = 0


cdef inline const double *element_weights(const BinaryTask *task, Py_ssize_t at, Py_ssize_t n,
                                          double *scratch) noexcept nogil:
    """Return the weights of logits at .. at + n as doubles."""
    cdef Py_ssize_t i
    if task.weight == NULL:
        return NULL
    if task.weight_kind == KIND_F64:
        return <const double *>task.weight + at
    for i in range(n):
        scratch[i] = (<const float *>task.weight)[at + i]
    return scratch


cdef inline void binary_piece(const BinaryTask *task, Py_ssize_t at, Py_ssize_t n, double *losses,
                              real *scratch) noexcept nogil:
    """Compute logits at .. at + n, at most PIECE."""
    cdef const real *logits = read_flat(task.kind, task.logits, &task.logits_steps, task.n_labels, at, n, scratch)
    cdef const real *targets = read_flat(task.target_kind, task.targets, &task.targets_steps, task.n_labels, at, n,
                                         scratch + PIECE)
    cdef const double *weight = element_weights(task, at, n, losses + 2 * PIECE)
    cdef double *pos_weight = NULL
    cdef real *grad = NULL
    cdef Py_ssize_t i
    if task.pos_weight != NULL:
        pos_weight = losses + PIECE
        repeat_labels(task.pos_weight, task.n_labels, at, n, pos_weight)
    if task.grad != NULL:
        grad = scratch
        if (real is double or task.kind == KIND_F32) and is_flat(&task.grad_steps, task.n_labels, at, n):
            grad = <real *>task.grad + outer_start(&task.grad_steps, at // task.n_labels) + at % task.n_labels
    binary_run(logits, targets, losses, grad, weight, pos_weight, task.grad_scale, n)
    if grad == scratch and grad != NULL:
        write_flat(task.kind, scratch, task.grad, &task.grad_steps, task.n_labels, at, n)
    if task.losses != NULL:
        memcpy(task.losses + at, losses, n * sizeof(double))
    if task.rows != NULL:
        for i in range(n):
            (<real *>task.rows)[at + i] = <real>losses[i]


cdef inline void binary_pieces(const BinaryTask *task, Py_ssize_t block, double *losses, real *scratch) noexcept nogil:
    cdef Py_ssize_t at = block * SUM_AT_ONCE, stop = min(at + SUM_AT_ONCE, task.n), n
    cdef EightSums lanes
    memset(&lanes, 0, sizeof(lanes))
    while at < stop:
        n = min(<Py_ssize_t>PIECE, stop - at)
        binary_piece(task, at, n, losses, scratch)
        if task.sums != NULL:
            sums_add_run(&lanes, losses, n)
        at += n
    if task.sums != NULL:
        task.sums[block] = sum_of_eight(&lanes)


cdef void binary_block(const void *argument, Py_ssize_t block, char *scratch) noexcept nogil:
    cdef const BinaryTask *task = <const BinaryTask *>argument
    cdef double *losses = <double *>scratch
    if task.kind == KIND_F64:
        binary_pieces(task, block, losses, losses + 3 * PIECE)
    else:
        binary_pieces(task, block, losses, <float *>(losses + 3 * PIECE))


cdef inline Py_ssize_t binary_scratch() noexcept nogil:
    """Return the bytes of scratch of a thread: losses, factors of the labels, weights, logits and targets."""
    return 5 * PIECE * sizeof(double)


cdef inline Py_ssize_t sigmoid_scratch(Kind kind) noexcept nogil:
    return 0 if kind <= KIND_F64 else BLOCK_ELEMENTS * sizeof(float)
