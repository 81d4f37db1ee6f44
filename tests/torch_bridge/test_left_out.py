"""Rows that take no part have a gradient of 0, whatever the gradient of the loss."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
import fastsoftmax.torch as ft  # noqa: E402

F = torch.nn.functional
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of PyTorch's own modules
]

X = torch.arange(12.0).reshape(3, 4).sin()
W = torch.arange(20.0).reshape(5, 4).cos()
SOME, NONE = torch.tensor([1, -100, 2]), torch.full((3,), -100)
TARGETS = {
    "some": SOME,
    "none": NONE,
    "probabilities": X.softmax(1) * torch.tensor([[1.0], [0], [1]]),
}
UPSTREAM = {"inf": torch.inf, "nan": torch.nan}
WAYS = {
    "eager": lambda call: call,
    "compiled": lambda call: torch.compile(call, backend="aot_eager", fullgraph=True),
}
by_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def grads(call, leaves, upstream):
    leaves = [one.clone().requires_grad_() for one in leaves]
    torch._dynamo.reset()
    loss = call(*leaves)
    upstream = upstream(loss) if callable(upstream) else torch.full_like(loss, upstream)
    return torch.autograd.grad(loss, leaves, upstream)


def assert_same_rows(got, want):
    """Assert that the same numbers are 0 and that the same are not finite: NaN or infinite, as they are computed."""
    for one, other in zip(got, want, strict=True):
        assert torch.equal(one == 0, other == 0)
        assert torch.equal(one.isfinite(), other.isfinite())


@by_way
@pytest.mark.parametrize("upstream", UPSTREAM.values(), ids=UPSTREAM)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_as_in_pytorch(target, reduction, smoothing, upstream, way):
    options = {"reduction": reduction, "label_smoothing": smoothing}
    ours = way(lambda x: ft.cross_entropy(x, target, **options))
    got, want = (
        grads(call, [X], upstream)
        for call in (ours, lambda x: F.cross_entropy(x, target, **options))
    )
    assert_same_rows(got, want)
    if target.shape == (3, 4):
        return
    got, want = (
        grads(call, [X, W, W[:, 0]], upstream)
        for call in (
            way(lambda x, w, b: ft.linear_cross_entropy(x, w, target, linear_bias=b, **options)),
            lambda x, w, b: F.cross_entropy(F.linear(x, w, b), target, **options),
        )
    )
    assert_same_rows(got, want)


@by_way
@pytest.mark.parametrize("weighs", [False, True], ids=["ignored", "without weight"])
@pytest.mark.parametrize("linear", [False, True], ids=["cross_entropy", "linear_cross_entropy"])
def test_only_the_row_that_is_left_out_has_such_an_upstream_gradient(way, weighs, linear):
    target = SOME.abs() % 4 if weighs else SOME
    options = {"sample_weight": torch.tensor([1.0, 0, 1]) if weighs else None, "reduction": "none"}

    def call(x, w):
        if linear:
            return ft.linear_cross_entropy(x, w, target, **options)
        return ft.cross_entropy(F.linear(x, w), target, **options)

    upstream = torch.tensor([1.0, torch.nan, 2.0])
    got = grads(way(call), [X, W], lambda _: upstream)
    torch.testing.assert_close(got, grads(call, [X, W], lambda _: upstream.nan_to_num(3.0)))


@by_way
def test_mean_of_nothing(way):
    for power in (lambda loss: loss**2, lambda loss: loss / 0):
        got = grads(way(lambda x: power(ft.cross_entropy(x, NONE))), [X], 1.0)  # noqa: B023
        assert (got[0] == 0).all()
        call = way(lambda x, w: power(ft.linear_cross_entropy(x, w, NONE)))  # noqa: B023
        assert all((one == 0).all() for one in grads(call, [X, W], 1.0))


def test_later_passes_and_batches_of_upstream_gradients():
    x = X.clone().requires_grad_()
    w = W.clone().requires_grad_()
    for loss in (ft.cross_entropy(x, SOME), ft.linear_cross_entropy(x, w, SOME)):
        upstream = torch.full_like(loss, torch.nan)
        batch = torch.stack([upstream, torch.ones_like(loss)])
        for _ in range(2):
            (one,) = torch.autograd.grad(loss, x, upstream, retain_graph=True)
            (many,) = torch.autograd.grad(loss, x, batch, is_grads_batched=True, retain_graph=True)
            for got in (one, *many):
                assert (got[1] == 0).all()
            assert not many.requires_grad
            assert many[1].isfinite().all()
