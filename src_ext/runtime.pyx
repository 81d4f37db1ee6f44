"""What all compiled modules of a process share: the CPU, the team of threads, and where results come from.

Built for the baseline of the architecture, since a module that is built for an instruction set cannot ask for it.
The team is one OpenMP region that never ends, hosted by a thread of its own (runtime/team.h tells how it works); the
other modules reach it through the table of runtime/state.h.
"""

from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF, PyObject
from cython.parallel cimport parallel, threadid

from libc.stdint cimport int64_t
from libc.string cimport strcpy

import os

cimport numpy as cnp

cnp.import_array()

cdef extern from "runtime/process.h":
    ctypedef struct team:
        pass
    ctypedef void (*block_function)(const void *task, Py_ssize_t block, char *scratch) noexcept nogil
    ctypedef struct runtime_functions:
        int (*acquire)(int n) noexcept nogil
        char *(*scratch)(size_t n_bytes) noexcept nogil
        void (*run)(block_function run, const void *task, Py_ssize_t first, Py_ssize_t stop, int n, char *scratch,
                    Py_ssize_t stride) noexcept nogil
        void (*release)() noexcept nogil
        int (*default_threads)() noexcept nogil
        object (*new_array)(int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, descr, size_t n_bytes)
    int HAS_OPENMP_ "HAS_OPENMP"
    int SERIAL_BELOW_ "SERIAL_BELOW"
    size_t POOLED_BYTES
    int watch_forks() noexcept nogil
    void start_anew() noexcept nogil
    ctypedef struct limits:
        int wanted, quota, n_cpus
    limits thread_limits
    ctypedef int thread_decision
    int decide_threads(thread_decision *reason) noexcept nogil
    int default_threads() noexcept nogil
    int affinity_cpu_count() noexcept nogil
    int x86_level() noexcept nogil
    int omp_get_max_threads() noexcept nogil
    void atomic_store(void *value, int stored) noexcept nogil
    int test_delay_ns
    void (*host_region)(team *t, int n_helpers) noexcept nogil
    void help_in_region(team *t, int id) noexcept nogil
    int acquire_team(int n) noexcept nogil
    char *team_scratch(size_t n_bytes) noexcept nogil
    void run_on_team(block_function run, const void *task, Py_ssize_t first, Py_ssize_t stop, int n, char *scratch,
                     Py_ssize_t stride) noexcept nogil
    void release_team() noexcept nogil
    ctypedef struct team_counts:
        int64_t jobs, alone, blocks, blocks_of_helpers, sleeps, waited_ns
    int report_team(team_counts *counts) noexcept nogil
    void *pool_malloc(void *context, size_t size) noexcept nogil
    void *pool_calloc(void *context, size_t n, size_t item) noexcept nogil
    void *pool_realloc(void *context, void *data, size_t size) noexcept nogil
    void pool_free(void *context, void *data, size_t size) noexcept nogil
    size_t pool_held() noexcept nogil
    size_t pool_limit() noexcept nogil
    void set_pool_limit(size_t limit) noexcept nogil
    size_t default_pool_limit() noexcept nogil
    void *small_malloc(void *context, size_t size) noexcept nogil
    void *small_calloc(void *context, size_t n, size_t item) noexcept nogil
    void *small_realloc(void *context, void *data, size_t size) noexcept nogil
    void small_free(void *context, void *data, size_t size) noexcept nogil
    bint is_small(size_t n_bytes) noexcept nogil
    size_t small_held() noexcept nogil
    void release_small() noexcept nogil

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *ctx, size_t size) noexcept nogil
        void *(*calloc)(void *ctx, size_t nelem, size_t elsize) noexcept nogil
        void *(*realloc)(void *ctx, void *ptr, size_t new_size) noexcept nogil
        void (*free)(void *ctx, void *ptr, size_t size) noexcept nogil
    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator
    object PyDataMem_SetHandler(object handler)
    object PyDataMem_GetHandler()
    PyObject *PyDataMem_DefaultHandler
    object PyArray_NewFromDescr(type subtype, cnp.dtype descr, int ndim, const cnp.npy_intp *dims,
                                const cnp.npy_intp *strides, void *data, int flags, object obj)    # steals descr
    object PyArray_Zeros(int ndim, const cnp.npy_intp *dims, cnp.dtype descr, int fortran)    # likewise
    object PyArray_NewLikeArray(cnp.ndarray prototype, int order, void *descr, int subok)
    int NPY_KEEPORDER

cdef extern from "runtime/small_arrays.h":
    object new_small_array(int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, cnp.dtype descr,
                           size_t n_bytes, object handler)

cdef extern from *:
    """
    #ifndef FASTSOFTMAX_LEFT_OUT
    #define FASTSOFTMAX_LEFT_OUT ""
    #endif
    """
    const char *FASTSOFTMAX_LEFT_OUT

LEFT_OUT = tuple(FASTSOFTMAX_LEFT_OUT.decode().split(","))    # instruction sets that the compiler was too old for
HAS_OPENMP = bool(HAS_OPENMP_)
SERIAL_BELOW = SERIAL_BELOW_


# The region of the team.

cdef void open_region(team *t, int n_helpers) noexcept nogil:
    """Let so many threads help until the team is stopped. OpenMP may give fewer: the rest is done by those who come."""
    with parallel(num_threads=n_helpers):
        help_in_region(t, threadid() + 1)


host_region = open_region


# The number of threads.

DECIDED_BY = ("set_num_threads", "CPU affinity", "cgroup quota", "OMP_NUM_THREADS or threadpoolctl",
              "built without OpenMP")

thread_limits.n_cpus = os.cpu_count() or 1


def set_thread_limits(int wanted, int quota):
    """Take what set_num_threads asked for and what the cgroup grants; 0 for neither."""
    thread_limits.wanted = wanted
    if quota != thread_limits.quota:
        thread_limits.quota = quota


def thread_default():
    """Return (number of threads of a large call, what decided it)."""
    cdef thread_decision reason
    n = decide_threads(&reason)
    return n, DECIDED_BY[<int>reason]


# Results.

cdef PyDataMem_Handler pool_handler, small_handler
strcpy(pool_handler.name, b"fastsoftmax_pool")
pool_handler.version = 1
pool_handler.allocator = PyDataMemAllocator(NULL, pool_malloc, pool_calloc, pool_realloc, pool_free)
strcpy(small_handler.name, b"fastsoftmax_small")
small_handler.version = 1
small_handler.allocator = PyDataMemAllocator(NULL, small_malloc, small_calloc, small_realloc, small_free)

cdef object pool_capsule = PyCapsule_New(&pool_handler, "mem_handler", NULL)
cdef object small_capsule = PyCapsule_New(&small_handler, "mem_handler", NULL)


cdef size_t bytes_of(int ndim, const Py_ssize_t *shape, cnp.dtype descr) noexcept:
    """Return how many bytes an array takes; 0 for a shape that NumPy will refuse."""
    cdef size_t n_bytes = descr.itemsize
    cdef int i
    if n_bytes == 0:    # 'S', 'U' or 'V' without a length, which NumPy gives one
        return 0
    for i in range(ndim):
        if shape[i] <= 0 or <size_t>shape[i] > (<size_t>1 << 62) // n_bytes:
            return 0
        n_bytes *= shape[i]
    return n_bytes


cdef inline bint is_pooled(size_t n_bytes) noexcept:
    return n_bytes >= POOLED_BYTES and pool_limit() != 0


cdef use_pool():
    """Let NumPy allocate from the pool, unless the user has set a handler of his own; return what to set afterwards."""
    cdef object before = PyDataMem_SetHandler(pool_capsule)
    if <PyObject *>before != PyDataMem_DefaultHandler:
        PyDataMem_SetHandler(before)
    return before


cdef object new_array(int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, descr, size_t n_bytes):
    """Return an uninitialised array of n_bytes, of memory kept for results; C-contiguous unless there are strides."""
    cdef object before
    if is_small(n_bytes):
        before = PyDataMem_GetHandler()
        if <PyObject *>before == PyDataMem_DefaultHandler:
            return new_small_array(ndim, shape, strides, descr, n_bytes, small_capsule)
    before = use_pool() if is_pooled(n_bytes) else None
    try:
        Py_INCREF(descr)
        return PyArray_NewFromDescr(cnp.ndarray, descr, ndim, <const cnp.npy_intp *>shape,
                                    <const cnp.npy_intp *>strides, NULL, 0, None)
    finally:
        if before is not None:
            PyDataMem_SetHandler(before)


cdef new_from_python(shape, dtype, bint zeroed):
    cdef Py_ssize_t dims[64]
    cdef int i, ndim
    cdef cnp.dtype descr = cnp.dtype(dtype)
    cdef object before
    if descr.hasobject:    # what lies in kept memory is taken for references
        raise TypeError(f"dtype must hold numbers, got {descr}")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    ndim = len(shape)
    if ndim > 64:
        raise ValueError(f"shape must have at most 64 dimensions, got {ndim}")
    for i in range(ndim):
        dims[i] = shape[i]
    if not zeroed:
        return new_array(ndim, dims, NULL, descr, bytes_of(ndim, dims, descr))
    before = use_pool() if is_pooled(bytes_of(ndim, dims, descr)) else None
    try:
        Py_INCREF(descr)
        return PyArray_Zeros(ndim, <const cnp.npy_intp *>dims, descr, 0)
    finally:
        if before is not None:
            PyDataMem_SetHandler(before)


def empty(shape, dtype=float):
    """Return an uninitialised C-contiguous array, of memory kept for results."""
    return new_from_python(shape, dtype, False)


def zeros(shape, dtype=float):
    """Return a C-contiguous array of zeros, from the pool if it is large."""
    return new_from_python(shape, dtype, True)


def empty_like(cnp.ndarray array):
    """Return an uninitialised array in shape, dtype and memory order like another, from the pool if it is large."""
    cdef object before
    if array.dtype.hasobject:
        raise TypeError(f"array must hold numbers, got dtype {array.dtype}")
    before = use_pool() if is_pooled(cnp.PyArray_NBYTES(array)) else None
    try:
        return PyArray_NewLikeArray(array, NPY_KEEPORDER, NULL, 0)
    finally:
        if before is not None:
            PyDataMem_SetHandler(before)


def result_pool():
    """Return (limit, bytes held now) of the pool of results."""
    return pool_limit(), pool_held() + small_held()


def set_result_pool_limit(limit):
    """Bound the pool of results, in bytes; None for the default. What is over the bound goes back to the system."""
    set_pool_limit(default_pool_limit() if limit is None else limit)
    if pool_limit() == 0:
        release_small()


set_result_pool_limit(None)


# The table for the other modules.

cdef runtime_functions functions
functions.acquire = acquire_team
functions.scratch = team_scratch
functions.run = run_on_team
functions.release = release_team
functions.default_threads = default_threads
functions.new_array = new_array


def table():
    """Return the table of functions for the other compiled modules."""
    return PyCapsule_New(<void *>&functions, "fastsoftmax.runtime", NULL)


# The process and the machine.

def team_report():
    """Return the number of helpers of the team, -1 while it works, and what it has done, as a dict."""
    cdef team_counts counts
    n_helpers = report_team(&counts)
    return {"helpers": n_helpers, **counts}


def delay_helpers(int nanoseconds):
    """Hold each helper up by random times up to this before each block: a test of what does not depend on them."""
    atomic_store(&test_delay_ns, nanoseconds)


def affinity_count():
    """Return the number of CPUs that this process may run on, 0 if unknown."""
    return affinity_cpu_count()


def max_threads():
    """Return OpenMP's bound: OMP_NUM_THREADS, or what threadpoolctl set."""
    return omp_get_max_threads()


def address(cnp.ndarray array):
    """Return where an array starts, in a fiftieth of the time of array.ctypes; the caller keeps it alive."""
    return <size_t>cnp.PyArray_DATA(array)


def supports(str isa):
    """Whether this CPU runs the build for an instruction set."""
    if isa in ("v2", "v3", "v4"):
        return x86_level() >= int(isa[1:])
    return True


if not watch_forks():
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: start_anew())
