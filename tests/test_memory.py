"""What `out` may share memory with: nothing but the inputs that it is; and what is read where it lies."""

import itertools
import tracemalloc

import ml_dtypes
import needs
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import fastsoftmax as fs
from fastsoftmax import _dispatch, _memory


def repeats_by_counting(array):
    """Whether two elements have a byte in common, from the address of every one of them."""
    places = np.zeros(array.shape, np.int64)
    for indices, stride in zip(np.indices(array.shape), array.strides, strict=True):
        places += indices * stride
    places = np.sort(places.ravel())
    return bool((np.diff(places) < array.itemsize).any())


def test_repetition_is_found_exactly(rng):
    memory = np.zeros(4000, np.float32)[2000:]
    for _ in range(3000):
        ndim = rng.integers(1, 5)
        shape = rng.integers(1, 6, ndim)
        strides = 4 * rng.integers(-20, 21, ndim)
        view = as_strided(memory, shape, strides)
        assert _memory.repeats(view) == repeats_by_counting(view), (shape, strides)


def test_dense_views_do_not_repeat():
    x = np.zeros((5, 6, 7))
    for view in (
        x,
        x.T,
        x[::2, ::-1, 1:5],
        x.transpose(1, 2, 0)[::-1],
        x[:, :, 0],
        x[2:2],
        x.diagonal(),
    ):
        assert not _memory.repeats(view)


def functions_with_out():
    """Return, by name, calls that write a result of float64 x's shape to out, with x of shape (6, 4)."""
    t = np.array([0, 1, 2, 3, 0, 1])
    return {
        "softmax": lambda x, out: fs.softmax(x, out=out),
        "log_softmax": lambda x, out: fs.log_softmax(x, out=out),
        "softmax_backward": lambda x, out: fs.softmax_backward(np.ones((6, 4)), x, out=out),
        "log_softmax_backward": lambda x, out: fs.log_softmax_backward(np.ones((6, 4)), x, out=out),
        "cross_entropy_with_grad": lambda x, out: fs.cross_entropy_with_grad(x, t, out=out),
        "sigmoid": lambda x, out: fs.sigmoid(x, out=out),
        "binary": lambda x, out: fs.binary_cross_entropy_with_logits_with_grad(
            x, np.zeros((6, 4)), out=out
        ),
    }


each_with_out = pytest.mark.parametrize("name", functions_with_out())


@each_with_out
def test_out_that_repeats_is_refused(implementation, name):
    call, x = functions_with_out()[name], np.ones((6, 4))
    memory = np.zeros(100)
    for strides in ((8, 8), (0, 8), (16, 8), (8, 0), (24, 8), (-8, 8), (8, 24)):
        memory[:] = 7
        with pytest.raises(ValueError, match="out must have elements that share no memory"):
            call(x, as_strided(memory[40:], (6, 4), strides))
        assert (memory == 7).all()


def test_out_of_logsumexp_that_repeats_is_refused(implementation):
    with pytest.raises(ValueError, match="out must have elements that share no memory"):
        fs.logsumexp(np.zeros((6, 4)), out=as_strided(np.zeros(6), (6,), (0,)))
    with pytest.raises(ValueError, match="out must have elements that share no memory"):
        fs.logsumexp(np.zeros((6, 5, 4)), out=as_strided(np.zeros(40), (6, 5), (8, 8)))


@each_with_out
def test_out_of_another_class_is_refused(implementation, name):
    call, x = functions_with_out()[name], np.ones((6, 4))
    for out in (
        np.ma.masked_array(np.zeros((6, 4))),
        np.zeros((6, 4)).view(np.matrix),
        [[0.0] * 4] * 6,
        memoryview(np.zeros((6, 4))),
    ):
        with pytest.raises(TypeError, match=r"out must be a numpy\.ndarray, got"):
            call(x, out)
    with pytest.raises(TypeError, match="out must have dtype float64, got dtype >f8"):
        call(x, np.zeros((6, 4), ">f8"))
    with pytest.raises(TypeError, match="out must have dtype float64"):
        call(x, np.zeros((6, 4), object))
    with pytest.raises(ValueError, match="read-only"):
        call(x, np.broadcast_to(np.zeros(4), (6, 4)))


@each_with_out
def test_out_may_be_a_file(implementation, name, tmp_path):
    call, x = functions_with_out()[name], np.linspace(-1, 1, 24).reshape(6, 4)
    want = call(x, np.empty((6, 4)))
    out = np.memmap(tmp_path / "out", np.float64, "w+", shape=(6, 4))
    mapped = np.memmap(tmp_path / "in", np.float64, "w+", shape=(6, 4))
    mapped[...] = x
    for given in (x, mapped):
        got = call(given, out)
        for a, b in zip(np.atleast_1d(got[0]), np.atleast_1d(want[0]), strict=True):
            np.testing.assert_array_equal(a, b)
        out[...] = 0


@each_with_out
def test_out_over_a_part_of_the_input(implementation, name):
    call, memory = functions_with_out()[name], np.zeros(100)
    x = memory[:24].reshape(6, 4)
    for out in (memory[1:25].reshape(6, 4), x[::-1], memory[:48].reshape(6, 8)[:, ::2]):
        with pytest.raises(ValueError, match="itself or share no memory"):
            call(x, out)
    call(x, memory[24:48].reshape(6, 4))
    call(memory[:48:2].reshape(6, 4), memory[1:48:2].reshape(6, 4))
    call(x, x)
    call(x, memory[:24].reshape(6, 4))


def test_out_over_the_other_arguments(implementation):
    memory = np.zeros(60)
    out, x = memory[:24].reshape(6, 4), np.ones((6, 4))
    mask = memory.view(np.bool_)[:24].reshape(6, 4)
    t = np.zeros(6, int)
    with_grad = fs.cross_entropy_with_grad
    for call in (
        lambda: fs.softmax(x, where=mask, out=out),
        lambda: fs.log_softmax(x, where=mask[:1], out=out),
        lambda: fs.logsumexp(x, where=mask, out=memory[:6]),
        lambda: fs.logsumexp(memory[:24].reshape(6, 4), out=memory[:6]),
        lambda: with_grad(x, memory.view(np.int64)[:6], out=out),
        lambda: with_grad(x, memory.view(np.int32)[:6], out=out),
        lambda: with_grad(x, memory.view(np.int16)[:6], out=out),
        lambda: with_grad(x, memory[20:44].reshape(6, 4), out=out),
        lambda: with_grad(x, t, weight=memory[:4], out=out),
        lambda: with_grad(x, t, weight=memory.view(np.float32)[:4], out=out),
        lambda: with_grad(x, t, sample_weight=memory[18:24], out=out),
        lambda: fs.softmax_backward(memory[1:25].reshape(6, 4), x, out=out),
        lambda: fs.log_softmax_backward(x, memory[1:25].reshape(6, 4), out=out),
        lambda: fs.binary_cross_entropy_with_logits_with_grad(
            x, memory[1:25].reshape(6, 4), out=out
        ),
        lambda: fs.binary_cross_entropy_with_logits_with_grad(x, x, weight=out, out=out),
        lambda: fs.binary_cross_entropy_with_logits_with_grad(x, x, weight=memory[:4], out=out),
        lambda: fs.binary_cross_entropy_with_logits_with_grad(x, x, pos_weight=memory[:4], out=out),
    ):
        with pytest.raises(ValueError, match="share no memory"):
            call()
        assert not memory.any()


# ---- read where it lies ----


def views(shape, dtype, rng):
    """Return views with gaps of every kind, by name, that hold random numbers and share no memory."""

    def numbers(*sizes):
        return (3 * rng.standard_normal(sizes)).astype(dtype)

    found = {}
    for d, size in enumerate(shape):
        double = [2 * n if i == d else n for i, n in enumerate(shape)]
        lead = (slice(None),) * d
        found[f"every second of {d}"] = numbers(*double)[(*lead, slice(None, None, 2))]
        found[f"part of {d}"] = numbers(*double)[(*lead, slice(1, 1 + size))]
        found[f"{d} reversed"] = numbers(*shape)[(*lead, slice(None, None, -1))]
        once = [1 if i == d else n for i, n in enumerate(shape)]
        found[f"{d} repeated"] = np.broadcast_to(numbers(*once), shape)
    for order in itertools.permutations(range(len(shape))):
        padded = numbers(*(shape[d] + 2 for d in order))
        inside = padded[tuple(slice(1, 1 + shape[d]) for d in order)]
        found[f"part of {order}"] = inside.transpose(np.argsort(order))
    return found


def dense(view):
    """Return a copy without gaps, its dimensions in memory in the order of the view's, as NumPy's functions copy."""
    return np.positive(view) if view.dtype != ml_dtypes.bfloat16 else dense_bfloat16(view)


def dense_bfloat16(view):
    return np.positive(view.view(np.int16)).view(view.dtype)


def writable(shape, dtype, rng):
    """Return the views that can be written to."""
    return {name: view for name, view in views(shape, dtype, rng).items() if "repeated" not in name}


LAYOUTS = [
    (9, 5),
    (70, 3),
    (3, 200),
    (2, 8300),
    (4, 3, 6),
    (3, 170, 2),
    (2, 3, 40),
    (2, 3, 2, 5),
    (6,),
]
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", LAYOUTS, ids=str)
def test_gaps_do_not_change_a_bit(implementation, dtype, shape, rng):
    if implementation == "numpy" and max(shape) > 1000:
        shape = (2, 900)
    mask = rng.random((2 * shape[0], *shape[1:])) < 0.8
    for name, x in views(shape, dtype, rng).items():
        same = dense(x)
        axis = int(rng.integers(len(shape)))
        where = mask[::2]
        outs = writable(shape, dtype, rng)
        out = outs[rng.choice(list(outs))]
        for operation in (fs.softmax, fs.log_softmax):
            want = operation(same, axis)
            np.testing.assert_array_equal(operation(x, axis), want, name)
            assert operation(x, axis, out=out) is out
            np.testing.assert_array_equal(out, want, name)
            masked = operation(same, axis, where=np.ascontiguousarray(where))
            np.testing.assert_array_equal(operation(x, axis, where=where), masked, name)
            if x.flags.writeable:
                in_place = x.copy()
                x[...] = same
                operation(x, axis, out=x)
                np.testing.assert_array_equal(x, want, name)
                x[...] = in_place
        np.testing.assert_array_equal(fs.logsumexp(x, axis), fs.logsumexp(same, axis), name)
        grads = views(shape, dtype, rng)
        grad = grads[rng.choice(list(grads))]
        for operation in (fs.softmax_backward, fs.log_softmax_backward):
            want = operation(dense(grad), same, axis)
            np.testing.assert_array_equal(operation(grad, x, axis, out=out), want, name)
        np.testing.assert_array_equal(fs.sigmoid(x, out=out), fs.sigmoid(same), name)
        for got, want in (
            (
                fs.entropy_with_logits_with_grad(x, axis),
                fs.entropy_with_logits_with_grad(same, axis),
            ),
            (
                fs.kl_div_with_logits_with_grad(x, grad, axis),
                fs.kl_div_with_logits_with_grad(same, dense(grad), axis),
            ),
            (fs.top_k_softmax(x, 1, axis), fs.top_k_softmax(same, 1, axis)),
            (fs.top_k_softmax(x, shape[axis], axis), fs.top_k_softmax(same, shape[axis], axis)),
        ):
            for one, other in zip(got, want, strict=True):
                np.testing.assert_array_equal(one, other, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", LAYOUTS, ids=str)
def test_gaps_do_not_change_a_bit_of_a_loss(implementation, dtype, shape, rng):
    if implementation == "numpy" and max(shape) > 1000:
        shape = (2, 900)
    for name, x in views(shape, dtype, rng).items():
        same, axis = dense(x), int(rng.integers(len(shape)))
        n_classes = shape[axis]
        index = rng.integers(0, n_classes, np.delete(shape, axis))
        probabilities = fs.softmax(views(shape, dtype, rng)["part of 0"], axis)
        options = [
            {},
            {"softcap": 3.0},
            {"label_smoothing": 0.1, "z_loss": 1e-3},
            {"weight": rng.uniform(0.5, 2, n_classes), "temperature": 1.7, "reduction": "none"},
            {"sample_weight": rng.uniform(0.5, 2, index.shape)},
            {"sample_weight": np.full(index.shape, 1e306), "z_loss": 1e-300, "reduction": "none"},
            {"weight": np.full(n_classes, 1e300)},
        ][rng.integers(7)]
        outs = writable(shape, dtype, rng)
        out = outs[rng.choice(list(outs))]
        for t in (index, np.repeat(probabilities, 2, axis=0)[::2]):
            loss, grad = fs.cross_entropy_with_grad(same, np.array(t), axis=axis, **options)
            got, got_grad = fs.cross_entropy_with_grad(x, t, axis=axis, out=out, **options)
            np.testing.assert_array_equal(got, loss, name)
            np.testing.assert_array_equal(got_grad, grad, name)
            np.testing.assert_array_equal(fs.cross_entropy(x, t, axis=axis, **options), loss, name)
        labels = (rng.random((2 * shape[0], *shape[1:])) < 0.5).astype(dtype)[::2]
        loss, grad = fs.binary_cross_entropy_with_logits_with_grad(same, np.array(labels))
        got, got_grad = fs.binary_cross_entropy_with_logits_with_grad(x, labels, out=out)
        assert got == loss
        np.testing.assert_array_equal(got_grad, grad, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(3, 20_000), (5, 1, 9000), (3000, 20), (400, 300), (40, 50, 30)], ids=str
)
def test_gaps_do_not_change_a_bit_among_threads(implementation, dtype, shape, rng):
    if implementation == "numpy":
        shape = shape[:-1] + (shape[-1] // 10,)
    for x in views(shape, dtype, rng).values():
        same = dense(x)
        for operation in (fs.softmax, fs.log_softmax, fs.logsumexp):
            want = operation(same, n_threads=1)
            np.testing.assert_array_equal(operation(x, n_threads=2), want)
        t = rng.integers(0, shape[-1], shape[:-1])
        want = fs.cross_entropy_with_grad(same, t, n_threads=1)
        got = fs.cross_entropy_with_grad(x, t, n_threads=2)
        assert got[0] == want[0]
        np.testing.assert_array_equal(got[1], want[1])


def large_views(dtype):
    """Return views of about 16 MB, by name, with the axes along which they are read where they lie."""
    memory = np.zeros(1 << 23, dtype)
    rows, few, cube = (
        memory.reshape(8192, 1024),
        memory.reshape(-1, 64),
        memory.reshape(64, 128, 1024),
    )
    return {
        "every second row": (rows[::2], [-1, 0]),
        "part of the classes": (rows[:, :512], [-1, 0]),
        "rows reversed": (rows[4096:][::-1], [-1, 0]),
        "one row, repeated": (np.broadcast_to(rows[0], (4096, 1024)), [-1]),
        "few classes of a table": (few[:, 3:43], [-1, 0]),
        "every second row of few": (few[::2], [-1, 0]),
        "all but the last of each group": (cube[:, :-1], [-1]),
        "part of an image": (cube[:, :64], [1]),
        "every second channel": (cube[:, ::2], [1]),
        "Fortran slice": (rows.T[:, ::2], [0, 1]),
    }


def peak_of(call):
    """Return how many bytes a call allocates at most, of what is traced: NumPy's arrays."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@needs.compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", large_views(np.float16))
def test_no_copy_is_made(dtype, name):
    assert _dispatch.selection().name == "cython"  # the other back ends copy
    x, axes = large_views(dtype)[name]
    out = large_views(dtype)[name][0]
    if not out.flags.writeable:
        out = np.zeros(x.shape, dtype)
    for axis in axes:
        n_rows = x.size // x.shape[axis]
        targets = np.zeros(np.delete(x.shape, axis), np.int64)
        allowed = 100_000 + 20 * n_rows  # losses, and targets in the order of the rows
        assert 2 * allowed < x.nbytes
        for call in (
            lambda axis=axis: fs.softmax(x, axis, out=out),
            lambda axis=axis: fs.log_softmax(x, axis, out=out, temperature=2.0),
            lambda axis=axis: fs.logsumexp(x, axis),
            lambda axis=axis: fs.softmax_backward(x, x, axis, out=out),
            lambda axis=axis, t=targets: fs.cross_entropy(x, t, axis=axis),
            lambda axis=axis, t=targets: fs.cross_entropy_with_grad(x, t, axis=axis, out=out),
            lambda axis=axis: fs.cross_entropy(x, x, axis=axis),
            lambda: fs.sigmoid(x, out=out),
        ):
            # what other tests have left running in threads allocates too, now and then
            assert any(peak_of(call) <= allowed for _ in range(3))
