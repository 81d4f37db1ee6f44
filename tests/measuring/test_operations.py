"""The exact results that measurements are judged by."""

from decimal import Context, Decimal, localcontext

import numpy as np
import pytest

from fastsoftmax._measuring import operations


def by_decimal(operation, row, target, n_rows):
    """Return a row's exact result, in the digits of the decimal context."""
    exps = [Decimal(float(x)).exp() for x in row]
    probs = [e / sum(exps) for e in exps]
    if operation == "softmax":
        return probs
    if operation == "log_softmax":
        return [p.ln() for p in probs]
    if operation == "cross_entropy":
        return [-probs[target].ln()]
    others = sum(e for i, e in enumerate(exps) if i != target)
    probs[target] = -others / sum(exps)
    return [p / n_rows for p in probs]


@pytest.mark.parametrize("operation", operations.OPERATIONS)
def test_long_double_is_exact_enough(operation):
    """Its error is small beside half a unit of a double, confident predictions included."""
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("long double is a double here: there is no oracle for float64")
    logits, targets = operations.make_inputs((6, 7), np.float64, seed=1)
    logits[0] = [30, 0, -20, 1, 2, 3, 4]
    targets[0] = 0
    got = operations.exact(operation, logits, targets).reshape(6, -1)
    with localcontext(Context(prec=50)):
        for row in range(6):
            expected = by_decimal(operation, logits[row], targets[row], 6)
            for value, exact in zip(got[row], expected, strict=True):
                digits = np.format_float_scientific(value, precision=25, unique=False)
                assert abs(Decimal(digits) - exact) <= abs(exact) * Decimal(2) ** -57


def test_max_ulp():
    expected = np.array([1.0, 2.0, 1e-45], np.longdouble)
    assert operations.max_ulp(np.float32([1, 2, 0]), expected) == 0
    assert operations.max_ulp(np.float32([1, np.nextafter(np.float32(2), 3), 0]), expected) == 1
    assert operations.max_ulp(np.float32([np.nan, 2, 0]), expected) == np.inf
    assert operations.max_ulp(np.float32([0]), np.longdouble([1e-45])) == 0
