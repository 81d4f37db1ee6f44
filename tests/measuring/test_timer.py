"""The timer, by clocks that only calls and pauses move."""

import pytest

from fastsoftmax._measuring.timer import MAX_ROUNDS, Timing, Turn, alternate


class Clock:
    """A clock that only calls move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def call(self, seconds):
        """Return a call that takes so long; of a list, one after the other, then the last."""
        durations = list(seconds) if isinstance(seconds, list) else [seconds]

        def call():
            self.now += durations.pop(0) if len(durations) > 1 else durations[0]

        return call


@pytest.fixture
def clock():
    return Clock()


def timed(clock, calls, seconds, **options):
    turns = {name: Turn(call, clock) for name, call in calls.items()}
    clock.now = 0.0
    return alternate(turns, seconds, clock=clock, sleep=clock.sleep, **options)


def test_times_are_of_single_calls(clock):
    calls = {"short": clock.call(1e-5), "long": clock.call(0.2)}
    times = timed(clock, calls, 2.0)
    assert times["short"].seconds == pytest.approx(1e-5)
    assert times["long"].seconds == pytest.approx(0.2)
    assert clock.now < 3.0


def test_a_turn_fills_two_milliseconds_with_short_calls(clock):
    turn = Turn(clock.call(1e-4), clock)
    before = clock.now
    assert turn() == pytest.approx(1e-4)
    assert clock.now - before == pytest.approx(
        41 * 1e-4, rel=0.06
    )  # 1, 4 and 16 to warm up, about 20


def test_a_long_call_is_made_once_a_turn(clock):
    turn = Turn(clock.call(0.5), clock)
    before = clock.now
    assert turn() == pytest.approx(0.5)
    assert clock.now - before == pytest.approx(0.5)


def test_the_first_call_does_not_count(clock):
    times = timed(clock, {"compiles": clock.call([9.0, 0.1])}, 1.0)
    assert max(times["compiles"].turns) == pytest.approx(0.1)


def test_one_slow_turn_moves_neither_median_nor_spread(clock):
    times = timed(clock, {"a": clock.call([0.1, 0.1, 5.0, 0.1])}, 9.0)
    assert times["a"].seconds == pytest.approx(0.1)
    assert times["a"].spread == pytest.approx(0.0)


def test_who_has_used_its_share_sits_out(clock):
    calls = {"fast": clock.call(0.1), "slow": clock.call(10.0)}
    times = timed(clock, calls, 24.0, pause=0)
    assert len(times["slow"].turns) == 2  # of 12 seconds; the second begins in time
    assert len(times["fast"].turns) > 10


def test_everybody_takes_its_turns_even_without_time(clock):
    calls = {"a": clock.call(1.0), "b": clock.call(2.0)}
    times = timed(clock, calls, -1.0, min_turns=3, pause=0)
    assert {name: len(one.turns) for name, one in times.items()} == {"a": 3, "b": 3}
    assert clock.now == pytest.approx(9.0)


def test_turns_alternate_with_pauses():
    clock, order = Clock(), []

    def turn(name):
        def take():
            order.append((name, round(clock.now, 3)))
            clock.now += 1.0
            return 1.0

        return take

    turns = {name: turn(name) for name in "ab"}
    alternate(turns, 4.5, pause=0.25, clock=clock, sleep=clock.sleep)
    assert order[:4] == [("a", 0.25), ("b", 1.5), ("a", 2.75), ("b", 4.0)]


def test_rounds_are_limited():
    clock = Clock()
    times = alternate({"a": lambda: 0.0}, 1.0, pause=0, clock=clock, sleep=clock.sleep)
    assert len(times["a"].turns) == MAX_ROUNDS  # though the clock stands still


def test_spread_is_of_the_quartiles():
    assert Timing((1.0, 2.0, 3.0, 4.0, 5.0)).spread == pytest.approx(2 / 3)
    assert Timing((2.0,)).spread == 0.0
    assert Timing((0.0, 0.0)).spread == 0.0
