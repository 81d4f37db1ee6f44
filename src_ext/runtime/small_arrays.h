/* Arrays that own memory of runtime/small_results.h. */
#ifndef FASTSOFTMAX_RUNTIME_SMALL_ARRAYS_H
#define FASTSOFTMAX_RUNTIME_SMALL_ARRAYS_H

#include <Python.h>

#ifndef NPY_TARGET_VERSION /* opened alone: what setup.py defines */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#endif
#include <numpy/arrayobject.h>

#include "small_results.h"

#define TRACEMALLOC_DOMAIN 389047 /* np.lib.tracemalloc_domain */

/* A new uninitialised array whose memory comes from small_malloc and goes back through `handler`, the capsule of NumPy's
 * that holds small_free. The array gets its handler itself: to set it for the thread and to reset it costs 200 ns. */
static PyObject *new_small_array(int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, PyArray_Descr *descr,
                                 size_t n_bytes, PyObject *handler) {
    void *data = small_malloc(NULL, n_bytes);
    if (data == NULL) return PyErr_NoMemory();
    Py_INCREF(descr);
    PyObject *array = PyArray_NewFromDescr(&PyArray_Type, descr, ndim, shape, strides, data, NPY_ARRAY_CARRAY, NULL);
    if (array == NULL) {
        small_free(NULL, data, n_bytes);
        return NULL;
    }
    Py_INCREF(handler);
    ((PyArrayObject_fields *)array)->mem_handler = handler;
    PyArray_ENABLEFLAGS((PyArrayObject *)array, NPY_ARRAY_OWNDATA);
    PyTraceMalloc_Track(TRACEMALLOC_DOMAIN, (uintptr_t)data, n_bytes);
    return array;
}

#endif
