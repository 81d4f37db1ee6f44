# The primitives of softmax/primitives.h: each has a float and a double instance there, and one fused name here.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

ctypedef fused real:
    float
    double

cdef extern from "layout/geometry.h":
    ctypedef enum Form:
        ROWS, TRANSPOSED, COLUMNS, GATHERED
    ctypedef struct Geometry:
        Form form
        Kind kind
        Py_ssize_t outer, n_classes, inner, n_lanes, stride, per_block, n_blocks, item_bytes, data_bytes
    int FEW_CLASSES
    Py_ssize_t outer_start(const Steps *steps, Py_ssize_t outer) noexcept nogil

cdef extern from "layout/kinds.h":
    void tile_load_f32(const Geometry *g, Kind kind, const void *x, const Steps *steps, Py_ssize_t first,
                       Py_ssize_t n_lanes, float *tile) noexcept nogil
    void tile_load_f64(const Geometry *g, Kind kind, const void *x, const Steps *steps, Py_ssize_t first,
                       Py_ssize_t n_lanes, double *tile) noexcept nogil
    void tile_store_f32(const Geometry *g, const float *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                        void *out, const Steps *steps) noexcept nogil
    void tile_store_f64(const Geometry *g, const double *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                        void *out, const Steps *steps) noexcept nogil
    void run_load_f32(Kind kind, const void *x, Py_ssize_t first, Py_ssize_t n, float *to) noexcept nogil
    void run_store_f32(Kind kind, const float *values, void *out, Py_ssize_t first, Py_ssize_t n) noexcept nogil
    float run_max_f32(Kind kind, const void *x, Py_ssize_t first, Py_ssize_t n, float *to) noexcept nogil
    void row_log_shift_f32(Kind kind, const float *x, void *out, Py_ssize_t first, Py_ssize_t n, float m, double L,
                           double temperature) noexcept nogil
    void row_log_shift_f64(Kind kind, const double *x, void *out, Py_ssize_t first, Py_ssize_t n, double m, double L,
                           double temperature) noexcept nogil
    void row_scale_f32(Kind kind, float *stage, void *out, Py_ssize_t first, Py_ssize_t n,
                       double factor, double error) noexcept nogil
    void row_scale_f64(Kind kind, double *stage, void *out, Py_ssize_t first, Py_ssize_t n,
                       double factor, double error) noexcept nogil

cdef extern from "softmax/primitives.h":
    ctypedef struct Upcoming:
        const char *read
        const char *targets
        char *write
        Py_ssize_t item_bytes
    ctypedef struct exp_sum:
        double sum, sum_error, n_max, unit, unit_error
    ctypedef struct LaneSums:
        double *sum
        double *sum_error
        double *n_max
        double *unit
        double *unit_error
    void lanes_sum_rest(const LaneSums *sums, Py_ssize_t n, bint is_double, double *sum_rest) noexcept nogil
    int LANES_F32, LANES_F64
    void log1p_lanes(const double *s, double *L, Py_ssize_t n) noexcept nogil
    float row_max_f32(const float *x, Py_ssize_t n) noexcept nogil
    double row_max_f64(const double *x, Py_ssize_t n) noexcept nogil
    void row_exp_sum_f32(const float *x, float *stage, Py_ssize_t n, float m, double temperature,
                         int exclude_max, const Upcoming *next, exp_sum *result) noexcept nogil
    void row_exp_sum_f64(const double *x, double *stage, Py_ssize_t n, double m, double temperature,
                         int exclude_max, const Upcoming *next, exp_sum *result) noexcept nogil
    double row_dot_f32(const float *a, const float *b, Py_ssize_t n) noexcept nogil
    double row_dot_f64(const double *a, const double *b, Py_ssize_t n) noexcept nogil
    void row_softmax_backward_f32(const float *g, const float *p, float *out, Py_ssize_t n,
                                  double dot) noexcept nogil
    void row_softmax_backward_f64(const double *g, const double *p, double *out, Py_ssize_t n,
                                  double dot) noexcept nogil
    void row_log_softmax_backward_f32(const float *g, const float *log_p, float *out, Py_ssize_t n,
                                      double total) noexcept nogil
    void row_log_softmax_backward_f64(const double *g, const double *log_p, double *out, Py_ssize_t n,
                                      double total) noexcept nogil
    double row_target_gap_f32(const float *t, const float *z, Py_ssize_t n, float m, double temperature,
                            double *total) noexcept nogil
    double row_target_gap_f64(const double *t, const double *z, Py_ssize_t n, double m, double temperature,
                            double *total) noexcept nogil
    void row_target_f32(const float *y, const double *w, double smoothing, float *t,
                        Py_ssize_t n) noexcept nogil
    void row_target_f64(const double *y, const double *w, double smoothing, double *t,
                        Py_ssize_t n) noexcept nogil
    void row_shrink_f32(float *stage, Py_ssize_t n, double factor) noexcept nogil
    void row_shrink_f64(double *stage, Py_ssize_t n, double factor) noexcept nogil
    void row_combine_f32(float *stage, const float *t, float *out, Py_ssize_t n, double factor, double error,
                         double scale) noexcept nogil
    void row_combine_f64(double *stage, const double *t, double *out, Py_ssize_t n, double factor, double error,
                         double scale) noexcept nogil
    void lanes_max_f32(const float *tile, Py_ssize_t stride, Py_ssize_t n_classes, float *m, const int32_t *y,
                       float *z) noexcept nogil
    void lanes_max_f64(const double *tile, Py_ssize_t stride, Py_ssize_t n_classes, double *m, const int32_t *y,
                       double *z) noexcept nogil
    void lanes_exp_sum_f32(float *tile, Py_ssize_t stride, Py_ssize_t n_classes, const float *m, double temperature,
                           const float *z, float *term, int with_stage, int exclude_max, const Upcoming *next,
                           const LaneSums *result) noexcept nogil
    void lanes_exp_sum_f64(double *tile, Py_ssize_t stride, Py_ssize_t n_classes, const double *m, double temperature,
                           const double *z, double *term, int with_stage, int exclude_max, const Upcoming *next,
                           const LaneSums *result) noexcept nogil
    void lanes_scale_f32(float *tile, Py_ssize_t stride, Py_ssize_t n_classes, const double *factor,
                         const double *error, const int32_t *y, const float *entry) noexcept nogil
    void lanes_scale_f64(double *tile, Py_ssize_t stride, Py_ssize_t n_classes, const double *factor,
                         const double *error, const int32_t *y, const double *entry) noexcept nogil
    void lanes_mask_f32(float *tile, const float *mask, Py_ssize_t n, float value) noexcept nogil
    void lanes_mask_f64(double *tile, const double *mask, Py_ssize_t n, double value) noexcept nogil
    void lanes_target_f32(float *t, Py_ssize_t stride, Py_ssize_t n_classes, const double *w,
                          double smoothing) noexcept nogil
    void lanes_target_f64(double *t, Py_ssize_t stride, Py_ssize_t n_classes, const double *w,
                          double smoothing) noexcept nogil
    void lanes_target_gap_f32(const float *tile, const float *t, const float *base, Py_ssize_t stride,
                            Py_ssize_t n_classes, const float *m, double temperature, double *target_gap,
                            double *total) noexcept nogil
    void lanes_target_gap_f64(const double *tile, const double *t, const double *base, Py_ssize_t stride,
                            Py_ssize_t n_classes, const double *m, double temperature, double *target_gap,
                            double *total) noexcept nogil
    void lanes_combine_f32(float *tile, const float *t, const float *base, Py_ssize_t stride, Py_ssize_t n_classes,
                           const double *factor, const double *error, const double *scale) noexcept nogil
    void lanes_combine_f64(double *tile, const double *t, const double *base, Py_ssize_t stride, Py_ssize_t n_classes,
                           const double *factor, const double *error, const double *scale) noexcept nogil
    void lanes_log_shift_f32(float *tile, Py_ssize_t stride, Py_ssize_t n_classes, const float *m,
                             const double *L, double temperature) noexcept nogil
    void lanes_log_shift_f64(double *tile, Py_ssize_t stride, Py_ssize_t n_classes, const double *m,
                             const double *L, double temperature) noexcept nogil


cdef inline Py_ssize_t lanes_of(const real *x) noexcept nogil:
    return LANES_F32 if real is float else LANES_F64


cdef inline real row_max(const real *x, Py_ssize_t n) noexcept nogil:
    if real is float:
        return row_max_f32(x, n)
    else:
        return row_max_f64(x, n)


cdef inline void row_exp_sum(const real *x, real *stage, Py_ssize_t n, real m, double temperature,
                             int exclude_max, const Upcoming *next, exp_sum *result) noexcept nogil:
    if real is float:
        row_exp_sum_f32(x, stage, n, m, temperature, exclude_max, next, result)
    else:
        row_exp_sum_f64(x, stage, n, m, temperature, exclude_max, next, result)


cdef inline void row_scale(Kind kind, real *stage, void *out, Py_ssize_t first, Py_ssize_t n,
                           double factor, double error) noexcept nogil:
    if real is float:
        row_scale_f32(kind, stage, out, first, n, factor, error)
    else:
        row_scale_f64(kind, stage, out, first, n, factor, error)


cdef inline void row_log_shift(Kind kind, const real *x, void *out, Py_ssize_t first, Py_ssize_t n, real m, double L,
                               double temperature) noexcept nogil:
    if real is float:
        row_log_shift_f32(kind, x, out, first, n, m, L, temperature)
    else:
        row_log_shift_f64(kind, x, out, first, n, m, L, temperature)


cdef inline double row_dot(const real *a, const real *b, Py_ssize_t n) noexcept nogil:
    if real is float:
        return row_dot_f32(a, b, n)
    else:
        return row_dot_f64(a, b, n)


cdef inline void row_softmax_backward(const real *g, const real *p, real *out, Py_ssize_t n,
                                      double dot) noexcept nogil:
    if real is float:
        row_softmax_backward_f32(g, p, out, n, dot)
    else:
        row_softmax_backward_f64(g, p, out, n, dot)


cdef inline void row_log_softmax_backward(const real *g, const real *log_p, real *out, Py_ssize_t n,
                                          double total) noexcept nogil:
    if real is float:
        row_log_softmax_backward_f32(g, log_p, out, n, total)
    else:
        row_log_softmax_backward_f64(g, log_p, out, n, total)


cdef inline double row_target_gap(const real *t, const real *z, Py_ssize_t n, real m, double temperature,
                                double *total) noexcept nogil:
    if real is float:
        return row_target_gap_f32(t, z, n, m, temperature, total)
    else:
        return row_target_gap_f64(t, z, n, m, temperature, total)


cdef inline void row_target(const real *y, const double *w, double smoothing, real *t,
                            Py_ssize_t n) noexcept nogil:
    if real is float:
        row_target_f32(y, w, smoothing, t, n)
    else:
        row_target_f64(y, w, smoothing, t, n)


cdef inline void row_shrink(real *stage, Py_ssize_t n, double factor) noexcept nogil:
    if real is float:
        row_shrink_f32(stage, n, factor)
    else:
        row_shrink_f64(stage, n, factor)


cdef inline void row_combine(real *stage, const real *t, real *out, Py_ssize_t n, double factor, double error,
                             double scale) noexcept nogil:
    if real is float:
        row_combine_f32(stage, t, out, n, factor, error, scale)
    else:
        row_combine_f64(stage, t, out, n, factor, error, scale)


cdef inline void lanes_max(const real *tile, Py_ssize_t stride, Py_ssize_t n_classes, real *m, const int32_t *y,
                           real *z) noexcept nogil:
    if real is float:
        lanes_max_f32(tile, stride, n_classes, m, y, z)
    else:
        lanes_max_f64(tile, stride, n_classes, m, y, z)


cdef inline void lanes_exp_sum(real *tile, Py_ssize_t stride, Py_ssize_t n_classes, const real *m,
                               double temperature, const real *z, real *term, int with_stage, int exclude_max,
                               const Upcoming *next, const LaneSums *result) noexcept nogil:
    if real is float:
        lanes_exp_sum_f32(tile, stride, n_classes, m, temperature, z, term, with_stage, exclude_max, next, result)
    else:
        lanes_exp_sum_f64(tile, stride, n_classes, m, temperature, z, term, with_stage, exclude_max, next, result)


cdef inline void lanes_scale(real *tile, Py_ssize_t stride, Py_ssize_t n_classes, const double *factor,
                             const double *error, const int32_t *y, const real *entry) noexcept nogil:
    if real is float:
        lanes_scale_f32(tile, stride, n_classes, factor, error, y, entry)
    else:
        lanes_scale_f64(tile, stride, n_classes, factor, error, y, entry)


cdef inline void lanes_log_shift(real *tile, Py_ssize_t stride, Py_ssize_t n_classes, const real *m,
                                 const double *L, double temperature) noexcept nogil:
    if real is float:
        lanes_log_shift_f32(tile, stride, n_classes, m, L, temperature)
    else:
        lanes_log_shift_f64(tile, stride, n_classes, m, L, temperature)


cdef inline void lanes_mask(real *tile, const real *mask, Py_ssize_t n, real value) noexcept nogil:
    if real is float:
        lanes_mask_f32(tile, mask, n, value)
    else:
        lanes_mask_f64(tile, mask, n, value)


cdef inline void lanes_target(real *t, Py_ssize_t stride, Py_ssize_t n_classes, const double *w,
                              double smoothing) noexcept nogil:
    if real is float:
        lanes_target_f32(t, stride, n_classes, w, smoothing)
    else:
        lanes_target_f64(t, stride, n_classes, w, smoothing)


cdef inline void lanes_target_gap(const real *tile, const real *t, const real *base, Py_ssize_t stride,
                                Py_ssize_t n_classes, const real *m, double temperature, double *target_gap,
                                double *total) noexcept nogil:
    if real is float:
        lanes_target_gap_f32(tile, t, base, stride, n_classes, m, temperature, target_gap, total)
    else:
        lanes_target_gap_f64(tile, t, base, stride, n_classes, m, temperature, target_gap, total)


cdef inline void lanes_combine(real *tile, const real *t, const real *base, Py_ssize_t stride, Py_ssize_t n_classes,
                               const double *factor, const double *error, const double *scale) noexcept nogil:
    if real is float:
        lanes_combine_f32(tile, t, base, stride, n_classes, factor, error, scale)
    else:
        lanes_combine_f64(tile, t, base, stride, n_classes, factor, error, scale)


cdef inline void tile_load(const Geometry *g, Kind kind, const void *x, const Steps *steps, Py_ssize_t first,
                           Py_ssize_t n_lanes, real *tile) noexcept nogil:
    """Read lanes first .. first + n_lanes into scratch, in the form of the geometry."""
    if real is float:
        tile_load_f32(g, kind, x, steps, first, n_lanes, tile)
    else:
        tile_load_f64(g, kind, x, steps, first, n_lanes, tile)


cdef inline void tile_store(const Geometry *g, const real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                            void *out, const Steps *steps) noexcept nogil:
    if real is float:
        tile_store_f32(g, tile, first, n_lanes, out, steps)
    else:
        tile_store_f64(g, tile, first, n_lanes, out, steps)
