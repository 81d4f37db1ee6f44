# What the kernels take from the C headers.
#
# A primitive exists for float and for double. Its name is a macro that picks the instance by the type of the first
# argument, a pointer to `real`; Cython passes the arguments on as they are ("..."), and the C compiler checks them
# against the function, which the header defines and describes.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

ctypedef fused real:
    float
    double

cdef extern from "layout/geometry.h" nogil:
    ctypedef enum Form:
        ROWS, TRANSPOSED, COLUMNS, GATHERED
    ctypedef struct Geometry:
        Form form
        Kind kind
        Py_ssize_t outer, n_classes, inner, n_lanes, stride, per_block, n_blocks, item_bytes, data_bytes
    int FEW_CLASSES, LANE_ARRAYS
    Py_ssize_t lane_array_bytes(const Geometry *g)
    void carve_lane_arrays(...)
    void clear_struct(void *p, size_t size)
    Py_ssize_t outer_start(const Steps *steps, Py_ssize_t outer)
    bint in_one_group(const Steps *steps, Py_ssize_t first, Py_ssize_t n_rows)

cdef extern from "layout/kinds.h" nogil:
    void tile_load(...)
    void tile_store(...)
    void row_log_shift(...)
    void row_scale(...)
    void run_load_f32(Kind kind, const void *x, Py_ssize_t first, Py_ssize_t n, float *to)
    void run_store_f32(Kind kind, const float *values, void *out, Py_ssize_t first, Py_ssize_t n)
    float run_max_f32(Kind kind, const void *x, Py_ssize_t first, Py_ssize_t n, float *to)

cdef extern from "softmax/primitives.h" nogil:
    int LANES_F32, LANES_F64
    double UNIT_F32, UNIT_F64
    ctypedef struct Upcoming:
        const char *read
        const char *targets
        char *write
        Py_ssize_t item_bytes
        bint is_large
    ctypedef struct exp_sum:
        double sum, sum_error, n_max, unit, unit_error
    ctypedef struct LaneSums:
        double *sum
        double *sum_error
        double *n_max
        double *unit
        double *unit_error
    void lanes_sum_rest(const LaneSums *sums, Py_ssize_t n, bint is_double, double *sum_rest)
    void log1p_lanes(const double *s, double *L, Py_ssize_t n)
    double row_max(...)
    void row_exp_sum(...)
    void row_shrink(...)
    double row_dot(...)
    void row_softmax_backward(...)
    void row_log_softmax_backward(...)
    void lanes_max(...)
    void lanes_exp_sum(...)
    void lanes_scale(...)
    void lanes_log_shift(...)
    double row_target_gap(...)
    void row_target(...)
    void row_combine(...)
    void row_mask(...)
    void row_copy_masked(...)
    void lanes_mask(...)
    void lanes_target(...)
    void lanes_target_gap(...)
    void lanes_combine(...)
