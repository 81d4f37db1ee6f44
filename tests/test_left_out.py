"""Rows that are ignored or have a weight of 0 are not felt, whatever they hold."""

import numpy as np
import pytest

import fastsoftmax as fs

OPTIONS = (
    {},
    {"label_smoothing": 0.1},
    {"z_loss": 0.1},
    {"softcap": 3.0},
    {"temperature": 2.0, "weight": True},
    {"temperature": 1e100},
)
CONTENTS = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "mixed": [np.nan, np.inf, -np.inf]}


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        if one is not None:
            np.testing.assert_array_equal(one, other)


def broken(x, unused, content, rng):
    result = x.copy()
    result[unused] = rng.choice(np.atleast_1d(CONTENTS[content]), result[unused].shape)
    return result


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("form", ["ignored", "weight 0", "probabilities of weight 0"])
@pytest.mark.parametrize("n_classes", [5, 300, 9000])
def test_cross_entropy(implementation, dtype, rng, options, content, form, n_classes):
    x = rng.standard_normal((7, n_classes)).astype(dtype)
    unused = np.arange(7) % 3 == 1
    targets, options = rng.integers(0, n_classes, 7), dict(options)
    if "weight" in options:
        options["weight"] = rng.uniform(0.5, 2, n_classes)
    if form == "ignored":
        targets[unused], options["ignore_index"] = -100, -100
    else:
        options["sample_weight"] = np.where(unused, 0, rng.uniform(0.5, 2, 7))
    if form.startswith("probabilities"):
        targets = fs.softmax(rng.standard_normal((7, n_classes)).astype(dtype))
    bad = broken(x, unused, content, rng)
    for reduction in ("mean", "none"):
        expected = fs.cross_entropy_with_grad(x, targets, reduction=reduction, **options)
        found = fs.cross_entropy_with_grad(bad, targets, reduction=reduction, **options)
        assert_same(found, expected)
        assert np.isfinite(found[0]).all()
        assert not found[1][unused].any()
    if n_classes == 5 and targets.ndim == 1:
        columns = fs.cross_entropy_with_grad(bad.T.copy(), targets, axis=0, **options)
        assert np.isfinite(columns[1]).all()
        assert not columns[1][:, unused].any()


def test_every_weight_0(implementation, dtype):
    x = np.full((3, 4), np.nan, dtype)
    for targets in (np.zeros(3, int), np.full((3, 4), 0.25, dtype)):
        loss, grad = fs.cross_entropy_with_grad(x, targets, sample_weight=np.zeros(3))
        assert np.isnan(loss)
        assert not grad.any()
        assert fs.cross_entropy(x, targets, sample_weight=np.zeros(3), reduction="sum") == 0


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("form", ["ignored", "weight 0", "probabilities of weight 0"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear_cross_entropy(implementation, dtype, rng, content, form, reduction):
    x, weight = rng.standard_normal((9, 3)).astype(dtype), rng.standard_normal((5, 3)).astype(dtype)
    unused = np.arange(9) % 4 == 2
    targets, options = (
        rng.integers(0, 5, 9),
        {"linear_bias": np.ones(5, dtype), "reduction": reduction},
    )
    if form == "ignored":
        targets[unused], options["ignore_index"] = -100, -100
    else:
        options["sample_weight"] = np.where(unused, 0, rng.uniform(0.5, 2, 9))
    if form.startswith("probabilities"):
        targets = fs.softmax(rng.standard_normal((9, 5)).astype(dtype))
    bad = broken(x, unused, content, rng)
    found = fs.linear_cross_entropy_with_grad(bad, weight, targets, **options)
    assert_same(found, fs.linear_cross_entropy_with_grad(x, weight, targets, **options))
    assert all(np.isfinite(one).all() for one in found)
    assert not found[1][unused].any()
    np.testing.assert_array_equal(
        fs.linear_cross_entropy(bad, weight, targets, **options), found[0]
    )


def test_linear_gradient_is_0_beside_weights_that_are_not_finite(implementation, dtype):
    x, weight = np.ones((2, 3), dtype), np.ones((4, 3), dtype)
    weight[1] = np.inf
    grad_x = fs.linear_cross_entropy_with_grad(x, weight, [-100, 0], ignore_index=-100)[1]
    assert not grad_x[0].any()


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("weight", [1.0, 1e200])
def test_binary_cross_entropy(implementation, dtype, rng, content, weight):
    x, y = rng.standard_normal((6, 70)).astype(dtype), rng.integers(0, 2, (6, 70))
    unused = rng.random((6, 70)) < 0.3
    options = {"weight": np.where(unused, 0, weight)}
    bad = broken(x, unused, content, rng)
    for reduction in ("mean", "none"):
        expected = fs.binary_cross_entropy_with_logits_with_grad(
            x, y, reduction=reduction, **options
        )
        found = fs.binary_cross_entropy_with_logits_with_grad(
            bad, y, reduction=reduction, **options
        )
        assert_same(found, expected)
        assert not found[1][unused].any()
