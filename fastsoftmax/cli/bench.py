"""Measure speed and error beside NumPy, SciPy, PyTorch and scikit-learn, in a minute.

Every result is compared with long double before anything is timed; the contenders take turns on
the same random logits, and the median counts. A ratio says how many times as long a peer takes.
"""

import argparse
import time

from .. import get_num_threads
from .._measuring import contenders, operations
from .._measuring.beside_peers import Subject, WrongResult, measure
from .._measuring.results import make_report
from .._measuring.units import duration, three_digits
from ._errors import CommandError
from ._printing import print_json

MAX_SECONDS = 50  # of measuring; loading the peers comes before, the last row's end after
NOTE = """\
ours: the median time of a call; copy: the time of logits.copy() as a share of it; then how many
times as long each peer takes. ULP: the largest error against long double, in units in the last
place (of the loss of a row, of an entry of the gradient). A dash: the peer has no such call. A star: something
disturbed this row, told at the end.
"""
OURS = (contenders.FastSoftmax, contenders.OneThread)
MARK = "*"


def add_arguments(parser):
    """Declare the options of `fastsoftmax bench`."""
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=45,
        metavar="N",
        help=f"about how long to measure, at most {MAX_SECONDS} (default: 45)",
    )
    parser.add_argument(
        "--operation",
        action="append",
        choices=operations.OPERATIONS,
        help="measure only this one; may be repeated (default: all)",
    )
    parser.add_argument(
        "--shape",
        action="append",
        type=_shape,
        metavar="ROWSxCLASSES",
        help="measure this shape of the logits, such as 256x1000; may be repeated (default: "
        f"{len(operations.SHAPES)} from {_times(operations.SHAPES[0])} to "
        f"{_times(operations.SHAPES[-1])})",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="of the logits (default: float32)",
    )


def _seconds(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"expected a number in (0, {MAX_SECONDS}], got {text!r}")
    return seconds


def _shape(text):
    sizes = text.lower().split("x")
    if len(sizes) != 2 or not all(
        size.isascii() and size.isdigit() and int(size) for size in sizes
    ):
        raise argparse.ArgumentTypeError(f"expected ROWSxCLASSES, such as 8192x1000, got {text!r}")
    return int(sizes[0]), int(sizes[1])


def run(args):
    """Measure row after row, and print each as soon as it is known."""
    present, absent = contenders.installed((*OURS, *contenders.PEERS))
    subjects = [Subject(contender) for contender in present]
    end = time.perf_counter() + args.seconds
    todo = [
        (operation, shape)
        for shape in args.shape or operations.SHAPES
        for operation in args.operation or operations.OPERATIONS
    ]
    peers = {subject.name: subject.version() for subject in subjects[len(OURS) :]}
    report = make_report(peers, absent, dtype=args.dtype)
    if not args.json:
        _print_header(report)
    for number, (operation, shape) in enumerate(todo):
        share = (end - time.perf_counter()) / (len(todo) - number)
        if share <= 0 and number > 0:
            report["left_out"].append(f"{operation} {_times(shape)}")
            continue
        try:
            row = measure(subjects, operation, shape, args.dtype, share)
        except WrongResult as error:
            raise CommandError(str(error)) from None
        report["rows"].append(row)
        if not args.json:
            print(_line(row, report["peers"]), flush=True)
    if args.json:
        print_json(report)
        return
    if report["left_out"]:
        print(f"no time left for: {', '.join(report['left_out'])}")
    for row in report["rows"]:
        if row["disturbed"]:
            shape = _times((row["n_rows"], row["n_classes"]))
            print(f"{MARK} {row['operation']} {shape}: {'; '.join(row['disturbed'])}")


def _print_header(report):
    peers = ", ".join(f"{name} {version}" for name, version in report["peers"].items())
    print(
        f"fastsoftmax {report['version']}, {report['backend']} {report['isa']}, "
        f"threads: {get_num_threads()}, {report['dtype']}; {report['machine']['cpu']}"
    )
    print(f"beside {peers}")
    for name, reason in report["absent"].items():
        print(f"without {name}: {reason}")
    print(f"\n{NOTE}")
    heads = "".join(f"  {name:>{_width(name)}}{'ULP':>7}" for name in report["peers"])
    print(f"{'operation':<26}{'shape':>10}{'ours':>9}{'ULP':>6}{'copy':>6}{heads}", flush=True)


def _line(row, peers):
    operation = row["operation"] + (f" {MARK}" if row["disturbed"] else "")
    cells = (
        f"{operation:<26}{_times((row['n_rows'], row['n_classes'])):>10}"
        f"{duration(row['seconds']):>9}{three_digits(row['ulp']):>6}{row['copy_share']:>6.0%}"
    )
    for name in peers:
        width = _width(name)
        if name in row["peers"]:
            peer = row["peers"][name]
            cells += f"  {three_digits(peer['ratio']) + 'x':>{width}}{three_digits(peer['ulp']):>7}"
        else:
            cells += f"  {'-':>{width}}{'-':>7}"
    return cells


def _width(name):
    """Return the width of a peer's column of ratios."""
    return max(len(name), 6)


def _times(shape):
    return f"{shape[0]}x{shape[1]}"
