"""A lock for what the whole process shares."""

import os
import threading


class ProcessLock:
    """Has a `lock` that is free in a forked child, whichever thread of the parent held it.

    `with one.lock:` and no generator around it: Ctrl-C in the generator's own code could leave the lock held. A signal
    handler may take it again, in the middle of what its own thread does with it.
    """

    def __init__(self):
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self):
        self.lock = threading.RLock()
