"""The compiled functions pass for those that they stand before, serve every plain form, and give the same bits."""

import contextlib
import copy
import doctest
import inspect
import pickle
import types

import ml_dtypes
import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax import _compiled
from fastsoftmax._compiled import fast_path

if not _compiled.IS_COMPILED:
    pytest.skip("fastsoftmax is not compiled: there is no fast path", allow_module_level=True)

SERVED = [
    function
    for function in (getattr(fs, name) for name in fs.functional.__all__)
    if not isinstance(function, types.FunctionType)
]
BEHIND = {function.__name__: function.__wrapped__ for function in SERVED}
each = pytest.mark.parametrize("function", SERVED, ids=lambda function: function.__name__)


@each
def test_the_signature_is_that_of_the_function_behind(function):
    def parameters(of):
        signature = inspect.signature(of, follow_wrapped=False)
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    mine = [one for one in parameters(function) if one[0] != "dim"]  # which is there to be refused
    assert mine == parameters(inspect.unwrap(function))
    assert inspect.signature(function) == inspect.signature(function.__wrapped__)


@each
def test_it_passes_for_the_function_behind(function):
    assert function.__doc__ == function.__wrapped__.__doc__
    assert function.__module__ == function.__wrapped__.__module__
    assert pickle.loads(pickle.dumps(function)) is function is copy.deepcopy(function)
    examples = doctest.DocTestFinder(recurse=False).find(function, function.__name__)
    assert examples[0].examples
    assert inspect.getsourcefile(inspect.unwrap(function)).endswith(".py")


@each
def test_every_keyword_reaches_the_function_behind(function):
    signature = inspect.signature(function)
    given = {name: object() for name in signature.parameters}
    seen = {}

    def behind(*args, **kwargs):
        seen.update(signature.bind(*args, **kwargs).arguments)
        return "behind"

    before = function.__wrapped__
    behind.__name__ = function.__name__
    fast_path.with_fast_path(behind)
    try:
        assert function(**given) == "behind"
    finally:
        fast_path.with_fast_path(before)
    assert seen == given


@contextlib.contextmanager
def nothing_behind():
    """Fail where a call goes past the fast path."""

    def stub(name):
        def behind(*args, **kwargs):
            raise AssertionError(f"{name} was not served by the fast path")

        behind.__name__ = name
        return behind

    for function in SERVED:
        fast_path.with_fast_path(stub(function.__name__))
    try:
        yield
    finally:
        for function in SERVED:
            fast_path.with_fast_path(BEHIND[function.__name__])


def assert_same(got, want):
    """Equal values, bits, types and memory order."""
    if isinstance(want, tuple):
        assert type(got) is tuple
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            assert_same(one, other)
        return
    assert type(got) is type(want)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    np.testing.assert_array_equal(
        np.asarray(got).astype(np.float64), np.asarray(want).astype(np.float64)
    )
    if isinstance(want, np.ndarray):
        for size, one, other in zip(want.shape, got.strides, want.strides, strict=True):
            assert size == 1 or one == other


DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


def layouts(x):
    """Arrays with the values of x (4, 5, 6) in layouts that kernels read in place, each with its class axes."""
    gaps = np.zeros((4, 5, 12), x.dtype)
    gaps[..., :6] = x
    yield x, (0, 1, 2)
    yield x.astype(x.dtype, order="F"), (0, 1, 2)
    yield np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1), (0, 1, 2)
    yield gaps[..., :6], (1, 2)
    yield x[::-1], (1, 2)
    yield x[0, 0], (0,)
    yield x[:1], (1, 2)


def calls(function, x, axis, rng):
    """Yield (args, kwargs) for every form of a call that needs no conversion."""
    name, n_classes = function.__name__, x.shape[axis]
    rows = tuple(np.delete(x.shape, axis))
    mask = np.empty_like(x, bool)
    mask[...] = rng.random(x.shape) < 0.8
    if name in ("softmax", "log_softmax"):
        yield (x,), {"axis": axis}
        yield (x, axis - x.ndim), {"temperature": 0.7, "n_threads": 2}
        yield (x, axis), {"where": mask, "temperature": 2}
        yield (x, axis), {"out": np.empty_like(x)}
    elif name == "logsumexp":
        yield (x, axis), {}
        yield (x,), {"axis": axis, "keepdims": True, "where": mask}
    elif name.endswith("backward"):
        probs = fs.softmax(x, axis) if name.startswith("softmax") else fs.log_softmax(x, axis)
        yield (x, probs, axis), {}
        yield (x, probs, axis), {"out": np.empty_like(probs), "n_threads": 1}
    elif name == "sigmoid":
        yield (x,), {}
        yield (x,), {"out": np.empty_like(x)}
    elif name.startswith(("entropy", "kl_div")):
        arrays = (
            (x,) if name.startswith("entropy") else (x, (x * x.dtype.type(0.5)).astype(x.dtype))
        )
        for reduction in ("mean", "sum", "none"):
            yield (*arrays, axis), {"reduction": reduction}
    elif name == "top_k_softmax":
        yield (x, min(2, n_classes), axis), {}
    elif name.startswith("binary"):
        x = np.ascontiguousarray(x)
        wide = np.float64 if x.dtype == np.float64 else np.float32
        labels, weights = rng.random(x.shape).astype(wide), rng.random(x.shape)
        for reduction in ("mean", "sum", "none"):
            yield (x, labels), {"reduction": reduction}
        yield (x, labels > 0.5), {"weight": weights, "pos_weight": rng.random(x.shape[-1])}
        yield (x, (labels > 0.5).astype(np.int64)), {}
    else:
        integers = np.asarray(rng.integers(0, n_classes, rows))
        ignoring = np.where(integers == 0, -7, integers)
        probabilities = fs.softmax(x.astype(np.float32 if x.dtype.itemsize == 2 else x.dtype), axis)
        weight, sample_weight = rng.random(n_classes), np.asarray(rng.random(rows))
        for dtype in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
            yield (x, np.asarray(integers % 100).astype(dtype)), {"axis": axis}
        for reduction in ("mean", "sum", "none"):
            yield (x, integers), {"axis": axis, "reduction": reduction}
            yield (
                (x, ignoring),
                {"axis": axis, "ignore_index": -7, "reduction": reduction, "weight": weight},
            )
        yield (x, integers), {"axis": axis, "sample_weight": sample_weight, "label_smoothing": 0.1}
        yield (x, integers), {"axis": axis, "label_smoothing": 0.2, "weight": weight}
        yield (x, integers), {"axis": axis, "z_loss": 0.01, "temperature": 3, "n_threads": 1}
        yield (x, integers), {"axis": axis, "softcap": 5.0}
        yield (x, probabilities), {"axis": axis, "label_smoothing": 0.1, "weight": weight}
        yield (
            (x, probabilities),
            {"axis": axis, "sample_weight": sample_weight, "reduction": "sum"},
        )
        if function is fs.cross_entropy_with_grad:
            yield (x, integers), {"axis": axis, "out": np.empty_like(x)}


@pytest.mark.skipif(fs.backend_info()["backend"] != "cython", reason="needs compiled kernels")
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@each
def test_every_plain_form_is_served_with_the_bits_of_the_general_path(function, dtype, rng):
    values = (3 * rng.standard_normal((4, 5, 6))).astype(dtype)
    for x, axes in layouts(values):
        for axis in axes:
            for args, kwargs in calls(function, x, axis, rng):
                want = copy.deepcopy(function.__wrapped__(*args, **kwargs))
                with nothing_behind():
                    got = function(*args, **kwargs)
                assert_same(got, want)


@each
def test_results_of_large_calls_are_those_of_the_general_path(function, rng):
    x = rng.standard_normal((300, 40, 7)).astype(np.float32)
    for axis in range(3):
        for args, kwargs in calls(function, x, axis, rng):
            assert_same(function(*args, **kwargs), function.__wrapped__(*args, **kwargs))


def test_what_is_not_plain_goes_the_general_path(rng):
    x = rng.standard_normal((6, 4)).astype(np.float32)
    want = fs.softmax(x)
    wide = np.repeat(x, 2, axis=1)
    for unusual in (x.tolist(), x.astype(">f4"), wide[:, ::2]):
        np.testing.assert_allclose(fs.softmax(unusual), want, rtol=1e-6)
    with pytest.raises(TypeError, match="out must be"):
        fs.softmax(x, out=[0.0])
    with pytest.raises(TypeError, match="unexpected keyword"):
        fs.softmax(x, dim=1)


@pytest.mark.parametrize("n_rows", [7, 9000])
def test_out_is_filled_and_returned(implementation, rng, n_rows):
    x = rng.standard_normal((n_rows, 11)).astype(np.float32)
    targets = rng.integers(0, 11, n_rows)
    want, (loss, grad) = fs.softmax(x), fs.cross_entropy_with_grad(x, targets)
    out = np.full_like(x, np.nan)
    assert fs.softmax(x, out=out) is out
    np.testing.assert_array_equal(out, want)
    assert fs.cross_entropy_with_grad(x, targets, out=out)[1] is out
    np.testing.assert_array_equal(out, grad)
    in_place = x.copy()
    assert fs.softmax(in_place, out=in_place) is in_place
    np.testing.assert_array_equal(in_place, want)
    in_place = x.copy()
    assert fs.cross_entropy_with_grad(in_place, targets, out=in_place)[0] == loss
    np.testing.assert_array_equal(in_place, grad)


def test_out_that_overlaps_or_cannot_be_written_is_refused(rng):
    memory = rng.standard_normal(48).astype(np.float32)
    x, shifted = memory[:40].reshape(10, 4), memory[8:].reshape(10, 4)
    before = memory.copy()
    read_only = np.empty_like(x)
    read_only.flags.writeable = False
    repeated = np.lib.stride_tricks.as_strided(np.empty(4, np.float32), (10, 4), (0, 4))
    for out in (read_only, shifted, np.empty((10, 5), np.float32), np.empty((10, 4)), repeated):
        for function in (fs.softmax, fs.log_softmax, fs.sigmoid):
            with pytest.raises((TypeError, ValueError), match="out"):
                function(x, out=out)
        with pytest.raises((TypeError, ValueError), match="out"):
            fs.cross_entropy_with_grad(x, np.zeros(10, np.int64), out=out)
    np.testing.assert_array_equal(memory, before)


def test_a_gradient_over_its_targets_is_refused(implementation, rng):
    memory = np.zeros(40, np.int64)
    targets, out = memory[:10], memory.view(np.float64)[:40].reshape(10, 4)
    with pytest.raises(ValueError, match="out must share no memory with targets"):
        fs.cross_entropy_with_grad(rng.standard_normal((10, 4)), targets, out=out)
