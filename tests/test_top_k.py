"""The largest probabilities: the bits of softmax, ties, NaN, every axis and layout."""

import ml_dtypes
import numpy as np
import pytest

import fastsoftmax as fs

INF, NAN = np.inf, np.nan
DTYPES = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
SHAPES = (((5, 1), 1), ((40, 2), 1), ((65, 10), 1), ((9, 17), 1), ((7, 160), 1), ((7, 161), 1), ((5, 1000), 1),
          ((3, 8191), 1), ((3, 8193), 1), ((2, 20_000), 1), ((10, 9), 0), ((300, 33), 0), ((4097, 5), 0),
          ((20_000, 3), 0), ((3, 20, 7), 1), ((2, 3, 40, 5), 1), ((2, 3, 40, 5), 0))  # fmt: skip


@pytest.fixture(params=DTYPES, ids=["float16", "bfloat16", "float32", "float64"])
def any_dtype(request):
    return request.param


def assert_top(x, k, axis):
    """Values have the bits of softmax; indices follow a stable order of falling logits, NaN first."""
    z = np.moveaxis(x, axis, -1).astype(np.float64)
    order = np.lexsort((-z, ~np.isnan(z)), axis=-1)[..., :k]
    want = np.moveaxis(order, -1, axis)
    values, indices = fs.top_k_softmax(x, k, axis)
    np.testing.assert_array_equal(indices, want)
    assert indices.dtype == np.int64
    assert values.dtype == x.dtype
    probs = np.take_along_axis(fs.softmax(x, axis), want, axis)
    bits = np.dtype(f"u{x.itemsize}")
    nan = np.isnan(probs.astype(np.float64))
    np.testing.assert_array_equal(np.isnan(values.astype(np.float64)), nan)
    same = np.ascontiguousarray(values).view(bits) == np.ascontiguousarray(probs).view(bits)
    assert (same | nan).all()


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_values_have_the_bits_of_softmax(implementation, any_dtype, rng, shape, axis):
    for k, scale in ((1, 3), (5, 40), (70, 3), (shape[axis], 10)):
        x = (rng.standard_normal(shape) * scale).astype(any_dtype)
        assert_top(x, min(k, shape[axis]), axis)


@pytest.mark.parametrize("n_classes", [3, 40, 161, 9000])
@pytest.mark.parametrize("axis", [0, 1])
def test_ties_and_special_values(implementation, any_dtype, rng, n_classes, axis):
    x = rng.integers(-2, 3, (12, n_classes)).astype(np.float64)
    x[1] = 1
    x[2, ::2] = -INF
    x[3, n_classes // 2] = NAN
    x[4, rng.random(n_classes) < 0.5] = NAN
    x[5] = NAN
    x[6, 1:] = INF
    x[7] = -INF
    x[8] = np.arange(n_classes) / 8
    x[9] = -np.arange(n_classes) / 8
    x[10] = np.where(np.arange(n_classes) % 2, 0.0, -0.0)
    x[11, -1] = NAN
    x = np.ascontiguousarray(x if axis else x.T).astype(any_dtype)
    for k in {1, 3, min(20, n_classes), n_classes}:
        assert_top(x, k, axis)


def test_layouts(implementation, dtype, rng):
    x = (rng.standard_normal((6, 7, 8)) * 3).astype(dtype)
    for same in (
        np.asfortranarray(x),
        np.repeat(x, 2, axis=2)[:, :, ::2],
        x[::-1].copy()[::-1],
        x[:, ::-1],
    ):
        for axis in range(3):
            assert_top(same, 3, axis)
            assert fs.top_k_softmax(same, 3, axis)[0].shape == tuple(
                3 if d == axis else n for d, n in enumerate(same.shape)
            )


def test_edges(implementation, dtype):
    values, indices = fs.top_k_softmax(np.zeros((0, 5), dtype), 2)
    assert values.shape == indices.shape == (0, 2)
    assert fs.top_k_softmax(np.zeros(3, dtype), 2)[1].tolist() == [0, 1]
    with pytest.raises(ValueError, match="k must be at most the number of classes, 5, got 6"):
        fs.top_k_softmax(np.zeros((2, 5), dtype), 6)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        fs.top_k_softmax(np.zeros((2, 5), dtype), 0)
    with pytest.raises(ValueError, match="at least one class"):
        fs.top_k_softmax(np.zeros((2, 0), dtype), 1)


@pytest.mark.parametrize("shape", [(20_000, 10), (700, 300), (10, 30_000), (50, 3000)])
@pytest.mark.parametrize("axis", [0, 1])
def test_bits_do_not_depend_on_threads(implementation, dtype, rng, shape, axis):
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    want = fs.top_k_softmax(x, 5, axis, n_threads=1)
    for n_threads in (2, 3):
        for one, same in zip(fs.top_k_softmax(x, 5, axis, n_threads=n_threads), want, strict=True):
            np.testing.assert_array_equal(one, same)
