"""What the tests of docs/coming_from.md share: logits, others of their shape, classes, probabilities."""

import numpy as np
import pytest


@pytest.fixture
def x(rng):
    return rng.standard_normal((6, 5)) * 3


@pytest.fixture
def z(rng):
    return rng.standard_normal((6, 5)) * 3


@pytest.fixture
def y():
    return np.array([0, 1, 2, 3, 4, 0])


@pytest.fixture
def p(rng):
    return rng.random((6, 5))
