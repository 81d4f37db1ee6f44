"""The contract, compiled by Numba at the first use of each operation and dtype.

The functions here bring arguments to the form that kernels read and run a kernel over the tiles of a call
(`_run.run`). What a tile is, and the passes over it, stands in `_tiles`.
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

from ..._threads import runtime
from .. import numpy_impl
from .._sums import in_two_parts
from . import _binary, _divergences, _losses, _plain, _softmax
from . import _tiles as tiles
from ._run import run

_TINY = {"f": np.finfo(np.float32).tiny, "d": np.finfo(np.float64).tiny}


def _address(array):
    """Return where an array starts, 0 for None; the caller keeps it alive."""
    return 0 if array is None else runtime.address(array)


def _as_dense(value):
    """Return an argument as the kernels here read it: a C-contiguous block in 32 or 64 bits, copied where need be."""
    if not isinstance(value, np.ndarray):
        return value
    if value.itemsize == 2:
        value = value.astype(np.float32, order="C")
    elif not value.flags.c_contiguous:
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
                if given is not dense[output] and not np.may_share_memory(dense[output], given):
                    with np.errstate(over="ignore", invalid="ignore"):
                        given[...] = dense[output].reshape(given.shape)

        return run_widened

    return widened


@functools.lru_cache
def _slopes(temperature):
    """Return 1 / temperature in two parts."""
    exact = 1 / Fraction(temperature)
    slope = float(exact)
    return slope, float(exact - Fraction(slope))


def _divided(value, lost, temperature):
    """Divide a number in two parts by the temperature; the quotient comes in two parts too."""
    if temperature == 1 or not np.isfinite(value):
        return float(value / temperature), float(lost)
    quotient = value / temperature
    exact = (Fraction(value) + Fraction(lost)) / Fraction(temperature)
    return quotient, float(exact - Fraction(quotient))


@functools.lru_cache
def _geometry(outer, n, inner, n_tiles):
    """Return what `run` and kernels ask of a block: (tiles, elements of one, doubles of scratch), (n, inner, rows)."""
    n_rows, split = outer * inner, tiles.is_split.py_func(n, inner)
    size = tiles.scratch_size.py_func(n_tiles, tiles.depth_of.py_func(n, split))
    count, n_elements = (n_rows, n) if split else (-(-n_rows // tiles.LANES), n * tiles.LANES)
    return (count, n_elements, size), (n, inner, n_rows)


def _run_rows(kernel, block, n_threads, n_tiles, *arguments):
    """Run a kernel that needs some tiles at once over the rows of a block."""
    work, shape = _geometry(*block.shape, n_tiles)
    run(kernel, *work, n_threads, (*arguments, *shape, _TINY[block.dtype.char]))


def _normalise(x, out, where, is_log, temperature, n_threads):
    slopes = (1.0, 0.0) if temperature == 1 else _slopes(temperature)
    options = is_log, float(temperature), *slopes
    addresses = _address(x), _address(out), _address(where)
    _run_rows(_softmax.softmax, x, n_threads, 1 if where is None else 2, *addresses, *options)


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
    addresses = _address(x), _address(out), _address(where)
    _run_rows(_softmax.logsumexp, x, n_threads, 1 if where is None else 2, *addresses)


def _backward(grad, forward, out, is_log, n_threads):
    addresses = _address(grad), _address(forward), _address(out)
    _run_rows(_softmax.backward, forward, n_threads, 2, *addresses, is_log)


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


@functools.lru_cache
def _numbers(ignore_index, smoothing, z_loss, temperature, grad_scale, grad_scale_error):
    """Return the numbers among the options as the kernel takes them."""
    has_ignore = (
        ignore_index is not None and -(2**63) <= ignore_index < 2**63
    )  # no target equals another one
    scale = _divided(grad_scale, grad_scale_error, temperature)
    numbers = smoothing, z_loss, temperature, *_slopes(temperature), *scale
    return has_ignore, ignore_index if has_ignore else 0, *map(float, numbers)


@_through_copies(3)
def cross_entropy(logits, targets, losses, grad, options, n_threads):
    """Write the loss of each row to `losses` and, unless None, the gradient to `grad`."""
    if options.softcap:  # seldom used, and of float64 nothing less than long double is exact enough
        numpy_impl.cross_entropy(logits, targets, losses, grad, options, n_threads)
        return
    index, probabilities = None, targets
    if targets.dtype.kind in "iu":
        index, probabilities = targets.astype(np.int64, copy=False), None
    weight, sample_weight, ignore_index, smoothing, z_loss, _, temperature, *scale = options
    arrays = (logits, index, probabilities, losses, grad, weight, sample_weight)
    addresses = [0 if array is None else _address(array) for array in arrays]
    n_tiles = 1 + (index is None or smoothing != 0)
    numbers = _numbers(ignore_index, smoothing, z_loss, float(temperature), *scale)
    _run_rows(_losses.cross_entropy, logits, n_threads, n_tiles, *addresses, *numbers)


def _run_elements(kernel, block, n_threads, *arguments):
    """Run a kernel over the pieces of a block whose elements have nothing to do with one another."""
    n_pieces = -(-block.size // _binary.PIECE)
    arguments = [*arguments, block.size, _TINY[block.dtype.char]]
    run(kernel, n_pieces, _binary.PIECE, _binary.SCRATCH_SIZE, n_threads, arguments)


@_through_copies(1)
def sigmoid(x, out, n_threads):
    """Write 1 / (1 + exp(-x)) to `out`."""
    _run_elements(_binary.sigmoid, x, n_threads, _address(x), _address(out))


@_through_copies(3)
def binary_cross_entropy(logits, targets, losses, grad, weight, pos_weight, grad_scale, n_threads):
    """Write the loss of each logit to `losses` and, unless None, the gradient to `grad`."""
    arrays = (logits, targets, losses, grad, weight, pos_weight)
    addresses = [_address(array) for array in arrays]
    numbers = logits.shape[1], float(grad_scale)
    _run_elements(_binary.binary_cross_entropy, logits, n_threads, *addresses, *numbers)


@_through_copies(2)
def entropy(logits, losses, grad, divisor, n_threads):
    """Write the entropy of each row to `losses` and, unless None, the gradient / divisor to `grad`."""
    addresses = [_address(array) for array in (logits, losses, grad)]
    _run_rows(_divergences.entropy, logits, n_threads, 2, *addresses, float(divisor))


@_through_copies(3, 4)
def kl_div(p_logits, q_logits, losses, grad_p, grad_q, divisor, n_threads):
    """Write the divergence of each pair of rows to `losses` and, unless None, the gradients / divisor."""
    addresses = [_address(array) for array in (p_logits, q_logits, losses, grad_p, grad_q)]
    _run_rows(_divergences.kl_div, p_logits, n_threads, 4, *addresses, float(divisor))


def top_k_softmax(x, values, indices, n_threads):
    """Write the largest of softmax(x) to `values`, and their classes to `indices`."""
    numpy_impl.take_largest(x, softmax, values, indices, n_threads)


plain_calls = _plain.calls(softmax, log_softmax, logsumexp, cross_entropy)
"""What the public functions call first, by their names."""
