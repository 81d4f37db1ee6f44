"""Logits of a trained network: compiled for any stack of dense layers, else NumPy."""

import numpy as np

from .. import _threads
from . import _fused
from ._network import activations

MOST_LAYERS = 64
SERIAL_BELOW = 1 << 21
"""Fewer multiplications than this run in the calling thread."""

_ROWS_AT_A_TIME = 4096
_ROWS_A_CALL = 1 << 16


def is_compiled(network, rows):
    """Whether compiled kernels serve, which check every array for themselves."""
    return _fused.kernels() is not None and rows.is_dense and len(network.coefs) <= MOST_LAYERS


def logits_of(network, rows, n_outputs):
    """Return the logits (n_rows, n_outputs), and whether X and they are known to be finite."""
    if not is_compiled(network, rows):
        return numpy_logits(network, rows)
    out = _threads.runtime.empty((rows.n_rows, n_outputs), network.dtype)
    work = rows.n_rows * sum(coef.size for coef in network.coefs)
    n_threads = 1 if work < SERIAL_BELOW else _fused.n_threads()
    coefs, intercepts = list(network.coefs), list(network.intercepts)
    forward, finite, known = _fused.kernels().forward, True, True
    if rows.n_rows <= _ROWS_A_CALL:
        return out, *forward(rows.X, rows.scale, coefs, intercepts, out, n_threads)
    for start in range(0, rows.n_rows, _ROWS_A_CALL):  # Ctrl-C is honoured between calls
        part = slice(start, start + _ROWS_A_CALL)
        found = forward(rows.X[part], rows.scale, coefs, intercepts, out[part], n_threads)
        finite, known = finite and found[0], known and found[1]
    return out, finite, known


@np.errstate(all="ignore")
def numpy_logits(network, rows):
    """Return what `logits_of` does; the caller has checked the network."""
    parts = [activations(network, x)[-1] for _, x in rows.slices(_ROWS_AT_A_TIME)]
    logits = np.concatenate(parts).astype(network.dtype, copy=False)
    return logits, False, bool(np.isfinite(logits).all())
