"""Entropy and divergence in every implementation: bounds, special values, layouts, threads."""

from decimal import Decimal, localcontext

import ml_dtypes
import numpy as np
import oracle
import pytest
from oracle import ulp_error
from tolerances import DIFFERENCES, ULP

import fastsoftmax as fs

INF, NAN = np.inf, np.nan
SHAPES = (((5, 1), 1), ((40, 2), 1), ((37, 3), 1), ((33, 10), 1), ((9, 17), 1), ((20, 100), 1), ((7, 160), 1),
          ((7, 161), 1), ((5, 1000), 1), ((10, 9), 0), ((300, 33), 0), ((3, 20, 7), 1), ((2, 3, 40, 5), 1))  # fmt: skip
LARGE = (((3, 8191), 1), ((3, 8192), 1), ((3, 8193), 1), ((2, 20_000), 1), ((1, 128_256), 1), ((4097, 5), 0),
         ((65_536, 2), 0))  # fmt: skip
KINDS = (
    "normal",
    "constant",
    "spread",
    "wide",
    "ladder",
    "shifted",
    "two maxima",
    "confident",
    "masked",
)
NEAR = (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)


@pytest.fixture(autouse=True)
def needs_extended(request):
    params = getattr(request.node, "callspec", None)
    if params and params.params.get("dtype") is np.float64 and not oracle.HAS_EXTENDED:
        pytest.skip("long double is no wider than double here")


def logits_of(kind, shape, axis, dtype, rng):
    """Return random logits of one kind with the classes along `axis`."""
    turned = (*(n for d, n in enumerate(shape) if d != axis), shape[axis])
    x = rng.standard_normal(turned) * (30 if kind == "wide" else 3)
    if kind == "constant":
        x[...] = rng.standard_normal((*turned[:-1], 1))
    elif kind == "spread":
        x = rng.uniform(-20, 20, turned)
    elif kind == "ladder":
        x = np.arange(turned[-1]) * rng.choice([-0.5, 0.1, 3.0], (*turned[:-1], 1))
    elif kind == "shifted":
        x += 1000 * rng.choice([-1, 1], (*turned[:-1], 1))
    elif kind == "two maxima":
        x[..., :2] = 12.5
        x[..., -1] = np.nextafter(dtype(12.5), dtype(0))
    elif kind == "confident":
        x[..., 0] += rng.uniform(10, 60, turned[:-1])
    elif kind == "masked":
        x[..., 1:][rng.random((*turned[:-1], turned[-1] - 1)) < 0.3] = -INF
    return np.ascontiguousarray(np.moveaxis(x, -1, axis), dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_entropy(implementation, dtype, rng, kind):
    for shape, axis in SHAPES:
        check_entropy(logits_of(kind, shape, axis, dtype, rng), axis)


@pytest.mark.parametrize("kind", KINDS)
def test_divergence(implementation, dtype, rng, kind):
    for shape, axis in SHAPES:
        check_divergence(*pair_of(kind, shape, axis, dtype, rng), axis)


def test_gradient_that_is_the_divergence(implementation, dtype):
    """Where one class has nearly all of p, its gradient has every error of the divergence."""
    rng = np.random.default_rng(3)
    for shape, axis in SHAPES:
        check_divergence(*pair_of("confident", shape, axis, dtype, rng), axis)


@pytest.mark.parametrize("distance", NEAR)
def test_divergence_of_near_distributions(implementation, dtype, rng, distance):
    for shape, axis in SHAPES:
        check_divergence(*near_pair(distance, shape, axis, dtype, rng), axis)


@pytest.mark.parametrize(("shape", "axis"), LARGE)
def test_many_classes(implementation, dtype, rng, shape, axis):
    for kind in ("normal", "constant", "ladder", "masked"):
        p, q = pair_of(kind, shape, axis, dtype, rng)
        check_entropy(p, axis)
        check_divergence(p, q, axis)
    check_divergence(*near_pair(1e-3, shape, axis, dtype, rng), axis)
    check_divergence(*near_pair(1e-9, shape, axis, dtype, rng), axis)


@pytest.mark.parametrize("n_classes", [8191, 8192, 8193, 20_000])
@pytest.mark.parametrize("above", [-6, -1, 2, 8])
def test_wide_rows_of_tiny_terms(implementation, dtype, rng, n_classes, above):
    """Probabilities about the smallest normal number keep their digits where chunks of a row are merged."""
    edge = float(np.log(np.longdouble(np.finfo(dtype).tiny)))
    p = (edge + above + rng.uniform(-1, 1, (2, n_classes))).astype(dtype)
    p[1, ::2] = edge + above
    p[:, -1] = 0
    check_entropy(p, -1)
    near = (p * (1 + 1e-3 * rng.standard_normal(p.shape))).astype(dtype)
    near[:, -1] = 0
    check_divergence(p, near, -1)
    another = rng.standard_normal(p.shape).astype(dtype)
    check_divergence(p, another, -1)
    check_divergence(another, p, -1)


def pair_of(kind, shape, axis, dtype, rng):
    """Return logits of p and q; where a class of q is left out, so it is of p."""
    p, q = (logits_of(kind, shape, axis, dtype, rng) for _ in range(2))
    if kind == "masked":
        q = np.where(np.isinf(p), q, logits_of("normal", shape, axis, dtype, rng))
    return p, q


def near_pair(distance, shape, axis, dtype, rng):
    p = logits_of("normal", shape, axis, dtype, rng)
    return p, (p + distance * rng.standard_normal(shape)).astype(dtype)


def check_entropy(x, axis):
    want, want_grad, scale = oracle.entropy(x, axis)
    got, grad = fs.entropy_with_logits_with_grad(x, axis, reduction="none")
    assert ulp_error(got, want) <= ULP, x.shape
    assert ulp_error(grad, want_grad, scale) <= ULP, x.shape
    np.testing.assert_array_equal(fs.entropy_with_logits(x, axis, reduction="none"), got)


def check_divergence(p, q, axis):
    want, absolute, want_grads, scales = oracle.divergence(p, q, axis)
    got, *grads = fs.kl_div_with_logits_with_grad(p, q, axis, reduction="none")
    assert ulp_error(got, want, absolute) <= ULP, p.shape
    assert (got >= 0).all()
    for grad, want_grad, scale in zip(grads, want_grads, scales, strict=True):
        assert ulp_error(grad, want_grad, scale) <= ULP, p.shape
    np.testing.assert_array_equal(fs.kl_div_with_logits(p, q, axis, reduction="none"), got)


def exact_divergence(p, q):
    """Return the divergence of one row and the sum of the absolute terms, in 60 decimal digits."""
    with localcontext() as context:
        context.prec, context.Emin = 60, -(10**9)
        logs = []
        for x in (p, q):
            x = [Decimal(float(v)) for v in x]
            total = sum((v - max(x)).exp() for v in x).ln() + max(x)
            logs.append([v - total for v in x])
        terms = [u.exp() * (u - v) for u, v in zip(*logs, strict=True)]
        return sum(terms), sum(abs(term) for term in terms)


@pytest.mark.parametrize("distance", NEAR)
@pytest.mark.parametrize("axis", [0, 1])
def test_near_distributions_keep_their_digits(implementation, dtype, rng, distance, axis):
    """The definition itself in decimal arithmetic is the judge: no formula of ours takes part."""
    p = (rng.standard_normal((20, 30)) * 2).astype(dtype)
    q = (p + distance * rng.standard_normal((20, 30))).astype(dtype)
    got = fs.kl_div_with_logits(p, q, axis, reduction="none")
    for k in range(len(got)):
        want, absolute = exact_divergence(p.take(k, 1 - axis), q.take(k, 1 - axis))
        unit = Decimal(float(np.spacing(max(dtype(float(absolute)), np.finfo(dtype).tiny))))
        assert abs(Decimal(float(got[k])) - want) <= ULP * unit
        if implementation.startswith("cython") and 1e-30 < want < 0.01:
            unit = Decimal(float(np.spacing(dtype(float(want)))))
            assert abs(Decimal(float(got[k])) - want) <= 2 * ULP * unit  # of the result itself


@pytest.mark.parametrize("n_classes", [1, 2, 37, 161, 9000])
@pytest.mark.parametrize("axis", [0, 1])
def test_equal_distributions_have_no_divergence(implementation, dtype, rng, n_classes, axis):
    """Also where the logits differ by a constant."""
    shape = (7, n_classes) if axis else (n_classes, 7)
    p = np.round(rng.standard_normal(shape) * 80).astype(dtype) / 16
    for q in (p, p + 3, p - 100):
        got, grad_p, grad_q = fs.kl_div_with_logits_with_grad(p, q, axis, reduction="none")
        assert not got.any()
        assert np.abs(grad_p).max() <= np.finfo(dtype).eps
        assert np.abs(grad_q).max() <= np.finfo(dtype).eps


def test_the_mean_and_its_gradient(implementation, dtype, rng):
    for n_rows in (3, 30, 1001):
        p, q = ((rng.standard_normal((n_rows, 30)) * 3).astype(dtype) for _ in range(2))
        entropies, want_grad, scale = oracle.entropy(p)
        entropy, grad = fs.entropy_with_logits_with_grad(p)
        assert ulp_error(entropy, entropies.mean()) <= ULP
        assert ulp_error(grad, want_grad / n_rows, scale / n_rows) <= ULP
        assert ulp_error(fs.entropy_with_logits(p, reduction="sum"), entropies.sum()) <= ULP
        divergences, absolute, grads, scales = oracle.divergence(p, q)
        divergence, *got = fs.kl_div_with_logits_with_grad(p, q)
        assert ulp_error(divergence, divergences.mean(), absolute.mean()) <= ULP
        for one, want, bound in zip(got, grads, scales, strict=True):
            assert ulp_error(one, want / n_rows, bound / n_rows) <= ULP


def in_forms(rows, dtype):
    """Yield rows of logits as (array, axis, what takes their entries out of a gradient) in every form of data."""
    x = np.array(rows, dtype)
    yield x, 1, lambda grad: grad
    yield np.ascontiguousarray(x.T), 0, lambda grad: grad.T
    for n_classes in (300, 9000):
        wide = np.full((len(x), n_classes), -INF, dtype)
        wide[:, 200 : 200 + x.shape[1]] = x
        yield wide, 1, lambda grad: grad[:, 200 : 200 + x.shape[1]]
        yield np.ascontiguousarray(wide.T), 0, lambda grad: grad[200 : 200 + x.shape[1]].T


def test_special_values_of_the_entropy(implementation, dtype):
    rows = [[0, 0, 0], [NAN, 0, 1], [INF, 0, 1], [-INF, -INF, -INF], [-INF, 0, 0], [-INF, -INF, 3], [3e38, -3e38, 0],
            [NAN, INF, -INF], [-INF, NAN, NAN]]  # fmt: skip
    want = [np.log(3), NAN, NAN, NAN, np.log(2), 0, 0, NAN, NAN]
    for x, axis, entries in in_forms(rows, dtype):
        with np.errstate(all="raise"):
            got, grad = fs.entropy_with_logits_with_grad(x, axis, reduction="none")
        np.testing.assert_allclose(got, want, rtol=1e-6)
        for row, is_nan in zip(entries(grad), np.isnan(want), strict=True):
            np.testing.assert_array_equal(row, NAN if is_nan else 0)


def test_special_values_of_the_divergence(implementation, dtype):
    rows = [
        ([0, 0, 0], [0, 0, 0], 0),
        ([0, 0, -INF], [0, 0, -INF], 0),
        ([0, 0, -INF], [0, 0, 0], np.log(1.5)),
        ([0, 0, 0], [0, 0, -INF], INF),
        ([0, 0, 0], [0, -INF, -INF], INF),
        ([NAN, 0, 0], [0, 0, 0], NAN),
        ([0, 0, 0], [NAN, 0, 0], NAN),
        ([-INF, 0, 0], [NAN, 0, 0], NAN),
        ([-INF, 0, 0], [INF, 0, 0], NAN),
        ([INF, 0, 0], [0, 0, 0], NAN),
        ([0, 0, 0], [0, 0, INF], NAN),
        ([-INF, -INF, -INF], [0, 0, 0], NAN),
        ([0, 0, 0], [-INF, -INF, -INF], NAN),
        ([0, -INF, -INF], [-INF, 0, 0], INF),
        ([0, -INF, -INF], [0, 0, 0], np.log(3)),
        ([0, 0, -INF], [0, -1e30, 0], 5e29),
        ([0, -INF, 0], [1.5e38, -1.5e38, -1.5e38], 1.5e38),
        ([1e30, 1e30, 0], [0, 1, 2], np.log((1 + np.e + np.e**2) / 2) - 0.5),
    ]  # fmt: skip
    want = [row[2] for row in rows]
    forms = [in_forms([row[k] for row in rows], dtype) for k in range(2)]
    for (p, axis, entries), (q, _, _) in zip(*forms, strict=True):
        with np.errstate(all="raise"):
            got, grad_p, grad_q = fs.kl_div_with_logits_with_grad(p, q, axis, reduction="none")
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=0)
        grad_p, grad_q = entries(grad_p), entries(grad_q)
        np.testing.assert_array_equal(np.isnan(grad_q).all(axis=1), np.isnan(want))
        np.testing.assert_array_equal(grad_p[1], 0)
        np.testing.assert_allclose(grad_p[2], 0, atol=1e-6)
        np.testing.assert_allclose(grad_q[2], [-1 / 6, -1 / 6, 1 / 3], rtol=1e-6)
        np.testing.assert_array_equal(grad_p[3], [-INF, -INF, NAN])
        np.testing.assert_allclose(grad_q[3], [1 / 6, 1 / 6, -1 / 3], rtol=1e-6)
        np.testing.assert_allclose(grad_p[15], [-2.5e29, 2.5e29, 0], rtol=1e-6)


def test_terms_beyond_the_range_of_the_dtype(implementation):
    """log(q) overflows a float here; times its p it does not, or the sum is infinite as the exact one rounded."""
    p, q = np.zeros((1, 2), np.float32), np.array([[3e38, -3e38]], np.float32)
    for axis, form in ((1, np.asarray), (0, np.transpose)):
        got = fs.kl_div_with_logits(form(p).copy(), form(q).copy(), axis, reduction="none")
        np.testing.assert_allclose(got, 3e38, rtol=1e-6)


@pytest.mark.parametrize("gap", [1e5, 1e7, 1e12, 1e19, 1e30, 3e38])
@pytest.mark.parametrize("n_classes", [4, 100, 8193])
def test_gradients_beside_a_large_divergence(implementation, dtype, rng, gap, n_classes):
    """Products with an r of any size are normal numbers where p is below the smallest of them."""
    edge = -np.log(float(np.finfo(dtype).tiny))
    p, q = (rng.standard_normal((9, n_classes)).astype(dtype) for _ in range(2))
    p[:, -2:] = -rng.uniform(edge - 3, edge + 15, (9, 2))
    q[:, 1] -= dtype(gap)
    q[3] += dtype(gap)
    q[5, -1] -= dtype(gap)
    check_divergence(p, q, 1)
    check_divergence(p.T.copy(), q.T.copy(), 0)


def test_gradients_whose_logits_are_a_range_apart(implementation, dtype):
    if implementation == "numba" and dtype is np.float64:
        pytest.skip("the difference leaves the range of double")
    most = np.finfo(dtype).max
    p, q = np.array([[0, -60, -100]] * 20, dtype), np.array([[most, -most, 0]] * 20, dtype)
    for axis, form in ((1, np.asarray), (0, np.transpose)):
        check_divergence(form(p).copy(), form(q).copy(), axis)


def test_near_distributions_of_which_classes_are_left_out(implementation, dtype, rng):
    """A class with p = q = 0 says nothing, and no other row is computed less well for it."""
    for shape, axis in SHAPES:
        p = logits_of("masked", shape, axis, dtype, rng)
        q = np.where(np.isneginf(p), p, p + dtype(0.37)).astype(dtype)
        check_divergence(p, q, axis)
        got, grad_p, grad_q = fs.kl_div_with_logits_with_grad(p, q, axis, reduction="none")
        assert np.isfinite(got).all()
        assert np.isfinite(grad_p).all()
        assert np.isfinite(grad_q).all()


def test_few_rows_and_none(implementation, dtype):
    x = np.zeros((0, 4), dtype)
    assert np.isnan(fs.entropy_with_logits(x))
    assert fs.kl_div_with_logits(x, x, reduction="sum") == 0
    assert fs.entropy_with_logits_with_grad(x)[1].shape == (0, 4)
    assert fs.entropy_with_logits(x, reduction="none").shape == (0,)
    for operation in (fs.entropy_with_logits, lambda x: fs.kl_div_with_logits(x, x)):
        with pytest.raises(ValueError, match="at least one class"):
            operation(np.zeros((3, 0), dtype))


@pytest.mark.parametrize(
    "shape", [(20_000, 10), (700, 300), (10, 30_000), (3, 128_256), (50, 3000)]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_bits_do_not_depend_on_threads(implementation, dtype, rng, shape, axis):
    if implementation == "numpy":
        pytest.skip("the specification has no threads")
    p, q = ((rng.standard_normal(shape) * 3).astype(dtype) for _ in range(2))
    want = fs.entropy_with_logits_with_grad(p, axis, n_threads=1)
    want_kl = fs.kl_div_with_logits_with_grad(p, q, axis, n_threads=1)
    for n_threads in (2, 3):
        for one, same in zip(
            fs.entropy_with_logits_with_grad(p, axis, n_threads=n_threads), want, strict=True
        ):
            np.testing.assert_array_equal(one, same)
        for one, same in zip(
            fs.kl_div_with_logits_with_grad(p, q, axis, n_threads=n_threads), want_kl, strict=True
        ):
            np.testing.assert_array_equal(one, same)


def test_layouts_give_the_same_results(implementation, dtype, rng):
    p, q = ((rng.standard_normal((6, 7, 8)) * 3).astype(dtype) for _ in range(2))
    for axis in (0, 1, 2, (0, 2), None):
        want = fs.kl_div_with_logits_with_grad(p, q, axis, reduction="none")
        entropy = fs.entropy_with_logits_with_grad(p, axis, reduction="none")
        gap = np.repeat(p, 2, axis=2)[:, :, ::2], np.repeat(q, 2, axis=0)[::2]
        orders = (
            (np.asfortranarray(p), q),
            (p, np.asfortranarray(q)),
            gap,
            (p[::-1].copy()[::-1], q),
        )
        for a, b in orders:
            got = fs.kl_div_with_logits_with_grad(a, b, axis, reduction="none")
            got_entropy = fs.entropy_with_logits_with_grad(a, axis, reduction="none")
            for one, same in zip((*got, *got_entropy), (*want, *entropy), strict=True):
                np.testing.assert_allclose(one, same, rtol=1e-5, atol=1e-7)
                assert one.shape == same.shape


def test_a_row_does_not_depend_on_the_others(implementation, dtype, rng):
    for n_classes in (3, 40, 300):
        p, q = ((rng.standard_normal((50, n_classes)) * 3).astype(dtype) for _ in range(2))
        q[:5] = p[:5]
        whole = fs.kl_div_with_logits_with_grad(p, q, reduction="none")
        for row in (0, 17, 49):
            alone = fs.kl_div_with_logits_with_grad(
                p[row : row + 1], q[row : row + 1], reduction="none"
            )
            for one, same in zip(alone, whole, strict=True):
                np.testing.assert_array_equal(one[0], same[row])


def test_divergence_gradients_against_differences(rng):
    p, q = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    _, grad_p, grad_q = fs.kl_div_with_logits_with_grad(p, q)
    entropy_grad = fs.entropy_with_logits_with_grad(p)[1]
    for at in np.ndindex(p.shape):
        step = np.zeros_like(p)
        step[at] = 1e-5
        for grad, f in (
            (grad_p, lambda s: fs.kl_div_with_logits(p + s, q)),
            (grad_q, lambda s: fs.kl_div_with_logits(p, q + s)),
            (entropy_grad, lambda s: fs.entropy_with_logits(p + s)),
        ):
            slope = (f(step) - f(-step)) / 2e-5
            assert grad[at] == pytest.approx(slope, rel=1e-5, abs=DIFFERENCES * 1e-3)


def test_arguments():
    x = np.zeros((2, 3))
    with pytest.raises(ValueError, match="q_logits must have the shape of p_logits"):
        fs.kl_div_with_logits(x, x[:, :2])
    with pytest.raises(TypeError, match="q_logits"):
        fs.kl_div_with_logits(x, x.astype(np.float32))
    with pytest.raises(ValueError, match="reduction"):
        fs.entropy_with_logits(x, reduction="batchmean")


ROUNDED_ONCE = 0.501
"""Of a number of 16 bits beside the same in float32: half a unit, and a few of float32."""


@pytest.mark.parametrize("narrow", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((20, 10), 1), ((5, 1000), 1), ((2, 9001), 1), ((40, 20), 0), ((5000, 3), 0)],
)
def test_sixteen_bits_are_computed_in_float32(implementation, rng, narrow, shape, axis):
    p, q = ((rng.standard_normal(shape) * 3).astype(narrow) for _ in range(2))
    wide = p.astype(np.float32), q.astype(np.float32)
    entropy, grad = fs.entropy_with_logits_with_grad(p, axis, reduction="none")
    want, want_grad = fs.entropy_with_logits_with_grad(wide[0], axis, reduction="none")
    assert entropy.dtype == np.float32
    np.testing.assert_array_equal(entropy, want)
    assert ulp_error(grad, want_grad) <= ROUNDED_ONCE
    got = fs.kl_div_with_logits_with_grad(p, q, axis, reduction="none")
    want = fs.kl_div_with_logits_with_grad(*wide, axis, reduction="none")
    np.testing.assert_array_equal(got[0], want[0])
    for one, same in zip(got[1:], want[1:], strict=True):
        assert one.dtype == narrow
        assert ulp_error(one, same) <= ROUNDED_ONCE
