"""Objects in processes of their own: their libraries' threads, allocators and settings disturb nobody else's.

A worker makes an object and runs its methods as it is told; what goes in and out is pickled. On Linux its process is
stopped between two calls: threads of some libraries spin for tens of milliseconds after a call.
"""

import atexit
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.append(ROOT)  # processes inherit it: they import bench by its name

IS_STOPPED_BETWEEN_CALLS = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
QUIET = {
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no processes that start up beside what is measured
}


class WorkerError(RuntimeError):
    """A worker's process ended before it answered."""


class Worker:
    """
    An object in another process.

    Parameters
    ----------
    make : callable
        Returns the object; importable by name.
    *arguments
        Of `make`.
    environment : dict, optional
        Environment variables that the process starts with.

    Raises
    ------
    Exception
        Whatever `make` raises in its process.
    """

    def __init__(self, make, *arguments, environment=None):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, make, arguments), daemon=True, name=make.__name__
        )
        with environment_variables({**QUIET, **(environment or {})}):
            self._process.start()
        theirs.close()
        atexit.register(self.close)  # a process that is stopped ends at no other signal
        self._answer()

    @property
    def pid(self):
        return self._process.pid

    def ask(self, method, *arguments):
        """Call a method of the object; return its result, or raise what it raises."""
        self._signal("SIGCONT")
        self._pipe.send((method, arguments))
        return self._answer()

    def _signal(self, name):
        """Send a signal to the process where it is one that is stopped between calls."""
        if IS_STOPPED_BETWEEN_CALLS and self._process.is_alive():
            os.kill(self._process.pid, getattr(signal, name))

    def _answer(self):
        try:
            raised, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise WorkerError(f"its process ended with {self._process.exitcode}") from None
        self._signal("SIGSTOP")
        if raised:
            raise answer
        return answer

    def close(self):
        """End the process."""
        atexit.unregister(self.close)
        self._signal("SIGCONT")
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe, make, arguments):
    """Be a worker: make the object, then answer until nobody asks any more."""
    # nor does a stopped process notice that the one that would wake it is gone
    if IS_STOPPED_BETWEEN_CALLS:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        served = make(*arguments)
        pipe.send((False, None))
    except Exception as error:
        pipe.send((True, _plain(error)))
        return
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            method, arguments = pipe.recv()
            try:
                pipe.send((False, getattr(served, method)(*arguments)))
            except Exception as error:
                pipe.send((True, _plain(error)))


def _plain(error):
    """Return an exception that the other process can raise without this one's libraries."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, ModuleNotFoundError):
        return ModuleNotFoundError(text, name=error.name)
    if type(error).__module__ == "builtins":
        return type(error)(text)
    return RuntimeError(f"{type(error).__name__}: {text}")


@contextlib.contextmanager
def environment_variables(variables):
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
