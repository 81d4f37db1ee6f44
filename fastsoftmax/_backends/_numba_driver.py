"""Runs the pieces of a task: serially, or by Numba's threads.

One source is compiled twice, serial and parallel. Which one a call takes does not change a bit of
the result: pieces depend on the shape alone. The parallel one is guarded, because Numba's OpenMP
layer kills a forked child at its first parallel launch, and its workqueue layer aborts the
process when two threads launch at once:

- a child made by fork() takes the serial one;
- a lock guards the parallel one, and a thread that finds it taken goes the serial way.

Machine code is cached on disk where Numba finds a directory to write to.
"""

import hashlib
import threading
from pathlib import Path

import numba
import numpy as np
from numba import njit, prange
from numba.extending import overload

from .._threads import runtime
from .._version import __version__
from ._numba_binary import BinaryTask, SigmoidTask, binary_piece, sigmoid_piece
from ._numba_divergences import DivergenceTask, EntropyTask, divergence_piece, entropy_piece
from ._numba_losses import LossTask, loss_piece
from ._numba_memory import pointer_to
from ._numba_softmax import (
    BackwardTask,
    LogsumexpTask,
    SoftmaxTask,
    backward_piece,
    logsumexp_piece,
    softmax_piece,
)

_PIECES = {
    SoftmaxTask: softmax_piece,
    LogsumexpTask: logsumexp_piece,
    BackwardTask: backward_piece,
    LossTask: loss_piece,
    SigmoidTask: sigmoid_piece,
    BinaryTask: binary_piece,
    EntropyTask: entropy_piece,
    DivergenceTask: divergence_piece,
}
_TURN_ELEMENTS = 1 << 25  # between two looks for Ctrl-C: a few tens of milliseconds
_PAD = 16  # of the scratch of each worker: no cache line is shared

_team = threading.Lock()


def _run_piece(task, first, n_lanes, scratch, wide):
    """Compute n_lanes of a task from `first` on; which function that is follows from its type."""


@overload(_run_piece)
def _overload_run_piece(task, first, n_lanes, scratch, wide):
    piece = _PIECES[task.instance_class]
    return lambda task, first, n_lanes, scratch, wide: piece(task, first, n_lanes, scratch, wide)


def _sources():
    """Return a digest of the code for the cache's key: Numba sees changes of this file alone."""
    digest = hashlib.sha256(__version__.encode())
    try:
        for path in sorted(Path(__file__).parent.glob("_numba_*.py")):
            digest.update(path.read_bytes())
    except OSError:
        pass
    return digest.hexdigest()


def _compile(parallel, sources):
    """Return the driver, serial or parallel, cached where that is possible."""
    kind = ("parallel" if parallel else "serial") + sources

    def run_blocks(task, start, stop, n_workers, scratch, scratch_bytes, wide, wide_bytes):
        kind  # noqa: B018 - makes it a part of the key of the cache
        for worker in prange(n_workers):
            begin = start + worker * (stop - start) // n_workers
            end = start + (worker + 1) * (stop - start) // n_workers
            reals = pointer_to(scratch + worker * scratch_bytes, task.like)
            doubles = pointer_to(wide + worker * wide_bytes, 1.0)
            last = min(task.n_lanes, end * task.per_block)
            for first in range(begin * task.per_block, last, task.stride):
                n_lanes = min(task.stride, task.n_lanes - first)
                _run_piece(task, first, n_lanes, reals, doubles)

    options = {"parallel": parallel, "nogil": True, "error_model": "numpy"}
    try:
        return njit(run_blocks, cache=True, **options)
    except RuntimeError:  # Numba finds no directory for its cache
        return njit(run_blocks, **options)


_serial = _compile(False, _sources())
_parallel = _compile(True, _sources())


def _launch(kernel, *arguments):
    """Call a kernel; where its machine code cannot be saved (a full disk), it runs all the same."""
    try:
        kernel(*arguments)
    except OSError:  # raised while it was compiled, before it ran
        kernel(*arguments)


def _run_turns(kernel, task, lane_elements, scratch, wide):
    """Run all blocks of a task in turns; Python honours Ctrl-C between them."""
    n_blocks = -(-task.n_lanes // task.per_block)
    turn = max(len(scratch), _TURN_ELEMENTS // max(1, lane_elements * task.per_block))
    workers = (
        len(scratch),
        runtime.address(scratch),
        scratch.strides[0],
        runtime.address(wide),
        wide.strides[0],
    )
    for start in range(0, n_blocks, turn):
        _launch(kernel, task, start, min(n_blocks, start + turn), *workers)


def run(task, dtype, lane_elements, scratch_size, wide_size, n_threads):
    """Run a task of `lane_elements` per lane by at most `n_threads`.

    Each thread gets scratch of its own: `scratch_size` elements of the dtype and `wide_size`
    doubles.
    """
    if task.n_lanes == 0:
        return
    n_blocks = -(-task.n_lanes // task.per_block)
    n_threads = min(n_threads, n_blocks, numba.config.NUMBA_NUM_THREADS)
    shares = n_threads > 1 and not runtime.is_forked_child() and _team.acquire(blocking=False)
    if not shares:
        n_threads = 1
    try:
        scratch = np.empty((n_threads, scratch_size + _PAD), dtype)
        wide = np.empty((n_threads, wide_size + _PAD))
        if not shares:
            _run_turns(_serial, task, lane_elements, scratch, wide)
            return
        before = numba.get_num_threads()
        numba.set_num_threads(n_threads)
        try:
            _run_turns(_parallel, task, lane_elements, scratch, wide)
        finally:
            numba.set_num_threads(before)
    finally:
        if shares:
            _team.release()
