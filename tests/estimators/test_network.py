"""The NumPy specification against central differences."""

import numpy as np
import pytest

from fastsoftmax.estimators._losses import LogisticLoss, SoftmaxLoss
from fastsoftmax.estimators._network import glorot_network, loss_and_gradients


@pytest.mark.parametrize("sizes", [(4, 3), (4, 6, 3), (4, 6, 5, 3)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_those_of_the_loss(sizes, smoothing, logistic, weighted):
    rng = np.random.default_rng(1)
    network = glorot_network(sizes, np.float64, rng)
    for intercept in network.intercepts:
        intercept[:] = rng.normal(size=intercept.shape)
    x = rng.normal(size=(7, 4))
    targets = rng.integers(0, 2, (7, 3)).astype(np.uint8) if logistic else rng.integers(0, 3, 7)
    weights = rng.uniform(0, 2, 7) if weighted else None
    loss = (LogisticLoss if logistic else SoftmaxLoss)(smoothing)
    _, gradients, _ = loss_and_gradients(network, loss, x, targets, weights)
    for parameter, gradient in zip(network.arrays, gradients.arrays, strict=True):
        for index in np.ndindex(parameter.shape):
            ends, at = [], parameter[index]
            for h in (1e-6, -1e-6):
                parameter[index] = at + h
                ends.append(loss_and_gradients(network, loss, x, targets, weights)[0])
            parameter[index] = at
            np.testing.assert_allclose(
                gradient[index], (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-8
            )


def test_a_batch_without_weight_teaches_nothing():
    network = glorot_network((4, 3), np.float64, np.random.default_rng(0))
    x = np.ones((5, 4))
    for loss, targets in (
        (SoftmaxLoss(), np.zeros(5, np.int32)),
        (LogisticLoss(), np.zeros((5, 3), np.uint8)),
    ):
        value, gradients, tally = loss_and_gradients(network, loss, x, targets, np.zeros(5))
        assert value == 0
        assert tally.weight == 0
        assert all((gradient == 0).all() for gradient in gradients.arrays)


def test_logistic_loss_of_confident_rows_is_not_zero():
    loss = LogisticLoss()
    value, gradient = loss.with_gradient(np.array([[50.0]]), np.array([[1]], np.uint8))
    np.testing.assert_allclose(value, np.exp(-50.0), rtol=1e-12)
    np.testing.assert_allclose(gradient, [[-np.exp(-50.0)]], rtol=1e-12)
