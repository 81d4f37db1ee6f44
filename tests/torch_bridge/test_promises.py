"""What operators return is what their shapes for tracers promise: shape, dtype and strides."""

import itertools

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
import fastsoftmax.torch as ft  # noqa: E402

F = torch.nn.functional
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of PyTorch's own modules
]

X = torch.linspace(-2, 2, 30).reshape(6, 5)
Y = torch.tensor([0, 4, -100, 1, 2, 3])
LAYOUTS = {
    "transposed": lambda x: x.t().clone().t(),
    "expanded": lambda x: x[:1].expand(x.shape),
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def assert_kept(operator, *arguments):
    """Assert that an operator returns what its fake does, and shares no memory with its arguments."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    got = operator(*arguments)
    with FakeTensorMode() as mode:  # which costs most of the time
        fakes = [mode.from_tensor(a) if isinstance(a, torch.Tensor) else a for a in arguments]
        promised = operator(*fakes)
    pairs = [(got, promised)] if isinstance(got, torch.Tensor) else zip(got, promised, strict=True)
    for one, fake in pairs:
        assert (one.shape, one.dtype) == (fake.shape, fake.dtype)
        assert one.stride() == fake.stride()


@layouts
@dtypes
def test_softmax(layout, dtype):
    from fastsoftmax.torch import _ops

    x = layout(X).to(dtype)
    for dim, log in itertools.product((0, 1), (False, True)):
        assert_kept(_ops.softmax, x, dim, log)
        assert_kept(_ops.softmax_backward, x, layout(X.sigmoid()).to(dtype), dim, log)


@layouts
@dtypes
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["usual", "negative"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(layout, dtype, sign, reduction):
    from fastsoftmax.torch import _ops

    weights = torch.full((5,), sign), torch.full((5,), sign, dtype=torch.float64)
    rows = None, torch.ones(12, dtype=torch.float64)[::2]
    for target, weight, row in itertools.product((Y, layout(X.sigmoid())), weights, rows):
        x, options = layout(X).to(dtype), (-100, 0.1, 0.1, 3.0, 2.0, reduction)
        assert_kept(_ops.cross_entropy_with_grad, x, target, weight, row, *options)
    images = layout(X).to(dtype).reshape(3, 5, 2).permute(2, 1, 0)
    options = -100, 0.0, 0.0, None, 1.0, reduction
    for weight in (None, weights[0]):
        arguments = images, torch.zeros(3, 2).long().t(), weight, None, *options
        assert_kept(_ops.cross_entropy_with_grad, *arguments)


@layouts
@dtypes
@pytest.mark.parametrize("beyond", [0.0, 1.0], ids=["usual", "beyond"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary(layout, dtype, beyond, reduction):
    from fastsoftmax.torch import _ops

    x, target = layout(X).to(dtype), layout(X.sigmoid() + beyond).to(dtype)
    weights = None, torch.tensor([1.0, -1, 1, 1, 1]), layout(X - 1).double()
    for weight, pos_weight in itertools.product(weights, (None, torch.ones(5).double())):
        assert_kept(_ops.binary_with_grad, x, target, weight, pos_weight, reduction)


@layouts
@dtypes
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["usual", "negative"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear(layout, dtype, sign, reduction):
    from fastsoftmax.torch import _ops

    layer = layout(X).to(dtype), layout(X - 0.1).to(dtype), torch.zeros(6, dtype=dtype)
    rows = torch.ones(12)[::2]
    upstream = torch.ones(12, dtype=dtype)[::2] if reduction == "none" else None
    for weight in (torch.full((6,), sign), torch.full((6,), sign, dtype=torch.float64)):
        for wants in ((True, True, True), (False, True, False), (False, False, False)):
            others = Y, weight, rows, -100, 0.1, 0.0, None, 1.0, reduction, upstream
            assert_kept(_ops.linear_with_grad, *layer, *others, *wants)


COMPILED = {
    "binary, wide weights": lambda m, x: m.binary_cross_entropy_with_logits(
        x * 2, X.sigmoid(), weight=torch.tensor([1.0, -1, 1, 1, 1]).double()
    ),
    "binary, targets beyond 1": lambda m, x: (
        m.binary_cross_entropy_with_logits(x.t(), X.t() + 1, reduction="none") * X.t()
    ).sum(),
}


@pytest.mark.parametrize("call", COMPILED.values(), ids=COMPILED)
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled(call, backend):
    x = X.clone().requires_grad_()
    torch._dynamo.reset()
    got = torch.compile(lambda x: call(ft, x), backend=backend, fullgraph=True)(x)
    want = call(F, x)
    torch.testing.assert_close(got, want, check_dtype=False)
    torch.testing.assert_close(torch.autograd.grad(got, x), torch.autograd.grad(want, x))
