"""Fail if a kernel has become slow: ratios to NumPy's textbook lines in one run, with wide margins.

The bounds stand at two to three times what an undisturbed machine measures, so that only a real loss
(a loop no longer vectorised, a copy too many) trips them. A row over its bound is measured twice more.
"""

from functools import partial

from fastsoftmax._measuring.beside_peers import Subject, measure
from fastsoftmax._measuring.contenders import FastSoftmax, NumPy
from fastsoftmax._measuring.results import make_report

from . import options
from .results import Layout, shape_of, three_digits

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


def cell(row, name):
    """Return our share of NumPy's time, the bound, and whether it holds."""
    return f"{three_digits(share_of(row))}, bound {row['bound']:.2f}"


LAYOUT = Layout(
    heads=("operation", "shape", "verdict"),
    case=lambda row: (row["operation"], shape_of(row), "TOO SLOW" if is_over(row) else "ok"),
    cell=cell,
    note="The median time of a call; our share of NumPy's time and what it may be at most.",
)


def add_arguments(parser):
    options.add_common_arguments(parser, 6, "how long to measure in all", small=False)


def run(args):
    """Measure every row; return 1 if one is over its bound."""
    report = options.report_of(args, start, LAYOUT)
    return int(any(is_over(row) for row in report["rows"]))


def start(args):
    report = make_report({"NumPy": Subject(NumPy()).version()}, {}, dtype="float32")
    subjects = [Subject(FastSoftmax()), Subject(NumPy())]
    return report, rows(subjects, args.seconds / len(BOUNDS))


def rows(subjects, seconds):
    for (operation, shape), bound in BOUNDS.items():
        measure_once = partial(measure, subjects, operation, shape, "float32", seconds)
        yield best_of(measure_once, bound)


def best_of(measure_once, bound, tries=TRIES):
    """Return the row of the smallest share of NumPy's time, of so many as it takes to keep the bound."""
    found = []
    while len(found) < tries:
        found.append({**measure_once(), "bound": bound})
        if not is_over(found[-1]):
            break
    return min(found, key=share_of)


def share_of(row):
    return 1 / row["peers"]["NumPy"]["ratio"]


def is_over(row):
    return share_of(row) > row["bound"]
