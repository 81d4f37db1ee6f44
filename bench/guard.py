"""Fail if a kernel has become slow: ratios to NumPy's textbook lines in one run, with wide margins.

The bounds stand at two to three times what an undisturbed machine measures, so that only a real loss
(a loop no longer vectorised, a copy too many) trips them. A row over its bound is measured twice more.
"""

import sys

import numpy as np

from fastsoftmax.cli import _operations, _peers, _timing

BOUNDS = {
    ("softmax", (1, 10)): 0.35,
    ("softmax", (1024, 10)): 0.35,
    ("softmax", (256, 1000)): 0.8,
    ("log_softmax", (1024, 100)): 0.8,
    ("cross_entropy", (1024, 10)): 0.5,
    ("cross_entropy", (256, 1000)): 0.6,
    ("cross_entropy_with_grad", (1, 10)): 0.25,
    ("cross_entropy_with_grad", (1024, 10)): 0.5,
    ("cross_entropy_with_grad", (256, 1000)): 0.5,
    ("cross_entropy_with_grad", (64, 32000)): 0.5,
}
TRIES = 3


def ratio(operation, shape):
    """Return our time as a share of NumPy's."""
    logits, targets = _operations.make_inputs(shape, np.float32)
    contenders = (_peers.FastSoftmax(), _peers.NumPy())
    calls = {c.name: _peers.prepare(c, operation, logits, targets) for c in contenders}
    times = _timing.alternate(calls, seconds=0.5)
    return times["fastsoftmax"] / times["NumPy"]


def main():
    """Measure every row; return the number of rows over their bound."""
    n_over = 0
    for (operation, shape), bound in BOUNDS.items():
        found = ratio(operation, shape)
        for _ in range(TRIES - 1):
            if found <= bound:
                break
            found = min(found, ratio(operation, shape))
        over = found > bound
        n_over += over
        mark = "TOO SLOW" if over else "ok"
        print(
            f"{operation:<24}{shape[0]:>6}x{shape[1]:<8}{found:8.3f} of NumPy, bound {bound:.2f}  {mark}"
        )
    return n_over


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
