"""How many threads a call may use, and what decides it."""

import math
import os
import sys

SPIN_COUNT = "10000"
"""How long idle threads of libgomp spin before they sleep.

Its default keeps them on the cores that NumPy's BLAS needs next; 0 makes every call pay for a wake-up.
"""

MOST = max(256, os.cpu_count() or 1)
"""No call starts more threads than this: where the system refuses one, libgomp ends the process."""


def _load_runtime():
    """Import the compiled runtime; libgomp, loaded with it, reads the spin count then and only then."""
    ours = "GOMP_SPINCOUNT" not in os.environ and "OMP_WAIT_POLICY" not in os.environ
    if ours:
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    try:
        from ._ext import runtime
    except ImportError as error:
        raise ImportError(
            f"the compiled modules of fastsoftmax are not in {os.path.dirname(__file__)}: this is a source "
            "tree that is not built (pip install -e .), or it hides an installed package (leave this folder)"
        ) from error
    finally:
        if ours:
            del os.environ["GOMP_SPINCOUNT"]
    return runtime


runtime = _load_runtime()
_wanted = None


def wanted():
    """Return what set_num_threads asked for, or None."""
    return _wanted


def want(n):
    """Remember the number that was asked for; None for the default."""
    global _wanted
    _wanted = n


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


def limits():
    """Return every limit on the number of threads, by name."""
    named = {"CPU affinity": runtime.affinity_count() or os.cpu_count() or 1}
    if math.inf > _QUOTA:
        named["cgroup quota"] = _QUOTA
    named["OMP_NUM_THREADS or threadpoolctl"] = runtime.max_threads()
    if runtime.is_forked_child():
        named["forked child"] = 1
    return named


def default():
    """Return (number of threads, what decided it)."""
    if runtime.is_forked_child():
        return 1, "forked child"
    if not runtime.HAS_OPENMP:
        return 1, "built without OpenMP"
    if _wanted is not None:
        return min(_wanted, MOST), "set_num_threads"
    n = runtime.affinity_count() or os.cpu_count() or 1
    reason = "CPU affinity"
    if n > _QUOTA:
        n, reason = _QUOTA, "cgroup quota"
    if runtime.max_threads() < n:
        n, reason = runtime.max_threads(), "OMP_NUM_THREADS or threadpoolctl"
    return n, reason


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
