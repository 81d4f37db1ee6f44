"""How a task uses the threads of its worker: as many as the worker has, whatever the process may."""

import contextlib
import threading

from distributed import get_worker

from .. import _dispatch
from ..estimators._compiled import one_blas_thread

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
