# The loss and gradient of a tile of lanes: all options but softcap.

cdef enum:
    SEARCHED_CLASSES = 64       # up to here each class of a tile is compared with the targets; beyond, one by one

cdef extern from "loss/lane_losses.h":
    ctypedef struct LossLanes:
        LaneSums terms
        double *max
        double *lse_max
        double *z
        double *z_low
        double *t
        double *s
        double *target_gap
        double *dense
        double *loss
        double *factor
        double *factor_error
        double *scale
        double *scale_error
        double *grad_at_max
        double *taken
        double *shrink
    ctypedef struct LossOptions:
        double temperature, z_loss, slope, slope_error
        int weighted, dense, with_grad, is_double
    bint lanes_finish(const LossLanes *lanes, Py_ssize_t n, const LossOptions *options) noexcept nogil

cdef extern from "softmax/primitives.h" nogil:
    bint lanes_read(const void *targets, int target_form, Py_ssize_t first, Py_ssize_t n_lanes, Py_ssize_t n_classes,
                    int bad, int32_t *y) noexcept nogil
    void lanes_pick(...)
    void lanes_place(...)
    void lanes_entries(...)
    void lanes_widen(...)


# What lies behind a tile for the loss: an array of lanes each; LANE_ARRAYS counts them.
cdef struct LossScratch:
    void *max                   # of the computing dtype, as z and term are
    LossLanes lanes
    int32_t *y                  # index targets, or minus the state of a lane that does not count
    void *z                     # the logit of the target,
    void *z_low                 # and what rounding has taken from it
    void *term                  # what was stored for the target, then its gradient


cdef inline bint is_dense(const LossTask *task) noexcept nogil:
    """Whether all classes of a row take part in its target, or its loss has a term of lse."""
    return task.target_form == PROBABILITIES or task.base != NULL or task.z_loss != 0


cdef inline LossOptions options_of(const LossTask *task) noexcept nogil:
    cdef LossOptions options
    options.temperature, options.z_loss = task.temperature, task.z_loss
    options.slope, options.slope_error = task.slope, task.slope_error
    options.weighted = task.weight != NULL or task.sample_weight != NULL or task.has_ignore or is_dense(task)
    options.dense, options.with_grad = is_dense(task), task.grad != NULL
    options.is_double = task.g.kind == KIND_F64
    return options


cdef inline bint read_targets(const LossTask *task, Py_ssize_t first, Py_ssize_t n_lanes, bint weighted,
                              LossLanes *a, int32_t *y) noexcept nogil:
    """Each lane's target, or minus its state, and its weights. Returns whether a lane is ignored or bad."""
    cdef Py_ssize_t lane
    cdef bint special = False
    cdef RowTarget r
    for lane in range(n_lanes, width_of(&task.g, n_lanes)):
        y[lane], a.t[lane], a.s[lane] = 0, 1, 1
    if not weighted:
        return lanes_read(task.targets, task.target_form, first, n_lanes, task.g.n_classes, BAD, y)
    for lane in range(n_lanes):
        read_target(task, first + lane, &r)
        a.t[lane], a.s[lane] = r.t, r.s
        y[lane] = <int32_t>(r.y if r.state == USED else -<int64_t>r.state)
        special |= r.state != USED
    return special


cdef inline void loss_tile(const LossTask *task, real *tile, const real *low, const real *t, Py_ssize_t first,
                           Py_ssize_t n_lanes, const Upcoming *ahead) noexcept nogil:
    """A tile of lanes; t is a tile of dense targets, or NULL.

    With `low`, what rounding has taken from the tile, less that of the maxima, these are there already: in `max`, and
    in lse_max whole.
    """
    cdef const Geometry *g = &task.g
    cdef LossScratch arrays
    carve_lane_arrays(&arrays, behind_values(g, tile), g)
    cdef LossLanes *a = &arrays.lanes           # a copy of what was just written would wait for the stores
    cdef LossOptions options = options_of(task)
    cdef Upcoming nothing = nothing_ahead()
    cdef real *m = <real *>arrays.max
    cdef int32_t *y = arrays.y
    cdef real *z = <real *>arrays.z
    cdef real *z_low = NULL if low == NULL else <real *>arrays.z_low
    cdef real *term = <real *>arrays.term
    cdef const real *base = <const real *>task.base
    cdef Py_ssize_t n = g.n_classes, width = width_of(g, n_lanes)
    cdef bint has_index = task.target_form != PROBABILITIES, with_dense = t != NULL or base != NULL
    cdef bint with_search = has_index and n <= SEARCHED_CLASSES and not with_dense and low == NULL
    cdef bint special = read_targets(task, first, n_lanes, options.weighted, a, y)
    if low == NULL:
        lanes_max(tile, width, n, m, y if with_search else NULL, z)
        a.lse_max = a.max
    else:
        lanes_pick(low, width, y, z_low)
    if not with_search:
        lanes_pick(tile, width, y, z)
    if with_dense:
        lanes_target_gap(tile, low, t, base, width, n, m, task.temperature, a.target_gap, a.dense)
    elif options.dense:
        memset(a.target_gap, 0, width * sizeof(double))
        memset(a.dense, 0, width * sizeof(double))
    lanes_exp_sum(tile, low, width, n, m, task.temperature, z if options.with_grad and has_index else <real *>NULL,
                  z_low, term, options.with_grad, True, ahead, &a.terms)
    lanes_widen(m, width, a.max)
    lanes_widen(z, width, a.z)
    if low == NULL:
        a.z_low = NULL
    else:
        lanes_widen(z_low, width, a.z_low)
    if lanes_finish(a, width, &options):
        shrink_lanes(tile, width, n, a.shrink, term)
    memcpy(task.losses + first, a.loss, n_lanes * sizeof(double))
    if options.with_grad:
        if has_index:
            lanes_entries(term, a, width, options.weighted, base, y)
        if with_dense:
            lanes_combine(tile, t, base, width, n, a.factor, a.factor_error, a.scale, a.scale_error)
        else:
            lanes_scale(tile, width, n, a.factor, a.factor_error, y if with_search else NULL, term, &nothing)
        if has_index and not with_search:
            lanes_place(tile, width, y, term)
    if special:
        clear_lanes(task, tile if options.with_grad else <real *>NULL, first, n_lanes, y)


cdef inline void shrink_lanes(real *tile, Py_ssize_t width, Py_ssize_t n_classes, const double *shrink,
                              real *term) noexcept nogil:
    """Multiply the stored terms of each lane, and that of its target, by `shrink`."""
    cdef Py_ssize_t lane, k
    for k in range(n_classes):
        for lane in range(width):
            tile[k * width + lane] *= <real>shrink[lane]
    for lane in range(width):
        term[lane] *= <real>shrink[lane]


cdef inline void clear_lanes(const LossTask *task, real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                             const int32_t *y) noexcept nogil:
    """Set the lanes that are ignored or bad."""
    cdef Py_ssize_t lane
    for lane in range(n_lanes):
        if y[lane] < 0:
            set_row(task.losses + first + lane, tile if tile == NULL else tile + lane, width_of(&task.g, n_lanes),
                    task.g.n_classes, 0 if -y[lane] == IGNORED else NAN)
