# The fast path of the entropy and the Kullback-Leibler divergence.

cdef divergence(p, q, axis, reduction, n_threads, bint has_q, bint with_grad):
    cdef const KernelTable *kernels = chosen_kernels
    cdef DivergenceCall call
    cdef Layout layout
    cdef Losses losses
    cdef Reduction kind = MEAN
    cdef Py_ssize_t n_rows
    default_divergence_call(&call)
    if kernels == NULL or not plan_call(&layout, p, axis, &call.p) or not read_reduction(reduction, &kind):
        return None
    if not read_threads(n_threads, layout.size * (2 if has_q else 1), &call.n_threads):
        return None
    if has_q and not (is_array(q) and cnp.PyArray_TYPE(<cnp.ndarray>q) == cnp.PyArray_TYPE(<cnp.ndarray>p)
                      and has_shape(&layout, <cnp.ndarray>q) and place_array(&layout, <cnp.ndarray>q, &call.q)):
        return None
    n_rows = n_rows_of(&layout)
    call.block, call.divisor = layout.block, n_rows if kind == MEAN else 1
    grad_p = grad_q = None
    if with_grad:
        grad_p = new_result(&layout, dtype_of(<cnp.ndarray>p))
        set_dense(&call.grad_p, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>grad_p))
    if with_grad and has_q:
        grad_q = new_result(&layout, dtype_of(<cnp.ndarray>p))
        set_dense(&call.grad_q, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>grad_q))
    rows = new_rows(&layout, dtype_of_losses(&layout), False) if kind == NONE else None
    start_losses(&losses, n_rows)
    try:
        call.losses = losses.data
        kernels.divergence(&call)
        value = finish_losses(kind, losses.data, n_rows, n_rows, layout.block.kind == KIND_F64, rows, False)
    finally:
        free_losses(&losses)
    if not with_grad:
        return value
    return (value, grad_p, grad_q) if has_q else (value, grad_p)


def entropy_with_logits(logits, axis=-1, *, reduction="mean", n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("entropy_with_logits")
    result = divergence(logits, None, axis, reduction, n_threads, False, False)
    if result is not None:
        return result
    return general["entropy_with_logits"](logits, axis, reduction=reduction, n_threads=n_threads)


def entropy_with_logits_with_grad(logits, axis=-1, *, reduction="mean", n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("entropy_with_logits_with_grad")
    result = divergence(logits, None, axis, reduction, n_threads, False, True)
    if result is not None:
        return result
    return general["entropy_with_logits_with_grad"](logits, axis, reduction=reduction, n_threads=n_threads)


def kl_div_with_logits(p_logits, q_logits, axis=-1, *, reduction="mean", n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("kl_div_with_logits")
    result = divergence(p_logits, q_logits, axis, reduction, n_threads, True, False)
    if result is not None:
        return result
    return general["kl_div_with_logits"](p_logits, q_logits, axis, reduction=reduction, n_threads=n_threads)


def kl_div_with_logits_with_grad(p_logits, q_logits, axis=-1, *, reduction="mean", n_threads=None, dim=ABSENT):
    if dim is not ABSENT:
        refuse_dim("kl_div_with_logits_with_grad")
    result = divergence(p_logits, q_logits, axis, reduction, n_threads, True, True)
    if result is not None:
        return result
    return general["kl_div_with_logits_with_grad"](p_logits, q_logits, axis, reduction=reduction, n_threads=n_threads)
