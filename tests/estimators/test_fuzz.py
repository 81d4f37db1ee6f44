"""A part of what `make fuzz` does, always the same."""

import fuzz
import pytest


@pytest.mark.parametrize("seed", [1, 2])
def test_no_damage_is_more_than_an_error(seed):
    assert fuzz.find_faults(seed, 400) == []
