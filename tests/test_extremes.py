"""Options and logits at the ends of their ranges: the exact result, in every implementation."""

import numpy as np
import oracle
import pytest
from oracle import Rows, ulp_error
from tolerances import ULP

import fastsoftmax as fs

TEMPERATURES = (1e300, 1e46, 1e30, 1e-30, 1e-46, 1e-300, 5e-324, 1.7e308)
CAPS = (1e300, 1e20, 1e15, 1e7, 1e-7, 1e-20, 1e-300, 5e-324)


@pytest.fixture(autouse=True)
def needs_extended():
    if not oracle.HAS_EXTENDED:
        pytest.skip("long double is no wider than double here")


def logits_of(shape, dtype, rng):
    x = rng.standard_normal(shape) * 5
    x[0, 1] = -np.inf
    return x.astype(dtype)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("n_classes", [3, 300])
def test_temperature(implementation, dtype, rng, temperature, n_classes):
    x = logits_of((5, n_classes), dtype, rng)
    for scaled in (x, x * dtype(np.clip(temperature, 1e-30, 1e30))):
        want = Rows(scaled, temperature=temperature)
        assert ulp_error(fs.softmax(scaled, temperature=temperature), want.probs) <= ULP
        assert ulp_error(fs.log_softmax(scaled, temperature=temperature), want.log_probs) <= ULP
        targets = np.argmax(scaled, axis=1)
        losses, grad, _ = oracle.cross_entropy(scaled, targets, temperature=temperature)
        got, got_grad = fs.cross_entropy_with_grad(
            scaled, targets, temperature=temperature, reduction="none"
        )
        assert ulp_error(got, losses) <= ULP
        assert ulp_error(got_grad, grad) <= ULP


def test_equal_logits_at_any_temperature(implementation, dtype):
    x = np.array([[0, -np.inf, 5]], dtype)
    np.testing.assert_array_equal(fs.softmax(x, temperature=1e46), np.array([[0.5, 0, 0.5]], dtype))


@pytest.mark.parametrize("softcap", CAPS)
@pytest.mark.parametrize("temperature", [1.0, 0.5, 1e-9, 1e9])
def test_softcap(implementation, dtype, rng, softcap, temperature):
    x = logits_of((6, 9), dtype, rng)
    x[1:3] *= dtype(np.clip(softcap * temperature / 5, 1e-30, 1e30))
    targets = rng.integers(0, 9, 6)
    options = {"softcap": softcap, "temperature": temperature}
    losses, grad, _ = oracle.cross_entropy(x, targets, **options)
    got, got_grad = fs.cross_entropy_with_grad(x, targets, reduction="none", **options)
    assert ulp_error(got, losses) <= ULP
    assert ulp_error(got_grad, grad) <= ULP


def test_z_loss_of_tiny_capped_logits(implementation, dtype):
    """One class: lse is the logit itself, which the cap must not round away."""
    x = np.array([[1e-12]], dtype)
    got = fs.cross_entropy(x, [0], softcap=30.0, z_loss=1.0)
    assert (
        ulp_error(got, oracle.cross_entropy(x, np.array([0]), softcap=30.0, z_loss=1.0)[0].sum())
        <= ULP
    )


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-20, 1e20, 1e170, 1e300])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
@pytest.mark.parametrize("which", ["weight", "sample_weight", "both", "against each other"])
def test_weights_out_of_range(implementation, dtype, rng, size, form, which):
    """Products and sums leave the range of double; the mean and its gradient do not."""
    x = (rng.standard_normal((7, 10)) * 3).astype(dtype)
    targets = rng.integers(0, 10, 7)
    if form == "probabilities":
        targets = fs.softmax(rng.standard_normal((7, 10)) * 3).astype(dtype)
    weight, sample_weight = rng.uniform(0.5, 2, 10), rng.uniform(0.5, 2, 7)
    sample_weight[2] = 0
    sizes = {"weight": (size, 1), "sample_weight": (1, size), "both": (size, size)}
    a, b = sizes.get(which, (size, 1 / size))
    options = {"weight": weight * a, "sample_weight": sample_weight * b}
    losses, grad, scale = oracle.cross_entropy(x, targets, **options)
    divisor = oracle.divisor(targets, 1, **options)
    got, got_grad = fs.cross_entropy_with_grad(x, targets, **options)
    assert ulp_error(got, losses.sum() / divisor) <= ULP
    assert ulp_error(got_grad, grad / divisor, scale / divisor) <= ULP
    got, got_grad = fs.cross_entropy_with_grad(x, targets, reduction="none", **options)
    assert ulp_error(got, losses) <= ULP
    assert ulp_error(got_grad, grad, scale) <= ULP


@pytest.mark.parametrize("options", [
    {"label_smoothing": 1e-300}, {"label_smoothing": 1 - 2.0**-53}, {"label_smoothing": 5e-324},
    {"z_loss": 1e-300}, {"z_loss": 1e300}, {"z_loss": 1e30}, {"z_loss": 1e-30},
], ids=str)  # fmt: skip
def test_smoothing_and_z_loss(implementation, dtype, rng, options):
    x = (rng.standard_normal((6, 9)) * 3).astype(dtype)
    x[1] -= 200
    x[2, 4] = 100
    targets = np.array([0, 1, 4, 3, 4, 5])
    losses, grad, scale = oracle.cross_entropy(x, targets, **options)
    got, got_grad = fs.cross_entropy_with_grad(x, targets, reduction="none", **options)
    m = Rows(x).m[:, 0]
    allowed = np.abs(losses) + options.get("z_loss", 0) * m**2
    assert ulp_error(got, losses, allowed) <= ULP
    assert ulp_error(got_grad, grad, scale) <= ULP


@pytest.mark.parametrize("form", ["indices", "probabilities"])
@pytest.mark.parametrize("n_classes", [7, 129, 9000])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("distance", [80.0, 340.0, 690.0])
def test_z_loss_alone_of_confident_rows(
    implementation, dtype, rng, form, n_classes, order, distance
):
    """Nothing but z_loss times a log-sum-exp near 0 has a gradient: small, and in range."""
    x = np.full((5, n_classes), -distance) - rng.uniform(0, 1, (5, n_classes))
    x[np.arange(5), rng.integers(0, n_classes, 5)] = 0
    x = np.array(x, dtype, order=order)
    x[2] += 1
    targets = rng.integers(0, n_classes, 5)
    weight = np.zeros(n_classes)
    weight[targets[4]] = 0.5
    if form == "probabilities":
        targets = np.array(np.eye(n_classes)[targets], dtype, order=order)
    options = {"z_loss": 109.0, "weight": weight, "sample_weight": np.full(5, 1e-3)}
    _, grad, scale = oracle.cross_entropy(x, targets, **options)
    got = fs.cross_entropy_with_grad(x, targets, reduction="sum", **options)[1]
    assert ulp_error(got, grad, scale) <= ULP


@pytest.mark.parametrize("seed", [1, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_roundings_of_targets_and_shares_do_not_add_up(implementation, seed, order):
    """Weights, smoothing and z_loss one rounding after the other took rare entries to 4.3 ULP."""
    rng = np.random.default_rng(seed)
    x = np.array(rng.standard_normal((2000, 127)) * 5, order=order)
    targets = np.exp(Rows(rng.standard_normal(x.shape) * 3).log_probs).astype(np.float64)
    options = {"weight": rng.uniform(0.1, 2, 127), "label_smoothing": 0.5, "z_loss": 2.0}
    _, grad, scale = oracle.cross_entropy(x, targets, **options)
    got = fs.cross_entropy_with_grad(x, targets, reduction="none", **options)[1]
    assert ulp_error(got, grad, scale) <= 3.2


@pytest.mark.parametrize("n_classes", [10, 127, 9000])
@pytest.mark.parametrize("order", ["C", "F"])
def test_small_z_loss_alone_at_high_temperatures(implementation, rng, n_classes, order):
    """Gradients of 1e-292: what multiplies the terms, larger by 2**80, must not be below the range."""
    x = np.array(rng.standard_normal((5, n_classes)), order=order)
    options = {"z_loss": 4e-102, "temperature": 1e189, "weight": np.zeros(n_classes)}
    targets = rng.integers(0, n_classes, 5)
    options["weight"][targets[4]] = 0.5
    _, grad, scale = oracle.cross_entropy(x, targets, **options)
    got = fs.cross_entropy_with_grad(x, targets, reduction="sum", **options)[1]
    assert ulp_error(got, grad, scale) <= ULP


@pytest.mark.parametrize("n_classes", [5, 300, 9000])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_z_loss_of_the_largest_logits(implementation, rng, n_classes, order, smoothing):
    """2 * z_loss * lse leaves the range of double; times the weight of the row it does not."""
    x = np.array(rng.uniform(-1e300, 1e299, (4, n_classes)), order=order)
    targets = rng.integers(0, n_classes, 4)
    x[[0, 1], targets[:2]] = 1e300, 1.5e300
    options = {"z_loss": 1e10, "sample_weight": np.full(4, 1e-20), "label_smoothing": smoothing}
    _, grad, scale = oracle.cross_entropy(x, targets, **options)
    got = fs.cross_entropy_with_grad(x, targets, reduction="sum", **options)[1]
    assert ulp_error(got, grad, scale) <= ULP


@pytest.mark.parametrize("n_classes", [4, 300, 9000])
@pytest.mark.parametrize("order", ["C", "F"])
def test_logits_at_both_ends_of_the_range(implementation, dtype, n_classes, order):
    """x - max overflows; what is computed from it does not."""
    top = np.finfo(dtype).max
    x = np.zeros((4, n_classes), dtype, order=order)
    x[:, 0], x[:, 1], x[0, 2] = top, -top, top / 2
    x[3] = -top
    for temperature in (1.0, 4.0, 1e5, float(top) / 3):
        want = Rows(x, temperature=temperature)
        assert ulp_error(fs.softmax(x, temperature=temperature), want.probs) <= ULP
        assert ulp_error(fs.log_softmax(x, temperature=temperature), want.log_probs) <= ULP
        for options in ({}, {"label_smoothing": 0.1}, {"sample_weight": np.full(4, 0.25)}):
            options = options | {"temperature": temperature}
            targets = np.array([1, 1, 0, 2])
            losses, grad, scale = oracle.cross_entropy(x, targets, **options)
            got, got_grad = fs.cross_entropy_with_grad(x, targets, reduction="none", **options)
            assert ulp_error(got, losses) <= ULP
            assert ulp_error(got_grad, grad, scale) <= ULP
    want = Rows(x)
    assert ulp_error(fs.logsumexp(x), want.lse[:, 0]) <= ULP


@pytest.mark.parametrize("temperature", [0.3, 3.0, 887.8])
@pytest.mark.parametrize("n_classes", [3, 100, 8193, 16_385])
def test_temperatures_of_logits_at_both_ends_of_the_range(
    implementation, dtype, rng, n_classes, temperature
):
    most = np.finfo(dtype).max
    x = np.where(np.arange(2 * n_classes).reshape(2, -1) % 2, most, -most).astype(dtype)
    x[1, ::3] = 0
    want = Rows(x, temperature=temperature)
    assert ulp_error(fs.softmax(x, temperature=temperature), want.probs) <= ULP
    log_probs = want.log_probs
    log_probs[np.abs(log_probs) > most] = -np.inf
    assert ulp_error(fs.log_softmax(x, temperature=temperature), log_probs) <= ULP


def test_means_of_losses_whose_sum_overflows(implementation):
    x = np.full((8, 3), -1.7e308)
    x[:, 0] = 0
    assert fs.cross_entropy(x, np.full(8, 1)) == pytest.approx(1.7e308)
    x[:, 0] = 1.7e308  # each row's loss is beyond the range
    x[1:] = 0
    targets = np.full(8, 1)
    want = oracle.cross_entropy(x, targets)[0].sum() / 8
    for loss in (
        fs.cross_entropy(x, targets),
        fs.cross_entropy_with_grad(x, targets)[0],
        fs.cross_entropy(x, targets, weight=[1, 1, 1]),
    ):
        assert ulp_error(loss, want) <= ULP
    assert fs.cross_entropy(x, targets, reduction="sum") == np.inf


@pytest.mark.parametrize("size", [1e-300, 1e-20, 1e20, 1e300])
@pytest.mark.parametrize("which", ["weight", "pos_weight", "both", "against each other"])
def test_binary_weights_out_of_range(implementation, dtype, rng, size, which):
    x = (rng.standard_normal((9, 5)) * 3).astype(dtype)
    y = rng.integers(0, 2, x.shape)
    sizes = {"weight": (size, 1), "pos_weight": (1, size), "both": (size, size)}
    a, b = sizes.get(which, (size, 1 / size))
    options = {"weight": rng.uniform(0.5, 2, x.shape) * a, "pos_weight": rng.uniform(0.5, 2, 5) * b}
    losses, grad, scale = oracle.binary_cross_entropy(x, y, **options)
    got, got_grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, reduction="none", **options)
    assert ulp_error(got, losses) <= ULP
    assert ulp_error(got_grad, grad, scale) <= ULP
    got = fs.binary_cross_entropy_with_logits(x, y, **options)
    assert ulp_error(got, losses.mean()) <= ULP


def test_binary_gradients_with_every_weight(implementation, dtype, rng):
    """Products of sigmoid, both weights and the mean's factor are rounded once."""
    for _ in range(20):
        x, n = (rng.standard_normal((3, 9_973)) * 12).astype(dtype), 3 * 9_973
        y = rng.integers(0, 2, x.shape)
        options = {
            "weight": np.full(x.shape, rng.uniform(0.1, 1)),
            "pos_weight": np.full(9_973, rng.uniform(0.1, 1)),
        }
        _, grad, scale = oracle.binary_cross_entropy(x, y, **options)
        _, got = fs.binary_cross_entropy_with_logits_with_grad(x, y, **options)
        assert ulp_error(got, grad / n, scale / n) <= ULP


def test_binary_mean_whose_sum_overflows(implementation):
    x = np.full((4, 2), -1.7e308)
    assert fs.binary_cross_entropy_with_logits(x, np.ones((4, 2))) == pytest.approx(1.7e308)
    x[1:] = 5
    y = np.ones((4, 2))
    want = oracle.binary_cross_entropy(x, y, pos_weight=[2.0, 2.0])[0].mean()
    assert ulp_error(fs.binary_cross_entropy_with_logits(x, y, pos_weight=[2.0, 2.0]), want) <= ULP


def test_binary_weights_of_tiny_exponentials(implementation, dtype):
    """exp(-x) is under the smallest normal number, its multiple is not."""
    edge = -np.log(float(np.finfo(dtype).tiny))
    x = np.linspace(edge - 3, edge + 8, 200).astype(dtype)
    options = {"weight": np.full(200, 3e4), "pos_weight": np.full(200, 0.7)}
    losses, grad, scale = oracle.binary_cross_entropy(x, np.ones(200), **options)
    got, got_grad = fs.binary_cross_entropy_with_logits_with_grad(
        x, np.ones(200), reduction="none", **options
    )
    assert ulp_error(got, losses) <= ULP
    assert ulp_error(got_grad, grad, scale) <= ULP


@pytest.mark.parametrize("size", ["largest", "smallest"])
def test_backward_functions(implementation, dtype, rng, size):
    """Sums of gradients overflow, or lose digits where they are multiplied."""
    info = np.finfo(dtype)
    factor = info.max / 8 if size == "largest" else info.tiny * 64
    probs = fs.softmax((rng.standard_normal((5, 40)) * 3).astype(dtype))
    g = (rng.uniform(-1, 4, (5, 40)) * factor).astype(dtype)
    p, wide = probs.astype(np.longdouble), g.astype(np.longdouble)
    want = p * (wide - (wide * p).sum(1, keepdims=True))
    scale = p * (np.abs(wide) + np.abs(wide * p).sum(1, keepdims=True))
    assert ulp_error(fs.softmax_backward(g, probs), want, scale) <= ULP
    log_probs = np.log(probs)
    e = np.exp(log_probs.astype(np.longdouble))
    want = wide - e * wide.sum(1, keepdims=True)
    scale = np.abs(wide) + e * np.abs(wide).sum(1, keepdims=True)
    assert ulp_error(fs.log_softmax_backward(g, log_probs), want, scale) <= ULP


@pytest.mark.parametrize("options", [{}, {"softcap": 200.0}], ids=["plain", "capped"])
@pytest.mark.parametrize("axis", [0, 1])
def test_no_bit_depends_on_other_rows(implementation, dtype, rng, axis, options):
    """How a row is computed may depend on its own logits, on the options and on the shape."""
    n_rows = 4000  # rounding hides most of what differs
    x, targets = rng.uniform(-90, 90, (n_rows, 10)), rng.integers(0, 10, n_rows)
    results = []
    for size in (0.01, 1000):
        x[1::2] *= size
        logits = x.astype(dtype)
        logits = np.ascontiguousarray(logits.T) if axis == 0 else logits
        loss, grad = fs.cross_entropy_with_grad(
            logits, targets, axis=axis, reduction="none", **options
        )
        results.append((loss[::2], np.moveaxis(grad, axis, 1)[::2]))
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "options",
    [
        {"softcap": 1e300},
        {"softcap": 1e300, "temperature": 1e200},
        {"softcap": 1e-300, "temperature": 1e-200},
        {"temperature": 1e-40},
        {"temperature": 1e46},
        {"sample_weight": np.full(4, 1e300)},
        {"sample_weight": np.full(4, 1e-300)},
    ],
    ids=str,
)
def test_part_of_z_loss_in_the_linear_loss(implementation, dtype, rng, options):
    x, weight = rng.standard_normal((4, 3)).astype(dtype), rng.standard_normal((5, 3)).astype(dtype)
    z_loss = 1e-3 * min(options.get("temperature", 1), 1) ** 2
    _, part = fs.linear_cross_entropy(
        x, weight, [0, 1, 2, 3], z_loss=z_loss, return_z_loss=True, **options
    )
    logits = x.astype(np.longdouble) @ weight.T.astype(np.longdouble)
    rows = oracle.Rows(logits, 1, options.get("temperature", 1.0), options.get("softcap"))
    assert np.isfinite(part)
    np.testing.assert_allclose(part, z_loss * float((rows.lse**2).mean()), rtol=1e-5)


def test_upstream_beyond_float32(implementation, rng):
    """What multiplies the gradient has the range of float64; the product is in range."""
    x, weight = (
        rng.standard_normal((3, 2)).astype(np.float32),
        np.eye(4, 2, dtype=np.float32) * 1e-3,
    )
    options = {"reduction": "none", "sample_weight": np.full(3, 1e-30)}
    upstream = np.array([1e40, -1e45, 1.0])
    _, _, found, _ = fs.linear_cross_entropy_with_grad(
        x, weight, [0, 1, 3], upstream=upstream, **options
    )
    _, _, expected, _ = fs.linear_cross_entropy_with_grad(
        x.astype(float), weight.astype(float), [0, 1, 3], upstream=upstream, **options
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)
