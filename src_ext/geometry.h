/* How a block (outer, n_classes, inner) is cut into pieces of work; chosen by `cut` of geometry.pxi. */
#ifndef FASTSOFTMAX_GEOMETRY_H
#define FASTSOFTMAX_GEOMETRY_H

#include <Python.h>

/* What the values are in memory; 16-bit kinds are computed as float. */
typedef enum { KIND_F32, KIND_F64, KIND_F16, KIND_BF16, KIND_MASK } Kind;

typedef enum {
    ROWS,     /* contiguous rows, read where they lie or, of a 16-bit kind, one by one through scratch */
    TURNED,   /* few classes: contiguous rows, turned into tiles */
    COLUMNS,  /* another axis: copied into tiles in short runs */
    GATHERED, /* what has no form as a tile: turned into rows in scratch */
} Form;

/* A lane is one row of the softmax. */
typedef struct {
    Form form;
    Kind kind;
    Py_ssize_t outer, n_classes, inner;
    Py_ssize_t n_lanes;     /* outer * inner */
    Py_ssize_t stride;      /* lanes of a tile, or rows gathered at once */
    Py_ssize_t per_block;   /* lanes of a block */
    Py_ssize_t n_blocks;
    Py_ssize_t item_bytes;  /* of a value in scratch */
    Py_ssize_t data_bytes;  /* of a value in memory */
} Geometry;

#endif
