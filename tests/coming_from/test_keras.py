"""Both sides of the tables in docs/coming_from.md: Keras."""

import warnings

import numpy as np
import pytest
from agreement import same

import fastsoftmax as fs

pytestmark = pytest.mark.peer


@pytest.fixture
def keras(monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras", reason="Keras is not installed")


def test_losses(keras, x, z, y, p):
    sparse = keras.losses.SparseCategoricalCrossentropy
    same(fs.cross_entropy(x, y), sparse(from_logits=True)(y, x))
    same(fs.cross_entropy(x, y), sparse()(y, fs.softmax(x)))
    y[5] = -1
    want = sparse(from_logits=True, ignore_class=-1)(y, x)
    same(fs.cross_entropy(x, y, ignore_index=-1), want)
    want = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(p, x)
    same(fs.cross_entropy(x, p, label_smoothing=0.1), want)
    want = keras.losses.BinaryCrossentropy(from_logits=True)(p, x)
    same(fs.binary_cross_entropy_with_logits(x, p), want)
    same(fs.kl_div_with_logits(x, z), keras.losses.KLDivergence()(fs.softmax(x), fs.softmax(z)))


def test_certain_errors(keras):
    wrong = np.float32([[1.0, 0.0]])
    loss = keras.losses.SparseCategoricalCrossentropy()(np.array([1]), wrong)
    assert loss.item() == pytest.approx(16.12, abs=0.01)
    assert fs.cross_entropy(np.float32([[1000.0, 0.0]]), [1]) == 1000


def test_weighted_rows(keras, x, y):
    weights = np.array([1.0, 2, 0, 4, 1, 1])
    sparse = keras.losses.SparseCategoricalCrossentropy
    by_rows = sparse(from_logits=True)(y, x, sample_weight=weights)
    same(fs.cross_entropy(x, y, sample_weight=weights, reduction="sum") / 6, by_rows)
    by_weights = sparse(from_logits=True, reduction="mean_with_sample_weight")
    want = by_weights(y, x, sample_weight=weights)
    same(fs.cross_entropy(x, y, sample_weight=weights), want)


def test_functions(keras, x):
    same(fs.softmax(x), keras.ops.softmax(x))
    same(fs.log_softmax(x), keras.ops.log_softmax(x))
    assert keras.ops.logsumexp(x).shape == ()
    assert fs.logsumexp(x).shape == (6,)
    mask = np.array([True, False, True, True, False])
    want = keras.layers.Softmax()(x.astype("f"), mask=np.broadcast_to(mask, x.shape))
    same(fs.softmax(x.astype("f"), where=mask), want)


def test_constants(keras):
    theirs, ours = keras.optimizers.Adam(), fs.MLPClassifier()
    assert (theirs.beta_1, theirs.beta_2) == (ours.beta_1, ours.beta_2)
    assert theirs.epsilon == ours.epsilon
    assert float(theirs.learning_rate) == pytest.approx(ours.learning_rate_init)
