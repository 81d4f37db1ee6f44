"""A lock for what the whole process shares."""

import os
import threading


class ProcessLock:
    """Has a `lock` that is free in a forked child, whichever thread of the parent held it.

    `with one.lock:` and no generator around it: Ctrl-C in the generator's own code could leave the lock held. No loop
    in the block either, but a function that has one: Python 3.12 and 3.13 may raise what a signal handler raises
    between two rounds of a loop as if that were outside of `with` and `try`. A signal handler may take the lock again,
    in the middle of what its own thread does with it.
    """

    def __init__(self):
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self):
        self.lock = threading.RLock()
