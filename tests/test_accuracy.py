"""Every implementation keeps the documented bounds, and so agrees with every other."""

import numpy as np
import oracle
import pytest
from oracle import Rows, ulp_error
from tolerances import ULP

import fastsoftmax as fs

CLASSES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 97, 100, 127, 128, 129, 255,
           256, 257, 400, 1000, 4097, 8193)  # fmt: skip
KINDS = ("normal", "spread", "shifted", "flat", "confident", "wide")


@pytest.fixture(autouse=True)
def needs_extended(dtype):
    if dtype is np.float64 and not oracle.HAS_EXTENDED:
        pytest.skip("long double is no wider than double here")


def logits_of(kind, shape, dtype, rng):
    """Return random logits of one kind, classes along the last axis."""
    x = rng.standard_normal(shape) * (30 if kind == "wide" else 3)
    if kind == "spread":
        x = rng.uniform(-20, 20, shape)
    elif kind == "shifted":
        x += 1000 * rng.choice([-1, 1], size=(shape[0], 1))
    elif kind == "flat":
        x[...] = rng.standard_normal()
    elif kind == "confident":
        x[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] += rng.uniform(10, 60, shape[0])
    return x.astype(dtype)


def n_rows_for(n_classes):
    return max(2, min(40, 20_000 // n_classes)) + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_softmax_family(implementation, dtype, rng, kind, order):
    for n_classes in CLASSES:
        x = np.asarray(logits_of(kind, (n_rows_for(n_classes), n_classes), dtype, rng), order=order)
        want = Rows(x)
        assert ulp_error(fs.softmax(x), want.probs) <= ULP, n_classes
        assert ulp_error(fs.log_softmax(x), want.log_probs) <= ULP, n_classes
        scale = np.maximum(np.abs(want.lse), np.abs(want.m))[:, 0]
        assert ulp_error(fs.logsumexp(x), want.lse[:, 0], scale) <= ULP, n_classes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_cross_entropy(implementation, dtype, rng, kind, order):
    for n_classes in CLASSES:
        n = n_rows_for(n_classes)
        x = np.asarray(logits_of(kind, (n, n_classes), dtype, rng), order=order)
        targets = x.argmax(1) if kind == "confident" else rng.integers(0, n_classes, n)
        losses, grad, _ = oracle.cross_entropy(x, targets)
        got, got_grad = fs.cross_entropy_with_grad(x, targets, reduction="none")
        assert ulp_error(got, losses) <= ULP, n_classes
        assert ulp_error(got_grad, grad) <= ULP, n_classes
        np.testing.assert_array_equal(fs.cross_entropy(x, targets, reduction="none"), got)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 33, 300])
def test_gradient_of_the_mean(implementation, dtype, rng, n_classes):
    """A divisor that is no power of two rounds once more; thousands of rows find the worst case."""
    n = 3001
    x, targets = logits_of("normal", (n, n_classes), dtype, rng), rng.integers(0, n_classes, n)
    targets[::2] = x[::2].argmax(1)
    _, grad, _ = oracle.cross_entropy(x, targets)
    _, got = fs.cross_entropy_with_grad(x, targets)
    assert ulp_error(got, grad / n) <= ULP


@pytest.mark.parametrize("temperature", [0.7, 3.0, 0.01, 100.0])
@pytest.mark.parametrize("order", ["C", "F"])
def test_temperature(implementation, dtype, rng, temperature, order):
    for n_classes in (3, 16, 37, 300):
        x = np.asarray(logits_of("normal", (20, n_classes), dtype, rng), order=order)
        targets = rng.integers(0, n_classes, 20)
        want = Rows(x, temperature=temperature)
        assert ulp_error(fs.softmax(x, temperature=temperature), want.probs) <= ULP
        assert ulp_error(fs.log_softmax(x, temperature=temperature), want.log_probs) <= ULP
        losses, grad, _ = oracle.cross_entropy(x, targets, temperature=temperature)
        got, got_grad = fs.cross_entropy_with_grad(
            x, targets, temperature=temperature, reduction="none"
        )
        assert ulp_error(got, losses) <= ULP
        assert ulp_error(got_grad, grad) <= ULP


OPTIONS = (
    {"weight": True},
    {"sample_weight": True},
    {"ignore_index": 1},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0},
    {"weight": True, "label_smoothing": 0.2},
    {"z_loss": 1e-3},
    {"softcap": 20.0},
    {"softcap": 2.0, "temperature": 0.5},
    {"weight": True, "sample_weight": True, "label_smoothing": 0.1, "z_loss": 0.01, "softcap": 10.0,
     "temperature": 1.5},
)  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o))
@pytest.mark.parametrize("form", ["indices", "probabilities"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((9, 10), 1), ((5, 300), 1), ((2, 9001), 1), ((10, 9), 0), ((2, 7, 3, 5), 1)],
)
def test_every_option(implementation, dtype, rng, options, form, shape, axis):
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    rows = shape[:axis] + shape[axis + 1 :]
    options = dict(options)
    if options.pop("weight", False):
        options["weight"] = rng.uniform(0, 2, shape[axis])
    if options.pop("sample_weight", False):
        options["sample_weight"] = rng.uniform(0, 2, rows)
    if form == "indices":
        targets = rng.integers(0, shape[axis], rows)
    else:
        options.pop("ignore_index", None)
        targets = fs.softmax(rng.standard_normal(shape), axis=axis).astype(dtype)
    losses, grad, scale = oracle.cross_entropy(x, targets, axis, **options)
    got, got_grad = fs.cross_entropy_with_grad(x, targets, axis=axis, reduction="none", **options)
    m = Rows(x, axis, options.get("temperature", 1.0), options.get("softcap")).m.squeeze(axis)
    loss_scale = np.abs(losses) + options.get("z_loss", 0) * m**2 * np.asarray(
        options.get("sample_weight", 1)
    )
    assert ulp_error(got, losses, loss_scale) <= ULP
    assert ulp_error(got_grad, grad, scale) <= ULP
    alone = fs.cross_entropy(x, targets, axis=axis, reduction="none", **options)
    np.testing.assert_array_equal(alone, got)


def test_backward_functions_of_nan(implementation, dtype):
    x = np.array([[np.nan, 1, 2], [np.inf, 0, 0], [0, 1, 2]], dtype)
    for grad in (np.ones((3, 3), dtype), -np.ones((3, 3), dtype)):
        for forward, backward in (
            (fs.softmax, fs.softmax_backward),
            (fs.log_softmax, fs.log_softmax_backward),
        ):
            for axis, form in ((1, np.asarray), (0, np.transpose)):
                got = backward(form(grad).copy(), forward(form(x).copy(), axis), axis)
                got = np.moveaxis(got, axis, 1)
                assert np.isnan(got[:2]).all()
                assert np.isfinite(got[2]).all()


def test_backward_functions(implementation, dtype, rng):
    for shape, axis in (((9, 10), 1), ((4, 1000), 1), ((10, 9), 0), ((2, 7, 3, 5), 1)):
        probs = fs.softmax((rng.standard_normal(shape) * 3).astype(dtype), axis=axis)
        g = rng.standard_normal(shape).astype(dtype)
        p, wide = probs.astype(np.longdouble), g.astype(np.longdouble)
        want = p * (wide - (wide * p).sum(axis, keepdims=True))
        scale = p * (np.abs(wide) + np.abs(wide * p).sum(axis, keepdims=True))
        assert ulp_error(fs.softmax_backward(g, probs, axis), want, scale) <= ULP
        log_probs = np.log(probs)
        e = np.exp(log_probs.astype(np.longdouble))
        want = wide - e * wide.sum(axis, keepdims=True)
        scale = np.abs(wide) + e * np.abs(wide).sum(axis, keepdims=True)
        assert ulp_error(fs.log_softmax_backward(g, log_probs, axis), want, scale) <= ULP


@pytest.mark.parametrize("n_classes", [20_000, 128_256, 1_000_003])
def test_long_rows(implementation, dtype, rng, n_classes):
    if implementation == "numpy" and n_classes > 200_000:
        n_rows = 1
    else:
        n_rows = 3
    x = logits_of("normal", (n_rows, n_classes), dtype, rng)
    x[0, :] = x[0, 0]
    x[-1, n_classes // 2] += 40
    targets = rng.integers(0, n_classes, n_rows)
    want = Rows(x)
    assert ulp_error(fs.softmax(x), want.probs) <= ULP
    assert ulp_error(fs.log_softmax(x), want.log_probs) <= ULP
    losses, grad, _ = oracle.cross_entropy(x, targets)
    got, got_grad = fs.cross_entropy_with_grad(x, targets, reduction="none")
    assert ulp_error(got, losses) <= ULP
    assert ulp_error(got_grad, grad) <= ULP


def test_tiny_losses_keep_their_digits(implementation, dtype):
    for gap in (20.0, 40.0, 60.0):
        x = np.zeros((3, 5), dtype)
        x[:, 2] = gap
        losses, grad, _ = oracle.cross_entropy(x, np.array([2, 2, 2]))
        assert 0 < losses[0] < 1e-7
        got, got_grad = fs.cross_entropy_with_grad(x, np.array([2, 2, 2]), reduction="sum")
        assert ulp_error(got, losses.sum()) <= ULP
        assert ulp_error(got_grad, grad) <= ULP


def test_results_just_above_the_smallest_normal_number(implementation, dtype):
    info = np.finfo(dtype)
    edge = float(np.log(np.longdouble(info.tiny)))
    x = np.stack([np.zeros(50, dtype), np.linspace(edge - 3, edge + 3, 50).astype(dtype)], axis=1)
    assert ulp_error(fs.softmax(x), Rows(x).probs) <= ULP
    assert ulp_error(fs.softmax(x.T.copy(), axis=0), Rows(x.T, axis=0).probs) <= ULP


@pytest.mark.parametrize("n_classes", [8191, 8192, 8193, 20_000])
@pytest.mark.parametrize("temperature", [1.0, 0.37])
def test_wide_rows_of_tiny_terms(implementation, dtype, rng, n_classes, temperature):
    """Terms near the smallest normal number keep their digits where chunks of a row are merged."""
    edge = float(np.log(np.longdouble(np.finfo(dtype).tiny)))
    x = np.full((2, n_classes), (edge + 8) * temperature).astype(dtype)
    x[1, ::2] += dtype(2)
    x[:, -1] = 0
    want = Rows(x, temperature=temperature)
    assert ulp_error(fs.softmax(x, temperature=temperature), want.probs) <= ULP
    assert ulp_error(fs.log_softmax(x, temperature=temperature), want.log_probs) <= ULP
    dense = fs.softmax(rng.standard_normal(x.shape)).astype(dtype)
    for targets in (np.array([n_classes - 1, 3]), dense, np.eye(n_classes, dtype=dtype)[[5, -1]]):
        losses, grad, scale = oracle.cross_entropy(x, targets, temperature=temperature)
        got, got_grad = fs.cross_entropy_with_grad(
            x, targets, temperature=temperature, reduction="none"
        )
        assert ulp_error(got, losses) <= ULP
        assert ulp_error(got_grad, grad, scale if targets.ndim == 2 else None) <= ULP


def test_sums_of_terms_below_the_smallest_normal_number(implementation, dtype):
    """Each term is too small to be a result; the loss that they make up is not."""
    edge = float(np.log(np.longdouble(np.finfo(dtype).tiny)))
    for n_classes in (100, 5000):
        x = np.full((1, n_classes), edge - np.log(n_classes) + 1).astype(dtype)
        x[0, 0] = 0
        losses, _, _ = oracle.cross_entropy(x, np.array([0]))
        assert ulp_error(fs.cross_entropy(x, [0]), losses[0]) <= ULP


@pytest.mark.parametrize(("n_rows", "n_classes"), [(30, 100), (1000, 10), (100_000, 3), (300, 400)])
@pytest.mark.parametrize("which", ["weight", "sample_weight", "both", "ignored"])
def test_gradient_of_a_weighted_mean(implementation, dtype, rng, n_rows, n_classes, which):
    x = logits_of("normal", (n_rows, n_classes), dtype, rng)
    targets, options = rng.integers(0, n_classes, n_rows), {}
    if which in ("weight", "both"):
        options["weight"] = rng.uniform(0.1, 2, n_classes)
    if which in ("sample_weight", "both"):
        options["sample_weight"] = rng.uniform(0.1, 2, n_rows)
    if which == "ignored":
        targets[::3], options["ignore_index"] = -1, -1
    losses, grad, _ = oracle.cross_entropy(x, targets, **options)
    divisor = oracle.divisor(targets, 1, **options)
    loss, got = fs.cross_entropy_with_grad(x, targets, **options)
    assert ulp_error(got, grad / divisor) <= ULP
    assert ulp_error(loss, losses.sum() / divisor) <= ULP


@pytest.mark.parametrize("n_classes", [100, 4096, 50_000])
@pytest.mark.parametrize("kind", ["dense", "one-hot", "two classes"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_probabilities_with_many_classes(implementation, dtype, rng, n_classes, kind, order):
    x = logits_of("spread", (3, n_classes), dtype, rng)
    index = np.array([x[0].argmax(), 5, 7])
    y = np.eye(n_classes)[index] if n_classes < 5000 else np.zeros(x.shape)
    y[range(3), index] = 1
    if kind == "dense":
        y = fs.softmax(rng.standard_normal(x.shape))
    elif kind == "two classes":
        y[:, 0], y[range(3), index] = 0.3, 0.7
    x, y = np.asarray(x, order=order), np.asarray(y.astype(dtype), order=order)
    losses, grad, scale = oracle.cross_entropy(x, y)
    got, got_grad = fs.cross_entropy_with_grad(x, y, reduction="none")
    assert ulp_error(got, losses) <= ULP
    assert ulp_error(got_grad, grad, scale) <= ULP
    loss, got_grad = fs.cross_entropy_with_grad(x, y, sample_weight=[0.1, 0.7, 1.9])
    losses, grad, scale = oracle.cross_entropy(x, y, sample_weight=[0.1, 0.7, 1.9])
    assert ulp_error(loss, losses.sum() / np.longdouble([0.1, 0.7, 1.9]).sum()) <= ULP
    divisor = np.longdouble([0.1, 0.7, 1.9]).sum()
    assert ulp_error(got_grad, grad / divisor, scale / divisor) <= ULP


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_sum_of_many_targets_keeps_its_digits(implementation, dtype, seed):
    """It multiplies every probability: each rounding of it is one of all entries."""
    rng = np.random.default_rng(seed)
    x = logits_of("spread", (3, 50_000), dtype, rng)
    y = fs.softmax(rng.standard_normal(x.shape)).astype(dtype)
    _, grad, scale = oracle.cross_entropy(x, y)
    _, got = fs.cross_entropy_with_grad(x, y, reduction="none")
    assert ulp_error(got, grad, scale) <= ULP


@pytest.mark.parametrize("shape", [(20_000, 17), (400, 300)], ids=str)
def test_z_loss_counts_roundings_once(implementation, dtype, shape):
    """The square of the log-sum-exp would count each of its roundings twice."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) * 100).astype(dtype)
    x[:, 0] = x[:, 1] = x.max(axis=1)
    targets, weights = rng.integers(0, shape[1], shape[0]), rng.uniform(0.3, 2, shape[0])
    options = {"sample_weight": weights, "temperature": 69.65, "z_loss": 4.4}
    want, _, _ = oracle.cross_entropy(x, targets, **options)
    got = fs.cross_entropy(x, targets, reduction="none", **options)
    assert ulp_error(got, want) <= ULP


@pytest.mark.parametrize("z_loss", [1e-3, 0.5, 30.0])
def test_gradient_where_the_share_of_the_probabilities_is_near_0(
    implementation, dtype, rng, z_loss
):
    """1 + 2 z_loss lse cancels; the bound counts both terms."""
    x = (rng.standard_normal((40, 12)) * 2).astype(dtype)
    x -= (Rows(x).lse + 0.5 / z_loss).astype(dtype)
    targets = rng.integers(0, 12, 40)
    _, grad, scale = oracle.cross_entropy(x, targets, z_loss=z_loss)
    _, got = fs.cross_entropy_with_grad(x, targets, z_loss=z_loss, reduction="none")
    assert ulp_error(got, grad, scale) <= ULP


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "options",
    [
        {"softcap": 20.0, "temperature": 0.01, "z_loss": 60.0},
        {"softcap": 5.0, "temperature": 1e-3},
        {"softcap": 60.0, "temperature": 0.5, "z_loss": 1e3},
    ],
    ids=str,
)
def test_slopes_of_caps_below_the_smallest_normal_number(
    implementation, dtype, rng, options, order
):
    """The slope of a capped logit is too small to be a number of the dtype; the gradient is not."""
    edge = -float(np.log(np.longdouble(np.finfo(dtype).tiny)))
    for shape in ((40, 10), (5, 300), (2, 9000)):
        x = rng.choice([-1, 1], shape) * (edge + rng.uniform(-12, 16, shape)) / 2
        x *= options["temperature"] * options["softcap"]
        x, targets = np.asarray(x, dtype, order=order), rng.integers(0, shape[1], shape[0])
        _, grad, scale = oracle.cross_entropy(x, targets, **options)
        _, got = fs.cross_entropy_with_grad(x, targets, reduction="sum", **options)
        assert ulp_error(got, grad, scale) <= ULP, shape
