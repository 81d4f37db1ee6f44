"""Gradients of the cross-entropy against central differences in float64, over random options together."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tolerances import DIFFERENCES

import fastsoftmax as fs

STEP = 1e-5


@st.composite
def problems(draw):
    """Draw logits, targets and any combination of options that is allowed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_classes = draw(st.sampled_from([2, 3, 5, 170]))
    shape, axis = draw(
        st.sampled_from([((3, n_classes), 1), ((n_classes, 3), 0), ((2, n_classes, 2), 1)])
    )
    rows = shape[:axis] + shape[axis + 1 :]
    x = rng.standard_normal(shape) * 2
    options = {"axis": axis, "reduction": draw(st.sampled_from(["mean", "sum"]))}
    for name, values in {
        "label_smoothing": st.floats(0.01, 1),
        "z_loss": st.floats(0.001, 0.1),
        "softcap": st.floats(2, 30),
        "temperature": st.floats(0.5, 3),
        "weight": st.just(rng.uniform(0.2, 2, n_classes)),
        "sample_weight": st.just(rng.uniform(0.2, 2, rows)),
    }.items():
        if draw(st.booleans()):
            options[name] = draw(values)
    if draw(st.booleans()):
        targets = rng.integers(0, n_classes, rows)
        targets.flat[0] = 1
        if draw(st.booleans()):
            options["ignore_index"] = 0
    else:
        targets = fs.softmax(rng.standard_normal(shape), axis)
    return x, targets, options


@given(problem=problems())
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_against_differences(implementation, problem):
    x, targets, options = problem
    _, grad = fs.cross_entropy_with_grad(x, targets, **options)
    places = [np.unravel_index(i, x.shape) for i in range(0, x.size, max(1, x.size // 12))]
    for at in places:
        step = np.zeros_like(x)
        step[at] = STEP
        up, down = (fs.cross_entropy(x + s * step, targets, **options) for s in (1, -1))
        slope = (float(up) - float(down)) / (2 * STEP)
        assert grad[at] == pytest.approx(
            slope, rel=1e-5, abs=DIFFERENCES * max(1, np.abs(grad).max())
        )


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_of_a_gradient_sum_to_zero(implementation, dtype, rng, axis):
    shape = (40, 30)
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    targets = rng.integers(0, shape[axis], shape[1 - axis])
    options = {"weight": rng.uniform(0.1, 2, shape[axis]), "label_smoothing": 0.1}
    for more in ({}, options):
        _, grad = fs.cross_entropy_with_grad(x, targets, axis=axis, reduction="sum", **more)
        total = grad.astype(np.float64).sum(axis=axis)
        np.testing.assert_allclose(total, 0, atol=shape[axis] * np.finfo(dtype).eps)
