"""How it is measured: the contenders take turns, and the median of many turns counts."""

import statistics
import time

MAX_ROUNDS = 200
TURN = 2e-3  # seconds: a turn repeats a short call until the clock's grain does not matter
LONG = 0.05  # seconds: a call longer than this is not warmed up before each turn


def alternate(calls, seconds, clock=time.perf_counter):
    """
    Time functions in turns until the time is spent.

    Parameters
    ----------
    calls : dict
        Functions of no arguments by name.
    seconds : float
        About how long to measure, in all. Every function takes at least one turn, so that the
        slowest call decides how much longer it may take.
    clock : callable, optional
        Returns the time in seconds.

    Returns
    -------
    dict
        The median time of one call of each, in seconds.
    """
    end = clock() + seconds
    estimates = {name: _time(call, 1, clock) for name, call in calls.items()}
    times = {name: [] for name in calls}
    for _ in range(MAX_ROUNDS):
        for name, call in calls.items():
            times[name].append(_turn(call, estimates[name], clock))
        if clock() >= end:
            break
    return {name: statistics.median(turns) for name, turns in times.items()}


def _turn(call, estimate, clock):
    """Return the time of one call, from as many calls as fill a turn."""
    if estimate > LONG:
        return _time(call, 1, clock)
    warm = _time(call, 1, clock)  # caches and threads were another contender's
    return _time(call, max(1, min(10_000, int(TURN / max(warm, 1e-9)))), clock)


def _time(call, repeats, clock):
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats
