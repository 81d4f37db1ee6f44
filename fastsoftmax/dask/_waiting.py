"""Waiting for workers, with a look now and then whether there are any that could go on."""

import asyncio
import time
import warnings

_LOOK_EVERY = 5.0
"""Seconds. The scheduler's answer grows with the workers: rounds that end sooner ask for none."""

_PATIENCE = 20.0
"""Seconds for which all workers may be full: Dask writes to disk meanwhile, which frees memory."""

_PAUSED_AT = 0.8
"""Of a worker's limit: Dask gives it nothing more to do."""


def wait_for(client, start, fullest=None):
    """Return what `start()` leads to, a coroutine on the client's loop.

    `fullest` is what `fullest_if_stuck` has said of the workers before.

    Raises
    ------
    MemoryError
        If no worker has memory left to go on with.
    """
    return client.sync(_watched, client, start, fullest)


async def _watched(client, start, fullest):
    task, watch = asyncio.ensure_future(start()), Watch(fullest)
    try:
        while not (await asyncio.wait([task], timeout=_LOOK_EVERY))[0]:
            try:
                found = await client.scheduler.identity(n_workers=-1)
            except OSError:  # the scheduler is away, which the client tells the task
                continue
            watch.look(found["workers"], time.monotonic())
        return task.result()
    finally:
        task.cancel()


class Watch:
    """Judges, look by look, what the scheduler says of the workers."""

    def __init__(self, fullest=None):
        self._stuck_since, self._fullest, self._has_warned = None, fullest, False

    def look(self, workers, now):
        """Warn if there are no workers; raise MemoryError if full memory has held up all for long.

        Workers that are full before they have done anything come and go: Dask starts them anew.
        """
        if not all(map(_is_stuck, workers.values())):
            self._stuck_since = self._fullest = None
            return
        if self._stuck_since is None:
            self._stuck_since = now
        if workers:
            self._fullest = fullest_if_stuck(workers)
        elif self._fullest is None and not self._has_warned:
            self._has_warned = True
            warnings.warn("the cluster has no workers: tasks wait for one", stacklevel=2)
        if self._fullest and now - self._stuck_since >= _PATIENCE:
            raise MemoryError(
                f"no worker has memory to go on: {self._fullest}. Raise memory_limit, or make the "
                "partitions smaller"
            )


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
