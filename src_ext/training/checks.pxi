# What is checked before a pointer is taken: whatever array the compiled functions are called with, they read and
# write inside it, or raise. Each array is checked once a call, by `require`, against the numbers that the kernels
# will compute its addresses from.

cdef object shape_text(cnp.ndarray array):
    return tuple([cnp.PyArray_DIM(array, i) for i in range(cnp.PyArray_NDIM(array))])


cdef int require_memory(cnp.ndarray array, str name, int kind, int ndim, bint written) except -1:
    """Raise unless an array of any strides can be read, and written, as numbers of one kind."""
    if array is None:
        raise TypeError(f"{name} must be an array, got None")
    if cnp.PyArray_NDIM(array) != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {shape_text(array)}")
    if cnp.PyArray_TYPE(array) != kind or not cnp.PyArray_ISNOTSWAPPED(array):
        expected = cnp.PyArray_DescrFromType(kind)
        raise TypeError(f"{name} must have dtype {expected}, got {array.dtype}")
    if not cnp.PyArray_ISALIGNED(array):
        raise ValueError(f"{name} must be aligned in memory, got an array that is not")
    if written and not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name} must be writeable, got a read-only array")
    return 0


cdef int require(cnp.ndarray array, str name, int kind, int ndim, ptrdiff_t *shape, bint written) except -1:
    """Raise unless an array has this kind of numbers and this shape, one after the other in memory."""
    cdef int i
    require_memory(array, name, kind, ndim, written)
    for i in range(ndim):
        if cnp.PyArray_DIM(array, i) != shape[i]:
            expected = tuple([shape[k] for k in range(ndim)])
            raise ValueError(f"{name} must have shape {expected}, got {shape_text(array)}")
    if not cnp.PyArray_IS_C_CONTIGUOUS(array):
        raise ValueError(f"{name} must be C-contiguous, got strides {(<object>array).strides}")
    return 0


cdef int require_vector(cnp.ndarray array, str name, int kind, ptrdiff_t size, bint written) except -1:
    return require(array, name, kind, 1, [size], written)


cdef int require_matrix(cnp.ndarray array, str name, int kind, ptrdiff_t rows, ptrdiff_t columns,
                        bint written) except -1:
    return require(array, name, kind, 2, [rows, columns], written)


cdef int require_cube(cnp.ndarray array, str name, int kind, ptrdiff_t outer, ptrdiff_t rows, ptrdiff_t columns,
                      bint written) except -1:
    return require(array, name, kind, 3, [outer, rows, columns], written)


cdef int require_between(ptrdiff_t value, str name, ptrdiff_t low, ptrdiff_t high) except -1:
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {value}")
    return 0


cdef int real_kind(cnp.ndarray array, str name) except -1:
    """Return the type number of an array of float or double."""
    if array is None:
        raise TypeError(f"{name} must be an array, got None")
    cdef int kind = cnp.PyArray_TYPE(array)
    if kind != cnp.NPY_FLOAT32 and kind != cnp.NPY_FLOAT64:
        raise TypeError(f"{name} must have dtype float32 or float64, got {array.dtype}")
    return kind


cdef cnp.ndarray array_in(object arrays, object key, str name):
    """Return an item of a dict or list, which must be an ndarray itself: a subclass may mean something else."""
    cdef object array = arrays.get(key) if isinstance(arrays, dict) else arrays[key]
    if not cnp.PyArray_CheckExact(array):
        raise TypeError(f"{name} must be a numpy.ndarray, got {type(array).__name__}")
    return array


cdef int require_rows(cnp.ndarray X) except -1:
    """Raise unless X is a matrix that the kernels read where it is: rows contiguous, any step between them."""
    if X is None:
        raise TypeError("X must be an array, got None")
    cdef int kind = cnp.PyArray_TYPE(X)
    if kind not in (cnp.NPY_UINT8, cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
        raise TypeError(f"X must have dtype uint8, float32 or float64, got {X.dtype}")
    require_memory(X, "X", kind, 2, False)
    if cnp.PyArray_DIM(X, 1) > 1 and cnp.PyArray_STRIDE(X, 1) != cnp.PyArray_ITEMSIZE(X):
        raise ValueError(f"X must have contiguous rows, got strides {(<object>X).strides}")
    return 0


cdef int require_targets(cnp.ndarray targets, ptrdiff_t n_rows, ptrdiff_t n_outputs, bint multi) except -1:
    """Raise unless there is an int32 class for each row, or where `multi` n_outputs labels of uint8."""
    if multi:
        return require_matrix(targets, "targets", cnp.NPY_UINT8, n_rows, n_outputs, False)
    return require_vector(targets, "targets", cnp.NPY_INT32, n_rows, False)


cdef int bad_class(ptrdiff_t value, ptrdiff_t n_outputs, ptrdiff_t row) except -1:
    raise IndexError(f"targets must be in [0, {n_outputs}), got {value} at row {row}")


cdef int require_order(const int64_t *order, ptrdiff_t count, ptrdiff_t n_rows, const int32_t *classes,
                       ptrdiff_t n_outputs) except -1:
    """Raise unless every row of `order` exists, and its class if there are classes."""
    cdef ptrdiff_t i, bad = -1
    with nogil:
        for i in range(count):
            if order[i] < 0 or order[i] >= n_rows:
                bad = i
                break
            if classes != NULL and (classes[order[i]] < 0 or classes[order[i]] >= n_outputs):
                bad = i
                break
    if bad < 0:
        return 0
    if order[bad] < 0 or order[bad] >= n_rows:
        raise IndexError(f"order must be in [0, {n_rows}), got {order[bad]} at {bad}")
    return bad_class(classes[order[bad]], n_outputs, order[bad])


cdef int require_classes(const int32_t *classes, ptrdiff_t first, ptrdiff_t end, ptrdiff_t n_outputs) except -1:
    """Raise unless the classes of the rows first..end exist."""
    cdef ptrdiff_t row
    cdef int32_t bad = 0
    with nogil:
        for row in range(first, end):
            bad |= classes[row] < 0 or classes[row] >= n_outputs
    if bad:
        for row in range(first, end):
            if classes[row] < 0 or classes[row] >= n_outputs:
                bad_class(classes[row], n_outputs, row)
    return 0
