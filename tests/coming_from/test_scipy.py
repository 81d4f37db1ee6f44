"""Both sides of the tables in docs/coming_from.md: SciPy."""

import inspect
import warnings

import numpy as np
import pytest
from agreement import same

import fastsoftmax as fs


@pytest.fixture
def special():
    return pytest.importorskip("scipy.special")


def test_default_axis(special, x):
    assert special.softmax(x).sum() == pytest.approx(1)
    same(fs.softmax(x).sum(axis=-1), np.ones(6))
    same(fs.softmax(x, axis=None), special.softmax(x))
    same(fs.logsumexp(x, axis=None), special.logsumexp(x))


def test_int8(special):
    pair = np.int8([100, -100])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = special.softmax(pair)
    assert got[0] == 0
    assert np.isnan(got[1])
    same(fs.softmax(pair), [1, np.exp(-200.0)])


@pytest.mark.parametrize("row", [[-np.inf, -np.inf], [np.inf, 0]])
def test_infinities(special, row):
    logits = np.array([row, [0, 0]])
    with pytest.warns(RuntimeWarning):
        want = special.softmax(logits, axis=1)
    np.testing.assert_array_equal(fs.softmax(logits), want)
    np.testing.assert_array_equal(want, [[np.nan, np.nan], [0.5, 0.5]])


def test_what_is_missing(special):
    assert {"b", "return_sign"} <= set(inspect.signature(special.logsumexp).parameters)
    assert not {"b", "return_sign"} & set(inspect.signature(fs.logsumexp).parameters)
    with pytest.raises(TypeError, match="complex"):
        fs.logsumexp([1j])


def test_map(special, x, z, p):
    stats = pytest.importorskip("scipy.stats")
    same(fs.softmax(x, axis=1), special.softmax(x, axis=1))
    same(fs.log_softmax(x, axis=1), special.log_softmax(x, axis=1))
    want = special.logsumexp(x, axis=1, keepdims=True)
    same(fs.logsumexp(x, axis=1, keepdims=True), want)
    same(fs.logsumexp(x + np.log(p), axis=None), special.logsumexp(x, b=p))
    same(fs.sigmoid(x), special.expit(x))
    got = -fs.binary_cross_entropy_with_logits(x, np.ones_like(x), reduction="none")
    same(got, special.log_expit(x))
    probs, others = fs.softmax(x), fs.softmax(z)
    same(fs.entropy_with_logits(x), stats.entropy(probs, axis=1).mean())
    same(fs.entropy_with_logits(x), stats.entropy(7 * probs, axis=1).mean())
    same(fs.kl_div_with_logits(x, z), stats.entropy(probs, others, axis=1).mean())
