"""What a graph keeps of a loss between its passes, for few logits and for many."""

import gc
import weakref

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
import fastsoftmax.torch as ft  # noqa: E402

F = torch.nn.functional
pytestmark = pytest.mark.peer
SHAPES = {"few": (6, 5), "many": (2048, 9)}
WEIGHT = torch.linspace(0.5, 2, 9)


@pytest.fixture(params=SHAPES)
def problem(request):
    torch.manual_seed(0)
    n_rows, n_classes = SHAPES[request.param]
    x = torch.randn(n_rows, n_classes, dtype=torch.float64, requires_grad=True)
    return x, torch.randint(0, n_classes, (n_rows,))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}], ids=["plain", "smoothed"])
@pytest.mark.parametrize("weighs", [False, True], ids=["equal", "weighted"])
def test_a_graph_is_passed_backward_again_and_again(problem, reduction, options, weighs):
    x, y = problem
    weight = WEIGHT[: x.shape[1]].double() if weighs else None
    ours, theirs = (m.cross_entropy(x, y, weight, reduction=reduction, **options) for m in (ft, F))
    for scale in (3.0, 1.0, -0.5):
        upstream = torch.full_like(ours, scale)
        got, want = (
            torch.autograd.grad(one, x, upstream, retain_graph=True) for one in (ours, theirs)
        )
        torch.testing.assert_close(got, want)
    got, want = (torch.autograd.grad(one.sum(), x, create_graph=True)[0] for one in (ours, theirs))
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(*(torch.autograd.grad(one.pow(2).sum(), x) for one in (got, want)))


def test_gradients_of_one_graph_do_not_share_memory(problem):
    x, y = problem
    loss = ft.cross_entropy(x, y)
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    want = first.clone()
    first.zero_()
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], want)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_batches_of_upstream_gradients(problem, reduction):
    x, y = problem
    w = torch.randn(4, x.shape[1], dtype=x.dtype, requires_grad=True)
    calls = (
        lambda m: m.cross_entropy(x, y, reduction=reduction),
        lambda m: m.binary_cross_entropy_with_logits(x, x.detach().sigmoid(), reduction=reduction),
        lambda m: m.linear_cross_entropy(x, w, y % 4, reduction=reduction),
        lambda m: m.softmax(x, 1),
        lambda m: m.log_softmax(x, 0),
    )
    for call in calls:
        ours, theirs = call(ft), call(F)
        batch = torch.randn(3, *ours.shape, dtype=x.dtype)
        for _ in range(2):
            got, want = (
                torch.autograd.grad(one, x, batch, is_grads_batched=True, retain_graph=True)
                for one in (ours, theirs)
            )
            torch.testing.assert_close(got, want)
            assert not got[0].requires_grad  # else it keeps a graph alive


@pytest.mark.parametrize("which", ["input", "target", "weight", "sample_weight"])
def test_what_was_overwritten_is_not_used_again(problem, which):
    leaf, y = problem
    x = leaf * 1
    weight, rows = WEIGHT[: x.shape[1]].double(), torch.ones(len(x), dtype=torch.float64)
    loss = ft.cross_entropy(x, y, weight, sample_weight=rows)
    with torch.no_grad():
        {"input": x, "target": y, "weight": weight, "sample_weight": rows}[which].zero_()
    loss.backward(retain_graph=True)  # needs none of them
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_logits_may_be_overwritten_before_the_gradient_is_taken(problem):
    leaf, y = problem
    grads = []
    for m in (ft, F):
        x = leaf * 1
        loss = m.cross_entropy(x, y)
        x.add_(1)
        grads.append(torch.autograd.grad(loss, leaf))
    torch.testing.assert_close(*grads)


CALLS = {
    "cross_entropy": lambda x, y: ft.cross_entropy(x, y),
    "rows": lambda x, y: ft.cross_entropy(x, y, reduction="none").sum(),
    "sample_weight": lambda x, y: ft.cross_entropy(x, y, sample_weight=torch.ones(len(y))),
    "linear": lambda x, y: ft.linear_cross_entropy(x, x[:4] * 2, y % 4),
    "binary": lambda x, _: ft.binary_cross_entropy_with_logits(x, x.detach().sigmoid()),
    "softmax": lambda x, _: ft.softmax(x, 1).sum(),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_graph_that_is_not_retained_is_passed_once(problem, call, create_graph):
    x, y = problem
    loss = call(x, y)
    torch.autograd.grad(loss, x, create_graph=create_graph, retain_graph=False)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, x)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_losses_keep_no_logits_after_their_backward_pass(problem, call):
    leaf, y = problem
    x = leaf * 1
    logits = weakref.ref(x)
    loss = call(x, y)
    loss.backward()
    del x
    assert logits() is None
    assert loss.isfinite()


def test_nothing_is_left_to_the_collector_of_cycles(problem):
    x, y = problem
    gc.collect()
    gc.disable()
    gc.set_debug(
        gc.DEBUG_SAVEALL
    )  # what is found comes into gc.garbage, of other tests and threads too
    try:
        for _ in range(3):
            x.grad = None
            ft.cross_entropy(x, y).backward()
        gc.collect()
        found = [one for one in gc.garbage if is_of_a_loss(one)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not found


def is_of_a_loss(one):
    """Return whether an object is a tensor of doubles or a node of the graph of a loss."""
    is_tensor = type(one) is torch.Tensor and one.dtype is torch.float64
    return is_tensor or type(one).__name__.startswith("_CrossEntropy")


def test_logits_and_their_gradient_go_to_the_hooks_of_autograd(problem):
    """So checkpoints free both, and keep neither until the backward pass."""
    x, y = problem
    layer = [torch.randn(len(one), 3, requires_grad=True) for one in (x, x[0])]
    packed = []
    calls = (
        (lambda: ft.cross_entropy(x, y), [x]),
        (lambda: ft.linear_cross_entropy(*layer, y), layer),
    )
    for call, leaves in calls:
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda one: packed.append(one.shape) or one, lambda one: one
        )
        with hooks:
            loss = call()
        assert [packed.count(one.shape) for one in leaves] == [2] * len(leaves)
        packed.clear()
        for scale in (2.0, 3.0):  # the hooks give the same tensors each time
            got = torch.autograd.grad(loss, leaves, torch.full_like(loss, scale), retain_graph=True)
            want = torch.autograd.grad(call(), leaves)
            torch.testing.assert_close(got, tuple(scale * one for one in want))
