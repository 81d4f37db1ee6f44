"""What an evaluation of loss and gradient costs on Dask, and a model of it for clusters of any size.

    python -m bench dask-scaling                  one and two workers on this machine, the fitted model, what it
                                                  predicts; about a minute
    python -m bench dask-scaling --workers 2      these workers alone
    python -m bench dask-scaling --small          a few evaluations of small data, to see that it runs

Every evaluation is the round of tasks that L-BFGS sends. Workers time their own arithmetic, so that what
Dask and the network add is known apart from it. docs/scaling.md explains the columns.
"""

import contextlib
import time
import warnings

import numpy as np

from . import options
from .on_dask import left_out, local_client

BASE = {"n_rows": 24_000, "n_features": 784, "n_classes": 10, "n_parts": 8}
SHAPES = [
    BASE,
    {**BASE, "n_rows": 6_000},
    {**BASE, "n_rows": 96_000},
    {**BASE, "n_features": 64},
    {**BASE, "n_features": 3_136},
    {**BASE, "n_classes": 3},
    {**BASE, "n_classes": 100},
    {**BASE, "n_parts": 2},
    {**BASE, "n_parts": 32},
]
ROWS_A_PART = 1_000_000
"""In the predictions: 784 features of uint8 are 0.8 GB."""

SMALL = [{**BASE, "n_rows": 2_000, "n_features": 20}, {**BASE, "n_rows": 4_000, "n_features": 20}]


def add_arguments(parser):
    parser.add_argument(
        "--small", action="store_true", help="only try the command: the figures mean nothing"
    )
    parser.add_argument(
        "--rounds", type=int, default=12, metavar="N", help="iterations of each fit (default: 12)"
    )
    parser.add_argument(
        "--workers", type=int, action="append", metavar="N", help="processes (default: 1 and 2)"
    )


def run(args):
    if left_out("dask-scaling"):
        return
    options.warn_of_load()
    results = []
    print("workers      rows features classes parts   round ms  compute ms  above it ms")
    for n_workers in args.workers or (1, 2):
        with local_client(n_workers) as client:
            for shape in SMALL if args.small else SHAPES:
                seconds, compute = measure(
                    client, n_workers, shape, 4 if args.small else args.rounds
                )
                results.append((shape, n_workers, seconds, compute))
                print(
                    f"{n_workers:7} {shape['n_rows']:9} {shape['n_features']:8} {shape['n_classes']:7} "
                    f"{shape['n_parts']:5} {1e3 * seconds:10.1f} {1e3 * compute:11.1f} "
                    f"{1e3 * (seconds - compute):12.1f}",
                    flush=True,
                )
    print_model(fitted(results), results)


class Timed:
    """A job that tells in a last array how many seconds its arithmetic took."""

    def __init__(self, job):
        self.job = job

    def __call__(self, split, loss):
        start = time.perf_counter()
        sums = self.job(split, loss)
        seconds = np.array([time.perf_counter() - start])
        return sums._replace(arrays=(*sums.arrays, seconds))


@contextlib.contextmanager
def timed_rounds():
    """Yield a list that is told of each evaluation: seconds, and those of all partitions' arithmetic."""
    from fastsoftmax.dask import _full_batch

    evaluation, rounds = _full_batch.SumsOverPartitions, []
    call = evaluation.__call__

    def timed_call(self, network):
        partitions, add_up, found = self._partitions, self._partitions.add_up, []

        def timed(job, *args, **how):
            found.append(add_up(Timed(job), *args, **how))
            return found[0]

        partitions.add_up = timed
        start = time.perf_counter()
        result = call(self, network)
        rounds.append((time.perf_counter() - start, float(found[0].arrays[-1][0])))
        del partitions.add_up
        return result

    evaluation.__call__ = timed_call
    try:
        yield rounds
    finally:
        evaluation.__call__ = call


def measure(client, n_workers, shape, n_rounds):
    """Return the medians of (seconds of a round, seconds of arithmetic a worker)."""
    import dask.array as da

    from fastsoftmax.dask import SoftmaxRegression

    rng = da.random.default_rng(0)
    rows = shape["n_rows"] // shape["n_parts"]
    X = rng.normal(size=(shape["n_rows"], shape["n_features"]), chunks=(rows, -1)).astype("f4")
    y = rng.integers(0, shape["n_classes"], shape["n_rows"], chunks=rows)
    with timed_rounds() as rounds, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lbfgs failed to converge")
        SoftmaxRegression(solver="lbfgs", max_iter=n_rounds, tol=0, client=client).fit(X, y)
    rounds = np.array(rounds)[2:]
    seconds = np.median(rounds[:, 0])
    return seconds, np.median(rounds[:, 1]) / n_workers


def bytes_moved(shape, n_workers):
    """Return the bytes of a round: weights in float32 to workers, sums in double back, one node each."""
    n_parameters = (shape["n_features"] + 1) * shape["n_classes"]
    return n_workers * (4 + 8) * n_parameters


def work(shape, n_workers, n_threads=1):
    """Return the work of a worker: multiplications, logits, and parameters times partitions."""
    n_logits = shape["n_rows"] * shape["n_classes"] / (n_workers * n_threads)
    n_parameters = (shape["n_features"] + 1) * shape["n_classes"]
    return n_logits * shape["n_features"], n_logits, shape["n_parts"] / n_workers * n_parameters


def fitted(results):
    """Return the seconds that each term of the model takes: (of compute, of what comes on top)."""
    compute = [work(s, w) for s, w, _, _ in results]
    overhead = [[1.0, w, bytes_moved(s, w)] for s, w, _, _ in results]
    arithmetic = np.array([c for *_, c in results])
    rest = np.array([t - c for *_, t, c in results])
    return _least(compute, arithmetic), _least(overhead, rest)


def _least(columns, values):
    """Return coefficients >= 0 with the least squares of relative errors; small measurements do not tell all apart."""
    from scipy.optimize import lsq_linear

    columns = np.array(columns, dtype=float)
    scale = columns.max(axis=0)
    relative = columns / scale / values[:, None]
    found = lsq_linear(relative, np.ones(len(values)), bounds=(0, np.inf), method="bvls")
    return found.x / scale


def predict(model, shape, n_workers, n_threads=1):
    """Return (compute, network, overhead) in seconds of an evaluation."""
    compute, (a_round, a_worker, a_byte) = model
    return (
        float(np.dot(compute, work(shape, n_workers, n_threads))),
        a_byte * bytes_moved(shape, n_workers),
        a_round + a_worker * n_workers,
    )


def print_model(model, results):
    """Print the model, its errors, and what it predicts."""
    (by_product, by_logit, by_parameter), (a_round, a_worker, a_byte) = model
    print(
        f"\nan evaluation takes\n"
        f"  rows * classes / threads * ({1e12 * by_product:.1f} ps * features + {1e9 * by_logit:.1f} ns)\n"
        f"  + partitions a worker * features * classes * {1e9 * by_parameter:.1f} ns\n"
        f"  + {1e3 * a_round:.1f} ms + {1e3 * a_worker:.2f} ms * workers + {1e9 * a_byte:.2f} ns * bytes moved"
    )
    errors = [sum(predict(model, s, w)) / t - 1 for s, w, t, _ in results]
    print(
        f"its errors: {min(errors):+.0%} to {max(errors):+.0%}, median {np.median(np.abs(errors)):.0%}"
    )
    print("\n  workers          rows    compute s  network s  overhead s   evaluation s")
    for n_workers in (1, 10, 100, 1000):
        for n_rows in (10**7, 10**10):
            shape = {**BASE, "n_rows": n_rows, "n_parts": max(n_workers, n_rows // ROWS_A_PART)}
            parts = predict(model, shape, n_workers, n_threads=16)
            print(
                f"{n_workers:9} {n_rows:13} {parts[0]:12.3g} {parts[1]:10.3g} {parts[2]:11.3g} "
                f"{sum(parts):12.3g}"
            )
