"""The contract of fastsoftmax._backends, compiled for one instruction set.

Row and lane primitives stand in the headers, one text for float and double; the files included here compose
them into operations, and run_blocks of runtime/blocks.pxi is the one place with threads. The functions below
only fill a task and run it: their arrays are checked, and 3-D blocks (outer, n_classes, inner), already.
"""

cimport numpy as cnp

include "softmax/primitives.pxi"
include "runtime/blocks.pxi"
include "layout/geometry.pxi"
include "softmax/rows.pxi"
include "softmax/softmax.pxi"
include "softmax/logsumexp.pxi"
include "loss/losses.pxi"
include "loss/inspect.pxi"
include "loss/binary.pxi"
include "loss/divergences.pxi"
include "softmax/top_k.pxi"

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    int NPY_HALF, NPY_USERDEF


cdef inline void *data_or_null(array):
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray>array)


cdef int bfloat16_number = -1   # NumPy's type number of bfloat16: one of its own in each process, once it has been seen


cdef inline Kind kind_of_data(cnp.ndarray x):
    """Return the kind of a checked array; bfloat16's number is kept for the door."""
    global bfloat16_number
    cdef int number = cnp.PyArray_TYPE(x)
    if number == cnp.NPY_FLOAT:
        return KIND_F32
    if number == cnp.NPY_DOUBLE:
        return KIND_F64
    if number == NPY_HALF:
        return KIND_F16
    if number >= NPY_USERDEF:
        bfloat16_number = number
    return KIND_BF16


cdef inline void cut_block(Geometry *g, cnp.ndarray x, bint has_tiles):
    cdef cnp.npy_intp *shape = cnp.PyArray_DIMS(x)
    cdef Py_ssize_t n_groups = 1
    if cnp.PyArray_NDIM(x) == 4:
        n_groups = shape[0]
        shape += 1
    cut(g, n_groups * shape[0], shape[1], shape[2], kind_of_data(x), has_tiles)


cdef inline Steps steps_of(cnp.ndarray x):
    """Return the steps of a block (outer, n_classes, inner), or of groups of such blocks."""
    cdef Steps steps
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(x)
    cdef cnp.npy_intp *strides = cnp.PyArray_STRIDES(x)
    steps.per_group, steps.group = ONE_GROUP, 0
    if cnp.PyArray_NDIM(x) == 4:
        steps.per_group, steps.group = cnp.PyArray_DIM(x, 1), strides[0] // size
        strides += 1
    steps.outer, steps.classes = strides[0] // size, strides[1] // size
    return steps


cdef inline Py_ssize_t n_columns(cnp.ndarray x):
    """Return the number of classes of a block."""
    return cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 2)


cdef inline void fill_mask(SoftmaxTask *task, where):
    task.where = <const uint8_t *>data_or_null(where)
    if where is not None:
        task.where_steps = steps_of(where)


cdef int start_softmax(cnp.ndarray x, cnp.ndarray out, where, double temperature, bint log, int n_threads) except -1:
    cdef SoftmaxTask task
    cut_block(&task.g, x, True)
    task.x, task.out = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out)
    task.x_steps, task.out_steps = steps_of(x), steps_of(out)
    fill_mask(&task, where)
    task.temperature, task.log = temperature, log
    return run_softmax(&task, n_threads)


def softmax(x, out, where, double temperature, int n_threads):
    """Write softmax(x / temperature) to out."""
    start_softmax(x, out, where, temperature, False, n_threads)


def log_softmax(x, out, where, double temperature, int n_threads):
    """Write log(softmax(x / temperature)) to out."""
    start_softmax(x, out, where, temperature, True, n_threads)


def logsumexp(cnp.ndarray x, cnp.ndarray out, where, int n_threads):
    """Write log(sum(exp(x))) to out, which is float32 for 16-bit x."""
    cdef SoftmaxTask task
    cut_block(&task.g, x, True)
    task.x, task.out, task.x_steps = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), steps_of(x)
    fill_mask(&task, where)
    run_blocks(logsumexp_block_f64 if task.g.kind == KIND_F64 else logsumexp_block_f32, &task, task.g.n_blocks,
               task.g.per_block * task.g.n_classes, n_threads, softmax_scratch(&task.g))


cdef int start_backward(cnp.ndarray grad, cnp.ndarray forward, cnp.ndarray out, bint log, int n_threads) except -1:
    cdef BackwardTask task
    cut_block(&task.g, forward, False)
    task.grad, task.forward = cnp.PyArray_DATA(grad), cnp.PyArray_DATA(forward)
    task.out, task.log = cnp.PyArray_DATA(out), log
    task.grad_steps, task.forward_steps, task.out_steps = steps_of(grad), steps_of(forward), steps_of(out)
    return run_blocks(backward_block_f64 if task.g.kind == KIND_F64 else backward_block_f32, &task, task.g.n_blocks,
                      task.g.per_block * task.g.n_classes, n_threads, 2 * tile_bytes(&task.g))


def softmax_backward(grad, probs, out, int n_threads):
    """Write probs * (grad - sum(grad * probs)) to out."""
    start_backward(grad, probs, out, False, n_threads)


def log_softmax_backward(grad, log_probs, out, int n_threads):
    """Write grad - exp(log_probs) * sum(grad) to out."""
    start_backward(grad, log_probs, out, True, n_threads)


cdef int fill_targets(LossTask *task, cnp.ndarray targets, options) except -1:
    """Fill what inspect_targets and cross_entropy share; the options' arrays outlive the task."""
    task.targets = cnp.PyArray_DATA(targets)
    if cnp.PyArray_ISINTEGER(targets):
        itemsize = cnp.PyArray_ITEMSIZE(targets)
        task.kind = INDEX_INT64 if itemsize == 8 else INDEX_INT32 if itemsize == 4 else INDEX_UINT8
    else:
        task.kind = PROBABILITIES
    task.weight = <const double *>data_or_null(options.weight)
    task.sample_weight = <const double *>data_or_null(options.sample_weight)
    task.has_ignore = options.ignore_index is not None
    task.ignore_index = 0
    if task.has_ignore:
        if -2**63 <= options.ignore_index < 2**63:
            task.ignore_index = options.ignore_index
        else:
            task.has_ignore = False
    return 0


def inspect_targets(cnp.ndarray targets, Py_ssize_t n_classes, options, int n_threads):
    """Return (first bad row or -1, its value, divisor of the mean in two parts)."""
    cdef LossTask task
    cdef Py_ssize_t row
    cdef double divisor, error = 0
    cdef bint good
    fill_targets(&task, targets, options)
    task.g.n_lanes, task.g.n_classes = targets.size, n_classes
    good = all_in_range(task.targets, task.kind, task.g.n_lanes, n_classes, n_threads)
    with nogil:
        row = -1 if good else first_bad(&task)
        if good and not task.has_ignore and task.weight == NULL and task.sample_weight == NULL:
            divisor = <double>task.g.n_lanes
        else:
            divisor = 0 if row >= 0 else divisor_of(&task, &error)
    return row, (read_index(task.targets, task.kind, row) if row >= 0 else 0), divisor, error


def _smoothing_base(options, Py_ssize_t n_classes, dtype):
    """Return smoothing / n_classes * weight for each class, or None without smoothing."""
    if not options.label_smoothing:
        return None
    import numpy as np
    weight = np.ones(n_classes) if options.weight is None else options.weight
    return (options.label_smoothing / n_classes * weight).astype(dtype)


def cross_entropy(cnp.ndarray logits, cnp.ndarray targets, cnp.ndarray losses, grad, options, int n_threads):
    """Write the loss of each row to losses, and the gradient to grad unless that is None."""
    cdef LossTask task
    fill_targets(&task, targets, options)
    task.logits, task.losses = cnp.PyArray_DATA(logits), <double *>cnp.PyArray_DATA(losses)
    task.grad, task.logits_steps = data_or_null(grad), steps_of(logits)
    if grad is not None:
        task.grad_steps = steps_of(grad)
    task.smoothing, task.z_loss = options.label_smoothing, options.z_loss
    task.softcap, task.temperature = options.softcap, options.temperature
    task.shift = 0
    set_scale(&task, options.grad_scale, options.grad_scale_error)
    cut_block(&task.g, logits, task.softcap == 0)
    base = None
    if task.kind == PROBABILITIES:
        task.target_kind, task.targets_steps = kind_of_data(targets), steps_of(targets)
    else:
        base = _smoothing_base(options, task.g.n_classes, "d" if task.softcap or task.g.kind == KIND_F64 else "f")
    task.base = data_or_null(base)
    run_loss(&task, n_threads)


def sigmoid(cnp.ndarray x, cnp.ndarray out, int n_threads):
    """Write 1 / (1 + exp(-x)) to out, element by element."""
    cdef SigmoidTask task
    task.x, task.out, task.n, task.kind = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), x.size, kind_of_data(x)
    task.x_steps, task.out_steps, task.per_row = steps_of(x), steps_of(out), n_columns(x)
    run_blocks(sigmoid_block_f64 if task.kind == KIND_F64 else sigmoid_block_f32, &task,
               (task.n + BLOCK_ELEMENTS - 1) // BLOCK_ELEMENTS, BLOCK_ELEMENTS, n_threads,
               binary_scratch(task.kind, task.kind))


def binary_cross_entropy(cnp.ndarray logits, cnp.ndarray targets, cnp.ndarray losses, grad, weight, pos_weight,
                         double grad_scale, int n_threads):
    """Write the loss of each logit to losses, and the gradient to grad unless that is None."""
    cdef BinaryTask task
    task.logits, task.targets = cnp.PyArray_DATA(logits), cnp.PyArray_DATA(targets)
    task.losses, task.grad = <double *>cnp.PyArray_DATA(losses), data_or_null(grad)
    task.weight, task.pos_weight = <const double *>data_or_null(weight), <const double *>data_or_null(pos_weight)
    task.logits_steps, task.targets_steps = steps_of(logits), steps_of(targets)
    if grad is not None:
        task.grad_steps = steps_of(grad)
    task.grad_scale, task.n_rows, task.n_labels = grad_scale, losses.shape[0], n_columns(logits)
    task.per_block = max(1, BLOCK_ELEMENTS // max(1, task.n_labels))
    task.kind, task.target_kind = kind_of_data(logits), kind_of_data(targets)
    run_blocks(binary_block_f64 if task.kind == KIND_F64 else binary_block_f32, &task,
               (task.n_rows + task.per_block - 1) // task.per_block, task.per_block * task.n_labels,
               n_threads, binary_scratch(task.kind, task.target_kind))


def entropy(cnp.ndarray logits, cnp.ndarray losses, grad, double divisor, int n_threads):
    """Write the entropy of each row to losses, and the gradient / divisor to grad unless that is None."""
    cdef DivergenceTask task
    cut_block(&task.g, logits, True)
    task.p, task.q, task.losses = cnp.PyArray_DATA(logits), NULL, <double *>cnp.PyArray_DATA(losses)
    task.grad_p, task.grad_q, task.divisor = data_or_null(grad), NULL, divisor
    task.p_steps = steps_of(logits)
    if grad is not None:
        task.grad_p_steps = steps_of(grad)
    run_divergence(&task, n_threads)


def kl_div(cnp.ndarray p_logits, cnp.ndarray q_logits, cnp.ndarray losses, grad_p, grad_q, double divisor,
           int n_threads):
    """Write the divergence of each row to losses, and the gradients / divisor unless they are None."""
    cdef DivergenceTask task
    cut_block(&task.g, p_logits, True)
    task.p, task.q = cnp.PyArray_DATA(p_logits), cnp.PyArray_DATA(q_logits)
    task.losses, task.divisor = <double *>cnp.PyArray_DATA(losses), divisor
    task.grad_p, task.grad_q = data_or_null(grad_p), data_or_null(grad_q)
    task.p_steps, task.q_steps = steps_of(p_logits), steps_of(q_logits)
    if grad_p is not None:
        task.grad_p_steps, task.grad_q_steps = steps_of(grad_p), steps_of(grad_q)
    run_divergence(&task, n_threads)


def top_k_softmax(cnp.ndarray x, cnp.ndarray values, cnp.ndarray indices, int n_threads):
    """Write the largest probabilities of each row to values and their classes to indices."""
    cdef TopTask task
    cut_block(&task.g, x, True)
    task.x, task.values, task.k = cnp.PyArray_DATA(x), cnp.PyArray_DATA(values), values.shape[1]
    task.indices, task.x_steps = <int64_t *>cnp.PyArray_DATA(indices), steps_of(x)
    run_top_k(&task, n_threads)


include "doors.pxi"
