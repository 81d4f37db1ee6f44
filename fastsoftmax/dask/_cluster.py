"""The client's side: tasks with names, results in order, partitions that can be recomputed."""

import itertools
import uuid
import warnings
from collections import defaultdict

import numpy as np
from dask import delayed
from dask.sizeof import sizeof
from distributed import Client, default_client, wait

from .. import __version__
from . import _tasks
from ._tree import tree_sum
from ._waiting import Watch, fullest_if_stuck, wait_for

_MOST_EMBEDDED = 4 << 20
"""Bytes of arguments that may be sent with the tasks: more go once, and from worker to worker."""

_MOST_ROUNDS_HELD, _MOST_BYTES_HELD = 32, 32 << 20

_MOST_GATHERED, _NEIGHBOURS = 64, 16
"""Results that the client gathers in a round, and those that a worker adds up before: whole nodes."""

_SHARE_OF_MEMORY, _MOST_OF_MEMORY = 0.4, 0.6
"""Of the workers' limits: for partitions, and in all. Dask begins to write to disk at the latter."""


def client_or_default(client):
    """Return the client, or the one that was started last."""
    if client is not None:
        return _checked_client(client)
    try:
        return default_client()
    except ValueError as error:
        raise ValueError(
            "fastsoftmax.dask needs a cluster: pass client=distributed.Client(...), or start one before"
        ) from error


def _checked_client(client):
    if not isinstance(client, Client):
        raise TypeError(f"client must be a distributed.Client, got {type(client).__name__}")
    if client.asynchronous:
        raise ValueError(
            "client must be synchronous, got one that was started with asynchronous=True"
        )
    if client.status in ("closing", "closed"):
        raise ValueError(f"client must be connected, got one that is {client.status}")
    return client


def key_of(name):
    """Return a key of its own for a task; the dashboard shows `name`, of which it has room for 15 letters."""
    return f"{name}-{uuid.uuid4().hex}"


def task(function, *arguments, name):
    """Return a delayed call; the dashboard shows `name`."""
    return delayed(function, pure=False, traverse=False)(*arguments, dask_key_name=key_of(name))


def shared_future(client, value, n_tasks, n_bytes, name):
    """Return an argument of many tasks of `Cluster.map`: itself if small, else a future of it."""
    if n_tasks * n_bytes <= _MOST_EMBEDDED:
        return value
    return client.submit(_tasks.identity, value, key=key_of(name), pure=False)


def shared(value, n_tasks, n_bytes, name):
    """Return an argument of many tasks: itself if small, else a task of its own, sent once."""
    if n_tasks * n_bytes <= _MOST_EMBEDDED:
        return delayed(value, traverse=False, name=key_of(name))
    return task(_tasks.identity, value, name=name)


class Cluster:
    """Runs calls on a client; results stay on the workers for some rounds, and are released together.

    Dask collects a client's messages for 10 ms after each that it sends: a release that goes out
    after every round would hold back the tasks of the next one.
    """

    def __init__(self, client):
        self.client, self._held, self._n_bytes, self._watch = client, [], 0, Watch()

    def start(self, calls, worker=None):
        """Send delayed calls, to a worker or to whoever has it no longer; return their futures."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            return self.client.compute(
                calls, workers=worker, allow_other_workers=worker is not None
            )

    def start_together(self, calls):
        """Send neighbours to the same worker, for it to add up their results; return the futures."""
        n_threads = self.client.nthreads()
        ends = np.cumsum([0, *n_threads.values()]) * len(calls) // max(1, sum(n_threads.values()))
        futures = []
        for worker, (start, stop) in zip(n_threads, itertools.pairwise(ends), strict=True):
            if start < stop:
                futures += self.start(calls[start:stop], worker)
        return futures if n_threads else self.start(calls)

    def results(self, calls, on_done=None):
        """Return the results of delayed calls in order; whatever ends this ends the tasks."""
        return self.gather(self.start(calls), on_done)

    def map(self, function, rows, name):
        """Start function(*row) for each row of arguments, which may hold futures; return the futures.

        For calls without a graph below them this takes half the time of `start`.
        """
        keys = [key_of(name) for _ in rows]
        return self.client.map(function, *zip(*rows, strict=True), key=keys, pure=False)

    def gather(self, futures, on_done=None):
        """Return the results of futures in order; whatever ends this ends the tasks."""
        if on_done is not None:
            for number, future in enumerate(futures):
                future.add_done_callback(lambda _, number=number: on_done(number))
        try:
            found = self._wait_for(lambda: self.client.gather(futures, asynchronous=True), futures)
        except BaseException:
            self.client.cancel(futures)
            raise
        self._hold(futures, sizeof(found))
        return found

    def wait(self, futures, return_when="ALL_COMPLETED"):
        """Return the sets of futures that are done, whatever has become of them, and not done."""

        async def start():
            with self.client.as_current():
                return await wait(futures, return_when=return_when)

        return self._wait_for(start, futures)

    def _wait_for(self, start, futures):
        return wait_for(self.client, start, self._watch, futures)

    def _hold(self, futures, n_bytes):
        self._n_bytes += n_bytes
        self._held.append(futures)
        if len(self._held) > _MOST_ROUNDS_HELD or self._n_bytes > _MOST_BYTES_HELD:
            self._held, self._n_bytes = [futures], n_bytes

    def workers(self):
        """Return what the scheduler says of each worker, by address."""
        return self.client.scheduler_info(n_workers=-1)["workers"]

    def require_library(self):
        """Raise unless the workers have this version; warn if they compute in different ways."""
        self._watch = Watch(fullest_if_stuck(self.workers()))
        found = self.client.run(_library_there(), on_error="return")
        ways = {}
        for worker, answer in found.items():
            if not isinstance(answer, tuple):
                continue  # it has gone, or hangs, which the tasks will notice
            version, way = answer
            if version is None:
                raise RuntimeError(f"the worker {worker} cannot import fastsoftmax: {way}")
            if version != __version__:
                raise RuntimeError(
                    f"workers must have fastsoftmax {__version__} like the client, got {version} at {worker}"
                )
            ways.setdefault(way, worker)
        if len(ways) > 1:
            listed = ", ".join(f"{way} at {worker}" for way, worker in sorted(ways.items()))
            warnings.warn(
                f"workers compute in different ways, {listed}: the bits then depend on who computes what",
                stacklevel=2,
            )

    def require_recomputable(self, futures):
        """Raise if a partition comes from data that have been scattered: no task could make them again."""
        keys = [future.key for future in futures]
        if self.client.run_on_scheduler(_scattered_below(), keys=keys):
            raise ValueError(
                "the partitions must come from tasks, got data that have been scattered: they are lost "
                "with the worker that holds them. Let the workers make or read them "
                "(dask.array.from_delayed, dask.dataframe.read_parquet), or pass the arrays themselves to "
                "dask.array.from_array"
            )


def _scattered_below():
    """Return a function for the scheduler, which need not have this library: it goes there by value."""

    def scattered_below(dask_scheduler, keys):
        seen, ahead = set(), list(keys)
        while ahead:
            key = ahead.pop()
            state = dask_scheduler.tasks.get(key)
            if state is None or key in seen:
                continue
            if state.run_spec is None:
                return True
            seen.add(key)
            ahead += [other.key for other in state.dependencies]
        return False

    return scattered_below


def _library_there():
    """Return a function for workers, sent by value: it says what they have, or why they have none."""

    def library_there():
        try:
            import fastsoftmax
        except ImportError as error:
            return None, str(error)
        info = fastsoftmax.backend_info()
        return fastsoftmax.__version__, f"{info['backend']}/{info['isa']}"

    return library_there


def fits_in_memory(cluster, n_bytes):
    """Whether the workers can keep the partitions beside what they hold now."""
    room = 0.0
    for worker in cluster.workers().values():
        limit, metrics = worker["memory_limit"], worker["metrics"]
        if not limit:
            return True
        room += max(
            0.0,
            min(
                _SHARE_OF_MEMORY * limit - metrics.get("managed_bytes", 0),
                _MOST_OF_MEMORY * limit - metrics.get("memory", 0),
            ),
        )
    return n_bytes <= room


class Kept:
    """Partitions that stay in the workers' memory: one task a round for each worker that holds some."""

    def __init__(self, cluster, partitions, numbers, plan, in_place):
        self.cluster, self.plan = (
            cluster,
            delayed(plan, traverse=False, name=key_of("plan")),
        )
        self.numbers, self._in_place = list(numbers), in_place
        self._givens = [part.X if in_place else None for part in partitions]
        calls = [
            task(_tasks.piece_of, *part, self.plan, number, in_place, name="prepare")
            for number, part in zip(numbers, partitions, strict=True)
        ]
        self._pieces = cluster.start(calls) if in_place else cluster.start_together(calls)
        self._plan_there = cluster.map(_tasks.identity, [(plan,)], "plan")[0]
        self.n_rows = None
        self._groups = None

    def keep(self, places, n_rows):
        """Go on with the partitions at some places: the others have no rows to learn from."""
        self.numbers = [self.numbers[place] for place in places]
        self._pieces = [self._pieces[place] for place in places]
        self._givens = [self._givens[place] for place in places]
        self.n_rows, self._groups = n_rows, None

    def sizes(self):
        """Return (number of rows, their weight) of each partition."""
        return self.cluster.results([task(_tasks.size_of, p, name="count") for p in self._pieces])

    def add_up(self, job, name, n_bytes, *, side_by_side=False, on_rows=None):
        """Return the sum of a job over all partitions."""
        if self._groups is None:
            self._groups = self._group(side_by_side)
        n = len(self._pieces)
        job = shared_future(self.cluster.client, job, len(self._groups), n_bytes, name)
        rows = [
            (
                [self._pieces[place] for place in places],
                [self._givens[place] for place in places],
                places,
                n,
                self._plan_there,
                job,
            )
            for places in self._groups.values()
        ]
        groups = list(self._groups.values())
        on_done = on_rows and (lambda i: on_rows(sum(self.n_rows[place] for place in groups[i])))
        found = self.cluster.gather(self.cluster.map(_tasks.add_up, rows, name), on_done)
        for (worker, _), result in zip(self._groups, found, strict=True):
            if result.worker != worker:
                self._groups = None  # a worker has gone, and the partitions lie elsewhere
                break
        return _sum_of(found, n)

    def _group(self, side_by_side):
        """Return the places of the partitions that lie on one worker, by (worker, share of it)."""
        self.cluster.wait(self._pieces)
        holders = self.cluster.client.who_has(self._pieces)
        n_threads = self.cluster.client.nthreads()
        held = defaultdict(list)
        for place, piece in enumerate(self._pieces):
            held[min(holders.get(piece.key) or [""])].append(place)
        return {
            (worker, share): part.tolist()
            for worker, places in held.items()
            for share, part in enumerate(
                np.array_split(places, n_threads.get(worker, 1) if side_by_side else 1)
            )
            if len(part)
        }

    def train(self, start, shares, epoch, on_rows):
        """Return what a replica reaches on each share of the places, in their order."""
        calls = []
        for share in shares:
            reached = start
            for place in share:
                reached = self._train_call(reached, place, epoch)
            calls.append(reached)
        rows = [sum(self.n_rows[place] for place in share) for share in shares]
        return self.cluster.results(calls, on_rows and (lambda i: on_rows(rows[i])))

    def _train_call(self, reached, place, epoch):
        piece, given = self._pieces[place], self._givens[place]
        number = self.numbers[place]
        return task(_tasks.train_on, reached, piece, given, number, self.plan, epoch, name="train")


class Streamed:
    """Partitions that are larger than memory: each round reads them anew, a few at a time."""

    def __init__(self, cluster, partitions, numbers, plan):
        self.cluster, self.plan = (
            cluster,
            delayed(plan, traverse=False, name=key_of("plan")),
        )
        self.numbers, self._partitions = list(numbers), list(partitions)
        self.n_rows = None

    def keep(self, places, n_rows):
        """Go on with the partitions at some places."""
        self.numbers = [self.numbers[place] for place in places]
        self._partitions = [self._partitions[place] for place in places]
        self.n_rows = n_rows

    def sizes(self):
        """Return (number of rows, their weight) of each partition."""
        pairs = zip(self.numbers, self._partitions, strict=True)
        calls = [
            task(_tasks.read_and_size, list(part), self.plan, number, name="count")
            for number, part in pairs
        ]
        return self.cluster.results(calls)

    def add_up(self, job, name, n_bytes, *, side_by_side=False, on_rows=None):
        """Return the sum of a job over all partitions."""
        n = len(self._partitions)
        job = shared(job, n, n_bytes, f"{name}-argument")
        calls = [
            task(_tasks.read_and_add_up, list(part), number, n, self.plan, job, place, name=name)
            for place, (number, part) in enumerate(zip(self.numbers, self._partitions, strict=True))
        ]
        return _sum_of(self._joined(calls, on_rows), n)

    def _joined(self, calls, on_rows):
        """Run calls, one for each partition; workers add up neighbours, for the client has one memory."""
        n_rows = list(self.n_rows)
        while len(calls) > _MOST_GATHERED:
            starts = range(0, len(calls), _NEIGHBOURS)
            calls = [
                task(_tasks.join, calls[i : i + _NEIGHBOURS], len(self.numbers), name="add-up")
                for i in starts
            ]
            n_rows = [sum(n_rows[i : i + _NEIGHBOURS]) for i in starts]
        return self.cluster.results(calls, on_rows and (lambda place: on_rows(n_rows[place])))

    def train(self, start, shares, epoch, on_rows):
        """Return what a replica reaches on each share of the places, in their order.

        A partition is sent for when the one before the last is done: idle threads would read ahead
        until memory is full.
        """
        (start,) = self.cluster.start([start])
        last, ahead = [start] * len(shares), [iter(share) for share in shares]
        running, owners = set(), {}

        def send(number):
            place = next(ahead[number], None)
            if place is not None:
                (last[number],) = self.cluster.start([self._train_call(last[number], place, epoch)])
                owners[last[number].key] = number, place
                running.add(last[number])

        for number in 2 * [*range(len(shares))]:
            send(number)
        while running:
            done, running = self.cluster.wait(running, "FIRST_COMPLETED")
            if any(future.status != "finished" for future in done):
                break  # gather raises what has happened
            for future in done:
                number, place = owners.pop(future.key)
                if on_rows:
                    on_rows(self.n_rows[place])
                send(number)
        return self.cluster.gather(last)

    def _train_call(self, reached, place, epoch):
        part, number = list(self._partitions[place]), self.numbers[place]
        return task(_tasks.read_and_train_on, reached, part, number, self.plan, epoch, name="train")


def _sum_of(results, n_leaves):
    """Return the tree's sum of all nodes; a tree whose leaves are all empty has none."""
    sums = {}
    for result in results:
        sums |= result.sums
    return tree_sum(sums, n_leaves)
