"""softmax, log_softmax, logsumexp, the gradients of the first two, and sigmoids, for Numba.

Each operation is a task, a tuple that is computed piece by piece: `stride` lanes from `first` on.
Arrays are addresses, 0 where there is none; `like` has the dtype of those that are not doubles.
Rows take three passes over data that stay in the cache (maximum; exp, store and sum; scale);
where nothing is stored between, two. Error: 4 ULP; measured about 3.
"""

import math
from typing import NamedTuple

import numpy as np

from ._numba_exp import exp_minus_abs, log1p, sigmoid_of
from ._numba_math import divide, doubles, others_of, total_of
from ._numba_memory import (
    advance,
    lanes_in,
    load_part,
    number,
    pointer_to,
    spread,
    store,
    store_part,
)
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
    rows_after,
    tile_load,
    tile_store,
)


class SoftmaxTask(NamedTuple):
    """softmax, or log_softmax if `log`."""

    x: int
    out: int
    where: int  # uint8
    log: bool
    temperature: float
    like: np.floating
    slope: np.floating  # 1 / temperature in two parts
    slope_error: np.floating
    form: int
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


class LogsumexpTask(NamedTuple):
    """logsumexp."""

    x: int
    out: int
    where: int  # uint8
    like: np.floating
    form: int
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


class BackwardTask(NamedTuple):
    """The gradient of softmax, or of log_softmax if `log`; `forward` is what that returned."""

    grad: int
    forward: int
    out: int
    like: np.floating
    log: bool
    form: int
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


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
def softmax_tile(task, first, x, out, tile):
    """Compute the tile of the lanes from `first` on in place."""
    n, stride, stores = task.n_classes, task.stride, not task.log
    after, out_after = rows_after(x, task, first, tile), rows_after(out, task, first, tile)
    for at in range(0, stride, lanes_in(tile)):
        m = lanes_max(tile, at, stride, n)
        sums = lanes_exp_sum(
            tile, at, stride, n, m, task.slope, task.slope_error, stores, after, out_after
        )
        if task.log:
            lanes_log_shift(tile, at, stride, n, m, log1p(others_of(*sums)), task.temperature)
        else:
            total, error = total_of(*sums)
            factor, rest = divide(1.0, total, error)
            lanes_scale(tile, at, stride, n, m, factor, rest)


@compiled
def mask_row(task, lane, x, at, value):
    """Write `value` where the mask of a lane is false."""
    where = pointer_to(task.where, np.uint8(0))
    start = lane // task.inner * task.n_classes * task.inner + lane % task.inner
    for c in range(task.n_classes):
        if not where[start + c * task.inner]:
            x[at + c] = value


@compiled
def softmax_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of SoftmaxTask."""
    n, has_mask = task.n_classes, task.where != 0
    x, out = pointer_to(task.x, task.like), pointer_to(task.out, task.like)
    if task.form == ROWS and not has_mask:
        softmax_row(task, x, first * n, out, first * n)
        return
    tile_load(x, task, first, n_lanes, scratch)
    if task.form == TURNED or task.form == COLUMNS:
        softmax_tile(task, first, x, out, scratch)
    else:
        for lane in range(n_lanes):
            if has_mask:
                mask_row(task, first + lane, scratch, lane * n, -np.inf)
            softmax_row(task, scratch, lane * n, scratch, lane * n)
            if has_mask:
                mask_row(task, first + lane, scratch, lane * n, -np.inf if task.log else 0.0)
    tile_store(scratch, task, first, n_lanes, out)


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
    one, n = number(x, 1), task.n_classes
    m = row_max(x, at, n)
    sums = row_exp_sum(x, at, x, at, n, m, one, number(x, 0), False)
    return lse_of(np.float64(m), log1p(others_of(*sums)), x, at, 1, n)


@compiled
def logsumexp_tile(task, x, out, first, n_lanes, tile, wide):
    """Compute the lanes of a tile."""
    after = rows_after(x, task, first, tile)
    n, stride, lanes = task.n_classes, task.stride, lanes_in(tile)
    one, zero = number(tile, 1), number(tile, 0)
    for at in range(0, stride, lanes):
        m = lanes_max(tile, at, stride, n)
        sums = lanes_exp_sum(tile, at, stride, n, m, one, zero, False, after, tile)
        store(wide, 0, doubles(m))
        store(wide, lanes, log1p(others_of(*sums)))
        for i in range(min(lanes, n_lanes - at)):
            out[first + at + i] = lse_of(wide[i], wide[lanes + i], tile, at + i, stride, n)


@compiled
def logsumexp_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of LogsumexpTask."""
    n = task.n_classes
    x, out = pointer_to(task.x, task.like), pointer_to(task.out, task.like)
    if task.form == ROWS and task.where == 0:
        out[first] = logsumexp_row(task, x, first * n)
        return
    tile_load(x, task, first, n_lanes, scratch)
    if task.form == TURNED or task.form == COLUMNS:
        logsumexp_tile(task, x, out, first, n_lanes, scratch, wide)
        return
    for lane in range(n_lanes):
        if task.where != 0:
            mask_row(task, first + lane, scratch, lane * n, -np.inf)
        out[first + lane] = logsumexp_row(task, scratch, lane * n)


@compiled
def backward_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of BackwardTask."""
    n, at = task.n_classes, first * task.n_classes
    grad, forward = pointer_to(task.grad, task.like), pointer_to(task.forward, task.like)
    out = pointer_to(task.out, task.like)
    if task.form != ROWS:
        tile_load(grad, task, first, n_lanes, scratch)
        tile_load(forward, task, first, n_lanes, advance(scratch, task.stride * n))
        grad, forward, out, at = scratch, advance(scratch, task.stride * n), scratch, 0
    for lane in range(n_lanes):
        row = at + lane * n
        if task.log:
            row_log_softmax_backward(grad, forward, row, out, row, n)
        else:
            row_softmax_backward(grad, forward, row, out, row, n)
    if task.form != ROWS:
        tile_store(out, task, first, n_lanes, pointer_to(task.out, task.like))


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
