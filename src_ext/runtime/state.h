/* What the compiled modules of a process share: the team of threads, the number of threads, and where results come from.
 *
 * One module owns all of it (runtime.pyx); the others hold a pointer to this table. */
#ifndef FASTSOFTMAX_RUNTIME_STATE_H
#define FASTSOFTMAX_RUNTIME_STATE_H

#include <Python.h>
#include <stddef.h>

/* Fewer elements than this run in the calling thread: to share them costs more than it saves. */
#define SERIAL_BELOW 32000

/* Each thread that takes part has at least so many elements. */
#define ELEMENTS_A_THREAD 12000

/* Where results come from: of fewer bytes from NumPy, up to the second number from runtime/small_results.h, from the third
 * on from runtime/result_pool.h; between them from NumPy, whose allocator costs little beside what is computed. */
#define SMALLEST_RESULT_BYTES (1 << 10)
#define SMALL_RESULT_BYTES (1 << 15)
#define POOLED_BYTES (1 << 18)

/* One block of an operation, with scratch memory of the thread's own. */
typedef void (*block_function)(const void *task, ptrdiff_t block, char *scratch);

typedef struct {
    /* Return how many threads may take part, at most n: 1 while another caller has the team. */
    int (*acquire)(int n);
    /* Scratch memory of so many bytes for the caller of acquire, until release; NULL if there is none. */
    char *(*scratch)(size_t n_bytes);
    /* Run blocks first..stop - 1 on n threads, the caller among them, the n-th with scratch + n * stride. */
    void (*run)(block_function run, const void *task, ptrdiff_t first, ptrdiff_t stop, int n, char *scratch,
                ptrdiff_t stride);
    void (*release)(void);
    /* The number of threads of a large call. */
    int (*default_threads)(void);
    /* An uninitialised array of n_bytes for a result; dense strides of any order, or NULL for C order. NULL with an
     * exception set. */
    PyObject *(*new_array)(int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, PyObject *descr,
                           size_t n_bytes);
} runtime_functions;

/* How many of n threads are worth taking part in so many elements. */
static inline int worthwhile_threads(Py_ssize_t n_elements, int n) {
    const Py_ssize_t most = n_elements / ELEMENTS_A_THREAD;
    return n < 1 || most < 1 ? 1 : most < n ? (int)most : n;
}

#endif
