"""One row of an array, for code that is compiled elsewhere: `fastsoftmax.numba_functions`."""

import numpy as np

from . import _tiles as tiles
from ._binary import binary_element, sigmoid_of
from ._losses import CLASS, LOGIT, SAMPLE, SUM, TARGET, find_shares, gradient_tile, row_loss
from ._math import compiled, exp_term
from ._softmax import logsumexp_tile
from ._tiles import MAX


@compiled
def scratch_for(logits):
    """Return scratch for a row, which must live as long as what is computed in it."""
    return np.empty(tiles.scratch_size(1, tiles.depth_of(len(logits), True)))


@compiled
def load_row(logits, scratch):
    """Return (tile, its depth, lanes) with the row in the tile."""
    depth, address = tiles.depth_of(len(logits), True), scratch.ctypes.data
    tile = tiles.tile_in(address, 0, depth)
    tiles.load(logits, len(logits), 1, True, 0, 1, tile, -np.inf)
    return tile, depth, tiles.lanes_in(address)


@compiled
def softmax(logits, out, scratch, is_log, tiny):
    """Write softmax, or log_softmax if `is_log`, to `out`."""
    tile, depth, lanes = load_row(logits, scratch)
    tiles.find_max(tile, depth, True, lanes)
    tiles.find_terms(tile, depth, True, 1.0, 0.0, tiny, lanes)
    if is_log:
        load_row(logits, scratch)
        tiles.shift(tile, depth, True, lanes, 1.0)
    else:
        tiles.find_factors(lanes, True)
        tiles.scale(tile, depth, True, lanes, tiny)
    tiles.store(tile, len(logits), 1, True, 0, 1, out, tiny)


@compiled
def logsumexp(logits, scratch, tiny):
    """Return logsumexp of a row."""
    tile, depth, lanes = load_row(logits, scratch)
    logsumexp_tile(tile, depth, True, lanes, tiny)
    return lanes[MAX]


@compiled
def cross_entropy(logits, target, grad, has_grad, scratch, tiny):
    """Return the loss of a row and, if `has_grad`, write its gradient."""
    tile, depth, lanes = load_row(logits, scratch)
    lanes[CLASS], lanes[TARGET], lanes[SAMPLE] = np.float64(target), 1.0, 1.0
    lanes[LOGIT] = tile[target]
    tiles.find_max(tile, depth, True, lanes)
    tiles.find_terms(tile, depth, True, 1.0, 0.0, tiny, lanes)
    loss, lanes[SUM] = row_loss(lanes, 0, False, 1.0, 0.0)
    if has_grad:
        find_shares(tile, depth, True, lanes, 1, 1.0, 0.0, 1.0, 0.0)
        gradient_tile(tile, tile, depth, True, lanes, 1, True, False, tiny)
        tiles.store(tile, len(logits), 1, True, 0, 1, grad, tiny)
    return loss


@compiled
def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return sigmoid_of(x, exp_term(-abs(x), 0.0), 0.0)


@compiled
def binary_cross_entropy(x, y):
    """Return the loss of one logit."""
    return binary_element(x, y, 1.0, 1.0, 1.0)[0]
