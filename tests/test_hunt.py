"""The hunt finds nothing in cases that every run repeats; `make hunt` looks at fresh ones."""

import hunt
import oracle
import pytest


def test_known_cases(implementation):
    if not oracle.HAS_EXTENDED:
        pytest.skip("long double is no wider than double here")
    _, found, _ = hunt.hunt(implementation, seed=20260101, seconds=0, n_cases=60)
    assert not found, "\n".join(found)


def test_every_function_and_kind_of_logits_is_drawn():
    cases = [hunt.Case(1, number) for number in range(200)]
    assert {case.function for case in cases} == set(hunt.FUNCTIONS)
    assert {case.kind for case in cases} == set(hunt.LOGITS)
    assert {case.dtype for case in cases} == set(hunt.DTYPES)


def test_a_case_is_the_same_each_time():
    first, second = (hunt.run_case(3, 5) for _ in range(2))
    assert hunt.describe(first) == hunt.describe(second)
    assert first.worst == second.worst


FUNCTIONS_THEN = ("softmax", "backward", "loss", "binary", "left out")


@pytest.mark.parametrize(
    ("seed", "number"), [(340103079, 6714), (276911931, 715)], ids=["smoothing", "slopes"]
)
def test_cases_that_went_beyond(implementation, seed, number):
    if not oracle.HAS_EXTENDED:
        pytest.skip("long double is no wider than double here")
    case = hunt.run_case(seed, number, FUNCTIONS_THEN)
    assert max(case.worst.values()) <= 1, hunt.describe(case)
