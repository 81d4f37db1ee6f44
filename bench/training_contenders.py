"""The contenders of `training.py`: each case of training and inference, done by each library.

PyTorch is given what was fastest for it: index batches, the fused Adam, 1 or 2 threads (both are
shown). Keras runs on TensorFlow with `fit`, as its tutorial does. scikit-learn reads float32 that were
scaled beforehand. The linear model on lbfgs minimises scikit-learn's objective for 20 iterations.
"""

import importlib
import itertools
import os

import numpy as np

N_FEATURES, N_CLASSES, N_HIDDEN, BATCH_SIZE, RATE = 784, 10, 128, 32, 1e-3
LBFGS_ITERATIONS = 20
INFERENCE_ROWS = (1, 32, 10_000)

OURS = "fastsoftmax"
MODULES = {OURS: "fastsoftmax", "scikit-learn": "sklearn", "PyTorch": "torch", "Keras": "keras"}
EPOCHS = ("epoch 784-128-10 uint8", "epoch 784-128-10 float64", "epoch 784-10 uint8")
LBFGS = f"{LBFGS_ITERATIONS} iterations of lbfgs 784-10 float32"
INFERENCE = tuple(
    f"predict_proba {shape} {n_rows} rows"
    for shape in ("784-10", "784-128-10")
    for n_rows in INFERENCE_ROWS
)


def offers(name, case):
    """Whether a contender has the case."""
    if case in INFERENCE or case == LBFGS:
        return name in (OURS, "scikit-learn")
    return name != "scikit-learn" or "128" in case  # it trains no linear softmax with Adam


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
    """Return (run, predict) of `clf`: a run is one call."""
    n_rows = int(case.split()[-2])
    X = as_float32(X)
    part = X[:n_rows]
    return lambda: clf.predict_proba(part), lambda: clf.predict(X)


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
    else:
        clf.set_params(input_scale=1 / 255)
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
