"""This build beside another one: the same calls in processes of both, in turns.

    python -m bench builds OTHER/bin/python              the shapes and calls below, about two minutes
    python -m bench builds OTHER/bin/python --shape 64x37

OTHER is an environment with another fastsoftmax: of a release, or of a commit before a change. It is started without
PYTHONPATH, which would lead both to the same files; where both find the same, the command says so. The time of a call
is the least of a process, so that a change of a hundredth shows; of five processes of each build the medians are
compared.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import partial

from fastsoftmax._measuring import disturbance
from fastsoftmax._measuring.contenders import OURS
from fastsoftmax._measuring.results import make_report, make_row
from fastsoftmax._measuring.timer import Timing

from . import options, table
from .results import Layout, our_share, shape_of, tell

SHAPES = (
    (1, 10),
    (32, 10),
    (1024, 10),
    (65536, 10),
    (1024, 100),
    (65536, 100),
    (256, 1000),
    (8192, 1000),
)
OTHER = "other build"
PROCESSES = 5
SCRIPT = """
import json, sys, time
import numpy as np, fastsoftmax as fs

rows, classes, seconds = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
x, y = rng.standard_normal((rows, classes), dtype=np.float32), rng.integers(0, classes, rows)
out = np.empty_like(x)
calls = {
    "softmax": lambda: fs.softmax(x, out=out),
    "log_softmax": lambda: fs.log_softmax(x, out=out),
    "cross_entropy": lambda: fs.cross_entropy(x, y),
    "cross_entropy_with_grad": lambda: fs.cross_entropy_with_grad(x, y, out=out),
}
found = {"version": fs.__version__, "file": fs.__file__, "calls": {}}
for name, call in calls.items():
    call()
    start = time.perf_counter()
    call()
    n = max(1, int(0.001 / (time.perf_counter() - start)))
    end, best = time.perf_counter() + seconds / len(calls), float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(n):
            call()
        best = min(best, (time.perf_counter() - start) / n)
    found["calls"][name] = best
print(json.dumps(found))
"""

LAYOUT = Layout(
    heads=("operation", "shape"),
    case=lambda row: (row["operation"], shape_of(row)),
    cell=our_share,
    note="The median of five processes, of the least time of a call in each; in brackets our time as a share.",
)


def add_arguments(parser):
    parser.add_argument("python", metavar="PYTHON", help="the interpreter of the other environment")
    parser.add_argument(
        "--shape",
        type=table.shape,
        action="append",
        metavar="NxC",
        help="rows and classes; may be repeated",
    )
    options.add_common_arguments(parser, 100, "how long to measure in all")


def run(args):
    options.report_of(args, start, LAYOUT)


def start(args):
    ours, theirs = (measure_in(python, (1, 10), 0.0) for python in (sys.executable, args.python))
    if ours["file"] == theirs["file"]:
        tell(f"both import {ours['file']}: their ratio is the noise of this measurement")
    return make_report({OTHER: theirs["version"]}, {}, dtype="float32"), rows(args)


def rows(args):
    shapes = args.shape or SHAPES
    processes = 1 if args.small else PROCESSES
    share = (0.1 if args.small else args.seconds) / len(shapes) / processes / 2
    interpreters = {OURS: sys.executable, OTHER: args.python}
    for shape in shapes:
        yield from measure(interpreters, shape, processes, share)


def measure(interpreters, shape, processes, seconds):
    """Return a row for each operation on a shape."""
    times = defaultdict(partial(defaultdict, list))
    watch = disturbance.Watch()
    for _ in range(processes):
        for name, python in interpreters.items():
            for operation, best in measure_in(python, shape, seconds)["calls"].items():
                times[operation][name].append(best)
    disturbed = watch.reasons()
    for operation, found in times.items():
        case = {"operation": operation, "n_rows": shape[0], "n_classes": shape[1]}
        row = make_row(case, {name: Timing(tuple(turns)) for name, turns in found.items()})
        yield {**row, "disturbed": disturbed}


def measure_in(python, shape, seconds):
    """Return what the script measures in another interpreter, away from the modules of this directory."""
    environment = dict(os.environ)
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)
    command = [python, "-c", SCRIPT, json.dumps([*shape, seconds])]
    with tempfile.TemporaryDirectory() as elsewhere:
        ran = subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )
    if ran.returncode:
        raise SystemExit(f"{python}: {ran.stderr.strip().splitlines()[-1]}")
    return json.loads(ran.stdout)
