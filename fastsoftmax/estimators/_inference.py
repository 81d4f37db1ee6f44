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


def logits_of(network, rows):
    """Return the logits (n_rows, n_outputs) of all rows, and whether X is known to be finite."""
    kernels = _fused.kernels()
    if kernels is None or not rows.is_dense or len(network.coefs) > MOST_LAYERS:
        return _numpy_logits(network, rows), False
    out = _threads.runtime.empty((rows.n_rows, network.intercepts[-1].shape[0]), network.dtype)
    work = rows.n_rows * sum(coef.size for coef in network.coefs)
    n_threads = 1 if work < SERIAL_BELOW else _fused.n_threads()
    coefs, intercepts, finite = list(network.coefs), list(network.intercepts), True
    for start in range(0, rows.n_rows, _ROWS_A_CALL):  # Ctrl-C is honoured between calls
        part = slice(start, start + _ROWS_A_CALL)
        finite &= kernels.forward(rows.X[part], rows.scale, coefs, intercepts, out[part], n_threads)
    return out, bool(finite)


def _numpy_logits(network, rows):
    parts = [activations(network, x)[-1] for _, x in rows.slices(_ROWS_AT_A_TIME)]
    return np.concatenate(parts).astype(network.dtype, copy=False)
