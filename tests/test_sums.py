"""Sums and means of many losses: they round as one loss does, whatever their number."""

import math

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax._backends._sums import mean_of, total_of

COUNTS = [1, 7, 31, 32, 33, 1000, 8191, 8192, 8193, 100_003]


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("kind", ["equal", "random", "falling"])
def test_a_sum_is_within_two_ulp(n, kind, rng):
    x = {
        "equal": np.full(n, 0.1),
        "random": rng.random(n),
        "falling": 1.0 / np.arange(1, n + 1) ** 2,
    }[kind]
    want = math.fsum(x)
    assert abs(float(total_of(x)) - want) <= 2 * math.ulp(want)


@pytest.mark.parametrize("n", COUNTS)
def test_the_mean_of_equal_losses_is_that_loss(n):
    # The plain sums of 31 such losses erred by 4 ULP in float64.
    logits = np.zeros((n, 16))
    want = float(fs.cross_entropy(logits[:1], np.zeros(1, int)))
    for mean in (
        fs.cross_entropy(logits, np.zeros(n, int)),
        fs.cross_entropy.__wrapped__(logits, np.zeros(n, int)),
        fs.entropy_with_logits(logits),
    ):
        assert abs(float(mean) - want) <= 4 * math.ulp(want)


def test_sums_do_not_depend_on_the_threads(rng):
    logits, targets = rng.standard_normal((50_000, 3)), rng.integers(0, 3, 50_000)
    one = fs.cross_entropy(logits, targets, reduction="sum", n_threads=1)
    with fs.set_num_threads(1):
        assert fs.cross_entropy(logits, targets, reduction="sum") == one
    for n_threads in (2, 3, 7):
        assert fs.cross_entropy(logits, targets, reduction="sum", n_threads=n_threads) == one


def test_infinities_and_nan_reach_the_sum():
    x = np.ones(100)
    x[40] = np.inf
    assert total_of(x) == np.inf
    x[41] = np.nan
    assert np.isnan(total_of(x))
    with np.errstate(over="ignore"):
        assert mean_of(np.full(10, 1e308), 10) == pytest.approx(1e308)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 10), (2, 8193)])
def test_gradient_where_the_log_sum_exp_leaves_double(implementation, shape, order):
    # 2 * z_loss * lse * p is a number beside p = 0, though lse = 1.6e309 is none.
    logits = np.full(shape, -1e300, order=order)
    logits[:, 0] = 1e308
    with np.errstate(all="ignore"):
        loss, grad = fs.cross_entropy_with_grad(
            logits, np.ones(shape[0], int), temperature=0.0625, z_loss=1e-10
        )
    assert loss == np.inf
    assert np.all(grad[:, 0] > 1e299)
    assert np.isfinite(grad).all()
    np.testing.assert_array_equal(grad[:, 2:], 0)
