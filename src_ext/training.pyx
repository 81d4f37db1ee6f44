"""Training of networks and linear models by batches, inference, and the loss of linear models over all rows.

Only `fastsoftmax.estimators` imports this module. The threads of the team allocate nothing: `Trainer` holds what a
training needs, all other functions make it before they start. The kernels and their story are in training/step.h
(training), training/product.h (the matrix product), training/loss.h (the losses).
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport PTRDIFF_MAX, int32_t, int64_t, uint8_t

import threading

import numpy as np

cimport numpy as cnp

cnp.import_array()

from fastsoftmax._ext import runtime as _runtime

include "training/job.pxi"

cdef runtime_functions *runtime = <runtime_functions *>PyCapsule_GetPointer(_runtime.table(), "fastsoftmax.runtime")

cdef enum:
    MAX_LAYERS = 64
    MOST_THREADS = 1 << 16  # only keeps the arithmetic of scratch sizes in range

include "training/checks.pxi"


def aligned_empty(shape, dtype):
    """Return an uninitialised array on a boundary of 64 bytes, the last axis rounded up to whole cache lines."""
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {dtype}")
    lane = 64 // dtype.itemsize
    *outer, last = shape
    shape = (*outer, -(-last // lane) * lane)
    cdef ptrdiff_t n_bytes = dtype.itemsize
    for n in shape:
        n_bytes *= n
    raw = _runtime.empty(n_bytes + 64, np.uint8)
    cdef ptrdiff_t start = -_runtime.address(raw) % 64
    return raw[start:start + n_bytes].view(dtype).reshape(shape)


cdef object aligned_bytes(ptrdiff_t n_bytes, void **start):
    """Return what owns uninitialised memory, and set where it lies on a boundary of 64 bytes."""
    cdef cnp.npy_intp size = n_bytes + 64
    cdef cnp.ndarray raw = cnp.PyArray_EMPTY(1, &size, cnp.NPY_UINT8, 0)
    cdef ptrdiff_t beyond = <ptrdiff_t>cnp.PyArray_DATA(raw) % 64
    start[0] = <char *>cnp.PyArray_DATA(raw) + (64 - beyond) % 64
    return raw


ROWS_A_BLOCK = ROW_BLOCK


def lane_count(bint is_double):
    """Return how many numbers one vector register holds."""
    return VECTOR_BYTES // (8 if is_double else 4)


cdef void acquire_threads(workers *w, int n_threads) noexcept nogil:
    """Ask for so many threads; another caller may have them."""
    w.runtime = runtime
    w.n_threads = runtime.acquire(n_threads) if n_threads > 1 else 1


cdef void release_threads(workers *w) noexcept nogil:
    if w.n_threads > 1:
        runtime.release()


cdef int source_kind(cnp.ndarray X) noexcept:
    cdef int kind = cnp.PyArray_TYPE(X)
    return SOURCE_UINT8 if kind == cnp.NPY_UINT8 else SOURCE_FLOAT32 if kind == cnp.NPY_FLOAT32 else SOURCE_FLOAT64


cdef int describe(data_rows *rows, cnp.ndarray X, double scale) except -1:
    """Describe a matrix whose rows are contiguous."""
    require_rows(X)
    rows.x = <const char *>cnp.PyArray_DATA(X)
    rows.stride = cnp.PyArray_STRIDE(X, 0)
    rows.n_features = cnp.PyArray_DIM(X, 1)
    rows.source = source_kind(X)
    rows.scale = scale
    return 0


cdef void *data_of(cnp.ndarray array):
    return NULL if array is None else cnp.PyArray_DATA(array)


cdef void set_targets(const int32_t **classes, const uint8_t **labels, cnp.ndarray targets, bint multi) noexcept:
    """Point at int32 classes, or at uint8 labels (n, n_outputs) where `multi`."""
    classes[0] = NULL
    labels[0] = NULL
    if multi:
        labels[0] = <const uint8_t *>data_of(targets)
    else:
        classes[0] = <const int32_t *>data_of(targets)


include "training/network.pxi"


def all_finite(array):
    """Whether every number of an array is finite."""
    cdef cnp.ndarray numbers
    cdef ptrdiff_t size
    cdef int kind, source
    cdef bint finite
    if cnp.PyArray_CheckExact(array):
        numbers = array
        kind = cnp.PyArray_TYPE(numbers)
        if ((kind == cnp.NPY_FLOAT32 or kind == cnp.NPY_FLOAT64) and cnp.PyArray_ISNOTSWAPPED(numbers)
                and cnp.PyArray_ISALIGNED(numbers)
                and (cnp.PyArray_IS_C_CONTIGUOUS(numbers) or cnp.PyArray_IS_F_CONTIGUOUS(numbers))):
            size, source = cnp.PyArray_SIZE(numbers), source_kind(numbers)
            with nogil:
                finite = row_is_finite_f32(<const char *>cnp.PyArray_DATA(numbers), source, size)
            return finite
    return bool(np.isfinite(array).all())


cdef cnp.ndarray whole_vectors(cnp.ndarray array, bint is_double, ptrdiff_t first=0):
    """Return a vector or matrix of REAL from row `first` on, with rows of whole vectors: as it is, or padded."""
    cdef int ndim = cnp.PyArray_NDIM(array)
    cdef ptrdiff_t size = 8 if is_double else 4
    cdef ptrdiff_t rows = cnp.PyArray_DIM(array, 0) if ndim == 2 else 1
    cdef ptrdiff_t columns = cnp.PyArray_DIM(array, ndim - 1)
    cdef ptrdiff_t width = (columns * size + VECTOR_BYTES - 1) // VECTOR_BYTES * (VECTOR_BYTES // size)
    cdef ptrdiff_t column_step = cnp.PyArray_STRIDE(array, ndim - 1) // size
    cdef ptrdiff_t row_step = cnp.PyArray_STRIDE(array, 0) // size
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray packed
    if width == columns and column_step == 1 and first == 0:
        return array
    shape[0], shape[1] = rows - first, width
    packed = cnp.PyArray_EMPTY(2, shape, cnp.PyArray_TYPE(array), 0)
    if is_double:
        pack_f64(<const double *>cnp.PyArray_DATA(array) + first * row_step, rows - first, columns, row_step,
                 column_step,
                 <double *>cnp.PyArray_DATA(packed), width)
    else:
        pack_f32(<const float *>cnp.PyArray_DATA(array) + first * row_step, rows - first, columns, row_step,
                 column_step,
                 <float *>cnp.PyArray_DATA(packed), width)
    return packed


def forward(cnp.ndarray X, double input_scale, list weights, list biases, cnp.ndarray out, int n_threads):
    """Write the logits of every row of X into `out`; return whether X was finite, and whether they are.

    Each matrix of `weights` is (n_in, n_out), each vector of `biases` (n_out,), with any strides.
    """
    cdef int finite = run_forward(X, input_scale, weights, biases, out, n_threads)
    return finite & ROWS_FINITE != 0, finite & LOGITS_FINITE != 0


def finite_logits(cnp.ndarray X, weights, biases, ptrdiff_t n_outputs, ptrdiff_t most_work):
    """Return the logits of every row of X, computed in this thread.

    None where X or they are not finite, and above `most_work` multiplications.
    """
    cdef list matrices = list(weights)
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray out, matrix
    cdef ptrdiff_t i, work = 0
    require_rows(X)
    require_between(n_outputs, "n_outputs", 1, PTRDIFF_MAX)
    for i in range(len(matrices)):
        matrix = array_in(matrices, i, "weights")
        work += cnp.PyArray_SIZE(matrix)
    shape[0], shape[1] = cnp.PyArray_DIM(X, 0), n_outputs
    if <double>work * shape[0] > most_work:
        return None
    out = cnp.PyArray_EMPTY(2, shape, real_kind(array_in(matrices, 0, "weights"), "weights"), 0)
    if run_forward(X, 1.0, matrices, list(biases), out, 1) == ROWS_FINITE | LOGITS_FINITE:
        return out
    return None


cdef int run_forward(cnp.ndarray X, double input_scale, list weights, list biases, cnp.ndarray out,
                     int n_threads) except -1:
    """Do what `forward` does; return what was finite."""
    cdef network_job job
    cdef workers w
    cdef ptrdiff_t sizes[MAX_LAYERS]
    cdef ptrdiff_t widths[MAX_LAYERS]
    cdef ptrdiff_t lds[MAX_LAYERS]
    cdef const void *weight_data[MAX_LAYERS]
    cdef const void *bias_data[MAX_LAYERS]
    cdef const void *end_data[MAX_LAYERS]
    cdef ptrdiff_t n_ends[MAX_LAYERS]
    cdef ptrdiff_t i, size, step, n_layers = len(weights)
    cdef cnp.ndarray matrix, bias, end
    cdef int finite, kind = real_kind(out, "out")
    cdef bint is_double = kind == cnp.NPY_FLOAT64
    cdef ptrdiff_t real = 8 if is_double else 4, depth
    cdef list kept = []
    require_between(n_layers, "the number of layers", 1, MAX_LAYERS)
    require_between(len(biases), "the number of biases", n_layers, n_layers)
    require_between(n_threads, "n_threads", 1, MOST_THREADS)
    describe(&job.data, X, input_scale)
    depth = job.data.n_features
    for i in range(n_layers):
        matrix, bias = array_in(weights, i, "weights"), array_in(biases, i, "biases")
        require_memory(matrix, "weights", kind, 2, False)
        require_memory(bias, "biases", kind, 1, False)
        sizes[i] = cnp.PyArray_DIM(matrix, 1)
        require_between(cnp.PyArray_DIM(matrix, 0), "rows of a layer's weights", depth, depth)
        require_between(cnp.PyArray_DIM(bias, 0), "size of a layer's biases", sizes[i], sizes[i])
        depth = sizes[i]
    require_matrix(out, "out", kind, X.shape[0], depth, True)
    job.n_rows, job.n_layers, job.n_outputs, job.widest = X.shape[0], n_layers, depth, 0
    for i in range(n_layers):
        matrix, bias = weights[i], whole_vectors(biases[i], is_double)
        widths[i] = (sizes[i] * real + VECTOR_BYTES - 1) // VECTOR_BYTES * (VECTOR_BYTES // real)
        n_ends[i] = 0
        if (job.n_rows == 1 and cnp.PyArray_STRIDE(matrix, 1) == real
                and cnp.PyArray_STRIDE(matrix, 0) >= real * sizes[i]):
            step = cnp.PyArray_STRIDE(matrix, 0) // real
            depth = cnp.PyArray_DIM(matrix, 0)
            n_ends[i] = min(depth, (widths[i] - sizes[i] + step - 1) // step)
            if n_ends[i]:
                end = whole_vectors(matrix, is_double, depth - n_ends[i])
                end_data[i] = data_of(end)
                kept.append(end)
        else:
            matrix = whole_vectors(matrix, is_double)
        lds[i] = cnp.PyArray_STRIDE(matrix, 0) // real
        job.widest = max(job.widest, widths[i])
        weight_data[i], bias_data[i] = data_of(matrix), data_of(bias)
        if n_ends[i] == 0:
            end_data[i] = weight_data[i]
        kept += [matrix, bias]
    job.sizes, job.widths, job.lds = sizes, widths, lds
    job.weights, job.biases, job.out = weight_data, bias_data, data_of(out)
    job.ends, job.n_ends = end_data, n_ends
    n_threads = min(n_threads, max(1, X.shape[0] // ROW_BLOCK))
    size = min(ROW_BLOCK, job.n_rows) * (job.data.n_features + 2 * job.widest)
    job.scratch_size = (size + 64 // real - 1) // (64 // real) * (64 // real)
    kept.append(aligned_bytes(n_threads * job.scratch_size * real, &job.scratch))
    with nogil:
        acquire_threads(&w, n_threads)
        if is_double:
            finite = forward_f64(&job, &w)
        else:
            finite = forward_f32(&job, &w)
        release_threads(&w)
    return finite


def linear_loss_gradient(cnp.ndarray X, double input_scale, cnp.ndarray targets, cnp.ndarray sample_weights,
                         double smoothing, cnp.ndarray weights, cnp.ndarray gradients, cnp.ndarray tallies,
                         cnp.ndarray total, bint multi, ptrdiff_t first, ptrdiff_t count, int n_threads):
    """Add the losses of a linear model over rows of X to `tallies`, and their gradient to `gradients`.

    The rows form n_groups groups; this call takes `count` of each (whole blocks of ROWS_A_BLOCK), from its row
    `first` on. The call with first = 0 starts anew; the last one gets `total`, where the groups' gradients are summed.

    `weights` is (n_outputs, width): the features, padded to whole vectors with zeros, then the bias; what follows is
    not read. `gradients` is scratch of shape (n_groups, n_outputs, width), `tallies` (n_groups, 3) of loss, weight,
    correct weight; `total` is (n_outputs, width) of double, or None.
    """
    cdef linear_job job
    cdef workers w
    cdef int kind = real_kind(weights, "weights")
    cdef bint is_double = kind == cnp.NPY_FLOAT64
    cdef cnp.ndarray scratch
    cdef ptrdiff_t size, depth, group, start, end, lane = lane_count(is_double)
    describe(&job.data, X, input_scale)
    depth = (job.data.n_features + lane - 1) // lane * lane
    require_memory(weights, "weights", kind, 2, False)
    require_memory(gradients, "gradients", kind, 3, True)
    job.n_rows, job.n_groups = X.shape[0], gradients.shape[0]
    job.n_outputs, job.width = weights.shape[0], weights.shape[1]
    require_between(job.n_groups, "the number of groups", 1, PTRDIFF_MAX)
    require_between(job.n_outputs, "the number of outputs", 1, PTRDIFF_MAX)
    require_between(job.width, "columns of weights", depth + 1, PTRDIFF_MAX)
    require_between(first, "first", 0, PTRDIFF_MAX // 2)
    require_between(count, "count", 1, PTRDIFF_MAX)
    require_between(n_threads, "n_threads", 1, MOST_THREADS)
    require_matrix(weights, "weights", kind, job.n_outputs, job.width, False)
    require_cube(gradients, "gradients", kind, job.n_groups, job.n_outputs, job.width, True)
    require_matrix(tallies, "tallies", cnp.NPY_FLOAT64, job.n_groups, 3, True)
    if total is not None:
        require_matrix(total, "total", cnp.NPY_FLOAT64, job.n_outputs, job.width, True)
    if sample_weights is not None:
        require_vector(sample_weights, "sample_weights", cnp.NPY_FLOAT64, job.n_rows, False)
    require_targets(targets, job.n_rows, job.n_outputs, multi)
    set_targets(&job.targets, &job.labels, targets, multi)
    job.sample_weights, job.smoothing = <const double *>data_of(sample_weights), smoothing
    job.weights, job.gradients = data_of(weights), data_of(gradients)
    job.first, job.count = first, count
    for group in range(0 if multi else job.n_groups):
        start = job.n_rows * group // job.n_groups + first
        end = job.n_rows * (group + 1) // job.n_groups
        if start < end:
            require_classes(job.targets, start, min(end, start + min(count, end - start)), job.n_outputs)
    n_threads = min(n_threads, job.n_groups)
    size = ROW_BLOCK * (job.width + job.n_outputs + 4)
    scratch = aligned_empty((n_threads, size), weights.dtype)
    job.scratch, job.scratch_size = data_of(scratch), scratch.shape[1]
    job.tallies, job.total = <loss_tally *>data_of(tallies), <double *>data_of(total)
    with nogil:
        acquire_threads(&w, n_threads)
        if is_double:
            linear_loss_gradient_f64(&job, &w)
        else:
            linear_loss_gradient_f32(&job, &w)
        release_threads(&w)
