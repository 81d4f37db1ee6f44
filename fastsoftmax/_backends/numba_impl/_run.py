"""Compiles kernels, and runs the tiles of a call: in the calling thread, and in helpers where there is work for them.

A kernel computes the tiles from `start` to `stop` without the interpreter's lock. Helpers are Python's own threads, not
Numba's: those of its OpenMP layer kill a forked child at its first parallel call, and those of its workqueue layer
the process when two threads call at once. The tiles depend on the shape alone, so no bit of a result depends on
who computes them. Machine code is cached on disk where Numba finds a directory to write to.
"""

import collections
import concurrent.futures
import hashlib
import os
from pathlib import Path

import numpy as np
from numba import njit

from ..._threads import runtime
from ..._version import __version__

_TURN_ELEMENTS = 1 << 20
"""Between two looks for Ctrl-C: a few milliseconds."""
_SHARED_TURN_ELEMENTS = 1 << 17
"""The least that is worth handing to a thread."""

_MOST_HELPERS = 256
_pools = {}
"""Helpers by the id of the process."""


def _sources():
    """Return a digest of the package: Numba's cache looks only at the file of the function that it compiles."""
    digest = hashlib.sha256(__version__.encode())
    try:
        for path in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(path.read_bytes())
    except OSError:
        pass
    return digest.hexdigest()[:16]


_SOURCES = _sources()


def cached(function):
    """Compile a function that Python calls, and keep its machine code where that is possible."""
    function.__qualname__ = f"{function.__name__}_{_SOURCES}"  # a part of the name of the file
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:  # Numba finds no directory for its cache
        return njit(function, **options)


def launch(function, *arguments):
    """Call a compiled function; where its machine code cannot be saved (a full disk), it runs all the same."""
    try:
        return function(*arguments)
    except OSError:  # raised while it was compiled, before it ran
        return function(*arguments)


def _helpers():
    """Return the helpers of this process; a forked child has none of its parent's."""
    process = os.getpid()
    if process not in _pools:
        pool = concurrent.futures.ThreadPoolExecutor(_MOST_HELPERS, "fastsoftmax-numba")
        _pools.setdefault(process, pool)
    return _pools[process]


def _start(n_helpers, work, pending):
    """Let helpers work; `pending` gets each as soon as it has started, for whoever is interrupted meanwhile."""
    helpers = _helpers()
    for _ in range(n_helpers):
        pending.append(helpers.submit(work))


def _wait_for(pending):
    """Wait until no helper works; those that have not begun never will."""
    for one in pending:
        if not one.cancel():
            one.result()


def run(kernel, n_tiles, tile_elements, scratch_size, n_threads, arguments):
    """Compute all tiles of a call by at most `n_threads`, each with so many doubles of scratch."""
    n_elements = n_tiles * tile_elements
    if n_elements < 2 * _SHARED_TURN_ELEMENTS:
        scratch = np.empty(scratch_size)
        launch(kernel, 0, n_tiles, runtime.address(scratch), *arguments)
        return
    n_threads = min(n_threads, n_elements // _SHARED_TURN_ELEMENTS, n_tiles)
    turn = _TURN_ELEMENTS
    if n_threads > 1:
        turn = max(_SHARED_TURN_ELEMENTS, min(turn, n_elements // (8 * n_threads)))
    turn = max(1, turn // tile_elements)
    turns = collections.deque(range(0, n_tiles, turn))

    def work(n_turns=n_tiles):
        scratch = np.empty(scratch_size)
        address = runtime.address(scratch)
        for _ in range(n_turns):
            try:
                start = turns.popleft()
            except IndexError:  # none is left
                return
            launch(kernel, start, min(start + turn, n_tiles), address, *arguments)

    if n_threads <= 1:
        work()
        return
    if not kernel.signatures:  # it is compiled by one thread
        work(1)
    pending = []
    try:
        _start(min(n_threads - 1, len(turns)), work, pending)
        work()
    finally:  # after Ctrl-C too nobody writes any more
        turns.clear()
        _wait_for(pending)
