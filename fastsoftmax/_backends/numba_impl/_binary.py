"""Sigmoids and binary cross-entropy, element by element, in pieces that go through scratch.

With e = exp(-abs(x)) the answer that x is in favour of has the loss log1p(e), the other one abs(x) + log1p(e); nothing
cancels. Error: 4 ULP for losses and gradients.
"""

from ._math import (
    LOG2_E,
    TOP,
    compiled,
    exp_term,
    finite,
    fma,
    log1p,
    pointer_to,
    scale_of,
    short_term,
)
from ._run import cached
from ._tiles import SMALLEST_FLOAT

PIECE = 256
X, Y, WEIGHT, POSITIVE, LOSS, SLOPE = (PIECE * i for i in range(6))
SCRATCH_SIZE = 6 * PIECE
SMALLEST = 2.0**-940
"""Of exp(-abs(x)) * TOP: what is smaller keeps its digits only as a multiple of TOP, until it is weighted."""


@compiled
def load_piece(x, first, count, piece, array):
    """Bring a piece of an array to scratch, and 0 behind its end."""
    for i in range(PIECE):
        piece[array + i] = 0.0
    for i in range(count):
        piece[array + i] = x[first + i]


@compiled
def store_piece(piece, array, first, count, out, tiny):
    """Bring a piece to memory; what is under `tiny` becomes 0."""
    for i in range(count):
        value = piece[array + i]
        out[first + i] = 0.0 if abs(value) < tiny else value


@compiled
def sigmoid_of(x, e, smallest):
    """Return 1 / (1 + exp(-x)), where e = exp(-abs(x)) * TOP."""
    e = 0.0 if e < smallest else e
    return (e if x < 0 else TOP) / (TOP + e)


@cached
def sigmoid(start, stop, scratch, x, out, size, tiny):
    """Compute the sigmoids of the pieces from start to stop."""
    x, out, values = pointer_to(x, tiny), pointer_to(out, tiny), pointer_to(scratch, 1.0)
    smallest = tiny * TOP
    for first in range(start * PIECE, min(size, stop * PIECE), PIECE):
        count = min(PIECE, size - first)
        load_piece(x, first, count, values, X)
        if tiny < SMALLEST_FLOAT:
            for i in range(PIECE):
                values[i] = sigmoid_of(values[i], exp_term(-abs(values[i]), 0.0), smallest)
        else:
            for i in range(PIECE):
                values[i] = sigmoid_of(values[i], short_term(-abs(values[i]) * LOG2_E), smallest)
        store_piece(values, X, first, count, out, tiny)


@compiled
def binary_element(x, y, weight, factor, scale):
    """Return the loss and the gradient of one logit.

    `near` is the answer that x is in favour of, `far` the other one. What the products of the weights lose by rounding
    is added to the sum.
    """
    term = exp_term(-abs(x), 0.0)
    e, is_tiny = term / TOP, term < SMALLEST
    log_term = log1p(e)
    yes, no = factor * y, 1.0 - y
    yes_lost, no_lost = fma(factor, y, -yes), (1.0 - no) - y
    near, far = (yes, no) if x > 0 else (no, yes)
    near_lost, far_lost = (yes_lost, no_lost) if x > 0 else (no_lost, yes_lost)
    near, near_error = scale_of(near, weight, 0.0)
    far, far_error = scale_of(far, weight, 0.0)
    near_error, far_error = near_error + near_lost * weight, far_error + far_lost * weight
    size, near_loss = (1.0 / TOP, term) if is_tiny else (1.0, log_term)
    far_loss = abs(x) + log_term
    first = 0.0 if near == 0 else near * near_loss * size
    second = 0.0 if far == 0 else far * far_loss
    rest = fma(far, far_loss, -second) + far_error * far_loss
    rest += far * (log_term - (far_loss - abs(x)))
    near_rest = fma(near, near_loss, -first) + near_error * near_loss
    rest = finite(rest if is_tiny else rest + near_rest)
    share = term if is_tiny else e / (1.0 + e)
    inverse = 1.0 / (1.0 + e)
    near_slope, far_slope = near * share, far * inverse
    near_lost = fma(near, share, -near_slope) + near_error * share
    far_lost = fma(far, inverse, -far_slope) + far_error * inverse
    plain = far_slope - near_slope * size
    slope = plain * scale
    slope += finite(fma(plain, scale, -slope) + (far_lost - near_lost * size) * scale)
    slope = slope if x > 0 else -slope
    return 0.0 if weight == 0 else (first + second) + rest, 0.0 if weight == 0 else slope


@cached
def binary_cross_entropy(
    start, stop, scratch, logits, targets, losses, grad, weight, pos_weight, n_labels, scale, size, tiny
):  # fmt: skip
    """Compute the losses, and the gradients unless `grad` is 0, of the pieces from start to stop."""
    piece = pointer_to(scratch, 1.0)
    for i in range(PIECE):
        piece[WEIGHT + i], piece[POSITIVE + i] = 1.0, 1.0
    for first in range(start * PIECE, min(size, stop * PIECE), PIECE):
        count = min(PIECE, size - first)
        load_piece(pointer_to(logits, tiny), first, count, piece, X)
        load_piece(pointer_to(targets, tiny), first, count, piece, Y)
        if weight != 0:
            load_piece(pointer_to(weight, 1.0), first, count, piece, WEIGHT)
        if pos_weight != 0:
            label = first % n_labels
            for i in range(count):
                piece[POSITIVE + i] = pointer_to(pos_weight, 1.0)[label]
                label = 0 if label + 1 == n_labels else label + 1
        for i in range(PIECE):
            piece[LOSS + i], piece[SLOPE + i] = binary_element(
                piece[X + i], piece[Y + i], piece[WEIGHT + i], piece[POSITIVE + i], scale
            )
        store_piece(piece, LOSS, first, count, pointer_to(losses, 1.0), 0.0)
        if grad != 0:
            store_piece(piece, SLOPE, first, count, pointer_to(grad, tiny), tiny)
