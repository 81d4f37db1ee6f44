"""Options that PyTorch spells otherwise, or that are no plain numbers, the same every way a call goes."""

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
Y = torch.tensor([1, 0, 2])
WAYS = {
    "eager": lambda call: call,
    "compiled": lambda call: torch.compile(call, backend="aot_eager"),
    "func": lambda call: lambda x: torch.func.grad(lambda x: call(x).sum())(x),
    "vmap": lambda call: lambda x: torch.func.vmap(lambda one: call(x + one))(torch.zeros(2)),
}
CALLS = {
    "cross_entropy": lambda x, **k: ft.cross_entropy(x, Y, **k),
    "linear_cross_entropy": lambda x, **k: ft.linear_cross_entropy(x, W, Y, **k),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
both = pytest.mark.parametrize("name", CALLS)


@ways
@both
@pytest.mark.parametrize("option", ["temperature", "softcap", "z_loss", "label_smoothing"])
def test_numbers_that_require_a_gradient_are_refused(name, way, option):
    for value in (torch.tensor(0.5).requires_grad_(), torch.nn.Parameter(torch.tensor(1.0))):
        torch._dynamo.reset()
        call = way(lambda x, value=value: CALLS[name](x, **{option: value}))
        with pytest.raises(TypeError, match=f"^{name}: {option} is a number without a gradient"):
            call(X)


@both
@pytest.mark.parametrize("option", ["temperature", "softcap", "z_loss", "label_smoothing"])
def test_tensors_without_a_gradient_are_numbers(name, option):
    want = CALLS[name](X, **{option: 0.5})
    torch.testing.assert_close(CALLS[name](X, **{option: torch.tensor(0.5)}), want)
    with torch.no_grad():
        value = torch.tensor(0.5).requires_grad_()
        torch.testing.assert_close(CALLS[name](X, **{option: value}), want)


@ways
@both
def test_arguments_out_of_range(name, way):
    cases = (
        ({"label_smoothing": torch.tensor(2.0)}, RuntimeError, "between 0.0 and 1.0. Got: 2"),
        ({"ignore_index": 2**70}, ValueError, "ignore_index must be in the range of int64"),
        ({"sample_weight": [1.0, 2.0, 3.0]}, TypeError, rf"^{name}: expected tensors, got list"),
    )
    for options, kind, words in cases:
        torch._dynamo.reset()
        with pytest.raises(kind, match=words):
            way(lambda x, options=options: CALLS[name](x, **options))(X)


LOSSES = {
    "cross_entropy": lambda m, x, **k: m.cross_entropy(x, Y, **k),
    "binary": lambda m, x, **k: m.binary_cross_entropy_with_logits(x, X.sigmoid(), **k),
}
OLDER = [
    {"size_average": average, "reduce": reduce}
    for average in (None, False, True)
    for reduce in (None, False, True)
    if (average, reduce) != (None, None)
]


@pytest.mark.parametrize("options", [*OLDER, {"reduction": "elementwise_mean"}], ids=str)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_older_names_of_reductions(loss, options):
    with pytest.warns(UserWarning, match="deprecated"):
        want = loss(F, X, **options)
    with pytest.warns(UserWarning, match="use reduction='(mean|sum|none)'"):
        got = loss(ft, X, **options)
    torch.testing.assert_close(got, want)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: loss(ft, x, **options), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(X), want)


def test_older_name_of_the_mean_of_a_layer():
    want = ft.linear_cross_entropy(X, W, Y)
    with pytest.warns(UserWarning, match="use reduction='mean'"):
        got = ft.linear_cross_entropy(X, W, Y, reduction="elementwise_mean")
    torch.testing.assert_close(got, want)
