"""What a user writes, as mypy --strict and pyright see it: `make types`. Never run."""

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import fastsoftmax as fs

Array = npt.NDArray[np.floating]

logits = np.zeros((4, 3), np.float32)
targets = np.zeros(4, np.int64)

assert_type(fs.softmax(logits), Array)
assert_type(fs.softmax([[0.0, 1.0]], axis=0, temperature=2.0), Array)
assert_type(fs.logsumexp(logits, keepdims=True), Array)

# A loss is a number, or an array of one number a row.
assert_type(fs.cross_entropy(logits, targets), np.floating)
assert_type(fs.cross_entropy(logits, targets, reduction="sum"), np.floating)
assert_type(fs.cross_entropy(logits, targets, reduction="none"), Array)
mean: float = float(fs.cross_entropy(logits, targets))
worst: int = int(fs.cross_entropy(logits, targets, reduction="none").argmax())

loss, grad = fs.cross_entropy_with_grad(logits, targets, out=logits)
assert_type(loss, np.floating)
assert_type(grad, Array)
losses, _ = fs.cross_entropy_with_grad(logits, targets, reduction="none")
assert_type(losses, Array)
assert_type(fs.kl_div_with_logits(logits, logits, reduction="none"), Array)
values, classes = fs.top_k_softmax(logits, 2)
assert_type(classes, npt.NDArray[np.int64])

with fs.use_backend("numpy"), fs.set_num_threads(1):
    name: str = fs.backend_info()["backend"]

# Models, which are loaded when they are first asked for.
network = fs.MLPClassifier((8,), random_state=0)
assert_type(network, fs.MLPClassifier)
assert_type(network.fit(logits, targets), fs.MLPClassifier)
assert_type(network.partial_fit(logits, targets), fs.MLPClassifier)
fs.MLPClassifier((8,), learning_rate=True, nonsense=1)  # type: ignore[call-arg,arg-type]
network.fit(logits, targets, epochs=3)  # type: ignore[call-arg]
regression = fs.SoftmaxRegression().fit(logits, targets)
assert_type(regression, fs.SoftmaxRegression)
first: int = network.n_iter_
fs.datasets.load_mnist
fs.plots.plot_history
