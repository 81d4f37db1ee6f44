"""softmax, log_softmax, logsumexp, the gradients of the first two, and sigmoids, for Numba.

Each operation is a task, a tuple that is computed piece by piece: `stride` lanes from `first` on. Rows take
three passes over data that stay in the cache (maximum; exp, store and sum; scale); where nothing is stored
between, two. Error: 4 ULP; measured about 3.
"""

import math
from typing import NamedTuple

import numpy as np

from ._numba_math import divide, doubles, exp_minus_abs, log1p, others_of, sigmoid_of, total_of
from ._numba_rows import (
    compiled,
    row_exp_sum,
    row_log_shift,
    row_log_softmax_backward,
    row_max,
    row_scale,
    row_softmax_backward,
)
from ._numba_tiles import (
    COLUMNS,
    ROWS,
    TURNED,
    lanes_exp_sum,
    lanes_log_shift,
    lanes_max,
    lanes_scale,
    tile_load,
    tile_store,
)
from ._numba_vectors import lanes_in, load_part, spread, store, store_part


class SoftmaxTask(NamedTuple):
    """softmax, or log_softmax if `log`; arrays are flat, and empty where there is none."""

    x: np.ndarray
    out: np.ndarray
    where: np.ndarray
    log: bool
    temperature: float
    slope: np.floating  # 1 / temperature in two parts
    slope_error: np.floating
    form: int
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


class LogsumexpTask(NamedTuple):
    """As SoftmaxTask."""

    x: np.ndarray
    out: np.ndarray
    where: np.ndarray
    form: int
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


class BackwardTask(NamedTuple):
    """The gradient of softmax, or of log_softmax if `log`; `forward` is what that returned."""

    grad: np.ndarray
    forward: np.ndarray
    out: np.ndarray
    log: bool
    form: int
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


class SigmoidTask(NamedTuple):
    """Element by element; each is a lane."""

    x: np.ndarray
    out: np.ndarray
    stride: int
    per_block: int
    n_lanes: int


class BinaryTask(NamedTuple):
    """Binary cross-entropy, element by element; those of a row have `pos_weight` side by side."""

    logits: np.ndarray
    targets: np.ndarray
    losses: np.ndarray
    grad: np.ndarray
    weight: np.ndarray
    pos_weight: np.ndarray
    grad_scale: float
    stride: int
    per_block: int
    n_lanes: int


@compiled
def softmax_row(task, x, at, out, to):
    """Compute one row; out may be the row itself."""
    n, m = task.n_classes, row_max(x, at, task.n_classes)
    sums = row_exp_sum(x, at, out, to, n, m, task.slope, task.slope_error, not task.log)
    if task.log:
        row_log_shift(x, at, out, to, n, m, log1p(others_of(*sums)), task.temperature)
    else:
        total, error = total_of(*sums)
        factor, rest = divide(1.0, total, error)
        row_scale(out, to, n, factor, rest)


@compiled
def softmax_tile(task, tile):
    """Compute a tile in place."""
    n, stride = task.n_classes, task.stride
    for at in range(0, stride, lanes_in(tile)):
        m = lanes_max(tile, at, stride, n)
        sums = lanes_exp_sum(tile, at, stride, n, m, task.slope, task.slope_error, not task.log)
        if task.log:
            lanes_log_shift(tile, at, stride, n, m, log1p(others_of(*sums)), task.temperature)
        else:
            total, error = total_of(*sums)
            factor, rest = divide(1.0, total, error)
            lanes_scale(tile, at, stride, n, m, factor, rest)


@compiled
def mask_row(task, lane, x, at, value):
    """Write `value` where the mask of a lane is false."""
    start = lane // task.inner * task.n_classes * task.inner + lane % task.inner
    for c in range(task.n_classes):
        if not task.where[start + c * task.inner]:
            x[at + c] = value


@compiled
def softmax_piece(task, first, n_lanes, scratch, doubles_scratch):
    """Compute a piece of SoftmaxTask."""
    n = task.n_classes
    if task.form == ROWS and task.where.size == 0:
        softmax_row(task, task.x, first * n, task.out, first * n)
        return
    tile_load(task.x, task, first, n_lanes, scratch)
    if task.form == TURNED or task.form == COLUMNS:
        softmax_tile(task, scratch)
    else:
        for lane in range(n_lanes):
            if task.where.size:
                mask_row(task, first + lane, scratch, lane * n, -np.inf)
            softmax_row(task, scratch, lane * n, scratch, lane * n)
            if task.where.size:
                mask_row(task, first + lane, scratch, lane * n, -np.inf if task.log else 0.0)
    tile_store(scratch, task, first, n_lanes, task.out)


@compiled
def lse_of(m, log_sum, x, at, step, n):
    """Return m + L; an infinite maximum is the result itself, unless there is a NaN."""
    if math.isfinite(m):
        return m + log_sum
    for c in range(n):
        if math.isnan(x[at + c * step]):
            return math.nan
    return m


@compiled
def logsumexp_row(task, x, at):
    """Return the result of one row."""
    one, n = x.dtype.type(1), task.n_classes
    m = row_max(x, at, n)
    sums = row_exp_sum(x, at, x, at, n, m, one, x.dtype.type(0), False)
    return lse_of(np.float64(m), log1p(others_of(*sums)), x, at, 1, n)


@compiled
def logsumexp_tile(task, first, n_lanes, tile, wide):
    """Compute the lanes of a tile."""
    n, stride, lanes = task.n_classes, task.stride, lanes_in(tile)
    one, zero = tile.dtype.type(1), tile.dtype.type(0)
    for at in range(0, stride, lanes):
        m = lanes_max(tile, at, stride, n)
        sums = lanes_exp_sum(tile, at, stride, n, m, one, zero, False)
        store(wide, 0, doubles(m))
        store(wide, lanes, log1p(others_of(*sums)))
        for i in range(min(lanes, n_lanes - at)):
            task.out[first + at + i] = lse_of(wide[i], wide[lanes + i], tile, at + i, stride, n)


@compiled
def logsumexp_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of LogsumexpTask."""
    n = task.n_classes
    if task.form == ROWS and task.where.size == 0:
        task.out[first] = logsumexp_row(task, task.x, first * n)
        return
    tile_load(task.x, task, first, n_lanes, scratch)
    if task.form == TURNED or task.form == COLUMNS:
        logsumexp_tile(task, first, n_lanes, scratch, wide)
        return
    for lane in range(n_lanes):
        if task.where.size:
            mask_row(task, first + lane, scratch, lane * n, -np.inf)
        task.out[first + lane] = logsumexp_row(task, scratch, lane * n)


@compiled
def backward_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of BackwardTask."""
    n = task.n_classes
    grad, forward, out, at = task.grad, task.forward, task.out, first * n
    if task.form != ROWS:
        grad, forward, at = scratch, scratch[task.stride * n :], 0
        out = grad
        tile_load(task.grad, task, first, n_lanes, grad)
        tile_load(task.forward, task, first, n_lanes, forward)
    for lane in range(n_lanes):
        row = at + lane * n
        if task.log:
            row_log_softmax_backward(grad, forward, row, out, row, n)
        else:
            row_softmax_backward(grad, forward, row, out, row, n)
    if task.form != ROWS:
        tile_store(out, task, first, n_lanes, task.out)


@compiled
def sigmoid_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of SigmoidTask."""
    lanes, fill, stop = lanes_in(task.x), spread(task.x.dtype.type(0)), first + n_lanes
    i = first
    while i < stop:
        k = min(lanes, stop - i)
        store_part(task.out, i, k, sigmoid_of(load_part(task.x, i, k, fill)))
        i += lanes


@compiled
def binary_element(task, i, label, e, log_term):
    """Write the loss and the gradient of one logit; e = exp(-abs(x)), log_term = log1p(e)."""
    v, target = np.float64(task.logits[i]), np.float64(task.targets[i])
    weight = task.weight[i] if task.weight.size else 1.0
    positive = task.pos_weight[label] * target if task.pos_weight.size else target
    negative = 1 - target
    up = 0.0 if negative == 0 else negative * ((v if v > 0 else 0.0) + log_term)
    down = 0.0 if positive == 0 else positive * ((0.0 if v > 0 else -v) + log_term)
    task.losses[i] = weight * (up + down)
    if task.grad.size:
        share, other = 1 / (1 + e), e / (1 + e)
        p, q = (share, other) if v > 0 else (other, share)
        task.grad[i] = weight * task.grad_scale * (negative * p - positive * q)


@compiled
def binary_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of BinaryTask; exponentials and logarithms go through scratch."""
    x, lanes = task.logits, lanes_in(task.logits)
    fill, rest = spread(x.dtype.type(0)), wide[n_lanes + lanes :]
    for i in range(0, n_lanes, lanes):
        v = load_part(x, first + i, min(lanes, n_lanes - i), fill)
        e = exp_minus_abs(v)
        store(wide, i, e)
        store(rest, i, log1p(e))
    n_labels = max(1, task.pos_weight.size)
    label = first % n_labels
    for i in range(n_lanes):
        binary_element(task, first + i, label, wide[i], rest[i])
        label = 0 if label + 1 == n_labels else label + 1
