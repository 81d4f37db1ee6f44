"""Results of one to 32 KB: the memory of dead ones serves the next, and they are arrays like any other."""

import os
import pickle
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import fastsoftmax as fs
from fastsoftmax._threads import runtime

x = np.linspace(-3, 3, 320, dtype=np.float32).reshape(32, 10)  # 1280 bytes

if not sys.platform.startswith("linux") or fs.backend_info()["result_pool"]["limit"] == 0:
    pytest.skip("this build keeps no memory of small results", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("empty_pool")


def held():
    return fs.backend_info()["result_pool"]["held"]


def test_memory_is_used_again():
    first = fs.softmax(x)
    address = runtime.address(first)
    assert address % 64 == 0
    assert held() == 0
    del first
    assert held() == 2048
    assert runtime.address(fs.log_softmax(x)) == address


def test_memory_that_realloc_has_moved_does_not_serve_results():
    results = [fs.softmax(x) for _ in range(40)]
    for result in results:
        result.resize((3, 10), refcheck=False)
    fill = [bytes(900 + 8 * k) for k in range(60)]
    for result in results:
        result.resize((52, 10), refcheck=False)
    del result, results, fill
    assert all(runtime.address(fs.softmax(x)) % 64 == 0 for _ in range(8))


@pytest.mark.parametrize("n_bytes", [1020, 1024, 32_764, 32_768, 262_140])
def test_sizes(n_bytes):
    result = fs.sigmoid(np.zeros((1, n_bytes // 4), np.float32))
    is_small = 1024 <= n_bytes < 32_768
    assert get_handler_name(result) == ("fastsoftmax_small" if is_small else "default_allocator")


@pytest.mark.parametrize("call", [
    lambda x: fs.softmax(x), lambda x: fs.softmax(x, axis=0), lambda x: fs.softmax(np.asfortranarray(x)),
    lambda x: fs.softmax(x[None]), lambda x: fs.softmax(x.astype(np.float16).repeat(2, axis=0)),
    lambda x: fs.sigmoid(x), lambda x: fs.cross_entropy_with_grad(x, np.zeros(len(x), int))[1],
    lambda x: fs.softmax_backward(x, x), lambda x: fs.softmax(x.tolist()),
    lambda x: fs.entropy_with_logits_with_grad(x)[1],
])  # fmt: skip
def test_every_small_result_is_such_an_array(call):
    result = call(x)
    owner = result if result.base is None else result.base
    assert get_handler_name(owner) == "fastsoftmax_small"
    assert result.flags.aligned
    assert result.flags.writeable
    assert result.flags.c_contiguous or result.flags.f_contiguous
    assert np.isfinite(result).all()


def test_results_are_plain_arrays():
    result = fs.softmax(x)
    expected = result.copy()
    assert result.flags.owndata
    assert result.base is None
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(result)), result)
    for rows in (20, 3000, 1, 40, 0, 32):  # smaller and larger than what is kept, and back
        result.resize((rows, 10), refcheck=False)
        np.testing.assert_array_equal(result[:32], expected[:rows])
        result[...] = 1
        result.resize((32, 10), refcheck=False)
        result[...] = expected
    del result
    np.testing.assert_array_equal(fs.softmax(x), expected)


def test_what_was_resized_is_not_taken_for_more_than_it_has_room_for():
    results = [fs.softmax(x) for _ in range(20)]
    for i, result in enumerate(results):
        result.resize((1 + i, 7), refcheck=False)
    del result, results
    kept = [fs.sigmoid(np.full((n, 1), 0.0, np.float32)) for n in range(256, 2000, 100)]
    for result in kept:
        assert (result == 0.5).all()


def test_what_numpy_allocates_is_numpys():
    large = fs.softmax(np.zeros((2_000, 1_000)))
    assert get_handler_name(fs.softmax(np.zeros((2, 3)))) == "default_allocator"
    assert get_handler_name(np.empty_like(x)) == "default_allocator"
    assert get_handler_name(np.add(fs.softmax(x), 1)) == "default_allocator"
    assert get_handler_name() == "default_allocator"
    assert large.flags.owndata


def test_a_state_that_is_set_frees_and_allocates_by_the_same_handler():
    result = fs.softmax(x)
    state = np.arange(5000.0).__reduce__()[2]
    result.__setstate__(state)
    np.testing.assert_array_equal(result, np.arange(5000.0))
    del result
    assert (fs.softmax(np.zeros((40, 20))) == 0.05).all()


def test_results_that_live_are_not_touched():
    results = [fs.softmax(x + i) for i in range(40)]
    copies = [result.copy() for result in results]
    del results[::3], copies[::3]
    others = [fs.sigmoid(x * i) for i in range(40)]
    for result, copy in zip(results, copies, strict=True):
        np.testing.assert_array_equal(result, copy)
    assert len({runtime.address(result) for result in results + others}) == len(results + others)


def test_a_pool_of_nothing_keeps_nothing():
    results = [fs.softmax(x) for _ in range(3)]
    with fs.set_result_pool(0):
        del results
        assert held() == 0
        assert get_handler_name(fs.softmax(x)) == "default_allocator"
    assert get_handler_name(fs.softmax(x)) == "fastsoftmax_small"


def test_what_is_held_is_bounded():
    for rows in range(26, 820, 3):
        results = [fs.softmax(np.zeros((rows, 10), np.float32)) for _ in range(8)]
        del results
    assert 100_000 < held() < 1_200_000


def test_tracemalloc_counts_results():
    fs.softmax(x)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        results = [fs.softmax(x) for _ in range(100)]
        grown = tracemalloc.get_traced_memory()[0] - before
        assert grown >= 100 * x.nbytes
        domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        traces = tracemalloc.take_snapshot().filter_traces([domain]).traces
        assert sum(trace.size for trace in traces) >= 100 * x.nbytes
        del results
        assert tracemalloc.get_traced_memory()[0] - before < grown / 2
    finally:
        tracemalloc.stop()


def test_many_threads_and_sizes():
    failures = []

    def work(seed):
        random = np.random.default_rng(seed)
        kept = []
        for _ in range(3000):
            n = int(random.integers(20, 900))
            value = np.float32(random.integers(4, 40))
            probs = fs.softmax(np.full((n, 10), value))
            kept.append((value, probs, fs.sigmoid(np.full(n, value))))
            if len(kept) > 6:
                value, probs, sigmoids = kept.pop(int(random.integers(6)))
                if not ((probs == np.float32(0.1)).all() and (sigmoids == fs.sigmoid(value)).all()):
                    failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_memory_of_its_own():
    code = """if True:
        import os, numpy as np, fastsoftmax as fs
        x = np.zeros((32, 10), np.float32)
        results = [fs.softmax(x) for _ in range(4)]
        del results
        child = os.fork()
        for i in range(200):
            kept = [fs.softmax(x + k) for k in range(6)]
            assert all((result == np.float32(0.1)).all() for result in kept)
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print("right")
    """
    run = [sys.executable, "-W", "ignore", "-c", code]
    result = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout == "right\n"


def test_interpreter_exit_with_results_alive():
    code = """if True:
        import numpy as np, fastsoftmax as fs, builtins
        builtins.kept = [fs.softmax(np.zeros((32, 10), np.float32)) for _ in range(10)]
        import sys; sys.kept = builtins.kept[3:]
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
