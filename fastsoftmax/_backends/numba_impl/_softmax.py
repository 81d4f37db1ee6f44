"""softmax, log_softmax, logsumexp, and the gradients of the first two.

Data are addresses, 0 where there is none, of numbers of the type of `tiny`, which is the smallest normal one.
A row is read and written once; between lie three passes over its tile: maximum, terms and their sums,
scaling. Error: 4 ULP; measured below 2.
"""

import math

import numpy as np

from . import _tiles as tiles
from ._math import TOP, compiled, exp_term, finite, fma, pointer_to
from ._run import cached
from ._tiles import FREE, LANES, LOG, MAX

LARGEST_SUM, LOWEST_SUM = 2.0**960, 2.0**-900
"""Between these nothing overflows, nor is a part of a term lost."""
SMALLER = 2.0**-70
SIZE, SUM, SUM_ERROR = FREE, FREE + LANES, FREE + 2 * LANES


@compiled
def load_masked(x, where, mask, n, inner, split, first, count, tile):
    """Bring rows to a tile and their mask, where there is one, to another: what it leaves out becomes -inf."""
    tiles.load(x, n, inner, split, first, count, tile, -np.inf)
    if where != 0:
        tiles.load(pointer_to(where, np.uint8(0)), n, inner, split, first, count, mask, 1.0)
        tiles.mask(mask, tiles.depth_of(n, split), tile, -np.inf)


@cached
def softmax(
    start, stop, scratch, x, out, where, is_log, temperature, slope, slope_error, n, inner, n_rows, tiny
):  # fmt: skip
    """Compute softmax, or log_softmax if `is_log`, of the tiles from start to stop."""
    is_direct = (
        inner == 1 and temperature == 1 and where == 0 and x != out
    )  # LLVM makes no vectors in place
    x, out, split = pointer_to(x, tiny), pointer_to(out, tiny), tiles.is_split(n, inner)
    depth = tiles.depth_of(n, split)
    lanes, tile, mask = tiles.places_in(scratch, depth)
    for number in range(start, stop):
        first, count = tiles.rows_of(number, split, n_rows)
        load_masked(x, where, mask, n, inner, split, first, count, tile)
        tiles.find_max(tile, depth, split, lanes)
        tiles.find_terms(tile, depth, split, slope, slope_error, tiny, lanes)
        if is_log and is_direct:
            tiles.shift_rows(x, n, first, count, lanes, tiny, out)
            continue
        if is_log:
            tiles.load(x, n, inner, split, first, count, tile, -np.inf)
            tiles.shift(tile, depth, split, lanes, temperature)
        else:
            tiles.find_factors(lanes, split)
            if split and where == 0:
                tiles.scale_row(tile, n, inner, first, lanes, tiny, out)
                continue
            tiles.scale(tile, depth, split, lanes, tiny)
        if where != 0:
            tiles.mask(mask, depth, tile, -np.inf if is_log else 0.0)
        tiles.store(tile, n, inner, split, first, count, out, tiny)


@compiled
def logsumexp_tile(tile, depth, split, lanes, tiny):
    """Replace MAX by m + L; an infinite maximum is the result itself, unless there is a NaN."""
    tiles.find_max(tile, depth, split, lanes)
    for i in range(1 if split else LANES):
        lanes[SUM + i] = lanes[MAX + i]
        if not math.isfinite(lanes[MAX + i]):
            for j in range(i, depth * LANES, 1 if split else LANES):
                if math.isnan(tile[j]):
                    lanes[SUM + i] = math.nan
    tiles.find_terms(tile, depth, split, 1.0, 0.0, tiny, lanes)
    for i in range(1 if split else LANES):
        m = lanes[SUM + i]
        lanes[MAX + i] = m + lanes[LOG + i] if math.isfinite(m) else m


@cached
def logsumexp(start, stop, scratch, x, out, where, n, inner, n_rows, tiny):
    """Compute logsumexp of the tiles from start to stop."""
    x, out, split = pointer_to(x, tiny), pointer_to(out, tiny), tiles.is_split(n, inner)
    depth = tiles.depth_of(n, split)
    lanes, tile, mask = tiles.places_in(scratch, depth)
    for number in range(start, stop):
        first, count = tiles.rows_of(number, split, n_rows)
        load_masked(x, where, mask, n, inner, split, first, count, tile)
        logsumexp_tile(tile, depth, split, lanes, tiny)
        for i in range(count):
            out[first + i] = lanes[MAX + i]


@compiled
def find_dots(grad, forward, depth, split, is_log, lanes):
    """Find SUM, of grad * forward or, if `is_log`, of grad, times SIZE."""
    tiles.clear(lanes, SUM)
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            g, p = grad[at + i] * lanes[SIZE + i], 1.0 if is_log else forward[at + i]
            product = g * p
            tiles.accumulate(lanes, SUM, i, product)
            lanes[SUM_ERROR + i] += fma(g, p, -product)
    tiles.merge(lanes, split, SUM)
    for i in range(1 if split else LANES):
        lanes[SUM + i] += finite(lanes[SUM_ERROR + i])
    if split:
        tiles.spread(lanes, SUM)


@compiled
def backward_tile(grad, forward, depth, split, is_log, lanes):
    """Replace a tile of `grad` by the gradient. Where a sum leaves the range of double, it is computed smaller."""
    for i in range(LANES):
        lanes[SIZE + i] = 1.0
    find_dots(grad, forward, depth, split, is_log, lanes)
    beyond = False
    for i in range(LANES):
        dot = lanes[SUM + i]
        if dot != 0 and not LOWEST_SUM < abs(dot) < LARGEST_SUM:
            lanes[SIZE + i] = 1 / SMALLER if abs(dot) <= LOWEST_SUM else SMALLER
            beyond = True
    if beyond:
        find_dots(grad, forward, depth, split, is_log, lanes)
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            g, p, size = grad[at + i] * lanes[SIZE + i], forward[at + i], lanes[SIZE + i]
            if is_log:
                e = math.inf if p >= 650.0 else exp_term(p, 0.0) / TOP
                grad[at + i] = (g - e * lanes[SUM + i]) / size
            else:
                grad[at + i] = p * (g - lanes[SUM + i]) / size


@cached
def backward(start, stop, scratch, grad, forward, out, is_log, n, inner, n_rows, tiny):
    """Compute the gradient of softmax, or of log_softmax, from what that returned."""
    grad, forward, out = pointer_to(grad, tiny), pointer_to(forward, tiny), pointer_to(out, tiny)
    split = tiles.is_split(n, inner)
    depth = tiles.depth_of(n, split)
    lanes, tile, other = tiles.places_in(scratch, depth)
    for number in range(start, stop):
        first, count = tiles.rows_of(number, split, n_rows)
        tiles.load(grad, n, inner, split, first, count, tile, 0.0)
        tiles.load(forward, n, inner, split, first, count, other, 0.0)
        backward_tile(tile, other, depth, split, is_log, lanes)
        tiles.store(tile, n, inner, split, first, count, out, tiny)
