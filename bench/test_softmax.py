"""softmax and log_softmax, beside every installed peer."""

import pytest

OPERATIONS = ("softmax", "log_softmax")
pytestmark = pytest.mark.benchmark(max_time=0.5, min_rounds=5, warmup=False)


def test_softmax(compare, shape, operation, contender):
    compare(shape, operation, contender)
