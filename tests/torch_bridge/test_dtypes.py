"""Targets of every integer dtype and weights of every float dtype, every way a call goes."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
import fastsoftmax.torch as ft  # noqa: E402

F = torch.nn.functional
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of PyTorch's own modules
]

X = torch.arange(12.0).reshape(3, 4).sin()
W = torch.arange(16.0).reshape(4, 4).cos()
Y = torch.tensor([1, 0, 2])
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 3.0])
INTEGERS = [torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32]
KINDS = {
    "plain": {},
    "weight": {"weight": WEIGHT},
    "negative": {"weight": -WEIGHT},
    "wide": {"weight": -WEIGHT.double()},
    "z_loss": {"weight": WEIGHT.double(), "z_loss": 0.1},
    "sample_weight": {"weight": WEIGHT, "sample_weight": torch.tensor([1.0, 0.0, 2.0])},
}


def grad(call):
    x = X.clone().requires_grad_()
    return torch.autograd.grad(call(x), x)[0]


def created(call):
    x = X.clone().requires_grad_()
    (found,) = torch.autograd.grad(call(x), x, create_graph=True)
    found.sum().backward()
    return found.detach()


WAYS = {
    "eager": grad,
    "create_graph": created,
    "func": lambda call: torch.func.grad(call)(X),
    "compiled": lambda call: grad(torch.compile(call, backend="aot_eager", fullgraph=True)),
}
CALLS = {
    "cross_entropy": lambda x, y, **k: ft.cross_entropy(x, y, **k),
    "linear_cross_entropy": lambda x, y, **k: ft.linear_cross_entropy(x, W, y, **k),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_targets_and_weights(name, options, way):
    x = X.clone().requires_grad_()
    z = x if name == "cross_entropy" else F.linear(x, W)
    same = {k: v.float() if k == "weight" else v for k, v in options.items()}
    own = {k: v for k, v in same.items() if k not in ("z_loss", "sample_weight")}
    losses = F.cross_entropy(z, Y, reduction="none", **own)
    losses = losses + options.get("z_loss", 0) * torch.logsumexp(z, 1) ** 2
    rows = options.get("sample_weight", torch.ones(3))
    scale = rows * (same["weight"][Y] if "weight" in same else 1)
    (want,) = torch.autograd.grad((losses * rows).sum() / scale.sum(), x)
    for dtype in INTEGERS:
        torch._dynamo.reset()
        y = Y.to(dtype)
        got = way(lambda x, y=y: CALLS[name](x, y, **options))
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("value", [torch.inf, torch.nan, -torch.inf])
@pytest.mark.parametrize("options", [{}, {"softcap": 3.0, "z_loss": 0.1}], ids=["plain", "own"])
def test_logits_of_a_row_without_weight_may_be_any(way, value, options):
    rows, row = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([[0.0], [1.0], [0.0]])
    torch._dynamo.reset()
    got = way(
        lambda x: ft.cross_entropy(
            torch.where(row > 0, value, x), Y, sample_weight=rows, reduction="sum", **options
        )
    )
    want = grad(
        lambda x: ft.cross_entropy(
            x[::2], Y[::2], sample_weight=rows[::2], reduction="sum", **options
        )
    )
    torch.testing.assert_close(got, want)


def test_weights_of_rows_do_not_widen_the_loss():
    rows = torch.ones(3, dtype=torch.float64)
    for options in ({}, {"weight": -WEIGHT}, {"z_loss": 0.1}):
        for name, call in CALLS.items():
            found = call(X, Y, sample_weight=rows, **options)
            under = torch.func.vmap(lambda x, c=call, o=options: c(x, Y, sample_weight=rows, **o))
            assert found.dtype == under(X[None]).dtype == torch.float32, name


@pytest.mark.parametrize(
    "options", [{"z_loss": 0.1}, {"sample_weight": None}], ids=["z_loss", "rows"]
)
@pytest.mark.parametrize("way", ["eager", "create_graph", "func"])  # a compiler wraps the error
def test_targets_of_another_shape_are_refused_as_by_pytorch(way, options):
    for n, shape in ((1, (3,)), (1, ()), (3, (1,)), (3, (2,)), (3, (3, 1)), (3, (3, 4))):
        x, y = X[:n], torch.zeros(shape, dtype=torch.int64)
        rows = torch.ones(n) if "sample_weight" in options else None
        with pytest.raises(Exception, match="target") as theirs:
            F.cross_entropy(x, y)
        with pytest.raises(theirs.type):
            WAYS[way](lambda _: ft.cross_entropy(x, y, **{**options, "sample_weight": rows}).sum())  # noqa: B023


def test_one_row_without_a_dimension_of_its_own():
    want = ft.cross_entropy(X[0], Y[0], z_loss=0.1)
    for way in (lambda call: call, torch.func.vmap):
        x = X[:1] if way is torch.func.vmap else X[0]
        got = way(lambda one: ft.cross_entropy(one, Y[:1], z_loss=0.1))(x)
        torch.testing.assert_close(got.reshape(()), want)
