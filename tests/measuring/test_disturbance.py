"""What tells that a measurement was disturbed: counters and clocks are given."""

import pytest

from fastsoftmax._measuring import disturbance
from fastsoftmax._measuring.disturbance import Usage, Watch, suspicions, until_quiet
from fastsoftmax._measuring.timer import Timing

OURS, ONE = "fastsoftmax", "fastsoftmax, 1 thread"


def watched(before, after, elapsed=2.0):
    """Return the reasons of a watch over so many seconds."""
    clock, read = iter([10.0, 10.0 + elapsed]), iter([before, after])
    return Watch(clock=lambda: next(clock), read=lambda children: next(read)).reasons()


def test_a_quiet_machine():
    # two CPUs, busy with what is measured and little else
    assert watched(Usage(100, 50, 0), Usage(103.9, 53.8, 0.01)) == []


def test_other_processes_are_told():
    assert watched(Usage(100, 50, 0), Usage(104, 53, 0)) == ["other processes took 50% of a CPU"]


def test_a_host_that_takes_the_cpu_is_told():
    assert watched(Usage(0, 0, 1.0), Usage(2, 2, 1.5)) == ["the host took 25% of a CPU"]


def test_what_is_too_short_for_the_counters_is_not_judged():
    assert watched(Usage(0, 0, 0), Usage(0.05, 0, 0.05), elapsed=0.05) == []


@pytest.mark.parametrize("missing", [(None, Usage(9, 0, 9)), (Usage(0, 0, 0), None)])
def test_without_counters_nothing_is_told(missing):
    assert watched(*missing) == []


def test_children_are_asked_for():
    asked = []
    Watch([3, 5], clock=lambda: 0.0, read=asked.append)
    assert asked == [(3, 5)]


STAT = """\
cpu  9 9 9 9 9 9 9 9 9 9
cpu0 100 1 20 5000 7 2 3 11 50 0
cpu1 200 2 40 6000 8 4 6 22 60 0
cpu12 1 1 1 1 1 1 1 1 0 0
intr 1 2 3
"""


def test_busy_ticks_are_of_the_cpus_that_we_may_use():
    assert disturbance._of_cpus(STAT, {0}) == (100 + 1 + 20 + 2 + 3, 11)
    assert disturbance._of_cpus(STAT, {0, 1}) == (126 + 200 + 2 + 40 + 4 + 6, 33)


def test_usage_of_this_process():
    usage = disturbance.usage()
    if usage is None:
        pytest.skip("this system has no /proc/stat")
    assert 0 < usage.own <= usage.busy + 1


def timings(ours, one_thread=(1.0,) * 4):
    return {OURS: Timing(tuple(ours)), ONE: Timing(tuple(one_thread))}


def test_even_times_raise_no_suspicion():
    assert suspicions(timings([1.0, 1.02, 0.98, 1.0]), OURS, ONE) == []


def test_scattered_times_do():
    found = suspicions(timings([1.0, 2.0, 1.0, 2.0]), OURS)
    assert found == ["the quartiles of our time are 67% apart"]


def test_threads_in_each_others_way_do():
    found = suspicions(timings([2.0] * 4), OURS, ONE)
    assert found == ["all threads take 2.00 times as long as one"]
    assert suspicions({OURS: Timing((2.0,))}, OURS, ONE) == []


def rows(*reasons):
    found = iter([{"n": n, "disturbed": list(one)} for n, one in enumerate(reasons)])
    return lambda: next(found)


def test_a_disturbed_row_is_measured_again():
    told, slept = [], []
    row = until_quiet(
        rows(["noise"], [], ["noise"]), tries=3, rest=0.5, sleep=slept.append, tell=told.append
    )
    assert row == {"n": 1, "disturbed": [], "tries": 2}
    assert told == ["disturbed, measuring again: noise"]
    assert slept == [0.5]


def test_one_that_stays_disturbed_says_so():
    measure = rows(["a", "b"], ["a"], ["a", "c"])
    row = until_quiet(measure, tries=3, sleep=lambda seconds: None)
    assert row == {"n": 1, "disturbed": ["a"], "tries": 3}
