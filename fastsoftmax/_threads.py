"""How many threads a call may use, and what decides it; the compiled runtime behind it."""

import math
import os
import sys

from ._compiled import runtime
from ._locks import ProcessLock

MAX_THREADS = max(256, os.cpu_count() or 1)
"""No call asks for more threads than this."""

_wanted = None
_wanting = ProcessLock()


def wanted():
    """Return what set_num_threads asked for, or None."""
    return _wanted


def want(n):
    """Remember the number that was asked for; None for the default."""
    global _wanted
    with _wanting.lock:
        _wanted = n
        _tell_runtime()


def _tell_runtime():
    """Let the compiled modules know what only Python finds out."""
    runtime.set_thread_limits(min(_wanted or 0, MAX_THREADS), 0 if math.isinf(_QUOTA) else _QUOTA)


def _cgroup_quota(root="/sys/fs/cgroup", membership="/proc/self/cgroup"):
    """Return the CPUs that the process's cgroup, or one above it, grants; infinity without a quota."""
    quota = math.inf
    try:
        with open(membership) as file:
            lines = [line.strip().split(":", 2) for line in file]
    except OSError:
        return quota
    for _, controllers, path in lines:
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root if not controllers else os.path.join(root, "cpu")
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):
            quota = min(quota, _quota_of(os.path.join(base, *parts[:depth])))
    return quota


def _quota_of(folder):
    """Return the quota that one cgroup folder (version 1 or 2) states, in CPUs."""
    try:
        with open(os.path.join(folder, "cpu.max")) as file:
            limit, period = file.read().split()
    except (OSError, ValueError):
        try:
            with open(os.path.join(folder, "cpu.cfs_quota_us")) as file:
                limit = file.read().strip()
            with open(os.path.join(folder, "cpu.cfs_period_us")) as file:
                period = file.read().strip()
        except OSError:
            return math.inf
    try:
        granted = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):
        return math.inf
    return max(1, math.ceil(granted)) if granted > 0 else math.inf


_QUOTA = _cgroup_quota()
_tell_runtime()


def limits():
    """Return every limit on the number of threads, by name."""
    named = {"CPU affinity": runtime.affinity_count() or os.cpu_count() or 1}
    if math.inf > _QUOTA:
        named["cgroup quota"] = _QUOTA
    named["OMP_NUM_THREADS or threadpoolctl"] = runtime.max_threads()
    return named


def default():
    """Return (number of threads, what decided it)."""
    return runtime.thread_default()


def default_count():
    """Return the number of threads of a large call."""
    return default()[0]


def count_for(n_elements):
    """Return how many threads an operation over so many elements uses unless told otherwise."""
    return 1 if n_elements < runtime.SERIAL_BELOW else default_count()


def openmp_runtimes():
    """Return the files of the OpenMP runtimes that are loaded in this process."""
    if not sys.platform.startswith("linux"):
        return []
    with open("/proc/self/maps") as file:
        paths = {
            line.split(maxsplit=5)[5].strip() for line in file if "omp" in line and "/" in line
        }
    names = ("libgomp", "libomp", "libiomp")
    return sorted(path for path in paths if os.path.basename(path).startswith(names))
