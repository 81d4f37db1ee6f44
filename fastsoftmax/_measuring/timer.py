"""The timer: contenders take turns, and the median of the turns counts."""

import itertools
import statistics
import time
from typing import NamedTuple

MAX_ROUNDS = 200
TURN = 2e-3  # seconds: a turn repeats a short call until the clock's grain does not matter
LONG = 0.05  # seconds: a call longer than this is not warmed up before each turn
WARM = 5e-4  # seconds: shorter calls are repeated so long first, until caches, clocks and threads are this contender's
PAUSE = 0.01  # seconds between turns: idle threads of other libraries spin for some milliseconds


class Timing(NamedTuple):
    """The times of one call, in seconds, one for each turn."""

    turns: tuple

    @property
    def seconds(self):
        """The median."""
        return statistics.median(self.turns)

    @property
    def spread(self):
        """The distance of the quartiles as a share of the median; 0 for a single turn."""
        if len(self.turns) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.turns, n=4, method="inclusive")
        return (high - low) / self.seconds if self.seconds > 0 else 0.0


class Turn:
    """
    A call that can be timed again and again: each call of a turn returns the seconds of one call.

    The function is called once when the turn is made: memory is touched, threads start, what is compiled at the
    first call is compiled.
    """

    def __init__(self, call, clock=time.perf_counter):
        self._call, self._clock = call, clock
        call()

    def __call__(self):
        """Time one long call, or as many short ones as fill a turn after those that warm up."""
        repeats, mean = 1, self._mean_of(1)
        if mean > LONG:
            return mean
        while mean * repeats < WARM:  # the first call alone would tell how long a cold one takes
            repeats *= 4
            mean = self._mean_of(repeats)
        return self._mean_of(max(1, int(TURN / mean)))

    def _mean_of(self, repeats):
        call, clock = self._call, self._clock
        start = clock()
        for _ in itertools.repeat(None, repeats):
            call()
        return (clock() - start) / repeats


def alternate(
    turns, seconds, *, min_turns=1, pause=PAUSE, clock=time.perf_counter, sleep=time.sleep
):
    """
    Let contenders take turns until the time is spent.

    Parameters
    ----------
    turns : dict
        For each name a function of no arguments that returns the seconds of one call, such as a `Turn`, or a
        process that times itself.
    seconds : float
        About how long to measure, in all. Each contender gets an equal share and sits out once it has used it up, so
        that the slowest does not decide how often the others are measured.
    min_turns : int, optional
        How many turns each takes at least, whatever that costs.
    pause : float, optional
        Seconds to wait before each turn.
    clock, sleep : callable, optional
        Return the time in seconds; wait.

    Returns
    -------
    dict
        The `Timing` of each.
    """
    end = clock() + seconds
    left = dict.fromkeys(turns, seconds / len(turns))
    taken = {name: [] for name in turns}
    for _ in range(MAX_ROUNDS):
        in_time = clock() < end
        taking = [
            name for name in turns if len(taken[name]) < min_turns or (in_time and left[name] > 0)
        ]
        if not taking:
            break
        for name in taking:
            start = clock()
            sleep(pause)
            taken[name].append(turns[name]())
            left[name] -= clock() - start
    return {name: Timing(tuple(times)) for name, times in taken.items()}
