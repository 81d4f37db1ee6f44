"""What is Numba's own: helpers, forks, concurrent callers, the cache."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

pytest.importorskip("numba", reason="Numba is not installed")

import fastsoftmax as fs
from fastsoftmax import functional
from fastsoftmax._backends import LossOptions, numba_impl
from fastsoftmax._backends.numba_impl import _run, _softmax

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
def test_same_bits_from_any_number_of_threads(monkeypatch, shape, dtype):
    x = logits(shape, dtype)
    alone = results(x, 1)
    monkeypatch.setattr(_run, "_SHARED_TURN_ELEMENTS", 1 << 8)
    for n_threads in (2, 3, 64):
        for name, array in results(x, n_threads).items():
            np.testing.assert_array_equal(array.view(np.uint8), alone[name].view(np.uint8), name)


class Kernel:
    """Remembers which tiles were computed, and by how many threads; waits until as many have come as it should see."""

    signatures = ("compiled",)

    def __init__(self, n_threads=1):
        self.tiles, self.threads = [], set()
        self.all_came = threading.Barrier(n_threads)

    def __call__(self, start, stop, scratch):
        if threading.get_ident() not in self.threads:
            self.threads.add(threading.get_ident())
            self.all_came.wait(60)
        self.tiles.extend(range(start, stop))


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_tile_is_computed_once(n_threads):
    kernel = Kernel(n_threads)
    _run.run(kernel, 999, _run._SHARED_TURN_ELEMENTS, 1, n_threads, ())
    assert sorted(kernel.tiles) == list(range(999))
    assert len(kernel.threads) == n_threads


def test_small_calls_stay_in_the_calling_thread():
    kernel = Kernel()
    _run.run(kernel, 10, _run._SHARED_TURN_ELEMENTS // 10, 1, 8, ())
    assert kernel.threads == {threading.get_ident()}


@pytest.mark.parametrize("where", ["caller", "helper"])
def test_an_error_ends_the_call(where):
    class Failing(Kernel):
        def __call__(self, start, stop, scratch):
            super().__call__(start, stop, scratch)
            if (threading.get_ident() == caller) == (where == "caller"):
                raise MemoryError

    caller, kernel = threading.get_ident(), Failing(2)
    with pytest.raises(MemoryError):
        _run.run(kernel, 999, _run._SHARED_TURN_ELEMENTS, 1, 2, ())
    n_computed = len(kernel.tiles)
    _run.run(Kernel(2), 999, _run._SHARED_TURN_ELEMENTS, 1, 2, ())
    assert len(kernel.tiles) == n_computed


def test_concurrent_callers():
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
    assert run_python(code).strip() == "200"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_computes():
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
    assert run_python(code).strip() == "0"


USE = """
    import numpy as np
    from fastsoftmax._backends import numba_impl
    from fastsoftmax._backends.numba_impl import _softmax

    x = np.ones((2, 3, 1), np.float32)
    out = np.empty_like(x)
    numba_impl.softmax(x, out, None, 1.0, 1)
    assert np.allclose(out, 1 / 3)
"""


def test_machine_code_is_cached(tmp_path):
    hits = "print(sum(_softmax.softmax.stats.cache_hits.values()))"
    code = textwrap.dedent(USE) + hits
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "0"
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "1"


def test_without_a_directory_for_the_cache(tmp_path):
    nowhere = """
        from numba.core.caching import CacheImpl

        CacheImpl._locator_classes = []
    """
    told = (
        textwrap.dedent(nowhere) + textwrap.dedent(USE) + "print(_softmax.softmax.stats.cache_path)"
    )
    assert run_python(told).strip() == "None"


def test_a_cache_that_cannot_be_written():
    def kernel(*arguments):
        kernel.calls += 1
        if kernel.calls == 1:
            raise OSError("No space left on device")

    kernel.calls = 0
    _run.launch(kernel, 1)
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
    n_compiled = len(_softmax.softmax.signatures)
    x.flags.writeable = False
    numba_impl.softmax(x, np.empty_like(x), None, 1.0, 1)
    assert len(_softmax.softmax.signatures) == n_compiled


def test_a_target_that_turns_bad_gives_a_row_of_nan():
    x = logits((3, 100, 1), np.float64)
    losses, grad = np.empty((3, 1)), np.empty_like(x)
    numba_impl.cross_entropy(x, np.array([[0], [100], [-1]]), losses, grad, LossOptions(), 1)
    assert np.isfinite(losses[0]).all()
    assert np.isnan(losses[1:]).all()
    assert np.isfinite(grad[0]).all()
    assert np.isnan(grad[1:]).all()


ROWS = {"softmax", "log_softmax", "logsumexp"}
PLAIN = sorted(numba_impl.plain_calls)


def plain_arguments(name, shape, dtype):
    x = logits(shape, dtype)
    targets = np.random.default_rng(1).integers(0, shape[-1], shape[:-1])
    return (x,) if name in ROWS else (x, targets)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (1, 1), (32, 10), (3, 4, 5), (2, 700), (300, 1000)])
@pytest.mark.parametrize("name", PLAIN)
def test_plain_calls_give_the_bits_of_the_general_path(name, shape, dtype):
    arguments = plain_arguments(name, shape, dtype)
    if shape == (5,) and name not in ROWS:
        arguments = arguments[0], np.array(int(arguments[1]))
    with fs.use_backend("numba"):
        got = numba_impl.plain_calls[name](*arguments)
        want = getattr(fs, name)(*arguments, n_threads=1)  # an option: not plain
        called = getattr(fs, name)(*arguments)
    results = [one if isinstance(one, tuple) else (one,) for one in (got, want, called)]
    for one, other, last in zip(*results, strict=True):
        assert type(one) is type(other) is type(last)
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(last, other)


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_not_plain_is_left_to_the_general_path(name):
    x, *targets = plain_arguments(name, (4, 6), np.float32)
    call = numba_impl.plain_calls[name]
    for other in (
        x.T,
        x[:, ::2],
        x.tolist(),
        x.astype(np.float16),
        x.astype(">f4"),
        x[:0],
        x[0, 0],
    ):
        assert call(other, *targets) is None
    if targets:
        for bad in (targets[0][:2], targets[0].astype(float), targets[0] - 7, targets[0].tolist()):
            assert call(x, bad) is None
        assert call(np.full_like(x, np.nan), *targets) is None


@pytest.mark.parametrize("name", PLAIN)
def test_errors_of_plain_calls(name):
    function = getattr(functional, name)
    x, *targets = plain_arguments(name, (4, 6), np.float32)
    with fs.use_backend("numba"):
        for arguments, keywords in [
            ((x, *targets), {"unknown": None}),
            ((x, *targets, -1, None), {}),
            ((), {}),
        ]:
            with pytest.raises(TypeError):
                function(*arguments, **keywords)
        if targets:
            with pytest.raises(IndexError, match="got 6 at row 2"):
                function(x, np.array([0, 1, 6, 7]))


def test_a_plain_call_needs_the_defaults(monkeypatch):
    x, seen = logits((4, 6), np.float32), []
    with fs.use_backend("numba"):
        monkeypatch.setitem(numba_impl.plain_calls, "softmax", lambda x: seen.append(x))
        for keywords in ({}, {"axis": -1}, {"temperature": 1.0, "out": None}):
            fs.softmax(x, **keywords)
        assert len(seen) == 3
        for keywords in ({"axis": 0}, {"temperature": 2.0}, {"where": x > 0}, {"n_threads": 1}):
            fs.softmax(x, **keywords)
        fs.softmax(x, 0)
    assert len(seen) == 3
