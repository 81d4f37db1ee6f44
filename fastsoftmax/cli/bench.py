"""Measure speed and error beside NumPy, SciPy, PyTorch and scikit-learn, in a minute.

Every result is compared with long double before anything is timed; the contenders take turns on
the same random logits, and the median counts. A ratio says how many times as long a peer takes.
"""

import argparse
import time

import numpy as np

from .. import get_num_threads
from . import _operations as operations
from . import _peers, _timing
from ._errors import CommandError
from ._printing import duration, print_json, three_digits
from .info import collect

MAX_SECONDS = 50  # of measuring; loading the peers comes before, the last row's end after
NOTE = """\
ours: the median time of a call; copy: the time of logits.copy() as a share of it; then how many
times as long each peer takes. ULP: the largest error against long double, in units in the last
place (of the loss of a row, of an entry of the gradient). A dash: the peer has no such call.
"""


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
    contenders, absent = _peers.installed()
    end = time.perf_counter() + args.seconds
    todo = [
        (operation, shape)
        for shape in args.shape or operations.SHAPES
        for operation in args.operation or operations.OPERATIONS
    ]
    report = _header(args, contenders, absent)
    if not args.json:
        _print_header(report)
    for number, (operation, shape) in enumerate(todo):
        share = (end - time.perf_counter()) / (len(todo) - number)
        if share <= 0 and number > 0:
            report["left_out"].append(f"{operation} {_times(shape)}")
            continue
        row = measure(contenders, operation, shape, np.dtype(args.dtype), share)
        report["rows"].append(row)
        if not args.json:
            print(_line(row, report["peers"]), flush=True)
    if args.json:
        print_json(report)
    elif report["left_out"]:
        print(f"no time left for: {', '.join(report['left_out'])}")


def measure(contenders, operation, shape, dtype, seconds):
    """
    Check and time one operation on one shape.

    Parameters
    ----------
    contenders : list
        From `_peers.installed()`, fastsoftmax first.
    operation, shape, dtype
        One of `_operations.OPERATIONS`; rows and classes, and the dtype, of the logits.
    seconds : float
        About how long to take.

    Returns
    -------
    dict
        operation, n_rows, n_classes, dtype, seconds, ulp, copy_share, and peers: for each its
        seconds, ratio and ulp.
    """
    end = time.perf_counter() + seconds
    logits, targets = operations.make_inputs(shape, dtype)
    contenders = [contender for contender in contenders if _peers.offers(contender, operation)]
    errors = check(contenders, operation, logits, targets)
    calls = {c.name: _peers.prepare(c, operation, logits, targets) for c in contenders}
    calls["copy"] = logits.copy
    times = _timing.alternate(calls, end - time.perf_counter())
    copy = times.pop("copy")
    ours = times.pop(contenders[0].name)
    return {
        "operation": operation,
        "n_rows": shape[0],
        "n_classes": shape[1],
        "dtype": dtype.name,
        "seconds": ours,
        "ulp": errors.pop(contenders[0].name),
        "copy_share": copy / ours,
        "peers": {
            name: {"seconds": theirs, "ratio": theirs / ours, "ulp": errors[name]}
            for name, theirs in times.items()
        },
    }


def check(contenders, operation, logits, targets):
    """
    Compare every contender with the long double result on a sample of the rows.

    Returns
    -------
    dict
        The largest error of each, in ULP.

    Raises
    ------
    CommandError
        A result is wrong beyond rounding: there is no sense in timing it.
    """
    logits, targets = operations.sample(logits, targets)
    expected = operations.exact(operation, logits, targets)
    errors = {}
    for contender in contenders:
        got = _peers.result(contender, operation, logits, targets)
        if not operations.agrees(got, expected):
            raise CommandError(
                f"{contender.name} computes a wrong {operation} of {_times(logits.shape)} "
                f"{logits.dtype} logits; nothing is timed"
            )
        errors[contender.name] = operations.max_ulp(got, expected)
    return errors


def _header(args, contenders, absent):
    facts = collect()
    kept = ("version", "backend", "isa", "threads", "threads_reason", "machine")
    return {
        **{name: facts[name] for name in kept},
        "dtype": args.dtype,
        "peers": {peer.name: _peers.version(peer) for peer in contenders[1:]},
        "absent": absent,
        "rows": [],
        "left_out": [],
    }


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
    print(f"{'operation':<24}{'shape':>10}{'ours':>9}{'ULP':>6}{'copy':>6}{heads}", flush=True)


def _line(row, peers):
    cells = (
        f"{row['operation']:<24}{_times((row['n_rows'], row['n_classes'])):>10}"
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
