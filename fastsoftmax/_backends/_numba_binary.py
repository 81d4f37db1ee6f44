"""Sigmoids and binary cross-entropy, for Numba: tasks and pieces as in `_numba_softmax`."""

import math
from typing import NamedTuple

import numpy as np

from ._numba_exp import UNIT_EXPONENT, exp_minus_abs, log1p, sigmoid_of, without_unit
from ._numba_math import product_error, scale_of
from ._numba_memory import advance, lanes_in, load_part, pointer_to, spread, store, store_part
from ._numba_rows import compiled

UNIT = 2.0**-UNIT_EXPONENT
TINY = 2.0**-940


class SigmoidTask(NamedTuple):
    """Element by element; each is a lane."""

    x: int
    out: int
    like: np.floating
    stride: int
    per_block: int
    n_lanes: int


class BinaryTask(NamedTuple):
    """Binary cross-entropy, element by element; those of a row have `pos_weight` side by side."""

    logits: int
    targets: int
    losses: int
    grad: int
    weight: int
    pos_weight: int
    like: np.floating
    n_labels: int
    grad_scale: float
    stride: int
    per_block: int
    n_lanes: int


@compiled
def sigmoid_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of SigmoidTask."""
    x, out = pointer_to(task.x, task.like), pointer_to(task.out, task.like)
    lanes, fill, stop = lanes_in(x), spread(task.like), first + n_lanes
    i = first
    while i < stop:
        k = min(lanes, stop - i)
        store_part(out, i, k, sigmoid_of(load_part(x, i, k, fill)))
        i += lanes


@compiled
def binary_element(task, i, label, term, log_term):
    """Write the loss and the gradient of one logit v; term = exp(-abs(v)) * 2**UNIT_EXPONENT.

    `near` is the answer that v is in favour of, whose loss is log_term = log1p(exp(-abs(v))), `far`
    the other one. What the products of the weights lose by rounding is added to the sum.
    """
    v = np.float64(pointer_to(task.logits, task.like)[i])
    target = np.float64(pointer_to(task.targets, task.like)[i])
    weight = pointer_to(task.weight, 1.0)[i] if task.weight else 1.0
    factor = pointer_to(task.pos_weight, 1.0)[label] if task.pos_weight else 1.0
    if weight == 0:
        pointer_to(task.losses, 1.0)[i] = 0.0
        if task.grad:
            pointer_to(task.grad, task.like)[i] = 0.0
        return
    near, far = factor * target, 1 - target
    near_lost, far_lost = product_error(factor, target, near), (1 - far) - target
    if not v > 0:
        near, near_lost, far, far_lost = far, far_lost, near, near_lost
    near_weight, near_error = scale_of(near, weight, 0.0)
    far_weight, far_error = scale_of(far, weight, 0.0)
    near_error, far_error = near_error + near_lost * weight, far_error + far_lost * weight
    e = term * UNIT
    is_tiny = term < TINY  # e has too few digits: it keeps the unit until it is weighted
    size, near_loss = (UNIT, term) if is_tiny else (1.0, log_term)
    far_loss = abs(v) + log_term
    near = 0.0 if near_weight == 0 else near_weight * near_loss * size
    far = 0.0 if far_weight == 0 else far_weight * far_loss
    rest = product_error(far_weight, far_loss, far) + far_error * far_loss
    rest += far_weight * (log_term - (far_loss - abs(v)))
    if not is_tiny:
        rest += product_error(near_weight, near_loss, near) + near_error * near_loss
    if not math.isfinite(rest):
        rest = 0.0
    pointer_to(task.losses, 1.0)[i] = (near + far) + rest
    if task.grad:
        near_share = term if is_tiny else e / (1 + e)
        slope = far_weight / (1 + e) + far_error / (1 + e)
        slope -= near_weight * near_share * size + near_error * near_share * size
        pointer_to(task.grad, task.like)[i] = (slope if v > 0 else -slope) * task.grad_scale


@compiled
def binary_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of BinaryTask; exponentials and logarithms go through scratch."""
    x, fill = pointer_to(task.logits, task.like), spread(task.like)
    lanes = lanes_in(x)
    rest = advance(wide, n_lanes + lanes)
    for i in range(0, n_lanes, lanes):
        v = load_part(x, first + i, min(lanes, n_lanes - i), fill)
        e = exp_minus_abs(v)
        store(wide, i, e)
        store(rest, i, log1p(without_unit(e)))
    label = first % task.n_labels
    for i in range(n_lanes):
        binary_element(task, first + i, label, wide[i], rest[i])
        label = 0 if label + 1 == task.n_labels else label + 1
