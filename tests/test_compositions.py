"""What is composed of the contract: linear and sampled losses."""

import tracemalloc

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.functional import _linear, _sampled


def layer(rng, dtype=np.float64, n_rows=37, n_features=8, n_classes=23):
    """Return (x, linear_weight, linear_bias, targets)."""
    x = rng.standard_normal((n_rows, n_features)).astype(dtype)
    weight = rng.standard_normal((n_classes, n_features)).astype(dtype)
    return (
        x,
        weight,
        rng.standard_normal(n_classes).astype(dtype),
        rng.integers(0, n_classes, n_rows),
    )


OPTIONS = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"label_smoothing": 0.1, "z_loss": 0.01},
    {"softcap": 5.0, "temperature": 2.0},
    {"ignore_index": 3},
    {"weight": True, "sample_weight": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("form", ["indices", "probabilities"])
def test_linear_cross_entropy(rng, monkeypatch, options, with_bias, form):
    monkeypatch.setattr(_linear, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(_linear, "STRIP_BYTES", 500)
    x, weight, bias, targets = layer(rng)
    options = dict(options)
    if options.pop("weight", False):
        options["weight"] = rng.uniform(0.5, 2, 23)
        options["sample_weight"] = rng.uniform(0.5, 2, 37)
    if form == "probabilities":
        if "ignore_index" in options:
            return
        targets = fs.softmax(rng.standard_normal((37, 23)))
    logits = x @ weight.T + (bias if with_bias else 0)
    loss, grad = fs.cross_entropy_with_grad(logits, targets, **options)
    extra = {"linear_bias": bias} if with_bias else {}
    got, grad_x, grad_weight, grad_bias = fs.linear_cross_entropy_with_grad(
        x, weight, targets, **extra, **options
    )
    np.testing.assert_allclose(got, loss, rtol=1e-12)
    np.testing.assert_allclose(grad_x, grad @ weight, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(grad_weight, grad.T @ x, rtol=1e-10, atol=1e-13)
    if with_bias:
        np.testing.assert_allclose(grad_bias, grad.sum(axis=0), rtol=1e-10, atol=1e-13)
    else:
        assert grad_bias is None
    np.testing.assert_array_equal(
        fs.linear_cross_entropy(x, weight, targets, **extra, **options), got
    )


def test_linear_cross_entropy_never_stores_the_logits(rng):
    x, weight, _, targets = layer(rng, np.float32, n_rows=1024, n_features=16, n_classes=20_000)
    tracemalloc.start()
    fs.linear_cross_entropy_with_grad(x, weight, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    results = x.nbytes + weight.nbytes
    block = _linear.ROWS_AT_ONCE * 20_000 * 4
    assert peak - results < block + 3 * _linear.STRIP_BYTES < 1024 * 20_000 * 4


def test_linear_cross_entropy_of_no_rows():
    loss, grad_x, grad_weight, _ = fs.linear_cross_entropy_with_grad(
        np.zeros((0, 3)), np.zeros((4, 3)), []
    )
    assert np.isnan(loss)
    assert grad_x.shape == (0, 3)
    assert not grad_weight.any()


def test_linear_cross_entropy_refuses(rng):
    x, weight, bias, targets = layer(rng)
    with pytest.raises(IndexError, match=r"targets must be in \[0, 23\), got 23 at row 5"):
        fs.linear_cross_entropy(x, weight, np.where(np.arange(37) == 5, 23, targets))
    with pytest.raises(
        ValueError, match=r"linear_weight must have shape \(n_classes, 8\), got \(8, 23\)"
    ):
        fs.linear_cross_entropy(x, weight.T, targets)
    with pytest.raises(ValueError, match=r"linear_bias must have shape \(23,\), got \(22,\)"):
        fs.linear_cross_entropy(x, weight, targets, linear_bias=bias[1:])
    with pytest.raises(
        TypeError, match="linear_weight must have the dtype of x, float64, got float32"
    ):
        fs.linear_cross_entropy(x, weight.astype(np.float32), targets)
    with pytest.raises(ValueError, match="two dimensions"):
        fs.linear_cross_entropy(x[0], weight, targets)
    with pytest.raises(TypeError, match="axis"):
        fs.linear_cross_entropy(x, weight, targets, axis=0)


def test_samplers_draw_what_they_say(rng):
    for sampler in _sampled.SAMPLERS:
        drawn, log_q = _sampled.draw_classes(50, 200_000, sampler, rng)
        q = np.zeros(50)
        q[drawn] = np.exp(log_q)
        assert q.sum() == pytest.approx(1)
        counts = np.bincount(drawn, minlength=50) / 200_000
        np.testing.assert_allclose(counts, q, atol=6 * np.sqrt(q.max() / 200_000))


@pytest.mark.parametrize("sampler", _sampled.SAMPLERS)
def test_expectation_of_the_corrected_sum_is_the_full_sum(rng, sampler):
    x, weight, bias, targets = layer(rng, n_rows=5)
    logits = x @ weight.T + bias
    sums = np.zeros(5)
    n_draws = 4_000
    for seed in range(n_draws):
        problem = _sampled._Problem(x, weight, targets, 40, bias, sampler, True, seed)
        sums += np.exp(problem.logits()).sum(axis=1) / n_draws
    np.testing.assert_allclose(sums, np.exp(logits).sum(axis=1), rtol=0.05)


@pytest.mark.parametrize("sampler", _sampled.SAMPLERS)
def test_sampled_loss_tends_to_the_full_loss(rng, sampler):
    x, weight, bias, targets = layer(rng)
    full = fs.linear_cross_entropy(x, weight, targets, linear_bias=bias)
    errors = [
        abs(fs.sampled_softmax_cross_entropy(
            x, weight, targets, k, linear_bias=bias, sampler=sampler, seed=1) - full)
        for k in (10, 1_000, 100_000)
    ]  # fmt: skip
    assert errors[2] < errors[0]
    assert errors[2] < 0.01 * full


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_sampled_gradients_against_differences(rng, with_bias, remove, reduction):
    x, weight, bias, targets = layer(rng, n_rows=6, n_features=3, n_classes=9)
    options = {"seed": 5, "remove_accidental_hits": remove, "reduction": reduction}

    def loss(x, weight, bias):
        extra = {"linear_bias": bias} if with_bias else {}
        return np.sum(fs.sampled_softmax_cross_entropy(x, weight, targets, 7, **extra, **options))

    extra = {"linear_bias": bias} if with_bias else {}
    got, grad_x, class_ids, rows, bias_rows = fs.sampled_softmax_cross_entropy_with_grad(
        x, weight, targets, 7, **extra, **options
    )
    assert np.sum(got) == loss(x, weight, bias)
    assert (np.diff(class_ids) > 0).all()
    assert set(targets) <= set(class_ids)
    grad_weight = np.zeros_like(weight)
    grad_weight[class_ids] = rows
    arguments, grads = [x, weight], [grad_x, grad_weight]
    if with_bias:
        grad_bias = np.zeros_like(bias)
        grad_bias[class_ids] = bias_rows
        arguments, grads = [x, weight, bias], [*grads, grad_bias]
    else:
        assert bias_rows is None
    for i, grad in enumerate(grads):
        for at in np.ndindex(grad.shape):
            moved = [[a.copy() for a in arguments] for _ in range(2)]
            moved[0][i][at] += 1e-5
            moved[1][i][at] -= 1e-5
            up, down = (loss(*(*m, bias)[:3]) for m in moved)
            assert grad[at] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-8)


def test_sampled_seeds_and_errors(rng):
    x, weight, _, targets = layer(rng)
    call = fs.sampled_softmax_cross_entropy
    assert call(x, weight, targets, 5, seed=3) == call(x, weight, targets, 5, seed=3)
    assert call(x, weight, targets, 5, seed=3) != call(x, weight, targets, 5, seed=4)
    with pytest.raises(
        ValueError, match="sampler must be one of 'log_uniform', 'uniform', got 'gumbel'"
    ):
        call(x, weight, targets, 5, sampler="gumbel")
    with pytest.raises(ValueError, match="num_sampled must be at least 1, got 0"):
        call(x, weight, targets, 0)
    with pytest.raises(IndexError, match=r"targets must be in \[0, 23\), got -1 at row 0"):
        call(x, weight, np.full(37, -1), 5)
    with pytest.raises(TypeError, match="class indices"):
        call(x, weight, np.zeros((37, 23)), 5)
    with pytest.raises(ValueError, match=r"seed must be None.*, got -1"):
        call(x, weight, targets, 5, seed=-1)
    with pytest.raises(TypeError, match=r"seed must be None.*, got 'a'"):
        call(x, weight, targets, 5, seed="a")
