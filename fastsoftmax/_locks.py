"""A lock for what the whole process shares."""

import contextlib
import os
import threading


class ProcessLock:
    """A lock that is free in a forked child, whichever thread of the parent held it."""

    def __init__(self):
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self):
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def held(self):
        """Hold the lock for the time of a block."""
        with self._lock:
            yield
