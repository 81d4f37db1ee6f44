# How a block (outer, n_classes, inner) is cut into pieces of work. A lane is one row of the softmax.

from libc.string cimport memcpy

cdef enum:
    FEW_CLASSES = 160           # up to here a contiguous row is turned, so that its lanes fill the vectors
    TILE_CLASSES = 4096         # up to here a tile of columns fits the cache
    TILE_BYTES = 1 << 17
    BLOCK_ELEMENTS = 1 << 14    # a block of rows: enough work to be worth a call
    LANE_ARRAYS = 12

cdef enum Form:
    ROWS                        # contiguous rows, read where they lie
    TURNED                      # few classes: contiguous rows, turned into tiles
    COLUMNS                     # another axis: copied into tiles in short runs
    GATHERED                    # what has no form as a tile: turned into rows in scratch

cdef struct Geometry:
    Form form
    Py_ssize_t outer, n_classes, inner
    Py_ssize_t n_lanes          # outer * inner
    Py_ssize_t stride           # lanes of a tile, or rows gathered at once
    Py_ssize_t per_block        # lanes of a block
    Py_ssize_t n_blocks
    Py_ssize_t item_bytes


cdef void cut(Geometry *g, Py_ssize_t outer, Py_ssize_t n_classes, Py_ssize_t inner, Py_ssize_t item_bytes,
              bint plain) noexcept nogil:
    """Choose the form from the shape alone; what is not plain has no form as a tile."""
    cdef Py_ssize_t lanes = LANES_F32 if item_bytes == 4 else LANES_F64
    g.outer, g.n_classes, g.inner, g.item_bytes = outer, n_classes, inner, item_bytes
    g.n_lanes = outer * inner
    g.stride = lanes
    if inner == 1:
        g.form = TURNED if plain and n_classes <= FEW_CLASSES else ROWS
    elif plain and n_classes <= TILE_CLASSES:
        g.form = COLUMNS
        g.stride = lanes * max(1, min(16, TILE_BYTES // (n_classes * lanes * item_bytes)))
    else:
        g.form = GATHERED
    if g.form == ROWS:
        g.stride = 1
    g.per_block = g.stride * max(1, BLOCK_ELEMENTS // (n_classes * g.stride))
    g.n_blocks = (g.n_lanes + g.per_block - 1) // g.per_block


cdef inline Py_ssize_t n_pieces(const Geometry *g, Py_ssize_t block) noexcept nogil:
    """Return how many tiles, or gathered groups of rows, a block has."""
    return (min(g.n_lanes - block * g.per_block, g.per_block) + g.stride - 1) // g.stride


cdef inline Py_ssize_t first_lane(const Geometry *g, Py_ssize_t block, Py_ssize_t piece) noexcept nogil:
    return block * g.per_block + piece * g.stride


cdef inline real *rows_after(const Geometry *g, const real *block, Py_ssize_t first) noexcept nogil:
    """Return the rows that the next tile is turned from or to, NULL for other forms: what to fetch early."""
    if g.form != TURNED or block == NULL:
        return NULL
    return <real *>block + (first + g.stride) * g.n_classes


cdef inline Py_ssize_t data_bytes(const Geometry *g) noexcept nogil:
    return round_up(g.n_classes * g.stride * g.item_bytes, CACHE_LINE)


cdef inline Py_ssize_t tile_bytes(const Geometry *g) noexcept nogil:
    """Return the bytes of a tile (or of rows in scratch) with the arrays of its lanes behind it."""
    return data_bytes(g) + LANE_ARRAYS * round_up(g.stride * sizeof(double), CACHE_LINE)


cdef inline void *lane_array(const Geometry *g, char *scratch, int index) noexcept nogil:
    """Return the array number `index` of the lanes of a tile: `stride` values of up to 8 bytes."""
    return scratch + data_bytes(g) + index * round_up(g.stride * sizeof(double), CACHE_LINE)


cdef inline void tile_load(const Geometry *g, const real *x, Py_ssize_t first, Py_ssize_t n_lanes,
                           real *tile) noexcept nogil:
    if g.form == TURNED:
        turn_in(x + first * g.n_classes, g.n_classes, n_lanes, tile)
    elif g.form == COLUMNS:
        copy_in(x, g.n_classes, g.inner, first, n_lanes, tile, g.stride)
    elif g.form == GATHERED:
        gather_rows(x, g.n_classes, g.inner, first, n_lanes, tile)
    else:
        memcpy(tile, x + first * g.n_classes, n_lanes * g.n_classes * sizeof(real))


cdef inline void tile_store(const Geometry *g, const real *tile, Py_ssize_t first, Py_ssize_t n_lanes,
                            real *out) noexcept nogil:
    if g.form == TURNED:
        turn_out(tile, g.n_classes, n_lanes, out + first * g.n_classes)
    elif g.form == COLUMNS:
        copy_out(tile, g.stride, g.n_classes, g.inner, first, n_lanes, out)
    elif g.form == GATHERED:
        scatter_rows(tile, g.n_classes, g.inner, first, n_lanes, out)
    else:
        memcpy(out + first * g.n_classes, tile, n_lanes * g.n_classes * sizeof(real))
