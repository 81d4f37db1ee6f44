# Cross-entropy of soft-capped logits, z = softcap * tanh(x / temperature / softcap), in two parts; loss/softcap.h says
# how, and which rows are wide.

cdef extern from "loss/softcap.h":
    int CAP_WIDE
    int cap_method(const Cap *cap, double size) noexcept nogil
    double row_sizes(...) noexcept nogil
    double row_cap(...) noexcept nogil
    void lanes_cap(...) noexcept nogil
    void times_slopes(...) noexcept nogil
    void softcap_row(const double *x, double *z, double *slope, Py_ssize_t n, double max, double temperature,
                     double softcap) noexcept nogil
    ctypedef struct WideCap:
        pass
    ctypedef struct CapNumber:      # of C alone
        pass
    WideCap plan_wide_cap(double max, double temperature, double softcap) noexcept nogil
    double capped_max(const WideCap *cap) noexcept nogil
    CapNumber cap_of(double value) noexcept nogil
    double cap_value(CapNumber a) noexcept nogil
    CapNumber cap_sum(CapNumber a, CapNumber b) noexcept nogil
    CapNumber cap_product(CapNumber a, CapNumber b) noexcept nogil
    CapNumber cap_slope(const WideCap *cap, double x) noexcept nogil
    void capped_row_wide(const WideCap *cap, const double *x, CapNumber *z, const double *t, Py_ssize_t n,
                         CapNumber *others, CapNumber *distance, double *total) noexcept nogil
    void cap_stat(CapNumber others, double *sum, double *sum_error, double *total, double *total_error) noexcept nogil
    CapNumber capped_probability(CapNumber z, CapNumber others) noexcept nogil
    void capped_grad_wide(const WideCap *cap, const double *x, const CapNumber *z, const double *t, double *grad,
                          Py_ssize_t n, CapNumber others, double share, double scale, double scale_error) noexcept nogil


cdef enum:
    WIDE_ROWS = 5               # rows of doubles in scratch: three for z and slope, or for z in CapNumbers; t, x


# Scratch memory for caps, behind that of the loss.
cdef struct CapScratch:
    char *low                   # a tile of the computing dtype: what rounding has taken from z - m
    char *slope                 # two tiles: temperature * dz/dx, and what rounding has taken from it
    double *wide                # WIDE_ROWS rows


cdef inline Py_ssize_t wide_length(const Geometry *g) noexcept nogil:
    return round_up(g.n_classes, LANES_F64)


cdef inline Py_ssize_t slope_bytes(const Geometry *g) noexcept nogil:
    return 2 * (scratch_bytes(g) + LANES_F32 * sizeof(float))      # whole vectors


cdef inline Py_ssize_t cap_bytes(const Geometry *g) noexcept nogil:
    return CACHE_LINE + scratch_bytes(g) + slope_bytes(g) + WIDE_ROWS * wide_length(g) * sizeof(double)


cdef inline CapScratch cap_scratch(const Geometry *g, char *at) noexcept nogil:
    cdef CapScratch scratch
    scratch.low, scratch.slope = at, at + scratch_bytes(g)
    scratch.wide = <double *>(at + scratch_bytes(g) + slope_bytes(g))
    return scratch


cdef inline void widen_row(const real *x, double *out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = x[i]


cdef inline WideCap cap_task(LossTask *task, double max) noexcept nogil:
    """Make a task one for the rest of a row whose largest logit is max: z - m, already divided by the temperature."""
    cdef WideCap cap = plan_wide_cap(max, task.temperature, task.softcap)
    task.shift = capped_max(&cap)
    task.temperature = 1
    set_scale(task, task.grad_scale, task.grad_scale_error)
    return cap


cdef inline void capped_row_f32(const LossTask *task, Py_ssize_t lane, const float *x, const double *t, float *grad,
                                double *z, double *slope, Part *parts) noexcept nogil:
    """Doubles are good to 4 ULP of float: their kernels do the rest."""
    cdef LossTask capped = task[0]
    cdef Row row
    cdef Py_ssize_t i, n = task.g.n_classes
    cdef double max = row_max(x, n)
    plan_row(&task.g, NULL, NULL, NULL, NULL, lane, 1.0, True, &row.plan)
    row.x, row.low, row.t, row.stage = z, NULL, t, NULL
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
                                CapNumber *z) noexcept nogil:
    """The gradient may take the place of x."""
    cdef LossTask capped = task[0]
    cdef Py_ssize_t n = task.g.n_classes
    cdef CapNumber others, distance
    cdef Stat stat
    cdef double max = row_max(x, n), total, base, entry
    cdef RowTarget r
    cdef RowLoss loss
    cdef WideCap cap = cap_task(&capped, max)
    read_target(task, lane, &r)
    if r.state != USED:
        set_row(task.losses + lane, grad, 1, n, 0 if r.state == IGNORED else NAN)
        return
    capped_row_wide(&cap, x, z, t, n, &others, &distance, &total)
    cap_stat(others, &stat.sum_rest, &stat.sum_rest_error, &stat.total, &stat.total_error)
    if r.t != 0:
        distance = cap_sum(distance, cap_product(z[r.y], cap_of(-r.t)))
    r.z = stat.max = 0
    row_loss(&capped, &r, 0, log1p(stat.sum_rest), pair_of(total, 0), cap_value(distance), &loss)
    task.losses[lane] = loss.loss
    if grad == NULL:
        return
    base = 0 if t == NULL else t[r.y]
    if x[r.y] != max:
        r.z = NAN
    entry = target_entry(&r, &loss, base, &stat, cap_value(capped_probability(z[r.y], others)))
    entry = cap_value(cap_product(cap_slope(&cap, x[r.y]), cap_of(entry)))
    capped_grad_wide(&cap, x, z, t, grad, n, others, loss.prob_scale, loss.scale, loss.scale_error)
    if task.target_form != PROBABILITIES:
        grad[r.y] = entry


cdef inline LossTask capped_task(const LossTask *task, double max_low) noexcept nogil:
    """Return a task for z. The temperature is a part of z, and of the scale of the gradient."""
    cdef LossTask capped = task[0]
    capped.shift, capped.temperature = max_low, 1
    return capped


cdef inline void wide_row(const LossTask *task, Py_ssize_t lane, const real *x, const real *dense, real *grad,
                          Py_ssize_t step, double *wide, Part *parts) noexcept nogil:
    """Compute a wide row of n_classes values `step` apart; the gradient, unless NULL, may take their place."""
    cdef Py_ssize_t i, n = task.g.n_classes, length = wide_length(&task.g)
    cdef double *t = NULL
    cdef real *values = <real *>(wide + 4 * length)
    cdef real *entries = NULL if grad == NULL else values
    for i in range(n):
        values[i] = x[i * step]
    if task.target_form == PROBABILITIES or task.base != NULL:
        t = wide + 3 * length
        for i in range(n):
            t[i] = dense[i * step] if task.target_form == PROBABILITIES else (<const real *>task.base)[i]
    if real is float:
        capped_row_f32(task, lane, values, t, entries, wide, wide + length, parts)
    else:
        capped_row_f64(task, lane, values, t, entries, <CapNumber *>wide)
    if grad != NULL:
        for i in range(n):
            grad[i * step] = values[i]


cdef inline void capped_row(const LossTask *task, Py_ssize_t lane, const real *x, const real *dense, real *grad,
                            real *values, const CapScratch *scratch, Part *parts) noexcept nogil:
    """Compute a row, which is capped in `values`; these and the gradient, unless NULL, may take its place."""
    cdef LossTask capped
    cdef Row row
    cdef real max
    cdef real *slope = NULL if grad == NULL else <real *>scratch.slope
    cdef Py_ssize_t n = task.g.n_classes
    cdef double max_low, size = row_sizes(x, n, &max)
    if cap_method(task.cap, size) == CAP_WIDE:
        wide_row(task, lane, x, dense, grad, 1, scratch.wide, parts)
        return
    row.max = row_cap(x, values, <real *>scratch.low, slope, n, max, size, task.cap, &max_low)
    capped = capped_task(task, max_low)
    plan_row(&task.g, task.logits, &task.logits_steps, task.grad, &task.grad_steps, lane, 1.0, True, &row.plan)
    row.x, row.low, row.stage = values, scratch.low, grad
    row.t = task.base if task.target_form != PROBABILITIES else dense
    loss_rows(&capped, lane, &row, 1, parts, x)
    if grad != NULL:
        times_slopes(grad, slope, n)


cdef inline void capped_tile(const LossTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *tile, const real *dense,
                             const CapScratch *scratch, Part *parts) noexcept nogil:
    """Compute a tile of lanes; the gradient takes its place."""
    cdef const Geometry *g = &task.g
    cdef LossTask capped
    cdef LossScratch arrays
    cdef Upcoming ahead
    cdef Py_ssize_t lane, n = g.n_classes, width = width_of(g, n_lanes)
    carve_lane_arrays(&arrays, behind_values(g, tile), g)
    cdef real *slope = NULL if task.grad == NULL else <real *>scratch.slope
    if cap_method(task.cap, INFINITY) == CAP_WIDE:
        for lane in range(n_lanes):
            wide_row(task, first + lane, tile + lane, dense if dense == NULL else dense + lane,
                     NULL if slope == NULL else tile + lane, width, scratch.wide, parts)
        return
    lanes_cap(tile, <real *>scratch.low, slope, width, n, task.cap, <real *>arrays.max, arrays.lanes.lse_max)
    capped = capped_task(task, 0)
    ahead = next_piece(g, task.logits, &task.logits_steps, task.grad, &task.grad_steps, first)
    ahead.targets = targets_after(task, first)
    loss_tile(&capped, tile, <const real *>scratch.low, dense, first, n_lanes, &ahead)
    if task.grad != NULL:
        times_slopes(tile, slope, width * n)


cdef inline void capped_lanes(const LossTask *task, Py_ssize_t first, Py_ssize_t n_lanes, real *tile) noexcept nogil:
    """As loss_lanes, for capped logits: they are read where they lie or through scratch, and capped in scratch."""
    cdef const Geometry *g = &task.g
    cdef char *at = <char *>tile
    cdef real *dense = NULL
    cdef const real *x
    cdef real *grad
    cdef Part *parts = <Part *>(at + 2 * tile_bytes(g))
    cdef CapScratch scratch = cap_scratch(g, at + 2 * tile_bytes(g) + round_up(parts_bytes(g), CACHE_LINE))
    cdef Py_ssize_t lane, n = g.n_classes
    if not in_place(g):
        tile_load(tile, g, g.kind, task.logits, &task.logits_steps, first, n_lanes)
    if task.target_form == PROBABILITIES:
        dense = <real *>(at + tile_bytes(g))
        tile_load(dense, g, task.target_kind, task.targets, &task.targets_steps, first, n_lanes)
        if is_tile(g) and changes_targets(task):
            lanes_target(dense, width_of(g, n_lanes), n, task.weight, task.smoothing)
        elif changes_targets(task):
            for lane in range(n_lanes):
                dense_targets(task, dense + lane * n)
    if is_tile(g):
        capped_tile(task, first, n_lanes, tile, dense, &scratch, parts)
    else:
        for lane in range(n_lanes):
            x = grad = tile + lane * n
            if in_place(g):
                x = <const real *>row_at(g, task.logits, &task.logits_steps, first + lane)
                grad = <real *>row_at(g, task.grad, &task.grad_steps, first + lane)
            capped_row(task, first + lane, x, dense if dense == NULL else dense + lane * n,
                       <real *>NULL if task.grad == NULL else grad, tile + lane * n, &scratch, parts)
    if task.grad != NULL and not in_place(g):
        tile_store(tile, g, first, n_lanes, task.grad, &task.grad_steps)
