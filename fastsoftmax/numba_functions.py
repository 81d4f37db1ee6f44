"""Functions of one row, to be called inside your own ``@numba.njit`` code; needs the extra ``numba``.

>>> import numba
>>> import numpy as np
>>> from fastsoftmax import numba_functions as nf
>>> @numba.njit(parallel=True)
... def losses_of(logits, targets):
...     losses = np.empty(len(logits))
...     for i in numba.prange(len(logits)):
...         losses[i] = nf.cross_entropy(logits[i], targets[i])
...     return losses
>>> losses_of(np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), np.array([0, 2])).round(4)
array([0.4076, 1.0986])

A row is a one-dimensional array of float32 or float64 with any stride. Losses, and what is returned as one number, are
float64 for both. Special values and accuracy are those of the functions of `fastsoftmax` with the same names. Python
can call these functions too, but such a call takes longer than a short row: for batches there is `fastsoftmax` itself.
They may stand in code with ``parallel=True`` and ``cache=True``. What Numba has cached holds them as they were: clear
its cache after an update of fastsoftmax.
"""

import functools
import inspect

import numpy as np

from ._backends.numba_impl import _rows
from ._validate._arrays import wrong_array

import numba  # isort: skip - the line above says what to install where it is missing
from numba import types  # isort: skip
from numba.core.errors import TypingError  # isort: skip
from numba.extending import overload  # isort: skip

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "cross_entropy_with_grad",
    "log_softmax",
    "logsumexp",
    "sigmoid",
    "softmax",
]

_TINY = {types.float32: float(np.finfo(np.float32).tiny), types.float64: float(np.finfo(np.float64).tiny)}  # fmt: skip


def _compiled_by(typed):
    """Make a function of Numba code of one that only describes it; `typed` has its body, from the types of arguments.

    Python reaches it through a compiled call.
    """

    def decorate(function):
        @functools.wraps(function)
        def call(*arguments, **keywords):
            bound = inspect.signature(function).bind(*arguments, **keywords)
            bound.apply_defaults()
            for name, value in bound.arguments.items():
                _require_known(name, value)
            try:
                return compiled(*bound.args)
            except TypingError:
                try:
                    typed(*map(numba.typeof, bound.args))
                except (TypingError, ValueError) as error:
                    raise TypeError(str(error)) from None
                raise

        @numba.njit(nogil=True)
        def compiled(*arguments):
            return call(*arguments)

        overload(call, jit_options={"nogil": True, "error_model": "numpy"})(typed)
        return call

    return decorate


def _require_known(name, value):
    """Raise about what Numba would take for something else where Python calls: it looks at types in haste."""
    if isinstance(value, np.ndarray):
        if not value.dtype.isnative:
            raise TypeError(f"{name} must be in native byte order, got dtype {value.dtype.str}")
        wrong = wrong_array(value, name)
        if wrong:
            raise TypeError(wrong)
    elif name == "target" and isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise IndexError(f"target must be in [0, n_classes), got {value}")


def _tiny_of(row, name):
    """Return the smallest normal number of a row's dtype; raise about what is no row."""
    if not (isinstance(row, types.Array) and row.ndim == 1 and row.dtype in _TINY):
        raise TypingError(
            f"{name} must be a one-dimensional array of float32 or float64, got {row}"
        )
    return _TINY[row.dtype]


def _require_number(value, name, kinds, word):
    if not isinstance(getattr(value, "literal_type", value), kinds):
        raise TypingError(f"{name} must be {word}, got {value}")


def _require_out(out, logits, name):
    _tiny_of(out, name)
    if out.dtype != logits.dtype or not out.mutable:
        raise TypingError(f"{name} must be a writable array of {logits.dtype}, got {out}")


def _typed_softmax(logits, out, is_log):
    tiny = _tiny_of(logits, "logits")
    if out is None or isinstance(out, types.NoneType | types.Omitted):

        def into_new(logits, out=None):
            result = np.empty(len(logits), logits.dtype)
            _rows.softmax(logits, result, _rows.scratch_for(logits), is_log, tiny)
            return result

        return into_new
    _require_out(out, logits, "out")

    def into_out(logits, out=None):
        if len(out) != len(logits):
            raise ValueError("out must have the length of logits")
        _rows.softmax(logits, out, _rows.scratch_for(logits), is_log, tiny)
        return out

    return into_out


@_compiled_by(lambda logits, out=None: _typed_softmax(logits, out, False))
def softmax(logits, out=None):
    """Return softmax of a row: exp(x - m) / sum(exp(x - m)), m = max(x).

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (n_classes,)
        The row.
    out : ndarray, shape (n_classes,), optional
        Where the result goes, of the dtype of the logits: a new array by default. It may be the row itself.

    Returns
    -------
    ndarray, shape (n_classes,)
        The probabilities, of the dtype of the logits.

    Raises
    ------
    ValueError
        If `out` has another length.
    numba.TypingError
        While Numba compiles, if an argument is of another type; a TypeError where Python calls.

    Notes
    -----
    Error: 4 ULP. A row with a NaN or +inf is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import numba_functions as nf
    >>> nf.softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """


@_compiled_by(lambda logits, out=None: _typed_softmax(logits, out, True))
def log_softmax(logits, out=None):
    """Return log(softmax) of a row: (x - m) - log(sum(exp(x - m))).

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (n_classes,)
        The row.
    out : ndarray, shape (n_classes,), optional
        Where the result goes, of the dtype of the logits: a new array by default. It may be the row itself.

    Returns
    -------
    ndarray, shape (n_classes,)
        The logarithms of the probabilities, of the dtype of the logits.

    Raises
    ------
    ValueError
        If `out` has another length.
    numba.TypingError
        While Numba compiles, if an argument is of another type; a TypeError where Python calls.

    Notes
    -----
    Error: 4 ULP. A row with a NaN or +inf is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import numba_functions as nf
    >>> nf.log_softmax(np.array([0.0, 0.0], np.float32)).round(4)
    array([-0.6931, -0.6931], dtype=float32)
    """


def _typed_logsumexp(logits):
    tiny = _tiny_of(logits, "logits")
    return lambda logits: _rows.logsumexp(logits, _rows.scratch_for(logits), tiny)


@_compiled_by(_typed_logsumexp)
def logsumexp(logits):
    """Return log(sum(exp(x))) of a row.

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (n_classes,)
        The row.

    Returns
    -------
    float
        The result; -inf without classes, +inf beside one of +inf.

    Raises
    ------
    numba.TypingError
        While Numba compiles, if an argument is of another type; a TypeError where Python calls.

    Notes
    -----
    Error: 4 ULP of the dtype of the logits, of the larger of result and largest logit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import numba_functions as nf
    >>> round(nf.logsumexp(np.array([1000.0, 1000.0])), 4)
    1000.6931
    """


def _typed_cross_entropy(logits, target):
    tiny = _tiny_of(logits, "logits")
    _require_number(target, "target", types.Integer, "an integer")

    def loss_of(logits, target):
        if target < 0 or target >= len(logits):
            raise IndexError("target must be in [0, n_classes)")
        return _rows.cross_entropy(
            logits, np.int64(target), logits, False, _rows.scratch_for(logits), tiny
        )

    return loss_of


@_compiled_by(_typed_cross_entropy)
def cross_entropy(logits, target):
    """Return the cross-entropy of a row, logsumexp(logits) - logits[target], without what would cancel.

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (n_classes,)
        The row.
    target : int
        Its class.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    IndexError
        If the target is not in [0, n_classes).
    numba.TypingError
        While Numba compiles, if an argument is of another type; a TypeError where Python calls.

    Notes
    -----
    Error: 4 ULP of the dtype of the logits. A row with a NaN or +inf has the loss NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import numba_functions as nf
    >>> float(f"{nf.cross_entropy(np.array([50.0, 0.0]), 0):.5g}")
    1.9287e-22
    """


def _typed_cross_entropy_with_grad(logits, target, grad):
    tiny = _tiny_of(logits, "logits")
    _require_number(target, "target", types.Integer, "an integer")
    _require_out(grad, logits, "grad")

    def loss_of(logits, target, grad):
        if target < 0 or target >= len(logits):
            raise IndexError("target must be in [0, n_classes)")
        if len(grad) != len(logits):
            raise ValueError("grad must have the length of logits")
        return _rows.cross_entropy(
            logits, np.int64(target), grad, True, _rows.scratch_for(logits), tiny
        )

    return loss_of


@_compiled_by(_typed_cross_entropy_with_grad)
def cross_entropy_with_grad(logits, target, grad):
    """Return the cross-entropy of a row, and write its gradient, softmax less 1 at the target.

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (n_classes,)
        The row.
    target : int
        Its class.
    grad : ndarray, shape (n_classes,)
        Where the gradient goes, of the dtype of the logits. It may be the row itself.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    IndexError
        If the target is not in [0, n_classes).
    ValueError
        If `grad` has another length.
    numba.TypingError
        While Numba compiles, if an argument is of another type; a TypeError where Python calls.

    Notes
    -----
    Error: 4 ULP of the dtype of the logits for the loss and each entry of the gradient, the target's included.

    Examples
    --------
    >>> import numpy as np
    >>> from fastsoftmax import numba_functions as nf
    >>> grad = np.empty(2)
    >>> round(nf.cross_entropy_with_grad(np.array([0.0, 0.0]), 1, grad), 4)
    0.6931
    >>> grad
    array([ 0.5, -0.5])
    """


def _typed_sigmoid(x):
    _require_number(x, "x", (types.Float, types.Integer), "a number")
    return lambda x: _rows.sigmoid(np.float64(x))


@_compiled_by(_typed_sigmoid)
def sigmoid(x):
    """Return 1 / (1 + exp(-x)) of a number.

    Parameters
    ----------
    x : float
        The number.

    Returns
    -------
    float
        Its sigmoid.

    Raises
    ------
    numba.TypingError
        While Numba compiles, if an argument is of another type; a TypeError where Python calls.

    Notes
    -----
    Error: 4 ULP of float64.

    Examples
    --------
    >>> from fastsoftmax import numba_functions as nf
    >>> nf.sigmoid(0.0)
    0.5
    """


def _typed_binary(logit, target):
    numbers = types.Float, types.Integer, types.Boolean
    _require_number(logit, "logit", numbers[:2], "a number")
    _require_number(target, "target", numbers, "a number")
    return lambda logit, target: _rows.binary_cross_entropy(np.float64(logit), np.float64(target))


@_compiled_by(_typed_binary)
def binary_cross_entropy_with_logits(logit, target):
    """Return the binary cross-entropy of one logit: (1 - y) * softplus(x) + y * softplus(-x).

    Parameters
    ----------
    logit : float
        The logit x.
    target : float
        The target y, in [0, 1].

    Returns
    -------
    float
        The loss.

    Raises
    ------
    numba.TypingError
        While Numba compiles, if an argument is of another type; a TypeError where Python calls.

    Notes
    -----
    Error: 4 ULP of float64.

    Examples
    --------
    >>> from fastsoftmax import numba_functions as nf
    >>> round(nf.binary_cross_entropy_with_logits(0.0, 1.0), 4)
    0.6931
    """
