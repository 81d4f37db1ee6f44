"""The bridge against PyTorch in eager mode: its own samples, derivatives of every order, memory of arrays."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
import fastsoftmax.torch as ft  # noqa: E402

F = torch.nn.functional
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),  # of PyTorch's own modules
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
    pytest.mark.filterwarnings("ignore:linear_cross_entropy. ``options`` ignored:UserWarning"),
]
NAMES = (
    "softmax",
    "log_softmax",
    "cross_entropy",
    "binary_cross_entropy_with_logits",
    "linear_cross_entropy",
)


def samples(name, dtype=torch.float64):
    pytest.importorskip("expecttest", reason="expecttest is not installed")
    from torch.testing._internal.common_methods_invocations import op_db

    for info in op_db:
        if info.name.removeprefix("nn.functional.") == name:
            yield from info.sample_inputs("cpu", dtype, requires_grad=True)


def tensors_of(sample):
    everything = [sample.input, *sample.args, *sample.kwargs.values()]
    return [one for one in everything if isinstance(one, torch.Tensor) and one.requires_grad]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", NAMES)
def test_samples_of_pytorch(name, dtype):
    n = 0
    for sample in samples(name, dtype):
        peer = getattr(F, name)
        results = []
        for function in (getattr(ft, name), peer):
            out = function(sample.input, *sample.args, **sample.kwargs)
            leaves = tensors_of(sample)
            upstream = torch.ones_like(out) * 0.5
            grads = torch.autograd.grad(out, leaves, upstream, allow_unused=True)
            results.append((out, *grads))
        for got, want in zip(*results, strict=True):
            torch.testing.assert_close(got, want, equal_nan=True)
        n += 1
    assert n > 5


@pytest.mark.parametrize("name", NAMES)
def test_derivatives(name):
    for sample in list(samples(name))[:: 12 if name == "linear_cross_entropy" else 4]:
        if sample.input.numel() == 0 or sample.kwargs.get("options") is not None:
            continue  # PyTorch's own chunks have no second derivative

        def call(x, sample=sample):
            return getattr(ft, name)(x, *sample.args, **sample.kwargs)

        assert torch.autograd.gradcheck(call, sample.input)
        assert torch.autograd.gradgradcheck(call, sample.input)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"z_loss": 0.1, "softcap": 3.0, "temperature": 2.0}])
def test_derivatives_with_own_options(options, reduction):
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    y, s = torch.tensor([0, 3, -100, 1, 2]), torch.rand(5)
    call = lambda x: ft.cross_entropy(x, y, reduction=reduction, sample_weight=s, **options)  # noqa: E731
    assert torch.autograd.gradcheck(call, x)
    assert torch.autograd.gradgradcheck(call, x)


def problem(dtype=torch.float32):
    torch.manual_seed(0)
    return torch.randn(6, 5, dtype=dtype, requires_grad=True), torch.tensor([0, 4, -100, 1, 2, 3])


def test_a_second_backward_pass_adds_the_same_gradient():
    x, y = problem()
    loss = ft.cross_entropy(x, y)
    loss.backward(retain_graph=True)
    first = x.grad.clone()
    loss.backward(retain_graph=True)
    torch.testing.assert_close(x.grad, 2 * first)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_and_autocast(dtype):
    x, y = problem(dtype)
    loss = ft.cross_entropy(x, y)
    assert loss.dtype == dtype
    (grad,) = torch.autograd.grad(loss, x, torch.tensor(64.0, dtype=dtype))
    wide = x.detach().float().requires_grad_()
    (want,) = torch.autograd.grad(F.cross_entropy(wide, y), wide, torch.tensor(64.0))
    torch.testing.assert_close(grad.float(), want, rtol=2e-2, atol=1e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ft.cross_entropy(x, y).dtype == torch.float32
        assert F.cross_entropy(x, y).dtype == torch.float32


def test_strides():
    x = torch.randn(2, 5, 4, 3).to(memory_format=torch.channels_last)
    y = torch.randint(0, 5, (2, 4, 3))
    for one in (x, x[:, :, ::2], x[:1].expand(2, -1, -1, -1)):
        leaf = one.detach().requires_grad_()
        target = y[:, : one.shape[2]]
        got = torch.autograd.grad(ft.cross_entropy(leaf, target), leaf)
        want = torch.autograd.grad(F.cross_entropy(leaf, target), leaf)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(ft.softmax(one, 1), torch.softmax(one, 1))


def test_errors_are_those_of_pytorch():
    x, y = problem()
    for args in ((x, y[:3]), (x, y.float()), (x, y + 9), (x.long(), y), (x, y, x[0, :2])):
        with pytest.raises(Exception) as theirs:  # noqa: PT011
            F.cross_entropy(*args)
        with pytest.raises(theirs.type):
            ft.cross_entropy(*args)
    for bad in ({"z_loss": -1}, {"softcap": 0}, {"temperature": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            ft.cross_entropy(x, y, **bad)
    with pytest.raises(TypeError, match=r"call torch\.nn\.functional\.cross_entropy"):
        ft.cross_entropy(x.to("meta"), y)


FUNC = torch.func
WAYS = {
    "eager": lambda call: call,
    "func.grad": lambda call: FUNC.grad(lambda x: call(x).sum()),
    "vmap": lambda call: lambda x: FUNC.vmap(lambda one: call(x + one))(torch.zeros(2)),
    "compiled": lambda call: torch.compile(call, backend="aot_eager"),
}


@pytest.mark.parametrize("linear", [False, True], ids=["cross_entropy", "linear_cross_entropy"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_errors_of_options_are_the_same_every_way(way, linear):
    x, y = problem()
    w = torch.randn(7, x.shape[1])
    n = len(x)
    cases = (
        ({"sample_weight": -torch.ones(n)}, ValueError, "finite and not negative, got -1.0 at"),
        ({"sample_weight": torch.ones(n) * torch.nan}, ValueError, "finite and not negative, got"),
        ({"sample_weight": torch.ones(n, 1)}, ValueError, rf"shape \({n},\), got \({n}, 1\)"),
        ({"sample_weight": torch.ones(3)}, ValueError, rf"shape \({n},\), got \(3,\)"),
        ({"label_smoothing": 2.0}, RuntimeError, "label_smoothing must be between 0.0 and 1.0"),
        ({"softcap": -1.0}, ValueError, r"softcap must be finite and in \(0, inf\), got -1.0"),
        ({"temperature": 0.0}, ValueError, "temperature must be finite"),
        ({"z_loss": -1.0}, ValueError, "z_loss must be finite"),
    )
    for options, kind, words in cases:
        torch._dynamo.reset()

        def call(x, options=options):
            if linear:
                return ft.linear_cross_entropy(x, w, y, **options)
            return ft.cross_entropy(x, y, **options)

        with pytest.raises(kind, match=words):
            way(call)(x)


def test_compiled_float16_refuses_weights_of_rows_of_another_shape():
    x, y = problem()
    rows = torch.ones(len(x), 1)
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda x: ft.cross_entropy(x, y, sample_weight=rows), backend="aot_eager"
    )
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        compiled(x.detach().half())


def test_weights_of_rows_that_a_transform_wraps_are_read():
    x, y = problem()
    x = x.detach()

    def loss(x, y, rows):
        return ft.cross_entropy(x[None], y[None], sample_weight=rows[None])

    rows = torch.rand(len(x))
    got = FUNC.vmap(loss)(x, y, rows)
    assert got.shape == y.shape
    with pytest.raises(ValueError, match="sample_weight must be finite and not negative, got -"):
        FUNC.vmap(FUNC.grad(loss))(x, y, rows - 2)


@pytest.mark.parametrize("value", [None, True, 2.0, "a"])
def test_ignore_index_is_an_integer(value):
    x, y = problem()
    with pytest.raises(TypeError, match=rf"ignore_index must be an integer, got {value!r}"):
        ft.cross_entropy(x, y, ignore_index=value)
    y = y.clamp(min=0)
    got = ft.cross_entropy(x, y, ignore_index=torch.tensor(2).numpy()[()])
    torch.testing.assert_close(got, F.cross_entropy(x, y, ignore_index=2))


@pytest.mark.parametrize("tracks", [False, True])
def test_a_divisor_of_zero(tracks):
    x, y = problem()
    x = x.detach().requires_grad_(tracks)
    w = torch.eye(x.shape[1])
    weight = torch.ones(x.shape[1])
    weight[1] = 0
    y = torch.ones_like(y)
    options = {"weight": weight, "label_smoothing": 0.1}
    compiled = torch.compile(lambda x: ft.cross_entropy(x, y, **options), backend="aot_eager")
    theirs = F.cross_entropy(x, y, **options)
    assert theirs.isnan()
    for call in (
        lambda x: ft.cross_entropy(x, y, **options),
        lambda x: ft.linear_cross_entropy(x, w, y, **options),
        compiled,
    ):
        ours = call(x)
        torch.testing.assert_close(ours, theirs, equal_nan=True)
        if tracks:
            assert torch.autograd.grad(ours, x)[0].isnan().all()


def test_linear_in_blocks():
    torch.manual_seed(0)
    x, w = torch.randn(600, 8, requires_grad=True), torch.randn(20, 8, requires_grad=True)
    y, b = torch.randint(0, 20, (600,)), torch.randn(20, requires_grad=True)
    for reduction in ("mean", "sum", "none"):
        results = []
        for call in (ft.linear_cross_entropy, F.linear_cross_entropy):
            loss = call(x, w, y, linear_bias=b, reduction=reduction)
            results.append((loss, *torch.autograd.grad((loss * 1.5).sum(), (x, w, b))))
        for got, want in zip(*results, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_modules():
    x, y = problem()
    torch.testing.assert_close(ft.CrossEntropyLoss()(x, y), torch.nn.CrossEntropyLoss()(x, y))
    ours, theirs = ft.LinearCrossEntropyLoss(5, 7), torch.nn.LinearCrossEntropyLoss(5, 7)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x, y), theirs(x, y))
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=2)
    ours = ft.LinearCrossEntropyLoss(5, 7, options=options)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x, y), theirs(x, y))
    assert isinstance(ours, torch.nn.LinearCrossEntropyLoss)
    own = {"bias": True, "label_smoothing": 0.1, "reduction": "sum", "ignore_index": 3}
    makers = ft.LinearCrossEntropyLoss, torch.nn.LinearCrossEntropyLoss
    assert len({repr(make(5, 7, **own)) for make in makers}) == 1
    for bad in ({"label_smoothing": 3.0}, {"weight": torch.ones(6)}):
        with pytest.raises(RuntimeError, match=f"^expected {next(iter(bad))}"):
            ft.LinearCrossEntropyLoss(5, 7, **bad)
    with pytest.raises(ValueError, match="z_loss"):
        ft.linear_cross_entropy(x, ours.linear.weight, y, options=options, z_loss=0.1)


def test_functions_of_arrays_take_bfloat16():
    import fastsoftmax as fs

    x = torch.randn(7, 9).bfloat16()
    for name in ("softmax", "log_softmax", "sigmoid", "logsumexp"):
        args = () if name == "sigmoid" else (1,)
        got, want = getattr(fs, name)(x, *args), getattr(torch, name)(x.double(), *args)
        assert got.dtype.name == "bfloat16"
        np.testing.assert_allclose(got.astype(float), want.numpy(), rtol=2**-7, atol=1e-30)
    loss, grad = fs.cross_entropy_with_grad(x, torch.arange(7))
    want = F.cross_entropy(x.double(), torch.arange(7))
    assert grad.dtype.name == "bfloat16"
    np.testing.assert_allclose(loss, want.item(), rtol=1e-6)


class Exporter:
    """An object that lends its memory by DLPack alone."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


@pytest.mark.parametrize("wrap", [lambda x: x, Exporter], ids=["tensor", "dlpack"])
def test_out_is_a_tensor_or_lends_its_memory(wrap):
    import fastsoftmax as fs

    x, y = torch.randn(6, 5), torch.tensor([0, 4, 1, 1, 2, 3])
    for name in ("softmax", "log_softmax", "sigmoid", "logsumexp"):
        want = torch.from_numpy(np.asarray(getattr(fs, name)(x)))
        for memory in (torch.empty(want.shape), torch.empty(*want.shape[::-1]).t()):
            out = wrap(memory)
            assert getattr(fs, name)(x, out=out) is out
            torch.testing.assert_close(memory, want, rtol=0, atol=0)
    want = fs.cross_entropy_with_grad(x, y)[1]
    memory = torch.empty(6, 5)
    out = wrap(memory)
    assert fs.cross_entropy_with_grad(x, y, out=out)[1] is out
    np.testing.assert_array_equal(memory.numpy(), want)
    want = fs.softmax(x)
    out = wrap(x)
    fs.softmax(x, out=out)
    np.testing.assert_array_equal(x.numpy(), want)
    with pytest.raises(TypeError, match=r"requires a gradient|out"):
        fs.softmax(x.detach(), out=wrap(torch.empty(6, 5, requires_grad=True)))
    with pytest.raises(ValueError, match="shape"):
        fs.softmax(x, out=wrap(torch.empty(5, 5)))
    with pytest.raises(TypeError, match="out"):
        fs.softmax(x, out=wrap(torch.empty(6, 5, dtype=torch.float64)))


def test_the_gradient_is_as_exact_as_that_of_arrays():
    import fastsoftmax as fs

    x, y = problem()
    ft.cross_entropy(x, y).backward()
    _, want = fs.cross_entropy_with_grad(x.detach().numpy(), y.numpy(), ignore_index=-100)
    np.testing.assert_array_equal(x.grad.numpy(), want)
