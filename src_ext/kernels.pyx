"""The contract of fastsoftmax._backends, compiled for one instruction set.

Row and lane primitives stand in the headers, one text for float and double; the files included here compose
them into operations, and run_blocks of runtime/blocks.pxi is the one place with threads. Each operation has one C
function, which takes a call of calls.h; `kernel_table` hands these to the fast path, and the functions of the contract
below make the calls from arrays that are checked: 3-D blocks (outer, n_classes, inner), or groups of such blocks.
"""

from cpython.pycapsule cimport PyCapsule_New

cimport numpy as cnp

include "calls.pxi"
include "softmax/primitives.pxi"
include "runtime/blocks.pxi"
include "layout/geometry.pxi"
include "softmax/rows.pxi"
include "softmax/softmax.pxi"
include "softmax/logsumexp.pxi"
include "loss/losses.pxi"
include "loss/inspect.pxi"
include "loss/binary.pxi"
include "loss/bounds.pxi"
include "loss/divergences.pxi"
include "softmax/top_k.pxi"

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    int NPY_HALF


# An operation: its task from its call.

cdef int call_softmax(const SoftmaxCall *call) except -1:
    cdef SoftmaxTask task
    softmax_task(call, &task)
    return run_softmax(&task, call.n_threads)


cdef int call_logsumexp(const SoftmaxCall *call) except -1:
    cdef SoftmaxTask task
    softmax_task(call, &task)
    return run_blocks(logsumexp_block, &task, task.g.n_blocks, task.g.per_block * task.g.n_classes, call.n_threads,
                      softmax_scratch(&task.g))


cdef void softmax_task(const SoftmaxCall *call, SoftmaxTask *task) noexcept:
    default_softmax_task(task)
    plan_blocks(&task.g, call.block.outer, call.block.n_classes, call.block.inner, call.block.kind, True)
    task.x, task.out, task.where = call.x.data, call.out.data, <const uint8_t *>call.where.data
    task.x_steps, task.out_steps, task.where_steps = call.x.steps, call.out.steps, call.where.steps
    task.temperature, task.log = call.temperature, call.log


cdef int call_backward(const BackwardCall *call) except -1:
    cdef BackwardTask task
    default_backward_task(&task)
    plan_blocks(&task.g, call.block.outer, call.block.n_classes, call.block.inner, call.block.kind, False)
    task.grad, task.forward, task.out, task.log = call.grad.data, call.forward.data, call.out.data, call.log
    task.grad_steps, task.forward_steps, task.out_steps = call.grad.steps, call.forward.steps, call.out.steps
    return run_blocks(backward_block, &task, task.g.n_blocks, task.g.per_block * task.g.n_classes, call.n_threads,
                      2 * tile_bytes(&task.g))


cdef void loss_task(const LossCall *call, LossTask *task) noexcept:
    default_loss_task(task)
    plan_blocks(&task.g, call.block.outer, call.block.n_classes, call.block.inner, call.block.kind, True)
    task.logits, task.targets, task.grad = call.logits.data, call.targets.data, call.grad.data
    task.logits_steps, task.grad_steps, task.targets_steps = call.logits.steps, call.grad.steps, call.targets.steps
    task.target_form, task.target_kind, task.losses = call.target_form, call.target_kind, call.losses
    task.weight, task.sample_weight = call.weight, call.sample_weight
    task.has_ignore, task.ignore_index = call.has_ignore, call.ignore_index
    task.smoothing, task.z_loss = call.smoothing, call.z_loss
    task.softcap, task.temperature = call.softcap, call.temperature
    set_scale(task, call.grad_scale, call.grad_scale_error)


cdef int call_inspect(const LossCall *call, TargetSummary *summary) except -1:
    cdef LossTask task
    cdef double error = 0
    cdef Py_ssize_t n = call.block.outer * call.block.inner
    cdef bint good = all_in_range(call.targets.data, call.target_form, n, call.block.n_classes, call.n_threads)
    summary.bad_row, summary.bad_value, summary.divisor, summary.divisor_error = -1, 0, <double>n, 0
    if good and not call.has_ignore and call.weight == NULL and call.sample_weight == NULL:
        return 0
    loss_task(call, &task)
    if not good:
        summary.bad_row = first_bad(&task)
    if summary.bad_row >= 0:
        summary.bad_value = read_index(task.targets, task.target_form, summary.bad_row)
    else:
        with nogil:
            summary.divisor = divisor_of(&task, &error)
        summary.divisor_error = error
    return 0


cdef void fill_base(real *base, const LossCall *call) noexcept nogil:
    """Write smoothing * weight / n_classes, rounded once, for each class: what label smoothing adds to every target."""
    cdef Py_ssize_t c
    cdef double weight, product, quotient, n = <double>call.block.n_classes
    for c in range(call.block.n_classes):
        weight = 1 if call.weight == NULL else call.weight[c]
        product = call.smoothing * weight
        quotient = product / n
        base[c] = <real>(quotient + (fma(-quotient, n, product) + fma(call.smoothing, weight, -product)) / n)


cdef int call_cross_entropy(const LossCall *call) except -1:
    cdef LossTask task
    cdef double few[64]
    cdef void *base = NULL
    loss_task(call, &task)
    if call.smoothing != 0 and task.target_form != PROBABILITIES:
        base = &few[0]
        if call.block.n_classes > 64:
            base = malloc(call.block.n_classes * sizeof(double))
            if base == NULL:
                raise MemoryError("cannot allocate the smoothed targets")
        if task.g.kind == KIND_F64:
            fill_base(<double *>base, call)
        else:
            fill_base(<float *>base, call)
        task.base = base
    try:
        return run_loss(&task, call.n_threads)
    finally:
        if base != &few[0]:
            free(base)


cdef int call_sigmoid(const SigmoidCall *call) except -1:
    cdef SigmoidTask task
    default_sigmoid_task(&task)
    task.x, task.out, task.kind = call.x.data, call.out.data, call.kind
    task.n, task.per_row = call.n_rows * call.n_columns, call.n_columns
    task.x_steps, task.out_steps = call.x.steps, call.out.steps
    return run_blocks(sigmoid_block, &task,
                      (task.n + BLOCK_ELEMENTS - 1) // BLOCK_ELEMENTS, BLOCK_ELEMENTS, call.n_threads,
                      sigmoid_scratch(task.kind))


cdef int call_binary(const BinaryCall *call) except -1:
    cdef BinaryTask task
    default_binary_task(&task)
    task.logits, task.targets, task.grad = call.logits.data, call.targets.data, call.grad.data
    task.logits_steps, task.targets_steps, task.grad_steps = call.logits.steps, call.targets.steps, call.grad.steps
    task.losses, task.rows, task.sums = call.losses, call.rows, call.sums
    task.weight, task.weight_kind, task.pos_weight = call.weight, call.weight_kind, call.pos_weight
    task.grad_scale = call.grad_scale
    task.n, task.n_labels = call.n_rows * call.n_labels, call.n_labels
    task.kind, task.target_kind = call.kind, call.target_kind
    return run_blocks(binary_block, &task,
                      (task.n + SUM_AT_ONCE - 1) // SUM_AT_ONCE, SUM_AT_ONCE, call.n_threads, binary_scratch())


cdef int call_divergence(const DivergenceCall *call) except -1:
    cdef DivergenceTask task
    default_divergence_task(&task)
    plan_blocks(&task.g, call.block.outer, call.block.n_classes, call.block.inner, call.block.kind, True)
    task.p, task.q, task.losses, task.divisor = call.p.data, call.q.data, call.losses, call.divisor
    task.grad_p, task.grad_q = call.grad_p.data, call.grad_q.data
    task.p_steps, task.q_steps = call.p.steps, call.q.steps
    task.grad_p_steps, task.grad_q_steps = call.grad_p.steps, call.grad_q.steps
    return run_divergence(&task, call.n_threads)


cdef int call_top_k(const TopKCall *call) except -1:
    cdef TopTask task
    default_top_task(&task)
    plan_blocks(&task.g, call.block.outer, call.block.n_classes, call.block.inner, call.block.kind, True)
    task.x, task.x_steps = call.x.data, call.x.steps
    task.values, task.indices, task.k = call.values, call.indices, call.k
    return run_top_k(&task, call.n_threads)


cdef KernelTable table
table.layout = CALL_LAYOUT
table.softmax, table.logsumexp, table.backward = call_softmax, call_logsumexp, call_backward
table.inspect_targets, table.cross_entropy = call_inspect, call_cross_entropy
table.find_bounds = call_find_bounds
table.sigmoid, table.binary, table.divergence, table.top_k = call_sigmoid, call_binary, call_divergence, call_top_k
table.sum = sum_in_two_parts

kernel_table = PyCapsule_New(&table, "fastsoftmax.kernels", NULL)


# A call from the arrays of the contract.

cdef inline void *data_or_null(array):
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray>array)


cdef inline Kind kind_of_array(cnp.ndarray x):
    cdef int number = cnp.PyArray_TYPE(x)
    return (KIND_F32 if number == cnp.NPY_FLOAT else KIND_F64 if number == cnp.NPY_DOUBLE
            else KIND_F16 if number == NPY_HALF else KIND_BF16)


cdef inline Block block_of(cnp.ndarray x):
    """Return the sizes of a block (outer, n_classes, inner), or of groups of such blocks."""
    cdef Block block
    cdef cnp.npy_intp *shape = cnp.PyArray_DIMS(x)
    cdef bint has_groups = cnp.PyArray_NDIM(x) == 4
    block.kind, block.outer = kind_of_array(x), shape[0] * shape[1] if has_groups else shape[0]
    block.n_classes, block.inner = shape[1 + has_groups], shape[2 + has_groups]
    return block


cdef inline Operand operand_of(array):
    """Return where the values of a block lie; of None, nothing."""
    cdef Operand operand
    cdef Py_ssize_t size
    cdef cnp.npy_intp *strides
    clear_operand(&operand)
    if array is None:
        return operand
    operand.data = cnp.PyArray_DATA(<cnp.ndarray>array)
    size, strides = cnp.PyArray_ITEMSIZE(<cnp.ndarray>array), cnp.PyArray_STRIDES(<cnp.ndarray>array)
    if cnp.PyArray_NDIM(<cnp.ndarray>array) == 4:
        operand.steps.per_group, operand.steps.group = cnp.PyArray_DIM(<cnp.ndarray>array, 1), strides[0] // size
        strides += 1
    operand.steps.outer, operand.steps.classes = strides[0] // size, strides[1] // size
    return operand


cdef SoftmaxCall softmax_call(x, out, where, double temperature, bint log, int n_threads):
    cdef SoftmaxCall call
    default_softmax_call(&call)
    call.block, call.x, call.out, call.where = block_of(x), operand_of(x), operand_of(out), operand_of(where)
    call.temperature, call.log, call.n_threads = temperature, log, n_threads
    return call


def softmax(x, out, where, double temperature, int n_threads):
    """Write softmax(x / temperature) to out."""
    cdef SoftmaxCall call = softmax_call(x, out, where, temperature, False, n_threads)
    call_softmax(&call)


def log_softmax(x, out, where, double temperature, int n_threads):
    """Write log(softmax(x / temperature)) to out."""
    cdef SoftmaxCall call = softmax_call(x, out, where, temperature, True, n_threads)
    call_softmax(&call)


def logsumexp(x, cnp.ndarray out, where, int n_threads):
    """Write log(sum(exp(x))) to out, which is float32 for 16-bit x."""
    cdef SoftmaxCall call = softmax_call(x, None, where, 1.0, True, n_threads)
    call.out.data = cnp.PyArray_DATA(out)
    call_logsumexp(&call)


cdef int start_backward(grad, forward, out, bint log, int n_threads) except -1:
    cdef BackwardCall call
    default_backward_call(&call)
    call.block, call.grad = block_of(forward), operand_of(grad)
    call.forward, call.out, call.log, call.n_threads = operand_of(forward), operand_of(out), log, n_threads
    return call_backward(&call)


def softmax_backward(grad, probs, out, int n_threads):
    """Write probs * (grad - sum(grad * probs)) to out."""
    start_backward(grad, probs, out, False, n_threads)


def log_softmax_backward(grad, log_probs, out, int n_threads):
    """Write grad - exp(log_probs) * sum(grad) to out."""
    start_backward(grad, log_probs, out, True, n_threads)


cdef LossCall loss_call(cnp.ndarray targets, options, int n_threads):
    """Fill what inspect_targets and cross_entropy share; the options' arrays outlive the call."""
    cdef LossCall call
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(targets)
    default_loss_call(&call)
    call.targets.data, call.n_threads = cnp.PyArray_DATA(targets), n_threads
    if cnp.PyArray_ISINTEGER(targets):
        call.target_form = INDEX_INT64 if size == 8 else INDEX_INT32 if size == 4 else INDEX_UINT8
    else:
        call.targets, call.target_form, call.target_kind = operand_of(targets), PROBABILITIES, kind_of_array(targets)
    call.weight = <double *>data_or_null(options.weight)
    call.sample_weight = <double *>data_or_null(options.sample_weight)
    if options.ignore_index is not None and -2**63 <= options.ignore_index < 2**63:
        call.has_ignore, call.ignore_index = True, options.ignore_index     # no target can equal another
    call.smoothing, call.z_loss = options.label_smoothing, options.z_loss
    call.softcap, call.temperature = options.softcap, options.temperature
    call.grad_scale, call.grad_scale_error = options.grad_scale, options.grad_scale_error
    return call


def inspect_targets(cnp.ndarray targets, Py_ssize_t n_classes, options, int n_threads):
    """Return (first bad row or -1, its value, divisor of the mean in two parts)."""
    cdef LossCall call = loss_call(targets, options, n_threads)
    cdef TargetSummary summary
    call.block.kind, call.block.outer, call.block.n_classes, call.block.inner = KIND_F32, targets.size, n_classes, 1
    call_inspect(&call, &summary)
    return summary.bad_row, summary.bad_value, summary.divisor, summary.divisor_error


def cross_entropy(logits, cnp.ndarray targets, cnp.ndarray losses, grad, options, int n_threads):
    """Write the loss of each row to losses, and the gradient to grad unless that is None."""
    cdef LossCall call = loss_call(targets, options, n_threads)
    call.block, call.logits, call.grad = block_of(logits), operand_of(logits), operand_of(grad)
    call.losses = <double *>cnp.PyArray_DATA(losses)
    call_cross_entropy(&call)


def sigmoid(cnp.ndarray x, out, int n_threads):
    """Write 1 / (1 + exp(-x)) to out, element by element."""
    cdef SigmoidCall call
    cdef Block block = block_of(x)
    default_sigmoid_call(&call)
    call.kind, call.n_rows, call.n_columns = block.kind, block.outer, block.n_classes
    call.x, call.out, call.n_threads = operand_of(x), operand_of(out), n_threads
    call_sigmoid(&call)


def binary_cross_entropy(logits, targets, cnp.ndarray losses, grad, weight, pos_weight, double grad_scale,
                         int n_threads):
    """Write the loss of each logit to losses, and the gradient to grad unless that is None."""
    cdef BinaryCall call
    cdef Block block = block_of(logits)
    default_binary_call(&call)
    call.kind, call.target_kind = block.kind, kind_of_array(targets)
    call.n_rows, call.n_labels = block.outer, block.n_classes
    call.logits, call.targets, call.grad = operand_of(logits), operand_of(targets), operand_of(grad)
    call.losses, call.grad_scale, call.n_threads = <double *>cnp.PyArray_DATA(losses), grad_scale, n_threads
    call.weight, call.weight_kind, call.pos_weight = data_or_null(weight), KIND_F64, <double *>data_or_null(pos_weight)
    call_binary(&call)


cdef int start_divergence(p, q, cnp.ndarray losses, grad_p, grad_q, double divisor, int n_threads) except -1:
    cdef DivergenceCall call
    default_divergence_call(&call)
    call.block, call.p, call.q = block_of(p), operand_of(p), operand_of(q)
    call.grad_p, call.grad_q = operand_of(grad_p), operand_of(grad_q)
    call.losses, call.divisor, call.n_threads = <double *>cnp.PyArray_DATA(losses), divisor, n_threads
    return call_divergence(&call)


def entropy(logits, losses, grad, double divisor, int n_threads):
    """Write the entropy of each row to losses, and the gradient / divisor to grad unless that is None."""
    start_divergence(logits, None, losses, grad, None, divisor, n_threads)


def kl_div(p_logits, q_logits, losses, grad_p, grad_q, double divisor, int n_threads):
    """Write the divergence of each row to losses, and the gradients / divisor unless they are None."""
    start_divergence(p_logits, q_logits, losses, grad_p, grad_q, divisor, n_threads)


def top_k_softmax(x, cnp.ndarray values, cnp.ndarray indices, int n_threads):
    """Write the largest probabilities of each row to values and their classes to indices."""
    cdef TopKCall call
    default_top_k_call(&call)
    call.block, call.x, call.k, call.n_threads = block_of(x), operand_of(x), values.shape[1], n_threads
    call.values, call.indices = cnp.PyArray_DATA(values), <int64_t *>cnp.PyArray_DATA(indices)
    call_top_k(&call)
