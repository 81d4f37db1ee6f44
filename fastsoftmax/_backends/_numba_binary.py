"""Sigmoids and binary cross-entropy, for Numba: tasks and pieces as in `_numba_softmax`."""

from typing import NamedTuple

import numpy as np

from ._numba_exp import exp_minus_abs, log1p, sigmoid_of
from ._numba_memory import advance, lanes_in, load_part, pointer_to, spread, store, store_part
from ._numba_rows import compiled


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
def binary_element(task, i, label, e, log_term):
    """Write the loss and the gradient of one logit; e = exp(-abs(x)), log_term = log1p(e)."""
    v = np.float64(pointer_to(task.logits, task.like)[i])
    positive = target = np.float64(pointer_to(task.targets, task.like)[i])
    weight = pointer_to(task.weight, 1.0)[i] if task.weight else 1.0
    if task.pos_weight:
        positive = pointer_to(task.pos_weight, 1.0)[label] * target
    negative = 1 - target
    up = 0.0 if negative == 0 else negative * ((v if v > 0 else 0.0) + log_term)
    down = 0.0 if positive == 0 else positive * ((0.0 if v > 0 else -v) + log_term)
    pointer_to(task.losses, 1.0)[i] = weight * (up + down)
    if task.grad:
        share, other = 1 / (1 + e), e / (1 + e)
        p, q = (share, other) if v > 0 else (other, share)
        pointer_to(task.grad, task.like)[i] = (
            weight * task.grad_scale * (negative * p - positive * q)
        )


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
        store(rest, i, log1p(e))
    label = first % task.n_labels
    for i in range(n_lanes):
        binary_element(task, first + i, label, wide[i], rest[i])
        label = 0 if label + 1 == task.n_labels else label + 1
