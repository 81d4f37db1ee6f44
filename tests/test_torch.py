"""Against PyTorch's autograd in float64, over random draws of all options together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import AUTOGRAD

import fastsoftmax as fs

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional
pytestmark = pytest.mark.peer


@st.composite
def problems(draw):
    """Draw logits, targets and options of the cross-entropy."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_classes = draw(st.sampled_from([1, 2, 3, 10, 17, 100, 130]))
    shape = draw(st.sampled_from([(6, n_classes), (2, n_classes, 3), (2, n_classes, 3, 4)]))
    x = rng.standard_normal(shape) * draw(st.sampled_from([0.1, 3.0, 30.0]))
    options = {"reduction": draw(st.sampled_from(["mean", "sum", "none"]))}
    if draw(st.booleans()):
        options["weight"] = rng.uniform(0.1, 2, n_classes)
    if draw(st.booleans()):
        options["label_smoothing"] = draw(st.floats(0, 1))
    rows = (shape[0], *shape[2:])
    if draw(st.booleans()):
        targets = rng.integers(0, n_classes, rows)
        if n_classes > 1 and draw(st.booleans()):
            options["ignore_index"] = 0
            targets[0] = 1
    else:
        targets = fs.softmax(rng.standard_normal(shape), axis=1)
    return x, targets, options


@given(problems())
@settings(max_examples=200, deadline=None)
def test_cross_entropy(problem):
    x, targets, options = problem
    if len(x.shape) == 2 and options["reduction"] == "none" and x.shape[1] == 1:
        options = {**options, "reduction": "sum"}
    leaf = torch.tensor(x, requires_grad=True)
    peer = dict(options)
    if "weight" in peer:
        peer["weight"] = torch.tensor(peer["weight"])
    want = F.cross_entropy(leaf, torch.tensor(targets), **peer)
    want.sum().backward()
    loss, grad = fs.cross_entropy_with_grad(x, targets, axis=1, **options)
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)
    np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)
    np.testing.assert_allclose(fs.cross_entropy(x, targets, axis=1, **options), loss, rtol=AUTOGRAD)


@given(problems(), st.floats(0.2, 5), st.floats(0, 0.1), st.one_of(st.none(), st.floats(0.5, 50)))
@settings(max_examples=100, deadline=None)
def test_options_that_pytorch_composes(problem, temperature, z_loss, softcap):
    x, targets, options = problem
    options = {**options, "reduction": "sum"}
    leaf = torch.tensor(x, requires_grad=True)
    peer = dict(options)
    ignored = torch.zeros(np.delete(x.shape, 1).tolist(), dtype=bool)
    if "weight" in peer:
        peer["weight"] = torch.tensor(peer["weight"])
    if "ignore_index" in peer:
        ignored = torch.tensor(targets == peer["ignore_index"])
    z = leaf / temperature
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    lse = torch.logsumexp(z, 1)
    want = F.cross_entropy(z, torch.tensor(targets), **peer) + z_loss * (lse**2)[~ignored].sum()
    want.backward()
    loss, grad = fs.cross_entropy_with_grad(
        x, targets, axis=1, temperature=temperature, z_loss=z_loss, softcap=softcap, **options
    )
    np.testing.assert_allclose(loss, want.item(), rtol=AUTOGRAD, atol=AUTOGRAD)
    scale = max(1.0, float(np.abs(leaf.grad.numpy()).max()))
    np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=AUTOGRAD, atol=AUTOGRAD * scale)


@given(problems())
@settings(max_examples=50, deadline=None)
def test_backward_functions(problem):
    x, _, _ = problem
    g = np.cos(np.arange(x.size)).reshape(x.shape)
    for name in ("softmax", "log_softmax"):
        leaf = torch.tensor(x, requires_grad=True)
        result = getattr(torch, name)(leaf, 1)
        result.backward(torch.tensor(g))
        forward = getattr(fs, name)(x, 1)
        np.testing.assert_allclose(forward, result.detach().numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)
        got = getattr(fs, f"{name}_backward")(g, forward, 1)
        np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)


def test_tensors_are_read_without_a_copy():
    x = torch.zeros((3, 4))
    np.testing.assert_array_equal(fs.softmax(x), np.full((3, 4), 0.25, np.float32))
