# Options of a user as numbers for kernels. Each function tells whether the value is one that kernels take as it is;
# what is not, wrong or only unusual, is the general path's.

cdef extern from "Python.h":
    long PyLong_AsLongAndOverflow(object value, int *overflow) except? -1

cdef extern from *:
    """
    /* Options, and their products, within these serve every kernel: see _backends/_extremes.py. */
    #define SMALLEST_OPTION 0x1p-72
    #define LARGEST_OPTION 0x1p72
    #define LARGEST_SCALE 0x1p20
    #define LARGEST_COUNT 0x1p40
    """
    double SMALLEST_OPTION, LARGEST_OPTION, LARGEST_SCALE, LARGEST_COUNT


cdef inline bint read_number(value, double *number) except -1:
    """Read a float, or an int that a double holds; a bool is neither."""
    cdef int overflow = 0
    if isinstance(value, float):
        number[0] = <double>value
        return True
    if type(value) is not int:
        return False
    number[0] = <double>PyLong_AsLongAndOverflow(value, &overflow)
    return not overflow and -2.0**53 < number[0] < 2.0**53


cdef inline bint is_within(double value) noexcept nogil:
    return SMALLEST_OPTION <= value <= LARGEST_OPTION


cdef inline bint read_positive(value, double *number) except -1:
    return read_number(value, number) and is_within(number[0])


cdef inline bint read_factor(value, double *number) except -1:
    """Read a number that may be 0."""
    return read_number(value, number) and (number[0] == 0 or is_within(number[0]))


cdef inline bint read_threads(value, Py_ssize_t n_elements, int *n) except -1:
    """Read n_threads: how many threads a call over so many elements may use."""
    cdef int overflow = 0
    cdef long wanted
    n[0] = 1
    if value is None:
        if n_elements >= SERIAL_BELOW:
            n[0] = runtime.default_threads()
        return True
    if type(value) is not int:
        return False
    wanted = PyLong_AsLongAndOverflow(value, &overflow)
    if overflow or wanted < 1:
        return False
    if n_elements >= SERIAL_BELOW:
        n[0] = <int>min(wanted, MAX_THREADS)
    return True


cdef enum Reduction:
    NONE
    MEAN
    SUM


cdef inline bint read_reduction(value, Reduction *reduction) except -1:
    if type(value) is not str:
        return False
    if value == "mean":
        reduction[0] = MEAN
    elif value == "sum":
        reduction[0] = SUM
    elif value == "none":
        reduction[0] = NONE
    else:
        return False
    return True


# Values a row or a class: read where they lie, or copied into memory of the call's own.

cdef struct Values:
    void *data
    void *owned                 # to be freed, or NULL


cdef inline Values no_values() noexcept nogil:
    cdef Values values
    values.data = values.owned = NULL
    return values


cdef inline void free_values(const Values *values) noexcept:
    if values.owned != NULL:                # mostly there is nothing
        free(values.owned)


# A value of each row of a layout, visited in the order of the kernels.
cdef struct RowCursor:
    int n_dims
    Py_ssize_t sizes[MAX_DIMS]      # outermost first
    Py_ssize_t steps[MAX_DIMS]      # in bytes
    Py_ssize_t index[MAX_DIMS]
    const char *at


cdef bint start_rows(const Layout *layout, cnp.ndarray x, RowCursor *cursor) noexcept:
    """Start at the first row of an array of the layout's shape without its axis; whether all rows lie side by side."""
    cdef int k, d, at
    cdef Py_ssize_t step = cnp.PyArray_ITEMSIZE(x)
    cdef bint dense = True
    cursor.n_dims, cursor.at = layout.ndim - 1, <const char *>cnp.PyArray_DATA(x)
    at = cursor.n_dims
    for k in range(layout.ndim - 1, -1, -1):
        d = layout.order[k]
        if d == layout.axis:
            continue
        at -= 1
        cursor.sizes[at], cursor.index[at] = layout.shape[d], 0
        cursor.steps[at] = cnp.PyArray_STRIDE(x, d - (d > layout.axis))
        dense &= layout.shape[d] == 1 or cursor.steps[at] == step
        step *= layout.shape[d]
    return dense


cdef inline void next_row(RowCursor *cursor) noexcept nogil:
    cdef int k
    for k in range(cursor.n_dims - 1, -1, -1):
        cursor.at += cursor.steps[k]
        cursor.index[k] += 1
        if cursor.index[k] < cursor.sizes[k]:
            return
        cursor.at -= cursor.index[k] * cursor.steps[k]
        cursor.index[k] = 0


ctypedef fused real_type:
    float
    double


ctypedef fused integer_type:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef bint copy_integers(RowCursor *cursor, Py_ssize_t n, int64_t *to, const integer_type *dtype) noexcept nogil:
    """Copy an index for each row; whether int64 holds them."""
    cdef Py_ssize_t i
    cdef integer_type value
    for i in range(n):
        value = (<const integer_type *>cursor.at)[0]
        to[i] = <int64_t>value
        if integer_type is uint64_t:
            if value > <uint64_t>INT64_MAX:
                return False
        next_row(cursor)
    return True


cdef bint copy_indices(cnp.ndarray targets, RowCursor *cursor, Py_ssize_t n, int64_t *to) noexcept:
    cdef int size = cnp.PyArray_ITEMSIZE(targets)
    if PyArray_ISUNSIGNED(targets):
        if size == 1:
            return copy_integers(cursor, n, to, <const uint8_t *>NULL)
        if size == 2:
            return copy_integers(cursor, n, to, <const uint16_t *>NULL)
        if size == 4:
            return copy_integers(cursor, n, to, <const uint32_t *>NULL)
        return copy_integers(cursor, n, to, <const uint64_t *>NULL)
    if size == 1:
        return copy_integers(cursor, n, to, <const int8_t *>NULL)
    if size == 2:
        return copy_integers(cursor, n, to, <const int16_t *>NULL)
    if size == 4:
        return copy_integers(cursor, n, to, <const int32_t *>NULL)
    return copy_integers(cursor, n, to, <const int64_t *>NULL)


cdef bint read_indices(const Layout *layout, cnp.ndarray targets, int *form, Values *values) except -1:
    """Read class indices of any integer dtype: where they lie if kernels can, else as int64."""
    cdef RowCursor cursor
    cdef Py_ssize_t n = n_rows_of(layout)
    cdef int size = cnp.PyArray_ITEMSIZE(targets)
    cdef bint is_unsigned = PyArray_ISUNSIGNED(targets)
    if not has_shape_of_rows(layout, targets):
        return False
    if start_rows(layout, targets, &cursor) and (size == 1 if is_unsigned else size >= 4):
        form[0] = INDEX_UINT8 if size == 1 else INDEX_INT32 if size == 4 else INDEX_INT64
        values.data = cnp.PyArray_DATA(targets)
        return True
    form[0] = INDEX_INT64
    values.owned = values.data = malloc(n * sizeof(int64_t))
    if values.data == NULL:
        raise MemoryError("cannot allocate the class indices")
    return copy_indices(targets, &cursor, n, <int64_t *>values.data)


cdef inline Bounds no_bounds() noexcept nogil:
    cdef Bounds bounds
    bounds.low = bounds.high = 1
    return bounds


cdef bint read_weights(const KernelTable *kernels, weights, const Layout *layout, bint by_row, out, Values *values,
                       Bounds *bounds) except -1:
    """Read weights of the classes, or of the rows, as doubles, apart from out."""
    cdef RowCursor cursor
    cdef Py_ssize_t i, n = n_rows_of(layout) if by_row else layout.block.n_classes
    cdef int number
    cdef bint dense
    if not is_array(weights) or not is_apart(out, weights):
        return False
    number = cnp.PyArray_TYPE(<cnp.ndarray>weights)
    if number != NPY_DOUBLE and number != NPY_FLOAT:
        return False
    if by_row:
        if not has_shape_of_rows(layout, <cnp.ndarray>weights):
            return False
        dense = start_rows(layout, <cnp.ndarray>weights, &cursor)
    else:
        if cnp.PyArray_NDIM(<cnp.ndarray>weights) != 1 or cnp.PyArray_DIM(<cnp.ndarray>weights, 0) != n:
            return False
        cursor.n_dims, cursor.sizes[0], cursor.index[0] = 1, n, 0
        cursor.steps[0] = cnp.PyArray_STRIDE(<cnp.ndarray>weights, 0)
        cursor.at = cnp.PyArray_BYTES(<cnp.ndarray>weights)
        dense = cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>weights)
    if dense and number == NPY_DOUBLE:
        values.data = cnp.PyArray_DATA(<cnp.ndarray>weights)
    else:
        values.owned = values.data = malloc(n * sizeof(double))
        if values.data == NULL:
            raise MemoryError("cannot allocate the weights")
        for i in range(n):
            if number == NPY_DOUBLE:
                (<double *>values.data)[i] = (<const double *>cursor.at)[0]
            else:
                (<double *>values.data)[i] = (<const float *>cursor.at)[0]
            next_row(&cursor)
    return kernels.find_bounds(values.data, KIND_F64, n, MAX_THREADS, bounds)
