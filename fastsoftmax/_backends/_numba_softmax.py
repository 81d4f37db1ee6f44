"""softmax, log_softmax, logsumexp, and the gradients of the first two, for Numba.

Each operation is a task, a tuple that is computed piece by piece: `stride` lanes from `first` on.
Arrays are addresses, 0 where there is none; `like` has the dtype of those that are not doubles.
Rows take three passes over data that stay in the cache (maximum; exp, store and sum; scale);
where nothing is stored between, two. Error: 4 ULP; measured about 3.
"""

import math
from typing import NamedTuple

import numpy as np

from ._numba_exp import log1p
from ._numba_math import divide, doubles, others_of, total_of
from ._numba_memory import (
    advance,
    lanes_in,
    number,
    pointer_to,
    store,
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


@compiled
def softmax_row(task, x, at, out, to):
    """Compute one row; out may be the row itself."""
    n, m = task.n_classes, row_max(x, at, task.n_classes)
    sums = row_exp_sum(x, at, out, to, n, m, task.slope, task.slope_error, not task.log)
    if task.log:
        row_log_shift(x, at, out, to, n, m, log1p(others_of(*sums)), task.temperature)
    else:
        total, error = total_of(*sums)
        factor, rest = divide(1.0, 0.0, total, error)
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
            factor, rest = divide(1.0, 0.0, total, error)
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
