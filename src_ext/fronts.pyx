"""The compiled fronts of the public functions that have a fast door.

A small call costs what Python spends on it: the defaults of keyword-only parameters alone take as long as its kernel.
So each of these functions is compiled, with the signature of the Python function that it stands before, and asks the
door of the chosen back end; whatever is not a plain call goes on to that function.
"""

import functools


def _closed(*args):
    return None


cdef class Ways:
    """Where a call may go: through the door, which answers None to decline, or the long way."""
    cdef object door, long_way

    def __init__(self):
        self.door = self.long_way = _closed


cdef Ways _softmax = Ways(), _log_softmax = Ways(), _cross_entropy = Ways(), _cross_entropy_with_grad = Ways()


# An option has its default where it is the same number, of Python's own classes: what a float or a complex number means
# as an axis, the long way tells.

cdef inline bint is_last(axis):
    return type(axis) is int and axis == -1


cdef inline bint is_number(value, double wanted):
    return type(value) is float and <double>value == wanted or type(value) is int and value == wanted


cdef inline bint is_mean(reduction):
    return type(reduction) is str and reduction == "mean"


def softmax(x, axis=-1, *, out=None, where=None, temperature=1.0, n_threads=None):
    if is_last(axis) and where is None and is_number(temperature, 1) and n_threads is None:
        result = _softmax.door(x, out)
        if result is not None:
            return result
    return _softmax.long_way(x, axis, out=out, where=where, temperature=temperature, n_threads=n_threads)


def log_softmax(x, axis=-1, *, out=None, where=None, temperature=1.0, n_threads=None):
    if is_last(axis) and where is None and is_number(temperature, 1) and n_threads is None:
        result = _log_softmax.door(x, out)
        if result is not None:
            return result
    return _log_softmax.long_way(x, axis, out=out, where=where, temperature=temperature, n_threads=n_threads)


def cross_entropy(logits, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None, label_smoothing=0.0,
                  z_loss=0.0, softcap=None, temperature=1.0, reduction="mean", n_threads=None):
    if (is_last(axis) and weight is None and sample_weight is None and ignore_index is None
            and is_number(label_smoothing, 0) and is_number(z_loss, 0) and softcap is None and is_number(temperature, 1)
            and is_mean(reduction) and n_threads is None):
        loss = _cross_entropy.door(logits, targets)
        if loss is not None:
            return loss
    return _cross_entropy.long_way(
        logits, targets, axis=axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
        label_smoothing=label_smoothing, z_loss=z_loss, softcap=softcap, temperature=temperature, reduction=reduction,
        n_threads=n_threads,
    )


def cross_entropy_with_grad(logits, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None,
                            label_smoothing=0.0, z_loss=0.0, softcap=None, temperature=1.0, reduction="mean",
                            n_threads=None, out=None):
    if (is_last(axis) and weight is None and sample_weight is None and ignore_index is None
            and is_number(label_smoothing, 0) and is_number(z_loss, 0) and softcap is None and is_number(temperature, 1)
            and is_mean(reduction) and n_threads is None):
        result = _cross_entropy_with_grad.door(logits, targets, out)
        if result is not None:
            return result
    return _cross_entropy_with_grad.long_way(
        logits, targets, axis=axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
        label_smoothing=label_smoothing, z_loss=z_loss, softcap=softcap, temperature=temperature, reduction=reduction,
        n_threads=n_threads, out=out,
    )


_FRONTS = {
    "softmax": (softmax, _softmax),
    "log_softmax": (log_softmax, _log_softmax),
    "cross_entropy": (cross_entropy, _cross_entropy),
    "cross_entropy_with_grad": (cross_entropy_with_grad, _cross_entropy_with_grad),
}


def open_doors(doors):
    """Ask these doors from now on: an object with a function of each name, or None where there are none."""
    cdef Ways ways
    for name, (_, ways) in _FRONTS.items():
        ways.door = _closed if doors is None else getattr(doors, name)


def fronted(function):
    """Decorate a public function: return its compiled front, which passes for it in name, text and signature."""
    cdef Ways ways
    front, ways = _FRONTS[function.__name__]
    ways.long_way = function
    return functools.update_wrapper(front, function)
