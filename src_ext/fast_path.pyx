"""The fast path: the public functions that have kernels, compiled.

A small call costs what Python spends on it: its checks alone take ten times as long as the kernel. So each of these
functions has the signature of the Python function that it stands before, reads its arguments in C, and calls the
kernel. What it does not serve (lists, conversions, layouts that must be copied, options of unusual size) and what is
wrong it leaves to that function, the general path, which raises the errors: nothing has been written then. Both give
the same bits.
"""

import functools

from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF, PyObject
from libc.math cimport INFINITY, fma, isfinite, isinf
from libc.string cimport memcpy
from libc.stdint cimport INT64_MAX, int8_t, int16_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cimport numpy as cnp

cnp.import_array()

include "calls.pxi"
include "runtime/blocks.pxi"

cdef extern from "runtime/state.h":
    int POOLED_BYTES

cdef enum:
    STACK_ROWS = 256            # their losses fit the stack

cdef inline Py_ssize_t abs(Py_ssize_t value) noexcept nogil:
    return value if value >= 0 else -value


include "fast_path/arrays.pxi"
include "fast_path/options.pxi"
include "fast_path/sums.pxi"
include "fast_path/scalars.pxi"


cdef KernelTable *kernels = NULL      # of the chosen back end; NULL where it has none
cdef dict general = {}                      # the Python function behind each public name
cdef int MAX_THREADS = 256


def use_kernels(table, int max_threads):
    """Call these kernels from now on: the `kernel_table` of a back end, or None for the general path alone."""
    global kernels, MAX_THREADS
    cdef KernelTable *found = NULL
    if table is not None:
        found = <KernelTable *>PyCapsule_GetPointer(table, "fastsoftmax.kernels")
        if found.layout != CALL_LAYOUT:
            raise ImportError("the compiled modules of fastsoftmax were built from different sources; build all of them again")
    kernels, MAX_THREADS = found, max_threads


def with_fast_path(function):
    """Decorate a public function: return its compiled twin, which passes for it in name, text and signature."""
    general[function.__name__] = function
    return functools.update_wrapper(globals()[function.__name__], function)


# softmax, log_softmax, logsumexp.

cdef normalise(x, axis, out, where, temperature, n_threads, bint log):
    cdef SoftmaxCall call = default_softmax_call()
    cdef Layout layout
    cdef int n = 1
    if kernels == NULL or not plan_call(&layout, x, axis, &call.x):
        return None
    if not read_positive(temperature, &call.temperature) or not read_threads(n_threads, layout.size, &n):
        return None
    if where is not None and not place_mask(&layout, where, out, &call.where):
        return None
    if out is None:
        out = new_result(&layout, dtype_of(<cnp.ndarray>x))
        call.out = dense_operand(&layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
    elif not place_out(&layout, out, <cnp.ndarray>x, &call.out):
        return None
    call.block, call.log, call.n_threads = layout.block, log, n
    kernels.softmax(&call)
    return out


def softmax(x, axis=-1, *, out=None, where=None, temperature=1.0, n_threads=None):
    result = normalise(x, axis, out, where, temperature, n_threads, False)
    if result is not None:
        return result
    return general["softmax"](x, axis, out=out, where=where, temperature=temperature, n_threads=n_threads)


def log_softmax(x, axis=-1, *, out=None, where=None, temperature=1.0, n_threads=None):
    result = normalise(x, axis, out, where, temperature, n_threads, True)
    if result is not None:
        return result
    return general["log_softmax"](x, axis, out=out, where=where, temperature=temperature, n_threads=n_threads)


cdef reduce_rows(x, axis, keepdims, out, where, n_threads):
    cdef SoftmaxCall call = default_softmax_call()
    cdef Layout layout
    cdef int n = 1
    cdef bint is_narrow
    if kernels == NULL or (keepdims is not True and keepdims is not False):
        return None
    if not plan_call(&layout, x, axis, &call.x):
        return None
    if not read_threads(n_threads, layout.size, &n):
        return None
    if where is not None and not place_mask(&layout, where, out, &call.where):
        return None
    is_narrow = layout.block.kind > KIND_F64
    rows = new_rows(&layout, dtype_of_losses(&layout), keepdims)
    if out is not None and not (
            not is_narrow and is_array(out)
            and cnp.PyArray_TYPE(<cnp.ndarray>out) == cnp.PyArray_TYPE(<cnp.ndarray>rows)
            and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)
            and cnp.PyArray_SAMESHAPE(<cnp.ndarray>out, <cnp.ndarray>rows)
            and cnp.PyArray_CompareLists(cnp.PyArray_STRIDES(<cnp.ndarray>out), cnp.PyArray_STRIDES(<cnp.ndarray>rows),
                                         cnp.PyArray_NDIM(<cnp.ndarray>rows))
            and are_disjoint(<cnp.ndarray>out, <cnp.ndarray>x)):
        return None
    if out is not None:
        rows = out
    call.out = dense_operand(&layout.block, cnp.PyArray_DATA(<cnp.ndarray>rows))
    call.block, call.log, call.n_threads = layout.block, True, n
    kernels.logsumexp(&call)
    if out is not None:
        return out
    if is_narrow:
        rows = rows.astype((<cnp.ndarray>x).dtype)
    return rows[()] if cnp.PyArray_NDIM(<cnp.ndarray>rows) == 0 else rows


def logsumexp(x, axis=-1, *, keepdims=False, out=None, where=None, n_threads=None):
    result = reduce_rows(x, axis, keepdims, out, where, n_threads)
    if result is not None:
        return result
    return general["logsumexp"](x, axis, keepdims=keepdims, out=out, where=where, n_threads=n_threads)


# Their gradients.

cdef backward(grad, forward, axis, out, n_threads, bint log):
    cdef BackwardCall call = default_backward_call()
    cdef Layout layout
    cdef Operand placed
    cdef int n = 1
    if kernels == NULL or not plan_call(&layout, forward, axis, &call.forward):
        return None
    if not (is_array(grad) and cnp.PyArray_TYPE(<cnp.ndarray>grad) == cnp.PyArray_TYPE(<cnp.ndarray>forward)
            and has_shape(&layout, <cnp.ndarray>grad) and place_array(&layout, <cnp.ndarray>grad, &call.grad)):
        return None
    if not read_threads(n_threads, layout.size, &n):
        return None
    if out is None:
        out = new_result(&layout, dtype_of(<cnp.ndarray>forward))
        call.out = dense_operand(&layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
    elif not (place_out(&layout, out, <cnp.ndarray>forward, &call.out)
              and place_out(&layout, out, <cnp.ndarray>grad, &placed)):
        return None
    call.block, call.log, call.n_threads = layout.block, log, n
    kernels.backward(&call)
    return out


def softmax_backward(grad, probs, axis=-1, *, out=None, n_threads=None):
    result = backward(grad, probs, axis, out, n_threads, False)
    if result is not None:
        return result
    return general["softmax_backward"](grad, probs, axis, out=out, n_threads=n_threads)


def log_softmax_backward(grad, log_probs, axis=-1, *, out=None, n_threads=None):
    result = backward(grad, log_probs, axis, out, n_threads, True)
    if result is not None:
        return result
    return general["log_softmax_backward"](grad, log_probs, axis, out=out, n_threads=n_threads)


# Losses of rows.

cdef struct Losses:
    double *data
    double few[STACK_ROWS]


cdef int start_losses(Losses *losses, Py_ssize_t n) except -1:
    losses.data = &losses.few[0]
    if n > STACK_ROWS:
        losses.data = <double *>malloc(n * sizeof(double))
        if losses.data == NULL:
            raise MemoryError("cannot allocate the losses of the rows")
    return 0


cdef inline void free_losses(Losses *losses) noexcept:
    if losses.data != &losses.few[0]:
        free(losses.data)


cdef bint has_infinity(const double *x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint found = False
    for i in range(n):
        found |= isinf(x[i])
    return found


cdef finish_losses(Reduction reduction, double *losses, Py_ssize_t n, double divisor, bint is_double, rows,
                   bint declines_infinity):
    """Return the mean, the sum or, in the array `rows`, all losses; None for infinity that the general path mends."""
    cdef double value
    cdef Py_ssize_t i
    if reduction == NONE:
        if declines_infinity and has_infinity(losses, n):
            return None
        if is_double:
            memcpy(cnp.PyArray_DATA(<cnp.ndarray>rows), losses, n * sizeof(double))
        else:
            for i in range(n):
                (<float *>cnp.PyArray_DATA(<cnp.ndarray>rows))[i] = <float>losses[i]
        return rows
    value = sum_losses(losses, n) if reduction == SUM else mean_of(losses, n, divisor)
    if declines_infinity and isinf(value):
        return None
    return new_scalar(value, not is_double)


cdef struct LossMemory:
    Values targets, weight, sample_weight
    Losses losses


cdef inline void free_loss_memory(LossMemory *memory) noexcept:
    free(memory.targets.owned)
    free(memory.weight.owned)
    free(memory.sample_weight.owned)
    free_losses(&memory.losses)


cdef bint read_targets(const Layout *layout, targets, out, LossCall *call, LossMemory *memory) except -1:
    """Read class indices, or probabilities in the dtype of the logits or in the one that they are computed in."""
    cdef int kind
    if not is_array(targets) or not is_apart(out, targets):
        return False
    call.target_kind = layout.block.kind
    if cnp.PyArray_ISINTEGER(<cnp.ndarray>targets):
        if not read_indices(layout, <cnp.ndarray>targets, &call.target_form, &memory.targets):
            return False
        call.targets = dense_operand(&layout.block, memory.targets.data)
        return True
    kind = kind_of(<cnp.ndarray>targets)
    if kind < 0 or call.has_ignore or not has_shape(layout, <cnp.ndarray>targets):
        return False
    if kind != <int>layout.block.kind and not (kind == <int>KIND_F32 and layout.block.kind > KIND_F64):
        return False
    call.target_form, call.target_kind = PROBABILITIES, <Kind>kind
    return place_array(layout, <cnp.ndarray>targets, &call.targets)


cdef bint read_ignore_index(ignore_index, LossCall *call) except -1:
    cdef int overflow = 0
    call.has_ignore, call.ignore_index = False, 0
    if ignore_index is None:
        return True
    if type(ignore_index) is not int:
        return False
    call.ignore_index = PyLong_AsLongAndOverflow(ignore_index, &overflow)
    call.has_ignore = True
    return not overflow


cdef bint fits_kernels(const LossCall *call, Bounds row, Bounds target) noexcept nogil:
    """Whether the products of the options stay where kernels are exact."""
    cdef double scale = call.grad_scale / call.temperature
    if call.smoothing != 0:
        target.low *= min(1.0, call.smoothing / call.block.n_classes)
    return (is_within(row.low) and is_within(row.high) and is_within(target.low) and is_within(target.high)
            and is_within(row.low * target.low) and is_within(row.high * target.high)
            and is_within(row.low * scale) and is_within(row.low * min(1.0, target.low) * scale)
            and row.high * max(1.0, target.high + 4096 * call.z_loss) * scale <= LARGEST_SCALE)


cdef bint set_grad_scale(LossCall *call, double divisor, double error) noexcept nogil:
    """Set 1 / (divisor + error), in two parts; whether there is such a number."""
    if not 0 < divisor < LARGEST_COUNT:
        return False
    call.grad_scale = 1 / divisor
    call.grad_scale_error = fma(-call.grad_scale, divisor, 1) / divisor - call.grad_scale * (error / divisor)
    return True


cdef loss(logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap, temperature,
          reduction, n_threads, out, bint with_grad):
    """Return the loss, or the loss and its gradient; None for what the general path serves."""
    cdef LossCall call = default_loss_call()
    cdef Layout layout
    cdef LossMemory memory
    cdef TargetSummary summary
    cdef Reduction kind = MEAN
    cdef Bounds row_bounds = no_bounds(), class_bounds = no_bounds()
    cdef Py_ssize_t n_rows
    cdef bint is_in_place = False
    if kernels == NULL or not plan_call(&layout, logits, axis, &call.logits) or not read_reduction(reduction, &kind):
        return None
    n_rows = layout.size // layout.block.n_classes
    call.block = layout.block
    if not (read_factor(label_smoothing, &call.smoothing) and call.smoothing <= 1 and read_factor(z_loss, &call.z_loss)
            and read_positive(temperature, &call.temperature) and read_ignore_index(ignore_index, &call)
            and read_threads(n_threads, layout.size, &call.n_threads)
            and (softcap is None or read_positive(softcap, &call.softcap))):
        return None
    if with_grad and out is not None:
        if not place_out(&layout, out, <cnp.ndarray>logits, &call.grad):
            return None
        is_in_place = call.grad.data == call.logits.data
    memory.targets = memory.weight = memory.sample_weight = no_values()
    memory.losses.data = &memory.losses.few[0]
    try:
        if weight is not None:
            if not read_weights(weight, &layout, False, out, &memory.weight, &class_bounds):
                return None
            call.weight = <const double *>memory.weight.data
        if sample_weight is not None:
            if not read_weights(sample_weight, &layout, True, out, &memory.sample_weight, &row_bounds):
                return None
            call.sample_weight = <const double *>memory.sample_weight.data
        if not read_targets(&layout, targets, out, &call, &memory):
            return None
        summary.divisor, summary.divisor_error = n_rows, 0
        if call.target_form != PROBABILITIES:
            kernels.inspect_targets(&call, &summary)
            if summary.bad_row >= 0:
                return None
        elif sample_weight is not None and kind == MEAN:
            return None
        call.grad_scale, call.grad_scale_error = 1, 0
        if kind == MEAN and not set_grad_scale(&call, summary.divisor, summary.divisor_error):
            return None
        if not fits_kernels(&call, row_bounds, class_bounds):
            return None
        start_losses(&memory.losses, n_rows)
        call.losses = memory.losses.data
        rows = new_rows(&layout, dtype_of_losses(&layout), False) if kind == NONE else None
        if with_grad and out is None:
            out = new_result(&layout, dtype_of(<cnp.ndarray>logits))
            call.grad = dense_operand(&layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
        kernels.cross_entropy(&call)
        result = finish_losses(kind, call.losses, n_rows, summary.divisor, layout.block.kind == KIND_F64, rows,
                               layout.block.kind == KIND_F64 and not is_in_place)
        return None if result is None else (result, out) if with_grad else result
    finally:
        free_loss_memory(&memory)


def cross_entropy(logits, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None, label_smoothing=0.0,
                  z_loss=0.0, softcap=None, temperature=1.0, reduction="mean", n_threads=None):
    result = loss(logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap,
                  temperature, reduction, n_threads, None, False)
    if result is not None:
        return result
    return general["cross_entropy"](
        logits, targets, axis=axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
        label_smoothing=label_smoothing, z_loss=z_loss, softcap=softcap, temperature=temperature, reduction=reduction,
        n_threads=n_threads,
    )


def cross_entropy_with_grad(logits, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None,
                            label_smoothing=0.0, z_loss=0.0, softcap=None, temperature=1.0, reduction="mean",
                            n_threads=None, out=None):
    result = loss(logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap,
                  temperature, reduction, n_threads, out, True)
    if result is not None:
        return result
    return general["cross_entropy_with_grad"](
        logits, targets, axis=axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
        label_smoothing=label_smoothing, z_loss=z_loss, softcap=softcap, temperature=temperature, reduction=reduction,
        n_threads=n_threads, out=out,
    )


# Element by element.

cdef bint is_dense(const Layout *layout, const Operand *operand) noexcept nogil:
    cdef Steps dense = dense_steps(&layout.block)
    return operand.steps.outer == dense.outer and operand.steps.per_group == ONE_GROUP


cdef elementwise(x, out, n_threads):
    cdef SigmoidCall call = default_sigmoid_call()
    cdef Layout layout
    if kernels == NULL or not find_layout(&layout, x) or not read_threads(n_threads, layout.size, &call.n_threads):
        return None
    set_axis(&layout, layout.order[layout.ndim - 1])
    if not place_array(&layout, <cnp.ndarray>x, &call.x):
        return None
    if out is None:
        out = new_result(&layout, dtype_of(<cnp.ndarray>x))
        call.out = dense_operand(&layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
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
    bint *is_bad                # OUT: set where a label is not in [0, 1]


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
        task.is_bad[0] = True


cdef bint read_labels(const Layout *layout, targets, out, BinaryCall *call, Values *values) except -1:
    """Read binary targets as contiguous numbers in [0, 1] of the computing dtype."""
    cdef bint is_double = layout.block.kind == KIND_F64
    cdef Py_ssize_t n = layout.size
    cdef LabelTask task
    cdef bint is_bad = False
    cdef int kind
    if not (is_array(targets) and has_shape(layout, <cnp.ndarray>targets)
            and cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>targets)):
        return False
    if out is not None and not (are_disjoint(<cnp.ndarray>out, <cnp.ndarray>targets)):
        return False
    kind = kind_of(<cnp.ndarray>targets)
    call.target_kind = KIND_F64 if is_double else KIND_F32
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
    return not is_bad


cdef bint read_element_weights(weights, const Layout *layout, out, BinaryCall *call, Bounds *bounds) except -1:
    """Take float or double weights of every element, which lie side by side and apart from out."""
    if not (is_array(weights) and cnp.PyArray_TYPE(<cnp.ndarray>weights) in (NPY_DOUBLE, NPY_FLOAT)
            and is_apart(out, weights) and cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>weights)
            and has_shape(layout, <cnp.ndarray>weights)):
        return False
    call.weight = cnp.PyArray_DATA(<cnp.ndarray>weights)
    call.weight_kind = KIND_F64 if cnp.PyArray_TYPE(<cnp.ndarray>weights) == NPY_DOUBLE else KIND_F32
    return kernels.find_bounds(call.weight, call.weight_kind, layout.size, call.n_threads, bounds)


cdef binary_loss(logits, targets, weight, pos_weight, reduction, n_threads, out, bint with_grad):
    cdef BinaryCall call = default_binary_call()
    cdef Layout layout
    cdef LossMemory memory
    cdef Reduction kind = MEAN
    cdef Bounds all_bounds = no_bounds(), positive_bounds = no_bounds()
    cdef PartialSums partial
    cdef double low, high, total
    cdef bint is_in_place = False, is_double
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
    if with_grad and out is not None:
        if not place_out(&layout, out, <cnp.ndarray>logits, &call.grad):
            return None
        is_in_place = call.grad.data == call.logits.data
    memory.targets = memory.weight = memory.sample_weight = no_values()
    memory.losses.data, partial.sums, is_double = &memory.losses.few[0], &partial.few[0], call.kind == KIND_F64
    try:
        if weight is not None:
            if not read_element_weights(weight, &layout, out, &call, &all_bounds):
                return None
        if pos_weight is not None:
            if not read_weights(pos_weight, &layout, False, out, &memory.weight, &positive_bounds):
                return None
            call.pos_weight = <const double *>memory.weight.data
        if not read_labels(&layout, targets, out, &call, &memory.targets):
            return None
        call.targets = dense_operand(&layout.block, memory.targets.data)
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
            out = new_result(&layout, dtype_of(<cnp.ndarray>logits))
            call.grad = dense_operand(&layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
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


# Entropy and divergence.

cdef divergence(p, q, axis, reduction, n_threads, bint has_q, bint with_grad):
    cdef DivergenceCall call = default_divergence_call()
    cdef Layout layout
    cdef Losses losses
    cdef Reduction kind = MEAN
    cdef Py_ssize_t n_rows
    if kernels == NULL or not plan_call(&layout, p, axis, &call.p) or not read_reduction(reduction, &kind):
        return None
    if not read_threads(n_threads, layout.size * (2 if has_q else 1), &call.n_threads):
        return None
    if has_q and not (is_array(q) and cnp.PyArray_TYPE(<cnp.ndarray>q) == cnp.PyArray_TYPE(<cnp.ndarray>p)
                      and has_shape(&layout, <cnp.ndarray>q) and place_array(&layout, <cnp.ndarray>q, &call.q)):
        return None
    n_rows = layout.size // layout.block.n_classes
    call.block, call.divisor = layout.block, n_rows if kind == MEAN else 1
    grad_p = grad_q = None
    if with_grad:
        grad_p = new_result(&layout, dtype_of(<cnp.ndarray>p))
        call.grad_p = dense_operand(&layout.block, cnp.PyArray_DATA(<cnp.ndarray>grad_p))
    if with_grad and has_q:
        grad_q = new_result(&layout, dtype_of(<cnp.ndarray>p))
        call.grad_q = dense_operand(&layout.block, cnp.PyArray_DATA(<cnp.ndarray>grad_q))
    rows = new_rows(&layout, dtype_of_losses(&layout), False) if kind == NONE else None
    start_losses(&losses, n_rows)
    try:
        call.losses = losses.data
        kernels.divergence(&call)
        value = finish_losses(kind, losses.data, n_rows, n_rows, layout.block.kind == KIND_F64, rows, False)
    finally:
        free_losses(&losses)
    if not with_grad:
        return value
    return (value, grad_p, grad_q) if has_q else (value, grad_p)


def entropy_with_logits(logits, axis=-1, *, reduction="mean", n_threads=None):
    result = divergence(logits, None, axis, reduction, n_threads, False, False)
    if result is not None:
        return result
    return general["entropy_with_logits"](logits, axis, reduction=reduction, n_threads=n_threads)


def entropy_with_logits_with_grad(logits, axis=-1, *, reduction="mean", n_threads=None):
    result = divergence(logits, None, axis, reduction, n_threads, False, True)
    if result is not None:
        return result
    return general["entropy_with_logits_with_grad"](logits, axis, reduction=reduction, n_threads=n_threads)


def kl_div_with_logits(p_logits, q_logits, axis=-1, *, reduction="mean", n_threads=None):
    result = divergence(p_logits, q_logits, axis, reduction, n_threads, True, False)
    if result is not None:
        return result
    return general["kl_div_with_logits"](p_logits, q_logits, axis, reduction=reduction, n_threads=n_threads)


def kl_div_with_logits_with_grad(p_logits, q_logits, axis=-1, *, reduction="mean", n_threads=None):
    result = divergence(p_logits, q_logits, axis, reduction, n_threads, True, True)
    if result is not None:
        return result
    return general["kl_div_with_logits_with_grad"](p_logits, q_logits, axis, reduction=reduction, n_threads=n_threads)


# The largest probabilities.

cdef top_k(x, k, axis, n_threads):
    cdef TopKCall call = default_top_k_call()
    cdef Layout layout
    cdef int overflow = 0
    if kernels == NULL or not plan_call(&layout, x, axis, &call.x) or type(k) is not int:
        return None
    call.k = PyLong_AsLongAndOverflow(k, &overflow)
    if overflow or not 1 <= call.k <= layout.block.n_classes:
        return None
    if not read_threads(n_threads, layout.size, &call.n_threads):
        return None
    call.block = layout.block
    layout.shape[layout.axis] = call.k
    layout.size = layout.size // layout.block.n_classes * call.k
    values = new_result(&layout, dtype_of(<cnp.ndarray>x))
    indices = new_result(&layout, PyArray_DescrFromType(NPY_INT64))
    call.values = cnp.PyArray_DATA(<cnp.ndarray>values)
    call.indices = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>indices)
    kernels.top_k(&call)
    return values, indices


def top_k_softmax(x, k, axis=-1, *, n_threads=None):
    result = top_k(x, k, axis, n_threads)
    if result is not None:
        return result
    return general["top_k_softmax"](x, k, axis, n_threads=n_threads)
