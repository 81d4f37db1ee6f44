# Arrays of a user as operands of kernels: which are read where they lie, and what a result is like.
#
# The same decisions as fastsoftmax/_layout.py takes for the general path, for one class axis.

cdef extern from "numpy/arrayobject.h":
    int NPY_HALF, NPY_USERDEF, NPY_FLOAT, NPY_DOUBLE, NPY_INT64
    cnp.ndarray PyArray_NewFromDescr(type subtype, cnp.dtype descr, int ndim, const cnp.npy_intp *dims,
                                     const cnp.npy_intp *strides, void *data, int flags, object obj)    # steals descr
    cnp.dtype PyArray_DescrFromType(int type_number)
    bint PyArray_ISUNSIGNED(cnp.ndarray array)

cdef enum:
    MAX_DIMS = 8


# How an array is seen as a block (outer, n_classes, inner): its dimensions as they lie in memory, outermost first.
cdef struct Layout:
    int ndim, axis, place               # order[place] is the class axis
    int order[MAX_DIMS]
    Py_ssize_t shape[MAX_DIMS]
    Py_ssize_t size
    Block block
    bint is_natural                     # dimensions lie in their own order


cdef extern from *:
    """
    /* NumPy's type number of ml_dtypes' bfloat16, once an array of it was seen, by whichever thread. */
    static _Atomic int bfloat16_number = -1;
    """
    int bfloat16_number


cdef int kind_of_new_type(cnp.ndarray x) except -2:
    global bfloat16_number
    if x.dtype.name != "bfloat16":
        return -1
    bfloat16_number = cnp.PyArray_TYPE(x)
    return KIND_BF16


cdef inline int kind_of(cnp.ndarray x) except -2:
    """Return the kind of the values of an array, -1 if kernels have none for its dtype."""
    cdef int number = cnp.PyArray_TYPE(x)
    if number == NPY_FLOAT:
        return KIND_F32
    if number == NPY_DOUBLE:
        return KIND_F64
    if number == NPY_HALF:
        return KIND_F16
    if number == bfloat16_number:
        return KIND_BF16
    return kind_of_new_type(x) if number >= NPY_USERDEF else -1


cdef inline bint is_array(x):
    """Whether x is an ndarray, not of a subclass, aligned and in native byte order."""
    return type(x) is cnp.ndarray and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>x)


cdef inline bint is_ambiguous(const Layout *layout, const cnp.npy_intp *strides, int d) noexcept nogil:
    return strides[d] == 0 or layout.shape[d] == 1


cdef void find_order(Layout *layout, const cnp.npy_intp *strides) noexcept nogil:
    """Order the dimensions from the longest stride to the shortest, as NumPy orders results."""
    cdef int order[MAX_DIMS]            # innermost first
    cdef int d, at, place, count = 0, k
    for d in range(layout.ndim - 1, -1, -1):
        place = count
        for at in range(count - 1, -1, -1):
            if is_ambiguous(layout, strides, d) or is_ambiguous(layout, strides, order[at]):
                continue
            if abs(strides[order[at]]) <= abs(strides[d]):
                break
            place = at
        for k in range(count, place, -1):
            order[k] = order[k - 1]
        order[place] = d
        count += 1
    layout.is_natural = True
    for k in range(count):
        layout.order[k] = order[count - 1 - k]
        layout.is_natural &= layout.order[k] == k


cdef void set_axis(Layout *layout, int axis) noexcept nogil:
    """See the array as a block around one axis."""
    cdef int k
    layout.axis = axis
    layout.block.outer = layout.block.inner = 1
    layout.block.n_classes = layout.shape[axis]
    layout.place = -1
    for k in range(layout.ndim):
        if layout.order[k] == axis:
            layout.place = k
        elif layout.place < 0:
            layout.block.outer *= layout.shape[layout.order[k]]
        else:
            layout.block.inner *= layout.shape[layout.order[k]]


cdef inline Py_ssize_t n_rows_of(const Layout *layout) noexcept nogil:
    return layout.block.outer * layout.block.inner


cdef bint find_layout(Layout *layout, x) except -1:
    """Fill all but the axis; whether x is a non-empty array of a dtype and a number of dimensions that is served."""
    cdef int kind, d
    cdef cnp.npy_intp *shape
    if not is_array(x):
        return False
    kind = kind_of(<cnp.ndarray>x)
    layout.ndim = cnp.PyArray_NDIM(<cnp.ndarray>x)
    if kind < 0 or not 1 <= layout.ndim <= MAX_DIMS:
        return False
    layout.block.kind = <Kind>kind
    shape, layout.size = cnp.PyArray_DIMS(<cnp.ndarray>x), 1
    for d in range(layout.ndim):
        layout.shape[d] = shape[d]
        layout.size *= shape[d]
    if layout.size == 0:
        return False
    if cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>x):
        layout.is_natural = True
        for d in range(layout.ndim):
            layout.order[d] = d
    else:
        find_order(layout, cnp.PyArray_STRIDES(<cnp.ndarray>x))
    return True


cdef inline bint read_axis(const Layout *layout, axis, int *d) except -1:
    """Whether axis is an integer of Python that names one dimension."""
    cdef int overflow = 0
    cdef long value
    if type(axis) is not int:
        return False
    value = PyLong_AsLongAndOverflow(axis, &overflow)
    if overflow or not -layout.ndim <= value < layout.ndim:
        return False
    d[0] = <int>(value if value >= 0 else value + layout.ndim)
    return True


cdef inline void set_dense(Operand *operand, const Block *block, void *data) noexcept nogil:
    """Fill the operand of a C-contiguous block, in place: what is copied as it was just written waits for the store."""
    operand.data = data
    operand.steps.per_group, operand.steps.group = ONE_GROUP, 0
    operand.steps.outer, operand.steps.classes = block.n_classes * block.inner, block.inner


cdef int find_runs(const Layout *layout, const cnp.npy_intp *strides, int first, int stop, Py_ssize_t *sizes,
                   Py_ssize_t *steps) noexcept nogil:
    """Join dimensions first .. stop - 1 where one step leads through several; return how many runs, innermost first."""
    cdef int k, count = 0
    cdef Py_ssize_t size, stride
    for k in range(stop - 1, first - 1, -1):
        size, stride = layout.shape[layout.order[k]], strides[layout.order[k]]
        if count and stride == sizes[count - 1] * steps[count - 1]:
            sizes[count - 1] *= size
        elif size != 1:
            sizes[count], steps[count] = size, stride
            count += 1
    return count


cdef bint place_operand(const Layout *layout, const cnp.npy_intp *strides, Py_ssize_t item_bytes, void *data,
                        Operand *operand) noexcept nogil:
    """Fill an operand with data that has these strides; whether kernels reach it in the order of the layout."""
    cdef Py_ssize_t sizes[MAX_DIMS]
    cdef Py_ssize_t steps[MAX_DIMS]
    cdef int n_runs
    set_dense(operand, &layout.block, data)
    n_runs = find_runs(layout, strides, layout.place + 1, layout.ndim, sizes, steps)
    if n_runs > 1 or (n_runs and steps[0] != item_bytes):
        return False
    n_runs = find_runs(layout, strides, layout.place, layout.place + 1, sizes, steps)
    if n_runs:
        if steps[0] % item_bytes or (layout.block.inner == 1 and steps[0] != item_bytes):
            return False
        operand.steps.classes = steps[0] // item_bytes
    n_runs = find_runs(layout, strides, 0, layout.place, sizes, steps)
    if n_runs > 2 or (n_runs and steps[0] % item_bytes) or (n_runs == 2 and steps[1] % item_bytes):
        return False
    if n_runs:
        operand.steps.outer = steps[0] // item_bytes
    if n_runs == 2:
        operand.steps.per_group, operand.steps.group = sizes[0], steps[1] // item_bytes
    return True


cdef inline bint is_broadcast(const Layout *layout, cnp.ndarray x) noexcept:
    """Whether a dimension repeats itself, which leaves the order of a result to NumPy."""
    cdef int d
    for d in range(layout.ndim):
        if layout.shape[d] > 1 and cnp.PyArray_STRIDE(x, d) == 0:
            return True
    return False


cdef inline bint place_array(const Layout *layout, cnp.ndarray x, Operand *operand) noexcept:
    """place_operand for an array of the layout's shape."""
    if layout.is_natural and cnp.PyArray_IS_C_CONTIGUOUS(x):
        set_dense(operand, &layout.block, cnp.PyArray_DATA(x))
        return True
    return place_operand(layout, cnp.PyArray_STRIDES(x), cnp.PyArray_ITEMSIZE(x), cnp.PyArray_DATA(x), operand)


cdef inline bint plan_call(Layout *layout, x, axis, Operand *operand) except -1:
    """Find the layout of x around an axis and where its values lie; whether kernels read it there."""
    cdef int d = 0
    if not find_layout(layout, x) or not read_axis(layout, axis, &d):
        return False
    set_axis(layout, d)
    return place_array(layout, <cnp.ndarray>x, operand)


cdef inline bint has_shape(const Layout *layout, cnp.ndarray x) noexcept:
    cdef int d
    if cnp.PyArray_NDIM(x) != layout.ndim:
        return False
    for d in range(layout.ndim):
        if cnp.PyArray_DIM(x, d) != layout.shape[d]:
            return False
    return True


cdef inline bint has_shape_of_rows(const Layout *layout, cnp.ndarray x) noexcept:
    """Whether x has the shape of the layout without its class axis."""
    cdef int d
    if cnp.PyArray_NDIM(x) != layout.ndim - 1:
        return False
    for d in range(layout.ndim - 1):
        if cnp.PyArray_DIM(x, d) != layout.shape[d + (d >= layout.axis)]:
            return False
    return True


# Shared memory.

cdef void find_bounds(cnp.ndarray x, const char **low, const char **high) noexcept:
    """Find the first byte of an array and the one behind its last."""
    cdef int d
    cdef Py_ssize_t reach
    low[0] = <const char *>cnp.PyArray_DATA(x)
    high[0] = low[0] + cnp.PyArray_ITEMSIZE(x)
    for d in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_DIM(x, d) == 0:
            high[0] = low[0] = <const char *>cnp.PyArray_DATA(x)
            return
        reach = (cnp.PyArray_DIM(x, d) - 1) * cnp.PyArray_STRIDE(x, d)
        if reach < 0:
            low[0] += reach
        else:
            high[0] += reach


cdef bint are_disjoint(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether two arrays lie in memory one behind the other."""
    cdef const char *a_low
    cdef const char *a_high
    cdef const char *b_low
    cdef const char *b_high
    find_bounds(a, &a_low, &a_high)
    find_bounds(b, &b_low, &b_high)
    return a_high <= b_low or b_high <= a_low


cdef bint is_same_view(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether arrays of one shape and dtype are the same elements in the same order."""
    cdef int d
    if cnp.PyArray_DATA(a) != cnp.PyArray_DATA(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) > 1 and cnp.PyArray_STRIDE(a, d) != cnp.PyArray_STRIDE(b, d):
            return False
    return True


cdef bint has_distinct_elements(const Layout *layout, cnp.ndarray x) noexcept:
    """Whether no elements of an array of the layout's shape can overlap: each dimension steps over the inner ones."""
    cdef int order[MAX_DIMS]
    cdef int d, k
    cdef Py_ssize_t reach = cnp.PyArray_ITEMSIZE(x)
    if cnp.PyArray_IS_C_CONTIGUOUS(x) or cnp.PyArray_IS_F_CONTIGUOUS(x):
        return True
    for d in range(layout.ndim):        # shortest stride first
        k = d
        while k > 0 and abs(cnp.PyArray_STRIDE(x, order[k - 1])) > abs(cnp.PyArray_STRIDE(x, d)):
            order[k] = order[k - 1]
            k -= 1
        order[k] = d
    for k in range(layout.ndim):
        d = order[k]
        if layout.shape[d] == 1:
            continue
        if abs(cnp.PyArray_STRIDE(x, d)) < reach:
            return False
        reach += (layout.shape[d] - 1) * abs(cnp.PyArray_STRIDE(x, d))
    return True


cdef bint is_apart(a, b):
    """Whether a is None, or an array that shares no memory with the array b."""
    return a is None or (is_array(a) and are_disjoint(<cnp.ndarray>a, <cnp.ndarray>b))


# Results.

cdef new_array(int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, cnp.dtype descr, Py_ssize_t size):
    """Return an uninitialised array, of memory kept for results unless it is very small."""
    cdef size_t n_bytes = size * descr.itemsize
    if n_bytes < SMALLEST_RESULT_BYTES:
        Py_INCREF(descr)
        return PyArray_NewFromDescr(cnp.ndarray, descr, ndim, <const cnp.npy_intp *>shape,
                                    <const cnp.npy_intp *>strides, NULL, 0, None)
    return runtime.new_array(ndim, shape, strides, descr, n_bytes)


cdef new_result(const Layout *layout, cnp.dtype descr):
    """Return an array of the layout's shape, dense in its order."""
    cdef Py_ssize_t strides[MAX_DIMS]
    cdef Py_ssize_t step = descr.itemsize
    cdef int k
    if layout.is_natural:
        return new_array(layout.ndim, layout.shape, NULL, descr, layout.size)
    for k in range(layout.ndim - 1, -1, -1):
        strides[layout.order[k]] = step
        step *= layout.shape[layout.order[k]]
    return new_array(layout.ndim, layout.shape, strides, descr, layout.size)


cdef new_rows(const Layout *layout, cnp.dtype descr, bint keepdims):
    """Return an array with a value for each row: the layout's shape without its axis, dense in its order."""
    cdef Py_ssize_t shape[MAX_DIMS]
    cdef Py_ssize_t strides[MAX_DIMS]
    cdef Py_ssize_t step = descr.itemsize
    cdef int k, d, at, ndim = layout.ndim - (0 if keepdims else 1)
    for k in range(layout.ndim - 1, -1, -1):
        d = layout.order[k]
        at = d if keepdims else d - (d > layout.axis)
        if d != layout.axis:
            shape[at], strides[at] = layout.shape[d], step
            step *= layout.shape[d]
        elif keepdims:
            shape[at], strides[at] = 1, step
    return new_array(ndim, shape, NULL if layout.is_natural else strides, descr, n_rows_of(layout))


cdef inline cnp.dtype dtype_of(cnp.ndarray x):
    return <cnp.dtype><PyObject *>cnp.PyArray_DESCR(x)


cdef inline cnp.dtype dtype_of_losses(const Layout *layout):
    """Return the dtype of a loss: that of the logits, float32 for 16 bits."""
    return PyArray_DescrFromType(NPY_DOUBLE if layout.block.kind == KIND_F64 else NPY_FLOAT)


cdef inline bint is_same_or_apart(const void *a, const void *b, Py_ssize_t n_bytes) noexcept nogil:
    """Whether two runs of bytes are one, or share none."""
    return a == b or <const char *>a + n_bytes <= <const char *>b or <const char *>b + n_bytes <= <const char *>a


cdef bint place_out(const Layout *layout, out, cnp.ndarray x, Operand *operand) except -1:
    """Fill the operand of a caller's out; whether it fits x, and is x itself or lies apart from it."""
    if not (is_array(out) and cnp.PyArray_TYPE(<cnp.ndarray>out) == cnp.PyArray_TYPE(x)
            and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out) and has_shape(layout, <cnp.ndarray>out)):
        return False
    if layout.is_natural and cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>out) and cnp.PyArray_IS_C_CONTIGUOUS(x):
        set_dense(operand, &layout.block, cnp.PyArray_DATA(<cnp.ndarray>out))
        return is_same_or_apart(cnp.PyArray_DATA(<cnp.ndarray>out), cnp.PyArray_DATA(x),
                                layout.size * cnp.PyArray_ITEMSIZE(x))
    if not (is_same_view(<cnp.ndarray>out, x) or are_disjoint(<cnp.ndarray>out, x)):
        return False
    return has_distinct_elements(layout, <cnp.ndarray>out) and place_array(layout, <cnp.ndarray>out, operand)


cdef bint place_mask(const Layout *layout, where, out, Operand *operand) except -1:
    """Fill the operand of a mask, broadcast to the layout; whether kernels read it where it lies, apart from out."""
    cdef cnp.npy_intp strides[MAX_DIMS]
    cdef int d, at, ndim
    if not is_array(where) or cnp.PyArray_TYPE(<cnp.ndarray>where) != cnp.NPY_BOOL or not is_apart(out, where):
        return False
    ndim = cnp.PyArray_NDIM(<cnp.ndarray>where)
    if ndim > layout.ndim:
        return False
    for d in range(layout.ndim):
        at = d - (layout.ndim - ndim)
        strides[d] = 0
        if at < 0 or cnp.PyArray_DIM(<cnp.ndarray>where, at) == 1:
            continue
        if cnp.PyArray_DIM(<cnp.ndarray>where, at) != layout.shape[d]:
            return False
        strides[d] = cnp.PyArray_STRIDE(<cnp.ndarray>where, at)
    return place_operand(layout, strides, 1, cnp.PyArray_DATA(<cnp.ndarray>where), operand)
