"""The team of threads as a user meets it: it changes no bit, ends no process, and costs nothing when idle."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax import _threads

runtime = _threads.runtime

under_a_sanitizer = "libasan" in os.environ.get("LD_PRELOAD", "")
needs_plain_memory = pytest.mark.skipif(
    under_a_sanitizer, reason="the address sanitizer needs more memory than this test allows"
)

pytestmark = pytest.mark.skipif(
    not runtime.HAS_OPENMP, reason="built without OpenMP, or not compiled"
)


def run_python(code, timeout=120, **environment):
    """Run a program in a fresh interpreter and return its output."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert result.returncode == 0, (result.returncode, result.stderr)
    return result.stdout


@pytest.fixture
def delayed_helpers():
    runtime.delay_helpers(30_000)
    yield
    runtime.delay_helpers(0)


def shared_blocks():
    """Return how many blocks helpers have done so far."""
    return runtime.team_report()["blocks_of_helpers"]


def eventually(condition, seconds=30):
    """Wait until something holds; helpers come when the system lets them."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def everything(x, targets, n_threads):
    """Return what the parallel functions give."""
    loss, grad = fs.cross_entropy_with_grad(x, targets, n_threads=n_threads)
    weight = np.linspace(0.5, 2, x.shape[1])
    return [
        fs.softmax(x, n_threads=n_threads),
        fs.log_softmax(x, n_threads=n_threads),
        fs.logsumexp(x, n_threads=n_threads),
        loss,
        grad,
        fs.cross_entropy(x, targets, weight=weight, n_threads=n_threads),
        fs.sigmoid(x, n_threads=n_threads),
        fs.softmax(x, axis=0, n_threads=n_threads),
    ]


@pytest.mark.parametrize("shape", [(50_000, 10), (700, 300), (3, 128_256), (1, 500_000)])
def test_bits_with_helpers_that_come_late(rng, shape, delayed_helpers):
    x = rng.standard_normal(shape).astype(np.float32)
    targets = rng.integers(0, shape[1], shape[0])
    want = everything(x, targets, 1)
    for n_threads in (2, 3, 7, 16):
        for got, expected in zip(everything(x, targets, n_threads), want, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_helpers_take_part(rng):
    x = rng.standard_normal((2_000, 1_000)).astype(np.float32)
    before = shared_blocks()

    def helped():
        fs.softmax(x, n_threads=2)
        return shared_blocks() > before

    eventually(helped)


@pytest.mark.filterwarnings("ignore:.*converge")
def test_training_does_not_depend_on_threads(rng, delayed_helpers):
    pytest.importorskip("sklearn")
    X, y = rng.standard_normal((600, 80)).astype(np.float32), rng.integers(0, 5, 600)
    fitted = []
    for n_threads in (1, 2, 7):
        with fs.set_num_threads(n_threads):
            clf = fs.MLPClassifier((150,), max_iter=2, batch_size=64, random_state=0, alpha=1e-3)
            linear = fs.SoftmaxRegression(max_iter=5, solver="lbfgs")
            clf.fit(X, y)
            linear.fit(X, y)
            fitted.append((*clf.coefs_, linear.coef_, clf.predict_proba(X), clf.history_["loss"]))
    for other in fitted[1:]:
        for a, b in zip(fitted[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_has_a_team_of_its_own():
    code = """
        import os, time
        import numpy as np, fastsoftmax as fs
        from fastsoftmax._ext import runtime
        x = np.random.default_rng(0).standard_normal((4000, 1000)).astype("f")
        want = fs.softmax(x, n_threads=1)

        def helped(n):
            end = time.monotonic() + 60
            while time.monotonic() < end:
                assert np.array_equal(fs.softmax(x, n_threads=n), want)
                if runtime.team_report()["blocks_of_helpers"]:
                    return True

        def generations(depth):
            assert helped(2)
            if depth == 0:
                return
            child = os.fork()
            if child == 0:
                try:
                    assert runtime.team_report()["helpers"] == 0
                    generations(depth - 1)
                finally:
                    os._exit(0 if runtime.team_report()["blocks_of_helpers"] else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert helped(3)

        generations(3)
        print("all computed")
    """
    assert run_python(code) == "all computed\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_forks_while_other_threads_compute():
    code = """
        import os, threading, time
        import numpy as np, fastsoftmax as fs
        x = np.random.default_rng(0).standard_normal((800, 200)).astype("f")
        want = fs.softmax(x, n_threads=1)
        stop, failures = threading.Event(), []

        def compute():
            while not stop.is_set():
                if not np.array_equal(fs.softmax(x, n_threads=2), want):
                    failures.append(1)

        threads = [threading.Thread(target=compute) for _ in range(4)]
        for thread in threads: thread.start()
        for _ in range(40):
            child = os.fork()
            if child == 0:
                os._exit(0 if all(np.array_equal(fs.softmax(x, n_threads=2), want) for _ in range(3)) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
        for thread in threads: thread.join()
        assert not failures
        print("done")
    """
    assert run_python(code) == "done\n"


@pytest.mark.counts_resources
@needs_plain_memory
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize(
    "limit",
    [
        "os.setuid(65534); resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))",
        "os.setuid(65534); resource.setrlimit(resource.RLIMIT_NPROC, (4, 4))",
        "resource.setrlimit(resource.RLIMIT_AS, (used() + (40 << 20),) * 2)",
    ],
)
def test_a_thread_that_the_system_refuses_ends_nothing(limit):
    if "setuid" in limit and os.geteuid() != 0:
        pytest.skip("needs root to become a user with few threads")
    code = f"""
        import os, resource
        import numpy as np, fastsoftmax as fs
        from fastsoftmax._ext import runtime

        def used():
            return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

        x = np.ones((1000, 1000), "f"); out = np.empty_like(x); same = np.empty(x.shape, bool)
        want = fs.softmax(x, n_threads=1)
        {limit}
        for _ in range(50):
            for n in (8, 40):
                assert np.equal(fs.softmax(x, out=out, n_threads=n), want, out=same).all()
        print(runtime.team_report()["helpers"] <= 39)
    """
    assert run_python(code, OPENBLAS_NUM_THREADS="1") == "True\n"


@needs_plain_memory
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_team_that_was_refused_threads_grows_when_it_may():
    if os.geteuid() != 0:
        pytest.skip("needs root to become a user with few threads")
    code = """
        import os, resource, time
        import numpy as np, fastsoftmax as fs
        from fastsoftmax._ext import runtime

        x = np.ones((1000, 1000), "f")
        fs.set_num_threads(4)
        fs.set_result_pool(0)
        os.setuid(65534)
        most = resource.getrlimit(resource.RLIMIT_NPROC)[1]

        def helpers_after_a_call():
            fs.softmax(x)
            time.sleep(0.01)
            return runtime.team_report()["helpers"]

        resource.setrlimit(resource.RLIMIT_NPROC, (3, most))
        few = max(helpers_after_a_call() for _ in range(30))
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        end = time.monotonic() + 60
        while helpers_after_a_call() < 3 and time.monotonic() < end:
            pass
        print(few < 3, helpers_after_a_call())
    """
    assert run_python(code, OPENBLAS_NUM_THREADS="1") == "True 3\n"


@needs_plain_memory
def test_a_thread_with_a_small_stack_computes():
    code = """
        import threading
        import numpy as np, fastsoftmax as fs
        threading.stack_size(65536)
        done = []

        def compute():
            x = np.ones((3, 100), "f")
            for shape in ((3, 100), (32, 10), (500, 10), (100, 1000), (1, 100000), (4, 40000)):
                x, y = np.ones(shape, "f"), np.zeros(shape[0], int)
                fs.softmax(x), fs.log_softmax(x), fs.logsumexp(x), fs.softmax(x, 0), fs.sigmoid(x)
                fs.cross_entropy(x, y), fs.cross_entropy_with_grad(x, y, softcap=30.0, label_smoothing=0.1)
            done.append(1)

        thread = threading.Thread(target=compute)
        thread.start(); thread.join()
        print(done)
    """
    assert run_python(code) == "[1]\n"


@pytest.mark.counts_resources
@pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU time of threads from /proc")
def test_an_idle_process_uses_no_cpu():
    code = """
        import os, time
        import numpy as np, fastsoftmax as fs
        x = np.ones((4000, 1000), "f")
        for _ in range(20): fs.softmax(x, n_threads=4)
        time.sleep(2.5)     # by now the pool has been given back

        def switches():
            total = 0
            for task in os.listdir("/proc/self/task"):
                if int(task) != os.getpid():
                    lines = open(f"/proc/self/task/{task}/status").read().splitlines()
                    total += sum(int(line.split()[1]) for line in lines if "ctxt" in line)
            return total

        before = switches()
        time.sleep(1.5)
        print(switches() - before, fs.backend_info()["result_pool"]["held"])
    """
    assert run_python(code, OPENBLAS_NUM_THREADS="1") == "0 0\n"


def test_exit_while_the_team_works():
    code = """
        import threading, time
        import numpy as np, fastsoftmax as fs
        x = np.ones((4000, 1000), "f")

        def compute():
            while True: fs.softmax(x, n_threads=2)

        for _ in range(2): threading.Thread(target=compute, daemon=True).start()
        time.sleep(0.1)
        print("bye")
    """
    for _ in range(3):
        assert run_python(code) == "bye\n"


@needs_plain_memory
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_a_signal_handler_forks_goes_on_with_the_call():
    code = """
        import os, signal
        import numpy as np, fastsoftmax as fs

        x = np.zeros((1 << 15, 4096), np.float32)
        out = np.empty_like(x)
        fs.softmax(x[:1000], n_threads=2)
        children = []

        def fork(*_):
            child = os.fork()
            if child:
                children.append(child)

        signal.signal(signal.SIGALRM, fork)
        parent = os.getpid()
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        while True:
            fs.softmax(x, out=out, n_threads=2)
            if os.getpid() != parent:
                assert (fs.softmax(x[:1000], n_threads=2) == 1 / 4096).all()
                os._exit(0 if (out == 1 / 4096).all() else 1)
            if children:
                break
        print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
    """
    assert run_python(code) == "[0]\n"


@pytest.mark.counts_resources
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity of Linux")
def test_helpers_use_the_cpus_of_their_caller():
    code = """
        import os, time
        import numpy as np, fastsoftmax as fs

        x = np.zeros((4000, 1000), np.float32)
        cpus = os.sched_getaffinity(0)

        def used():
            return set().union(*(os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")))

        fs.set_result_pool(0)
        for allowed in (cpus, {min(cpus)}, cpus):
            os.sched_setaffinity(0, allowed)
            for _ in range(20):
                fs.softmax(x, n_threads=2)
                time.sleep(0.001)
            assert used() == allowed, (used(), allowed)
        print("done")
    """
    assert run_python(code, OPENBLAS_NUM_THREADS="1") == "done\n"


@pytest.mark.counts_resources
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_helpers_that_come_to_life_late_use_the_cpus_of_their_caller():
    code = """
        import os, time
        import numpy as np, fastsoftmax as fs

        x, own = np.zeros((1000, 1000), np.float32), set(os.listdir("/proc/self/task"))
        fs.set_result_pool(0)
        fs.softmax(x[:40], n_threads=8)
        allowed = {min(os.sched_getaffinity(0))}
        os.sched_setaffinity(0, allowed)
        for _ in range(3):
            fs.softmax(x[:40], n_threads=8)
            time.sleep(0.2)

        def cpus_of_helpers():
            found = []
            for task in set(os.listdir("/proc/self/task")) - own:
                try:
                    found.append(os.sched_getaffinity(int(task)))
                except ProcessLookupError:  # of a smaller team, which has ended meanwhile
                    pass
            return found

        end = time.monotonic() + 60
        while cpus_of_helpers() != [allowed] * 7 and time.monotonic() < end:
            fs.softmax(x, n_threads=8)
            time.sleep(0.001)
        print(cpus_of_helpers() == [allowed] * 7)
    """
    assert run_python(code, OPENBLAS_NUM_THREADS="1") == "True\n"


def test_teams_grow_and_callers_take_turns(rng):
    x = rng.standard_normal((3_000, 400)).astype(np.float32)
    want = fs.softmax(x, n_threads=1)
    failures = []

    def call(n_threads):
        for n in (n_threads, 2, n_threads + 1):
            for _ in range(5):
                if not np.array_equal(fs.softmax(x, n_threads=n), want):
                    failures.append(n)

    callers = [threading.Thread(target=call, args=(n,)) for n in (2, 3, 5, 9)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_limits_that_change_between_calls():
    code = """
        import os
        import numpy as np, fastsoftmax as fs
        x = np.ones((3000, 100), "f")
        before, cpus = fs.get_num_threads(), os.sched_getaffinity(0)
        want = fs.softmax(x)
        os.sched_setaffinity(0, [min(cpus)])
        assert fs.get_num_threads() == 1
        assert np.array_equal(fs.softmax(x, n_threads=3), want)
        os.sched_setaffinity(0, cpus)
        assert fs.get_num_threads() == before
        assert np.array_equal(fs.softmax(x), want)
        print(sorted(os.sched_getaffinity(0)) == sorted(cpus))
    """
    assert run_python(code) == "True\n"


@pytest.mark.parametrize("settings", [
    {"OMP_PROC_BIND": "true"}, {"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"},
    pytest.param({"OMP_STACKSIZE": "64k"}, marks=needs_plain_memory),
])  # fmt: skip
def test_settings_of_openmp(settings):
    code = """
        import numpy as np, fastsoftmax as fs
        x = np.ones((3000, 100), "f")
        want = fs.softmax(x, n_threads=1)
        print(all(np.array_equal(fs.softmax(x, n_threads=4), want) for _ in range(20)))
    """
    assert run_python(code, **settings) == "True\n"


def test_a_second_interpreter_is_told_what_it_cannot():
    name = "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
    pytest.importorskip(name)
    inner = "try:\n import fastsoftmax\nexcept ImportError as error:\n print(error)"
    code = f"""
        import {name} as interpreters, fastsoftmax
        interpreters.run_string(interpreters.create(), {inner!r})
    """
    out = run_python(code)
    assert "serve one" in out
    assert len(out.strip().splitlines()) == 1
