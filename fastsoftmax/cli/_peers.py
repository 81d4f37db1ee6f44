"""Who is measured: fastsoftmax and, where installed, what people use in its place.

A contender turns logits and targets into its own arrays before anything is timed; each operation
takes those arrays and does what a user of that library would write. An operation that a library
does not offer is absent from its class.
"""

import functools
import importlib
import importlib.metadata

import numpy as np

import fastsoftmax

from ._frameworks import Jax, OnnxRuntime, TensorFlow


class FastSoftmax:
    """The public functions of fastsoftmax."""

    name = "fastsoftmax"
    distribution = "fastsoftmax"

    def arrays(self, logits, targets):
        return logits, targets

    def softmax(self, x, y):
        return fastsoftmax.softmax(x)

    def log_softmax(self, x, y):
        return fastsoftmax.log_softmax(x)

    def losses(self, x, y):
        return fastsoftmax.cross_entropy(x, y, reduction="none")

    def cross_entropy(self, x, y):
        return fastsoftmax.cross_entropy(x, y)

    def cross_entropy_with_grad(self, x, y):
        return fastsoftmax.cross_entropy_with_grad(x, y)


class NumPy:
    """The lines of a textbook, in the dtype of the logits."""

    name = "NumPy"
    distribution = "numpy"

    def arrays(self, logits, targets):
        return logits, targets

    def softmax(self, x, y):
        exps = np.exp(x - x.max(axis=1, keepdims=True))
        return exps / exps.sum(axis=1, keepdims=True)

    def log_softmax(self, x, y):
        shifted = x - x.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def losses(self, x, y):
        return -self.log_softmax(x, y)[np.arange(len(y)), y]

    def cross_entropy(self, x, y):
        return self.losses(x, y).mean()

    def cross_entropy_with_grad(self, x, y):
        log_probs = self.log_softmax(x, y)
        rows = np.arange(len(y))
        loss = -log_probs[rows, y].mean()
        grad = np.exp(log_probs)
        grad[rows, y] -= 1
        grad /= len(y)
        return loss, grad


class SciPy:
    """scipy.special; the loss is composed of its log_softmax."""

    name = "SciPy"
    distribution = "scipy"

    def __init__(self):
        self._special = importlib.import_module("scipy.special")

    def arrays(self, logits, targets):
        return logits, targets

    def softmax(self, x, y):
        return self._special.softmax(x, axis=1)

    def log_softmax(self, x, y):
        return self._special.log_softmax(x, axis=1)

    def losses(self, x, y):
        return -self._special.log_softmax(x, axis=1)[np.arange(len(y)), y]

    def cross_entropy(self, x, y):
        return self.losses(x, y).mean()


class PyTorch:
    """torch.softmax, torch.nn.functional.cross_entropy and autograd."""

    name = "PyTorch"
    distribution = "torch"

    def __init__(self):
        self._torch = importlib.import_module("torch")
        self._functional = importlib.import_module("torch.nn.functional")

    def arrays(self, logits, targets):
        self._torch.set_num_threads(fastsoftmax.get_num_threads())
        return self._torch.from_numpy(logits), self._torch.from_numpy(targets)

    def softmax(self, x, y):
        return self._torch.softmax(x, 1)

    def log_softmax(self, x, y):
        return self._torch.log_softmax(x, 1)

    def losses(self, x, y):
        return self._functional.cross_entropy(x, y, reduction="none")

    def cross_entropy(self, x, y):
        return self._functional.cross_entropy(x, y)

    def cross_entropy_with_grad(self, x, y):
        loss = self._functional.cross_entropy(x.requires_grad_(), y)
        return loss.detach(), self._torch.autograd.grad(loss, x)[0]


class ScikitLearn:
    """HalfMultinomialLoss, the private kernels under its LogisticRegression."""

    name = "scikit-learn"
    distribution = "scikit-learn"

    def __init__(self):
        self._loss_of = functools.cache(
            importlib.import_module("sklearn._loss.loss").HalfMultinomialLoss
        )

    def arrays(self, logits, targets):
        return logits, targets.astype(logits.dtype)

    def losses(self, x, y):
        return self._loss_of(n_classes=x.shape[1]).loss(
            y, x, n_threads=fastsoftmax.get_num_threads()
        )

    def cross_entropy(self, x, y):
        return self.losses(x, y).mean()

    def cross_entropy_with_grad(self, x, y):
        loss = self._loss_of(n_classes=x.shape[1])
        losses, grad = loss.loss_gradient(y, x, n_threads=fastsoftmax.get_num_threads())
        grad /= len(y)
        return losses.mean(), grad


CONTENDERS = (FastSoftmax, NumPy, SciPy, PyTorch, ScikitLearn, Jax, OnnxRuntime, TensorFlow)


def installed():
    """
    Load every contender that is installed.

    Returns
    -------
    present : list
        Contenders, fastsoftmax first.
    absent : dict
        The name of each missing library, and why it is missing.
    """
    present, absent = [], {}
    for contender in CONTENDERS:
        try:
            present.append(contender())
        except (ImportError, AttributeError) as error:
            absent[contender.name] = _reason(contender, error)
    return present, absent


def _reason(contender, error):
    if isinstance(error, ModuleNotFoundError) and "." not in (error.name or "."):
        return f"not installed: pip install {contender.distribution}"
    return f"could not be used: {error}"


def version(contender):
    """Return the version of a contender's library."""
    if isinstance(contender, FastSoftmax):
        return fastsoftmax.__version__  # may run from its source folder
    found = importlib.metadata.packages_distributions().get(contender.distribution)
    name = (
        contender.distribution if not found else found[0]
    )  # tensorflow comes as tensorflow-cpu too
    return importlib.metadata.version(name)


def offers(contender, operation):
    """Whether the contender has the operation."""
    return hasattr(contender, operation)


def result(contender, operation, logits, targets):
    """Run an operation once; return what `_operations.exact` returns for it, as an ndarray."""
    x, y = contender.arrays(logits, targets)
    if operation == "cross_entropy":
        return np.asarray(contender.losses(x, y))
    if operation == "cross_entropy_with_grad":
        return np.asarray(contender.cross_entropy_with_grad(x, y)[1])
    return np.asarray(getattr(contender, operation)(x, y))


def prepare(contender, operation, logits, targets):
    """Return a function of no arguments that runs the operation: what is timed."""
    x, y = contender.arrays(logits, targets)
    function = getattr(contender, operation)
    return lambda: function(x, y)
