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


@given(
    problems(),
    st.floats(0.2, 5),
    st.floats(0, 0.1),
    st.one_of(st.none(), st.floats(0.5, 50)),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_options_that_pytorch_composes(problem, temperature, z_loss, softcap, weighs_rows):
    x, targets, options = problem
    rows = np.delete(x.shape, 1)
    sample_weight = np.cos(np.arange(rows.prod())).reshape(rows) ** 2 if weighs_rows else None
    reduction = options.pop("reduction")
    leaf = torch.tensor(x, requires_grad=True)
    peer = {name: torch.tensor(v) if name == "weight" else v for name, v in options.items()}
    z = leaf / temperature
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    losses = F.cross_entropy(z, torch.tensor(targets), reduction="none", **peer)
    squares = z_loss * torch.logsumexp(z, 1) ** 2
    s = torch.ones(tuple(rows)) if sample_weight is None else torch.tensor(sample_weight)
    divisor = s.sum()
    if "ignore_index" in options:
        s = s * torch.tensor(targets != options["ignore_index"])
        divisor = s.sum()
    if "weight" in options and targets.dtype.kind == "i":
        divisor = (s * peer["weight"][torch.tensor(targets)]).sum()
    want = s * (losses + squares)
    total = want.sum() / divisor if reduction == "mean" else want.sum()
    total.backward()
    loss, grad = fs.cross_entropy_with_grad(
        x, targets, axis=1, temperature=temperature, z_loss=z_loss, softcap=softcap, sample_weight=sample_weight,
        reduction=reduction, **options,
    )  # fmt: skip
    want = want if reduction == "none" else total
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)
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


@given(
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["mean", "sum", "none"]),
)
@settings(max_examples=50, deadline=None)
def test_binary_cross_entropy(seed, weighted, positive, reduction):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((5, 3)) * 10, rng.random((5, 3))
    options = {}
    if weighted:
        options["weight"] = rng.random((5, 1))
    if positive:
        options["pos_weight"] = rng.random(3)
    leaf = torch.tensor(x, requires_grad=True)
    peer = {name: torch.tensor(value) for name, value in options.items()}
    want = F.binary_cross_entropy_with_logits(leaf, torch.tensor(y), reduction=reduction, **peer)
    want.sum().backward()
    loss, grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, reduction=reduction, **options)
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)
    np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)


def test_entropy_and_divergence():
    rng = np.random.default_rng(0)
    p, q = (torch.tensor(rng.standard_normal((6, 9)), requires_grad=True) for _ in range(2))
    P, Q = (torch.distributions.Categorical(logits=x) for x in (p, q))
    torch.distributions.kl_divergence(P, Q).mean().backward()
    _, grad_p, grad_q = fs.kl_div_with_logits_with_grad(p.detach(), q.detach())
    np.testing.assert_allclose(grad_p, p.grad.numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)
    np.testing.assert_allclose(grad_q, q.grad.numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)
    p.grad = None
    torch.distributions.Categorical(logits=p).entropy().mean().backward()
    entropy, grad = fs.entropy_with_logits_with_grad(p.detach())
    assert entropy == pytest.approx(P.entropy().mean().item(), rel=AUTOGRAD)
    np.testing.assert_allclose(grad, p.grad.numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 2}, {"reduction": "sum"}]
)
def test_linear_cross_entropy(options):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(shape) for shape in ((300, 7), (20, 7), (20,)))
    targets = rng.integers(0, 20, 300)
    leaves = [torch.tensor(one, requires_grad=True) for one in (x, weight, bias)]
    logits = leaves[0] @ leaves[1].T + leaves[2]
    want = F.cross_entropy(logits, torch.tensor(targets), **options)
    want.backward()
    loss, *grads = fs.linear_cross_entropy_with_grad(
        x, weight, targets, linear_bias=bias, **options
    )
    assert loss == pytest.approx(want.item(), rel=AUTOGRAD)
    for grad, leaf in zip(grads, leaves, strict=True):
        np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=AUTOGRAD, atol=AUTOGRAD)


def test_top_k():
    x = np.random.default_rng(0).standard_normal((50, 30))
    values, indices = torch.topk(torch.softmax(torch.tensor(x), 1), 5)
    got, classes = fs.top_k_softmax(x, 5)
    np.testing.assert_allclose(got, values.numpy(), rtol=AUTOGRAD)
    np.testing.assert_array_equal(classes, indices.numpy())
