"""Time training and inference beside scikit-learn, PyTorch and Keras, and print one table.

python bench/training.py                       60,000 made images
python bench/training.py --data-dir FOLDER     Fashion-MNIST from its four files
python bench/training.py -k epoch              the cases whose names contain "epoch"

Every contender lives in a process of its own, since the thread pools of one slow the others down; the
processes take turns, a case at a time, and the median counts. All get the same images in the same
number of threads, warm up with one run, and must have learnt something before they are timed.
What each of them is given stands in `training_contenders.py`.
"""

import argparse
import functools
import importlib.util
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
from training_contenders import (
    CONTENDERS,
    EPOCHS,
    INFERENCE,
    LBFGS,
    MODULES,
    N_CLASSES,
    N_FEATURES,
    OURS,
    n_threads,
    offers,
)

CASES = (*EPOCHS, LBFGS, *INFERENCE)
N_ROWS = 60_000
INFERENCE_SECONDS = 0.2
PAUSE = 0.2
MIN_ACCURACY = 0.7


def make_images(n_rows):
    """Return images (n_rows, 784) of uint8 and their classes: noise around a pattern a class."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 128, (N_CLASSES, N_FEATURES))
    y = rng.integers(0, N_CLASSES, n_rows)
    noise = rng.integers(0, 128, (n_rows, N_FEATURES), dtype=np.uint8)
    return patterns[y].astype(np.uint8) + noise, y


def load_images(data_dir, n_rows):
    """Return images and classes, made or read."""
    if data_dir is None:
        return make_images(n_rows)
    from fastsoftmax.datasets import load_fashion_mnist

    X, y = load_fashion_mnist(data_dir)[0]
    return X.reshape(len(X), -1)[:n_rows], y[:n_rows].astype(np.int64)


def seconds_of(run, case):
    """Time one run; of short calls the median of many.

    Before that the other processes' idle threads go to sleep: BLAS lets them spin for a while.
    """
    time.sleep(PAUSE)
    if case not in INFERENCE:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    times, end = [], time.perf_counter() + INFERENCE_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def work(name, case, data_dir, n_rows):
    """Be a contender: tell the accuracy after a warm-up, then time a run for every line of stdin."""
    name, _, threads = name.partition(" x ")
    contender = CONTENDERS[name]
    if threads:
        contender = functools.partial(contender, threads=int(threads))
    X, y = load_images(data_dir, n_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch is not enough, says scikit-learn
        run, predict = contender(case, X, y)
        run()
        print(float(np.mean(predict() == y)), flush=True)
        for _ in sys.stdin:
            print(seconds_of(run, case), flush=True)


class Worker:
    """A contender in a process of its own."""

    def __init__(self, name, case, data_dir=None, n_rows=N_ROWS):
        arguments = ["--work", name, case, str(n_rows)]
        if data_dir is not None:
            arguments += ["--data-dir", str(data_dir)]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.accuracy = float(self._process.stdout.readline() or "nan")
        if not self.accuracy > MIN_ACCURACY:
            self.close()
            raise RuntimeError(f"{name} has not learnt: accuracy {self.accuracy} in {case}")

    def run(self):
        """Return the seconds of one run."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self):
        """End the process."""
        self._process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def installed():
    """Return the names of the contenders that can be imported."""
    return [name for name, module in MODULES.items() if importlib.util.find_spec(module)]


def time_case(case, data_dir, n_rounds, n_rows=N_ROWS):
    """Return {name: median seconds} of a case, the contenders taking turns."""
    names = [name for name in installed() if offers(name, case)]
    if "PyTorch" in names and n_threads() > 1:
        names[names.index("PyTorch") :] = ["PyTorch x 1", *names[names.index("PyTorch") :]]
    workers = {name: Worker(name, case, data_dir, n_rows) for name in names}
    times = {name: [] for name in names}
    try:
        for _ in range(n_rounds):
            for name, worker in workers.items():
                times[name].append(worker.run())
    finally:
        for worker in workers.values():
            worker.close()
    return {name: statistics.median(values) for name, values in times.items()}


def main(argv):
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", nargs=3)
    parser.add_argument("--data-dir")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-k", default="")
    args = parser.parse_args(argv)
    if args.work:
        name, case, n_rows = args.work
        work(name, case, args.data_dir, int(n_rows))
        return
    from fastsoftmax.cli._printing import duration, three_digits

    names = [OURS, "scikit-learn", "PyTorch", "PyTorch x 1", "Keras"]
    print(f"{n_threads()} threads; ours, and each peer: its time (ours / its)\n")
    print("| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for case in CASES:
        if args.k in case:
            found = time_case(case, args.data_dir, args.rounds)
            ours = found[OURS]
            cells = [
                f"{duration(found[name])} ({three_digits(ours / found[name])})"
                if name in found
                else "-"
                for name in names[1:]
            ]
            print(f"| {case} | " + " | ".join([duration(ours), *cells]) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
