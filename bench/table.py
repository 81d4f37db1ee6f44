"""Every peer beside fastsoftmax: the table of the site and the picture of it, with times and errors.

    python -m bench table                      measure and print: 3 to 6 minutes
    python -m bench table --write              and write docs/benchmarks/table.json and all that is made of it
    python -m bench table --read FILE --write  write them from a report that --json has written
    python -m bench table --peer PyTorch --operation softmax --shape 256x1000

PyTorch stands three times: as it comes, with THP_MEM_ALLOC_ENABLE=1, and under torch.compile. It, JAX, ONNX Runtime
and TensorFlow run in processes of their own. torch.compile takes some seconds for each row before it is timed, less
when its cache is warm.
"""

import argparse
import subprocess
import sys
from functools import partial

from fastsoftmax._measuring import operations
from fastsoftmax._measuring.beside_peers import measure
from fastsoftmax._measuring.contenders import ONE_THREAD, OURS
from fastsoftmax._measuring.results import make_report

from . import options, peers, results
from .results import Layout, shape_of, times_as_long

JSON = results.ROOT / "docs" / "benchmarks" / "table.json"
SMALL_SHAPES = ((32, 10), (16, 1000))
LAYOUT = Layout(
    heads=("operation", "shape"),
    case=lambda row: (row["operation"], shape_of(row)),
    ours=lambda row: results.duration(row["seconds"]) + results.error_of(row),
    cell=times_as_long,
    note="ours: the median time of a call; each peer: how many times as long it takes. In brackets the largest error "
    "against long double in ULP. A dash: the peer has no such call.",
)


def add_arguments(parser):
    options.add_common_arguments(parser, 150, "how long to measure in all, without compiling")
    options.add_report_arguments(
        parser, "docs/benchmarks/table.json, and the picture, table and sentences made of it"
    )
    kinds = (*peers.HERE[2:], *peers.APART)
    parser.add_argument(
        "--peer", action="append", choices=[kind.name for kind in kinds], help="only this one"
    )
    parser.add_argument("--operation", action="append", choices=operations.OPERATIONS)
    parser.add_argument("--shape", action="append", type=shape, metavar="ROWSxCLASSES")


def shape(text):
    n_rows, _, n_classes = text.partition("x")
    if not (n_rows.isdigit() and n_classes.isdigit() and int(n_rows) and int(n_classes)):
        raise argparse.ArgumentTypeError(f"expected ROWSxCLASSES, got {text!r}")
    return int(n_rows), int(n_classes)


def run(args):
    """Measure or read; print, and write."""
    report = options.report_of(args, start, LAYOUT)
    if args.write:
        write(report)


def start(args):
    """Start the contenders; return the report and its rows, which are measured as they are asked for."""
    subjects, absent = peers.start(args.peer)
    versions = {one.name: one.version() for one in subjects if one.name not in (OURS, ONE_THREAD)}
    report = make_report(versions, absent, dtype="float32")
    return report, rows(args, subjects)


def rows(args, subjects):
    """Measure row after row, each for an equal share of the seconds."""
    shapes = args.shape or (SMALL_SHAPES if args.small else operations.SHAPES)
    todo = [(one, size) for size in shapes for one in args.operation or operations.OPERATIONS]
    budget = options.Budget(
        0.1 * len(todo) if args.small else args.seconds, len(todo), 1 if args.small else args.tries
    )
    children = [one.pid for one in subjects if hasattr(one, "pid")]
    try:
        for operation, size in todo:
            yield budget.measure(
                partial(measure, subjects, operation, size, "float32", children=children)
            )
    finally:
        for one in subjects:
            if hasattr(one, "close"):
                one.close()


def write(report):
    """Write the report, and the picture, table and sentences that are made of it."""
    results.save(report, JSON)
    subprocess.run([sys.executable, results.ROOT / "docs" / "benchmark.py"], check=True)
