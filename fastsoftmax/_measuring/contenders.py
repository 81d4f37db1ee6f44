"""Who is measured: fastsoftmax and, where installed, what people use in its place.

For each operation that its library offers a contender has a method, which turns logits and targets into the
library's own arrays and returns what a user would call, as a function of no arguments: that alone is timed.
`losses` is for judging: the cross-entropy of each row, whose mean `cross_entropy` is.
"""

import functools
import importlib
import importlib.metadata
from functools import partial

import numpy as np

import fastsoftmax as fs

OURS = "fastsoftmax"
ONE_THREAD = "fastsoftmax, 1 thread"


class FastSoftmax:
    """The public functions of fastsoftmax."""

    name = OURS
    distribution = "fastsoftmax"
    options = {}  # noqa: RUF012

    def softmax(self, x, y):
        return partial(fs.softmax, x, **self.options)

    def log_softmax(self, x, y):
        return partial(fs.log_softmax, x, **self.options)

    def losses(self, x, y):
        return partial(fs.cross_entropy, x, y, reduction="none", **self.options)

    def cross_entropy(self, x, y):
        return partial(fs.cross_entropy, x, y, **self.options)

    def cross_entropy_with_grad(self, x, y):
        return partial(fs.cross_entropy_with_grad, x, y, **self.options)


class OneThread(FastSoftmax):
    """The same with one thread: all threads must not be slower."""

    name = ONE_THREAD
    options = {"n_threads": 1}  # noqa: RUF012


class NumPy:
    """The lines of a textbook, in the dtype of the logits."""

    name = "NumPy"
    distribution = "numpy"

    def softmax(self, x, y):
        def call():
            exps = np.exp(x - x.max(axis=1, keepdims=True))
            return exps / exps.sum(axis=1, keepdims=True)

        return call

    def log_softmax(self, x, y):
        def call():
            shifted = x - x.max(axis=1, keepdims=True)
            return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

        return call

    def losses(self, x, y):
        log_softmax = self.log_softmax(x, y)
        return lambda: -log_softmax()[np.arange(len(y)), y]

    def cross_entropy(self, x, y):
        losses = self.losses(x, y)
        return lambda: losses().mean()

    def cross_entropy_with_grad(self, x, y):
        log_softmax = self.log_softmax(x, y)

        def call():
            log_probs, rows = log_softmax(), np.arange(len(y))
            loss = -log_probs[rows, y].mean()
            grad = np.exp(log_probs)
            grad[rows, y] -= 1
            grad /= len(y)
            return loss, grad

        return call


class SciPy:
    """scipy.special; the loss is composed of its log_softmax."""

    name = "SciPy"
    distribution = "scipy"

    def __init__(self):
        self._special = importlib.import_module("scipy.special")

    def softmax(self, x, y):
        return partial(self._special.softmax, x, axis=1)

    def log_softmax(self, x, y):
        return partial(self._special.log_softmax, x, axis=1)

    def losses(self, x, y):
        log_softmax = self.log_softmax(x, y)
        return lambda: -log_softmax()[np.arange(len(y)), y]

    def cross_entropy(self, x, y):
        losses = self.losses(x, y)
        return lambda: losses().mean()


class PyTorch:
    """torch.softmax, torch.nn.functional.cross_entropy and autograd, eager."""

    name = "PyTorch"
    distribution = "torch"

    def __init__(self):
        self._torch = importlib.import_module("torch")
        functional = importlib.import_module("torch.nn.functional")
        self._softmax, self._log_softmax = self._torch.softmax, self._torch.log_softmax
        self._cross_entropy = functional.cross_entropy

    def _tensors(self, x, y):
        self._torch.set_num_threads(fs.get_num_threads())
        return self._torch.from_numpy(x), self._torch.from_numpy(y)

    def softmax(self, x, y):
        return partial(self._softmax, self._tensors(x, y)[0], 1)

    def log_softmax(self, x, y):
        return partial(self._log_softmax, self._tensors(x, y)[0], 1)

    def losses(self, x, y):
        return partial(self._cross_entropy, *self._tensors(x, y), reduction="none")

    def cross_entropy(self, x, y):
        return partial(self._cross_entropy, *self._tensors(x, y))

    def cross_entropy_with_grad(self, x, y):
        x, y = self._tensors(x, y)
        x.requires_grad_()
        cross_entropy, grad = self._cross_entropy, self._torch.autograd.grad

        def call():
            loss = cross_entropy(x, y)
            return loss.detach(), grad(loss, x)[0]

        return call


class ScikitLearn:
    """HalfMultinomialLoss, the private kernels under its LogisticRegression."""

    name = "scikit-learn"
    distribution = "scikit-learn"

    def __init__(self):
        self._loss_of = functools.cache(
            importlib.import_module("sklearn._loss.loss").HalfMultinomialLoss
        )

    def losses(self, x, y):
        loss = self._loss_of(n_classes=x.shape[1])
        return partial(loss.loss, y.astype(x.dtype), x, n_threads=fs.get_num_threads())

    def cross_entropy(self, x, y):
        losses = self.losses(x, y)
        return lambda: losses().mean()

    def cross_entropy_with_grad(self, x, y):
        loss = self._loss_of(n_classes=x.shape[1])
        both = partial(loss.loss_gradient, y.astype(x.dtype), x, n_threads=fs.get_num_threads())

        def call():
            losses, grad = both()
            grad /= len(y)
            return losses.mean(), grad

        return call


PEERS = (NumPy, SciPy, PyTorch, ScikitLearn)


def installed(kinds):
    """
    Load every contender that is installed.

    Parameters
    ----------
    kinds : iterable of type
        Classes of contenders.

    Returns
    -------
    present : list
        Contenders, in the order of the kinds.
    absent : dict
        The name of each missing library, and why it is missing.
    """
    present, absent = [], {}
    for kind in kinds:
        try:
            present.append(kind())
        except (ImportError, AttributeError) as error:
            absent[kind.name] = reason(kind.distribution, error)
    return present, absent


def reason(distribution, error):
    """Return in words why a library could not be loaded."""
    if isinstance(error, ModuleNotFoundError) and "." not in (error.name or "."):
        return f"not installed: pip install {distribution}"
    return f"could not be used: {error}"


def version(distribution):
    """Return the version of a library by the name of its distribution."""
    if distribution == "fastsoftmax":
        return fs.__version__  # may run from its source folder
    found = importlib.metadata.packages_distributions().get(distribution)
    # tensorflow comes as tensorflow-cpu too
    return importlib.metadata.version(found[0] if found else distribution)
