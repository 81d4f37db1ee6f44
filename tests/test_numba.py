"""What is Numba's own: forks, concurrent callers, the cache, the serial and parallel twins."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

pytest.importorskip("numba", reason="Numba is not installed")

from fastsoftmax._backends import LossOptions, _numba_driver, numba_impl

DTYPES = (np.float32, np.float64)
SHAPES = [(400, 7, 1), (300, 100, 1), (5, 20_000, 1), (6, 50, 40), (3, 5_000, 9)]


def run_python(code, **environment):
    """Run code in a process of its own and return what it printed."""
    env = {**os.environ, "PYTHONWARNINGS": "error", **environment}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def logits(shape, dtype, seed=0):
    return (5 * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def results(x, n_threads):
    """Return what every operation writes for x, as one dict of arrays."""
    rng = np.random.default_rng(1)
    outer, n_classes, inner = x.shape
    targets = rng.integers(0, n_classes, (outer, inner))
    probabilities = rng.random(x.shape).astype(x.dtype)
    out = {
        name: np.empty_like(x) for name in ("p", "log_p", "backward", "grad", "dense", "sigmoid")
    }
    out["lse"] = np.empty((outer, inner), x.dtype)
    out["losses"], out["dense_losses"] = np.empty((2, outer, inner))
    out["binary"] = np.empty((outer, n_classes * inner))
    numba_impl.softmax(x, out["p"], None, 0.7, n_threads)
    numba_impl.log_softmax(x, out["log_p"], None, 1.0, n_threads)
    numba_impl.logsumexp(x, out["lse"], None, n_threads)
    numba_impl.softmax_backward(x, out["p"], out["backward"], n_threads)
    options = LossOptions(grad_scale=0.3)
    numba_impl.cross_entropy(x, targets, out["losses"], out["grad"], options, n_threads)
    options = LossOptions(label_smoothing=0.1, z_loss=0.01, temperature=2.0)
    numba_impl.cross_entropy(
        x, probabilities, out["dense_losses"], out["dense"], options, n_threads
    )
    numba_impl.sigmoid(x.reshape(-1), out["sigmoid"].reshape(-1), n_threads)
    rows, labels = x.reshape(outer, -1), (x > 0).reshape(outer, -1).astype(x.dtype)
    numba_impl.binary_cross_entropy(rows, labels, out["binary"], None, None, None, 1.0, n_threads)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_same_bits_from_the_serial_and_the_parallel_twin(shape, dtype):
    x = logits(shape, dtype)
    serial = results(x, 1)
    for n_threads in (2, 3, 64):
        for name, array in results(x, n_threads).items():
            np.testing.assert_array_equal(array.view(np.uint8), serial[name].view(np.uint8), name)


def test_the_thread_count_is_restored():
    import numba

    before = numba.get_num_threads()
    results(logits((300, 100, 1), np.float32), 2)
    assert numba.get_num_threads() == before


def test_a_taken_team_sends_the_caller_down_the_serial_path(monkeypatch):
    def unexpected(*arguments):
        raise AssertionError("the parallel twin ran while its lock was taken")

    monkeypatch.setattr(_numba_driver, "_parallel", unexpected)
    x = logits((300, 1000, 1), np.float32)
    out = np.empty_like(x)
    with _numba_driver._team:
        numba_impl.softmax(x, out, None, 1.0, 2)
    np.testing.assert_allclose(out.sum(1), 1, rtol=1e-6)
    assert not _numba_driver._team.locked()


def test_the_team_is_released_after_an_error(monkeypatch):
    def failing(*arguments):
        raise MemoryError

    monkeypatch.setattr(_numba_driver, "_parallel", failing)
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", 2)
    x = logits((300, 1000, 1), np.float32)
    with pytest.raises(MemoryError):
        numba_impl.softmax(x, np.empty_like(x), None, 1.0, 2)
    assert not _numba_driver._team.locked()


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_concurrent_callers(layer):
    code = """
        import concurrent.futures
        import numpy as np
        from fastsoftmax._backends import numba_impl

        x = np.random.default_rng(0).standard_normal((400, 1000, 1)).astype(np.float32)
        want = np.empty_like(x)
        numba_impl.softmax(x, want, None, 1.0, 1)

        def call(_):
            out = np.empty_like(x)
            numba_impl.softmax(x, out, None, 1.0, 2)
            return np.array_equal(out, want)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            print(sum(pool.map(call, range(200))))
    """
    assert run_python(code, NUMBA_THREADING_LAYER=layer).strip() == "200"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_forked_child_computes(layer):
    code = """
        import os
        import warnings
        import numpy as np
        from fastsoftmax._backends import numba_impl

        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        x = np.random.default_rng(0).standard_normal((400, 1000, 1)).astype(np.float32)
        want, out = np.empty_like(x), np.empty_like(x)
        numba_impl.softmax(x, want, None, 1.0, 2)
        child = os.fork()
        if child == 0:
            numba_impl.softmax(x, out, None, 1.0, 2)
            os._exit(0 if np.array_equal(out, want) else 1)
        print(os.waitpid(child, 0)[1])
    """
    assert run_python(code, NUMBA_THREADING_LAYER=layer).strip() == "0"


USE = """
    import numpy as np
    from fastsoftmax._backends import _numba_driver, numba_impl

    x = np.ones((2, 3, 1), np.float32)
    out = np.empty_like(x)
    numba_impl.softmax(x, out, None, 1.0, 1)
    assert np.allclose(out, 1 / 3)
"""


def test_machine_code_is_cached(tmp_path):
    hits = "print(sum(_numba_driver._serial.stats.cache_hits.values()))"
    code = textwrap.dedent(USE) + hits
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "0"
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "1"


def test_without_a_directory_for_the_cache(tmp_path):
    nowhere = """
        from numba.core.caching import CacheImpl

        CacheImpl._locator_classes = []
    """
    told = (
        textwrap.dedent(nowhere)
        + textwrap.dedent(USE)
        + "print(_numba_driver._serial.stats.cache_path)"
    )
    assert run_python(told).strip() == "None"


def test_a_cache_that_cannot_be_written():
    def kernel(*arguments):
        kernel.calls += 1
        if kernel.calls == 1:
            raise OSError("No space left on device")

    kernel.calls = 0
    _numba_driver._launch(kernel, 1)
    assert kernel.calls == 2


def test_importing_the_library_does_not_import_numba():
    assert run_python("import fastsoftmax, sys; print('numba' in sys.modules)").strip() == "False"


def test_without_numba_the_error_says_what_to_install():
    code = """
        import sys

        sys.modules["numba"] = None
        import fastsoftmax

        try:
            fastsoftmax.use_backend("numba")
        except ImportError as error:
            print(error)
    """
    assert 'pip install "fastsoftmax[numba]"' in run_python(code)


def test_without_the_compiler_the_error_says_why():
    code = """
        import fastsoftmax

        try:
            fastsoftmax.use_backend("numba")
        except ImportError as error:
            print(error)
    """
    assert "NUMBA_DISABLE_JIT" in run_python(code, NUMBA_DISABLE_JIT="1")


def test_read_only_arrays_share_the_compiled_code():
    x = logits((4, 30, 1), np.float32)
    numba_impl.softmax(x, np.empty_like(x), None, 1.0, 1)
    n_compiled = len(_numba_driver._serial.signatures)
    x.flags.writeable = False
    numba_impl.softmax(x, np.empty_like(x), None, 1.0, 1)
    assert len(_numba_driver._serial.signatures) == n_compiled


def test_a_target_that_turns_bad_gives_a_row_of_nan():
    x = logits((3, 100, 1), np.float64)
    losses, grad = np.empty((3, 1)), np.empty_like(x)
    numba_impl.cross_entropy(x, np.array([[0], [100], [-1]]), losses, grad, LossOptions(), 1)
    assert np.isfinite(losses[0]).all()
    assert np.isnan(losses[1:]).all()
    assert np.isfinite(grad[0]).all()
    assert np.isnan(grad[1:]).all()
