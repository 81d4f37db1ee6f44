"""The contract, compiled by Numba at the first use of each operation and dtype.

The functions here make a task of the arguments and run it; the algorithms are those of the compiled
kernels, except that a row is never shared by threads and that exp does without a table.
"""

import functools
from fractions import Fraction

import numpy as np

try:
    import numba
except ImportError as error:
    raise ImportError(
        'the "numba" backend needs Numba: pip install "fastsoftmax[numba]"'
    ) from error
if numba.config.DISABLE_JIT:
    raise ImportError(
        'the "numba" backend needs Numba\'s compiler, which NUMBA_DISABLE_JIT turns off'
    )

from .._threads import runtime
from . import numpy_impl
from ._numba_binary import BinaryTask, SigmoidTask
from ._numba_divergences import DivergenceTask, EntropyTask
from ._numba_driver import run
from ._numba_losses import LANE_ARRAYS, LossTask
from ._numba_softmax import BackwardTask, LogsumexpTask, SoftmaxTask
from ._numba_tiles import BLOCK_ELEMENTS, ROWS, TURNED, cut
from ._numba_vectors import REAL_LANES
from ._sums import in_two_parts


def _address(array):
    """Return where an array starts, 0 for None; the caller keeps it alive."""
    return 0 if array is None else runtime.address(array)


def _as_dense(value):
    """Return an argument as the kernels here read it: a C-contiguous block in 32 or 64 bits, copied where need be."""
    if not isinstance(value, np.ndarray):
        return value
    if value.itemsize == 2:
        value = value.astype(np.float32, order="C")
    value = np.ascontiguousarray(value)
    return value if value.ndim < 4 else value.reshape(-1, *value.shape[2:])


def _through_copies(*outputs):
    """Let an operation take 16-bit and strided blocks too; `outputs` are the places of those that it fills."""

    def widened(operation):
        @functools.wraps(operation)
        def run_widened(*arguments):
            dense = [_as_dense(one) for one in arguments]
            operation(*dense)
            for output in outputs:
                given = arguments[output]
                if given is not None and not np.may_share_memory(dense[output], given):
                    with np.errstate(over="ignore", invalid="ignore"):
                        given[...] = dense[output].reshape(given.shape)

        return run_widened

    return widened


@functools.lru_cache
def _slopes(temperature, dtype):
    """Return 1 / temperature as two numbers whose sum is nearer to it than either dtype can be."""
    exact, largest = 1 / Fraction(temperature), np.finfo(dtype).max
    if exact >= Fraction(float(largest)):
        return largest, dtype.type(0)
    slope = dtype.type(float(exact))
    return slope, dtype.type(float(exact - Fraction(float(slope))))


def _divided(value, lost, temperature):
    """Divide a number in two parts by the temperature; the quotient comes in two parts too."""
    if temperature == 1 or not np.isfinite(value):
        return float(value / temperature), float(lost)
    quotient = value / temperature
    exact = (Fraction(value) + Fraction(lost)) / Fraction(temperature)
    return quotient, float(exact - Fraction(quotient))


def _geometry(block, plain):
    """Return the last fields of a task, and how many lanes its scratch holds."""
    form, stride, per_block = cut(block.shape, block.dtype, plain)
    outer, n_classes, inner = block.shape
    return form, stride, per_block, outer * inner, n_classes, inner


def _scratch_elements(geometry, where=None):
    """Return how many elements of scratch a task needs for its lanes."""
    form, stride, _, _, n_classes, _ = geometry
    # A tile is turned in squares: the last one may have more columns than there are classes.
    rows = n_classes + (stride if form == TURNED else 0)
    return 0 if form == ROWS and where is None else stride * rows


def _normalise(x, out, where, log, temperature, n_threads):
    geometry = _geometry(x, where is None)
    addresses, like = (_address(x), _address(out), _address(where)), x.dtype.type(0)
    task = SoftmaxTask(
        *addresses, log, float(temperature), like, *_slopes(temperature, x.dtype), *geometry
    )
    run(task, x.dtype, x.shape[1], _scratch_elements(geometry, where), 0, n_threads)


@_through_copies(1)
def softmax(x, out, where, temperature, n_threads):
    """Write softmax(x / temperature) to `out`."""
    _normalise(x, out, where, False, temperature, n_threads)


@_through_copies(1)
def log_softmax(x, out, where, temperature, n_threads):
    """Write log(softmax(x / temperature)) to `out`."""
    _normalise(x, out, where, True, temperature, n_threads)


@_through_copies()
def logsumexp(x, out, where, n_threads):
    """Write log(sum(exp(x))) to `out`."""
    geometry = _geometry(x, where is None)
    task = LogsumexpTask(_address(x), _address(out), _address(where), x.dtype.type(0), *geometry)
    lanes = REAL_LANES[8 * x.itemsize]
    run(task, x.dtype, x.shape[1], _scratch_elements(geometry, where), 2 * lanes, n_threads)


def _backward(grad, forward, out, log, n_threads):
    geometry = _geometry(forward, False)
    addresses = (_address(grad), _address(forward), _address(out))
    task = BackwardTask(*addresses, forward.dtype.type(0), log, *geometry)
    run(task, forward.dtype, forward.shape[1], 2 * _scratch_elements(geometry), 0, n_threads)


@_through_copies(2)
def softmax_backward(grad, probs, out, n_threads):
    """Write probs * (grad - sum(grad * probs)) to `out`."""
    _backward(grad, probs, out, False, n_threads)


@_through_copies(2)
def log_softmax_backward(grad, log_probs, out, n_threads):
    """Write grad - exp(log_probs) * sum(grad) to `out`."""
    _backward(grad, log_probs, out, True, n_threads)


def inspect_targets(targets, n_classes, options, n_threads):
    """Return (first bad row or -1, its value, divisor of "mean" in two parts)."""
    # One pass each, a small part of the time that the rows themselves take: NumPy does.
    used = None if options.ignore_index is None else targets != options.ignore_index
    bad = (targets < 0) | (targets >= n_classes)
    if used is not None:
        bad &= used
    if bad.any():
        row = int(np.argmax(bad))
        return row, int(targets.flat[row]), 0.0, 0.0
    if options.weight is None and options.sample_weight is None:
        return -1, 0, float(targets.size if used is None else np.count_nonzero(used)), 0.0
    return -1, 0, *in_two_parts(numpy_impl.divisor_of(targets, options))


def _smoothing_base(options, n_classes, dtype):
    """Return smoothing / n_classes * weight for each class, None without smoothing."""
    if not options.label_smoothing:
        return None
    weight = np.ones(n_classes) if options.weight is None else options.weight
    return (options.label_smoothing / n_classes * weight).astype(dtype)


def _ignored(options):
    """Return (whether an index is ignored, which); one beyond int64 is nobody's."""
    index = options.ignore_index
    return (True, index) if index is not None and -(2**63) <= index < 2**63 else (False, 0)


@_through_copies(3)
def cross_entropy(logits, targets, losses, grad, options, n_threads):
    """Write the loss of each row to `losses` and, unless None, the gradient to `grad`."""
    dtype, n_classes = logits.dtype, logits.shape[1]
    if options.softcap and dtype == np.float64:
        # A cap rounded to double errs by 16 ULP: the specification computes in long double.
        numpy_impl.cross_entropy(logits, targets, losses, grad, options, n_threads)
        return
    has_index = targets.dtype.kind in "iu"
    simple = has_index and not (options.label_smoothing or options.z_loss or options.softcap)
    geometry = _geometry(logits, simple)
    base = None
    if has_index:
        targets = targets.astype(np.int64, copy=False)
        base = _smoothing_base(options, n_classes, dtype)
    task = LossTask(
        _address(logits),
        _address(targets if has_index else None),
        _address(None if has_index else targets),
        _address(base),
        _address(losses),
        _address(grad),
        _address(options.weight),
        _address(options.sample_weight),
        dtype.type(0),
        *_ignored(options),
        float(options.label_smoothing),
        float(options.z_loss),
        float(options.softcap),
        float(options.temperature),
        float(options.grad_scale),
        float(options.grad_scale_error),
        *_divided(options.grad_scale, options.grad_scale_error, options.temperature),
        *_slopes(options.temperature, dtype),
        *geometry,
    )
    elements = 2 * geometry[1] * max(n_classes, REAL_LANES[8 * dtype.itemsize])
    wide = max(
        LANE_ARRAYS * REAL_LANES[8 * dtype.itemsize], 3 * n_classes if options.softcap else 0
    )
    run(task, dtype, n_classes, elements, wide, n_threads)


@_through_copies(1)
def sigmoid(x, out, n_threads):
    """Write 1 / (1 + exp(-x)) to `out`."""
    task = SigmoidTask(
        _address(x), _address(out), x.dtype.type(0), BLOCK_ELEMENTS, BLOCK_ELEMENTS, x.size
    )
    run(task, x.dtype, 1, 0, 0, n_threads)


@_through_copies(3)
def binary_cross_entropy(logits, targets, losses, grad, weight, pos_weight, grad_scale, n_threads):
    """Write the loss of each logit to `losses` and, unless None, the gradient to `grad`."""
    dtype, piece = logits.dtype, 1024
    task = BinaryTask(
        _address(logits),
        _address(targets),
        _address(losses),
        _address(grad),
        _address(weight),
        _address(pos_weight),
        dtype.type(0),
        logits.shape[1],
        float(grad_scale),
        piece,
        BLOCK_ELEMENTS,
        logits.size,
    )
    run(task, dtype, 1, 0, 2 * (piece + 16), n_threads)


def _plain_geometry(block):
    """Return the last fields of a task whose rows are computed one by one where they lie."""
    outer, n_classes, inner = block.shape
    per_block = max(1, BLOCK_ELEMENTS // n_classes)
    return 1, per_block, outer * inner, n_classes, inner


@_through_copies(2)
def entropy(logits, losses, grad, divisor, n_threads):
    """Write the entropy of each row to `losses` and, unless None, the gradient / divisor to `grad`."""
    like = logits.dtype.type(0)
    addresses = _address(logits), _address(losses), _address(grad)
    task = EntropyTask(*addresses, like, float(divisor), *_plain_geometry(logits))
    run(task, logits.dtype, logits.shape[1], 0, 0, n_threads)


@_through_copies(3, 4)
def kl_div(p_logits, q_logits, losses, grad_p, grad_q, divisor, n_threads):
    """Write the divergence of each pair of rows to `losses` and, unless None, the gradients / divisor."""
    like, arrays = p_logits.dtype.type(0), (p_logits, q_logits, losses, grad_p, grad_q)
    addresses = (_address(array) for array in arrays)
    task = DivergenceTask(*addresses, like, float(divisor), *_plain_geometry(p_logits))
    run(task, p_logits.dtype, p_logits.shape[1], 0, 0, n_threads)


def top_k_softmax(x, values, indices, n_threads):
    """Write the largest of softmax(x) to `values`, and their classes to `indices`."""
    numpy_impl.take_largest(x, softmax, values, indices, n_threads)
