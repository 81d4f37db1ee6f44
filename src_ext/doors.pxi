# The fast door: plain calls on small C-contiguous arrays, without a validation in Python. Each function answers
# None unless its arguments are just that, and the caller goes the long way, where errors are told.

from types import SimpleNamespace

cdef enum:
    DOOR_ELEMENTS = 32000       # beyond, threads pay, and the long way costs nothing beside the work


cdef inline bint is_plain(x):
    """Whether x is a non-empty C-contiguous float32 or float64 ndarray, in native order and aligned."""
    cdef int type_number
    if type(x) is not cnp.ndarray:
        return False
    type_number = cnp.PyArray_TYPE(<cnp.ndarray>x)
    return ((type_number == cnp.NPY_FLOAT or type_number == cnp.NPY_DOUBLE)
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x) and cnp.PyArray_NDIM(<cnp.ndarray>x) >= 1
            and 0 < cnp.PyArray_SIZE(<cnp.ndarray>x) <= DOOR_ELEMENTS)


cdef inline void cut_rows(Geometry *g, cnp.ndarray x):
    cdef Py_ssize_t n_classes = cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1)
    cut(g, cnp.PyArray_SIZE(x) // n_classes, n_classes, 1, cnp.PyArray_ITEMSIZE(x), True)


cdef inline softmax_through_door(x, bint log):
    cdef SoftmaxTask task
    cdef cnp.ndarray out
    if not is_plain(x):
        return None
    cut_rows(&task.g, x)
    out = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
    task.x, task.out, task.where = cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), NULL
    task.temperature, task.log = 1.0, log
    run_softmax(&task, is_f32(x), 1)
    return out


def _softmax_door(x):
    return softmax_through_door(x, False)


def _log_softmax_door(x):
    return softmax_through_door(x, True)


cdef cross_entropy_through_door(x, targets, bint with_grad):
    cdef LossTask task
    cdef cnp.ndarray grad
    cdef double losses[256]
    cdef double total = 0
    cdef Py_ssize_t row
    if not is_plain(x) or cnp.PyArray_NDIM(<cnp.ndarray>x) != 2 or type(targets) is not cnp.ndarray:
        return None
    cut_rows(&task.g, x)
    if not (cnp.PyArray_TYPE(<cnp.ndarray>targets) == cnp.NPY_INT64 and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>targets)
            and cnp.PyArray_NDIM(<cnp.ndarray>targets) == 1
            and cnp.PyArray_DIM(<cnp.ndarray>targets, 0) == task.g.n_lanes <= 256):
        return None
    task.logits, task.targets, task.kind = cnp.PyArray_DATA(x), cnp.PyArray_DATA(targets), INDEX_INT64
    task.weight, task.sample_weight, task.has_ignore, task.base = NULL, NULL, False, NULL
    task.smoothing, task.z_loss, task.softcap, task.temperature = 0, 0, 0, 1
    task.grad_scale, task.plain, task.losses, task.grad = 1.0 / task.g.n_lanes, True, losses, NULL
    if not all_in_range(task.targets, task.kind, task.g.n_lanes, task.g.n_classes):
        return None
    if with_grad:
        grad = cnp.PyArray_EMPTY(2, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
        task.grad = cnp.PyArray_DATA(grad)
    run_loss(&task, is_f32(x), 1)
    for row in range(task.g.n_lanes):
        total += losses[row]
    total /= task.g.n_lanes
    loss = scalar_of(total, is_f32(x))
    return (loss, grad) if with_grad else loss


cdef extern from *:
    """
    #include "numpy/arrayscalars.h"

    static inline PyObject *new_scalar(double value, int is_float) {
        PyObject *scalar;
        if (is_float) {
            scalar = PyArrayScalar_New(Float);
            if (scalar) PyArrayScalar_ASSIGN(scalar, Float, (float)value);
        } else {
            scalar = PyArrayScalar_New(Double);
            if (scalar) PyArrayScalar_ASSIGN(scalar, Double, value);
        }
        return scalar;
    }
    """
    object new_scalar(double value, int is_float)


cdef inline scalar_of(double value, bint is_float):
    """Return a NumPy scalar."""
    return new_scalar(value, is_float)


def _cross_entropy_door(x, targets):
    return cross_entropy_through_door(x, targets, False)


def _cross_entropy_with_grad_door(x, targets):
    return cross_entropy_through_door(x, targets, True)


door = SimpleNamespace(
    softmax=_softmax_door,
    log_softmax=_log_softmax_door,
    cross_entropy=_cross_entropy_door,
    cross_entropy_with_grad=_cross_entropy_with_grad_door,
)
