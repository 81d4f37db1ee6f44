"""Results from the pool: they own their data as ever, and what dies serves the next one."""

import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import fastsoftmax as fs
from fastsoftmax._threads import runtime

if fs.backend_info()["result_pool"]["limit"] == 0:
    pytest.skip("this build has no pool of results", allow_module_level=True)

LARGE = (2_000, 1_000)  # 8 MB


pytestmark = pytest.mark.usefixtures("empty_pool")


def held():
    return fs.backend_info()["result_pool"]["held"]


def large(dtype=np.float32):
    return np.zeros(LARGE, dtype)


def test_memory_is_used_again():
    x = large()
    first = fs.softmax(x)
    address = runtime.address(first)
    assert held() == 0
    del first
    assert held() >= x.nbytes
    assert runtime.address(fs.softmax(x)) == address


@pytest.mark.parametrize("call", [
    lambda x: fs.softmax(x), lambda x: fs.log_softmax(x, temperature=2.0), lambda x: fs.softmax(x, axis=0),
    lambda x: fs.sigmoid(x), lambda x: fs.cross_entropy_with_grad(x, np.zeros(len(x), int))[1],
    lambda x: fs.softmax_backward(x, x), lambda x: fs.softmax(np.asfortranarray(x)),
    lambda x: fs.linear_cross_entropy_with_grad(x, x[:50], np.zeros(len(x), int))[1],
])  # fmt: skip
def test_every_large_result_comes_from_the_pool(call):
    result = call(large())
    owner = result if result.base is None else result.base
    assert get_handler_name(owner) == "fastsoftmax_pool"
    assert np.isfinite(result).all()


def test_results_are_plain_arrays():
    x = large()
    result = fs.softmax(x)
    assert result.flags.owndata
    assert result.flags.writeable
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(result)), result)
    expected = result[:1500].copy()
    result.resize((1500, 1000), refcheck=False)
    np.testing.assert_array_equal(result, expected)
    result.resize((6000, 1000), refcheck=False)
    np.testing.assert_array_equal(result[:1500], expected)
    assert not result[1500:].any()
    np.testing.assert_array_equal(fs.softmax(x)[:1500], expected)


def test_small_results_and_other_handlers_are_numpys():
    assert get_handler_name(fs.softmax(np.zeros((2, 3)))) == "default_allocator"
    assert get_handler_name(np.zeros(LARGE)) == "default_allocator"
    fs.softmax(large())
    assert get_handler_name() == "default_allocator"
    assert get_handler_name(np.empty(LARGE)) == "default_allocator"


def test_results_that_live_are_not_touched():
    x = np.arange(2_000_000, dtype=np.float64).reshape(LARGE)
    results = [fs.softmax(x + i * 1e-3) for i in range(4)]
    copies = [result.copy() for result in results]
    for _ in range(5):
        fs.softmax(x[::-1].copy())
    for result, copy in zip(results, copies, strict=True):
        np.testing.assert_array_equal(result, copy)


def test_the_limit():
    x = large()
    with fs.set_result_pool(10 << 20):
        results = [fs.softmax(x) for _ in range(4)]
        del results
        assert 0 < held() <= 10 << 20
        with fs.set_result_pool(0):
            assert fs.backend_info()["result_pool"] == {"limit": 0, "held": 0}
            result = fs.softmax(x)
            assert get_handler_name(result) == "default_allocator"
        assert fs.backend_info()["result_pool"]["limit"] == 10 << 20
    assert fs.backend_info()["result_pool"]["limit"] > 10 << 20
    for bad, kind in ((-1, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)):
        with pytest.raises(kind, match="limit must be"):
            fs.set_result_pool(bad)
    fs.set_result_pool(10**30)


def eventually_empty(seconds=30):
    """Wait until nothing is held; returns whether that came."""
    end = time.monotonic() + seconds
    while held() and time.monotonic() < end:
        time.sleep(0.05)
    return held() == 0


@pytest.mark.parametrize("n_threads", [1, None])
def test_what_nobody_wants_goes_back_with_and_without_a_team(n_threads):
    fs.softmax(large(), n_threads=n_threads)
    assert held() > 0
    assert eventually_empty()


def test_what_dies_during_a_call_goes_back():
    result, x = fs.softmax(large()), np.zeros((3, 1 << 22), np.float32)
    call = threading.Thread(target=fs.top_k_softmax, args=(x, 3))
    call.start()
    del result
    call.join()
    assert eventually_empty()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_holds_nothing():
    fs.softmax(large())
    assert held() > 0
    child = os.fork()
    if child == 0:
        before = held()
        fs.softmax(large(), n_threads=1)
        os._exit(0 if before == 0 and held() > 0 and eventually_empty() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert eventually_empty()


def test_kept_memory_is_for_numbers():
    with pytest.raises(TypeError, match="dtype must hold numbers, got object"):
        runtime.empty(3, object)
    with pytest.raises(TypeError, match="array must hold numbers, got dtype object"):
        runtime.empty_like(np.array([None]))


def test_what_was_used_last_stays():
    with fs.set_result_pool(20 << 20):
        a, b, c = fs.softmax(large()), fs.softmax(large(np.float64)), fs.softmax(large())
        del a
        del b  # together more than the limit: a goes
        assert held() <= 20 << 20
        address = runtime.address(c)
        del c
        assert runtime.address(fs.softmax(large())) == address


def traced():
    """Return the bytes of arrays that tracemalloc knows of: other threads allocate other things, too."""
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)


def test_tracemalloc_counts_results():
    x = large()
    tracemalloc.start()
    try:
        before = traced()
        result = fs.softmax(x)
        assert traced() - before >= result.nbytes
        del result
        gc.collect()
        assert traced() - before < 100_000
    finally:
        tracemalloc.stop()


def test_many_threads_and_sizes(rng):
    sizes = [(rng.integers(300, 3000), 300) for _ in range(12)]
    failures = []

    def work(seed):
        random = np.random.default_rng(seed)
        kept = []
        for _ in range(60):
            rows, classes = sizes[random.integers(len(sizes))]
            value = fs.softmax(np.full((rows, classes), seed, np.float32))
            kept.append(value)
            if len(kept) > 3:
                kept.pop(random.integers(3))
            if not all((array == np.float32(1 / 300)).all() for array in kept):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_sizes_that_no_memory_has():
    with pytest.raises((MemoryError, ValueError)):
        runtime.empty((1 << 40, 1 << 20))
    with pytest.raises((MemoryError, ValueError)):
        runtime.empty((sys.maxsize, 8))
    assert runtime.empty((0, 5)).shape == (0, 5)
    assert runtime.zeros((3, 200_000)).sum() == 0


@pytest.mark.counts_resources
@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs Linux")
def test_many_results_leave_mappings_to_others():
    """Linux has 65530 of them for a process; who asks for more gets no thread, and frees in vain."""
    code = """
        import os, threading
        import fastsoftmax as fs
        from fastsoftmax._threads import runtime

        def maps():
            return sum(1 for _ in open("/proc/self/maps"))

        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        before = resident()
        held = [runtime.empty(1 << 18, "u1") for _ in range(40_000)]
        assert maps() < 40_000, maps()
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        for one in held[::40]:
            one[:] = 1
        while held:
            held.pop()
        del one
        fs.set_result_pool(0)
        assert maps() < 1_000, maps()
        assert resident() - before < 64 << 20, resident() - before
        print("done")
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("dtype", ["S", "U", "V"])
def test_dtypes_without_a_size(dtype):
    for make in (runtime.empty, runtime.zeros):
        assert make(3, dtype).shape == np.empty(3, dtype).shape
