"""The passes over a contiguous row of logits, for Numba.

A pass reads the row once, front to back, in vectors; sums go through runs of four vectors into
vectors of doubles (float32) or compensated doubles (float64), so that a sum of a million terms
errs by about 1 ULP. Rows are given by a pointer and the index of their start; nothing here
allocates or checks.
"""

import math

import numpy as np
from numba import njit

from ._numba_exp import exp_frame, exp_plain, exp_sloped
from ._numba_math import (
    any_equal,
    count_equal,
    counts_as_doubles,
    distances_add,
    dots_add,
    doubles,
    larger,
    log_shifted,
    log_shifted_by,
    log_softmax_slope,
    max_of_lanes,
    no_counts,
    scale_parts,
    scaled,
    scaled_less,
    softmax_slope,
    sum_of_lanes,
    sums_add,
    sums_add_four,
    sums_merge,
    zero_equal,
    zeros,
)
from ._numba_memory import (
    fetch,
    fetch_to_write,
    lanes_in,
    load,
    load_part,
    number,
    spread,
    store,
    store_part,
)

LARGEST_SUM = 2.0**100  # beside which nothing overflows in float, nor
LOWEST_SUM = 2.0**-84  # a part of a term is lost
SMALLER = 2.0**-70

compiled = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""How the functions below the driver are compiled: IEEE 754, without a fast-math flag."""


@compiled
def row_max(x, at, n):
    """Return the largest x; NaNs are passed over, -inf where there is nothing else."""
    lanes, stop = lanes_in(x), at + n
    lowest = spread(number(x, -np.inf))
    m0, m1, m2, m3 = lowest, lowest, lowest, lowest
    i = at
    while i + 4 * lanes <= stop:
        m0 = larger(load(x, i), m0)
        m1 = larger(load(x, i + lanes), m1)
        m2 = larger(load(x, i + 2 * lanes), m2)
        m3 = larger(load(x, i + 3 * lanes), m3)
        i += 4 * lanes
    while i + lanes <= stop:
        m0 = larger(load(x, i), m0)
        i += lanes
    if i < stop:
        m1 = larger(load_part(x, i, stop - i, lowest), m1)
    return max_of_lanes(larger(larger(m0, m1), larger(m2, m3)))


@compiled
def exp_terms(v, frame, slope, slope_error, is_sloped):
    """Return exp((x - m) / temperature) in the unit of the frame."""
    if is_sloped:
        return exp_sloped(v, frame, slope, slope_error)
    return exp_plain(v, frame)


@compiled
def exp_step(x, at, stage, to, frame, slope, is_sloped, stores):
    """Return a vector and its terms, which are stored if `stores`."""
    v = load(x, at)
    e = exp_terms(v, frame, slope[0], slope[1], is_sloped)
    if stores:
        store(stage, to, e)
    return v, e


@compiled
def leave_out(e, v, m, counts):
    """Return terms without those of the maxima, and the counts of these."""
    return zero_equal(e, v, m), count_equal(counts, v, m)


@compiled
def fetch_four(x, at, stage, to, stores):
    """Bring four vectors of x near, and of the stage if `stores`; a vector fills a cache line."""
    lanes = lanes_in(x)
    for k in range(0, 4 * lanes, lanes):
        fetch(x, at + k)
        if stores:
            fetch_to_write(stage, to + k)


@compiled
def row_exp_sum(x, at, stage, to, n, max_x, slope, slope_error, stores):
    """Sum exp((x - m) / temperature) over a row but its maxima, in two parts.

    Returns (sum, its error, number of maxima, unit): the sum and the terms, which go to the stage
    if `stores`, are multiples of the maximum's term, the unit. The stage may be the row itself.
    """
    lanes, is_sloped = lanes_in(x), slope != 1 or slope_error != 0
    m, slopes = spread(max_x), (spread(slope), spread(slope_error))
    frame = exp_frame(m, slopes[0], slopes[1])
    total, error, counts = zeros(doubles(m)), zeros(doubles(m)), no_counts(m)
    i = 0
    while i + 4 * lanes <= n:
        j, k = at + i, to + i
        fetch_four(x, j + n, stage, k + n, stores)  # what comes next: a row, or a chunk of this one
        v0, e0 = exp_step(x, j, stage, k, frame, slopes, is_sloped, stores)
        j, k = j + lanes, k + lanes
        v1, e1 = exp_step(x, j, stage, k, frame, slopes, is_sloped, stores)
        j, k = j + lanes, k + lanes
        v2, e2 = exp_step(x, j, stage, k, frame, slopes, is_sloped, stores)
        j, k = j + lanes, k + lanes
        v3, e3 = exp_step(x, j, stage, k, frame, slopes, is_sloped, stores)
        if any_equal(larger(larger(v0, v1), larger(v2, v3)), m):
            e0, counts = leave_out(e0, v0, m, counts)
            e1, counts = leave_out(e1, v1, m, counts)
            e2, counts = leave_out(e2, v2, m, counts)
            e3, counts = leave_out(e3, v3, m, counts)
        total, error = sums_add_four(total, error, e0, e1, e2, e3)
        i += 4 * lanes
    while i < n:
        k = min(lanes, n - i)
        v = load_part(x, at + i, k, spread(number(x, -np.inf)))
        e = exp_terms(v, frame, slopes[0], slopes[1], is_sloped)
        if stores:
            store_part(stage, to + i, k, e)
        e, counts = leave_out(e, v, m, counts)
        total, error = sums_add(total, error, e)
        i += lanes
    n_max, _ = sum_of_lanes(counts_as_doubles(counts), zeros(doubles(m)))
    row_total, row_error = sum_of_lanes(total, error)
    return row_total, row_error, n_max, np.float64(max_of_lanes(frame[3]))


@compiled
def spread_parts(like, factor, error):
    """Return what `scaled` needs of a factor in two parts."""
    rounded, rest, lowest = scale_parts(like, factor, error)
    return spread(rounded), spread(rest), spread(lowest)


@compiled
def row_scale(x, at, n, factor, error):
    """Multiply a row of terms >= 0 by a factor in two parts, in place."""
    lanes, stop = lanes_in(x), at + n
    fill = spread(number(x, 0))
    parts = spread_parts(fill, factor, error)
    i = at
    while i + 2 * lanes <= stop:
        v0, v1 = load(x, i), load(x, i + lanes)
        store(x, i, scaled(v0, parts))
        store(x, i + lanes, scaled(v1, parts))
        i += 2 * lanes
    while i < stop:
        k = min(lanes, stop - i)
        store_part(x, i, k, scaled(load_part(x, i, k, fill), parts))
        i += lanes


@compiled
def row_combine(x, at, t, t_at, n, factor, error, scale):
    """Replace a row of terms x by x * factor - scale * t."""
    lanes = lanes_in(x)
    fill = spread(number(x, 0))
    parts, scales = spread_parts(fill, factor, error), spread(number(x, scale))
    i = 0
    while i < n:
        k = min(lanes, n - i)
        v, tv = load_part(x, at + i, k, fill), load_part(t, t_at + i, k, fill)
        store_part(x, at + i, k, scaled_less(v, parts, tv, scales))
        i += lanes


@compiled
def row_log_shift(x, at, out, to, n, max_x, log_sum, temperature):
    """Write (x - m) / temperature - L; out may be the row itself."""
    lanes = lanes_in(x)
    m, L = spread(max_x), spread(number(x, log_sum))
    divisor, divides = spread(number(x, temperature)), temperature != 1
    i = 0
    while i < n:
        k = min(lanes, n - i)
        v = load_part(x, at + i, k, m)
        v = log_shifted_by(v, m, L, divisor) if divides else log_shifted(v, m, L)
        store_part(out, to + i, k, v)
        i += lanes


@compiled
def row_dot(a, a_at, b, b_at, n):
    """Return the sum of a * b: in double for floats, compensated for doubles."""
    lanes, fill = lanes_in(a), spread(number(a, 0))
    total, error = zeros(doubles(fill)), zeros(doubles(fill))
    odd, odd_error = total, error
    i = 0
    while i + 2 * lanes <= n:
        j, k = a_at + i, b_at + i
        total, error = dots_add(total, error, load(a, j), load(b, k))
        odd, odd_error = dots_add(odd, odd_error, load(a, j + lanes), load(b, k + lanes))
        i += 2 * lanes
    while i < n:
        k = min(lanes, n - i)
        total, error = dots_add(
            total, error, load_part(a, a_at + i, k, fill), load_part(b, b_at + i, k, fill)
        )
        i += lanes
    total, error = sums_merge(total, error, odd, odd_error)
    return sum_of_lanes(total, error)[0]


@compiled
def row_sum(a, at, n):
    """Return the sum of a row."""
    lanes = lanes_in(a)
    fill = spread(number(a, 0))
    total, error = zeros(doubles(fill)), zeros(doubles(fill))
    i = 0
    while i < n:
        k = min(lanes, n - i)
        total, error = sums_add(total, error, load_part(a, at + i, k, fill))
        i += lanes
    return sum_of_lanes(total, error)[0]


@compiled
def row_distance(t, t_at, x, at, n, max_x):
    """Return the sum of t * (m - x), where t = 0 counts as 0 even beside x = -inf."""
    lanes = lanes_in(x)
    m, fill = spread(max_x), spread(number(x, 0))
    total, error = zeros(doubles(m)), zeros(doubles(m))
    i = 0
    while i < n:
        k = min(lanes, n - i)
        tv, v = load_part(t, t_at + i, k, fill), load_part(x, at + i, k, m)
        total, error = distances_add(total, error, tv, m, v)
        i += lanes
    return sum_of_lanes(total, error)[0]


@compiled
def is_beyond(total):
    """Return whether a sum is so large that what is computed with it could overflow, or a part of it so small."""
    return total != 0 and not LOWEST_SUM < abs(total) < LARGEST_SUM


@compiled
def wide_softmax_backward(grad, probs, at, out, to, n, size):
    """Do as `row_softmax_backward` one by one in double, of gradients times `size`."""
    dot, lost = 0.0, 0.0
    for i in range(n):
        g, p = np.float64(grad[at + i]) * size, np.float64(probs[at + i])
        dot, lost = dots_add(dot, lost, g, p)
    dot += lost
    for i in range(n):
        rest = np.float64(grad[at + i]) * size - dot
        out[to + i] = np.float64(probs[at + i]) * rest / size


@compiled
def wide_log_softmax_backward(grad, log_probs, at, out, to, n):
    """Do as `row_log_softmax_backward` one by one in double; of large gradients 2**70 times smaller."""
    largest, total, lost = 0.0, 0.0, 0.0
    for i in range(n):
        largest = max(largest, abs(np.float64(grad[at + i])))
    size = SMALLER if largest > 1 else 1.0
    for i in range(n):
        total, lost = sums_add(total, lost, np.float64(grad[at + i]) * size)
    total += lost
    for i in range(n):
        e = math.exp(np.float64(log_probs[at + i]))
        out[to + i] = (np.float64(grad[at + i]) * size - e * total) / size


@compiled
def row_softmax_backward(grad, probs, at, out, to, n):
    """Write p * (g - sum(g * p)) of the row at `at`; out may be either."""
    lanes, product = lanes_in(grad), row_dot(grad, at, probs, at, n)
    if is_beyond(product):
        size = SMALLER if not abs(product) < LARGEST_SUM else 1 / SMALLER
        wide_softmax_backward(grad, probs, at, out, to, n, size)
        return
    dot = spread(number(grad, product))
    i = 0
    while i + 2 * lanes <= n:
        j, k = at + i, to + i
        first = softmax_slope(load(grad, j), load(probs, j), dot)
        second = softmax_slope(load(grad, j + lanes), load(probs, j + lanes), dot)
        store(out, k, first)
        store(out, k + lanes, second)
        i += 2 * lanes
    while i < n:
        k = min(lanes, n - i)
        g, p = load_part(grad, at + i, k, dot), load_part(probs, at + i, k, dot)
        store_part(out, to + i, k, softmax_slope(g, p, dot))
        i += lanes


@compiled
def row_log_softmax_backward(grad, log_probs, at, out, to, n):
    """Write g - exp(log_p) * sum(g) of the row at `at`; out may be either."""
    lanes = lanes_in(grad)
    zero, one = spread(number(grad, 0)), spread(number(grad, 1))
    frame = exp_frame(zero, one, zero)
    sum_of_row = row_sum(grad, at, n)
    if is_beyond(sum_of_row):
        wide_log_softmax_backward(grad, log_probs, at, out, to, n)
        return
    total = spread(number(grad, sum_of_row))
    i = 0
    while i < n:
        k = min(lanes, n - i)
        g, log_p = load_part(grad, at + i, k, zero), load_part(log_probs, at + i, k, zero)
        store_part(out, to + i, k, log_softmax_slope(g, log_p, frame, total))
        i += lanes
