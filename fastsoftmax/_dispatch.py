"""Selects the back end and the number of threads, and reports both."""

import functools
import importlib
import importlib.util
import inspect
import os
import sys
from types import ModuleType
from typing import Any, NamedTuple

from . import _compiled, _threads
from ._backends import NAMES
from ._compiled import fast_path
from ._locks import ProcessLock
from ._validate import integer
from ._version import __version__


class Selection(NamedTuple):
    """What computes: the back end, as it was named, and why it was chosen."""

    name: str
    implementation: ModuleType
    reason: str


def load(name):
    """Import a back end; one that is asked for and cannot load is an error."""
    if name not in NAMES:
        raise ValueError(f"backend must be one of {', '.join(map(repr, NAMES))}, got {name!r}")
    return importlib.import_module(f"{__package__}._backends.{name}_impl")


_selecting = ProcessLock()


def select(name, reason, implementation=None):
    """Choose a back end, as a whole: the module behind the general path, and what it has for the fast path.

    `implementation` is by default the back end of this name; tests give the kernels of one instruction set.
    """
    global _selection
    implementation = load(name) if implementation is None else implementation
    with _selecting.lock:
        _selection = Selection(name, implementation, reason)
        _apply_selection()


def _apply_selection():
    """Give the fast path what the selected back end has for it."""
    global _plain_calls
    applied = None
    while applied is not _selection:  # a signal handler may have chosen meanwhile
        applied = _selection
        _plain_calls = getattr(applied.implementation, "plain_calls", {})
        kernels = getattr(applied.implementation, "kernel_table", None)
        fast_path.use_kernels(kernels, _threads.MAX_THREADS)


def with_fast_path(function):
    """Decorate a public function: its compiled twin comes first, then plain calls of a back end of Python."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
    in_order = [one.default for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    n_arrays = len(parameters) - len(defaults)
    name = function.__name__

    def is_plain(args, keywords):
        """Whether a call gives arrays, and nothing else that is not the default."""
        if not n_arrays <= len(args) <= len(in_order):
            return False
        for value, default in zip(args[n_arrays:], in_order[n_arrays:], strict=False):
            if value is not default:
                return False
        for keyword, value in keywords.items():
            default = defaults.get(keyword, function)
            if value is not default and not (type(value) is type(default) and value == default):
                return False
        return True

    @functools.wraps(function)
    def general(*args, **keywords):
        if "dim" in keywords and "axis" in defaults:
            raise TypeError(f"{name}() got an unexpected keyword argument 'dim': use axis")
        plain_call = _plain_calls.get(name)
        if plain_call is not None and is_plain(args, keywords):
            result = plain_call(*args[:n_arrays])
            if result is not None:
                return result
        return function(*args, **keywords)

    return fast_path.with_fast_path(general)


def selection():
    """Return what is selected."""
    return _selection


def implementation():
    """Return the module of the selected back end."""
    return _selection.implementation


class use_backend:
    """Choose the implementation of every operation, for the whole process.

    Parameters
    ----------
    name : {"cython", "numba", "numpy"}
        "cython" is the default; "numba" needs Numba; "numpy" is the reference: clear and slow, and the default where
        fastsoftmax is not compiled.

    Raises
    ------
    ValueError
        If there is no such back end.
    ImportError
        If it cannot be loaded here.

    Notes
    -----
    As a context manager it restores the earlier choice at the end; threads that do so at once may leave the choice
    of one of them behind. FASTSOFTMAX_BACKEND chooses at import.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> with fs.use_backend("numpy"):
    ...     fs.softmax([0.0, 0.0])
    array([0.5, 0.5])
    """

    def __init__(self, name: str) -> None:
        self._before = _selection
        select(name, "use_backend")

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        before = self._before
        select(before.name, before.reason, before.implementation)


class set_num_threads:
    """Set the number of threads that a call may use, for the whole process.

    Parameters
    ----------
    n : int or None
        At least 1; None returns to the default: the smallest of OMP_NUM_THREADS, the CPUs that the process
        may run on and its cgroup's quota.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer of at least 1.

    Notes
    -----
    As a context manager it restores the earlier number at the end; threads that do so at once may leave the number
    of one of them behind. Results do not depend on it, to the bit.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> with fs.set_num_threads(1):
    ...     fs.get_num_threads()
    1
    """

    def __init__(self, n: int | None) -> None:
        self._before = _threads.wanted()
        _threads.want(None if n is None else integer(n, "n", low=1))

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        _threads.want(self._before)


class set_result_pool:
    """Bound the memory that is kept for the results of later calls, for the whole process.

    A large result needs fresh memory, and the page faults of fresh memory take as long as the arithmetic. So what a
    result leaves when it dies is kept for the next one of about its size: the least recently used memory goes first,
    all of it goes back to the system after a second without calls, and results that are alive hold nothing but
    themselves.

    Parameters
    ----------
    limit : int or None
        Bytes, at least 0; 0 keeps nothing and gives back what is kept now. None returns to the default: a sixteenth
        of the machine's memory, at most 256 MB.

    Raises
    ------
    TypeError, ValueError
        If `limit` is not an integer of at least 0.

    Notes
    -----
    As a context manager it restores the earlier limit at the end. On Linux up to 1.2 MB beside it are kept for results
    of 1 to 32 KB, unless the limit is 0. Other results of less than 256 KB come from NumPy's own allocator, and so do
    all while another memory handler is set in NumPy. `backend_info()` shows the limit and what is held.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> with fs.set_result_pool(0):
    ...     fs.backend_info()["result_pool"]
    {'limit': 0, 'held': 0}
    """

    def __init__(self, limit: int | None) -> None:
        self._before, _ = _threads.runtime.result_pool()
        if limit is not None:
            limit = min(integer(limit, "limit", low=0), sys.maxsize)
        _threads.runtime.set_result_pool_limit(limit)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        _threads.runtime.set_result_pool_limit(self._before)


def get_num_threads() -> int:
    """Return the number of threads that a large call uses now.

    Returns
    -------
    int

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.get_num_threads() >= 1
    True
    """
    return _threads.default_count()


def threads_for(n_elements, n_threads):
    """Return how many threads an operation over `n_elements` may use."""
    if n_threads is None:
        return _threads.count_for(n_elements)
    n_threads = min(integer(n_threads, "n_threads", low=1), _threads.MAX_THREADS)
    return 1 if n_elements < _threads.runtime.SERIAL_BELOW else n_threads


def backend_info() -> dict[str, Any]:
    """Tell what was chosen, why, and what was refused.

    Returns
    -------
    dict
        version; backend and backend_reason; backends (name to "loaded", "available" or why not);
        isa, isa_reason and isas (likewise; None and none where fastsoftmax is not compiled); openmp (whether built
        with it, and the runtimes loaded);
        threads, threads_reason (what decided the number) and threads_limits; result_pool (limit and what is held
        now, in bytes).

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> fs.backend_info()["backend"] in ("cython", "numba", "numpy")
    True
    """
    selected = _selection
    threads, decided_by = _threads.default()
    limit, held = _threads.runtime.result_pool()
    return {
        "version": __version__,
        "backend": selected.name,
        "backend_reason": selected.reason,
        "backends": {name: _available(name, selected.name) for name in NAMES},
        **_instruction_sets(),
        "openmp": {
            "built": bool(_threads.runtime.HAS_OPENMP),
            "runtimes": _threads.openmp_runtimes(),
        },
        "threads": threads,
        "threads_reason": decided_by,
        "threads_limits": _threads.limits(),
        "result_pool": {"limit": limit, "held": held},
    }


def _instruction_sets():
    if not _compiled.IS_COMPILED:
        return {"isa": None, "isa_reason": "not compiled", "isas": {}}
    from ._backends import cython_impl

    return {
        "isa": cython_impl.ISA,
        "isa_reason": cython_impl.ISA_REASON,
        "isas": cython_impl.isas(),
    }


def _available(name, selected):
    if name == selected:
        return "loaded"
    if name == "cython" and not _compiled.IS_COMPILED:
        return f"not available: {_compiled.WHY_NOT}"
    if name == "numba" and importlib.util.find_spec("numba") is None:
        return 'not available: needs Numba: pip install "fastsoftmax[numba]"'
    return "available"


def _start():
    """Choose at import: FASTSOFTMAX_BACKEND, else the compiled kernels, else NumPy."""
    asked = os.environ.get("FASTSOFTMAX_BACKEND")
    if asked:
        select(asked, "FASTSOFTMAX_BACKEND")
    elif _compiled.IS_COMPILED:
        select("cython", "default")
    else:
        select("numpy", f"not compiled: {_compiled.WHY_NOT}")


_start()
