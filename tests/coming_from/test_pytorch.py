"""Both sides of the tables in docs/coming_from.md: PyTorch."""

import numpy as np
import pytest
from agreement import same

import fastsoftmax as fs

pytestmark = pytest.mark.peer


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture
def F(torch):
    return torch.nn.functional


def test_ignored_targets(torch, F, x, y):
    y[5] = -100
    x[5] = np.nan
    leaf = torch.tensor(x, requires_grad=True)
    want = F.cross_entropy(leaf, torch.tensor(y))
    want.backward()
    with pytest.raises(IndexError, match="ignore_index=-100"):
        fs.cross_entropy(x, y)
    loss, grad = fs.cross_entropy_with_grad(x, y, ignore_index=-100)
    same(loss, want)
    assert torch.isnan(leaf.grad[5]).all()
    assert (grad[5] == 0).all()
    same(grad[:5], leaf.grad[:5])


def test_axes(torch, F, rng):
    x, y = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    same(fs.cross_entropy(x, y, axis=1), F.cross_entropy(torch.tensor(x), torch.tensor(y)))
    with pytest.raises(ValueError, match="targets"):
        fs.cross_entropy(x, y)
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        F.softmax(torch.tensor(x[0, 0]))


def test_gradient_under_none(torch, F, x, y):
    leaf = torch.tensor(x, requires_grad=True)
    F.cross_entropy(leaf, torch.tensor(y), reduction="sum").backward()
    same(fs.cross_entropy_with_grad(x, y, reduction="none")[1], leaf.grad)


def test_dtypes(torch, F, x, y):
    with pytest.raises(RuntimeError, match="Long or Byte"):
        F.cross_entropy(torch.tensor(x), torch.tensor(y.astype(np.int32)))
    want = F.cross_entropy(torch.tensor(x), torch.tensor(y.astype(np.uint8)))
    for dtype in "bBhHiIlL":
        same(fs.cross_entropy(x, y.astype(dtype)), want)
    with pytest.raises(RuntimeError):
        torch.softmax(torch.tensor([1, 2]), -1)
    assert fs.softmax([1, 2]).dtype == np.float64
    assert fs.softmax(np.float16([1, 2])).dtype == np.float16
    assert fs.cross_entropy(np.float16([[1, 2]]), [0]).dtype == np.float32
    assert fs.softmax(torch.tensor([1.0, 1.0], dtype=torch.bfloat16)).dtype.name == "bfloat16"
    out = torch.empty(2)
    assert fs.softmax(torch.tensor([1.0, 1.0]), out=out) is out
    assert out.tolist() == [0.5, 0.5]
    with pytest.raises(TypeError, match="detach"):
        fs.softmax(torch.tensor(x, requires_grad=True))
    assert type(fs.softmax(torch.tensor(x))) is np.ndarray


def test_infinities(torch, F):
    nothing = torch.tensor([-np.inf, -np.inf])
    assert torch.isnan(torch.softmax(nothing, -1)).all()
    assert np.isnan(fs.softmax(nothing)).all()
    np.testing.assert_array_equal(fs.softmax([1.0, 2.0], where=[False, False]), [0, 0])
    logits, probs = torch.tensor([[0.0, -np.inf]]), torch.tensor([[1.0, 0.0]])
    assert torch.isnan(F.cross_entropy(logits, probs))
    assert fs.cross_entropy(logits, probs) == 0


def test_small_results(torch):
    pair = np.float32([0, -100])
    assert 0 < torch.softmax(torch.tensor(pair), -1)[1] < 1e-43
    assert fs.softmax(pair)[1] == 0


def test_what_is_the_same(torch, F, x, y, p):
    weight = np.arange(1, 6.0)
    for targets in (y, p):
        for options in ({}, {"weight": weight}, {"weight": weight, "label_smoothing": 0.1}):
            peer = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
            want = F.cross_entropy(torch.tensor(x), torch.tensor(targets), **peer)
            same(fs.cross_entropy(x, targets, **options), want)
    assert torch.isnan(F.cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)))
    assert np.isnan(fs.cross_entropy(np.zeros((0, 3)), np.zeros(0, int)))


def test_map(torch, F, x, z, y):
    a, b, t = torch.tensor(x), torch.tensor(z), torch.tensor(y)
    same(fs.softmax(x, 0), torch.softmax(a, 0))
    same(fs.softmax(x, temperature=0.3), torch.softmax(a / 0.3, -1))
    same(fs.log_softmax(x, 0), torch.log_softmax(a, 0))
    same(fs.logsumexp(x, 0), torch.logsumexp(a, 0))
    same(fs.sigmoid(x), torch.sigmoid(a))
    values, classes = fs.top_k_softmax(x, 2)
    want = torch.topk(torch.softmax(a, -1), 2)
    same(values, want.values)
    same(classes, want.indices)
    same(fs.cross_entropy(fs.log_softmax(x), y), F.nll_loss(torch.log_softmax(a, 1), t))
    logs = torch.log_softmax(b, 1), torch.log_softmax(a, 1)
    want = F.kl_div(*logs, reduction="batchmean", log_target=True)
    same(fs.kl_div_with_logits(x, z), want)
    entropy = torch.distributions.Categorical(logits=a).entropy().mean()
    same(fs.entropy_with_logits(x), entropy)
    bias = np.arange(6.0)
    want = F.cross_entropy(a @ b.T + torch.tensor(bias), t)
    same(fs.linear_cross_entropy(x, z, y, linear_bias=bias), want)


def test_binary(torch, F, x, p):
    want = F.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor(p))
    same(fs.binary_cross_entropy_with_logits(x, p), want)
    F.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor(p + 2))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        fs.binary_cross_entropy_with_logits(x, p + 2)
    same(
        fs.binary_cross_entropy_with_logits(x, p > 0.5),
        F.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor((p > 0.5) * 1.0)),
    )
