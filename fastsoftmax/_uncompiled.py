"""What the compiled runtime and fast path do, in Python, for an installation without compiled modules."""

import ctypes
import os

import numpy as np

HAS_OPENMP = False
SERIAL_BELOW = 32768
"""Operations over fewer elements use one thread."""

empty, empty_like, zeros = np.empty, np.empty_like, np.zeros

_limits = {"set_num_threads": 0, "cgroup quota": 0}


def set_thread_limits(wanted, quota):
    """Remember what was asked for, and the quota; 0 for none."""
    _limits.update({"set_num_threads": wanted, "cgroup quota": quota})


def affinity_count():
    """Return the number of CPUs that the process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def max_threads():
    """Return OMP_NUM_THREADS, or the number of CPUs."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else os.cpu_count() or 1


def thread_default():
    """Return (number of threads of a large call, what decided it)."""
    limits = _limits.copy()  # another thread may set them
    if limits["set_num_threads"]:
        return limits["set_num_threads"], "set_num_threads"
    named = {
        "CPU affinity": affinity_count(),
        "OMP_NUM_THREADS or threadpoolctl": max_threads(),
        "cgroup quota": limits["cgroup quota"],
    }
    decided_by = min((name for name in named if named[name]), key=named.get)
    return named[decided_by], decided_by


def result_pool():
    """Return (limit, bytes held): there is no pool here."""
    return 0, 0


def set_result_pool_limit(limit):
    """Do nothing: NumPy allocates the results."""


def address(array):
    """Return where an array starts; the caller keeps it alive."""
    try:  # a fifth of the time that NumPy's own interfaces take
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError):  # read-only, empty, or of a dtype that buffers do not know
        return array.__array_interface__["data"][0]


def use_kernels(table, max_threads):
    """Do nothing: no back end of Python has kernels that C can call."""


def sum_of(losses):
    """Return the sum of an array of float64, summed in long double."""
    return float(losses.sum(dtype=np.longdouble))


def with_fast_path(function):
    """Return the function itself: every call goes the general path."""
    return function
