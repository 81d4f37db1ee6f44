"""The table of special values, in every implementation, form of data and position."""

import numpy as np
import pytest

import fastsoftmax as fs

INF, NAN = np.inf, np.nan
FORMS = ("rows", "columns", "long rows")


def laid_out(rows, dtype, form):
    """Return rows of logits as (array, axis); what pads a long row is -inf, and so takes no part."""
    x = np.array(rows, dtype)
    if form == "columns":
        return np.ascontiguousarray(x.T), 0
    if form == "long rows":
        wide = np.full((len(x), 9000), -INF, dtype)
        wide[:, 4000 : 4000 + x.shape[1]] = x
        return wide, 1
    return x, 1


def in_rows(result, form, n_classes):
    """Undo `laid_out`."""
    if form == "columns":
        return result.T
    return result[:, 4000 : 4000 + n_classes] if form == "long rows" else result


@pytest.mark.parametrize("form", FORMS)
def test_softmax_and_log_softmax(implementation, dtype, form):
    rows = [
        [0, 0, 0, 0],
        [NAN, 0, 1, 2],
        [INF, 0, 1, 2],
        [INF, INF, 1, 2],
        [INF, -INF, NAN, 2],
        [-INF, -INF, -INF, -INF],
        [-INF, 0, 0, -INF],
        [1000, 0, 0, 0],
        [-INF, -INF, -INF, NAN],
        [3e38, -3e38, 0, 1],
    ]
    x, axis = laid_out(rows, dtype, form)
    want = np.full((10, 4), NAN)
    want[0], want[6], want[7], want[9] = 0.25, [0, 0.5, 0.5, 0], [1, 0, 0, 0], [1, 0, 0, 0]
    np.testing.assert_array_equal(in_rows(fs.softmax(x, axis), form, 4), want.astype(dtype))
    want = np.full((10, 4), NAN)
    want[0] = -np.log(4)
    want[6], want[7] = [-INF, -np.log(2), -np.log(2), -INF], [0, -1000, -1000, -1000]
    want[9] = [0, -INF if dtype is np.float32 else -6e38, -3e38, -3e38]
    got = in_rows(fs.log_softmax(x, axis), form, 4)
    np.testing.assert_allclose(got, want.astype(dtype), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_logsumexp(implementation, dtype, form):
    rows = [[NAN, 0], [INF, 0], [INF, -INF], [INF, NAN], [-INF, -INF], [-INF, 3], [-INF, NAN]]
    x, axis = laid_out(rows, dtype, form)
    want = np.array([NAN, INF, INF, NAN, -INF, 3, NAN], dtype)
    np.testing.assert_array_equal(fs.logsumexp(x, axis), want)


@pytest.mark.parametrize("form", FORMS)
def test_cross_entropy(implementation, dtype, form):
    rows = [[0, 0], [NAN, 0], [INF, 0], [-INF, -INF], [-INF, 0], [-INF, 0]]
    x, axis = laid_out(rows, dtype, form)
    offset = 4000 if form == "long rows" else 0
    targets = np.array([0, 0, 0, 0, 1, 0]) + offset
    loss, grad = fs.cross_entropy_with_grad(x, targets, axis=axis, reduction="none")
    np.testing.assert_allclose(loss, np.array([np.log(2), NAN, NAN, NAN, 0, INF], dtype), rtol=1e-6)
    want = [[-0.5, 0.5], [NAN, NAN], [NAN, NAN], [NAN, NAN], [0, 0], [-1, 1]]
    np.testing.assert_array_equal(in_rows(grad, form, 2), np.array(want, dtype))


@pytest.mark.parametrize("form", FORMS)
def test_ignored_rows_are_zero_even_with_nan(implementation, dtype, form):
    x, axis = laid_out([[NAN, 0], [0, 0], [INF, INF]], dtype, form)
    targets = np.array([-100, 1, -100]) + (4000 if form == "long rows" else 0)
    ignore = int(targets[0])
    loss, grad = fs.cross_entropy_with_grad(x, targets, axis=axis, ignore_index=ignore)
    assert loss == pytest.approx(np.log(2))
    want = np.array([[0, 0], [0.5, -0.5], [0, 0]], dtype)
    np.testing.assert_array_equal(in_rows(grad, form, 2), want)


@pytest.mark.parametrize("options", [{"softcap": 3.0}, {"z_loss": 0.1}, {"label_smoothing": 0.1}])
def test_ignored_rows_are_zero_with_every_option(implementation, dtype, options):
    x = np.array([[NAN, 0, INF], [0, 0, 0]], dtype)
    loss, grad = fs.cross_entropy_with_grad(x, [2, 1], ignore_index=2, reduction="none", **options)
    assert loss[0] == 0
    assert not grad[0].any()
    assert np.isfinite(grad[1]).all()


def test_everything_ignored(implementation, dtype):
    x, targets = np.zeros((3, 4), dtype), np.full(3, 2)
    assert np.isnan(fs.cross_entropy(x, targets, ignore_index=2))
    assert fs.cross_entropy(x, targets, ignore_index=2, reduction="sum") == 0
    assert not fs.cross_entropy_with_grad(x, targets, ignore_index=2)[1].any()


def test_zero_weights_are_nan_under_mean(implementation, dtype):
    x, targets = np.zeros((3, 4), dtype), np.full(3, 2)
    loss, grad = fs.cross_entropy_with_grad(x, targets, weight=[1, 1, 0, 1])
    assert np.isnan(loss)
    assert np.isnan(grad).all()


def test_zero_target_beside_minus_infinity(implementation, dtype):
    x = np.array([[-INF, 0, 0]], dtype)
    y = np.array([[0, 1, 0]], dtype)
    assert fs.cross_entropy(x, y) == pytest.approx(np.log(2))
    assert fs.cross_entropy(x, [1], weight=[0, 1, 1], label_smoothing=0.1) < INF
    assert fs.cross_entropy(x, [1], label_smoothing=0.1) == INF


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_where(implementation, dtype, form):
    rows = [[1, 2, NAN, 4], [0, 0, 0, 0], [INF, 0, 0, 0], [NAN, 0, 0, 0], [-INF, -INF, 5, 5]]
    mask = [[True, True, False, False], [False] * 4, [False, True, True, False], [True, True, False, False],
            [True, True, False, False]]  # fmt: skip
    x, axis = laid_out(rows, dtype, form)
    where = np.array(mask).T if form == "columns" else np.array(mask)
    p = 1 / (1 + np.exp(1))
    want = np.array(
        [[p, 1 - p, 0, 0], [0] * 4, [0, 0.5, 0.5, 0], [NAN, NAN, 0, 0], [NAN, NAN, 0, 0]]
    )
    got = fs.softmax(x, axis, where=where)
    np.testing.assert_allclose(in_rows(got, form, 4), want, rtol=1e-6)
    got = in_rows(fs.log_softmax(x, axis, where=where), form, 4)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(got, np.log(want), rtol=1e-6)
    want = [np.log(np.e + np.e**2), -INF, np.log(2), NAN, -INF]
    np.testing.assert_allclose(fs.logsumexp(x, axis, where=where), want, rtol=1e-6)


def test_where_broadcasts(implementation, dtype):
    x = np.zeros((3, 4), dtype)
    np.testing.assert_array_equal(
        fs.softmax(x, where=[True, True, False, False])[1], [0.5, 0.5, 0, 0]
    )


def test_no_rows(implementation, dtype):
    x = np.zeros((0, 4), dtype)
    assert fs.softmax(x).shape == (0, 4)
    assert fs.log_softmax(x).shape == (0, 4)
    assert fs.logsumexp(x).shape == (0,)
    assert np.isnan(fs.cross_entropy(x, np.zeros(0, int)))
    loss, grad = fs.cross_entropy_with_grad(x, [], reduction="sum")
    assert loss == 0
    assert grad.shape == (0, 4)
    assert fs.cross_entropy(x, [], reduction="none").shape == (0,)


def test_no_classes(implementation, dtype):
    x = np.zeros((3, 0), dtype)
    np.testing.assert_array_equal(fs.logsumexp(x), np.full(3, -INF))
    for operation in (fs.softmax, fs.log_softmax):
        with pytest.raises(ValueError, match=r"at least one class.*\(3, 0\)"):
            operation(x)
    with pytest.raises(ValueError, match="at least one class"):
        fs.cross_entropy(x, np.zeros(3, int))


def test_no_warnings_nor_traps(implementation, dtype):
    x = np.array([[INF, NAN, -INF, 1e30], [-1e30, 0, 1e-40, 88]], dtype)
    with np.errstate(all="raise"):
        fs.softmax(x)
        fs.log_softmax(x)
        fs.cross_entropy_with_grad(x, [0, 1])


@pytest.mark.parametrize("n_classes", [33, 161])
def test_distances_beyond_the_range_of_the_dtype(implementation, n_classes):
    """max - z overflows a float here, its share of the smoothed loss does not."""
    x = np.zeros((1, n_classes), np.float32)
    x[0, :2] = 3e38, -3e38
    got = fs.cross_entropy(x, [2], label_smoothing=0.1, reduction="none")
    want = 0.9 * 3e38 + 0.1 / n_classes * (3e38 * (n_classes - 2) + 6e38)
    assert got[0] == pytest.approx(want, rel=1e-6)
    probs = np.zeros_like(x)
    probs[0, 1] = 0.25
    got = fs.cross_entropy(x, probs, reduction="none")
    assert got[0] == pytest.approx(1.5e38, rel=1e-6)


def test_infinite_loss_without_z_loss_is_not_nan(implementation):
    x = np.zeros((1, 33))
    x[0, 0] = 1.7e308
    with np.errstate(over="ignore"):
        loss = fs.cross_entropy(x, [2], label_smoothing=1.0, temperature=0.001, reduction="none")
    assert loss[0] == np.inf
