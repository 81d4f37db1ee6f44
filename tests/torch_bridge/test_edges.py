"""Dtypes that differ, rows that are all left out, and tensors that are not what their memory holds."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
import fastsoftmax as fs  # noqa: E402
import fastsoftmax.torch as ft  # noqa: E402

F = torch.nn.functional
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of PyTorch's own modules
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
Y = torch.tensor([0, 4, -100, 1, 2, 3])


def layer(dtype=torch.float32):
    torch.manual_seed(0)
    shapes = (6, 5), (7, 5)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def probabilities(n_classes, dtype):
    return torch.rand(6, n_classes).softmax(1).to(dtype)


@pytest.mark.parametrize("target_dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_probabilities_of_another_dtype(dtype, target_dtype, reduction):
    x, w = layer(dtype)
    calls = (
        lambda m: m.cross_entropy(x, probabilities(5, target_dtype), reduction=reduction),
        lambda m: m.linear_cross_entropy(x, w, probabilities(7, target_dtype), reduction=reduction),
    )
    for call in calls:
        losses = []
        for m in (ft, F):
            torch.manual_seed(1)
            losses.append(call(m))
        ours, theirs = losses
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=1e-5)
        got, want = (torch.autograd.grad(one.sum(), x)[0] for one in losses)
        torch.testing.assert_close(got, want, rtol=6e-2, atol=4e-3)


def test_compiled_probabilities_of_another_dtype():
    x, _ = layer()
    p = probabilities(5, torch.float64)
    torch._dynamo.reset()
    compiled = torch.compile(ft.cross_entropy, fullgraph=True, backend="aot_eager")
    got, want = compiled(x, p), F.cross_entropy(x, p)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, x), torch.autograd.grad(want, x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_autocast_leaves_float64_alone(dtype):
    x, w = layer(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for call in (
            lambda m: m.linear_cross_entropy(x, w, Y),
            lambda m: m.cross_entropy(x, Y),
            lambda m: m.binary_cross_entropy_with_logits(x, x.detach().sigmoid()),
            lambda m: m.softmax(x, 1),
        ):
            got, want = call(ft), call(F)
            assert got.dtype == want.dtype == dtype
            if dtype == torch.float64:
                torch.testing.assert_close(got, want)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_row_takes_part(reduction):
    x, w = layer()
    left_out = torch.full((6,), -100)
    for call in (
        lambda m: m.cross_entropy(x, left_out, reduction=reduction),
        lambda m: m.linear_cross_entropy(x, w, left_out, reduction=reduction),
        lambda m: m.linear_cross_entropy(
            x, w, Y.clamp(min=0), weight=torch.zeros(7), reduction=reduction
        ),
    ):
        ours, theirs = call(ft), call(F)
        torch.testing.assert_close(ours, theirs, equal_nan=True)
        got, want = (torch.autograd.grad(one.sum(), x) for one in (ours, theirs))
        torch.testing.assert_close(got, want, equal_nan=True)


def test_rows_without_weight_leave_gradients_of_zero():
    x, w = layer()
    loss = ft.linear_cross_entropy(x, w, Y, sample_weight=torch.zeros(6))
    assert loss.isnan()
    assert all((one == 0).all() for one in torch.autograd.grad(loss, (x, w)))


def test_results_are_on_the_cpu_whatever_the_default_device():
    x, w = layer()
    rows = torch.ones(6)
    target = torch.rand(6, 5)
    with torch.device("meta"):
        for reduction in ("mean", "none"):
            for call in (
                lambda m: m.cross_entropy(x, Y, reduction=reduction),  # noqa: B023
                lambda m: m.cross_entropy(x.detach(), Y, reduction=reduction),  # noqa: B023
                lambda m: m.binary_cross_entropy_with_logits(x, target, reduction=reduction),  # noqa: B023
                lambda m: m.linear_cross_entropy(x, w, Y, reduction=reduction),  # noqa: B023
                lambda m: m.linear_cross_entropy(x, w, Y * 0 - 100, reduction=reduction),  # noqa: B023
                lambda m: m.softmax(x, 1),
            ):
                got, want = call(ft), call(F)
                assert got.device.type == "cpu"
                torch.testing.assert_close(got, want, equal_nan=True)
                if got.requires_grad:
                    got, want = (torch.autograd.grad(one.sum(), x) for one in (got, want))
                    torch.testing.assert_close(got, want, equal_nan=True)
        assert ft.cross_entropy(x, Y, sample_weight=rows, z_loss=0.1).device.type == "cpu"
        assert ft.linear_cross_entropy(x, w, Y, sample_weight=rows).device.type == "cpu"


def negated():
    """Return a tensor whose memory holds its values with the other sign."""
    torch.manual_seed(0)
    x = torch.randn(6, 5, dtype=torch.complex64).conj().imag
    assert x.is_neg()
    return x


def test_values_count_and_not_the_memory_that_holds_them():
    x, (_, w) = negated(), layer()
    calls = (
        lambda m: m.softmax(x, 1),
        lambda m: m.cross_entropy(x, Y),
        lambda m: m.binary_cross_entropy_with_logits(w[:6], x),
        lambda m: m.linear_cross_entropy(x, w, Y),
    )
    for call in calls:
        torch.testing.assert_close(call(ft), call(F))
    torch.testing.assert_close(torch.from_numpy(fs.softmax(x)), x.softmax(1))


def test_results_are_not_written_to_negated_memory():
    with pytest.raises(TypeError, match=r"pass out\.resolve_neg\(\)"):
        fs.softmax(torch.randn(6, 5), out=negated())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_that_share_memory(dtype):
    base = torch.randn(20, dtype=dtype, requires_grad=True)
    _, w = layer(dtype)
    for strides in ((2, 1), (0, 1)):
        for call in (
            lambda m: m.cross_entropy(base.as_strided((6, 5), strides), Y),  # noqa: B023
            lambda m: m.linear_cross_entropy(base.as_strided((6, 5), strides), w, Y),  # noqa: B023
            lambda m: m.softmax(base.as_strided((6, 5), strides), 1).pow(2).sum(),  # noqa: B023
        ):
            got, want = (torch.autograd.grad(call(m), base) for m in (ft, F))
            torch.testing.assert_close(
                got, want, rtol=2e-2, atol=1e-2 if dtype != torch.float32 else 1e-6
            )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradients_of_gradients(reduction):
    x, w = layer(torch.float64)
    bias = torch.randn(7, dtype=torch.float64, requires_grad=True)
    target = torch.rand(6, 5, dtype=torch.float64)
    with_target = target.clone().requires_grad_()
    calls = (
        (lambda x: ft.cross_entropy(x, Y, reduction=reduction, z_loss=0.1, softcap=2.0), [x]),
        (lambda x, t: ft.cross_entropy(x, t, reduction=reduction), [x, with_target]),
        (
            lambda x, w, b: ft.linear_cross_entropy(
                x, w, Y, linear_bias=b, reduction=reduction, z_loss=0.1
            ),
            [x, w, bias],
        ),
        (lambda x: ft.binary_cross_entropy_with_logits(x, target, reduction=reduction), [x]),
        (
            lambda x, t: ft.binary_cross_entropy_with_logits(x, t, reduction=reduction),
            [x, with_target],
        ),
        (lambda x: ft.softmax(x, 1), [x]),
        (lambda x: ft.log_softmax(x, 0), [x]),
    )
    for call, leaves in calls:
        assert torch.autograd.gradcheck(call, leaves)
        assert torch.autograd.gradgradcheck(call, leaves)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_results_and_gradients_have_the_strides_of_pytorch(name):
    inputs = (
        torch.randn(2, 3, 4).transpose(1, 2),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(1, 4).expand(3, 4),
    )
    for one in inputs:
        results = []
        for m in (ft, F):
            x = one.detach().requires_grad_()
            found = getattr(m, name)(x, 1)
            upstream = torch.ones(found.shape[::-1]).permute(*range(found.ndim)[::-1])
            results.append((found, *torch.autograd.grad(found, x, upstream)))
        for got, want in zip(*results, strict=True):
            assert got.stride() == want.stride()
            torch.testing.assert_close(got, want)


def test_bfloat16_in_negated_memory():
    x = torch._neg_view(torch.randn(6, 5).bfloat16())
    torch.testing.assert_close(ft.softmax(x, 1), F.softmax(x, 1))
    torch.testing.assert_close(ft.cross_entropy(x, Y), F.cross_entropy(x, Y))
