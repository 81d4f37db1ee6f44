"""Cross-entropy: the loss of each row, and its gradient.

No probability is materialised; the gradient is as softmax, with the factor of the row in its last pass, and the entry
of an index target is mended after it from S', never as p - 1. Probabilities and label smoothing take a second tile.
Soft caps are left to the specification. Error: 4 ULP a row for the loss, 4 ULP for the gradient.
"""

import math

import numpy as np

from . import _tiles as tiles
from ._math import (
    TOP,
    compiled,
    difference,
    divide,
    finite,
    fma,
    pointer_to,
    read_once,
    scale_of,
)
from ._run import cached
from ._tiles import FACTOR, FACTOR_ERROR, FREE, LANES, LARGEST, LOG, MAX, WHOLE, WHOLE_ERROR

PART = 2.0**-40
SMALL_SHARE, SMALL_PRODUCT = 2.0**-500, 2.0**-900
USED, IGNORED, BAD = 0.0, 1.0, 2.0
STATE, CLASS, TARGET, SAMPLE, LOGIT, DISTANCE, DISTANCE_ERROR, SUM, SUM_ERROR = (
    FREE + LANES * i for i in range(1, 10)
)
"""Of a row: state, class, its target t and logit, sample weight, sum of t * (m - z) and of t in two parts."""


@compiled
def read_targets(
    lanes, n_lanes, first, count, index, n, weight, sample_weight, has_ignore, ignored, smoothing
):
    """Read what each row says of its target; lanes without a row count as 0."""
    for i in range(n_lanes):
        state, y, t, s = USED, 0, 0.0, 0.0
        if i < count:
            s = pointer_to(sample_weight, 1.0)[first + i] if sample_weight != 0 else 1.0
            if s == 0:
                state = IGNORED
            elif index != 0:
                y = read_once(pointer_to(index, np.int64(0)), first + i)
                if has_ignore and y == ignored:
                    state, y = IGNORED, 0
                elif y < 0 or y >= n:
                    state, y = BAD, 0
                else:
                    t = pointer_to(weight, 1.0)[y] if weight != 0 else 1.0
        lanes[STATE + i], lanes[CLASS + i] = state, np.float64(y)
        lanes[TARGET + i], lanes[SAMPLE + i] = (1.0 - smoothing) * t, s


@compiled
def place_of(lanes, i, split):
    """Return where the target of a lane stands in its tile."""
    y = np.int64(lanes[CLASS + i])
    return y if split else y * LANES + i


@compiled
def set_dense(t, depth, n, split, is_index, weight, smoothing):
    """Turn probabilities y into t = weight * ((1 - smoothing) * y + smoothing / n), where y is 0 with an index."""
    weights, width = pointer_to(weight, 1.0), 1 if split else LANES
    for c in range(depth * LANES // width):
        w = weights[c] if weight != 0 and c < n else 1.0
        for i in range(c * width, (c + 1) * width):
            y = 0.0 if is_index else (1.0 - smoothing) * t[i]
            t[i] = (y + smoothing / n) * w if c < n else 0.0


@compiled
def find_distances(tile, t, depth, split, lanes):
    """Find the sum of t * (m - z), where t = 0 counts as 0 even beside z = -inf, and that of t."""
    tiles.clear(lanes, DISTANCE)
    tiles.clear(lanes, SUM)
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            product = t[at + i] * (lanes[MAX + i] - tile[at + i])
            tiles.accumulate(lanes, DISTANCE, i, 0.0 if t[at + i] == 0 else product)
            tiles.accumulate(lanes, SUM, i, t[at + i])
    tiles.merge(lanes, split, DISTANCE)
    tiles.merge(lanes, split, SUM)


@compiled
def row_loss(lanes, i, has_t, temperature, z_loss):
    """Return the loss of the row of a lane and the sum of its targets."""
    m, z, target = lanes[MAX + i], lanes[LOGIT + i], lanes[TARGET + i]
    total, distance = target, 0.0
    if has_t:
        total += lanes[SUM + i] + lanes[SUM_ERROR + i]
        distance = (lanes[DISTANCE + i] + finite(lanes[DISTANCE_ERROR + i])) / temperature
    if target != 0:
        distance += target * ((0.5 * m - 0.5 * z) / temperature) * 2.0
    loss = lanes[SAMPLE + i] * (total * lanes[LOG + i] + distance)
    if z_loss != 0:  # in two parts: the square counts each rounding of the log-sum-exp twice
        at_max, lost = divide(m, 0.0, temperature, 0.0)
        lse, error = difference(at_max, -lanes[LOG + i])
        weight, weight_lost = scale_of(lanes[SAMPLE + i], z_loss, 0.0)
        slope, slope_lost = scale_of(lse, weight, weight_lost)
        product, rest = scale_of(lse, slope, slope_lost + finite(weight * (lost + error)))
        whole, more = difference(product, -loss)
        loss = whole + finite(more + rest + slope * (lost + error))
    return loss, total


@compiled
def share_with_z_loss(lanes, i, total, temperature, z_loss, part):
    """Return part * (total + 2 * z_loss * logsumexp) of a lane in two parts."""
    at_max, lost = divide(part * lanes[MAX + i], 0.0, temperature, 0.0)
    lse, error = difference(at_max, -part * lanes[LOG + i])
    product, rest = scale_of(2.0 * z_loss, lse, lost + error)
    share, more = difference(product, -part * total)
    return share, finite(rest + more)


@compiled
def find_shares(tile, depth, split, lanes, n_lanes, temperature, z_loss, scale, lost):
    """Find what the terms are multiplied with, and in LOGIT the gradient of an index target, from its sums in SUM.

    The gradient is times a scale in two parts. The share of the terms is a PART of it, which is in range where the
    whole may not be. Where z_loss alone has a share, and a small one, the terms lose TOP instead.
    """
    for i in range(n_lanes):
        target, total = lanes[TARGET + i], lanes[SUM + i]
        row_scale, row_lost = scale_of(lanes[SAMPLE + i], scale, lost)
        part, of_terms = PART, PART
        share, share_lost = part * total, 0.0
        if z_loss != 0:
            share, share_lost = share_with_z_loss(lanes, i, total, temperature, z_loss, part)
            is_small = abs(share) < SMALL_SHARE
            if is_small or (abs(share) < 1 and abs(share * row_scale) < SMALL_PRODUCT):
                part, of_terms = 1.0, 1.0 / TOP
                share, share_lost = share_with_z_loss(lanes, i, total, temperature, z_loss, part)
        whole, error = lanes[WHOLE + i], lanes[WHOLE_ERROR + i]
        numerator, numerator_error = scale_of(share, row_scale, row_lost)
        numerator_error += finite(share_lost * row_scale)
        factor, rest = divide(numerator, numerator_error, of_terms * whole, of_terms * error)
        if z_loss != 0 and math.isinf(factor):  # beside a probability of 0 it is nothing
            factor, rest = math.copysign(LARGEST, factor), 0.0
        lanes[FACTOR + i], lanes[FACTOR_ERROR + i] = factor, rest
        lanes[DISTANCE + i], lanes[DISTANCE_ERROR + i] = row_scale, row_lost
        place = place_of(lanes, i, split)
        p, p_lost = divide(tile[place], 0.0, whole, error)
        own = target * tiles.own_slope(lanes[LOGIT + i] == lanes[MAX + i], p, lanes, i)
        away, beside = (share - part * target) + share_lost, 0.0
        if p != 0 and abs(away) < 1.0:
            own += away / part * p_lost + away / part * p
        elif p != 0:  # the whole may be out of range without its scale
            beside = (row_scale * (away * p) + row_lost * (away * p)) / part
        lanes[LOGIT + i] = row_scale * own + row_lost * own + beside
        if part == 1.0:
            for j in range(i, depth * LANES, 1 if split else LANES):
                tile[j] *= of_terms


@compiled
def gradient_tile(tile, t, depth, split, lanes, n_lanes, is_index, has_t, tiny):
    """Turn terms into the gradient."""
    tiles.scale(tile, depth, split, lanes, tiny)
    if has_t:
        if split:
            tiles.spread(lanes, DISTANCE)
            tiles.spread(lanes, DISTANCE_ERROR)
        for c in range(depth):
            at = c * LANES
            for i in range(LANES):
                less = tile[at + i] - lanes[DISTANCE_ERROR + i] * t[at + i]
                tile[at + i] = fma(-lanes[DISTANCE + i], t[at + i], less)
    if is_index:
        for i in range(n_lanes):
            place, target = place_of(lanes, i, split), lanes[TARGET + i]
            less = tile[place] - lanes[DISTANCE_ERROR + i] * target
            tile[place] = fma(-lanes[DISTANCE + i], target, less) if has_t else lanes[LOGIT + i]


@cached
def cross_entropy(
    start, stop, scratch, logits, index, probabilities, losses, grad, weight, sample_weight, has_ignore, ignored,
    smoothing, z_loss, temperature, slope, slope_error, scale, scale_error, n, inner, n_rows, tiny
):  # fmt: skip
    """Compute the losses, and the gradients unless `grad` is 0, of the tiles from start to stop.

    1 / temperature comes in two parts, and so does what the gradient is multiplied with: the scale / temperature.
    """
    split, is_index, has_grad = tiles.is_split(n, inner), index != 0, grad != 0
    depth, has_t = tiles.depth_of(n, split), index == 0 or smoothing != 0
    n_lanes = 1 if split else LANES
    lanes, tile = tiles.lanes_in(scratch), tiles.tile_in(scratch, 0, depth)
    t = tiles.tile_in(scratch, 1, depth)
    x, grad = pointer_to(logits, tiny), pointer_to(grad, tiny)
    for number in range(start, stop):
        first, count = tiles.rows_of(number, split, n_rows)
        tiles.load(x, n, inner, split, first, count, tile, -np.inf)
        read_targets(
            lanes, n_lanes, first, count, index, n, weight, sample_weight, has_ignore, ignored, smoothing
        )  # fmt: skip
        tiles.find_max(tile, depth, split, lanes)
        if has_t:
            if not is_index:
                tiles.load(pointer_to(probabilities, tiny), n, inner, split, first, count, t, 0.0)
            set_dense(t, depth, n, split, is_index, weight, smoothing)
            find_distances(tile, t, depth, split, lanes)
        for i in range(n_lanes):
            lanes[LOGIT + i] = tile[place_of(lanes, i, split)]
        tiles.find_terms(tile, depth, split, slope, slope_error, tiny, lanes)
        for i in range(n_lanes):
            loss, lanes[SUM + i] = row_loss(lanes, i, has_t, temperature, z_loss)
            if i < count:
                state = lanes[STATE + i]
                loss = loss if state == USED else 0.0 if state == IGNORED else math.nan
                pointer_to(losses, 1.0)[first + i] = loss
        if has_grad:
            find_shares(tile, depth, split, lanes, n_lanes, temperature, z_loss, scale, scale_error)
            if split and not has_t and lanes[STATE] == USED:
                at = tiles.scale_row(tile, n, inner, first, lanes, tiny, grad)
                own = lanes[LOGIT]
                grad[at + np.int64(lanes[CLASS]) * inner] = 0.0 if abs(own) < tiny else own
                continue
            gradient_tile(tile, t, depth, split, lanes, n_lanes, is_index, has_t, tiny)
            for i in range(count):
                if lanes[STATE + i] != USED:
                    value = 0.0 if lanes[STATE + i] == IGNORED else math.nan
                    for j in range(i, depth * LANES, 1 if split else LANES):
                        tile[j] = value
            tiles.store(tile, n, inner, split, first, count, grad, tiny)
