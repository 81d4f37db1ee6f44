"""What the sections of `ratios` share: inputs, calls, judging, and the choice of kernels."""

import contextlib
from typing import NamedTuple

import numpy as np

import fastsoftmax as fs
from fastsoftmax import _dispatch
from fastsoftmax._measuring import disturbance, operations
from fastsoftmax._measuring.results import make_row
from fastsoftmax._measuring.timer import Turn, alternate

from . import results

SMALL_ROWS = 64
TOLERANCES = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-4, "float64": 1e-10}
"""Wide: an error is meant to be found here, not a rounding."""


class Scale(NamedTuple):
    """How long to measure a line, how often, and whether on few rows."""

    seconds: float
    small: bool
    tries: int

    def rows(self, n_rows):
        return min(n_rows, SMALL_ROWS) if self.small else n_rows

    def inputs(self, shape):
        """Return float32 logits (n_rows, n_classes) and class indices."""
        return operations.make_inputs((self.rows(shape[0]), shape[1]), np.float32)

    def compare(self, logits, operation, calls):
        """Time calls in turns: a row with the time of the first, and of the others beside it."""
        first = next(iter(calls))
        turns = {name: Turn(call) for name, call in calls.items()}

        def once():
            watch = disturbance.Watch()
            timings = alternate(turns, self.seconds, pause=0)
            disturbed = watch.reasons() + disturbance.suspicions(timings, first)
            case = {"operation": operation, "shape": " x ".join(map(str, logits.shape))}
            row = make_row(case, timings, ours=first)
            return {**row, "base": first, "disturbed": disturbed}

        return disturbance.until_quiet(once, self.tries, tell=results.tell)


def prepare(operation, logits, targets, **options):
    """Return a function of no arguments that runs an operation into an array that exists."""
    function = getattr(fs, operation)
    if operation == "cross_entropy":
        return lambda: function(logits, targets, **options)
    out = np.empty_like(logits)
    if operation == "cross_entropy_with_grad":
        return lambda: function(logits, targets, out=out, **options)
    return lambda: function(logits, out=out, **options)


def result(operation, logits, targets, **options):
    """Run an operation once: the loss of each row, the gradient of their sum, or probabilities."""
    if operation == "cross_entropy":
        return fs.cross_entropy(logits, targets, reduction="none", **options)
    if operation == "cross_entropy_with_grad":  # 16 bits cannot hold a mean's over many rows
        return fs.cross_entropy_with_grad(logits, targets, reduction="sum", **options)[1]
    return getattr(fs, operation)(logits, **options)


def judge(operation, logits, targets):
    """Compare what an operation makes of all rows with long double, on the first rows."""
    few, few_targets = operations.sample(logits, targets)
    want = operations.exact(operation, few.astype(np.float64), few_targets)
    if operation == "cross_entropy_with_grad":
        want *= len(few)  # of the sum
    assert_close(result(operation, logits, targets)[: len(few)], want, logits.dtype.name)


def assert_close(got, want, dtype="float32"):
    """Raise unless two results agree as far as a dtype allows."""
    want = want.astype(np.float64)
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(
        got.astype(np.float64), want, rtol=tolerance, atol=tolerance * np.abs(want).max()
    )


def columns(logits, targets):
    """Yield the same rows with the classes apart in memory: name, logits, targets, axis."""
    n_rows, n_classes = logits.shape
    yield "Fortran order", np.asfortranarray(logits), targets, -1
    yield "axis=0", np.ascontiguousarray(logits.T), targets, 0
    side = next(side for side in (64, 32, 16, 8, 1) if n_rows % side**2 == 0)
    images = logits.reshape(-1, side, side, n_classes).transpose(0, 3, 1, 2)
    yield "(N, C, H, W)", np.ascontiguousarray(images), targets.reshape(-1, side, side), 1


def under(implementation, call):
    """Return a call that chooses its back end first: only the first of a turn pays for it."""

    def chosen_call():
        if _dispatch.implementation() is not implementation:
            _dispatch.select(implementation.__name__, "benchmark", implementation)
        return call()

    return chosen_call


@contextlib.contextmanager
def restored():
    """Choose at the end what was chosen before."""
    before = _dispatch.selection()
    try:
        yield
    finally:
        _dispatch.select(before.name, before.reason, before.implementation)
