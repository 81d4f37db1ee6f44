# How a block (outer, n_classes, inner) is divided into pieces of work.

cdef enum:
    # A transposed tile is up to 4 vectors wide, which hides latency, as long as all of them have at most 40 classes.
    TRANSPOSED_GROUPS = 4
    TRANSPOSED_CLASSES = 40
    # Up to 4 rows are computed in step, as many as stay in the nearest cache: 4096 values.
    ROW_GROUP = 4
    GROUP_CLASSES = 4096
    # A tile of columns fits the second cache: at most 4096 classes, and 2**18 bytes, but 4 to 16 vectors of lanes.
    TILE_CLASSES = 4096
    TILE_BYTES = 1 << 18
    NARROWEST = 4
    WIDEST = 16
    # A tile, the piece it came from, where it goes, and both of the next one stay in the nearest cache up to so many
    # bytes of each.
    NEAR_BYTES = 4096
    # A block of rows has about so many values: enough work to be worth a call.
    BLOCK_ELEMENTS = 1 << 14


cdef void plan_blocks(Geometry *g, Py_ssize_t outer, Py_ssize_t n_classes, Py_ssize_t inner, Kind kind,
                      bint has_tiles) noexcept nogil:
    """Choose the form from the shape alone; some options have no form as a tile."""
    cdef Py_ssize_t lanes = LANES_F64 if kind == KIND_F64 else LANES_F32
    g.outer, g.n_classes, g.inner, g.kind = outer, n_classes, inner, kind
    g.item_bytes = 8 if kind == KIND_F64 else 4
    g.data_bytes = 2 if kind == KIND_F16 or kind == KIND_BF16 else g.item_bytes
    g.n_lanes = outer * inner
    g.stride = lanes
    if inner == 1 and has_tiles and n_classes <= FEW_CLASSES:
        g.form = TRANSPOSED
        g.stride = lanes * max(1, min(TRANSPOSED_GROUPS, TRANSPOSED_CLASSES // n_classes))
    elif inner == 1:
        g.form = ROWS
        g.stride = max(1, min(ROW_GROUP, GROUP_CLASSES // n_classes)) if has_tiles else 1
    elif has_tiles and n_classes <= TILE_CLASSES:
        g.form = COLUMNS
        g.stride = lanes * max(NARROWEST, min(WIDEST, TILE_BYTES // (n_classes * lanes * g.item_bytes)))
    else:
        g.form = GATHERED
    if g.n_lanes <= g.stride:           # one piece: nothing to divide
        g.per_block, g.n_blocks = g.stride, 1 if g.n_lanes > 0 else 0
        return
    g.per_block = g.stride * max(1, BLOCK_ELEMENTS // (n_classes * g.stride))
    g.n_blocks = (g.n_lanes + g.per_block - 1) // g.per_block


cdef inline Py_ssize_t width_of(const Geometry *g, Py_ssize_t n_lanes) noexcept nogil:
    """Return how wide a tile of n_lanes is: whole vectors."""
    return round_up(n_lanes, LANES_F64 if g.item_bytes == 8 else LANES_F32)


cdef inline bint is_tile(const Geometry *g) noexcept nogil:
    """Whether lanes lie side by side in scratch; else rows are computed one by one."""
    return g.form == TRANSPOSED or g.form == COLUMNS


cdef inline bint in_place(const Geometry *g) noexcept nogil:
    """Whether rows are computed where they lie, without scratch."""
    return g.form == ROWS and g.kind <= KIND_F64


cdef inline Py_ssize_t n_pieces(const Geometry *g, Py_ssize_t block) noexcept nogil:
    """Return how many tiles, or gathered groups of rows, a block has."""
    cdef Py_ssize_t n_lanes = min(g.n_lanes - block * g.per_block, g.per_block)
    return 1 if n_lanes <= g.stride else (n_lanes + g.stride - 1) // g.stride


cdef inline Py_ssize_t first_lane(const Geometry *g, Py_ssize_t block, Py_ssize_t piece) noexcept nogil:
    return block * g.per_block + piece * g.stride


cdef inline char *row_at(const Geometry *g, const void *x, const Steps *steps, Py_ssize_t row) noexcept nogil:
    """Return where a row starts, inner being 1."""
    return <char *>x + outer_start(steps, row) * g.data_bytes


cdef inline char *run_after(const Geometry *g, const void *x, const Steps *steps, Py_ssize_t first) noexcept nogil:
    """Return where the piece after the one at `first` lies, if that is one run, or a row for each row; else NULL."""
    if x == NULL or g.inner != 1 or (g.form == TRANSPOSED and steps.outer != g.n_classes):
        return NULL
    return row_at(g, x, steps, first + g.stride)


cdef inline Upcoming next_piece(const Geometry *g, const void *x, const Steps *x_steps, void *out,
                                const Steps *out_steps, Py_ssize_t first) noexcept nogil:
    """Return what to fetch for the piece after the one at `first`."""
    cdef Upcoming ahead
    ahead.item_bytes, ahead.targets = g.data_bytes, NULL
    ahead.read, ahead.write = run_after(g, x, x_steps, first), run_after(g, out, out_steps, first)
    ahead.is_large = ahead.write != NULL and g.form == TRANSPOSED and scratch_bytes(g) > NEAR_BYTES
    return ahead


cdef inline Upcoming nothing_ahead() noexcept nogil:
    cdef Upcoming ahead
    ahead.read = ahead.targets = ahead.write = NULL
    ahead.item_bytes = ahead.is_large = 0
    return ahead


cdef inline Py_ssize_t scratch_bytes(const Geometry *g) noexcept nogil:
    return round_up(g.n_classes * g.stride * g.item_bytes, CACHE_LINE)


cdef inline Py_ssize_t tile_bytes(const Geometry *g) noexcept nogil:
    """Return the bytes of a tile (or of rows in scratch) with the arrays of its lanes behind it."""
    return scratch_bytes(g) + LANE_ARRAYS * lane_array_bytes(g)


# What lies behind a tile for softmax: an array of lanes each.
cdef struct SoftmaxLanes:
    void *max                   # of the computing dtype
    LaneSums sums


cdef inline char *behind_values(const Geometry *g, const void *scratch) noexcept nogil:
    """Return where the arrays of lanes lie, behind the values of a tile."""
    return <char *>scratch + scratch_bytes(g)
