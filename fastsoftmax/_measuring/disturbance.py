"""What makes a measurement worthless: other processes, a host that takes the CPU away, threads in each other's way.

A measurement that was disturbed is made again; one that stays disturbed says so in its row.
"""

import os
import time
from typing import NamedTuple

MAX_SPREAD = 0.25
"""Of our own turns, as `Timing.spread` has it. A peer's may be its nature: its allocator, its garbage collection."""

MAX_OTHERS = 0.1
"""CPUs that other processes may keep busy, on average."""

MAX_STOLEN = 0.05
"""CPUs that the host of a virtual machine may take away, on average."""

MAX_SLOWDOWN = 1.15
"""Our time with all threads over that with one: more threads never take longer on a quiet machine."""

TRIES = 3


class Usage(NamedTuple):
    """Seconds of CPU time up to now: on the CPUs of this process, of it and its children, and taken by the host."""

    busy: float
    own: float
    stolen: float


def usage(children=()):
    """
    Read the CPU time of the machine and of this process from /proc.

    Parameters
    ----------
    children : iterable of int
        Identifiers of living processes that belong to the measurement.

    Returns
    -------
    Usage or None
        None where there is no /proc.
    """
    try:
        tick = os.sysconf("SC_CLK_TCK")
        with open("/proc/stat", encoding="ascii") as file:
            busy, stolen = _of_cpus(file.read(), os.sched_getaffinity(0))
        own = sum(_of_process(pid) for pid in ("self", *children))
    except (OSError, AttributeError, ValueError, IndexError):
        return None
    return Usage(busy / tick, own / tick, stolen / tick)


def _of_cpus(text, cpus):
    """Return the ticks that some CPUs were busy, and that the host took, from the text of /proc/stat."""
    busy = stolen = 0
    for line in text.splitlines():
        name, *fields = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cpus:
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            busy += user + nice + system + irq + softirq
            stolen += steal
    return busy, stolen


def _of_process(pid):
    """Return the ticks of a process, of all its threads, and of its children that have ended."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime


class Watch:
    """
    Watches the CPUs while something is measured.

    Parameters
    ----------
    children : iterable of int, optional
        Processes that belong to the measurement.
    clock, read : callable, optional
        Return the time in seconds, and the `usage` of some children.
    """

    def __init__(self, children=(), clock=time.perf_counter, read=usage):
        self._children, self._clock, self._read = tuple(children), clock, read
        self._start, self._before = clock(), read(self._children)

    def reasons(self):
        """Return what was wrong since the watch began, as a list of sentences."""
        elapsed, after = self._clock() - self._start, self._read(self._children)
        if self._before is None or after is None or elapsed <= 0:
            return []
        busy, own, stolen = (b - a for a, b in zip(self._before, after, strict=True))
        found = []
        if (others := (busy - own) / elapsed) > MAX_OTHERS and elapsed > 0.1:
            found.append(f"other processes took {others:.0%} of a CPU")
        if (share := stolen / elapsed) > MAX_STOLEN and elapsed > 0.1:
            found.append(f"the host took {share:.0%} of a CPU")
        return found


def suspicions(timings, ours, one_thread=None):
    """
    Return what the times themselves tell against a measurement.

    Parameters
    ----------
    timings : dict
        The `Timing` of each contender.
    ours, one_thread : str
        The names of our call, and of the same call with one thread.

    Returns
    -------
    list of str
    """
    found = []
    if timings[ours].spread > MAX_SPREAD:
        found.append(f"the quartiles of our time are {timings[ours].spread:.0%} apart")
    if one_thread in timings:
        slowdown = timings[ours].seconds / timings[one_thread].seconds
        if slowdown > MAX_SLOWDOWN:
            found.append(f"all threads take {slowdown:.2f} times as long as one")
    return found


def until_quiet(measure, tries=TRIES, *, rest=1.0, sleep=time.sleep, tell=lambda text: None):
    """
    Measure again while a row is disturbed.

    Parameters
    ----------
    measure : callable
        Returns a row: a dict with the reasons against it in `disturbed`.
    tries : int
        How often to measure at most.
    rest : float
        Seconds to wait before another try.
    sleep, tell : callable
        Wait; take a line that says what is repeated and why.

    Returns
    -------
    dict
        The first quiet row, or the one with the fewest reasons against it (of those the one of the smallest
        spread), with the number of `tries` that were made.
    """
    rows = []
    while True:
        rows.append(measure())
        if not rows[-1]["disturbed"] or len(rows) >= tries:
            break
        tell(f"disturbed, measuring again: {'; '.join(rows[-1]['disturbed'])}")
        sleep(rest)
    best = min(rows, key=lambda row: (len(row["disturbed"]), row.get("spread", 0.0)))
    return {**best, "tries": len(rows)}


def load_warning():
    """Return a sentence if the machine was busy in the last minute, or None."""
    try:
        load = os.getloadavg()[0]
    except (OSError, AttributeError):
        return None
    if load > 0.5:
        return f"the load average is {load:.1f}: something else runs here"
    return None
