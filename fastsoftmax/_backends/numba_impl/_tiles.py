"""Tiles: rows of any dtype and layout as doubles in scratch, and the passes over them.

A tile has `depth` vectors of `LANES` doubles. The few classes of a row lie one below another, and each lane is a row
of its own; a long row is cut into LANES columns of its tile (it is split), so that both kinds go through the same
loops over full vectors: LLVM needs no reduction, and no flag that lets it change the order of a sum. What a pass finds
for each lane goes to `lanes`, arrays of LANES doubles side by side; those of a split row are merged.
"""

import numpy as np

from ._math import (
    LOG2_E,
    TOP,
    add,
    compiled,
    difference,
    divide,
    exp_term,
    fma,
    log1p,
    pointer_to,
    short_term,
)

LANES = 32
FEW = 8  # of a split row's lanes, a vector, are merged one by one; before that vectors are
FEW_CLASSES = 128  # up to here a contiguous row is a lane; a tile fits into the first cache
MANY_CLASSES = 1024  # up to here a row across memory is a lane; a tile fits into the second
SMALLEST_FLOAT = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float64).max)

MAX, TOTAL, ERROR, COUNT, OTHERS, LOG, WHOLE, WHOLE_ERROR, FACTOR, FACTOR_ERROR, FREE = (
    LANES * i for i in range(11)
)
"""Where arrays of lanes start; the error of a sum follows it. MAX is the maximum, TOTAL the sum of the terms but one
of the maximum's, COUNT the sum of the maxima's own, OTHERS is S', LOG is log1p(S'), WHOLE the sum of all terms, FACTOR
what they are multiplied with."""
CLOSE = TOP * 2.0**-27
"""Times the depth of a tile: below, TOTAL is too small beside what its sum has rounded away."""
N_LANE_ARRAYS = 24


@compiled
def is_split(n, inner):
    """Return whether a row fills a tile of its own; that depends on nothing but the layout."""
    return n > (FEW_CLASSES if inner == 1 else MANY_CLASSES)


@compiled
def depth_of(n, split):
    """Return how many vectors a tile has."""
    return (n + LANES - 1) // LANES if split else n


@compiled
def rows_of(tile, split, n_rows):
    """Return the first row of a tile, and how many it has."""
    return (tile, 1) if split else (tile * LANES, min(LANES, n_rows - tile * LANES))


@compiled
def lanes_in(scratch, number=0):
    """Return arrays of lanes in scratch."""
    return pointer_to(scratch + 8 * number * LANES * N_LANE_ARRAYS, 1.0)


@compiled
def tile_in(scratch, number, depth):
    """Return a tile in scratch."""
    return pointer_to(scratch + 8 * LANES * (2 * N_LANE_ARRAYS + number * depth), 1.0)


@compiled
def places_in(scratch, depth, number=0):
    """Return arrays of lanes, a tile and a second one; there is room for two such sets."""
    first = 2 * number
    return (
        lanes_in(scratch, number),
        tile_in(scratch, first, depth),
        tile_in(scratch, first + 1, depth),
    )


@compiled
def scratch_size(n_tiles, depth):
    """Return how many doubles of scratch some tiles need."""
    return LANES * (2 * N_LANE_ARRAYS + n_tiles * depth)


# ---- between memory and tiles ----


@compiled
def _run(first, lane, n_rows, n, inner):
    """Return (how many rows from `lane` on are one step apart, where they start, that step)."""
    if inner == 1:
        return n_rows, first * n, n
    outer, at = divmod(first + lane, inner)
    return min(inner - at, n_rows - lane), outer * n * inner + at, 1


@compiled
def fill_rest(tile, n, value):
    """Write a value to what a split row of n classes leaves of its tile."""
    for c in range(n, depth_of(n, True) * LANES):
        tile[c] = value


@compiled
def load(x, n, inner, split, first, n_rows, tile, fill):
    """Bring rows to a tile. What is left of a split row's tile becomes `fill`; lanes without a row, 0."""
    lane = 0
    while lane < n_rows:
        run, start, step = _run(first, lane, n_rows, n, inner)
        if split:
            for c in range(n):
                tile[c] = x[start + c * inner]
        else:
            for c in range(n):
                at, to = start + c * inner, c * LANES + lane
                for i in range(run):
                    tile[to + i] = x[at + i * step]
        lane += run
    if split:
        fill_rest(tile, n, fill)
    elif n_rows < LANES:
        for c in range(n):
            for i in range(n_rows, LANES):
                tile[c * LANES + i] = 0.0


@compiled
def store(tile, n, inner, split, first, n_rows, out, tiny):
    """Bring a tile to memory. What is under `tiny`, the smallest normal number, becomes 0."""
    lane = 0
    while lane < n_rows:
        run, start, step = _run(first, lane, n_rows, n, inner)
        if split:
            for c in range(n):
                value = tile[c]
                out[start + c * inner] = 0.0 if abs(value) < tiny else value
        else:
            for c in range(n):
                to, at = start + c * inner, c * LANES + lane
                for i in range(run):
                    value = tile[at + i]
                    out[to + i * step] = 0.0 if abs(value) < tiny else value
        lane += run


@compiled
def mask(where, depth, tile, value):
    """Write a value where a tile of a mask is 0."""
    for j in range(depth * LANES):
        tile[j] = value if where[j] == 0.0 else tile[j]


# ---- passes ----


@compiled
def spread(lanes, array):
    """Give all lanes the value of the first."""
    for i in range(1, LANES):
        lanes[array + i] = lanes[array]


@compiled
def find_max(tile, depth, split, lanes):
    """Find MAX, the largest value of each row; NaNs are passed over."""
    for i in range(LANES):
        lanes[MAX + i] = -np.inf
    last = (depth - 1) * LANES
    for a in range(0, depth * LANES, 4 * LANES):  # four at once: MAX goes through memory each time
        b, c, d = min(a + LANES, last), min(a + 2 * LANES, last), min(a + 3 * LANES, last)
        for i in range(LANES):
            m, x, y = lanes[MAX + i], tile[a + i], tile[c + i]
            m = x if x > m else m
            m = tile[b + i] if tile[b + i] > m else m
            m = y if y > m else m
            lanes[MAX + i] = tile[d + i] if tile[d + i] > m else m
    if split:
        for i in range(FEW):
            for at in range(MAX + i + FEW, MAX + LANES, FEW):
                lanes[MAX + i] = lanes[at] if lanes[at] > lanes[MAX + i] else lanes[MAX + i]
        for i in range(1, FEW):
            lanes[MAX] = max(lanes[MAX], lanes[MAX + i])
        spread(lanes, MAX)


@compiled
def accumulate(lanes, array, i, value):
    """Add a value to a sum in two parts of a lane; its error is in the next array."""
    total, error = add(lanes[array + i], lanes[array + LANES + i], value)
    lanes[array + i], lanes[array + LANES + i] = total, error


@compiled
def clear(lanes, array):
    """Set a sum in two parts of each lane to 0."""
    for i in range(2 * LANES):
        lanes[array + i] = 0.0


@compiled
def merge(lanes, split, array):
    """Merge the sums in two parts of the lanes of a split row, in the first lane."""
    if not split:
        return
    for i in range(FEW):
        for at in range(array + i + FEW, array + LANES, FEW):
            lanes[array + LANES + i] += lanes[at + LANES]
            accumulate(lanes, array, i, lanes[at])
    for i in range(1, FEW):
        lanes[array + LANES] += lanes[array + LANES + i]
        accumulate(lanes, array, 0, lanes[array + i])


@compiled
def _short_terms(tile, depth, slope, lanes):
    slope *= LOG2_E
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            e = short_term((tile[at + i] - lanes[MAX + i]) * slope)
            lanes[TOTAL + i] += e
            tile[at + i] = e


@compiled
def _terms(tile, depth, slope, slope_error, lanes):
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            d, lost = difference(tile[at + i], lanes[MAX + i])
            scaled = d * slope
            e = exp_term(scaled, fma(d, slope, -scaled) + (d * slope_error + lost * slope))
            accumulate(lanes, TOTAL, i, e)
            tile[at + i] = e


@compiled
def _sum_again(tile, depth, split, lanes):
    """Find TOTAL without the terms of maxima, beside which the others have lost their digits."""
    for i in range(LANES):
        lanes[TOTAL + i], lanes[ERROR + i], lanes[COUNT + i] = 0.0, 0.0, 0.0
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            e = tile[at + i]
            accumulate(lanes, TOTAL, i, 0.0 if e == TOP else e)
            lanes[COUNT + i] += TOP if e == TOP else 0.0
    merge(lanes, split, TOTAL)
    if split:
        for i in range(1, LANES):
            lanes[COUNT] += lanes[COUNT + i]
    for i in range(1 if split else LANES):
        accumulate(lanes, TOTAL, i, lanes[COUNT + i] - TOP)


@compiled
def find_terms(tile, depth, split, slope, slope_error, tiny, lanes):
    """Replace x by exp((x - m) / temperature) * TOP, and find the sums of these terms."""
    for i in range(LANES):
        m = lanes[MAX + i]
        lanes[TOTAL + i], lanes[ERROR + i] = 0.0 if split and i > 0 else -TOP, m - m
    if tiny < SMALLEST_FLOAT:
        _terms(tile, depth, slope, slope_error, lanes)
    else:
        _short_terms(tile, depth, slope, lanes)
    merge(lanes, split, TOTAL)
    is_close = False
    for i in range(1 if split else LANES):
        is_close |= lanes[TOTAL + i] < depth * CLOSE
    if is_close:
        _sum_again(tile, depth, split, lanes)
    for i in range(1 if split else LANES):
        total, error, m = lanes[TOTAL + i], lanes[ERROR + i], lanes[MAX + i]
        error += m - m
        lanes[ERROR + i], lanes[OTHERS + i] = error, (total + error) / TOP
        lanes[LOG + i] = log1p(lanes[OTHERS + i])
        lanes[WHOLE + i], lanes[WHOLE_ERROR + i] = add(TOP, error, total)


@compiled
def find_factors(lanes, split):
    """Find FACTOR, 1 / the sum of the terms."""
    for i in range(1 if split else LANES):
        lanes[FACTOR + i], lanes[FACTOR_ERROR + i] = divide(
            1.0, 0.0, lanes[WHOLE + i], lanes[WHOLE_ERROR + i]
        )


@compiled
def scale(tile, depth, split, lanes, tiny):
    """Multiply terms by FACTOR with one rounding; what is under `tiny` becomes 0 before it is multiplied."""
    if split:
        spread(lanes, FACTOR)
        spread(lanes, FACTOR_ERROR)
    for i in range(LANES):
        lowest = tiny / abs(lanes[FACTOR + i])
        lanes[FREE + i] = 0.0 if np.isnan(lowest) else min(lowest, LARGEST)
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            e = tile[at + i]
            e = 0.0 if e < lanes[FREE + i] else e
            tile[at + i] = fma(e, lanes[FACTOR + i], e * lanes[FACTOR_ERROR + i])


@compiled
def scale_row(tile, n, inner, row, lanes, tiny, out):
    """Do what `scale` and `store` do with a split row, in one pass; return where it starts."""
    factor, error = lanes[FACTOR], lanes[FACTOR_ERROR]
    lowest = tiny / abs(factor)
    lowest = 0.0 if np.isnan(lowest) else min(lowest, LARGEST)
    _, start, _ = _run(row, 0, 1, n, inner)
    for c in range(n):
        e = tile[c]
        e = 0.0 if e < lowest else e
        out[start + c * inner] = fma(e, factor, e * error)
    return start


@compiled
def shift(tile, depth, split, lanes, temperature):
    """Replace x by (x - m) / temperature - L: both are negative, so nothing cancels."""
    if split:
        spread(lanes, LOG)
    for i in range(LANES):  # beside a very large m all are halved, so that x - m does not overflow
        lanes[FREE + i] = 0.5 if lanes[MAX + i] > LARGEST / 2**53 else 1.0
    for c in range(depth):
        at = c * LANES
        for i in range(LANES):
            size = lanes[FREE + i]
            d = (tile[at + i] * size - lanes[MAX + i] * size) / (temperature * size)
            tile[at + i] = d - lanes[LOG + i]


@compiled
def shift_rows(x, n, first, n_rows, lanes, tiny, out):
    """Do what `load`, `shift` and `store` do with contiguous rows, in one pass, where the temperature is 1."""
    for i in range(n_rows):
        log, is_large = lanes[LOG + i], lanes[MAX + i] > LARGEST / 2**53
        size, back = (0.5, 2.0) if is_large else (1.0, 1.0)
        m = lanes[MAX + i] * size
        for j in range((first + i) * n, (first + i + 1) * n):
            z = (x[j] * size - m) * back - log
            out[j] = 0.0 if abs(z) < tiny else z


@compiled
def own_slope(is_max, p, lanes, i):
    """Return p - 1 of a target, which would cancel where that is the maximum: -S' / (1 + S')."""
    others, lost = add(lanes[TOTAL + i] / TOP, 0.0, lanes[ERROR + i] / TOP)
    whole, part = add(1.0, 0.0, others)
    slope = -others / whole
    rest = fma(slope, whole, others) + lost + slope * (part + lost)
    return slope - rest / whole if is_max else p - 1.0
