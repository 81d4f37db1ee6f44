"""What PyTorch records: operators, torch.compile without a graph break, torch.export, fake tensors."""

import warnings

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
import fastsoftmax.torch as ft  # noqa: E402

F = torch.nn.functional
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of PyTorch's own modules
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
    pytest.mark.filterwarnings("ignore:A model attribute:UserWarning"),
]

X = torch.linspace(-2, 3, 30).reshape(6, 5).sin() * 4
H, W, B = X[:, :3].contiguous(), X[:5, 2:].contiguous(), X[0] / 4
Y = torch.tensor([0, 4, -100, 1, 2, 3])
T, WEIGHT, ROWS = torch.sigmoid(X), torch.rand(5), torch.rand(6)


def leaf(x):
    return x.clone().requires_grad_()


@pytest.mark.parametrize("log", [False, True])
def test_operator_of_softmax(log):
    from fastsoftmax.torch import _ops

    torch.library.opcheck(_ops.softmax, (leaf(X), -1, log))
    torch.library.opcheck(_ops.softmax, (leaf(X.t()), 1, log))
    torch.library.opcheck(_ops.softmax_backward, (X, T, 0, log))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHT, WEIGHT - 0.5], ids=["none", "positive", "signed"])
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all", "weighted"])
def test_operator_of_cross_entropy(reduction, weight, rows):
    from fastsoftmax.torch import _composition
    from fastsoftmax.torch._ops import cross_entropy_with_grad

    x, options = leaf(X), (-100, 0.1, 0.2, 3.0, 2.0, reduction)
    torch.library.opcheck(cross_entropy_with_grad, (x, Y, weight, rows, *options))
    loss, gradient = cross_entropy_with_grad(x, Y, weight, rows, *options)
    want = _composition.cross_entropy(x, Y, weight, rows, *options)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(gradient, *torch.autograd.grad(want.sum(), x))


STRANGE = {
    "negative": WEIGHT - 0.5,
    "infinite": torch.tensor([1.0, 2, torch.inf, 1, 1]),
    "nan": torch.tensor([1.0, torch.nan, 1, 1, 1]),
}
TARGETS = {
    "indices": Y,
    "probabilities": T,
    "images": torch.tensor([[0, 4], [-100, 1], [2, 3]]),
    "one": torch.tensor(2),
}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_operator_of_cross_entropy_takes_the_weights_that_pytorch_takes(
    target, weight, reduction, smoothing
):
    from fastsoftmax.torch._ops import cross_entropy_with_grad

    shapes = {0: (5,), 1: (6, 5), 2: (3, 5, 2)}
    x = leaf(X.flatten()[:5] if target.ndim == 0 else X.reshape(shapes[target.dim()]))
    if target.is_floating_point():
        x = leaf(X)
    options = (-100, smoothing, 0.0, None, 1.0, reduction)
    got = cross_entropy_with_grad(x, target, weight, None, *options)
    want = F.cross_entropy(x, target, weight, reduction=reduction, label_smoothing=smoothing)
    torch.testing.assert_close(got[0], want, equal_nan=True)
    (gradient,) = torch.autograd.grad(want.sum(), x)
    torch.testing.assert_close(got[1], gradient, equal_nan=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", STRANGE.values(), ids=STRANGE)
def test_compiled_weights_that_pytorch_takes(weight, reduction):
    layer = [leaf(H), leaf(W)]
    calls = (
        (lambda m, x, *_: m.cross_entropy(x, Y, weight, reduction=reduction), [leaf(X)]),
        (
            lambda m, h, w: m.linear_cross_entropy(h, w, Y, weight=weight, reduction=reduction),
            layer,
        ),
    )
    for call, leaves in calls:
        torch._dynamo.reset()
        compiled = torch.compile(
            lambda *a, call=call: call(ft, *a), fullgraph=True, backend="aot_eager"
        )
        want = call(F, *leaves)
        wanted = torch.autograd.grad(want.sum(), leaves)
        for run in (compiled, lambda *a, call=call: call(ft, *a)):
            got = run(*leaves)
            torch.testing.assert_close(got, want, equal_nan=True)
            grads = torch.autograd.grad(got.sum(), leaves)
            torch.testing.assert_close(grads, wanted, equal_nan=True)


def traced_calls():
    return {
        "cross_entropy": lambda m: lambda x: m.cross_entropy(x, Y, label_smoothing=0.1),
        "linear": lambda m: lambda x: m.linear_cross_entropy(x, T, Y % 6),
        "binary": lambda m: lambda x: m.binary_cross_entropy_with_logits(x, T),
        "softmax": lambda m: lambda x: m.softmax(x, 1),
        "log_softmax": lambda m: lambda x: m.log_softmax(x, 1),
    }


@pytest.mark.parametrize("name", traced_calls())
def test_traced_by_the_older_tracer(name):
    call = traced_calls()[name]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        traced = torch.jit.trace(call(ft), X)
    tracer = [one for one in warned if issubclass(one.category, torch.jit.TracerWarning)]
    assert not [one for one in tracer if "fastsoftmax" in one.filename]
    torch.testing.assert_close(traced(X * 2), call(F)(X * 2))


def test_traced_options_of_our_own():
    rows = torch.rand(6)
    traced = torch.jit.trace(lambda x: ft.cross_entropy(x, Y, z_loss=0.1, sample_weight=rows), X)
    want = ft.cross_entropy(X * 2, Y, z_loss=0.1, sample_weight=rows)
    torch.testing.assert_close(traced(X * 2), want)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, T, T - 0.5], ids=["none", "positive", "signed"])
@pytest.mark.parametrize("target", [T, T * 3 - 1], ids=["probabilities", "beyond"])
@pytest.mark.parametrize("pos_weight", [None, WEIGHT], ids=["plain", "pos_weight"])
def test_operator_of_binary(reduction, weight, target, pos_weight):
    from fastsoftmax.torch._ops import binary_with_grad

    x = leaf(X)
    torch.library.opcheck(binary_with_grad, (x, target, weight, pos_weight, reduction))
    loss, gradient = binary_with_grad(x, target, weight, pos_weight, reduction)
    want = F.binary_cross_entropy_with_logits(
        x, target, weight, reduction=reduction, pos_weight=pos_weight
    )
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(gradient, *torch.autograd.grad(want.sum(), x))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_operator_of_a_linear_layer(reduction):
    from fastsoftmax.torch._ops import linear_with_grad

    options, wants = (-100, 0.1, 0.0, None, 1.0, reduction), [reduction != "none"] * 3
    layer = leaf(H), leaf(W), leaf(B)
    torch.library.opcheck(linear_with_grad, (*layer, Y, WEIGHT, ROWS, *options, None, *wants))


def calls(module):
    """Return functions of (features, weights of a layer) with losses and the output of softmax."""
    return {
        "softmax": lambda h, w: module.softmax(F.linear(h, w), 1).pow(2).sum(),
        "log_softmax": lambda h, w: module.log_softmax(F.linear(h, w), -1).pow(2).sum(),
        "cross_entropy": lambda h, w: module.cross_entropy(F.linear(h, w), Y, WEIGHT),
        "binary": lambda h, w: module.binary_cross_entropy_with_logits(
            F.linear(h, w), T, pos_weight=WEIGHT
        ),
        "linear_mean": lambda h, w: module.linear_cross_entropy(h, w, Y, linear_bias=B),
        "linear_none": lambda h, w: (
            module.linear_cross_entropy(h, w, Y, weight=WEIGHT, reduction="none").pow(2).sum()
        ),
    }


@pytest.mark.parametrize("name", calls(F))
def test_compiled_and_exported(name):
    ours, theirs = calls(ft)[name], calls(F)[name]
    layer = leaf(H), leaf(W)
    torch._dynamo.reset()
    got = torch.compile(ours, fullgraph=True, backend="aot_eager")(*layer)
    want = theirs(*layer)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, layer), torch.autograd.grad(want, layer))

    class Model(torch.nn.Module):
        def forward(self, h, w):
            return ours(h, w)

    program = torch.export.export(Model(), (H, W))
    assert "fastsoftmax." in str(program.graph)
    torch.testing.assert_close(program.module()(H, W), want)


@pytest.mark.parametrize("name", calls(F))
def test_fake_tensors(name):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        got = calls(ft)[name](mode.from_tensor(H), mode.from_tensor(W))
    assert got.shape == ()
    assert got.dtype == torch.float32


def test_modules_compiled_with_their_backward_pass():
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5))
    want = F.cross_entropy(model(H), Y)
    grads = torch.autograd.grad(want, model.parameters())
    step = torch.compile(
        lambda h: ft.CrossEntropyLoss()(model(h), Y), fullgraph=True, backend="aot_eager"
    )
    got = step(H)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, model.parameters()), grads)


@pytest.mark.parametrize("name", calls(F))
def test_recorded_before_dispatch(name):
    from torch.fx.experimental.proxy_tensor import make_fx

    graph = make_fx(calls(ft)[name], pre_dispatch=True)(H, W)
    torch.testing.assert_close(graph(H * 2, W), calls(F)[name](H * 2, W))


P = T * 0.5
SELECTED = {
    "softmax": lambda m, x, k: m.softmax(x[k], 1),
    "log_softmax": lambda m, x, k: m.log_softmax(x[k], 1),
    "cross_entropy": lambda m, x, k: m.cross_entropy(x[k], Y[k]),
    "losses": lambda m, x, k: m.cross_entropy(x[k], Y[k], reduction="none"),
    "probabilities": lambda m, x, k: m.cross_entropy(x[k], P[k], reduction="sum"),
    "binary": lambda m, x, k: m.binary_cross_entropy_with_logits(x[k], P[k], pos_weight=WEIGHT),
    "linear": lambda m, x, k: m.linear_cross_entropy(x[k], X, Y[k]),
}


def exported(call):
    class Model(torch.nn.Module):
        def forward(self, x, keep):
            return call(x, keep)

    return torch.export.export(Model(), (X, Y > 1)).module()


@pytest.mark.parametrize("how", ["compiled", "exported"])
@pytest.mark.parametrize("name", SELECTED)
def test_rows_whose_number_depends_on_data(name, how):
    torch._dynamo.reset()
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        call = lambda x, keep: SELECTED[name](ft, x, keep)  # noqa: E731
        if how == "compiled":
            call = torch.compile(call, fullgraph=True, backend="aot_eager")
        else:
            call = exported(call)
        for keep in (Y > 1, Y > 9):
            results = []
            for run in (call, lambda x, keep: SELECTED[name](F, x, keep)):
                x = leaf(X)
                out = run(x, keep)
                results.append((out, *torch.autograd.grad(out.sum(), x)))
            for got, want in zip(*results, strict=True):
                torch.testing.assert_close(got, want, equal_nan=True)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_an_exported_layer_has_the_gradients_that_are_asked_for_later(reduction):
    class Model(torch.nn.Module):
        def forward(self, h, w):
            return ft.linear_cross_entropy(h, w, Y % 5, reduction=reduction).sum()

    program = torch.export.export(Model(), (H, W)).module()
    layer = leaf(H), leaf(W)
    want = F.cross_entropy(F.linear(*layer), Y % 5, reduction=reduction).sum()
    got = torch.autograd.grad(program(*layer), layer)
    torch.testing.assert_close(got, torch.autograd.grad(want, layer))
