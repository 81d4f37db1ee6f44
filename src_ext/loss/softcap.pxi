# Cross-entropy of soft-capped logits, z = softcap * tanh(x / temperature / softcap), row by row: what is computed with
# is z - m, m the capped maximum.

cdef extern from "loss/softcap.h":
    void softcap_row(const double *x, double *z, double *slope, Py_ssize_t n, double max, double temperature,
                     double softcap) noexcept nogil
    void capped_row_extended(const double *x, long double *z, const double *t, Py_ssize_t n, double max,
                             double temperature, double softcap, long double *others, long double *distance,
                             double *total) noexcept nogil
    void capped_grad_extended(const double *x, const long double *z, const double *t, double *grad,
                              Py_ssize_t n, double temperature, double softcap, long double others, long double share,
                              long double scale) noexcept nogil
    long double cap_slope(double x, double temperature, double softcap) noexcept nogil

cdef extern from "<math.h>":
    long double tanhl(long double x) noexcept nogil
    long double expl(long double x) noexcept nogil


cdef enum:
    CAPPED_ROWS = 3             # rows of doubles in scratch: z, slope (or z in long double), t


cdef inline void widen_row(const real *x, double *out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = x[i]


cdef inline void cap_task(LossTask *task, double max) noexcept nogil:
    """Make a task one for the rest of a row whose largest logit is max: z - m, already divided by the temperature."""
    task.shift = <double>(task.softcap * tanhl(<long double>max / task.temperature / task.softcap))
    task.temperature = 1
    set_scale(task, task.grad_scale, task.grad_scale_error)


cdef inline void capped_row_f32(const LossTask *task, Py_ssize_t lane, const float *x, const double *t, float *grad,
                                double *z, double *slope, Part *parts) noexcept nogil:
    """Doubles are good to 4 ULP of float: their kernels do the rest."""
    cdef LossTask capped = task[0]
    cdef Row row
    cdef Py_ssize_t i, n = task.g.n_classes
    cdef double max = row_max(x, n)
    plan_row(&task.g, NULL, NULL, NULL, NULL, lane, 1.0, True, &row.plan)
    row.x, row.t, row.stage = z, t, NULL
    if grad != NULL:
        row.stage = z
    cap_task(&capped, max)
    widen_row(x, z, n)
    softcap_row(z, z, slope, n, max, task.temperature, task.softcap)
    loss_rows(&capped, lane, &row, 1, parts, z)
    if grad != NULL:
        for i in range(n):
            grad[i] = <float>(z[i] * slope[i]) if z[i] != 0 else 0  # an ignored row may have a slope of NaN


cdef inline void capped_row_f64(const LossTask *task, Py_ssize_t lane, const double *x, const double *t, double *grad,
                                long double *z) noexcept nogil:
    """Long double from end to end."""
    cdef LossTask capped = task[0]
    cdef Py_ssize_t n = task.g.n_classes
    cdef long double others, distance, scale, slope
    cdef Stat stat
    cdef double max = row_max(x, n), total, base, probability
    cdef RowTarget r
    cdef RowLoss loss
    cap_task(&capped, max)
    read_target(task, lane, &r)
    if r.state != USED:
        set_row(task.losses + lane, grad, 1, n, 0 if r.state == IGNORED else NAN)
        return
    capped_row_extended(x, z, t, n, max, task.temperature, task.softcap, &others, &distance, &total)
    if r.t != 0:
        distance -= r.t * z[r.y]
    r.z = 0
    row_loss(&capped, &r, 0, log1p(<double>others), total + r.t, <double>distance, &loss)
    task.losses[lane] = loss.loss
    if grad == NULL:
        return
    scale = <long double>loss.scale + loss.scale_error
    slope = cap_slope(x[r.y], task.temperature, task.softcap)
    base = 0 if t == NULL else t[r.y]
    if x[r.y] != max:
        r.z = NAN
    stat.max, stat.sum_rest, stat.total = 0, <double>others, <double>(1 + others)
    stat.sum_rest_error = <double>(others - stat.sum_rest) if isfinite(stat.sum_rest) else 0
    stat.total_error = <double>(1 + others - stat.total) if isfinite(stat.total) else 0
    probability = <double>(expl(z[r.y]) / (1 + others))
    capped_grad_extended(x, z, t, grad, n, task.temperature, task.softcap, others, loss.prob_scale, scale)
    if task.target_form != PROBABILITIES:
        grad[r.y] = <double>(slope * target_entry(&r, &loss, base, &stat, probability))


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
    tile_load(tile, g, g.kind, logits, &task.logits_steps, first, n_lanes)
    if task.target_form == PROBABILITIES:
        tile_load(dense, g, task.target_kind, task.targets, &task.targets_steps, first, n_lanes)
    for lane in range(n_lanes):
        row = tile + lane * n
        if task.target_form == PROBABILITIES:
            widen_row(dense + lane * n, t_row, n)
            dense_targets(task, t_row)
            t = t_row
        if real is float:
            capped_row_f32(task, first + lane, row, t, <float *>NULL if grad == NULL else row, z,
                           z + round_up(n, LANES_F64), parts)
        else:
            capped_row_f64(task, first + lane, row, t, <double *>NULL if grad == NULL else row, <long double *>z)
    if grad != NULL:
        tile_store(tile, g, first, n_lanes, grad, &task.grad_steps)
