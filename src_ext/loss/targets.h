/* How targets lie in memory, and the one way to read an index. */
#ifndef FASTSOFTMAX_TARGETS_H
#define FASTSOFTMAX_TARGETS_H

#include <Python.h>
#include <stdint.h>

enum { INDEX_INT64, INDEX_INT32, INDEX_UINT8, PROBABILITIES };

/* Read once: another thread may change it meanwhile. */
static inline int64_t read_index(const void *targets, int form, Py_ssize_t row) {
    if (form == INDEX_INT64) return ((const volatile int64_t *)targets)[row];
    if (form == INDEX_INT32) return ((const volatile int32_t *)targets)[row];
    return ((const volatile uint8_t *)targets)[row];
}

static inline int lanes_read_body(const void *targets, int form, Py_ssize_t first, Py_ssize_t n_lanes,
                                  Py_ssize_t n_classes, int bad, int32_t *y) {
    int any = 0;
    for (Py_ssize_t i = 0; i < n_lanes; i++) {
        const int64_t index = read_index(targets, form, first + i);
        const int outside = (uint64_t)index >= (uint64_t)n_classes;
        y[i] = outside ? -bad : (int32_t)index;
        any |= outside;
    }
    return any;
}

/* Read the class indices of the lanes of a tile, -bad where one is out of range. Returns whether any is. */
static inline int lanes_read(const void *targets, int form, Py_ssize_t first, Py_ssize_t n_lanes, Py_ssize_t n_classes,
                             int bad, int32_t *y /* OUT */) {
    if (form == INDEX_INT64) return lanes_read_body(targets, INDEX_INT64, first, n_lanes, n_classes, bad, y);
    if (form == INDEX_INT32) return lanes_read_body(targets, INDEX_INT32, first, n_lanes, n_classes, bad, y);
    return lanes_read_body(targets, INDEX_UINT8, first, n_lanes, n_classes, bad, y);
}

#endif
