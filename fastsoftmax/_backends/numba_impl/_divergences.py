"""Entropy and the Kullback-Leibler divergence, with their gradients; all sums in two parts.

The entropy is L + sum(p * (m - z)), whose terms are positive. The divergence is the sum of p * (exp(-r) - 1 + r),
r = log(p) - log(q), no term of which is negative; where p = 0 its term is q. Probabilities are multiples of TOP where a
tiny one is multiplied, as it keeps its digits so. float32 data too take the exact terms: differences of L are small.
"""

import math

import numpy as np

from . import _tiles as tiles
from ._math import TOP, compiled, difference, expm1, finite, fma, log1p, pointer_to
from ._run import cached
from ._tiles import FREE, LANES, LOG, MAX, OTHERS, WHOLE, WHOLE_ERROR

SUM, SUM_ERROR, RATIO = FREE + LANES, FREE + 2 * LANES, FREE + 3 * LANES


@compiled
def find_probabilities(tile, terms, depth, split, lanes):
    """Find the maxima and sums of a tile of logits; write their probabilities times TOP to `terms`."""
    tiles.find_max(tile, depth, split, lanes)
    for j in range(depth * LANES):
        terms[j] = tile[j]
    tiles.find_terms(terms, depth, split, 1.0, 0.0, 0.0, lanes)
    if split:
        tiles.spread(lanes, WHOLE)
        tiles.spread(lanes, WHOLE_ERROR)
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            whole = lanes[WHOLE + i]
            p = terms[at + i] / (whole / TOP)
            terms[at + i] = p - p * (lanes[WHOLE_ERROR + i] / whole)


@compiled
def finish_sum(lanes, split):
    """Merge the parts of SUM; an infinite one has no error."""
    tiles.merge(lanes, split, SUM)
    for i in range(1 if split else LANES):
        lanes[SUM + i] += finite(lanes[SUM_ERROR + i])
    if split:
        tiles.spread(lanes, SUM)


@cached
def entropy(start, stop, scratch, logits, losses, grad, divisor, n, inner, n_rows, tiny):
    """Compute the entropies, and the gradients unless `grad` is 0, of the tiles from start to stop."""
    x, grad_out, split = pointer_to(logits, tiny), pointer_to(grad, tiny), tiles.is_split(n, inner)
    depth = tiles.depth_of(n, split)
    lanes, tile, probs = tiles.places_in(scratch, depth)
    for number in range(start, stop):
        first, count = tiles.rows_of(number, split, n_rows)
        tiles.load(x, n, inner, split, first, count, tile, -np.inf)
        find_probabilities(tile, probs, depth, split, lanes)
        tiles.clear(lanes, SUM)
        for c in range(depth):
            at = c * LANES
            for i in range(LANES):
                p = probs[at + i]
                term = 0.0 if p == 0 else p * (lanes[MAX + i] - tile[at + i])
                tiles.accumulate(lanes, SUM, i, term)
        finish_sum(lanes, split)
        for i in range(count):
            pointer_to(losses, 1.0)[first + i] = lanes[LOG + i] + lanes[SUM + i] / TOP
        if grad != 0:
            for c in range(depth):
                at = c * LANES
                for i in range(LANES):
                    p, mean = probs[at + i], lanes[SUM + i] / TOP
                    center, lost = difference(lanes[MAX + i], mean)
                    d, error = difference(center, tile[at + i])
                    slope = (p * d + p * (error + lost)) / divisor / TOP
                    probs[at + i] = 0.0 if p == 0 else slope
            tiles.store(probs, n, inner, split, first, count, grad_out, tiny)


@compiled
def log_of_ratio(p_others, q_others):
    """Return log((1 + q') / (1 + p')) of two S'."""
    more = (q_others - p_others) / (1.0 + p_others)
    return math.log1p(more) if abs(more) < 0.5 else log1p(q_others) - log1p(p_others)


@compiled
def log_ratio(zp, mp, zq, mq, shift):
    """Return log(p) - log(q) with one rounding."""
    p_distance, p_error = difference(mp, zp)
    q_distance, q_error = difference(mq, zq)
    d, error = difference(q_distance, p_distance)
    r, lost = difference(d, -shift)
    return r + finite((error + lost) + (q_error - p_error))


@compiled
def divergence_term(p, q, r):
    """Return the term of a class of the divergence, times TOP; so are p and q."""
    near = p * max(r + expm1(-r), 0.0)
    far = q + p * (r - 1.0)
    return q if p == 0 else near if abs(r) <= 1.0 else far


@cached
def kl_div(
    start, stop, scratch, p_logits, q_logits, losses, grad_p, grad_q, divisor, n, inner, n_rows, tiny
):  # fmt: skip
    """Compute the divergences, and the gradients unless `grad_p` is 0, of the tiles from start to stop."""
    split = tiles.is_split(n, inner)
    depth = tiles.depth_of(n, split)
    p_lanes, zp, p = tiles.places_in(scratch, depth)
    q_lanes, zq, q = tiles.places_in(scratch, depth, 1)
    n_lanes = 1 if split else LANES
    for number in range(start, stop):
        first, count = tiles.rows_of(number, split, n_rows)
        tiles.load(pointer_to(p_logits, tiny), n, inner, split, first, count, zp, -np.inf)
        tiles.load(pointer_to(q_logits, tiny), n, inner, split, first, count, zq, -np.inf)
        find_probabilities(zp, p, depth, split, p_lanes)
        find_probabilities(zq, q, depth, split, q_lanes)
        tiles.clear(p_lanes, SUM)
        for i in range(n_lanes):
            p_lanes[RATIO + i] = log_of_ratio(p_lanes[OTHERS + i], q_lanes[OTHERS + i])
        if split:
            tiles.spread(p_lanes, RATIO)
        for c in range(depth):
            at = c * LANES
            for i in range(LANES):
                r = log_ratio(
                    zp[at + i], p_lanes[MAX + i], zq[at + i], q_lanes[MAX + i], p_lanes[RATIO + i]
                )
                zp[at + i] = r
                tiles.accumulate(p_lanes, SUM, i, divergence_term(p[at + i], q[at + i], r))
        finish_sum(p_lanes, split)
        for i in range(n_lanes):
            divergence = p_lanes[SUM + i] / TOP
            is_finite = math.isfinite(p_lanes[RATIO + i])
            p_lanes[SUM + i] = divergence if is_finite else math.nan
            if i < count:
                pointer_to(losses, 1.0)[first + i] = p_lanes[SUM + i]
        if grad_p != 0:
            if split:
                tiles.spread(p_lanes, SUM)
            for c in range(depth):
                at = c * LANES
                for i in range(LANES):
                    d, error = difference(zp[at + i], p_lanes[SUM + i])
                    slope = fma(p[at + i], d, p[at + i] * finite(error))
                    q[at + i] = (q[at + i] - p[at + i]) / divisor / TOP
                    p[at + i] = 0.0 if p[at + i] == 0 else slope / divisor / TOP
            tiles.store(p, n, inner, split, first, count, pointer_to(grad_p, tiny), tiny)
            tiles.store(q, n, inner, split, first, count, pointer_to(grad_q, tiny), tiny)
