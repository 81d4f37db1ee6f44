"""Threads change no bit; forked children, concurrent callers and Ctrl-C are served."""

import math
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax import _compiled, _dispatch, _threads

SHAPES = [(20_000, 10), (700, 300), (40, 30_000), (3, 128_256), (1, 500_000)]


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_do_not_depend_on_threads(implementation, dtype, rng, shape):
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    targets = rng.integers(0, shape[1], shape[0])
    serial = fs.softmax(x, n_threads=1)
    log_serial = fs.log_softmax(x, n_threads=1)
    lse = fs.logsumexp(x, n_threads=1)
    loss, grad = fs.cross_entropy_with_grad(x, targets, n_threads=1)
    for n_threads in (2, 3, 8):
        np.testing.assert_array_equal(fs.softmax(x, n_threads=n_threads), serial)
        np.testing.assert_array_equal(fs.log_softmax(x, n_threads=n_threads), log_serial)
        np.testing.assert_array_equal(fs.logsumexp(x, n_threads=n_threads), lse)
        again, again_grad = fs.cross_entropy_with_grad(x, targets, n_threads=n_threads)
        assert again == loss
        np.testing.assert_array_equal(again_grad, grad)
        assert fs.cross_entropy(x, targets, n_threads=n_threads) == loss


def test_columns_in_threads(implementation, rng):
    x = rng.standard_normal((50, 3_000)).astype(np.float32)
    np.testing.assert_array_equal(fs.softmax(x, 0, n_threads=2), fs.softmax(x, 0, n_threads=1))


def run_python(code, **environment):
    """Run a program in a fresh interpreter and return its output."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_a_forked_child_computes(backend):
    code = """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import numpy as np, fastsoftmax as fs
        x = np.random.default_rng(0).standard_normal((4000, 100)).astype("f")
        want, n_threads = fs.softmax(x, n_threads=2), fs.get_num_threads()
        child = os.fork()
        if child == 0:
            same = np.array_equal(fs.softmax(x, n_threads=2), want)
            like_its_parent = fs.get_num_threads() == n_threads
            os._exit(0 if same and like_its_parent else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert np.array_equal(fs.softmax(x, n_threads=2), want)
        print("both computed")
    """
    assert run_python(code, FASTSOFTMAX_BACKEND=backend) == "both computed\n"


def test_concurrent_callers(implementation, rng):
    x = rng.standard_normal((3_000, 100)).astype(np.float32)
    want = fs.softmax(x, n_threads=1)
    failures = []

    def call():
        for _ in range(20):
            if not np.array_equal(fs.softmax(x, n_threads=2), want):
                failures.append(threading.get_ident())

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


def test_targets_changed_by_another_thread_cause_no_stray_access(rng):
    x = rng.standard_normal((2_000, 50)).astype(np.float32)
    targets = rng.integers(0, 50, 2_000)
    stop = threading.Event()

    def spoil():
        while not stop.is_set():
            targets[::7] = 2**40
            targets[::7] = 3

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    try:
        for _ in range(200):
            try:
                loss, grad = fs.cross_entropy_with_grad(x, targets, reduction="none")
            except IndexError:
                continue
            assert np.isnan(loss).sum() == np.isnan(grad).any(axis=1).sum()
    finally:
        stop.set()
        spoiler.join()


def test_ctrl_c_ends_a_long_call():
    code = """
        import os, signal, threading, time
        import numpy as np, fastsoftmax as fs
        signal.signal(signal.SIGINT, signal.default_int_handler)
        x = np.zeros((600, 200_000), np.float32)
        out = np.empty_like(x)
        threading.Timer(0.01, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                fs.softmax(x, out=out)
        except KeyboardInterrupt:
            print("stopped")
        assert fs.softmax(np.zeros((400, 100), np.float32), n_threads=2)[0, 0] == np.float32(0.01)
    """
    assert run_python(code) == "stopped\n"


def test_set_num_threads():
    before = fs.get_num_threads()
    is_serial = _compiled.IS_COMPILED and not fs.backend_info()["openmp"]["built"]
    with fs.set_num_threads(3):
        assert fs.get_num_threads() == (1 if is_serial else 3)
        decided_by = "built without OpenMP" if is_serial else "set_num_threads"
        assert fs.backend_info()["threads_reason"] == decided_by
    assert fs.get_num_threads() == before
    fs.set_num_threads(1)
    assert fs.get_num_threads() == 1
    for bad, kind in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(kind, match="n must be"):
            fs.set_num_threads(bad)


@pytest.mark.parametrize("n", [2**31, 10**30])
def test_more_threads_than_a_machine_can_start(n):
    x = np.zeros((400, 100), np.float32)
    assert _dispatch.threads_for(x.size, n) == _threads.MAX_THREADS
    with fs.set_num_threads(n):
        assert fs.get_num_threads() <= _threads.MAX_THREADS
        np.testing.assert_array_equal(fs.softmax(x), fs.softmax(x, n_threads=n))


def test_small_work_stays_in_the_calling_thread():
    assert _dispatch.threads_for(100, 8) == 1
    assert _dispatch.threads_for(10**6, 8) == 8


def test_omp_num_threads():
    code = (
        "import fastsoftmax as fs; print(fs.get_num_threads(), fs.backend_info()['threads_reason'])"
    )
    assert run_python(code, OMP_NUM_THREADS="1") in (
        "1 OMP_NUM_THREADS or threadpoolctl\n", "1 CPU affinity\n", "1 built without OpenMP\n",
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity():
    code = """
        import os, fastsoftmax as fs
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        print(fs.get_num_threads())
    """
    assert run_python(code) == "1\n"


def test_threadpoolctl_limits_are_obeyed():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    if not fs.backend_info()["openmp"]["built"]:
        pytest.skip("built without OpenMP")
    with threadpoolctl.threadpool_limits(1):
        assert fs.get_num_threads() == 1


def test_the_environment_of_other_libraries_is_left_alone():
    code = "import os; before = dict(os.environ); import fastsoftmax; print(os.environ == before)"
    assert run_python(code) == "True\n"


def test_cgroup_quotas(tmp_path):
    membership = tmp_path / "cgroup"
    inner = tmp_path / "fs" / "a" / "b"
    inner.mkdir(parents=True)
    membership.write_text("0::/a/b\n")
    quota = lambda: _threads._cgroup_quota(str(tmp_path / "fs"), str(membership))  # noqa: E731
    assert quota() == math.inf
    (inner / "cpu.max").write_text("max 100000\n")
    assert quota() == math.inf
    (inner / "cpu.max").write_text("350000 100000\n")
    assert quota() == 4
    (tmp_path / "fs" / "a" / "cpu.max").write_text("50000 100000\n")
    assert quota() == 1
    (tmp_path / "fs" / "a" / "cpu.max").write_text("nonsense")
    assert quota() == 4
    old = tmp_path / "fs" / "cpu" / "c"
    old.mkdir(parents=True)
    membership.write_text("4:cpu,cpuacct:/c\n2:memory:/c\n")
    (old / "cpu.cfs_quota_us").write_text("200000\n")
    (old / "cpu.cfs_period_us").write_text("100000\n")
    assert quota() == 2
    assert _threads._cgroup_quota(str(tmp_path), str(tmp_path / "absent")) == math.inf
