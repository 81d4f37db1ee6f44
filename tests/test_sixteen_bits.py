"""float16 and bfloat16: read and written as 16 bits, computed in float32, rounded once."""

import ml_dtypes
import numpy as np
import oracle
import pytest
from oracle import Rows

import fastsoftmax as fs
from fastsoftmax import _dispatch

DTYPES = (np.float16, ml_dtypes.bfloat16)
LAYOUTS = (((5, 10), -1), ((37, 3), -1), ((33, 130), -1), ((4, 1000), -1), ((3, 9001), -1), ((1, 20_000), -1),
           ((5, 7, 4, 6), 1), ((2, 5000, 3), 1), ((40, 20), 0))  # fmt: skip


@pytest.fixture(params=DTYPES, ids=["float16", "bfloat16"])
def narrow(request):
    return request.param


def assert_within_one_unit(got, want, narrow):
    """Each result is within 1 ULP of the exact one in the 16-bit dtype."""
    assert got.dtype == narrow
    info, got = ml_dtypes.finfo(narrow), got.astype(np.float64)
    want = np.asarray(want, np.float64)
    _, exponent = np.frexp(np.maximum(np.abs(want), float(info.smallest_normal)))
    unit = np.ldexp(1.0, exponent - 1 - info.nmant)
    smallest = np.finfo(np.float32).tiny
    error = np.where((np.abs(want) < smallest) & (got == 0), 0, np.abs(got - want) / unit)
    assert float(error.max()) <= 1


def logits_of(shape, narrow, rng):
    return (rng.standard_normal(shape) * 4).astype(narrow)


@pytest.mark.parametrize(("shape", "axis"), LAYOUTS)
def test_softmax_family(implementation, narrow, rng, shape, axis):
    x = logits_of(shape, narrow, rng)
    want = Rows(x.astype(np.float32), axis)
    assert_within_one_unit(fs.softmax(x, axis), want.probs, narrow)
    assert_within_one_unit(fs.log_softmax(x, axis), want.log_probs, narrow)
    assert_within_one_unit(fs.logsumexp(x, axis), want.lse.squeeze(axis), narrow)
    mask = rng.random(shape) < 0.8
    masked = Rows(np.where(mask, x.astype(np.float32), -np.inf), axis)
    probs = np.nan_to_num(masked.probs)  # a row without a true entry
    assert_within_one_unit(fs.softmax(x, axis, where=mask), np.where(mask, probs, 0), narrow)


@pytest.mark.parametrize(("shape", "axis"), LAYOUTS)
@pytest.mark.parametrize("kind", ["index", "weights", "same dtype", "float32"])
def test_cross_entropy(implementation, narrow, rng, shape, axis, kind):
    x = logits_of(shape, narrow, rng)
    n_classes, options = shape[axis], {}
    rows = np.delete(shape, axis)
    targets = rng.integers(0, n_classes, rows)
    if kind == "weights":
        options = {"weight": rng.random(n_classes), "ignore_index": 1}
    elif kind != "index":
        probs = fs.softmax(rng.standard_normal(shape, np.float32), axis)
        targets = probs.astype(narrow) if kind == "same dtype" else probs
    exact = targets if kind in ("index", "weights") else targets.astype(np.float64)
    losses, grad, _ = oracle.cross_entropy(x.astype(np.float32), exact, axis, **options)
    got, got_grad = fs.cross_entropy_with_grad(x, targets, axis=axis, reduction="none", **options)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, losses.astype(np.float64), rtol=1e-6)
    if exact is targets:
        assert_within_one_unit(got_grad, grad, narrow)
    else:
        np.testing.assert_allclose(
            got_grad.astype(np.float64), grad.astype(np.float64), rtol=2**-7, atol=1e-6
        )
    np.testing.assert_array_equal(
        fs.cross_entropy(x, targets, axis=axis, reduction="none", **options), got
    )


@pytest.mark.parametrize("options", [{"softcap": 5.0}, {"z_loss": 0.1}, {"label_smoothing": 0.2}])
def test_options_agree_with_float32(implementation, narrow, rng, options):
    x, targets = logits_of((20, 300), narrow, rng), rng.integers(0, 300, 20)
    loss, grad = fs.cross_entropy_with_grad(x, targets, **options)
    loss32, grad32 = fs.cross_entropy_with_grad(x.astype(np.float32), targets, **options)
    assert loss == pytest.approx(loss32, rel=1e-6)
    assert_within_one_unit(grad, grad32, narrow)


def test_backward_and_binary(implementation, narrow, rng):
    x, labels = logits_of((30, 11), narrow, rng), rng.random((30, 11)).astype(narrow)
    probs = fs.softmax(x)
    want = fs.softmax_backward(labels.astype(np.float32), probs.astype(np.float32))
    assert_within_one_unit(fs.softmax_backward(labels, probs), want, narrow)
    assert_within_one_unit(fs.sigmoid(x), fs.sigmoid(x.astype(np.float32)), narrow)
    loss, grad = fs.binary_cross_entropy_with_logits_with_grad(x, labels)
    wide = [one.astype(np.float32) for one in (x, labels)]
    loss32, grad32 = fs.binary_cross_entropy_with_logits_with_grad(*wide)
    assert loss == pytest.approx(loss32)
    assert_within_one_unit(grad, grad32, narrow)


@pytest.mark.parametrize("wide", [np.float32, np.float64, *DTYPES])
def test_probabilities_beside_logits_of_another_dtype(implementation, narrow, rng, wide):
    x, probs = logits_of((30, 11), wide, rng), rng.random((30, 11)).astype(narrow)
    as_computed = probs.astype(np.float64 if wide == np.float64 else np.float32)
    for operation in (fs.cross_entropy_with_grad, fs.binary_cross_entropy_with_logits_with_grad):
        loss, grad = operation(x, probs)
        want, want_grad = operation(x, as_computed)
        assert loss == want
        assert grad.dtype == wide
        np.testing.assert_array_equal(grad, want_grad)
    assert fs.binary_cross_entropy_with_logits(x, probs) == loss


def test_labels_out_of_range(narrow):
    for bad in (-0.5, 1.5, np.nan):
        with pytest.raises(
            ValueError, match=rf"targets must be in \[0, 1\], got {bad} at position 1"
        ):
            fs.binary_cross_entropy_with_logits(np.zeros(2, np.float32), np.array([0, bad], narrow))


def test_every_float16_is_read_and_written(implementation):
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    x = every[every <= 0]
    x = np.stack([x[np.isfinite(x)], np.zeros(np.isfinite(x).sum(), np.float16)], axis=1)
    assert_within_one_unit(fs.log_softmax(x), Rows(x.astype(np.float32)).log_probs, np.float16)


def test_results_beyond_float16_become_infinite(implementation):
    x = np.array([[-65504, 65504]], np.float16)
    np.testing.assert_array_equal(fs.log_softmax(x), [[-np.inf, 0]])


def test_subnormal_float16_results_are_kept(implementation):
    x = np.array([[0.0, -10.0, -15.0, -16.5, -20.0]] * 3, np.float16)
    want = Rows(x.astype(np.float32)).probs
    assert_within_one_unit(fs.softmax(x), want, np.float16)
    assert 0 < fs.softmax(x)[0, 3] < np.finfo(np.float16).tiny


def test_special_values(implementation, narrow):
    inf, nan = np.inf, np.nan
    x = np.array([[nan, 1], [inf, 1], [-inf, -inf], [-inf, 2], [1, 1]]).astype(narrow)
    with np.errstate(invalid="ignore"):
        got = fs.softmax(x).astype(np.float32)
    np.testing.assert_array_equal(got, [[nan, nan]] * 3 + [[0, 1], [0.5, 0.5]])
    lse = fs.logsumexp(x).astype(np.float32)
    np.testing.assert_array_equal(lse[:4], [nan, inf, -inf, 2])


def test_in_place_and_any_memory_order(implementation, narrow, rng):
    x = logits_of((12, 40), narrow, rng)
    want = fs.softmax(x)
    turned = np.asfortranarray(x)
    assert fs.softmax(turned, out=turned) is turned
    np.testing.assert_array_equal(turned.astype(np.float32), want.astype(np.float32))
    targets = rng.integers(0, 40, 12)
    _, grad = fs.cross_entropy_with_grad(x, targets)
    fs.cross_entropy_with_grad(x, targets, out=x)
    np.testing.assert_array_equal(x.astype(np.float32), grad.astype(np.float32))


def test_a_long_row_is_shared_with_the_bits_of_one_thread(narrow, rng):
    x = logits_of((1, 100_003), narrow, rng)
    for operation in (fs.softmax, fs.log_softmax):
        alone, shared = operation(x, n_threads=1), operation(x, n_threads=2)
        np.testing.assert_array_equal(alone.view(np.uint16), shared.view(np.uint16))


def test_compositions(narrow, rng):
    x, weight = logits_of((6, 8), narrow, rng), logits_of((20, 8), narrow, rng)
    bias, targets = logits_of(20, narrow, rng), rng.integers(0, 20, 6)
    wide = {"linear_bias": bias.astype(np.float32)}
    loss, *grads = fs.linear_cross_entropy_with_grad(x, weight, targets, linear_bias=bias)
    loss32, *grads32 = fs.linear_cross_entropy_with_grad(
        x.astype(np.float32), weight.astype(np.float32), targets, **wide
    )
    assert loss == loss32
    for one, one32 in zip(grads, grads32, strict=True):
        assert_within_one_unit(one, one32, narrow)
    values, indices = fs.top_k_softmax(x, 3)
    np.testing.assert_array_equal(indices, fs.top_k_softmax(x.astype(np.float32), 3)[1])
    assert values.dtype == narrow
    entropy, grad = fs.entropy_with_logits_with_grad(x)
    assert entropy.dtype == np.float32
    assert grad.dtype == narrow


def test_door_and_long_way_give_equal_bits(narrow, rng):
    x, targets = logits_of((16, 10), narrow, rng), rng.integers(0, 10, 16)
    if fs.backend_info()["backend"] != "cython":
        pytest.skip("the fast door belongs to the compiled back end")
    long_way = fs.cross_entropy_with_grad(x, targets, n_threads=1)
    assert _dispatch.implementation().door.softmax(x, None) is not None
    for one, other in zip(fs.cross_entropy_with_grad(x, targets), long_way, strict=True):
        np.testing.assert_array_equal(one, other)


def test_integers_of_16_bits_are_not_floats(rng):
    x = rng.integers(-3, 3, (4, 5), dtype=np.int16)
    np.testing.assert_array_equal(fs.softmax(x), fs.softmax(x.astype(np.float64)))


def test_out_of_another_16_bit_dtype_is_refused():
    with pytest.raises(TypeError, match="out must have dtype float16, got dtype bfloat16"):
        fs.softmax(np.zeros((2, 3), np.float16), out=np.zeros((2, 3), ml_dtypes.bfloat16))
