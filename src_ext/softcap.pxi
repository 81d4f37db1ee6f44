# Cross-entropy of soft-capped logits, z = softcap * tanh(x / temperature / softcap), row by row.

cdef extern from "softcap.h":
    void softcap_row(const double *x, double *z, double *slope, Py_ssize_t n, double temperature,
                     double softcap) noexcept nogil
    void capped_row_extended(const double *x, long double *z, const double *t, Py_ssize_t n, double temperature,
                             double softcap, long double *max, long double *others, long double *distance,
                             double *total) noexcept nogil
    void capped_grad_extended(const double *x, const long double *z, const double *t, double *grad,
                              Py_ssize_t n, double temperature, double softcap, long double max,
                              long double others, double share, double scale) noexcept nogil
    double cap_slope(double x, double temperature, double softcap) noexcept nogil


cdef enum:
    CAPPED_ROWS = 3             # rows of doubles in scratch: z, slope (or z in long double), t


cdef inline void widen_row(const real *x, double *out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = x[i]


cdef inline void capped_row_f32(const LossTask *task, Py_ssize_t lane, const float *x, const double *t, float *grad,
                                double *z, double *slope, Part *parts) noexcept nogil:
    """z in double is good to 4 ULP of float: the kernels of double do the rest."""
    cdef LossTask capped = task[0]
    cdef Row row
    cdef Py_ssize_t i, n = task.g.n_classes
    plan_row(&task.g, NULL, NULL, lane, False, 1.0, True, &row.plan)
    row.plan.ahead.read = NULL
    row.x, row.t, row.stage = z, t, NULL
    if grad != NULL:
        row.stage = z
    capped.temperature = 1
    widen_row(x, z, n)
    softcap_row(z, z, slope, n, task.temperature, task.softcap)
    loss_rows(&capped, lane, &row, 1, parts, z)
    if grad != NULL:
        for i in range(n):
            grad[i] = <float>(z[i] * slope[i]) if z[i] != 0 else 0  # an ignored row may have a slope of NaN


cdef inline void capped_row_f64(const LossTask *task, Py_ssize_t lane, const double *x, const double *t, double *grad,
                                long double *z) noexcept nogil:
    """Long double from end to end."""
    cdef LossTask capped = task[0]
    cdef Py_ssize_t n = task.g.n_classes
    cdef long double max, others, distance
    cdef double total, base, slope, probability
    cdef RowTarget r
    cdef RowLoss loss
    capped.temperature = 1
    read_target(task, lane, &r)
    if r.state != USED:
        set_row(task.losses + lane, grad, 1, n, 0 if r.state == IGNORED else NAN)
        return
    capped_row_extended(x, z, t, n, task.temperature, task.softcap, &max, &others, &distance, &total)
    if r.t != 0:
        distance += r.t * (max - z[r.y])
    r.z = <double>max
    row_loss(&capped, &r, r.z, log1p(<double>others), total + r.t, <double>distance, &loss)
    task.losses[lane] = loss.loss
    if grad == NULL:
        return
    slope = cap_slope(x[r.y], task.temperature, task.softcap)
    base = 0 if t == NULL else t[r.y]
    if z[r.y] != max:
        r.z = NAN
    probability = <double>(expl(z[r.y] - max) / (1 + others))
    capped_grad_extended(x, z, t, grad, n, task.temperature, task.softcap, max, others, loss.share, loss.scale)
    if task.kind != PROBABILITIES:
        grad[r.y] = slope * target_entry(&r, &loss, base, <double>max, <double>others, probability)


cdef inline void capped_lanes(const LossTask *task, Py_ssize_t first, Py_ssize_t n_lanes, char *scratch,
                              const real *logits, real *grad) noexcept nogil:
    """As loss_lanes, for capped logits: behind the rows in scratch, z, slope and t of one row."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t lane, n = g.n_classes
    cdef real *tile = <real *>scratch
    cdef real *dense = <real *>(scratch + tile_bytes(g))
    cdef real *row
    cdef double *z = <double *>(scratch + 2 * tile_bytes(g))
    cdef double *t_row = z + 2 * round_up(n, LANES_F64)
    cdef Part *parts = <Part *>(t_row + round_up(n, LANES_F64))
    cdef const double *t = <const double *>task.base
    tile_load(g, g.kind, logits, first, n_lanes, tile)
    if task.kind == PROBABILITIES:
        tile_load(g, task.target_kind, task.targets, first, n_lanes, dense)
    for lane in range(n_lanes):
        row = tile + lane * n
        if task.kind == PROBABILITIES:
            widen_row(dense + lane * n, t_row, n)
            dense_targets(task, t_row)
            t = t_row
        if real is float:
            capped_row_f32(task, first + lane, row, t, <float *>NULL if grad == NULL else row, z,
                           z + round_up(n, LANES_F64), parts)
        else:
            capped_row_f64(task, first + lane, row, t, <double *>NULL if grad == NULL else row, <long double *>z)
    if grad != NULL:
        tile_store(g, tile, first, n_lanes, grad)
