"""sigmoid and the binary cross-entropy, in every implementation."""

import numpy as np
import pytest
from oracle import ulp_error
from tolerances import DIFFERENCES, ULP

import fastsoftmax as fs


def logits_of(shape, dtype, rng):
    x = rng.standard_normal(shape) * rng.choice([0.01, 1, 10, 60], shape)
    return x.astype(dtype)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (33, 5), (3, 1000), (200, 300)])
def test_sigmoid(implementation, dtype, rng, shape):
    x = np.asarray(logits_of(shape, dtype, rng))
    want = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    for same in (x, x.copy(order="F")):
        got = fs.sigmoid(same)
        assert ulp_error(got, want) <= ULP
        assert got.strides == np.empty_like(same).strides
    out = np.empty_like(x)
    assert fs.sigmoid(x, out=out) is out
    np.testing.assert_array_equal(out, fs.sigmoid(x))
    fs.sigmoid(x, out=x)
    np.testing.assert_array_equal(x, out)


def test_sigmoid_of_special_values(implementation, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0, 1000, -1000], dtype)
    np.testing.assert_array_equal(fs.sigmoid(x), np.array([np.nan, 1, 0, 0.5, 1, 0], dtype))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", ["bits", "probabilities"])
def test_loss_and_gradient(implementation, dtype, rng, weighted, targets):
    x = logits_of((130, 7), dtype, rng)
    y = rng.integers(0, 2, x.shape) if targets == "bits" else rng.random(x.shape).astype(dtype)
    weight = rng.uniform(0.1, 2, x.shape) if weighted else None
    pos_weight = rng.uniform(0.1, 2, 7) if weighted else None
    z, t = x.astype(np.longdouble), np.asarray(y).astype(np.longdouble)
    w, p = (weight, t * pos_weight) if weighted else (1, t)
    rest = np.log1p(np.exp(-np.abs(z)))
    want = w * ((1 - t) * (np.maximum(z, 0) + rest) + p * (np.maximum(-z, 0) + rest))
    up, down = w * (1 - t) / (1 + np.exp(-z)), w * p / (1 + np.exp(z))
    options = {"weight": weight, "pos_weight": pos_weight}
    loss, grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, reduction="none", **options)
    assert ulp_error(loss, want) <= ULP
    assert ulp_error(grad, up - down, np.maximum(up, down)) <= ULP
    np.testing.assert_array_equal(
        fs.binary_cross_entropy_with_logits(x, y, reduction="none", **options), loss
    )
    mean, mean_grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, **options)
    assert ulp_error(mean, want.mean()) <= ULP
    np.testing.assert_allclose(mean_grad, grad / x.size, rtol=1e-6, atol=1e-37)


def test_special_values(implementation, dtype):
    x = np.array([np.inf, np.inf, -np.inf, -np.inf, np.nan], dtype)
    loss = fs.binary_cross_entropy_with_logits(x, [1, 0, 0, 1, 1], reduction="none")
    np.testing.assert_array_equal(loss, np.array([0, np.inf, 0, np.inf, np.nan], dtype))
    assert np.isnan(fs.binary_cross_entropy_with_logits(np.zeros((0, 3), dtype), np.zeros((0, 3))))


def test_gradient_against_differences(implementation, rng):
    x, y = rng.standard_normal((4, 3)), rng.random((4, 3))
    options = {"weight": rng.random((4, 1)), "pos_weight": rng.random(3), "reduction": "sum"}
    grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, **options)[1]
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-5
        up, down = (
            fs.binary_cross_entropy_with_logits(x + s * step, y, **options) for s in (1, -1)
        )
        assert grad[at] == pytest.approx((up - down) / 2e-5, rel=DIFFERENCES, abs=1e-9)


def test_in_place(implementation, dtype, rng):
    x = logits_of((5, 3), dtype, rng)
    y = rng.integers(0, 2, x.shape)
    loss, grad = fs.binary_cross_entropy_with_logits_with_grad(x, y)
    got, same = fs.binary_cross_entropy_with_logits_with_grad(x, y, out=x)
    assert same is x
    assert got == loss
    np.testing.assert_array_equal(x, grad)


def test_bad_arguments():
    call = fs.binary_cross_entropy_with_logits
    with pytest.raises(ValueError, match=r"targets must be in \[0, 1\], got 2 at position 1"):
        call([0.0, 0.0], [0, 2])
    with pytest.raises(ValueError, match=r"targets must have shape \(2,\), got \(3,\)"):
        call([0.0, 0.0], [0, 1, 1])
    with pytest.raises(ValueError, match=r"pos_weight must have shape \(2,\), got \(3,\)"):
        call([0.0, 0.0], [0, 1], pos_weight=[1, 1, 1])
    with pytest.raises(ValueError, match="weight must broadcast"):
        call([0.0, 0.0], [0, 1], weight=[1, 1, 1])
    with pytest.raises(ValueError, match="weight must be finite"):
        call([0.0, 0.0], [0, 1], weight=-1.0)
    with pytest.raises(TypeError, match="targets must be real numbers"):
        call([0.0, 0.0], ["a", "b"])


@pytest.mark.parametrize("code", ["?", "b", "B", "h", "H", "i", "I", "q", "Q"])
def test_labels_of_every_integer_dtype(implementation, dtype, rng, code):
    x = logits_of((300, 7), dtype, rng)
    y = rng.integers(0, 2, x.shape).astype(code)
    losses = fs.binary_cross_entropy_with_logits(x, y, reduction="none")
    want = fs.binary_cross_entropy_with_logits(x, y.astype(dtype), reduction="none")
    np.testing.assert_array_equal(losses, want)
    if code != "?":
        for bad in (2, 127) if np.iinfo(code).min == 0 else (2, -1):
            y[250, 3] = bad
            with pytest.raises(ValueError, match=r"targets must be .*0, 1.*"):
                fs.binary_cross_entropy_with_logits(x, y)


def test_weights_of_either_width(implementation, dtype, rng):
    x, y = logits_of((300, 7), dtype, rng), rng.random((300, 7)).astype(dtype)
    narrow = rng.random(x.shape).astype(np.float32)
    for options in ({"weight": narrow}, {"weight": narrow[:1]}, {"pos_weight": narrow[0]}):
        wide = {name: array.astype(np.float64) for name, array in options.items()}
        options, wide = ({**one, "reduction": "none"} for one in (options, wide))
        loss, grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, **options)
        want, want_grad = fs.binary_cross_entropy_with_logits_with_grad(x, y, **wide)
        np.testing.assert_array_equal(loss, want)
        np.testing.assert_array_equal(grad, want_grad)


def test_weights_that_bring_back_the_smallest_losses(implementation):
    x = np.array([706.5, 707.0, 708.0, -706.5, -707.0, -708.0])
    y, weight = (x > 0).astype(float), np.full(6, 1e10)
    loss, grad = fs.binary_cross_entropy_with_logits_with_grad(
        x, y, weight=weight, reduction="none"
    )
    want = np.exp(-np.abs(x.astype(np.longdouble))) * weight
    assert ulp_error(loss, want) <= ULP
    assert ulp_error(grad, -np.sign(x) * want) <= ULP
