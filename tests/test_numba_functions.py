"""The functions of one row for users' own Numba code: inside it, and from Python."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import oracle
import pytest
from oracle import ulp_error
from tolerances import ULP

numba = pytest.importorskip("numba", reason="Numba is not installed")

from fastsoftmax import numba_functions as nf  # noqa: E402

CLASSES = (1, 2, 10, 31, 32, 33, 200, 5000)


@numba.njit
def all_of(rows, targets, probs, log_probs, grad, lse, losses, losses_alone):
    """Fill an array for each function, row by row."""
    for i in range(len(rows)):
        nf.softmax(rows[i], probs[i])
        log_probs[i] = nf.log_softmax(rows[i])
        lse[i] = nf.logsumexp(rows[i])
        losses[i] = nf.cross_entropy_with_grad(rows[i], targets[i], grad[i])
        losses_alone[i] = nf.cross_entropy(rows[i], targets[i])


def results(rows, targets):
    """Return what every function makes of some rows."""
    arrays = {name: np.empty_like(rows) for name in ("probs", "log_probs", "grad")}
    arrays |= {name: np.empty(len(rows)) for name in ("lse", "losses", "losses_alone")}
    all_of(rows, targets, *arrays.values())
    return arrays


@pytest.mark.parametrize("n_classes", CLASSES)
@pytest.mark.parametrize("spread", [0.0, 3.0, 40.0])
def test_accuracy(dtype, rng, n_classes, spread):
    if dtype == np.float64 and not oracle.HAS_EXTENDED:
        pytest.skip("long double is no wider than double")
    rows = (spread * rng.standard_normal((6, n_classes)) + rng.choice([0, 100])).astype(dtype)
    targets = rng.integers(0, n_classes, 6)
    got, exact = results(rows, targets), oracle.Rows(rows, 1)
    losses, grad, scale = oracle.cross_entropy(rows, targets, 1)
    assert ulp_error(got["probs"], exact.probs) <= ULP
    assert ulp_error(got["log_probs"], -exact.distance - exact.L) <= ULP
    assert ulp_error(got["grad"], grad, scale) <= ULP
    assert ulp_error(got["losses"].astype(dtype), losses) <= ULP
    lse = exact.lse.squeeze(1)
    lse_scale = np.maximum(np.abs(lse), np.abs(rows.max(1)))
    assert ulp_error(got["lse"].astype(dtype), lse, lse_scale) <= ULP
    np.testing.assert_array_equal(got["losses"], got["losses_alone"])


def test_special_values(dtype):
    rows = np.array([[np.nan, 1], [np.inf, 1], [-np.inf, -np.inf], [-np.inf, 1]], dtype)
    got = results(rows, np.array([0, 0, 0, 1]))
    assert np.isnan(got["probs"][:3]).all()
    np.testing.assert_array_equal(got["probs"][3], [0, 1])
    np.testing.assert_array_equal(got["log_probs"][3], [-np.inf, 0])
    np.testing.assert_array_equal(got["lse"], [np.nan, np.inf, -np.inf, 1])
    np.testing.assert_array_equal(got["losses"], [np.nan, np.nan, np.nan, 0])
    assert nf.logsumexp(rows[0, :0]) == -np.inf


def test_strided_and_read_only_rows_and_results_in_place(rng):
    table = rng.standard_normal((50, 6))
    want = nf.softmax(np.ascontiguousarray(table[:, 2]))
    column = table[:, 2]
    column.flags.writeable = False
    np.testing.assert_array_equal(nf.softmax(column), want)
    backwards = nf.softmax(table[::-1, 2])
    np.testing.assert_allclose(backwards[::-1], want, rtol=1e-15)
    assert nf.softmax(table[:, 2], table[:, 2]) is not None
    np.testing.assert_array_equal(table[:, 2], want)


def test_in_parallel_code(rng):
    @numba.njit(parallel=True)
    def of_rows(rows, out):
        for i in numba.prange(len(rows)):
            nf.softmax(rows[i], out[i])

    rows = rng.standard_normal((500, 37)).astype(np.float32)
    out, one_by_one = np.empty_like(rows), np.stack([nf.softmax(row) for row in rows])
    of_rows(rows, out)
    np.testing.assert_array_equal(out, one_by_one)


def test_in_cached_code(tmp_path):
    (tmp_path / "users_code.py").write_text(
        textwrap.dedent("""
            import numba
            from fastsoftmax import numba_functions as nf

            @numba.njit(cache=True)
            def loss_of(logits, target, grad):
                return nf.cross_entropy_with_grad(logits, target, grad) + nf.logsumexp(logits)
        """)
    )
    use = """
        import numpy as np
        import users_code

        grad = np.empty(3)
        loss = users_code.loss_of(np.array([1.0, 2.0, 4.0]), 1, grad)
        print(sum(users_code.loss_of.stats.cache_hits.values()), loss, *grad)
    """
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", textwrap.dedent(use)]
    (first, *results), (second, *again) = (
        subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=True
        ).stdout.split()
        for _ in range(2)
    )
    assert (first, second) == ("0", "1")
    assert results == again
    lse = 4 + np.log1p(np.exp(-2) + np.exp(-3))
    probs = np.exp(np.array([1.0, 2.0, 4.0]) - lse)
    want = [2 * lse - 2, probs[0], probs[1] - 1, probs[2]]
    np.testing.assert_allclose([float(one) for one in results], want, rtol=1e-14)


def test_numbers(rng):
    if not oracle.HAS_EXTENDED:
        pytest.skip("long double is no wider than double")
    x = np.concatenate([rng.standard_normal(200) * 20, [0.0, 40.0, -700.0]])
    sigmoids = np.array([nf.sigmoid(one) for one in x])
    assert ulp_error(sigmoids, 1 / (1 + np.exp(-x.astype(np.longdouble)))) <= ULP
    for y in (0, 0.3, True):
        got = np.array([nf.binary_cross_entropy_with_logits(one, y) for one in x])
        want = oracle.binary_cross_entropy(x, np.full(len(x), float(y)))[0]
        assert ulp_error(got, want) <= ULP


@pytest.mark.parametrize("target", [-1, 3, 2**63, -(2**70), np.uint64(2**63)])
def test_a_target_out_of_range(target):
    with pytest.raises(IndexError, match="target must be in"):
        nf.cross_entropy(np.zeros(3), target)
    with pytest.raises(IndexError, match="target must be in"):
        nf.cross_entropy_with_grad(np.zeros(3), target, np.zeros(3))


def test_bad_arguments():
    row = np.zeros(3)
    for bad in (np.zeros((2, 2)), np.zeros(3, int), 1.0, [1.0, 2.0]):
        with pytest.raises(TypeError, match="logits must be a one-dimensional array of float32"):
            nf.logsumexp(bad)
    nf.softmax(row)
    for dtype in (np.float32, np.float64):  # once compiled, it would take them for native ones
        foreign = np.zeros(3, np.dtype(dtype).newbyteorder())
        with pytest.raises(TypeError, match="logits must be in native byte order, got"):
            nf.softmax(foreign)
        with pytest.raises(TypeError, match="out must be in native byte order, got"):
            nf.softmax(row, foreign)
    with pytest.raises(TypeError, match="logits must have no masked values"):
        nf.softmax(np.ma.masked_array(row, [1, 0, 0]))
    with pytest.raises(TypeError, match="logits must be a plain array, got the subclass matrix"):
        nf.softmax(np.zeros((1, 3)).view(np.matrix))
    with pytest.raises(TypeError, match="target must be an integer"):
        nf.cross_entropy(row, 1.0)
    with pytest.raises(TypeError, match="out must be a writable array of float64"):
        nf.softmax(row, np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="out must have the length of logits"):
        nf.softmax(row, np.zeros(4))
    with pytest.raises(ValueError, match="grad must have the length of logits"):
        nf.cross_entropy_with_grad(row, 1, np.zeros(4))
    with pytest.raises(TypeError, match="missing a required argument"):
        nf.cross_entropy(row)
