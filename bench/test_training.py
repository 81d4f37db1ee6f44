"""An epoch of training: 784 bytes in, 10 classes out, Adam with batches of 32.

The data are made: noise around a pattern for each class. What a contender learns from them in one
epoch is checked before it is timed.
"""

import importlib
import itertools
import warnings

import numpy as np
import pytest

import fastsoftmax as fs

pytestmark = pytest.mark.benchmark(max_time=1.0, min_rounds=3, warmup=False)

N_FEATURES, N_CLASSES, BATCH_SIZE, RATE = 784, 10, 32, 1e-3
N_ROWS = 6_000
N_ROWS_CHECKED = 1_280  # when nothing is timed


def make_images(n_rows):
    """Return images (n_rows, 784) of uint8 and their classes."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 128, (N_CLASSES, N_FEATURES))
    y = rng.integers(0, N_CLASSES, n_rows)
    noise = rng.integers(0, 128, (n_rows, N_FEATURES))
    return (patterns[y] + noise).astype(np.uint8), y


def ours(hidden, X, y):
    options = {"solver": "adam", "max_iter": 1, "batch_size": BATCH_SIZE, "random_state": 0}
    if hidden is None:
        return fs.SoftmaxRegression(**options).fit(X, y).predict
    return fs.MLPClassifier((hidden,), **options).fit(X, y).predict


def reference(hidden, X, y):
    """The same with the NumPy back end, which is the specification."""
    with fs.use_backend("numpy"):
        return ours(hidden, X, y)


def scikit_learn(hidden, X, y):
    neural_network = importlib.import_module("sklearn.neural_network")
    clf = neural_network.MLPClassifier(
        (hidden,), alpha=0.0, batch_size=BATCH_SIZE, max_iter=1, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that one epoch is not enough
        clf.fit(X.astype(np.float32) / 255, y)
    return lambda X: clf.predict(X.astype(np.float32) / 255)


def pytorch(hidden, X, y):
    torch = importlib.import_module("torch")
    torch.set_num_threads(fs.get_num_threads())
    torch.manual_seed(0)
    sizes = (N_FEATURES, N_CLASSES) if hidden is None else (N_FEATURES, hidden, N_CLASSES)
    layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    model = torch.nn.Sequential(layers[0], *[m for x in layers[1:] for m in (torch.nn.ReLU(), x)])
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    images, classes = torch.from_numpy(X), torch.from_numpy(y)
    for rows in torch.randperm(len(y)).split(BATCH_SIZE):
        optimizer.zero_grad()
        logits = model(images[rows].float() / 255)
        torch.nn.functional.cross_entropy(logits, classes[rows]).backward()
        optimizer.step()
    return lambda X: model(torch.from_numpy(X).float() / 255).argmax(1).numpy()


CONTENDERS = {
    "fastsoftmax": (ours, "fastsoftmax"),
    "NumPy": (reference, "numpy"),
    "PyTorch": (pytorch, "torch"),
    "scikit-learn": (scikit_learn, "sklearn"),
}


CASES = [
    pytest.param(hidden, name, id=f"{name}-{'784-10' if hidden is None else '784-128-10'}")
    for hidden in (None, 128)
    for name in CONTENDERS
    if (hidden, name) != (None, "scikit-learn")  # it trains no linear softmax with Adam
]


@pytest.mark.parametrize(("hidden", "name"), CASES)
def test_epoch(benchmark, hidden, name):
    train, module = CONTENDERS[name]
    pytest.importorskip(module)
    pytest.importorskip("sklearn")
    X, y = make_images(N_ROWS_CHECKED if benchmark.disabled else N_ROWS)
    accuracy = float(np.mean(train(hidden, X, y)(X) == y))
    assert accuracy > 0.9
    shape = "784-10" if hidden is None else f"784-{hidden}-10"
    benchmark.group = f"epoch {shape}, {len(y)} rows"
    benchmark.extra_info.update(contender=name, accuracy=accuracy)
    benchmark(train, hidden, X, y)
