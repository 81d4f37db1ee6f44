# Runs a block function over all blocks of an operation: in the calling thread, or by the team (runtime/team.h).

from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdlib cimport free, malloc

from fastsoftmax._ext import runtime as _runtime

cdef extern from "runtime/state.h":
    ctypedef void (*block_function)(const void *task, Py_ssize_t block, char *scratch) noexcept nogil
    ctypedef struct runtime_functions:
        int (*acquire)(int n) noexcept nogil
        char *(*scratch)(size_t n_bytes) noexcept nogil
        void (*run)(block_function run, const void *task, Py_ssize_t first, Py_ssize_t stop, int n, char *scratch,
                    Py_ssize_t stride) noexcept nogil
        void (*release)() noexcept nogil
        int (*default_threads)() noexcept nogil
        object (*new_array)(int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, descr, size_t n_bytes)
    int worthwhile_threads(Py_ssize_t n_elements, int n) noexcept nogil
    int SERIAL_BELOW

cdef extern from "runtime/small_scratch.h":
    int SMALL_SCRATCH
    char *small_scratch() noexcept nogil

cdef extern from "runtime/aligned.h":
    void *allocate_aligned(size_t alignment, size_t size) noexcept nogil
    void free_aligned(void *memory) noexcept nogil

cdef extern from "<stdatomic.h>":
    ctypedef struct atomic_int:     # a flag that blocks set, whichever threads run them
        pass
    void atomic_store(atomic_int *value, int desired) noexcept nogil
    int atomic_load(atomic_int *value) noexcept nogil

cdef enum:
    CACHE_LINE = 64
    SLICE_ELEMENTS = 1 << 25    # between two checks for Ctrl-C: a few tens of milliseconds

cdef runtime_functions *runtime = <runtime_functions *>PyCapsule_GetPointer(_runtime.table(), "fastsoftmax.runtime")


cdef Py_ssize_t round_up(Py_ssize_t value, Py_ssize_t unit) noexcept nogil:
    """Round up to a multiple of a power of two."""
    return (value + unit - 1) & -unit


cdef int run_blocks(block_function run, const void *task, Py_ssize_t n_blocks, Py_ssize_t block_elements,
                    int n_threads, Py_ssize_t scratch_bytes) except -1:
    """Call run(task, block, scratch) for every block, each thread with scratch of its own.

    Blocks are fixed by the shape alone, so that no bit depends on the number of threads. Between slices
    of some tens of milliseconds Ctrl-C is honoured. A small call keeps the GIL: giving it up costs as much as its work.
    """
    cdef Py_ssize_t start = 0, stop, slice_blocks = max(1, SLICE_ELEMENTS // max(1, block_elements))
    cdef Py_ssize_t stride = round_up(scratch_bytes, CACHE_LINE) + CACHE_LINE
    cdef char *scratch = NULL
    if n_threads <= 1 and (n_blocks - 1) * block_elements < SERIAL_BELOW and scratch_bytes <= SMALL_SCRATCH:
        run_here(run, task, 0, n_blocks, small_scratch())
        return 0
    n_threads = worthwhile_threads(n_blocks * block_elements, <int>min(n_threads, n_blocks))
    if n_threads > 1:
        n_threads = runtime.acquire(n_threads)
    if n_threads > 1:
        try:
            scratch = runtime.scratch(stride * n_threads)
            if scratch == NULL:
                raise MemoryError("cannot allocate the scratch space of a kernel")
            while start < n_blocks:
                stop = min(n_blocks, start + slice_blocks)
                with nogil:
                    runtime.run(run, task, start, stop, n_threads, scratch, stride)
                start = stop
                if start < n_blocks:
                    PyErr_CheckSignals()
        finally:
            runtime.release()
        return 0
    if scratch_bytes > SMALL_SCRATCH:
        scratch = <char *>allocate_aligned(CACHE_LINE, stride)
        if scratch == NULL:
            raise MemoryError("cannot allocate the scratch space of a kernel")
    try:
        while start < n_blocks:
            stop = min(n_blocks, start + slice_blocks)
            with nogil:
                run_here(run, task, start, stop, scratch if scratch != NULL else small_scratch())
            start = stop
            if start < n_blocks:
                PyErr_CheckSignals()
    finally:
        free_aligned(scratch)
    return 0


cdef inline void run_here(block_function run, const void *task, Py_ssize_t start, Py_ssize_t stop,
                          char *scratch) noexcept nogil:
    cdef Py_ssize_t block
    for block in range(start, stop):
        run(task, block, scratch)
