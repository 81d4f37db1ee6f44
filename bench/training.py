"""Epochs of training beside PyTorch, scikit-learn and Keras: networks, batch sizes, Adam and SGD in one table.

    python -m bench training                               5 to 6 minutes; Fashion-MNIST where FASTSOFTMAX_DATA has it
    python -m bench training --net 128 --net 512,256       these hidden layers; --net linear has none
    python -m bench training --batch 32 --solver adam --contender PyTorch
    python -m bench training --steps 0                     whole epochs, also in small batches
    python -m bench training --write                       and write the table of docs/performance.md

Every contender lives in a process of its own; a turn trains on all images, or on those of the first --steps batches.
Printed are seconds for 60,000 images. Who has not learnt by the end is an error. PyTorch gets what is fastest for it:
index batches of uint8 and the fused Adam; scikit-learn float32 that was scaled beforehand, in one process; Keras runs
`fit` on TensorFlow.
"""

import os
from functools import partial
from typing import NamedTuple

import numpy as np

from fastsoftmax._measuring import contenders, disturbance
from fastsoftmax._measuring.contenders import ONE_THREAD, OURS
from fastsoftmax._measuring.results import make_report, make_row
from fastsoftmax._measuring.timer import alternate

from . import options, results, training_contenders
from .results import Layout, our_share
from .workers import Worker

NETS = ((), (128,), (512,), (128, 64), (512, 256))
BATCH_SIZES = (32, 128, 512, 2048)
SOLVERS = ("adam", "sgd")
N_IMAGES, N_FEATURES, N_CLASSES = 60_000, 784, 10
STEPS = 200
MIN_ACCURACY, MIN_OF_FEW_STEPS = 0.5, 0.25
"""The second of sgd in the largest batches, which leave some dozens of steps; guessing gives 0.1."""
PAUSE = 0.05
PAGE = results.ROOT / "docs" / "performance.md"


class Case(NamedTuple):
    """What is trained."""

    hidden: tuple
    batch_size: int
    solver: str


LAYOUT = Layout(
    heads=("hidden layers", "batch", "solver"),
    case=lambda row: (row["hidden"], str(row["batch_size"]), row["solver"]),
    cell=our_share,
    note="Seconds for an epoch of 60,000 images; of each peer in brackets our time as a share of it. A dash: the peer "
    "has no such model.",
)


def make_images(n_images):
    """Return images (n_images, 784) of uint8 and their classes: noise around a pattern a class."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 128, (N_CLASSES, N_FEATURES))
    y = rng.integers(0, N_CLASSES, n_images)
    noise = rng.integers(0, 128, (n_images, N_FEATURES), dtype=np.uint8)
    return patterns[y].astype(np.uint8) + noise, y


def load_images(n_images=N_IMAGES):
    """Return images, classes and where they come from: Fashion-MNIST if its folder is known, else made."""
    if "FASTSOFTMAX_DATA" not in os.environ:
        return *make_images(n_images), "made images (FASTSOFTMAX_DATA is not set)"
    from fastsoftmax.datasets import load_fashion_mnist

    try:
        X, y = load_fashion_mnist()[0]
    except (OSError, ValueError, ImportError) as error:
        return *make_images(n_images), f"made images ({error})"
    X = np.ascontiguousarray(X.reshape(len(X), -1)[:n_images])
    return X, y[:n_images].astype(np.int64), "Fashion-MNIST"


class Trainer:
    """A contender with its images, in its process."""

    def __init__(self, name, n_images):
        X, y, _ = load_images(n_images)
        self._contender = training_contenders.make(name, X, y)
        self._n_images = len(y)

    def version(self):
        return contenders.version(self._contender.distribution)

    def prepare(self, case, n_images):
        """Make the model of a case, and take a few steps."""
        self._used = min(n_images, self._n_images)
        self._epoch, self._accuracy = self._contender.prepare(case, self._used)

    def turn(self):
        """Return the seconds of an epoch of 60,000 images, of which some are trained on."""
        return self._epoch() * N_IMAGES / self._used

    def accuracy(self):
        """Return the accuracy on the images that were trained on, of 10,000 at most."""
        return self._accuracy()


class TrainerApart:
    """A trainer in a process of its own."""

    def __init__(self, name, n_images):
        self.name = name
        environment = training_contenders.environment_of(name)
        self._worker = Worker(Trainer, name, n_images, environment=environment)
        self.pid = self._worker.pid
        for method in ("version", "prepare", "turn", "accuracy"):
            setattr(self, method, partial(self._worker.ask, method))
        self.close = self._worker.close


def add_arguments(parser):
    options.add_common_arguments(
        parser, 120, "how long to measure in all; slow contenders take one turn anyway"
    )
    options.add_report_arguments(parser, "docs/performance.md's table")
    parser.add_argument(
        "--net", action="append", type=net, metavar="SIZES", help="linear, 128, ..."
    )
    parser.add_argument("--batch", action="append", type=int, metavar="N")
    parser.add_argument("--solver", action="append", choices=SOLVERS)
    parser.add_argument("--contender", action="append", choices=training_contenders.NAMES[2:])
    parser.add_argument(
        "--steps",
        type=int,
        default=STEPS,
        metavar="N",
        help=f"train on the images of so many batches at most; 0: on all (default: {STEPS})",
    )


def net(text):
    return () if text == "linear" else tuple(int(size) for size in text.split(","))


def run(args):
    """Measure or read; print, and write."""
    report = options.report_of(args, start, LAYOUT)
    if args.write:
        results.save(report, results.ROOT / "docs" / "benchmarks" / "training.json")
        results.write_between(PAGE, "training", page_table(report))
        print(f"wrote {PAGE.relative_to(results.ROOT)}")


def page_table(report):
    """Return the table of docs/performance.md."""
    return results.markdown(report, LAYOUT).rstrip() + f" Trained on {report['data']}."


def start(args):
    """Start every contender; return the report and its rows."""
    n_images = 4096 if args.small else N_IMAGES
    names = training_contenders.NAMES[:2] + tuple(args.contender or training_contenders.NAMES[2:])
    trainers, absent = {}, {}
    for name in names:
        try:
            trainers[name] = TrainerApart(name, n_images)
        except (ImportError, RuntimeError) as error:
            absent[name] = contenders.reason(training_contenders.distribution_of(name), error)
    versions = {
        name: one.version() for name, one in trainers.items() if name not in (OURS, ONE_THREAD)
    }
    data = load_images(1)[2]
    print(f"trained on {data}")
    report = make_report(versions, absent, data=data, steps=args.steps)
    return report, rows(args, trainers, n_images)


def rows(args, trainers, n_images):
    """Measure case after case, each for an equal share of the seconds."""
    nets, sizes = args.net or NETS, args.batch or BATCH_SIZES
    if args.small:
        nets, sizes = args.net or NETS[::2], args.batch or (128,)
    todo = [
        Case(hidden, size, solver)
        for solver in args.solver or SOLVERS
        for hidden in nets
        for size in sizes
    ]
    budget = options.Budget(
        0.1 * len(todo) if args.small else args.seconds, len(todo), 1 if args.small else args.tries
    )
    try:
        for case in todo:
            used = min(n_images, args.steps * case.batch_size) if args.steps else n_images
            yield budget.measure(partial(measure, trainers, case, used))
    finally:
        for one in trainers.values():
            one.close()


def measure(trainers, case, n_images, seconds):
    """Time one case, and judge what was learnt; return its row."""
    present = {n: one for n, one in trainers.items() if training_contenders.offers(n, case)}
    for one in present.values():
        one.prepare(case, n_images)
    watch = disturbance.Watch([one.pid for one in present.values()])
    turns = {name: one.turn for name, one in present.items()}
    timings = alternate(turns, seconds, pause=PAUSE)
    disturbed = watch.reasons() + disturbance.suspicions(timings, OURS, ONE_THREAD)
    accuracies = {name: one.accuracy() for name, one in present.items()}
    has_few_steps = case.solver == "sgd" and case.batch_size == BATCH_SIZES[-1]
    least = MIN_OF_FEW_STEPS if has_few_steps else MIN_ACCURACY
    for name, accuracy in accuracies.items():
        if not accuracy > least:
            raise AssertionError(f"{name} has not learnt: accuracy {accuracy:.3f} in {case}")
    timings.pop(ONE_THREAD, None)
    told = {
        **case._asdict(),
        "hidden": ", ".join(map(str, case.hidden)) or "none",
        "images": n_images,
    }
    return {**make_row(told, timings, accuracy=accuracies), "disturbed": disturbed}
