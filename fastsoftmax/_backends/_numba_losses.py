"""Cross-entropy for Numba: the loss of each row, and its gradient.

Loss alone: one read of the logits; nothing is stored, no probability materialised. With the
gradient: as softmax, the terms staged in the gradient itself, the factor of the row folded into
the last pass, and the target's entry mended after it from S', never as p - 1. Probabilities as
targets and label smoothing add one pass for sum(t * (m - z)) and subtract t in the last. Error: 4
ULP a row for the loss, 4 ULP for the gradient.
"""

import math
from typing import NamedTuple

import numpy as np

from ._numba_exp import log1p
from ._numba_math import (
    divide,
    doubles,
    loss_of,
    others_of,
    own_slope,
    product_of_two,
    quotient,
    scale_of,
    total_of,
)
from ._numba_memory import advance, lanes_in, load_doubles, pointer_to, read_once, store
from ._numba_rows import (
    compiled,
    row_combine,
    row_distance,
    row_exp_sum,
    row_max,
    row_scale,
    row_sum,
)
from ._numba_tiles import (
    COLUMNS,
    ROWS,
    TURNED,
    lanes_exp_sum,
    lanes_max,
    lanes_scale,
    rows_after,
    tile_load,
    tile_store,
)

LARGEST = float(np.finfo(np.float64).max)
PART = 2.0**-40
USED, IGNORED, BAD = range(3)
# What a tile keeps for each lane: weight, sample weight and logit of the target, class, results.
T, S, Z, Y, RESULT, TERM = range(6)
LANE_ARRAYS = 6


class LossTask(NamedTuple):
    """One call; arrays are addresses, 0 where there is none, and `like` has their dtype."""

    logits: int
    index: int  # int64 classes; 0 with probabilities
    probabilities: int
    base: int  # smoothing / n_classes * weight, for index targets with smoothing
    losses: int
    grad: int
    weight: int
    sample_weight: int
    like: np.floating
    has_ignore: bool
    ignore_index: int
    smoothing: float
    z_loss: float
    softcap: float
    temperature: float
    grad_scale: float  # in two parts
    grad_scale_error: float
    grad_slope: float  # grad_scale / temperature in two parts
    grad_slope_error: float
    slope: np.floating  # 1 / temperature in two parts
    slope_error: np.floating
    form: int
    stride: int
    per_block: int
    n_lanes: int
    n_classes: int
    inner: int


@compiled
def read_target(task, lane):
    """Return (state, class, (1 - smoothing) * its weight, sample weight) of a row."""
    s = pointer_to(task.sample_weight, 1.0)[lane] if task.sample_weight else 1.0
    if s == 0:
        return IGNORED, 0, 0.0, s
    if task.index == 0:
        return USED, 0, 0.0, s
    y = read_once(pointer_to(task.index, np.int64(0)), lane)
    if task.has_ignore and y == task.ignore_index:
        return IGNORED, 0, 0.0, s
    if y < 0 or y >= task.n_classes:
        return BAD, 0, 0.0, s
    weight = pointer_to(task.weight, 1.0)[y] if task.weight else 1.0
    return USED, y, (1 - task.smoothing) * weight, s


@compiled
def set_row(task, lane, grad, at, step, state):
    """Give a row that is ignored (0) or bad (NaN) its loss and gradient."""
    value = 0.0 if state == IGNORED else math.nan
    pointer_to(task.losses, 1.0)[lane] = value
    if task.grad:
        for c in range(task.n_classes):
            grad[at + c * step] = value


@compiled
def finish_gradient(task, grad, to, t, t_at, has_t, y, target, m, z, sums, share, scale, lost):
    """Turn the staged terms of a row into its gradient; `target` is t of the index alone.

    The scale comes in two parts, `lost` is the smaller one. The share is a PART of it, which is in
    range where the whole may not be.
    """
    n = task.n_classes
    total, error = total_of(*sums)
    p = np.float64(grad[to + y]) / total
    numerator, numerator_error = scale_of(share, scale, lost)
    factor, rest = divide(numerator, numerator_error, PART * total, PART * error)
    if task.z_loss != 0 and math.isinf(factor):  # beside a probability of 0 it is nothing
        factor, rest = math.copysign(LARGEST, factor), 0.0
    base = 0.0
    if has_t:
        base = np.float64(t[t_at + y])
        row_combine(grad, to, t, t_at, n, factor, rest, scale)
    else:
        row_scale(grad, to, n, factor, rest)
    if task.index:
        own = target * own_slope(z, m, p, *sums) - base
        if p != 0:
            own += (share - PART * target) * p / PART
        grad[to + y] = scale * own + lost * own


@compiled
def loss_row(
    task, lane, x, at, t, t_at, has_t, grad, to, shift, temperature, slopes, scale, scale_error
):
    """Compute one row of logits x; t, if `has_t`, is its dense target or base; grad may be x.

    `shift` has been subtracted from the logits; the gradient is multiplied with a scale in two
    parts. Returns the state of the row.
    """
    n = task.n_classes
    state, y, target, s = read_target(task, lane)
    if state != USED:
        set_row(task, lane, grad, to, 1, state)
        return state
    max_x = row_max(x, at, n)
    m, z = np.float64(max_x), np.float64(x[at + y])
    total, distance = target, 0.0
    if has_t:
        distance = row_distance(t, t_at, x, at, n, max_x) / temperature
        total += row_sum(t, t_at, n)
    sums = row_exp_sum(x, at, grad, to, n, max_x, slopes[0], slopes[1], task.grad != 0)
    log_sum = log1p(others_of(*sums))
    if target != 0:
        distance += target * ((0.5 * m - 0.5 * z) / temperature) * 2
    loss, share = s * (total * log_sum + distance), PART * total
    if task.z_loss != 0:
        lse = (m + shift) / temperature + log_sum
        loss += s * task.z_loss * lse * lse
        share += 2 * task.z_loss * (PART * log_sum + PART * (m + shift) / temperature)
    pointer_to(task.losses, 1.0)[lane] = loss
    if task.grad:
        scale, lost = scale_of(s, scale, scale_error)
        finish_gradient(task, grad, to, t, t_at, has_t, y, target, m, z, sums, share, scale, lost)
    return state


@compiled
def read_targets(task, first, n_lanes, tile, at, wide):
    """Bring the targets of one vector of lanes to `wide`; lanes from n_lanes on count as 0."""
    lanes = lanes_in(tile)
    for i in range(lanes):
        state, y, target, s = USED, 0, 0.0, 0.0
        if i < n_lanes:
            state, y, target, s = read_target(task, first + i)
        wide[T * lanes + i], wide[S * lanes + i] = target, s
        wide[Z * lanes + i] = tile[y * task.stride + at + i]
        wide[Y * lanes + i] = y if state == USED else -state


@compiled
def loss_tile(task, first, n_lanes, tile, at, wide, after, out_after):
    """One vector of lanes with index targets and neither smoothing nor softcap nor z_loss.

    `after` and `out_after` are what comes next, as in `lanes_exp_sum`.
    """
    n, stride, lanes, has_grad = task.n_classes, task.stride, lanes_in(tile), task.grad != 0
    read_targets(task, first, n_lanes, tile, at, wide)
    m = lanes_max(tile, at, stride, n)
    sums = lanes_exp_sum(
        tile, at, stride, n, m, task.slope, task.slope_error, has_grad, after, out_after
    )
    others, wide_m = others_of(*sums), doubles(m)
    t, s = load_doubles(wide, T * lanes, m), load_doubles(wide, S * lanes, m)
    z = load_doubles(wide, Z * lanes, m)
    store(wide, RESULT * lanes, loss_of(t, s, z, wide_m, log1p(others), task.temperature))
    for i in range(n_lanes):
        pointer_to(task.losses, 1.0)[first + i] = wide[RESULT * lanes + i]
        if has_grad:
            y = max(0, int(wide[Y * lanes + i]))
            wide[TERM * lanes + i] = tile[y * stride + at + i]
    if has_grad:
        total, error = total_of(*sums)
        p = quotient(load_doubles(wide, TERM * lanes, m), total)
        own = own_slope(z, wide_m, p, *sums)
        slope, lost = scale_of(s, task.grad_slope, task.grad_slope_error)
        scale, lost = scale_of(t, slope, lost)
        factor, rest = divide(scale, lost, total, error)
        lanes_scale(tile, at, stride, n, m, factor, rest)
        store(wide, RESULT * lanes, product_of_two(own, scale, lost))
    for i in range(n_lanes):
        y = int(wide[Y * lanes + i])
        if y < 0:
            set_row(task, first + i, tile, at + i, stride, -y)
        elif has_grad:
            tile[y * stride + at + i] = wide[RESULT * lanes + i]


@compiled
def write_target(task, y, y_at, t, t_at):
    """Write t = weight * ((1 - smoothing) * y + smoothing / n_classes) of one row."""
    kept, uniform = 1 - task.smoothing, task.smoothing / task.n_classes
    if task.weight:
        weight = pointer_to(task.weight, 1.0)
        for c in range(task.n_classes):
            t[t_at + c] = (kept * y[y_at + c] + uniform) * weight[c]
    else:
        for c in range(task.n_classes):
            t[t_at + c] = kept * y[y_at + c] + uniform


@compiled
def plain_row(task, lane, x, at, dense, grad, to):
    """Compute one row without a soft cap; `dense` has its probabilities, also at `at`."""
    t, t_at, has_t = pointer_to(task.base, task.like), 0, task.base != 0
    if task.index == 0:
        write_target(task, dense, at, dense, at)
        t, t_at, has_t = dense, at, True
    slopes, scale, lost = (task.slope, task.slope_error), task.grad_slope, task.grad_slope_error
    loss_row(
        task, lane, x, at, t, t_at, has_t, grad, to, 0.0, task.temperature, slopes, scale, lost
    )


@compiled
def capped_distance(u, v, difference, softcap):
    """Return softcap * (tanh(u) - tanh(v)) for u >= v, given u - v; nothing cancels.

    Where u and v have one sign, tanh(u) - tanh(v) = sinh(u - v) / (cosh(u) * cosh(v)).
    """
    if u >= 0 and v < 0:
        return softcap * (math.tanh(u) - math.tanh(v))
    a, b = math.exp(-2 * abs(u)), math.exp(-2 * abs(v))
    return -2 * softcap * max(a, b) * math.expm1(-2 * difference) / ((1 + a) * (1 + b))


@compiled
def capped_row(task, lane, x, at, dense, wide):
    """Compute one row, in place, whose logits are z = softcap * tanh(x / temperature / softcap).

    What is computed with is z - m, m the capped maximum. With e = exp(-2 * abs(u)): sech(u)**2
    = 4 * e / (1 + e)**2, which keeps its digits where tanh is near 1.
    """
    n, cap, temperature = task.n_classes, task.softcap, task.temperature
    slopes, t, base = advance(wide, n), advance(wide, 2 * n), pointer_to(task.base, task.like)
    m = np.float64(row_max(x, at, n))
    top = m / temperature / cap
    for c in range(n):
        v = np.float64(x[at + c])
        u = v / temperature / cap
        e = math.exp(-2 * abs(u))
        wide[c] = 0.0
        if v != m:
            wide[c] = -capped_distance(top, u, (m - v) / temperature / cap, cap)
        slopes[c] = 4 * e / ((1 + e) * (1 + e)) / temperature
    if task.index == 0:
        write_target(task, dense, at, t, 0)
    elif task.base:
        for c in range(n):
            t[c] = base[c]
    has_t, shift = task.index == 0 or task.base != 0, cap * math.tanh(top)
    scale, lost = task.grad_scale, task.grad_scale_error
    state = loss_row(task, lane, wide, 0, t, 0, has_t, wide, 0, shift, 1.0, (1.0, 0.0), scale, lost)
    if task.grad:
        for c in range(n):
            x[at + c] = wide[c] * slopes[c] if state == USED else wide[c]


@compiled
def loss_piece(task, first, n_lanes, scratch, wide):
    """Compute a piece of LossTask: in place, in a tile, or row by row in scratch."""
    n, lanes = task.n_classes, lanes_in(scratch)
    logits, grad = pointer_to(task.logits, task.like), pointer_to(task.grad, task.like)
    if task.form == ROWS and task.index and task.softcap == 0:
        plain_row(task, first, logits, first * n, scratch, grad, first * n)
        return
    dense = advance(scratch, task.stride * n)
    tile_load(logits, task, first, n_lanes, scratch)
    if task.index == 0:
        tile_load(pointer_to(task.probabilities, task.like), task, first, n_lanes, dense)
    if task.form == TURNED or task.form == COLUMNS:
        after, out_after = (
            rows_after(logits, task, first, scratch),
            rows_after(grad, task, first, scratch),
        )
        for at in range(0, n_lanes, lanes):
            k = min(lanes, n_lanes - at)
            loss_tile(task, first + at, k, scratch, at, wide, after, out_after)
    else:
        for lane in range(n_lanes):
            if task.softcap != 0:
                capped_row(task, first + lane, scratch, lane * n, dense, wide)
            else:
                plain_row(task, first + lane, scratch, lane * n, dense, scratch, lane * n)
    if task.grad:
        tile_store(scratch, task, first, n_lanes, grad)
