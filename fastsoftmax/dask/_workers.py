"""How a task uses the threads of its worker: as many as the worker has, whatever the process may."""

import contextlib
import functools
import threading

from distributed import get_worker
from threadpoolctl import ThreadpoolController

from .. import _dispatch

_team = threading.Lock()
"""One task of a process at a time has the team of threads: another would find its cores taken."""


@contextlib.contextmanager
def own_team():
    """Run compiled kernels on as many threads as the worker has, one task at a time."""
    with _team, one_blas_thread, _thread_count():
        yield


def _thread_count():
    try:
        n_threads = get_worker().state.nthreads
    except ValueError:  # no task of a worker: another scheduler of Dask, or a plain call
        return contextlib.nullcontext()
    return _dispatch.set_num_threads(n_threads)


def on_threads(compiled):
    """Return the context for a task: kernels share a team; NumPy's tasks run side by side."""
    return own_team() if compiled else one_blas_thread


class _OneBlasThread:
    """Holds BLAS to one thread while any task is inside: its bits depend on the number.

    The limit is the process's, so that tasks side by side must not each restore what they found.
    """

    def __init__(self):
        self._lock, self._n_inside, self._limit = threading.Lock(), 0, None

    def __enter__(self):
        with self._lock:
            if self._n_inside == 0:
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._n_inside += 1

    def __exit__(self, *exc_info):
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._limit.restore_original_limits()


@functools.cache
def _controller():
    return ThreadpoolController()


one_blas_thread = _OneBlasThread()
