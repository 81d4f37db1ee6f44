"""What calls cost where they are made: beside other libraries, on a busy machine, with fresh results.

    python -m bench neighbours                    everything; a few minutes
    python -m bench neighbours pairs fresh        these parts: pairs, busy, first, fresh
    python -m bench neighbours --import torch     a library that is imported before fastsoftmax
    python -m bench neighbours --threads 4        another number of threads

pairs   a product of NumPy and cross_entropy_with_grad, in turns: the time of the pair over the sum of both alone
        ("1.00" is perfect). `waiting` is a pair of the product and of a loop that only waits as long as our call takes:
        what the product itself loses by not being called at once. With PyTorch, torch.softmax in our place.
busy    single calls of softmax(out=): quiet, with one thread, and while another process uses one core
first   the first calls of a new process, over those of one thread: NumPy's threads spin for a while after import
fresh   softmax(x) over softmax(x, out=): the cost of memory; also with the last four results alive
"""

import argparse
import functools
import importlib
import statistics
import subprocess
import sys
import time

import numpy as np

from fastsoftmax._measuring import disturbance
from fastsoftmax._measuring.results import make_report
from fastsoftmax._measuring.timer import Turn, alternate

from . import options, results
from .workers import Worker

PAIRS = (
    (256, 512, 1000),
    (128, 784, 1000),
    (1024, 784, 10),
    (2048, 256, 2000),
    (32, 768, 32000),
    (4096, 64, 100),
)
SINGLE = ((256, 1000, 4000), (65536, 10, 1500), (8192, 1000, 400))
FRESH = ((256, 1000), (65536, 10), (65536, 100), (8192, 1000), (4096, 4096), (512, 32000))

FIRST_CALLS = """
import time, numpy as np, fastsoftmax as fs
x = np.random.default_rng(0).standard_normal((256, 1000), dtype=np.float32)
out, times = np.empty_like(x), []
for _ in range(60):
    start = time.perf_counter()
    fs.softmax(x, out=out, n_threads={n_threads})
    times.append(time.perf_counter() - start)
print(sorted(times[1:])[29] * 1e6)
"""


def each_call(call, n):
    """Return the times of n calls in microseconds, sorted."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e6)
    return sorted(times)


def median(call, seconds):
    """Return the median time of a call in microseconds."""
    return alternate({"": Turn(call)}, seconds, pause=0, min_turns=5)[""].seconds * 1e6


def wait(microseconds):
    """Keep the calling thread busy."""
    end = time.perf_counter() + microseconds * 1e-6
    while time.perf_counter() < end:
        pass


def in_turn(first_call, second_call):
    first_call()
    second_call()


def pairs(fs, args):
    """Product and loss, alone and in turns."""
    rng = np.random.default_rng(0)
    torch = sys.modules.get("torch")
    for rows, features, classes in PAIRS:
        x = rng.standard_normal((rows, features), dtype=np.float32)
        weight = rng.standard_normal((features, classes), dtype=np.float32) * np.float32(0.05)
        logits, targets = x @ weight, rng.integers(0, classes, rows)
        grad = np.empty_like(logits)
        product = functools.partial(np.matmul, x, weight, out=logits)
        calls = {"ours": functools.partial(fs.cross_entropy_with_grad, logits, targets, out=grad)}
        alone = median(product, args.seconds)
        times = {"ours": median(calls["ours"], args.seconds)}
        calls["waiting"], times["waiting"] = functools.partial(wait, times["ours"]), times["ours"]
        if torch is not None:
            calls["torch.softmax"] = functools.partial(torch.softmax, torch.from_numpy(logits), 1)
            times["torch.softmax"] = median(calls["torch.softmax"], args.seconds)
        figures = {}
        for name, call in calls.items():
            together = median(functools.partial(in_turn, product, call), args.seconds)
            figures[name] = together / (alone + times[name])
        figures |= {"product, us": alone, "ours, us": times["ours"]}
        yield f"{rows} x {features} x {classes}", figures


def busy(fs, args):
    """The distribution of single calls."""
    rng = np.random.default_rng(0)
    for rows, classes, n in SINGLE:
        n = n if args.seconds >= 0.5 else 20
        x = rng.standard_normal((rows, classes), dtype=np.float32)
        call = functools.partial(fs.softmax, x, out=np.empty_like(x))
        shape = f"{rows} x {classes}"
        yield f"{shape}, quiet", distribution(each_call(call, n))
        alone = functools.partial(call, n_threads=1)
        yield f"{shape}, one thread", distribution(each_call(alone, n))
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            time.sleep(0.3)
            yield f"{shape}, one core taken", distribution(each_call(call, n))
        finally:
            other.kill()
            other.wait()


def distribution(times):
    """Return what is told of sorted times, in microseconds."""
    n = len(times)
    return {
        "p50, us": times[n // 2],
        "p90, us": times[int(n * 0.9)],
        "p99, us": times[int(n * 0.99)],
        "worst, us": times[-1],
        "mean, us": sum(times) / n,
    }


def first(fs, args):
    """How long the calls of a new process take."""
    times = {}
    for n_threads in (None, 1):
        command = [sys.executable, "-c", FIRST_CALLS.format(n_threads=n_threads)]
        runs = [
            subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(5)
        ]
        times[n_threads] = statistics.median(float(run.stdout) for run in runs)
    figures = {"us": times[None], "one thread, us": times[1], "ratio": times[None] / times[1]}
    yield "calls 2 to 60 of a process, 256 x 1000", figures


def fresh(fs, args):
    """What a fresh result costs beside one that is written to an existing array."""
    rng = np.random.default_rng(1)
    n = 60 if args.seconds >= 0.5 else 5
    for rows, classes in FRESH:
        x = rng.standard_normal((rows, classes), dtype=np.float32)
        kept = []

        def keep(x=x, kept=kept):
            kept.append(fs.softmax(x))
            del kept[:-4]

        into = each_call(functools.partial(fs.softmax, x, out=np.empty_like(x)), n)
        ours, held = each_call(lambda x=x: fs.softmax(x), n), each_call(keep, n)
        middle = n // 2
        yield (
            f"{rows} x {classes}",
            {
                "fresh / out": ours[middle] / into[middle],
                "four alive / out": held[middle] / into[middle],
                "worst / median": ours[-1] / ours[middle],
                "out, ms": into[middle] / 1e3,
            },
        )


PARTS = {part.__name__: part for part in (pairs, busy, first, fresh)}
CROWDED = {"busy"}
"""Parts that disturb themselves on purpose."""


class Part:
    """The measuring of the parts, in a process that imports what it is told to, in that order."""

    def __init__(self, imported, threads):
        if imported:
            importlib.import_module(imported)
        import fastsoftmax as fs

        fs.set_num_threads(threads)
        self._fs = fs

    def rows(self, name, args):
        """Measure a part; return its rows."""
        found, watch = [], disturbance.Watch()
        for case, figures in PARTS[name](self._fs, args):
            disturbed = [] if name in CROWDED | {"first"} else watch.reasons()
            found.append({"part": name, "case": case, "figures": figures, "disturbed": disturbed})
            watch = disturbance.Watch()
        return found


def add_arguments(parser):
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *PARTS])
    parser.add_argument("--import", dest="imported", metavar="LIBRARY", help="before ours")
    parser.add_argument("--threads", type=int, help="of our calls")
    options.add_common_arguments(parser, 1.5, "how long for each figure, about")


def run(args):
    """Measure and print part after part."""
    options.warn_of_load()
    if args.small:
        args.seconds = min(args.seconds, 0.02)
    report = make_report({}, {}, imported=args.imported)
    print(f"fastsoftmax {report['version']}: {results.machine_of(report)}")
    measuring = argparse.Namespace(seconds=args.seconds)
    worker = Worker(Part, args.imported, args.threads)
    try:
        for name in args.parts or PARTS:
            print(f"\n{name}: {PARTS[name].__doc__}", flush=True)
            rows = worker.ask("rows", name, measuring)
            report["rows"] += rows
            for row in rows:
                print(line_of(row), flush=True)
    finally:
        worker.close()
    options.save(args, report)


def line_of(row):
    figures = "  ".join(f"{name} {results.three_digits(x)}" for name, x in row["figures"].items())
    mark = f" {results.MARK} {'; '.join(row['disturbed'])}" if row["disturbed"] else ""
    return f"{row['case']:<40} {figures}{mark}"
