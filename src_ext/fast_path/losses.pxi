# The fast path of cross_entropy and cross_entropy_with_grad.

cdef struct Losses:
    double *data
    double few[STACK_ROWS]


cdef int start_losses(Losses *losses, Py_ssize_t n) except -1:
    losses.data = &losses.few[0]
    if n > STACK_ROWS:
        losses.data = <double *>malloc(n * sizeof(double))
        if losses.data == NULL:
            raise MemoryError("cannot allocate the losses of the rows")
    return 0


cdef inline void free_losses(Losses *losses) noexcept:
    if losses.data != &losses.few[0]:
        free(losses.data)


cdef bint has_infinity(const double *x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint found = False
    for i in range(n):
        found |= isinf(x[i])
    return found


cdef finish_losses(Reduction reduction, double *losses, Py_ssize_t n, double divisor, bint is_double, rows,
                   bint declines_infinity, const LossCall *unchecked=NULL, const KernelTable *kernels=NULL):
    """Return the mean, the sum or, in the array `rows`, all losses.

    None for infinity that the general path mends, and for a target that is no class among those of `unchecked`, which
    these kernels have computed.
    """
    cdef TargetSummary summary
    cdef double value
    cdef Py_ssize_t i
    if reduction == NONE:
        if declines_infinity and has_infinity(losses, n):
            return None
        if is_double:
            memcpy(cnp.PyArray_DATA(<cnp.ndarray>rows), losses, n * sizeof(double))
        else:
            for i in range(n):
                (<float *>cnp.PyArray_DATA(<cnp.ndarray>rows))[i] = <float>losses[i]
        return rows
    value = sum_losses(losses, n) if reduction == SUM else mean_of(losses, n, divisor)
    if declines_infinity and isinf(value):
        return None
    if unchecked != NULL and isnan(value):
        kernels.inspect_targets(unchecked, &summary)
        if summary.bad_row >= 0:
            return None
    return new_scalar(value, not is_double)


cdef struct LossMemory:
    Values targets, weight, sample_weight
    Losses losses


cdef inline void free_loss_memory(LossMemory *memory) noexcept:
    free_values(&memory.targets)
    free_values(&memory.weight)
    free_values(&memory.sample_weight)
    free_losses(&memory.losses)


cdef bint read_targets(const Layout *layout, targets, out, LossCall *call, LossMemory *memory) except -1:
    """Read class indices, or probabilities in the dtype of the logits or in the one that they are computed in."""
    cdef int kind
    if not is_array(targets) or not is_apart(out, targets):
        return False
    call.target_kind = layout.block.kind
    if cnp.PyArray_ISINTEGER(<cnp.ndarray>targets):
        if not read_indices(layout, <cnp.ndarray>targets, &call.target_form, &memory.targets):
            return False
        set_dense(&call.targets, &layout.block, memory.targets.data)
        return True
    kind = kind_of(<cnp.ndarray>targets)
    if kind < 0 or call.has_ignore or not has_shape(layout, <cnp.ndarray>targets):
        return False
    if kind != <int>layout.block.kind and not (kind == <int>KIND_F32 and layout.block.kind > KIND_F64):
        return False
    call.target_form, call.target_kind = PROBABILITIES, <Kind>kind
    return place_array(layout, <cnp.ndarray>targets, &call.targets)


cdef bint read_ignore_index(ignore_index, LossCall *call) except -1:
    cdef int overflow = 0
    call.has_ignore, call.ignore_index = False, 0
    if ignore_index is None:
        return True
    if type(ignore_index) is not int:
        return False
    call.ignore_index = PyLong_AsLongAndOverflow(ignore_index, &overflow)
    call.has_ignore = True
    return not overflow


cdef bint fits_kernels(const LossCall *call, Bounds row, Bounds target) noexcept nogil:
    """Whether the products of the options stay where kernels are exact."""
    cdef double scale = call.grad_scale if call.temperature == 1 else call.grad_scale / call.temperature
    if call.smoothing != 0:
        target.low *= min(1.0, call.smoothing / call.block.n_classes)
    return (is_within(row.low) and is_within(row.high) and is_within(target.low) and is_within(target.high)
            and is_within(row.low * target.low) and is_within(row.high * target.high)
            and is_within(row.low * scale) and is_within(row.low * min(1.0, target.low) * scale)
            and row.high * max(1.0, target.high + 4096 * call.z_loss) * scale <= LARGEST_SCALE)


cdef bint set_grad_scale(LossCall *call, double divisor, double error, bint with_grad) noexcept nogil:
    """Set 1 / (divisor + error), in two parts, for a gradient; whether there is such a number."""
    if not 0 < divisor < LARGEST_COUNT:
        return False
    if with_grad:
        call.grad_scale = 1 / divisor
        call.grad_scale_error = fma(-call.grad_scale, divisor, 1) / divisor - call.grad_scale * (error / divisor)
    return True


cdef loss(logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap, temperature,
          reduction, n_threads, out, bint with_grad):
    """Return the loss, or the loss and its gradient; None for what the general path serves."""
    cdef const KernelTable *kernels = chosen_kernels
    cdef LossCall call
    cdef Layout layout
    cdef LossMemory memory
    cdef TargetSummary summary
    cdef Reduction kind = MEAN
    cdef Bounds row_bounds = no_bounds(), class_bounds = no_bounds()
    cdef Py_ssize_t n_rows
    cdef bint is_in_place = False, checks_late
    default_loss_call(&call)
    if kernels == NULL or not plan_call(&layout, logits, axis, &call.logits) or not read_reduction(reduction, &kind):
        return None
    n_rows = n_rows_of(&layout)
    call.block, dtype = layout.block, dtype_of(<cnp.ndarray>logits)     # as it is now: checks give up the GIL
    if not (read_factor(label_smoothing, &call.smoothing) and call.smoothing <= 1 and read_factor(z_loss, &call.z_loss)
            and read_positive(temperature, &call.temperature) and read_ignore_index(ignore_index, &call)
            and read_threads(n_threads, layout.size, &call.n_threads)
            and (softcap is None or read_positive(softcap, &call.softcap))):
        return None
    if with_grad and out is not None:
        if not place_out(&layout, out, <cnp.ndarray>logits, &call.grad):
            return None
        is_in_place = call.grad.data == call.logits.data
    memory.targets = memory.weight = memory.sample_weight = no_values()
    memory.losses.data = &memory.losses.few[0]
    try:
        if weight is not None:
            if not read_weights(kernels, weight, &layout, False, out, &memory.weight, &class_bounds):
                return None
            call.weight = <const double *>memory.weight.data
        if sample_weight is not None:
            if not read_weights(kernels, sample_weight, &layout, True, out, &memory.sample_weight, &row_bounds):
                return None
            call.sample_weight = <const double *>memory.sample_weight.data
        if not read_targets(&layout, targets, out, &call, &memory):
            return None
        summary.divisor, summary.divisor_error = n_rows, 0
        # A target that is no class makes the sum of the losses NaN: where nothing of the caller's is written before
        # that is known, and nothing else is to be learnt from the targets, a pass over them is saved.
        checks_late = (call.target_form != PROBABILITIES and kind != NONE and out is None and weight is None
                       and sample_weight is None and not call.has_ignore)
        if call.target_form != PROBABILITIES and not checks_late:
            kernels.inspect_targets(&call, &summary)
            if summary.bad_row >= 0:
                return None
        elif sample_weight is not None and kind == MEAN:
            return None
        call.grad_scale, call.grad_scale_error = 1, 0
        if kind == MEAN and not set_grad_scale(&call, summary.divisor, summary.divisor_error, with_grad):
            return None
        if not fits_kernels(&call, row_bounds, class_bounds):
            return None
        start_losses(&memory.losses, n_rows)
        call.losses = memory.losses.data
        rows = new_rows(&layout, dtype_of_losses(&layout), False) if kind == NONE else None
        if with_grad and out is None:
            out = new_result(&layout, dtype)
            set_dense(&call.grad, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
        kernels.cross_entropy(&call)
        result = finish_losses(kind, call.losses, n_rows, summary.divisor, layout.block.kind == KIND_F64, rows,
                               layout.block.kind == KIND_F64 and not is_in_place, &call if checks_late else NULL,
                               kernels)
        return None if result is None else (result, out) if with_grad else result
    finally:
        free_loss_memory(&memory)


def cross_entropy(logits, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None, label_smoothing=0.0,
                  z_loss=0.0, softcap=None, temperature=1.0, reduction="mean", n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("cross_entropy")
    result = loss(logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap,
                  temperature, reduction, n_threads, None, False)
    if result is not None:
        return result
    return general["cross_entropy"](
        logits, targets, axis=axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
        label_smoothing=label_smoothing, z_loss=z_loss, softcap=softcap, temperature=temperature, reduction=reduction,
        n_threads=n_threads,
    )


def cross_entropy_with_grad(logits, targets, *, axis=-1, weight=None, sample_weight=None, ignore_index=None,
                            label_smoothing=0.0, z_loss=0.0, softcap=None, temperature=1.0, reduction="mean",
                            n_threads=None, out=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("cross_entropy_with_grad")
    result = loss(logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap,
                  temperature, reduction, n_threads, out, True)
    if result is not None:
        return result
    return general["cross_entropy_with_grad"](
        logits, targets, axis=axis, weight=weight, sample_weight=sample_weight, ignore_index=ignore_index,
        label_smoothing=label_smoothing, z_loss=z_loss, softcap=softcap, temperature=temperature, reduction=reduction,
        n_threads=n_threads, out=out,
    )
