"""Entropy and the Kullback-Leibler divergence, for Numba: tasks and pieces as in `_numba_softmax`.

Plain loops in double over the classes of one row at a time, wherever they lie; the formulas are those of
`numpy_impl`, with the rounding error of each difference and of each sum.
"""

import math
from typing import NamedTuple

import numpy as np

from ._numba_memory import pointer_to
from ._numba_rows import compiled


class EntropyTask(NamedTuple):
    """Entropy of each row, with its gradient unless `grad` is 0."""

    logits: int
    losses: int
    grad: int
    like: np.floating
    divisor: float
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


class DivergenceTask(NamedTuple):
    """Divergence of each pair of rows, with both gradients unless `grad_p` is 0."""

    p_logits: int
    q_logits: int
    losses: int
    grad_p: int
    grad_q: int
    like: np.floating
    divisor: float
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


TINY = 47.5
"""An exponent whose exp(-TINY) is nearer to a double than a hundredth of its last place."""
EXP_MINUS_TINY = math.exp(-TINY)


@compiled
def start_of(task, lane):
    """Return where a row starts; its classes are `inner` apart."""
    return lane // task.inner * task.n_classes * task.inner + lane % task.inner


@compiled
def difference(a, b):
    """Return a - b and its rounding error."""
    d = a - b
    part = d - a
    return d, (a - (d - part)) - (b + part)


@compiled
def add(total, error, value):
    """Return a compensated sum and a value added to it."""
    result, lost = difference(total, -value)
    return result, error + lost


@compiled
def settled(total, error):
    """Return a compensated sum as one number; an infinite one has no error but NaN."""
    return total + error if math.isfinite(total) else total


@compiled
def exp_minus(d, error):
    """Return exp(-(d + error)), the error being small."""
    e = math.exp(-d)
    return e - e * error if e > 0 else e


@compiled
def row_sums(x, at, n, step):
    """Return (m, S', 1 + S', what its rounding lost over it, sum of exp(x - m) * (m - x)) of a row.

    S' is NaN where m is infinite.
    """
    m = -np.inf
    for i in range(at, at + n * step, step):
        m = x[i] if x[i] > m else m
    m = np.float64(m)
    total, error, moment, moment_error, n_max = 0.0, 0.0, 0.0, 0.0, 0
    for i in range(at, at + n * step, step):
        if x[i] == m:
            n_max += 1
            continue
        d, lost = difference(m, np.float64(x[i]))
        e = exp_minus(d, lost)
        total, error = add(total, error, e)
        if e != 0:
            moment, moment_error = add(moment, moment_error, e * d)
    sum_below = settled(total, error) if math.isfinite(m) else np.nan
    whole, lost = difference(np.float64(n_max), -sum_below)
    lost = (lost + ((total - sum_below) + error)) / whole
    return m, sum_below + (n_max - 1), whole, lost, settled(moment, moment_error)


@compiled
def share(x, sums):
    """Return (p / unit, unit, m - x, the rounding error of that); the unit keeps the digits of a tiny p."""
    m, _, whole, whole_lost, _ = sums
    d, lost = difference(m, np.float64(x))
    is_tiny = d > 680 and math.isfinite(d)
    p = math.exp(TINY - d if is_tiny else -d) / whole
    if p > 0:
        p -= p * (lost + whole_lost)
    return p, EXP_MINUS_TINY if is_tiny else 1.0, d, lost


@compiled
def entropy_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of EntropyTask."""
    x, losses = pointer_to(task.logits, task.like), pointer_to(task.losses, 1.0)
    n, step = task.n_classes, task.inner
    for lane in range(first, first + n_lanes):
        at = start_of(task, lane)
        sums = row_sums(x, at, n, step)
        mean = sums[4] / sums[2]
        losses[lane] = math.log1p(sums[1]) + mean
        if task.grad:
            grad, (center, lost) = pointer_to(task.grad, task.like), difference(sums[0], mean)
            for i in range(at, at + n * step, step):
                p, unit, _, _ = share(x[i], sums)
                d, error = difference(center, np.float64(x[i]))
                grad[i] = 0.0 if p == 0 else (p * d + p * (error + lost)) / task.divisor * unit


@compiled
def log_ratio(p_distance, p_error, q_distance, q_error, shift):
    """Return log(p) - log(q) with one rounding, from the distances of the logits from their maxima."""
    d, error = difference(q_distance, p_distance)
    r, lost = difference(d, -shift)
    return r + ((error + lost) + (q_error - p_error)) if math.isfinite(r) else r


@compiled
def log_of_ratio(p_others, q_others):
    """Return log((1 + q') / (1 + p')) of two S'."""
    more = (q_others - p_others) / (1 + p_others)
    return math.log1p(more) if abs(more) < 0.5 else math.log1p(q_others) - math.log1p(p_others)


@compiled
def pair_at(p_logit, q_logit, p_sums, q_sums, shift):
    """Return (p / unit, unit, q, r) of a class."""
    p, unit, p_distance, p_error = share(p_logit, p_sums)
    q, q_unit, q_distance, q_error = share(q_logit, q_sums)
    return p, unit, q * q_unit, log_ratio(p_distance, p_error, q_distance, q_error, shift)


@compiled
def divergence_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of DivergenceTask."""
    zp, zq = pointer_to(task.p_logits, task.like), pointer_to(task.q_logits, task.like)
    losses, n, step = pointer_to(task.losses, 1.0), task.n_classes, task.inner
    for lane in range(first, first + n_lanes):
        at = start_of(task, lane)
        stop = at + n * step
        p_sums, q_sums = row_sums(zp, at, n, step), row_sums(zq, at, n, step)
        shift = log_of_ratio(p_sums[1], q_sums[1])
        total, error = 0.0, 0.0
        for i in range(at, stop, step):
            p, unit, q, r = pair_at(zp[i], zq[i], p_sums, q_sums, shift)
            term = q
            if p != 0:
                near = abs(r) <= 1
                term = p * max(r + math.expm1(-r), 0.0) * unit if near else q + p * (r - 1) * unit
            total, error = add(total, error, term)
        divergence = settled(total, error) if math.isfinite(shift) else np.nan
        losses[lane] = divergence
        if task.grad_p:
            grad_p, grad_q = pointer_to(task.grad_p, task.like), pointer_to(task.grad_q, task.like)
            for i in range(at, stop, step):
                p, unit, q, r = pair_at(zp[i], zq[i], p_sums, q_sums, shift)
                d, error = difference(r, divergence)
                slope = p * d + p * error if math.isfinite(d) else p * d
                grad_p[i] = 0.0 if p == 0 else slope / task.divisor * unit
                grad_q[i] = (q - p * unit) / task.divisor
