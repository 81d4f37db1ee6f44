"""Inference, small updates and exact fits of the estimators beside scikit-learn.

    python -m bench estimators
    python -m bench estimators -k predict

Both predict with the same fitted parameters; each library has a process of its own, for its threads' sake.
"""

from functools import partial

import numpy as np

from fastsoftmax._measuring import contenders, disturbance
from fastsoftmax._measuring.contenders import OURS
from fastsoftmax._measuring.results import make_report, make_row
from fastsoftmax._measuring.timer import Turn, alternate

from . import options, training
from .results import Layout, our_share
from .workers import Worker

PEER = "scikit-learn"
N_HIDDEN, N_FITTED, LBFGS_ITERATIONS = 128, 5000, 20
MIN_ACCURACY = 0.8
LAYOUT = Layout(
    heads=("call", "model"),
    case=lambda row: (row["operation"], row["model"]),
    cell=our_share,
    note="The median time of a call; of scikit-learn in brackets our time as a share of it. Images of 784 pixels, "
    "float32, 10 classes.",
)
MODELS = ("784-10", "784-128-10")
CASES = (
    *((f"predict_proba, {n} rows", model) for model in MODELS for n in (1, 32, 10_000)),
    ("partial_fit, 32 rows", "784-128-10"),
    (f"{LBFGS_ITERATIONS} iterations of lbfgs", "784-10"),
    ("fit, newton-cholesky, digits", "64-10"),
)


class Estimators:
    """The calls of one library."""

    def __init__(self, library, n_images):
        self._library = library
        if library == PEER:
            import sklearn  # noqa: F401
        X, self._y, _ = training.load_images(n_images)
        self._X = X.astype(np.float32) / np.float32(255)

    def prepare(self, operation, model):
        self._call, self._result = self._make(operation, model)
        self._turn = Turn(self._call)

    def result(self):
        """Return what both libraries agree about."""
        return self._result()

    def turn(self):
        return self._turn()

    def _make(self, operation, model):
        """Return the call that is timed, and what tells its result."""
        if operation.startswith("predict_proba"):
            clf, X = self._fitted(model), self._X[: int(operation.split()[1])]
            call = partial(clf.predict_proba, X)
            return call, lambda: np.asarray(call())[:100]
        if operation.startswith("partial_fit"):
            clf, X, y = self._network(), self._X[:32], self._y[:32]
            clf.partial_fit(X, y, classes=np.arange(10))

            def result():
                for _ in range(100):
                    clf.partial_fit(X, y)
                return learnt(clf, X, y)

            return lambda: clf.partial_fit(X, y), result
        if "lbfgs" in operation:
            clf = self._linear(max_iter=LBFGS_ITERATIONS, tol=1e-12, solver="lbfgs")
            X, y = self._X, self._y
            return lambda: clf.fit(X, y), lambda: learnt(clf, X[:1000], y[:1000])
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        clf = self._linear(solver="newton-cholesky", tol=1e-8)
        return lambda: clf.fit(X, y), lambda: clf.predict_proba(X[:100])

    def _fitted(self, model):
        """Return scikit-learn's model, or ours with its parameters."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.neural_network import MLPClassifier

        X, y = self._X[:N_FITTED], self._y[:N_FITTED]
        if model == "784-10":
            theirs = LogisticRegression(max_iter=30).fit(X, y)
        else:
            theirs = MLPClassifier((N_HIDDEN,), max_iter=3, random_state=0).fit(X, y)
        if self._library == PEER:
            return theirs
        import fastsoftmax as fs

        ours = fs.SoftmaxRegression if model == "784-10" else fs.MLPClassifier
        return ours.from_sklearn(theirs)

    def _network(self):
        if self._library == PEER:
            from sklearn.neural_network import MLPClassifier

            return MLPClassifier((N_HIDDEN,), alpha=0.0, batch_size=32, random_state=0)
        import fastsoftmax as fs

        return fs.MLPClassifier((N_HIDDEN,), solver="adam", batch_size=32, random_state=0)

    def _linear(self, **given):
        if self._library == PEER:
            from sklearn.linear_model import LogisticRegression

            return LogisticRegression(**given)
        import fastsoftmax as fs

        return fs.SoftmaxRegression(**given)


def learnt(clf, X, y):
    """Return 1 if an estimator has learnt its rows; raise otherwise."""
    accuracy = np.mean(clf.predict(X) == y)
    if accuracy < MIN_ACCURACY:
        raise AssertionError(f"{clf} has not learnt: accuracy {accuracy:.3f}")
    return 1.0


def add_arguments(parser):
    options.add_common_arguments(parser, 40, "how long to measure in all")
    parser.add_argument("-k", default="", metavar="TEXT", help="calls that contain this")


def run(args):
    options.report_of(args, start, LAYOUT)


def start(args):
    n_images = 2000 if args.small else training.N_IMAGES
    workers, absent = {}, {}
    for name in (OURS, PEER):
        try:
            workers[name] = Worker(quietly, name, n_images)
        except ImportError as error:
            absent[name] = contenders.reason(name, error)
    versions = {name: contenders.version(name) for name in workers if name != OURS}
    report = make_report(versions, absent, data=training.load_images(1)[2])
    return report, rows(args, workers)


def quietly(name, n_images):
    """Return an object whose models may end before they have converged."""
    import warnings

    warnings.simplefilter("ignore")
    return Estimators(name, n_images)


def rows(args, workers):
    todo = [case for case in CASES if args.k in " ".join(case)]
    budget = options.Budget(
        0.1 * len(todo) if args.small else args.seconds, len(todo), 1 if args.small else args.tries
    )
    try:
        for operation, model in todo:
            yield budget.measure(partial(measure, workers, operation, model))
    finally:
        for worker in workers.values():
            worker.close()


def measure(workers, operation, model, seconds):
    """Compare and time one call; return its row."""
    found = {}
    for name, worker in workers.items():
        worker.ask("prepare", operation, model)
        found[name] = worker.ask("result")
    if PEER in found:
        np.testing.assert_allclose(found[OURS], found[PEER], rtol=1e-3, atol=1e-4)
    watch = disturbance.Watch([worker.pid for worker in workers.values()])
    turns = {name: partial(worker.ask, "turn") for name, worker in workers.items()}
    timings = alternate(turns, seconds, pause=training.PAUSE)
    row = make_row({"operation": operation, "model": model}, timings)
    return {**row, "disturbed": watch.reasons() + disturbance.suspicions(timings, OURS)}
