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
from libc.math cimport fma, isinf, isnan
from libc.string cimport memcpy
from libc.stdint cimport INT64_MAX, int8_t, int16_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cimport numpy as cnp

cnp.import_array()

include "calls.pxi"
include "runtime/blocks.pxi"

cdef extern from "runtime/state.h":
    int SMALLEST_RESULT_BYTES

cdef enum:
    STACK_ROWS = 256            # their losses fit the stack

cdef inline Py_ssize_t abs(Py_ssize_t value) noexcept nogil:
    return value if value >= 0 else -value


include "fast_path/arrays.pxi"
include "fast_path/options.pxi"
include "fast_path/sums.pxi"
include "fast_path/scalars.pxi"


cdef extern from *:
    """
    /* Of the chosen back end; NULL where it has none. A call reads it once: another thread may choose meanwhile. */
    static const KernelTable *_Atomic chosen_kernels;
    """
    const KernelTable *chosen_kernels

cdef dict general = {}                      # the Python function behind each public name
cdef int MAX_THREADS = 256                  # set once, while the package is imported
cdef object ABSENT = object()


cdef refuse_dim(str name):
    """Let the general path say what PyTorch's name of an argument is here."""
    general[name](dim=None)


def use_kernels(table, int max_threads):
    """Call these kernels from now on: the `kernel_table` of a back end, or None for the general path alone."""
    global chosen_kernels, MAX_THREADS
    cdef const KernelTable *found = NULL
    if table is not None:
        found = <const KernelTable *>PyCapsule_GetPointer(table, "fastsoftmax.kernels")
        if found.layout != CALL_LAYOUT:
            raise ImportError("the compiled modules of fastsoftmax were built from different sources; "
                              "build all of them again")
    if max_threads != MAX_THREADS:
        MAX_THREADS = max_threads
    chosen_kernels = found


def with_fast_path(function):
    """Decorate a public function: return its compiled twin, which passes for it in name, text and signature."""
    general[function.__name__] = function
    return functools.update_wrapper(globals()[function.__name__], function)


# softmax, log_softmax, logsumexp.

cdef normalise(x, axis, out, where, temperature, n_threads, bint log):
    cdef const KernelTable *kernels = chosen_kernels
    cdef SoftmaxCall call
    cdef Layout layout
    cdef int n = 1
    default_softmax_call(&call)
    if kernels == NULL or not plan_call(&layout, x, axis, &call.x):
        return None
    if not read_positive(temperature, &call.temperature) or not read_threads(n_threads, layout.size, &n):
        return None
    if where is not None and not place_mask(&layout, where, out, &call.where):
        return None
    if out is None:
        out = new_result(&layout, dtype_of(<cnp.ndarray>x))
        set_dense(&call.out, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
    elif not place_out(&layout, out, <cnp.ndarray>x, &call.out):
        return None
    call.block, call.log, call.n_threads = layout.block, log, n
    kernels.softmax(&call)
    return out


def softmax(x, axis=-1, *, out=None, where=None, temperature=1.0, n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("softmax")
    result = normalise(x, axis, out, where, temperature, n_threads, False)
    if result is not None:
        return result
    return general["softmax"](x, axis, out=out, where=where, temperature=temperature, n_threads=n_threads)


def log_softmax(x, axis=-1, *, out=None, where=None, temperature=1.0, n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("log_softmax")
    result = normalise(x, axis, out, where, temperature, n_threads, True)
    if result is not None:
        return result
    return general["log_softmax"](x, axis, out=out, where=where, temperature=temperature, n_threads=n_threads)


cdef reduce_rows(x, axis, keepdims, out, where, n_threads):
    cdef const KernelTable *kernels = chosen_kernels
    cdef SoftmaxCall call
    cdef Layout layout
    cdef int n = 1
    cdef bint is_narrow
    default_softmax_call(&call)
    if kernels == NULL or (keepdims is not True and keepdims is not False):
        return None
    if not plan_call(&layout, x, axis, &call.x):
        return None
    if not read_threads(n_threads, layout.size, &n):
        return None
    if where is not None and not place_mask(&layout, where, out, &call.where):
        return None
    is_narrow, dtype = layout.block.kind > KIND_F64, dtype_of(<cnp.ndarray>x)
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
    set_dense(&call.out, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>rows))
    call.block, call.log, call.n_threads = layout.block, True, n
    kernels.logsumexp(&call)
    if out is not None:
        return out
    if is_narrow:
        rows = rows.astype(dtype)
    return rows[()] if cnp.PyArray_NDIM(<cnp.ndarray>rows) == 0 else rows


def logsumexp(x, axis=-1, *, keepdims=False, out=None, where=None, n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("logsumexp")
    result = reduce_rows(x, axis, keepdims, out, where, n_threads)
    if result is not None:
        return result
    return general["logsumexp"](x, axis, keepdims=keepdims, out=out, where=where, n_threads=n_threads)


# Their gradients.

cdef backward(grad, forward, axis, out, n_threads, bint log):
    cdef const KernelTable *kernels = chosen_kernels
    cdef BackwardCall call
    cdef Layout layout
    cdef Operand placed
    cdef int n = 1
    default_backward_call(&call)
    if kernels == NULL or not plan_call(&layout, forward, axis, &call.forward):
        return None
    if not (is_array(grad) and cnp.PyArray_TYPE(<cnp.ndarray>grad) == cnp.PyArray_TYPE(<cnp.ndarray>forward)
            and has_shape(&layout, <cnp.ndarray>grad) and place_array(&layout, <cnp.ndarray>grad, &call.grad)):
        return None
    if not read_threads(n_threads, layout.size, &n):
        return None
    if out is None:
        out = new_result(&layout, dtype_of(<cnp.ndarray>forward))
        set_dense(&call.out, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
    elif not (place_out(&layout, out, <cnp.ndarray>forward, &call.out)
              and place_out(&layout, out, <cnp.ndarray>grad, &placed)):
        return None
    call.block, call.log, call.n_threads = layout.block, log, n
    kernels.backward(&call)
    return out


def softmax_backward(grad, probs, axis=-1, *, out=None, n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("softmax_backward")
    result = backward(grad, probs, axis, out, n_threads, False)
    if result is not None:
        return result
    return general["softmax_backward"](grad, probs, axis, out=out, n_threads=n_threads)


def log_softmax_backward(grad, log_probs, axis=-1, *, out=None, n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("log_softmax_backward")
    result = backward(grad, log_probs, axis, out, n_threads, True)
    if result is not None:
        return result
    return general["log_softmax_backward"](grad, log_probs, axis, out=out, n_threads=n_threads)


# The largest probabilities.

cdef top_k(x, k, axis, n_threads):
    cdef const KernelTable *kernels = chosen_kernels
    cdef TopKCall call
    cdef Layout layout
    cdef int overflow = 0
    default_top_k_call(&call)
    if kernels == NULL or not plan_call(&layout, x, axis, &call.x) or type(k) is not int:
        return None
    call.k = PyLong_AsLongAndOverflow(k, &overflow)
    if overflow or not 1 <= call.k <= layout.block.n_classes:
        return None
    if not read_threads(n_threads, layout.size, &call.n_threads):
        return None
    call.block = layout.block
    layout.shape[layout.axis] = call.k
    layout.size = n_rows_of(&layout) * call.k
    values = new_result(&layout, dtype_of(<cnp.ndarray>x))
    indices = new_result(&layout, PyArray_DescrFromType(NPY_INT64))
    call.values = cnp.PyArray_DATA(<cnp.ndarray>values)
    call.indices = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>indices)
    kernels.top_k(&call)
    return values, indices


def top_k_softmax(x, k, axis=-1, *, n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("top_k_softmax")
    result = top_k(x, k, axis, n_threads)
    if result is not None:
        return result
    return general["top_k_softmax"](x, k, axis, n_threads=n_threads)


include "fast_path/losses.pxi"
include "fast_path/binary.pxi"
include "fast_path/divergences.pxi"
