/* How a block (outer, n_classes, inner) is divided into pieces of work; chosen by
 * `plan_blocks` of layout/geometry.pxi. */
#ifndef FASTSOFTMAX_GEOMETRY_H
#define FASTSOFTMAX_GEOMETRY_H

#include <Python.h>
#include <string.h>

/* Zero a struct by the library's memset: in line it would become "rep stos", which takes 30 ns to start. */
static inline void clear_struct(void *p, size_t size) {
    __asm__("" : "+r"(size));
    memset(p, 0, size);
}

/* What the values are in memory; 16-bit kinds are computed as float. */
typedef enum { KIND_F32, KIND_F64, KIND_F16, KIND_BF16, KIND_MASK } Kind;

enum { FEW_CLASSES = 160 }; /* up to here contiguous rows are transposed, so that its lanes fill the vectors */

typedef enum {
    ROWS,       /* classes side by side: read where they lie or, of a 16-bit kind, row by row through scratch */
    TRANSPOSED, /* few classes: such rows, transposed into tiles */
    COLUMNS,    /* another axis: copied into tiles in short runs */
    GATHERED,   /* what has no form as a tile: transposed into rows in scratch */
} Form;

/* Where the values of an operand lie: its steps, in values. Along `inner` they lie side by side, and so do the
 * classes where inner is 1. The rows of the outer dimension come in groups: one alone, unless they need two steps. */
typedef struct {
    Py_ssize_t per_group; /* outer indices of a group, or ONE_GROUP */
    Py_ssize_t group;     /* from a group to the next */
    Py_ssize_t outer;     /* from an outer index of a group to the next */
    Py_ssize_t classes;   /* from a class to the next */
} Steps;

#define ONE_GROUP PY_SSIZE_T_MAX /* as per_group: no index reaches it */

/* Where an outer index starts. */
static inline Py_ssize_t outer_start(const Steps *steps, Py_ssize_t outer) {
    if (outer < steps->per_group) return outer * steps->outer;
    return outer / steps->per_group * steps->group + outer % steps->per_group * steps->outer;
}

/* Whether rows from `first` on lie in one group, and so one step apart. */
static inline int in_one_group(const Steps *steps, Py_ssize_t first, Py_ssize_t n_rows) {
    return first + n_rows <= steps->per_group || first % steps->per_group + n_rows <= steps->per_group;
}

/* A lane is one row of the softmax. */
typedef struct {
    Form form;
    Kind kind;
    Py_ssize_t outer, n_classes, inner;
    Py_ssize_t n_lanes;   /* outer * inner */
    Py_ssize_t stride;    /* lanes of a tile, or rows gathered at once */
    Py_ssize_t per_block; /* lanes of a block */
    Py_ssize_t n_blocks;
    Py_ssize_t item_bytes; /* of a value in scratch */
    Py_ssize_t data_bytes; /* of a value in memory */
} Geometry;

enum { LANE_ARRAYS = 26 }; /* the most arrays of lanes that an operation keeps behind a tile */

/* The bytes of one of them: a value of up to 8 bytes a lane, in whole cache lines. */
static inline Py_ssize_t lane_array_bytes(const Geometry *g) {
    return (g->stride * (Py_ssize_t)sizeof(double) + 63) / 64 * 64;
}

/* Point the n pointers of a struct at arrays one after the other. */
static inline void place_lane_arrays(void *pointers /* OUT */, size_t n, char *at, Py_ssize_t bytes) {
    for (size_t i = 0; i < n; i++, at += bytes) memcpy((char *)pointers + i * sizeof at, &at, sizeof at);
}

/* Give each pointer of *arrays, a struct of nothing else, an array of lanes from `at` on; LANE_ARRAYS at most. */
#define carve_lane_arrays(arrays, at, g)                                                                             \
    place_lane_arrays(arrays,                                                                                        \
                      sizeof *(arrays) /                                                                             \
                          sizeof(char[sizeof *(arrays) <= LANE_ARRAYS * sizeof(char *) ? (int)sizeof(char *) : -1]), \
                      at, lane_array_bytes(g))

#endif
