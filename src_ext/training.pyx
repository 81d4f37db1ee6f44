"""The fused training step of one hidden ReLU layer, inference, and the loss of linear models.

Only `fastsoftmax.estimators` imports this module. It holds no state: every array, scratch included,
comes from there, so nothing is allocated inside a parallel region. The kernels and their story are in
training_step.h (training), training_product.h (the matrix product), training_loss.h (the losses).
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

cimport numpy as cnp

cnp.import_array()

from fastsoftmax._ext import runtime as _runtime

include "training_job.pxi"

cdef runtime_functions *runtime = <runtime_functions *>PyCapsule_GetPointer(_runtime.table(), "fastsoftmax.runtime")

cdef enum:
    MAX_LAYERS = 64


def aligned_empty(shape, dtype):
    """Return an uninitialised array on a boundary of 64 bytes, the last axis rounded up to whole cache lines."""
    dtype = np.dtype(dtype)
    lane = 64 // dtype.itemsize
    *outer, last = shape
    shape = (*outer, -(-last // lane) * lane)
    cdef ptrdiff_t n_bytes = dtype.itemsize
    for n in shape:
        n_bytes *= n
    raw = np.empty(n_bytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + n_bytes].view(dtype).reshape(shape)


ROWS_A_BLOCK = ROW_BLOCK


def tile_width(bint is_double):
    """Return how many hidden units one tile holds: two vectors of the instruction set."""
    return 2 * lane_count(is_double)


def lane_count(bint is_double):
    """Return how many numbers one vector register holds."""
    return VBYTES // (8 if is_double else 4)


def scratch_size(ptrdiff_t lanes, ptrdiff_t n_outputs, bint is_double):
    """Return how many numbers of scratch memory one thread of `train` needs."""
    cdef ptrdiff_t tile = 2 * lane_count(is_double)
    cdef ptrdiff_t block = max(n_outputs, FEATURE_BLOCK)
    cdef ptrdiff_t reals = n_outputs * lanes + 4 * lanes + 2 * lanes * tile + block * tile
    return reals + (SCRATCH_HEADER + 3 * lanes * 8) // (8 if is_double else 4)


cdef void acquire_threads(workers *w, int n_threads) noexcept nogil:
    """Ask for so many threads; another caller may have them."""
    w.runtime = runtime
    w.n_threads = runtime.acquire(n_threads) if n_threads > 1 else 1


cdef void release_threads(workers *w) noexcept nogil:
    if w.n_threads > 1:
        runtime.release()


cdef int source_kind(cnp.ndarray X) except -1:
    kinds = {"|u1": SOURCE_UINT8, "<f4": SOURCE_FLOAT32, "<f8": SOURCE_FLOAT64}
    return kinds[X.dtype.str]


cdef void describe(data_rows *rows, cnp.ndarray X, double scale) except *:
    """Describe a matrix whose rows are contiguous."""
    rows.x = <const char *>cnp.PyArray_DATA(X)
    rows.stride = cnp.PyArray_STRIDE(X, 0)
    rows.n_features = cnp.PyArray_DIM(X, 1)
    rows.source = source_kind(X)
    rows.scale = scale


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


def train(cnp.ndarray X, double input_scale, cnp.ndarray targets, cnp.ndarray weights, cnp.ndarray order,
          ptrdiff_t batch_size, dict state, dict work, dict rule, bint multi, int n_threads):
    """Train on the rows `order` of X, batch after batch; return (loss sum, weight sum, correct weight).

    `state` holds parameters and moments in the layout of training_job.h, `work` the scratch memory, `rule` the
    numbers of the optimiser. Targets are int32 classes, or uint8 labels (n, n_outputs) where `multi`.
    """
    cdef training_job job
    cdef workers w
    cdef bint is_double = state["w1"].dtype.itemsize == 8
    describe(&job.data, X, input_scale)
    job.loss = LOSS_LOGISTIC if multi else LOSS_SOFTMAX
    job.solver = SOLVER_SGD if rule["solver"] == "sgd" else SOLVER_ADAM
    set_targets(&job.targets, &job.labels, targets, multi)
    job.weights = <const double *>data_of(weights)
    job.order = <const int64_t *>data_of(order)
    job.n_rows = order.shape[0]
    job.batch_size = batch_size
    job.n_tiles, job.n_outputs = state["w2"].shape[0], state["w2"].shape[1]
    job.ldx, job.lanes, job.scratch_size = work["ldx"], work["lanes"], work["scratch"].shape[1]
    job.w1, job.m1, job.v1 = data_of(state["w1"]), data_of(state["m1"]), data_of(state["v1"])
    job.b1, job.mb1, job.vb1 = data_of(state["b1"]), data_of(state["mb1"]), data_of(state["vb1"])
    job.w2, job.m2, job.v2 = data_of(state["w2"]), data_of(state["m2"]), data_of(state["v2"])
    job.b2, job.mb2, job.vb2 = data_of(state["b2"]), data_of(state["mb2"]), data_of(state["vb2"])
    job.learning_rate, job.decay, job.smoothing = rule["learning_rate"], rule["decay"], rule["label_smoothing"]
    job.beta_1, job.beta_2, job.epsilon = rule["beta_1"], rule["beta_2"], rule["epsilon"]
    job.momentum, job.step = rule["momentum"], rule["step"]
    job.batches, job.hidden = data_of(work["batches"]), data_of(work["hidden"])
    job.shares, job.scratch = data_of(work["shares"]), data_of(work["scratch"])
    with nogil:
        acquire_threads(&w, n_threads)
        if is_double:
            train_f64(&job, &w)
        else:
            train_f32(&job, &w)
        release_threads(&w)
    return job.tally.loss, job.tally.weight, job.tally.correct


cdef cnp.ndarray whole_vectors(cnp.ndarray array, bint is_double):
    """Return a vector or matrix of REAL with rows of whole vectors: as it is, or a padded copy."""
    cdef int ndim = cnp.PyArray_NDIM(array)
    cdef ptrdiff_t size = 8 if is_double else 4
    cdef ptrdiff_t rows = cnp.PyArray_DIM(array, 0) if ndim == 2 else 1
    cdef ptrdiff_t columns = cnp.PyArray_DIM(array, ndim - 1)
    cdef ptrdiff_t width = (columns * size + VBYTES - 1) // VBYTES * (VBYTES // size)
    cdef ptrdiff_t column_step = cnp.PyArray_STRIDE(array, ndim - 1) // size
    cdef ptrdiff_t row_step = cnp.PyArray_STRIDE(array, 0) // size
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray packed
    if cnp.PyArray_TYPE(array) != <int>(cnp.NPY_FLOAT64 if is_double else cnp.NPY_FLOAT32):
        raise TypeError("all layers must have the dtype of the result")
    if width == columns and column_step == 1:
        return array
    shape[0], shape[1] = rows, width
    packed = cnp.PyArray_EMPTY(2, shape, cnp.PyArray_TYPE(array), 0)
    if is_double:
        pack_f64(<const double *>cnp.PyArray_DATA(array), rows, columns, row_step, column_step,
                 <double *>cnp.PyArray_DATA(packed), width)
    else:
        pack_f32(<const float *>cnp.PyArray_DATA(array), rows, columns, row_step, column_step,
                 <float *>cnp.PyArray_DATA(packed), width)
    return packed


def forward(cnp.ndarray X, double input_scale, list weights, list biases, cnp.ndarray out, int n_threads):
    """Write the logits of every row of X into `out`; return whether X was finite.

    Each matrix of `weights` is (n_in, n_out), each vector of `biases` (n_out,), with any strides.
    """
    cdef network_job job
    cdef workers w
    cdef ptrdiff_t sizes[MAX_LAYERS]
    cdef ptrdiff_t widths[MAX_LAYERS]
    cdef ptrdiff_t lds[MAX_LAYERS]
    cdef const void *weight_data[MAX_LAYERS]
    cdef const void *bias_data[MAX_LAYERS]
    cdef ptrdiff_t i, size, n_layers = len(weights)
    cdef cnp.ndarray matrix, bias, scratch
    cdef bint finite, is_double = cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT64
    cdef ptrdiff_t real = 8 if is_double else 4
    cdef list kept = []
    if n_layers > MAX_LAYERS:
        raise ValueError(f"at most {MAX_LAYERS} layers, got {n_layers}")
    describe(&job.data, X, input_scale)
    job.n_rows, job.n_layers, job.n_outputs, job.widest = X.shape[0], n_layers, out.shape[1], 0
    for i in range(n_layers):
        sizes[i] = cnp.PyArray_DIM(weights[i], 1)
        matrix, bias = whole_vectors(weights[i], is_double), whole_vectors(biases[i], is_double)
        widths[i] = (sizes[i] * real + VBYTES - 1) // VBYTES * (VBYTES // real)
        lds[i] = cnp.PyArray_STRIDE(matrix, 0) // real
        job.widest = max(job.widest, widths[i])
        weight_data[i], bias_data[i] = data_of(matrix), data_of(bias)
        kept += [matrix, bias]
    job.sizes, job.widths, job.lds = sizes, widths, lds
    job.weights, job.biases, job.out = weight_data, bias_data, data_of(out)
    n_threads = min(n_threads, max(1, X.shape[0] // ROW_BLOCK))
    size = min(ROW_BLOCK, job.n_rows) * (job.data.n_features + 2 * job.widest)
    scratch = aligned_empty((n_threads, size), out.dtype)
    job.scratch, job.scratch_size = data_of(scratch), scratch.shape[1]
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

    `weights` is (n_outputs, width): the features, padded to whole vectors with zeros, then the bias, then anything;
    `gradients` is scratch of shape (n_groups, n_outputs, width), `tallies` (n_groups, 3) of loss, weight, correct
    weight; `total` is (n_outputs, width) of double, or None.
    """
    cdef linear_job job
    cdef workers w
    cdef bint is_double = weights.dtype.itemsize == 8
    cdef cnp.ndarray scratch
    cdef ptrdiff_t size
    describe(&job.data, X, input_scale)
    job.n_rows, job.n_groups = X.shape[0], gradients.shape[0]
    job.n_outputs, job.width = weights.shape[0], weights.shape[1]
    set_targets(&job.targets, &job.labels, targets, multi)
    job.sample_weights, job.smoothing = <const double *>data_of(sample_weights), smoothing
    job.weights, job.gradients = data_of(weights), data_of(gradients)
    job.first, job.count = first, count
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
