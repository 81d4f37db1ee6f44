# What the entropy (loss/entropy.pxi) and the Kullback-Leibler divergence (loss/kl_divergence.pxi) have in common.
#
# All passes of a row or tile are made while it is in the cache; the terms of a row of several chunks, where nothing is
# there to stage them in, are computed again chunk by chunk.

cdef extern from "loss/lane_totals.h" nogil:
    void lanes_factor(const LaneSums *a, Py_ssize_t n, double scale, const double *scales, double divisor,
                      double *factor, double *error)
    void lanes_mean(const LaneSums *a, Py_ssize_t n, double *moment)
    void lanes_log_ratio(const LaneSums *a, const LaneSums *b, Py_ssize_t n, double *shift, double *error)

cdef struct DivergenceTask:
    Geometry g
    const void *p
    const void *q               # NULL for the entropy
    Steps p_steps, q_steps
    double *losses
    void *grad_p                # or NULL
    void *grad_q
    Steps grad_p_steps, grad_q_steps
    double divisor              # of the gradients


cdef inline void default_divergence_task(DivergenceTask *task) noexcept nogil:
    """Set the task of an entropy without gradient."""
    clear_struct(task, sizeof(DivergenceTask))
    task.divisor = 1


cdef inline double unit_power(bint is_double) noexcept nogil:
    """Return the unit of terms and probabilities."""
    return UNIT_F64 if is_double else UNIT_F32


cdef inline int lift_of(bint is_double, const Part *part, const Stat *stat) noexcept nogil:
    """Return the exponent of what the probabilities of a chunk are multiplied with beside their unit: those far below
    the maximum of the row would not be normal numbers where their products with a logarithm are."""
    if is_double:
        return -FIRST_EXPONENT if stat.max - part.max > 600 else 0
    return 64 if stat.max - part.max > 40 else 0


cdef inline void slope_factor(bint is_double, const Part *part, const Stat *stat, double divisor, int lift,
                              double *factor, double *error) noexcept nogil:
    """What turns the terms of a chunk into probabilities * UNIT_POWER * 2**lift / divisor, in two parts."""
    cdef Factor prob = chunk_factor(is_double, part, stat, 1.0)
    cdef DoublePair exact
    if not is_double:
        factor[0], error[0] = ldexp(prob.value, lift) * (UNIT_F32 / divisor), 0
    else:
        exact = pair_scaled(pair_of(prob.value, prob.error), 80 + lift + (FIRST_EXPONENT if prob.shrinks else 0))
        exact = pair_quotient(exact, pair_of(divisor, 0))
        factor[0], error[0] = exact.high, exact.low


cdef inline bint keeps_terms(const Geometry *g, const void *grad) noexcept nogil:
    """Whether there is room for the terms of a whole row: in its gradient, or in a chunk of scratch."""
    return n_chunks(g.n_classes) == 1 or (grad != NULL and in_place(g))


cdef inline Py_ssize_t stage_bytes(const Geometry *g) noexcept nogil:
    """Return the bytes of a chunk of terms."""
    return round_up(min(g.n_classes, CHUNK) * g.item_bytes, CACHE_LINE)


include "loss/entropy.pxi"
include "loss/kl_divergence.pxi"


cdef inline Py_ssize_t divergence_scratch(const DivergenceTask *task) noexcept nogil:
    """Return the bytes of scratch that a thread needs: of each array a tile of logits or gathered rows, unless they are
    read where they lie; and a tile of terms, or a chunk of terms and the chunks of a row."""
    cdef const Geometry *g = &task.g
    cdef Py_ssize_t n_arrays = 1 if task.q == NULL else 2, n_bytes = 0
    if not in_place(g):
        n_bytes = tile_bytes(g)
    return n_arrays * (n_bytes + (n_bytes if is_tile(g) else stage_bytes(g) + parts_bytes(g)))


cdef int run_divergence(DivergenceTask *task, int n_threads) except -1:
    """Run the entropy, or the divergence where the task has q, over a block whose task is filled."""
    cdef const Geometry *g = &task.g
    cdef block_function run = entropy_block if task.q == NULL else divergence_block
    if g.n_lanes == 0:
        return 0
    return run_blocks(run, task, g.n_blocks, g.per_block * g.n_classes, n_threads, divergence_scratch(task))
