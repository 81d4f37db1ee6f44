# Runs a block function over all blocks of an operation: serially, or by the team of OpenMP threads.

from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer
from cython.parallel cimport prange, threadid
from libc.stdlib cimport free

cdef extern from "runtime_state.h":
    ctypedef struct runtime_state:
        pass
    int team_acquire(runtime_state *state) noexcept nogil
    void team_release(runtime_state *state) noexcept nogil
    int SERIAL_BELOW

cdef extern from "<stdlib.h>":
    void *aligned_alloc(size_t alignment, size_t size) noexcept nogil

ctypedef void (*block_function)(const void *task, Py_ssize_t block, char *scratch) noexcept nogil

cdef enum:
    CACHE_LINE = 64
    TURN_ELEMENTS = 1 << 25     # between two looks for Ctrl-C: a few tens of milliseconds

cdef runtime_state *process_state = NULL
cdef object default_threads = None      # a function that returns the number of threads of a large call


cdef Py_ssize_t round_up(Py_ssize_t value, Py_ssize_t unit) noexcept nogil:
    return (value + unit - 1) // unit * unit


cdef int run_blocks(block_function run, const void *task, Py_ssize_t n_blocks, Py_ssize_t block_elements,
                    int n_threads, Py_ssize_t scratch_bytes) except -1:
    """Call run(task, block, scratch) for every block, each thread with scratch of its own.

    Blocks are fixed by the shape alone, so that no bit depends on the number of threads. Between turns
    of some tens of milliseconds Ctrl-C is honoured.
    """
    cdef Py_ssize_t start = 0, stop, turn = max(1, TURN_ELEMENTS // max(1, block_elements))
    cdef Py_ssize_t stride = round_up(scratch_bytes, CACHE_LINE) + CACHE_LINE
    cdef char *scratch = NULL
    if n_threads > n_blocks:
        n_threads = <int>n_blocks
    if n_threads > 1 and not team_acquire(process_state):
        n_threads = 1
    cdef bint has_team = n_threads > 1
    if scratch_bytes > 0:
        scratch = <char *>aligned_alloc(CACHE_LINE, stride * max(1, n_threads))
        if scratch == NULL:
            if has_team:
                team_release(process_state)
            raise MemoryError("cannot allocate the scratch space of a kernel")
    try:
        while start < n_blocks:
            stop = min(n_blocks, start + turn)
            with nogil:
                run_turn(run, task, start, stop, n_threads, scratch, stride)
            start = stop
            if start < n_blocks:
                PyErr_CheckSignals()
    finally:
        if has_team:
            team_release(process_state)
        free(scratch)
    return 0


cdef void run_turn(block_function run, const void *task, Py_ssize_t start, Py_ssize_t stop, int n_threads,
                   char *scratch, Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t block
    if n_threads > 1:
        for block in prange(start, stop, num_threads=n_threads, schedule="static"):
            run(task, block, scratch + threadid() * stride)
    else:
        for block in range(start, stop):
            run(task, block, scratch)
