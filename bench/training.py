"""Time training and inference beside scikit-learn, PyTorch and Keras, and print one table.

python bench/training.py                       60,000 made images
python bench/training.py --data-dir FOLDER     Fashion-MNIST from its four files
python bench/training.py -k epoch              the cases whose names contain "epoch"

Every contender lives in a process of its own, since the thread pools of one slow the others down; the
processes take turns, a case at a time, and the median counts. All get the same images in the same
number of threads, warm up with one run, and must have learnt something before they are timed.

PyTorch is given what was fastest for it: index batches, the fused Adam, 1 or 2 threads (both are
shown). Keras runs on TensorFlow with `fit`, as its tutorial does. scikit-learn reads float32 that were
scaled beforehand. The linear model on lbfgs minimises scikit-learn's objective for 20 iterations.
"""

import argparse
import functools
import importlib
import itertools
import os
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np

N_FEATURES, N_CLASSES, N_HIDDEN, BATCH_SIZE, RATE = 784, 10, 128, 32, 1e-3
N_ROWS = 60_000
LBFGS_ITERATIONS = 20
INFERENCE_ROWS = (1, 32, 10_000)
INFERENCE_SECONDS = 0.2
PAUSE = 0.2
MIN_ACCURACY = 0.7

OURS = "fastsoftmax"
MODULES = {OURS: "fastsoftmax", "scikit-learn": "sklearn", "PyTorch": "torch", "Keras": "keras"}
EPOCHS = ("epoch 784-128-10 uint8", "epoch 784-128-10 float64", "epoch 784-10 uint8")
LBFGS = f"{LBFGS_ITERATIONS} iterations of lbfgs 784-10 float32"
INFERENCE = tuple(
    f"predict_proba {shape} {n_rows} rows"
    for shape in ("784-10", "784-128-10")
    for n_rows in INFERENCE_ROWS
)
CASES = (*EPOCHS, LBFGS, *INFERENCE)


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


def offers(name, case):
    """Whether a contender has the case."""
    if case in INFERENCE or case == LBFGS:
        return name in (OURS, "scikit-learn")
    return name != "scikit-learn" or "128" in case  # it trains no linear softmax with Adam


# A contender takes (case, X, y) and returns (run, predict): what is timed, and what it has learnt.


def fastsoftmax(case, X, y):
    import fastsoftmax as fs

    fs.set_num_threads(n_threads())
    if case in INFERENCE:
        clf = fitted_by_scikit_learn(case, X, y)
        cls = fs.MLPClassifier if "128" in case else fs.SoftmaxRegression
        return inference(cls.from_sklearn(clf), case, X)
    if case == LBFGS:
        clf = fs.SoftmaxRegression(max_iter=LBFGS_ITERATIONS, tol=1e-12)
        X = as_float32(X)
        return lambda: clf.fit(X, y), lambda: clf.predict(X)
    options = {"solver": "adam", "batch_size": BATCH_SIZE, "random_state": 0}
    clf = (
        fs.MLPClassifier(N_HIDDEN, **options) if "128" in case else fs.SoftmaxRegression(**options)
    )
    if "float64" in case:
        X = X / 255.0
    classes = np.arange(N_CLASSES)
    return lambda: clf.partial_fit(X, y, classes=classes), lambda: clf.predict(X)


def scikit_learn(case, X, y):
    neural_network = importlib.import_module("sklearn.neural_network")
    linear_model = importlib.import_module("sklearn.linear_model")
    if case in INFERENCE:
        return inference(fitted_by_scikit_learn(case, X, y), case, X)
    X = X / 255.0 if "float64" in case else as_float32(X)
    if case == LBFGS:
        clf = linear_model.LogisticRegression(max_iter=LBFGS_ITERATIONS, tol=1e-12)
        return lambda: clf.fit(X, y), lambda: clf.predict(X)
    options = {"alpha": 0.0, "batch_size": BATCH_SIZE, "random_state": 0}
    clf = neural_network.MLPClassifier(N_HIDDEN, **options)
    classes = np.arange(N_CLASSES)
    return lambda: clf.partial_fit(X, y, classes=classes), lambda: clf.predict(X)


def pytorch(case, X, y, threads=None):
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads or n_threads())
    torch.manual_seed(0)
    sizes = (N_FEATURES, N_HIDDEN, N_CLASSES) if "128" in case else (N_FEATURES, N_CLASSES)
    layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    model = torch.nn.Sequential(layers[0], *[m for x in layers[1:] for m in (torch.nn.ReLU(), x)])
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    images, classes = torch.from_numpy(X), torch.from_numpy(y)
    if "float64" in case:
        model, images = model.double(), images.double() / 255.0

    def rows_of(rows):
        return images[rows] if "float64" in case else images[rows].float() / 255

    def run():
        for rows in torch.randperm(len(y)).split(BATCH_SIZE):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(rows_of(rows)), classes[rows]).backward()
            optimizer.step()

    return run, lambda: model(rows_of(slice(None))).argmax(1).numpy()


def keras(case, X, y):
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    tensorflow = importlib.import_module("tensorflow")
    keras = importlib.import_module("keras")
    tensorflow.config.threading.set_intra_op_parallelism_threads(n_threads())
    tensorflow.config.threading.set_inter_op_parallelism_threads(n_threads())
    keras.utils.set_random_seed(0)
    scaling = [] if "float64" in case else [keras.layers.Rescaling(1 / 255)]
    hidden = [keras.layers.Dense(N_HIDDEN, activation="relu")] if "128" in case else []
    model = keras.Sequential([*scaling, *hidden, keras.layers.Dense(N_CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss=loss, metrics=["accuracy"])
    X = X / 255.0 if "float64" in case else X

    def run():
        model.fit(X, y, epochs=1, batch_size=BATCH_SIZE, verbose=0)

    return run, lambda: model.predict(X, batch_size=4096, verbose=0).argmax(1)


CONTENDERS = {
    OURS: fastsoftmax,
    "scikit-learn": scikit_learn,
    "PyTorch": pytorch,
    "Keras": keras,
}


def as_float32(X):
    """Return images in [0, 1]."""
    return X.astype(np.float32) / np.float32(255)


def n_threads():
    """Return how many threads every contender may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def fitted_by_scikit_learn(case, X, y):
    """Return scikit-learn's model that both sides predict with."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    X, y = as_float32(X[:5000]), y[:5000]
    if "128" in case:
        return MLPClassifier((N_HIDDEN,), max_iter=5, random_state=0).fit(X, y)
    return LogisticRegression(max_iter=50).fit(X, y)


def inference(clf, case, X):
    """Return (run, predict) of `clf`: a run is as many calls as fill INFERENCE_SECONDS."""
    n_rows = int(case.split()[-2])
    X = as_float32(X)
    part = X[:n_rows]
    return lambda: clf.predict_proba(part), lambda: clf.predict(X)


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
