"""How blocks are cut into work, and softmax down the columns of a tile, for Numba.

A block (outer, n_classes, inner) has outer * inner lanes, each a row of the softmax. Its form
follows from the shape alone:

- ROWS: contiguous rows, computed where they lie;
- TURNED: few classes; a tile holds n_classes rows of `stride` lanes, so that vectors are full;
- COLUMNS: another axis than the last; lanes lie like this already and are copied into tiles in
  short runs;
- GATHERED: what has no form as a tile is turned into rows in scratch, `stride` at once.
"""

import numpy as np

from ._numba_exp import exp_frame
from ._numba_math import (
    counts_as_doubles,
    doubles,
    larger,
    log_shifted,
    log_shifted_by,
    no_counts,
    rounded_as,
    scale_parts,
    scaled,
    sums_add,
    sums_add_four,
    zeros,
)
from ._numba_memory import advance, lanes_in, load, number, spread, store
from ._numba_rows import compiled, exp_step, fetch_four, leave_out
from ._numba_turns import turn_part, turn_part_back, turn_square
from ._numba_vectors import REAL_LANES

ROWS, TURNED, COLUMNS, GATHERED = range(4)
FEW_CLASSES = 160  # up to here a contiguous row is turned
TILE_CLASSES = 4096  # up to here a tile of columns fits the cache
TILE_BYTES = 1 << 17
BLOCK_ELEMENTS = 1 << 14  # a block of rows: enough work to be worth a call


def cut(shape, dtype, plain):
    """Return (form, stride, lanes of a block); what is not plain has no form as a tile."""
    _, n_classes, inner = shape
    stride = lanes = REAL_LANES[8 * dtype.itemsize]
    if inner == 1 and plain and n_classes <= FEW_CLASSES:
        form = TURNED
    elif inner == 1:
        form, stride = ROWS, 1
    elif plain and n_classes <= TILE_CLASSES:
        form = COLUMNS
        stride = lanes * max(1, min(16, TILE_BYTES // (n_classes * lanes * dtype.itemsize)))
    else:
        form = GATHERED
    return form, stride, stride * max(1, BLOCK_ELEMENTS // (n_classes * stride))


@compiled
def _run(task, first, lane, n_lanes):
    """Return how many lanes from `lane` on lie side by side, and where the first of them starts."""
    outer, at = divmod(first + lane, task.inner)
    return min(task.inner - at, n_lanes - lane), outer * task.n_classes * task.inner + at


@compiled
def copy_lanes(x, task, first, n_lanes, tile, stride):
    """Copy lanes first .. first + n_lanes into a tile: class c of lane l goes to c * stride + l."""
    lanes = lanes_in(x)
    lane = 0
    while lane < n_lanes:
        run, start = _run(task, first, lane, n_lanes)
        for c in range(task.n_classes):
            at, to, stop = start + c * task.inner, c * stride + lane, c * stride + lane + run
            while to + lanes <= stop:
                store(tile, to, load(x, at))
                at, to = at + lanes, to + lanes
            for i in range(stop - to):
                tile[to + i] = x[at + i]
        lane += run
    for c in range(task.n_classes):
        for rest in range(n_lanes, stride):
            tile[c * stride + rest] = 0


@compiled
def copy_lanes_back(tile, stride, task, first, n_lanes, out):
    """Copy a tile back to lanes first .. first + n_lanes."""
    lanes = lanes_in(out)
    lane = 0
    while lane < n_lanes:
        run, start = _run(task, first, lane, n_lanes)
        for c in range(task.n_classes):
            to, at, stop = start + c * task.inner, c * stride + lane, c * stride + lane + run
            while at + lanes <= stop:
                store(out, to, load(tile, at))
                at, to = at + lanes, to + lanes
            for i in range(stop - at):
                out[to + i] = tile[at + i]
        lane += run


@compiled
def turn(x, at, n_rows, n_columns, out):
    """Transpose up to a vector's lanes of contiguous rows; columns come a vector's lanes apart.

    Absent rows become 0. A multiple of the lanes in columns is written.
    """
    lanes, zero = lanes_in(x), number(x, 0)
    c = 0
    while c < n_columns:
        k = min(lanes, n_columns - c)
        if n_rows < lanes:
            for i in range(k):
                for r in range(lanes):
                    value = x[at + r * n_columns + c + i] if r < n_rows else zero
                    out[(c + i) * lanes + r] = value
        elif k == lanes:
            turn_square(x, at + c, n_columns, out, c * lanes, lanes, k)
        else:
            turn_part(x, at + c, n_columns, out, c * lanes, lanes, k)
        c += lanes


@compiled
def turn_back(x, n_rows, n_columns, out, to):
    """Undo `turn`; a multiple of the lanes in columns of x is read."""
    lanes = lanes_in(x)
    c = 0
    while c < n_columns:
        k = min(lanes, n_columns - c)
        if n_rows < lanes:
            for r in range(n_rows):
                for i in range(k):
                    out[to + r * n_columns + c + i] = x[(c + i) * lanes + r]
        elif k == lanes:
            turn_square(x, c * lanes, lanes, out, to + c, n_columns, k)
        else:
            turn_part_back(x, c * lanes, lanes, out, to + c, n_columns, k)
        c += lanes


@compiled
def rows_after(x, task, first, tile):
    """Return the rows that the next tile is turned from or to; for other forms the tile itself."""
    return advance(x, (first + task.stride) * task.n_classes) if task.form == TURNED else tile


@compiled
def tile_load(x, task, first, n_lanes, tile):
    """Bring lanes first .. first + n_lanes into scratch, in the order of the form."""
    n = task.n_classes
    if task.form == COLUMNS:
        copy_lanes(x, task, first, n_lanes, tile, task.stride)
    elif task.form == TURNED:
        turn(x, first * n, n_lanes, n, tile)
    elif task.form == GATHERED:
        lane = 0
        while lane < n_lanes:
            run, start = _run(task, first, lane, n_lanes)
            for c in range(n):
                for i in range(run):
                    tile[(lane + i) * n + c] = x[start + c * task.inner + i]
            lane += run
    else:
        for i in range(n_lanes * n):
            tile[i] = x[first * n + i]


@compiled
def tile_store(tile, task, first, n_lanes, out):
    """Bring scratch back to lanes first .. first + n_lanes."""
    n = task.n_classes
    if task.form == COLUMNS:
        copy_lanes_back(tile, task.stride, task, first, n_lanes, out)
    elif task.form == TURNED:
        turn_back(tile, n_lanes, n, out, first * n)
    elif task.form == GATHERED:
        lane = 0
        while lane < n_lanes:
            run, start = _run(task, first, lane, n_lanes)
            for c in range(n):
                for i in range(run):
                    out[start + c * task.inner + i] = tile[(lane + i) * n + c]
            lane += run
    else:
        for i in range(n_lanes * n):
            out[first * n + i] = tile[i]


# ---- one vector of lanes of a tile, starting at `at`: the classes lie `stride` apart ----


@compiled
def lanes_max(tile, at, stride, n):
    """Return the largest value of each lane; NaNs are passed over."""
    m0 = spread(number(tile, -np.inf))
    m1 = m0
    c = 0
    while c + 2 <= n:
        m0 = larger(load(tile, at + c * stride), m0)
        m1 = larger(load(tile, at + (c + 1) * stride), m1)
        c += 2
    if c < n:
        m0 = larger(load(tile, at + c * stride), m0)
    return larger(m0, m1)


@compiled
def lanes_exp_sum(tile, at, stride, n, m, slope, slope_error, stores, after, out_after):
    """Do as `row_exp_sum` for each lane, in place; all that is returned are doubles.

    `after` and, if `stores`, `out_after` have n vectors that are needed next: they are fetched.
    """
    lanes = lanes_in(tile)
    is_sloped = slope != 1 or slope_error != 0
    slopes = (spread(slope), spread(slope_error))
    frame = exp_frame(m, slopes[0], slopes[1])
    total, error, counts = zeros(doubles(m)), zeros(doubles(m)), no_counts(m)
    c = 0
    while c + 4 <= n:
        fetch_four(after, c * lanes, out_after, c * lanes, stores)
        i = at + c * stride
        v, e0 = exp_step(tile, i, tile, i, frame, slopes, is_sloped, stores)
        e0, counts = leave_out(e0, v, m, counts)
        i += stride
        v, e1 = exp_step(tile, i, tile, i, frame, slopes, is_sloped, stores)
        e1, counts = leave_out(e1, v, m, counts)
        i += stride
        v, e2 = exp_step(tile, i, tile, i, frame, slopes, is_sloped, stores)
        e2, counts = leave_out(e2, v, m, counts)
        i += stride
        v, e3 = exp_step(tile, i, tile, i, frame, slopes, is_sloped, stores)
        e3, counts = leave_out(e3, v, m, counts)
        total, error = sums_add_four(total, error, e0, e1, e2, e3)
        c += 4
    while c < n:
        i = at + c * stride
        v, e = exp_step(tile, i, tile, i, frame, slopes, is_sloped, stores)
        e, counts = leave_out(e, v, m, counts)
        total, error = sums_add(total, error, e)
        c += 1
    return total, error, counts_as_doubles(counts), doubles(frame[3])


@compiled
def lanes_scale(tile, at, stride, n, m, factor, error):
    """Multiply the terms of each lane by its factor in two parts; `m` gives the dtype."""
    parts = scale_parts(m, factor, error)
    for c in range(n):
        store(tile, at + c * stride, scaled(load(tile, at + c * stride), parts))


@compiled
def lanes_log_shift(tile, at, stride, n, m, log_sum, temperature):
    """Replace x by (x - m) / temperature - L."""
    L = rounded_as(log_sum, m)
    divisor, divides = spread(number(tile, temperature)), temperature != 1
    for c in range(n):
        v = load(tile, at + c * stride)
        v = log_shifted_by(v, m, L, divisor) if divides else log_shifted(v, m, L)
        store(tile, at + c * stride, v)
