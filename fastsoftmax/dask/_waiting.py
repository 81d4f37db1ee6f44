"""Waiting for workers, with a look now and then whether there are any that could go on."""

import asyncio
import ctypes
import sys
import time
import warnings
from concurrent.futures import CancelledError

from dask.utils import key_split
from distributed import KilledWorker

_LOOK_EVERY = 5.0
"""Seconds. The scheduler's answer grows with the workers: rounds that end sooner ask for none."""

_PATIENCE = 20.0
"""Seconds for which all workers may be full: Dask writes to disk meanwhile, which frees memory."""

_PAUSED_AT = 0.8
"""Of a worker's limit: Dask gives it nothing more to do."""

_ENDED_BY_NANNY = "worker-restart-memory"
"""Dask's topic of events: a nanny has ended a worker that came close to its limit."""


def wait_for(client, start, watch, futures=()):
    """Return what `start()` leads to, a coroutine on the client's loop that waits for `futures`.

    Raises
    ------
    MemoryError
        If no worker has memory left to go on with.
    CancelledError
        If the cluster has cancelled the tasks.
    """
    return client.sync(_watched, client, start, watch, futures)


async def _watched(client, start, watch, futures):
    await watch.begin(client)
    task = asyncio.ensure_future(start())
    try:
        while not (await asyncio.wait([task], timeout=_LOOK_EVERY))[0]:
            lost = [future for future in futures if future.status in ("error", "cancelled")]
            if lost:  # were done once, then lost and tried in vain: Dask waits for the others
                task.cancel()
                task = asyncio.ensure_future(client.gather(lost, asynchronous=True))
                continue
            try:
                found = await client.scheduler.identity(n_workers=-1)
                ended = await watch.ended(client)
            except OSError:  # the scheduler is away, which the client tells the task
                continue
            if watch.look(found["workers"], time.monotonic(), ended):
                await _free_unused(client)
        return task.result()
    except KilledWorker as error:
        ended = await watch.ended(client)
        if not ended:
            raise
        raise MemoryError(
            f"{key_split(error.task)} needs more memory than a worker has: {_in_words(ended)}. "
            f"{_ADVICE}"
        ) from error
    except CancelledError as error:
        raise CancelledError(
            "the cluster has cancelled the tasks, as it does after client.restart() or client.cancel() "
            f"and when the scheduler is lost; fit again, or go on from a checkpoint ({error})"
        ) from error
    finally:
        task.cancel()


_ADVICE = "Raise memory_limit, or make the partitions smaller"


class Watch:
    """Judges, look by look, what the scheduler says of the workers."""

    def __init__(self, fullest=None):
        self._stuck_since, self._fullest, self._has_warned = None, fullest, False
        self._last_before = None  # when Dask had ended a worker before: the scheduler's clock

    async def begin(self, client):
        """Begin to wait anew."""
        self._stuck_since = None
        if self._last_before is None:
            self._last_before = max((time for time, _ in await _ends(client)), default=0.0)

    async def ended(self, client):
        """Return Dask's events of workers that were ended for their memory since the first wait."""
        return [event for time, event in await _ends(client) if time > self._last_before]

    def look(self, workers, now, ended=()):
        """Return whether all workers have just become full; raise MemoryError if they are for long.

        Where there are no workers, it warns.
        Workers that are full before they have done anything come and go: Dask starts them anew.
        Others that it has ended for their memory may never come back.
        """
        if not all(map(_is_stuck, workers.values())):
            self._stuck_since = self._fullest = None
            return False
        have_just_become_full = self._stuck_since is None
        if have_just_become_full:
            self._stuck_since = now
        if workers:
            self._fullest = fullest_if_stuck(workers)
        why = self._fullest or (ended and _in_words(ended))
        if not why and not self._has_warned:
            self._has_warned = True
            warnings.warn("the cluster has no workers: tasks wait for one", stacklevel=2)
        if why and now - self._stuck_since >= _PATIENCE:
            raise MemoryError(f"no worker has memory to go on: {why}. {_ADVICE}")
        return have_just_become_full


async def _free_unused(client):
    """Let all workers free what they do not use; those that do not answer in time may do it later."""
    try:
        await asyncio.wait_for(client.run(free_unused, on_error="ignore"), _LOOK_EVERY)
    except (OSError, asyncio.TimeoutError):
        return


def free_unused():
    """Give the system the memory that malloc and Arrow keep for later: Dask counts it as occupied."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library
        if trim is not None:
            trim(0)


async def _ends(client):
    return await client.scheduler.events(topic=_ENDED_BY_NANNY)


def _in_words(ended):
    workers = "one was ended" if len(ended) == 1 else f"{len(ended)} were ended"
    return f"{workers} for it, the last when it occupied {ended[-1]['rss'] / 1e6:.0f} MB"


def _is_stuck(worker):
    limit, metrics = worker["memory_limit"], worker["metrics"]
    is_full = limit and metrics.get("memory", 0) >= _PAUSED_AT * limit
    is_busy = metrics.get("task_counts", {}).get("executing")
    return (worker["status"] == "paused" or is_full) and not is_busy


def fullest_if_stuck(workers):
    """Return a clause about the worker that has used most of its memory; None if any can go on."""
    if not workers or not all(map(_is_stuck, workers.values())):
        return None
    worker = max(workers.values(), key=lambda each: each["metrics"].get("memory", 0))
    return (
        f"one occupies {worker['metrics'].get('memory', 0) / 1e6:.0f} MB of its limit of "
        f"{worker['memory_limit'] / 1e6:.0f} MB"
    )
