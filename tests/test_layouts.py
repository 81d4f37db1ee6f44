"""Any memory order, strides, dtype and container in; the same order and dtype out; bits that do not depend on it."""

import array

import numpy as np
import pytest
from oracle import ulp_error
from tolerances import ULP

import fastsoftmax as fs


@pytest.mark.parametrize("axis", [-1, 0, 1, 2, (0, 1), (0, 2), (2, 1), None])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_axis(implementation, dtype, rng, axis, order):
    x = np.asarray(rng.standard_normal((5, 6, 7)) * 3, dtype, order=order)
    axes = tuple(range(3)) if axis is None else axis
    z = x.astype(np.longdouble)
    total = np.exp(z).sum(axes, keepdims=True)
    got = fs.softmax(x, axis)
    assert ulp_error(got, np.exp(z) / total) <= ULP
    assert got.flags.f_contiguous == (order == "F") or isinstance(axes, tuple)
    lse = fs.logsumexp(x, axis, keepdims=True)
    assert lse.shape == total.shape
    np.testing.assert_allclose(lse, np.log(total).astype(dtype), rtol=1e-6)
    np.testing.assert_array_equal(np.squeeze(lse, axes), fs.logsumexp(x, axis))


def strided(x):
    """Return arrays with the values of x in every way that memory can hold them."""
    gap = np.zeros((x.shape[0], 2 * x.shape[1]), x.dtype)
    gap[:, ::2] = x
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    shifted[...] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    return {
        "gaps": gap[:, ::2],
        "slice": np.concatenate([x, x], axis=1)[:, : x.shape[1]],
        "negative": x[::-1, ::-1].copy()[::-1, ::-1],
        "misaligned": shifted,
        "byte-swapped": x.astype(x.dtype.newbyteorder()),
        "read-only": read_only,
        "transposed": x.T.copy().T,
        "memoryview": memoryview(np.ascontiguousarray(x)),
    }


@pytest.mark.parametrize("shape", [(5, 7), (3, 200), (1, 1)])
def test_strides_and_containers(implementation, dtype, rng, shape):
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    targets = rng.integers(0, shape[1], shape[0])
    want, (loss, grad) = fs.softmax(x), fs.cross_entropy_with_grad(x, targets)
    for name, same in strided(x).items():
        before = np.array(same)
        got = fs.softmax(same)
        np.testing.assert_allclose(got, want, rtol=1e-6, err_msg=name)
        assert got.dtype == dtype
        got_loss, got_grad = fs.cross_entropy_with_grad(same, targets)
        assert got_loss == pytest.approx(loss, rel=1e-6)
        np.testing.assert_allclose(got_grad, grad, rtol=1e-5, atol=1e-7, err_msg=name)
        np.testing.assert_array_equal(before, np.array(same))


@pytest.mark.parametrize("shape", [(5, 7), (3, 200), (2, 9000)])
def test_out(implementation, dtype, rng, shape):
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    targets = rng.integers(0, shape[1], shape[0])
    for operation in (fs.softmax, fs.log_softmax):
        want = operation(x)
        for out in strided(np.full(shape, 7, dtype)).values():
            if not isinstance(out, np.ndarray) or not out.flags.writeable or not out.dtype.isnative:
                continue
            assert operation(x, out=out) is out
            np.testing.assert_array_equal(out, want)
        in_place = x.copy()
        operation(in_place, out=in_place)
        np.testing.assert_array_equal(in_place, want)
        strided_in_place = np.repeat(x, 2, axis=1)[:, ::2]
        operation(strided_in_place, out=strided_in_place)
        np.testing.assert_array_equal(strided_in_place, want)
    loss, grad = fs.cross_entropy_with_grad(x, targets)
    in_place = x.copy()
    got, same = fs.cross_entropy_with_grad(in_place, targets, out=in_place)
    assert same is in_place
    assert got == loss
    np.testing.assert_array_equal(in_place, grad)


def test_backward_out_may_be_an_input(implementation, dtype, rng):
    probs = fs.softmax(rng.standard_normal((5, 30)).astype(dtype))
    grad = rng.standard_normal((5, 30)).astype(dtype)
    for operation in (fs.softmax_backward, fs.log_softmax_backward):
        want = operation(grad, probs)
        for chosen in (0, 1):
            inputs = [grad.copy(), probs.copy()]
            operation(*inputs, out=inputs[chosen])
            np.testing.assert_array_equal(inputs[chosen], want)


def test_results_keep_the_memory_order(implementation, dtype):
    image = np.zeros((2, 3, 4, 5), dtype)
    for x in (
        image,
        np.asfortranarray(image),
        image.transpose(0, 2, 3, 1),
        image.transpose(3, 1, 0, 2),
    ):
        for axis in range(4):
            got = fs.softmax(x, axis)
            assert got.strides == np.empty_like(x).strides
            assert (
                fs.cross_entropy_with_grad(x, np.zeros(np.delete(x.shape, axis), int), axis=axis)[
                    1
                ].strides
                == np.empty_like(x).strides
            )


def test_image_batch(implementation, dtype, rng):
    x = rng.standard_normal((2, 5, 3, 4)).astype(dtype)
    targets = rng.integers(0, 5, (2, 3, 4))
    weight = rng.uniform(0.5, 2, (2, 3, 4))
    rows = np.moveaxis(x, 1, -1).reshape(-1, 5)
    loss, grad = fs.cross_entropy_with_grad(x, targets, axis=1, sample_weight=weight)
    want, want_grad = fs.cross_entropy_with_grad(
        rows, targets.ravel(), sample_weight=weight.ravel()
    )
    assert loss == pytest.approx(want, rel=1e-6)
    np.testing.assert_allclose(
        np.moveaxis(grad, 1, -1).reshape(-1, 5), want_grad, rtol=1e-5, atol=1e-8
    )
    none = fs.cross_entropy(x, targets, axis=1, reduction="none")
    assert none.shape == (2, 3, 4)
    assert none.dtype == dtype
    for order in ("F", "C"):
        again = fs.cross_entropy(
            np.asarray(x, order=order), np.asarray(targets, order=order), axis=1
        )
        assert again == pytest.approx(fs.cross_entropy(x, targets, axis=1), rel=1e-6)


def test_dtypes(implementation, dtype):
    for x in (
        [[1, 2]],
        [[True, False]],
        np.array([[1, 2]], np.int8),
        np.array([[1, 2]], np.uint64),
    ):
        assert fs.softmax(x).dtype == np.float64
    x = np.zeros((2, 3), dtype)
    assert type(fs.cross_entropy(x, [0, 1])) is dtype
    assert type(fs.cross_entropy(x, [0, 1], reduction="sum", n_threads=1)) is dtype
    assert type(fs.logsumexp(x[0])) is dtype


def test_int8_logits_do_not_wrap(implementation):
    x = np.array([[-128, 127]], np.int8)
    np.testing.assert_array_equal(fs.softmax(x), fs.softmax(x.astype(float)))


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
)
def test_index_dtypes(implementation, rng, dtype):
    x = rng.standard_normal((20, 7)).astype(np.float32)
    targets = rng.integers(0, 7, 20)
    want = fs.cross_entropy(x, targets)
    assert fs.cross_entropy(x, targets.astype(dtype)) == want
    assert fs.cross_entropy(x, targets.astype(dtype).astype(np.dtype(dtype).newbyteorder())) == want
    assert fs.cross_entropy(x, np.repeat(targets.astype(dtype), 2)[::2]) == want
    assert fs.cross_entropy(x, list(map(int, targets))) == want


class OnlyDlpack:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, x):
        self._x = x

    def __dlpack__(self, **options):
        return self._x.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._x.__dlpack_device__()


def test_dlpack_and_buffers(implementation):
    x = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(fs.softmax(OnlyDlpack(x)), fs.softmax(x))
    np.testing.assert_array_equal(fs.softmax(array.array("d", [1.0, 2.0])), fs.softmax(x)[0])


def test_a_row_does_not_depend_on_the_others(implementation, dtype, rng):
    for n_classes in (3, 40, 300):
        x = (rng.standard_normal((50, n_classes)) * 3).astype(dtype)
        whole = fs.softmax(x)
        for row in (0, 17, 49):
            np.testing.assert_array_equal(fs.softmax(x[row : row + 1])[0], whole[row])


def test_the_fast_path_gives_the_same_bits(implementation, dtype, rng):
    small = ((1, 10), (7, 3), (8, 40), (9, 700), (128, 10), (129, 3), (300, 17), (1500, 20))
    for shape in (*small, (4000, 10), (40, 1000), (2, 20_000)):
        x = (rng.standard_normal(shape) * 3).astype(dtype)
        targets = rng.integers(0, shape[1], shape[0])
        np.testing.assert_array_equal(fs.softmax(x), fs.softmax(x, n_threads=1))
        np.testing.assert_array_equal(fs.log_softmax(x), fs.log_softmax(x, n_threads=1))
        assert fs.cross_entropy(x, targets) == fs.cross_entropy(x, targets, n_threads=1)
        loss, grad = fs.cross_entropy_with_grad(x, targets)
        same, same_grad = fs.cross_entropy_with_grad(x, targets, n_threads=1)
        assert loss == same
        np.testing.assert_array_equal(grad, same_grad)
