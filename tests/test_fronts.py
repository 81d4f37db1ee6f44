"""The compiled fronts pass for the functions that they stand before, and every way in gives the same result."""

import copy
import doctest
import inspect
import pickle

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax import _compiled

if not _compiled.IS_COMPILED:
    pytest.skip(
        "fastsoftmax is not compiled: there is no compiled fast path", allow_module_level=True
    )

from fastsoftmax._backends import cython_impl
from fastsoftmax._compiled import fronts

FRONTED = [fs.softmax, fs.log_softmax, fs.cross_entropy, fs.cross_entropy_with_grad]
each = pytest.mark.parametrize("function", FRONTED, ids=lambda function: function.__name__)


@each
def test_a_front_has_the_signature_of_its_function(function):
    def parameters(of):
        signature = inspect.signature(of, follow_wrapped=False)
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert parameters(function) == parameters(function.__wrapped__)
    assert inspect.signature(function) == inspect.signature(function.__wrapped__)


@each
def test_a_front_passes_for_its_function(function):
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
    fronts.fronted(behind)
    try:
        assert function(**given) == "behind"
    finally:
        fronts.fronted(before)
    assert seen == given


def test_what_the_door_declines_goes_the_long_way(rng):
    x = rng.standard_normal((6, 4)).astype(np.float32)
    want = fs.softmax(x, n_threads=1)
    wide = np.repeat(x, 2, axis=1)
    for declined in (x.tolist(), np.asfortranarray(x), x.astype(">f4"), wide[:, ::2]):
        assert cython_impl.door.softmax(declined, None) is None
        np.testing.assert_allclose(fs.softmax(declined), want, rtol=1e-6)
    with pytest.raises(TypeError, match="out must be"):
        fs.softmax(x, out=[0.0])
    with pytest.raises(TypeError, match="unexpected keyword"):
        fs.softmax(x, dim=1)


@pytest.mark.parametrize("n_rows", [7, 9000])
def test_out_through_the_door(implementation, rng, n_rows):
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


def test_the_door_declines_what_overlaps_or_cannot_be_written(rng):
    memory = rng.standard_normal(48).astype(np.float32)
    x, shifted = memory[:40].reshape(10, 4), memory[8:].reshape(10, 4)
    assert cython_impl.door.softmax(x, shifted) is None
    read_only = np.empty_like(x)
    read_only.flags.writeable = False
    for out in (
        read_only,
        np.empty((10, 5), np.float32),
        np.empty((10, 4)),
        np.empty((4, 10), np.float32).T,
    ):
        assert cython_impl.door.softmax(x, out) is None
        assert cython_impl.door.cross_entropy_with_grad(x, np.zeros(10, np.int64), out) is None
    with pytest.raises(ValueError, match="out"):
        fs.softmax(x, out=shifted)


def test_the_door_declines_a_gradient_over_its_targets(implementation, rng):
    memory = np.zeros(40, np.int64)
    targets, out = memory[:10], memory.view(np.float64)[:40].reshape(10, 4)
    with pytest.raises(ValueError, match="out must share no memory with targets"):
        fs.cross_entropy_with_grad(rng.standard_normal((10, 4)), targets, out=out)
