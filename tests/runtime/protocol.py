"""Every interleaving of the protocol of src_ext/runtime/team.h: one caller with some jobs, and helpers.

The processes below are those of team.h, an atomic operation a step. A state is a named tuple of what they share and
one tuple a process, (label, what it remembers). `explore` visits every state that can be reached and checks that

- a block runs once, and while its job lasts (the caller has not yet gone on);
- nobody waits for ever: where no process can go on, all have ended.

Spinning is left out but for its effect: a helper may go to sleep at once, and so may a caller that waits.
"""

import itertools
from typing import NamedTuple

OPEN, SLEEPER = 64, 32
INSIDE = 31


class Shared(NamedTuple):
    generation: int = 0
    gate: int = 0  # OPEN, SLEEPER, number of helpers inside
    job: int = 0  # the job whose data are valid; 0: none
    ranges: tuple = ()  # (next, end) of each participant
    asleep: tuple = ()  # the word of each helper
    sleeping: frozenset = frozenset()  # processes that the system keeps asleep
    stopping: bool = False
    runs: tuple = ()  # how often each block of each job has run


class Violation(AssertionError):
    """A property that does not hold, with the state where that shows."""


def put(sequence, index, value):
    """Return a tuple with one entry changed."""
    return (*sequence[:index], value, *sequence[index + 1 :])


def deal(n_blocks, n_participants):
    """Cut the blocks into contiguous segments."""
    bounds = [n_blocks * i // n_participants for i in range(n_participants + 1)]
    return tuple(itertools.pairwise(bounds))


def wake_children(me, then):
    """Return the steps, as memories, of a participant that wakes two others and goes on to `then`."""
    return ("wake", 2 * me + 1, then)


def step_wake(shared, me, memory):
    """Wake one child: exchange its word, and call the system if it was asleep."""
    _, child, then = memory
    last = 2 * me + 2
    if child < len(shared.ranges) and shared.asleep[child]:
        shared = shared._replace(
            asleep=put(shared.asleep, child, 0), sleeping=shared.sleeping - {child}
        )
    yield shared, ("wake", child + 1, then) if child < last else then


def step_take(shared, me, memory):
    """Take a block: the next of the own segment, then the last of another's."""
    _, k, job = memory
    n = len(shared.ranges)
    owner = (me + k) % n
    first, end = shared.ranges[owner]
    if first < end:
        block, rest = (first, (first + 1, end)) if k == 0 else (end - 1, (first, end - 1))
        yield shared._replace(ranges=put(shared.ranges, owner, rest)), ("run", block, k, job)
    elif k + 1 < n:
        yield shared, ("take", k + 1, job)
    else:
        yield shared, ("leave",)


def step_run(shared, me, memory):
    """Run a block: its job has to last."""
    _, block, k, job = memory
    if shared.job != job:
        raise Violation(f"participant {me} runs block {block} of job {job} after its end: {shared}")
    index = (job - 1) * BLOCKS + block
    if shared.runs[index]:
        raise Violation(f"block {block} of job {job} runs twice: {shared}")
    yield shared._replace(runs=put(shared.runs, index, 1)), ("take", k, job)


def step_caller(shared, memory, n_jobs, n_participants):
    label = memory[0]
    if label == "publish":
        job = memory[1]
        if shared.gate:
            raise Violation(f"a job is published while somebody is inside: {shared}")
        yield (
            shared._replace(job=job, ranges=deal(BLOCKS, n_participants), gate=OPEN),
            ("announce", job),
        )
    elif label == "announce":
        job = memory[1]
        yield (
            shared._replace(generation=shared.generation + 1),
            wake_children(0, ("take", 0, job)),
        )
    elif label == "wake":
        yield from step_wake(shared, 0, memory)
    elif label == "take":
        yield from step_take(shared, 0, memory)
    elif label == "run":
        yield from step_run(shared, 0, memory)
    elif label == "leave":
        yield shared._replace(gate=shared.gate & ~OPEN), ("wait",)
    elif label == "wait":
        if shared.gate & INSIDE:
            gate = shared.gate | SLEEPER
            yield shared._replace(gate=gate), ("sleep", gate)
        else:
            yield shared._replace(gate=0, job=0), ("next", shared.job)
    elif label == "sleep":  # the system compares the word and sleeps in one step
        if shared.gate == memory[1]:
            yield shared._replace(sleeping=shared.sleeping | {0}), ("wait",)
        else:
            yield shared, ("wait",)
    elif label == "next":
        if memory[1] < n_jobs:
            yield shared, ("publish", memory[1] + 1)
        else:
            yield shared._replace(stopping=True), ("stop",)
    elif label == "stop":
        yield shared._replace(generation=shared.generation + 1), ("wake all", 1)
    elif label == "wake all":
        i = memory[1]
        if i < len(shared.asleep):
            if shared.asleep[i]:
                shared = shared._replace(
                    asleep=put(shared.asleep, i, 0), sleeping=shared.sleeping - {i}
                )
            yield shared, ("wake all", i + 1)
        else:
            yield shared, ("end",)


def step_helper(shared, me, memory):
    label = memory[0]
    if label == "look":
        seen = memory[1]
        if shared.generation != seen:
            yield shared, ("joins", shared.generation)
        else:
            yield shared, ("doze", seen)
    elif label == "doze":
        yield shared._replace(asleep=put(shared.asleep, me, 1)), ("look again", memory[1])
    elif label == "look again":
        yield shared, ("sleep" if shared.generation == memory[1] else "up", memory[1])
    elif label == "sleep":
        if shared.asleep[me]:
            shared = shared._replace(sleeping=shared.sleeping | {me})
        yield shared, ("up", memory[1])
    elif label == "up":
        yield shared._replace(asleep=put(shared.asleep, me, 0)), ("look", memory[1])
    elif label == "joins":
        if shared.stopping:
            yield shared, ("end",)
        elif shared.gate & OPEN and me < len(shared.ranges):
            job = shared.job
            then = ("take", 0, job)
            yield (
                shared._replace(gate=shared.gate + 1),
                ("inside", memory[1], wake_children(me, then)),
            )
        else:
            yield shared, ("look", memory[1])
    elif label == "inside":
        seen, inner = memory[1], memory[2]
        if inner[0] == "leave":
            gate = shared.gate - 1
            sleeping = shared.sleeping
            if shared.gate & SLEEPER and shared.gate & INSIDE == 1:
                sleeping = sleeping - {0}
            yield shared._replace(gate=gate, sleeping=sleeping), ("look", seen)
            return
        steps = {"wake": step_wake, "take": step_take, "run": step_run}[inner[0]]
        for after, then in steps(shared, me, inner):
            yield after, ("inside", seen, then)


BLOCKS = 3


def explore(n_helpers, n_participants, n_jobs):
    """Visit every state; return how many there are."""
    shared = Shared(asleep=(0,) * (n_helpers + 1), runs=(0,) * (BLOCKS * n_jobs))
    start = (shared, (("publish", 1), *((("look", 0),) * n_helpers)))
    seen, stack = {start}, [start]
    while stack:
        shared, processes = stack.pop()
        moves = 0
        for me, memory in enumerate(processes):
            if me in shared.sleeping or memory[0] == "end":
                continue
            if me == 0:
                steps = step_caller(shared, memory, n_jobs, n_participants)
            else:
                steps = step_helper(shared, me, memory)
            for after, then in steps:
                moves += 1
                state = (after, put(processes, me, then))
                if state not in seen:
                    seen.add(state)
                    stack.append(state)
        if not moves and any(memory[0] != "end" for memory in processes):
            raise Violation(f"nobody can go on: {shared} {processes}")
        if all(memory[0] == "end" for memory in processes) and not all(shared.runs):
            raise Violation(f"a block never ran: {shared}")
    return len(seen)
