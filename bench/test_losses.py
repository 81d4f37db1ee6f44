"""cross_entropy, and with its gradient, beside every installed peer."""

import pytest

OPERATIONS = ("cross_entropy", "cross_entropy_with_grad")
pytestmark = pytest.mark.benchmark(max_time=0.5, min_rounds=5, warmup=False)


def test_cross_entropy(compare, shape, operation, contender):
    compare(shape, operation, contender)
