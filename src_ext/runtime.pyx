"""What a baseline build knows of the machine, and the state that all compiled modules share."""

from cpython.pycapsule cimport PyCapsule_New
cimport numpy as cnp

cnp.import_array()

cdef extern from "runtime_native.h":
    ctypedef struct runtime_state:
        pass
    runtime_state process_state
    int HAS_OPENMP_ "HAS_OPENMP"
    int SERIAL_BELOW_ "SERIAL_BELOW"
    int watch_forks() nogil
    void mark_forked_child() nogil
    int affinity_cpu_count() nogil
    int x86_level() nogil
    int omp_get_max_threads() nogil
    int atomic_load(void *value) nogil
    int is_forked "atomic_load(&process_state.forked)"

HAS_OPENMP = bool(HAS_OPENMP_)
SERIAL_BELOW = SERIAL_BELOW_


def state_capsule():
    """Return the shared state, for the other compiled modules."""
    return PyCapsule_New(<void *>&process_state, "fastsoftmax.runtime_state", NULL)


def is_forked_child():
    """Whether this process was made by fork() after the library was loaded."""
    return bool(is_forked)


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
    import os
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: mark_forked_child())
