"""Who trains in `training`: each library with the same images, networks, batch sizes, rates and number of threads.

A contender is made of images (n_images, 784) of uint8 and classes; `prepare` makes the model of a case and returns two
functions: one that trains an epoch on the first images and returns its seconds, and one that returns the accuracy.
"""

import importlib
import itertools
import os
import time

import numpy as np

from fastsoftmax._measuring.contenders import ONE_THREAD, OURS

RATES = {"adam": 1e-3, "sgd": 0.01}
MOMENTUM = 0.9  # Nesterov's
WARM_STEPS = 3
JUDGED = 10_000
SCALE = 1 / 255


def n_threads():
    """Return how many threads every contender may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class FastSoftmax:
    """partial_fit of MLPClassifier and SoftmaxRegression on uint8."""

    distribution = "fastsoftmax"

    def __init__(self, X, y, threads):
        import fastsoftmax as fs

        self._fs, self._X, self._y = fs, X, y
        fs.set_num_threads(threads)

    def prepare(self, case, n_images):
        options = {
            "solver": case.solver,
            "batch_size": case.batch_size,
            "learning_rate_init": RATES[case.solver],
            "input_scale": SCALE,
            "random_state": 0,
        }
        if case.hidden:
            clf = self._fs.MLPClassifier(case.hidden, **options)
        else:
            clf = self._fs.SoftmaxRegression(**options)
        return by_partial_fit(clf, self._X, self._y, case, n_images)


def by_partial_fit(clf, X, y, case, n_images):
    """Return how an estimator trains an epoch, and how accurate it is."""
    X, y, classes = X[:n_images], y[:n_images], np.arange(10)
    warm = WARM_STEPS * case.batch_size
    clf.partial_fit(X[:warm], y[:warm], classes=classes)

    def epoch():
        start = time.perf_counter()
        clf.partial_fit(X, y)
        return time.perf_counter() - start

    return epoch, lambda: float(np.mean(clf.predict(X[:JUDGED]) == y[:JUDGED]))


class ScikitLearn:
    """partial_fit of MLPClassifier on float32 in [0, 1]. It has no linear softmax that is trained in batches."""

    distribution = "scikit-learn"

    def __init__(self, X, y, threads):
        self._network = importlib.import_module("sklearn.neural_network").MLPClassifier
        self._X, self._y = X.astype(np.float32) * np.float32(SCALE), y

    def prepare(self, case, n_images):
        clf = self._network(
            case.hidden,
            solver=case.solver,
            alpha=0.0,
            batch_size=case.batch_size,
            learning_rate_init=RATES[case.solver],
            momentum=MOMENTUM,
            random_state=0,
        )
        return by_partial_fit(clf, self._X, self._y, case, n_images)


class PyTorch:
    """Batches by index of uint8 tensors, cross_entropy, the fused optimisers."""

    distribution = "torch"

    def __init__(self, X, y, threads, compiled=False):
        self._torch = torch = importlib.import_module("torch")
        torch.set_num_threads(threads)
        self._images, self._classes = torch.from_numpy(X), torch.from_numpy(y)
        self._compiled, self._steps = compiled, {}

    def prepare(self, case, n_images):
        torch = self._torch
        torch.manual_seed(0)
        model, loss_of = self._network(case.hidden)
        rate, parameters = RATES[case.solver], model.parameters()
        if case.solver == "adam":
            optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)
        else:
            optimizer = torch.optim.SGD(
                parameters, lr=rate, momentum=MOMENTUM, nesterov=True, fused=True
            )
        images, classes = self._images[:n_images], self._classes[:n_images]

        def train(order):
            for rows in order.split(case.batch_size):
                optimizer.zero_grad()
                loss_of(images[rows], classes[rows]).backward()
                optimizer.step()

        def epoch():
            start = time.perf_counter()
            train(torch.randperm(len(classes)))
            return time.perf_counter() - start

        def accuracy():
            with torch.no_grad():
                found = model(images[:JUDGED].float() * SCALE).argmax(1)
            return float((found == classes[:JUDGED]).float().mean())

        last = len(classes) % case.batch_size  # compiled for this size too
        train(torch.arange(min(len(classes), WARM_STEPS * case.batch_size + last)))
        return epoch, accuracy

    def _network(self, hidden):
        """Return a network and its loss on images and classes; a compiled one is compiled once and begins anew."""
        torch = self._torch
        if hidden in self._steps:
            model, loss_of = self._steps[hidden]
            for layer in model:
                if hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()
            return model, loss_of
        sizes = (self._images.shape[1], *hidden, 10)
        layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        others = [one for layer in layers[1:] for one in (torch.nn.ReLU(), layer)]
        model = torch.nn.Sequential(layers[0], *others)
        cross_entropy = torch.nn.functional.cross_entropy

        def loss_of(images, classes):
            return cross_entropy(model(images.float() * SCALE), classes)

        if self._compiled:
            loss_of = torch.compile(loss_of, dynamic=True)
            self._steps[hidden] = model, loss_of
        return model, loss_of


class Keras:
    """fit on TensorFlow, with a layer that scales uint8, as its tutorials do."""

    distribution = "keras"

    def __init__(self, X, y, threads):
        os.environ["KERAS_BACKEND"] = "tensorflow"
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
        self._keras = importlib.import_module("keras")
        self._X, self._y = X, y

    def prepare(self, case, n_images):
        keras = self._keras
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        hidden = [keras.layers.Dense(size, activation="relu") for size in case.hidden]
        model = keras.Sequential([keras.layers.Rescaling(SCALE), *hidden, keras.layers.Dense(10)])
        rate = RATES[case.solver]
        if case.solver == "adam":
            optimizer = keras.optimizers.Adam(rate)
        else:
            optimizer = keras.optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=optimizer, loss=loss)
        X, y = self._X[:n_images], self._y[:n_images]
        warm = WARM_STEPS * case.batch_size
        model.fit(X[:warm], y[:warm], batch_size=case.batch_size, verbose=0)

        def epoch():
            start = time.perf_counter()
            model.fit(X, y, epochs=1, batch_size=case.batch_size, verbose=0)
            return time.perf_counter() - start

        def accuracy():
            logits = model.predict(X[:JUDGED], batch_size=4096, verbose=0)
            return float(np.mean(logits.argmax(1) == y[:JUDGED]))

        return epoch, accuracy


CONTENDERS = {
    OURS: (FastSoftmax, {}),
    ONE_THREAD: (FastSoftmax, {"threads": 1}),
    "PyTorch": (PyTorch, {}),
    "PyTorch, 1 thread": (PyTorch, {"threads": 1}),
    "PyTorch, compiled": (PyTorch, {"compiled": True}),
    "PyTorch, compiled, 1 thread": (PyTorch, {"compiled": True, "threads": 1}),
    "scikit-learn": (ScikitLearn, {}),
    "Keras": (Keras, {}),
}
NAMES = tuple(CONTENDERS)


def make(name, X, y):
    """Return a contender by its name."""
    kind, options = CONTENDERS[name]
    return kind(X, y, **{"threads": n_threads(), **options})


def offers(name, case):
    """Whether a contender has the model of a case: scikit-learn's networks have hidden layers."""
    return CONTENDERS[name][0] is not ScikitLearn or bool(case.hidden)


def distribution_of(name):
    return CONTENDERS[name][0].distribution


def module_of(name):
    """Return the module that a contender needs."""
    distribution = distribution_of(name)
    return {"scikit-learn": "sklearn"}.get(distribution, distribution)


def environment_of(name):
    """Return the environment variables of a contender's process: as many threads of BLAS and OpenMP as it may use."""
    threads = CONTENDERS[name][1].get("threads")
    return {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
