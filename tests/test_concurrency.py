"""Calls from several threads while others choose the back end, the number of threads and what is kept.

With the GIL most of it takes turns; `make races` runs it under the thread sanitizer, `make free-threaded` without
the GIL.
"""

import concurrent.futures
import contextlib
import dis
import itertools
import os
import pkgutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time

import numpy as np
import pytest
from needs import compiled
from threadpoolctl import threadpool_info

import fastsoftmax as fs
from fastsoftmax import _compiled, _dispatch, _locks, _threads
from fastsoftmax.estimators import _compiled as training
from fastsoftmax.estimators import callbacks
from fastsoftmax.estimators._network import glorot_network
from fastsoftmax.estimators._state import OptimizerState
from fastsoftmax.estimators._steps import Rule

N_ROUNDS = 12


def run_together(*functions):
    """Run functions in threads of their own, started at once; raise what the first of them raised."""
    barrier, errors = threading.Barrier(len(functions)), []

    def run(function):
        try:
            barrier.wait(60)
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def until_over(threads_of_calls, *others):
    """Run calls in threads, and `others` again and again until the calls are over."""
    running = len(threads_of_calls)
    over = threading.Event()
    lock = threading.Lock()

    def counted(call):
        nonlocal running
        try:
            call()
        finally:
            with lock:
                running -= 1
                if running == 0:
                    over.set()

    def repeated(other):
        turn = 0
        while not over.is_set():
            other(turn)
            turn += 1

    run_together(
        *(lambda call=call: counted(call) for call in threads_of_calls),
        *(lambda other=other: repeated(other) for other in others),
    )


def every_function(rng, dtype, shape):
    """Return calls of each public function; together they reach every kernel, in one block and in many."""
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    y = rng.integers(0, shape[1], shape[0])
    dense = fs.softmax(x)
    weight = rng.uniform(0.5, 2, shape[1])
    mask = np.ones(shape, bool)
    labels = rng.integers(0, 2, shape)
    return {
        "softmax": lambda: fs.softmax(x),
        "softmax, columns": lambda: fs.softmax(x, axis=0),
        "softmax, mask": lambda: fs.softmax(x, where=mask),
        "log_softmax": lambda: fs.log_softmax(x),
        "logsumexp": lambda: fs.logsumexp(x),
        "softmax_backward": lambda: fs.softmax_backward(x, dense),
        "top_k_softmax": lambda: fs.top_k_softmax(x, 3),
        "cross_entropy": lambda: fs.cross_entropy(x, y),
        "cross_entropy, options": lambda: fs.cross_entropy_with_grad(
            x, y, weight=weight, label_smoothing=0.1, z_loss=1e-3, ignore_index=0
        ),
        "cross_entropy, dense": lambda: fs.cross_entropy_with_grad(x, dense, softcap=30.0),
        "entropy": lambda: fs.entropy_with_logits_with_grad(x),
        "kl_div": lambda: fs.kl_div_with_logits_with_grad(x, dense),
        "sigmoid": lambda: fs.sigmoid(x),
        "binary": lambda: fs.binary_cross_entropy_with_logits_with_grad(
            x, labels, pos_weight=weight
        ),
    }


def parts_of(result):
    return result if isinstance(result, tuple) else (result,)


def bits(result):
    return [np.asarray(part).tobytes() for part in parts_of(result)]


@pytest.mark.parametrize("shape", [(40, 10), (900, 70)], ids=str)
def test_every_function_beside_changes_of_threads_and_memory(rng, dtype, shape):
    calls = every_function(rng, dtype, shape)
    expected = {name: bits(call()) for name, call in calls.items()}

    def call_all():
        for _ in range(N_ROUNDS):
            for name, call in calls.items():
                assert bits(call()) == expected[name], name

    try:
        until_over(
            [call_all] * 3,
            lambda turn: fs.set_num_threads((None, 1, 2, 3)[turn % 4]),
            lambda turn: fs.set_result_pool((None, 0, 1 << 20)[turn % 3]),
            lambda turn: fs.backend_info(),
        )
    finally:
        fs.set_result_pool(None)


@compiled
def test_every_function_beside_changes_of_the_back_end(rng, dtype):
    calls = every_function(rng, dtype, (60, 11))
    expected = {name: parts_of(call()) for name, call in calls.items()}
    tolerance = 1e-5 if dtype is np.float32 else 1e-13

    def call_all():
        for _ in range(N_ROUNDS):
            for name, call in calls.items():
                for found, want in zip(parts_of(call()), expected[name], strict=True):
                    np.testing.assert_allclose(found, want, tolerance, tolerance, err_msg=name)

    until_over([call_all] * 3, lambda turn: fs.use_backend(("numpy", "cython")[turn % 2]))


@compiled
def test_choices_at_once_leave_one_of_them(monkeypatch):
    """The general path, the fast path and what is reported are of the same choice."""

    def choose(*names):
        for turn in range(300):
            fs.use_backend(names[turn % 2])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            run_together(
                lambda: choose("numpy", "cython"),
                lambda: choose("cython", "numpy"),
                lambda: choose("numpy", "cython"),
            )
            assert reaches_python(monkeypatch) == (_dispatch.selection().name == "numpy")
    finally:
        sys.setswitchinterval(interval)


def reaches_python(monkeypatch):
    """Return whether a call that has kernels goes the general path."""
    calls = []

    class Spy:
        @staticmethod
        def softmax(*arguments, **options):
            calls.append(arguments)

    with monkeypatch.context() as patched:
        patched.setattr(_dispatch, "_selection", _dispatch.selection()._replace(implementation=Spy))
        fs.softmax(np.zeros((2, 3)))
    return bool(calls)


def test_numbers_of_threads_set_at_once_leave_one_of_them():
    def choose(first):
        for turn in range(300):
            fs.set_num_threads(first + turn % 3)

    run_together(lambda: choose(1), lambda: choose(2), lambda: choose(3))
    assert _threads.wanted() == fs.get_num_threads() or not _compiled.runtime.HAS_OPENMP


def test_checks_by_all_threads_tell_what_is_wrong(rng):
    x = rng.standard_normal((3000, 50)).astype(np.float32)
    y, labels, weights = np.zeros(3000, int), np.zeros((3000, 50)), np.ones((3000, 50))
    y[::7], labels[::3, 5], weights[::5, 2] = 50, 2, -1

    def call_all():
        for _ in range(3):
            with pytest.raises(IndexError, match="got 50"):
                fs.cross_entropy(x, y, reduction="none")
            with pytest.raises(ValueError, match="targets must be in"):
                fs.binary_cross_entropy_with_logits(x, labels)
            with pytest.raises(ValueError, match="weight must be"):
                fs.binary_cross_entropy_with_logits(x, 0 * labels, weight=weights)

    run_together(call_all, call_all)


def test_bfloat16_seen_by_several_threads_first(rng):
    dtypes = pytest.importorskip("ml_dtypes")
    x = rng.standard_normal((30, 7)).astype(np.float32).astype(dtypes.bfloat16)
    found = []
    run_together(*[lambda: found.append(fs.softmax(x))] * 4)
    expected = fs.softmax(x)
    assert expected.dtype == x.dtype
    assert [bits(one) for one in found] == [bits(expected)] * 4


@compiled
@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL for all modules"
)
def test_the_gil_stays_off():
    code = "import sys, fastsoftmax, fastsoftmax.estimators; assert not sys._is_gil_enabled()"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    subprocess.run(command, env=environment, check=True, timeout=120)


@compiled
def test_a_trainer_is_one_threads_at_a_time(rng):
    """`go_on` makes other memory: never while another thread trains in it."""
    network = glorot_network((40, 30, 20, 5), np.float32, rng)
    state = OptimizerState.zeros(network)
    rule = Rule("adam")
    trainer = training.kernels().Trainer(
        network.arrays, state.first, state.second, rule, 0.0, False, 64, 2
    )
    X = rng.standard_normal((512, 40)).astype(np.float32)
    y = rng.integers(0, 5, 512).astype(np.int32)
    order = np.arange(512)

    def train():
        for _ in range(N_ROUNDS):
            tally = trainer.train(X, 1.0, y, None, order, 1e-3, 0)
            assert tally[1] == 512
            assert np.isfinite(tally[0])

    until_over(
        [train] * 2,
        lambda turn: trainer.go_on(
            network.arrays, rule, 0.0, False, (8, 512, 64)[turn % 3], 1 + turn % 2
        ),
        lambda turn: (trainer.parameters(), trainer.moments()),
    )


@compiled
def test_a_trainer_holds_its_callers_arrays_while_it_waits(rng):
    network = glorot_network((40, 30, 5), np.float32, rng)
    state = OptimizerState.zeros(network)
    options = Rule("adam"), 0.0, False
    trainer = training.kernels().Trainer(network.arrays, state.first, state.second, *options, 64, 1)
    with pytest.raises(MemoryError):
        trainer.go_on(network.arrays, *options, 1 << 39, 1)
    X, y, order = np.ones((64, 40), np.float32), np.zeros(64, np.int32), np.arange(64)
    with pytest.raises(MemoryError, match="batch"):
        trainer.train(X, 1.0, y, None, order, 1e-3, 0)
    trainer.go_on(network.arrays, *options, 64, 1)

    def train():
        for _ in range(50):
            trainer.train(X, 1.0, y, None, order, 1e-3, 0)

    def go_on(turn):
        arrays = [array.copy() for array in network.arrays]

        def try_to_go_on():
            with contextlib.suppress(
                ValueError
            ):  # about the number of parameters, where it came late
                trainer.go_on(arrays, *options, 64 - turn % 2, 1)

        run_together(try_to_go_on, arrays.clear)

    until_over([train] * 2, go_on)


def test_one_estimator_serves_many_threads(rng):
    X = rng.standard_normal((400, 12)).astype(np.float32)
    y = rng.integers(0, 3, 400)
    model = fs.MLPClassifier((16,), max_iter=2, random_state=0).fit(X, y)
    expected = model.predict_proba(X).tobytes()

    def predict():
        for _ in range(N_ROUNDS):
            assert model.predict_proba(X).tobytes() == expected
            assert model.predict_proba(X[:1]).shape == (1, 3)

    run_together(*[predict] * 4)


@compiled
@pytest.mark.filterwarnings("ignore:.*converge")
def test_estimators_beside_changes_of_the_back_end(rng):
    X = rng.standard_normal((200, 12)).astype(np.float32)
    y = rng.integers(0, 3, 200)

    def fit_all():
        for _ in range(4):
            model = fs.MLPClassifier((8,), max_iter=2, random_state=0).fit(X, y)
            assert model.predict_proba(X).shape == (200, 3)
            assert model.partial_fit(X, y).predict(X[:1]).shape == (1,)
            fs.SoftmaxRegression(max_iter=3, solver="lbfgs").fit(X, y).score(X, y)

    until_over([fit_all] * 2, lambda turn: fs.use_backend(("numpy", "cython")[turn % 2]))


def test_batches_from_several_threads_are_refused_or_used(rng):
    X = rng.standard_normal((256, 12)).astype(np.float32)
    y = rng.integers(0, 3, 256)
    model = fs.MLPClassifier((16,), random_state=0)
    model.partial_fit(X, y, classes=[0, 1, 2])
    refused = []

    def learn(size):
        for start in range(0, 256 - size, 16):
            try:
                model.partial_fit(X[start : start + size], y[start : start + size])
            except RuntimeError as error:
                refused.append(str(error))

    run_together(*[lambda size=size: learn(size) for size in (16, 48, 100)])
    assert all("is being fitted" in text for text in refused)
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_lock_is_free_in_a_forked_child():
    """Whoever holds it: here another thread of the parent does."""
    lock, is_held, may_go = _locks.ProcessLock(), threading.Event(), threading.Event()

    def hold():
        with lock.lock:
            is_held.set()
            may_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if lock.lock.acquire(timeout=30) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not lock.lock.acquire(blocking=False)
    may_go.set()
    holder.join()


class Interrupt(BaseException):
    """What a signal raises in place of KeyboardInterrupt, which would end the tests."""


def interrupted(call, seconds):
    """Call again and again until a signal raises in the midst of it; return what it has raised.

    None after a second: in finalisers and callbacks of the garbage collection Python drops exceptions.
    """

    def interrupt(*_):
        raise Interrupt

    def go_on():  # the loop is not in `try`: see ProcessLock
        end = time.monotonic() + 1
        while time.monotonic() < end:
            call()

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        go_on()
    except Interrupt as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return None


def is_free(lock):
    """Return whether another thread can take a lock."""
    found = []

    def take():
        found.append(lock.lock.acquire(blocking=False))
        if found[0]:
            lock.lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers of signals")
def test_an_interrupt_leaves_no_lock_held(rng):
    """Also not while its traceback lives."""
    model, numpy = fs.MLPClassifier(), _dispatch.load("numpy")

    def call():
        fs.set_num_threads(2)
        _dispatch.select(
            "numpy", "test", numpy
        )  # use_backend imports, which must not be interrupted
        with contextlib.suppress(RuntimeError), callbacks.training(model):
            pass

    raised = []
    for seconds in rng.uniform(2e-4, 2e-3, 400):
        raised.append(interrupted(call, seconds))
        assert all(
            map(is_free, (_threads._wanting, _dispatch._selecting, callbacks._training_lock))
        )
    assert any(raised)
    callbacks._in_training.pop(id(model), None)  # where the end of a fit was interrupted


@pytest.mark.skipif(sys.version_info < (3, 12), reason="blocks cover their loops")
@pytest.mark.parametrize(
    "name",
    [
        "_dispatch:select",
        "_threads:want",
        "_backends.numba_impl._run:run",
        "estimators._compiled:_OneBlasThread.__enter__",
        "estimators._compiled:_OneBlasThread.__exit__",
        "estimators._full_batch:Iterations.run",
        "estimators._loop:Epochs.run",
        "estimators.callbacks:training.__wrapped__",
    ],
)
def test_a_signal_between_two_rounds_is_raised_inside_the_block(name):
    """A loop in a block jumps back from outside of it, where the signal is noticed: see ProcessLock."""
    if "numba" in name:
        pytest.importorskip("numba")
    code = dis.Bytecode(pkgutil.resolve_name(f"fastsoftmax.{name}"))

    def handlers(offset):
        return {one.target for one in code.exception_entries if one.start <= offset < one.end}

    jumps = [one for one in code if one.opname == "JUMP_BACKWARD"]
    assert all(handlers(one.argval) <= handlers(one.offset) for one in jumps)


def test_an_interrupted_call_waits_for_the_helpers_that_have_started(rng, monkeypatch):
    _run = pytest.importorskip("fastsoftmax._backends.numba_impl._run")
    pool, started = concurrent.futures.ThreadPoolExecutor(), []

    class Interrupting:
        def submit(self, work):
            if started:
                raise Interrupt
            is_at_work = threading.Event()

            def late():
                is_at_work.set()
                time.sleep(0.2)
                work()

            started.append(pool.submit(late))
            is_at_work.wait()
            return started[0]

    logits = rng.standard_normal((1000, 1000))
    with fs.use_backend("numba"), fs.set_num_threads(3):
        fs.softmax(logits)  # compiled before
        monkeypatch.setattr(_run, "_helpers", Interrupting)
        with pytest.raises(Interrupt):
            fs.softmax(logits)
    assert started[0].done()
    pool.shutdown()


@compiled
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers of signals")
def test_a_signal_handler_may_choose_too(monkeypatch):
    turns, names = itertools.count(), ("numpy", "cython")
    loaded = [_dispatch.load(name) for name in names]

    def choose(*_):
        fs.set_num_threads(1 + next(turns) % 3)
        select(next(turns) % 2)

    def select(k):
        _dispatch.select(names[k], "test", loaded[k])  # use_backend imports, which takes no turns

    before = signal.signal(signal.SIGALRM, choose)
    try:
        signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)
        for turn in range(3000):
            select(turn % 2)
            fs.set_num_threads(None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert next(turns) > 2
    assert reaches_python(monkeypatch) == (_dispatch.selection().name == "numpy")


@pytest.mark.filterwarnings("ignore:.*converge")
def test_fits_side_by_side_leave_the_threads_of_blas_as_they_were(rng):
    X = rng.standard_normal((300, 5))
    y = rng.integers(0, 3, 300)

    def threads_of_blas():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    def fit():
        for _ in range(8):
            fs.SoftmaxRegression(solver="lbfgs", max_iter=5).fit(X, y)

    fs.SoftmaxRegression(solver="lbfgs", max_iter=1).fit(X, y)  # all libraries are loaded
    before = threads_of_blas()
    run_together(*[fit] * 3)
    assert threads_of_blas() == before
