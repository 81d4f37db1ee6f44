"""What surrounds a loss: autocast, no_grad, checkpoints, transforms, other devices, processes."""

import copy
import os
import subprocess
import sys
import textwrap

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
import fastsoftmax.torch as ft  # noqa: E402

F = torch.nn.functional
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),  # of PyTorch's own modules
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
]


def problem(dtype=torch.float32):
    torch.manual_seed(0)
    return torch.randn(6, 5, dtype=dtype, requires_grad=True), torch.tensor([0, 4, -100, 1, 2, 3])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode):
    x, y = problem()
    w = torch.randn(7, 5)
    with mode():
        for call in (
            lambda m: m.cross_entropy(x, y),
            lambda m: m.softmax(x, 1),
            lambda m: m.linear_cross_entropy(x, w, y),
            lambda m: m.binary_cross_entropy_with_logits(x, torch.ones_like(x)),
        ):
            got = call(ft)
            assert not got.requires_grad
            torch.testing.assert_close(got, call(F))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoint(use_reentrant):
    from torch.utils.checkpoint import checkpoint

    x, y = problem()
    w = torch.randn(7, 5, requires_grad=True)
    calls = {
        "cross_entropy": (lambda m: lambda x: m.cross_entropy(x, y), [x]),
        "linear": (lambda m: lambda x, w: m.linear_cross_entropy(x, w, y), [x, w]),
    }
    for call, leaves in calls.values():
        grads = []
        for run in (lambda *a: checkpoint(call(ft), *a, use_reentrant=use_reentrant), call(F)):  # noqa: B023
            for one in leaves:
                one.grad = None
            (run(*leaves) * 3).backward()
            grads.append([one.grad for one in leaves])
        torch.testing.assert_close(*grads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_autocast(dtype):
    x, y = problem(dtype)
    w = torch.randn(7, 5, dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for call in (
            lambda m: m.cross_entropy(x, y),
            lambda m: m.cross_entropy(F.linear(x, w), y),
            lambda m: m.binary_cross_entropy_with_logits(x, torch.ones_like(x)),
        ):
            got, want = call(ft), call(F)
            assert got.dtype == want.dtype == torch.float32
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
        for name in ("softmax", "log_softmax"):
            assert getattr(ft, name)(x, 1).dtype == getattr(F, name)(x, 1).dtype == dtype
        loss = ft.linear_cross_entropy(x, w, y)
        assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(F.linear(x, w).float(), y), rtol=0.02, atol=0)
    grads = torch.autograd.grad(loss, (x, w))
    assert [one.dtype for one in grads] == [dtype, dtype]


def both(name, *rest):
    return [lambda x, m=m: (getattr(m, name)(x, *rest) ** 3).sum() for m in (ft, F)]


func = torch.func
TRANSFORMS = {
    "grad": func.grad,
    "hessian": func.hessian,
    "jacrev": func.jacrev,
    "jacfwd": func.jacfwd,
    "vmap": func.vmap,
    "vmap of columns": lambda f: func.vmap(f, in_dims=1),
    "gradient of every row": lambda f: func.vmap(func.grad(f)),
    "vmap in vmap": lambda f: func.vmap(func.vmap(lambda v: v * f(v[None]))),
    "gradient of a gradient": lambda f: func.grad(lambda x: func.grad(f)(x).pow(2).sum()),
    "jvp": lambda f: lambda x: func.jvp(f, (x,), (x * 2,)),
}


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_of_softmax(name, transform):
    x = problem(torch.float64)[0].detach()
    ours, theirs = both(name, -1)
    torch.testing.assert_close(transform(ours)(x), transform(theirs)(x))


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_of_losses(transform):
    x = problem(torch.float64)[0].detach()
    w = torch.randn(7, 5, dtype=torch.float64)
    calls = (
        lambda m: lambda x: m.cross_entropy(x, torch.ones_like(x) / x.shape[-1]),
        lambda m: lambda x: m.binary_cross_entropy_with_logits(x, torch.ones_like(x)),
        lambda m: (
            lambda x: (
                x.sum() * 0
                if x.shape[-1] != 5
                else m.linear_cross_entropy(x.reshape(-1, 5), w, torch.ones(x.numel() // 5).long())
            )
        ),
    )
    for call in calls:
        torch.testing.assert_close(transform(call(ft))(x), transform(call(F))(x))


def test_forward_mode():
    import torch.autograd.forward_ad as forward_ad

    x, y = problem(torch.float64)
    w = torch.randn(7, 5, dtype=torch.float64)
    with forward_ad.dual_level():
        x = forward_ad.make_dual(x.detach(), x.detach().cos())
        for call in (
            lambda m: m.softmax(x, 1),
            lambda m: m.log_softmax(x, 0),
            lambda m: m.cross_entropy(x, y),
            lambda m: m.linear_cross_entropy(x, w, y),
            lambda m: m.binary_cross_entropy_with_logits(x, w[:6]),
        ):
            got, want = (forward_ad.unpack_dual(call(m)) for m in (ft, F))
            torch.testing.assert_close(got.primal, want.primal)
            torch.testing.assert_close(got.tangent, want.tangent)


class Subclass(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "wrap",
    [lambda x: x.to("meta"), lambda x: x.as_subclass(Subclass), lambda x: x.to_sparse()],
    ids=["meta", "subclass", "sparse"],
)
def test_what_cannot_be_read_is_told_what_to_call(wrap):
    x, y = problem()
    other, w = wrap(x.detach()), torch.randn(7, 5)
    calls = {
        "softmax": lambda: ft.softmax(other, 1),
        "log_softmax": lambda: ft.log_softmax(other, 1),
        "cross_entropy": lambda: ft.cross_entropy(other, y),
        "binary_cross_entropy_with_logits": lambda: ft.binary_cross_entropy_with_logits(other, x),
        "linear_cross_entropy": lambda: ft.linear_cross_entropy(other, w, y),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=rf"call torch\.nn\.functional\.{name}$"):
            call()


def test_arguments_must_be_tensors():
    with pytest.raises(TypeError, match=r"^cross_entropy: expected tensors, got list: \[0, 1\]$"):
        ft.cross_entropy(torch.zeros(2, 3), [0, 1])


def test_bfloat16_without_ml_dtypes(monkeypatch):
    x, y = problem()
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match=r"needs ml_dtypes: pip install ml_dtypes$"):
        ft.cross_entropy(x.detach().bfloat16(), y)


def test_functions_of_arrays_name_the_function_of_tensors():
    import fastsoftmax as fs

    x, y = problem()
    w = torch.randn(7, 5, requires_grad=True)
    calls = {
        "softmax": lambda: fs.softmax(x, 1),
        "log_softmax": lambda: fs.log_softmax(x, 1),
        "cross_entropy": lambda: fs.cross_entropy(x, y),
        "binary_cross_entropy_with_logits": lambda: fs.binary_cross_entropy_with_logits(x, x),
        "linear_cross_entropy": lambda: fs.linear_cross_entropy(x.detach(), w, y),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=r"fastsoftmax\.torch"):
            call()
        assert hasattr(ft, name)


def run(text, **environment):
    """Run a script in a process of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


LOADERS = """
    import torch, fastsoftmax.torch as ft

    F = torch.nn.functional

    class Losses(torch.utils.data.Dataset):
        def __len__(self):
            return 16

        def __getitem__(self, i):
            x = torch.randn(512, 300, generator=torch.Generator().manual_seed(i)).requires_grad_()
            y = torch.full((512,), i)
            loss = ft.cross_entropy(x, y)
            loss.backward()
            want = F.cross_entropy(x.detach(), y)
            return torch.stack([loss.detach(), want, x.grad.abs().sum()])

    ft.cross_entropy(torch.randn(4096, 300), torch.zeros(4096).long())  # starts the threads
    loader = torch.utils.data.DataLoader(
        Losses(), batch_size=4, num_workers=2, multiprocessing_context="fork"
    )
    found = torch.cat(list(loader))
    torch.testing.assert_close(found[:, 0], found[:, 1])
    torch.testing.assert_close(found, torch.stack([Losses()[i] for i in range(16)]))
    print("equal")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_forked_data_loaders():
    assert run(LOADERS) == ["equal"]


PROCESSES = """
    import sys, torch, torch.distributed as dist, fastsoftmax.torch as ft
    from torch.nn.parallel import DistributedDataParallel

    F, loss = torch.nn.functional, {"ours": ft.cross_entropy, "theirs": torch.nn.functional.cross_entropy}

    def work(rank, path):
        dist.init_process_group("gloo", init_method="file://" + path, rank=rank, world_size=2)
        generator = torch.Generator().manual_seed(rank)
        x = torch.randn(32, 6, generator=generator)
        y = torch.randint(0, 9, (32,), generator=generator)
        found = []
        for name in loss:
            torch.manual_seed(0)
            model = DistributedDataParallel(torch.nn.Linear(6, 9))
            optimizer = torch.optim.SGD(model.parameters(), 0.5)
            for _ in range(5):
                optimizer.zero_grad()
                loss[name](model(x), y).backward()
                optimizer.step()
            found.append([one.detach() for one in model.parameters()])
        torch.testing.assert_close(*found)
        dist.destroy_process_group()

    if __name__ == "__main__":
        torch.multiprocessing.start_processes(work, (sys.argv[1],), 2, start_method="fork")
        print("equal")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this PyTorch has no gloo",
)
def test_two_processes(tmp_path):
    text = textwrap.dedent(PROCESSES).replace("sys.argv[1]", repr(str(tmp_path / "rendezvous")))
    assert run(text, GLOO_SOCKET_IFNAME="lo") == ["equal"]


def test_a_module_is_copied_and_pickled():
    import pickle

    x, y = problem()
    module = ft.CrossEntropyLoss(weight=torch.rand(5), z_loss=0.1, softcap=3.0, label_smoothing=0.1)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(other(x, y), module(x, y))
