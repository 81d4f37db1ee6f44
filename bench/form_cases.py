"""Every form of every function with kernels, and how one writes the same in PyTorch.

A form makes two calls of no arguments, of this library's arrays and of PyTorch's tensors over the same memory; only
the calls are timed. "plain" is the call with nothing but its arguments.
"""

from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

import fastsoftmax as fs

N_FEATURES = 64
IGNORED = -100


class Form(NamedTuple):
    function: str
    name: str
    ours: Callable
    """Takes Arrays, returns a call."""

    theirs: Callable
    """Takes Tensors, returns a call."""


class Arrays:
    """The arguments of a shape, the same in every process."""

    def __init__(self, n_rows, n_classes):
        rng = np.random.default_rng(0)
        self.x, self.q = rng.standard_normal((2, n_rows, n_classes), dtype=np.float32)
        self.y = rng.integers(0, n_classes, n_rows)
        self.y32 = self.y.astype(np.int32)
        self.ignoring = np.where(np.arange(n_rows) % 7, self.y, IGNORED)
        self.weight = rng.random(n_classes, dtype=np.float32) + np.float32(0.5)
        self.sample_weight = rng.random(n_rows, dtype=np.float32) + np.float32(0.5)
        self.p, self.log_p = fs.softmax(self.q), fs.log_softmax(self.q)
        self.mask = rng.random(self.x.shape) < 0.9
        self.mask[:, 0] = True
        self.out = np.empty_like(self.x)
        self.fortran = np.asfortranarray(self.x)
        self.columns = np.ascontiguousarray(self.x.T)
        self.gaps = np.repeat(self.x, 2, axis=0)[::2]
        self.double, self.half = self.x.astype(np.float64), self.x.astype(np.float16)
        self.features = rng.standard_normal((n_rows, N_FEATURES), dtype=np.float32)
        self.layer = rng.standard_normal((n_classes, N_FEATURES), dtype=np.float32) / np.float32(8)
        self.k = min(5, n_classes)


class Tensors:
    """The same as tensors, made when they are asked for."""

    def __init__(self, arrays):
        import torch

        self.torch, self.F, self.arrays = torch, torch.nn.functional, arrays

    def __getattr__(self, name):
        tensor = self.torch.from_numpy(getattr(self.arrays, name))
        setattr(self, name, tensor)
        return tensor

    @cached_property
    def k(self):
        return self.arrays.k

    @cached_property
    def hidden(self):
        return ~self.mask

    def leaf(self, name):
        """Return a tensor whose gradient is asked for."""
        return getattr(self, name).detach().requires_grad_()


def of(function, *names, **options):
    """Return what makes our call: a public function of some arrays, with options; "@name" stands for an array."""

    def make(arrays):
        given = {
            key: getattr(arrays, value[1:])
            if isinstance(value, str) and value[:1] == "@"
            else value
            for key, value in options.items()
        }
        return partial(getattr(fs, function), *(getattr(arrays, name) for name in names), **given)

    return make


def gradient(loss, *leaves):
    """Return what makes PyTorch's call: a loss of tensors and leaves, and its gradients by autograd."""

    def make(t):
        tensors = [t.leaf(name) for name in leaves]
        grad = t.torch.autograd.grad

        def call():
            value = loss(t, *tensors)
            return value.detach(), *grad(value, tensors)

        return call

    return make


def later(function):
    """Return what makes PyTorch's call: a function of the tensors."""
    return lambda t: partial(function, t)


def forms():
    """Yield every form."""
    yield from softmaxes()
    yield from backwards()
    yield from cross_entropies()
    yield from binary_losses()
    yield from divergences()
    yield from layers()


def softmaxes():
    for name in ("softmax", "log_softmax", "logsumexp"):

        def theirs(array, axis=1, name=name):
            return lambda t: partial(getattr(t.torch, name), getattr(t, array), axis)

        def of_masked(t, name=name):
            return getattr(t.torch, name)(t.x.masked_fill(t.hidden, -t.torch.inf), 1)

        yield Form(name, "plain", of(name, "x"), theirs("x"))
        yield Form(name, "axis=0", of(name, "x", axis=0), theirs("x", 0))
        yield Form(name, "Fortran order", of(name, "fortran"), theirs("fortran"))
        yield Form(name, "rows with gaps", of(name, "gaps"), theirs("gaps"))
        yield Form(name, "float64", of(name, "double"), theirs("double"))
        yield Form(name, "float16", of(name, "half"), theirs("half"))
        yield Form(name, "where=", of(name, "x", where="@mask"), later(of_masked))
        if name != "logsumexp":

            def tempered(t, name=name):
                return getattr(t.torch, name)(t.x / 2, 1)

            yield Form(name, "out=", of(name, "x", out="@out"), theirs("x"))
            yield Form(name, "temperature", of(name, "x", temperature=2.0), later(tempered))
    for form, array in (("plain", "x"), ("float64", "double"), ("float16", "half")):
        yield Form(
            "sigmoid",
            form,
            of("sigmoid", array),
            lambda t, array=array: partial(t.torch.sigmoid, getattr(t, array)),
        )
    yield Form(
        "top_k_softmax",
        "k = 5",
        lambda a: partial(fs.top_k_softmax, a.x, a.k),
        later(lambda t: tuple(t.torch.topk(t.torch.softmax(t.x, 1), t.k))),
    )


def backwards():
    for axis, form in ((1, "plain"), (0, "axis=0")):
        yield Form(
            "softmax_backward",
            form,
            of("softmax_backward", "q", "p", axis=axis),
            later(
                lambda t, axis=axis: t.torch._softmax_backward_data(t.q, t.p, axis, t.torch.float32)
            ),
        )
        yield Form(
            "log_softmax_backward",
            form,
            of("log_softmax_backward", "q", "log_p", axis=axis),
            later(
                lambda t, axis=axis: t.torch._log_softmax_backward_data(
                    t.q, t.log_p, axis, t.torch.float32
                )
            ),
        )


def cross_entropies():
    """Each form of the loss, and of the loss with its gradient."""
    plain, with_grad = "cross_entropy", "cross_entropy_with_grad"
    cases = {
        "plain": ({}, lambda t, x: t.F.cross_entropy(x, t.y)),
        "ignore_index": (
            {"ignore_index": IGNORED},
            lambda t, x: t.F.cross_entropy(x, t.ignoring),
        ),
        "weight": (
            {"weight": "@weight"},
            lambda t, x: t.F.cross_entropy(x, t.y, weight=t.weight),
        ),
        "sample_weight": (
            {"sample_weight": "@sample_weight", "reduction": "sum"},
            lambda t, x: (t.F.cross_entropy(x, t.y, reduction="none") * t.sample_weight).sum(),
        ),
        "label_smoothing": (
            {"label_smoothing": 0.1},
            lambda t, x: t.F.cross_entropy(x, t.y, label_smoothing=0.1),
        ),
        "z_loss": (
            {"z_loss": 1e-4},
            lambda t, x: t.F.cross_entropy(x, t.y) + 1e-4 * t.torch.logsumexp(x, 1).square().mean(),
        ),
        "softcap": (
            {"softcap": 30.0},
            lambda t, x: t.F.cross_entropy(30 * t.torch.tanh(x / 30), t.y),
        ),
        "temperature": ({"temperature": 2.0}, lambda t, x: t.F.cross_entropy(x / 2, t.y)),
        'reduction="sum"': (
            {"reduction": "sum"},
            lambda t, x: t.F.cross_entropy(x, t.y, reduction="sum"),
        ),
    }
    targets = {"ignore_index": "ignoring"}
    for name, (options, theirs) in cases.items():
        y = targets.get(name, "y")
        yield Form(
            plain, name, of(plain, "x", y, **options), lambda t, f=theirs: partial(f, t, t.x)
        )
        yield Form(with_grad, name, of(with_grad, "x", y, **options), gradient(theirs, "x"))
    yield Form(
        plain,
        'reduction="none"',
        of(plain, "x", "y", reduction="none"),
        later(lambda t: t.F.cross_entropy(t.x, t.y, reduction="none")),
    )

    def of_probabilities(t, x):
        return t.F.cross_entropy(x, t.p)

    def of_columns(t, x):
        return t.F.cross_entropy(x.T, t.y)

    def of_plain(t, x):
        return t.F.cross_entropy(x, t.y)

    others = (  # name, logits, targets, options, PyTorch's
        ("int32 targets", "x", "y32", {}, of_plain),
        ("probabilities", "x", "p", {}, of_probabilities),
        ("axis=0", "columns", "y", {"axis": 0}, of_columns),
        ("float64", "double", "y", {}, of_plain),
        ("float16", "half", "y", {}, of_plain),
    )
    for name, x, y, options, theirs in others:
        yield Form(
            plain, name, of(plain, x, y, **options),
            lambda t, f=theirs, x=x: partial(f, t, getattr(t, x)),
        )  # fmt: skip
        yield Form(with_grad, name, of(with_grad, x, y, **options), gradient(theirs, x))
    yield Form(with_grad, "out=", of(with_grad, "x", "y", out="@out"), gradient(of_plain, "x"))


def binary_losses():
    name = "binary_cross_entropy_with_logits"
    cases = {
        "plain": ({}, {}),
        "pos_weight": ({"pos_weight": "@weight"}, {"pos_weight": "weight"}),
        'reduction="sum"': ({"reduction": "sum"}, {"reduction": "sum"}),
    }
    for form, (options, theirs) in cases.items():

        def loss(t, x, theirs=theirs):
            given = {
                key: getattr(t, value) if value == "weight" else value
                for key, value in theirs.items()
            }
            return t.F.binary_cross_entropy_with_logits(x, t.p, **given)

        yield Form(name, form, of(name, "x", "p", **options), lambda t, f=loss: partial(f, t, t.x))
        name_with_grad = f"{name}_with_grad"
        yield Form(
            name_with_grad, form, of(name_with_grad, "x", "p", **options), gradient(loss, "x")
        )


def divergences():
    def entropy(t, x):
        return -(t.torch.softmax(x, 1) * t.torch.log_softmax(x, 1)).sum(1).mean()

    def kl(t, x):
        """The divergence of the distributions of x from those of q."""
        log_q, log_p = t.torch.log_softmax(t.q, 1), t.torch.log_softmax(x, 1)
        return t.F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")

    yield Form(
        "entropy_with_logits",
        "plain",
        of("entropy_with_logits", "x"),
        lambda t: partial(entropy, t, t.x),
    )
    yield Form(
        "entropy_with_logits_with_grad",
        "plain",
        of("entropy_with_logits_with_grad", "x"),
        gradient(entropy, "x"),
    )
    yield Form(
        "kl_div_with_logits",
        "plain",
        of("kl_div_with_logits", "x", "q"),
        lambda t: partial(kl, t, t.x),
    )

    def kl_of_both(t, x, q):
        log_q, log_p = t.torch.log_softmax(q, 1), t.torch.log_softmax(x, 1)
        return t.F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")

    yield Form(
        "kl_div_with_logits_with_grad",
        "plain",
        of("kl_div_with_logits_with_grad", "x", "q"),
        gradient(kl_of_both, "x", "q"),
    )


def layers():
    def loss(t, x, weight):
        return t.F.cross_entropy(t.F.linear(x, weight), t.y)

    yield Form(
        "linear_cross_entropy",
        "plain",
        of("linear_cross_entropy", "features", "layer", "y"),
        lambda t: partial(loss, t, t.features, t.layer),
    )
    yield Form(
        "linear_cross_entropy_with_grad",
        "plain",
        of("linear_cross_entropy_with_grad", "features", "layer", "y"),
        gradient(loss, "features", "layer"),
    )
