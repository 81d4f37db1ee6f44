/* Template for one kind of data: that layout/tiles.h brings every value of a block to its place, whatever the form, the
 * steps and the sizes, and back without touching a byte between them. Set DATA, REAL, LANES, NAME(stem), ENCODE(number)
 * and, where the kind can be written, CAN_STORE. */

/* A number for each place, exact in every kind. */
static inline REAL NAME(number)(ptrdiff_t at) { return (REAL)((at * 37 + at / 251) % MODULUS); }

static DATA NAME(data)[AREA];
#ifdef CAN_STORE
static DATA NAME(written)[AREA];
#endif
static REAL NAME(tile)[AREA + 64];

static ptrdiff_t NAME(place)(const Geometry *g, const Steps *steps, ptrdiff_t lane, ptrdiff_t c) {
    return outer_start(steps, lane / g->inner) + lane % g->inner + c * steps->classes;
}

static void NAME(check)(Form form, ptrdiff_t n_classes, ptrdiff_t inner, ptrdiff_t n_lanes, ptrdiff_t first,
                        const Steps *steps) {
    const Geometry g = {.form = form, .n_classes = n_classes, .inner = inner, .stride = 4 * LANES};
    const int is_tile = form == TRANSPOSED || form == COLUMNS;
    const ptrdiff_t width = (n_lanes + LANES - 1) / LANES * LANES;
    for (ptrdiff_t i = 0; i < AREA; i++) NAME(data)[i] = ENCODE(NAME(number)(i));
    for (ptrdiff_t i = 0; i < AREA; i++) NAME(tile)[i] = -1;
    NAME(tile_load)(&g, NAME(data), steps, first, n_lanes, NAME(tile));
    for (ptrdiff_t lane = 0; lane < n_lanes; lane++)
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            const ptrdiff_t at = NAME(place)(&g, steps, first + lane, c);
            REQUIRE(at < AREA, "the block is larger than its area: %td", at);
            const REAL got = NAME(tile)[is_tile ? c * width + lane : lane * n_classes + c], want = NAME(number)(at);
            REQUIRE(got == want, "form %d, %td classes, inner %td, lane %td of %td, class %td: %g, not %g", form,
                    n_classes, inner, lane, n_lanes, c, (double)got, (double)want);
        }
    if (is_tile) /* lanes behind the last one hold numbers that are good to compute with */
        for (ptrdiff_t c = 0; c < n_classes; c++)
            for (ptrdiff_t lane = n_lanes; lane < width; lane++) {
                const REAL got = NAME(tile)[c * width + lane], last = NAME(tile)[c * width + n_lanes - 1];
                REQUIRE(got == (form == TRANSPOSED ? last : 0), "padding of class %td: %g", c, (double)got);
            }
#ifdef CAN_STORE
    memset(NAME(written), 0xa5, sizeof NAME(written));
    NAME(tile_store)(&g, NAME(tile), first, n_lanes, NAME(written), steps);
    for (ptrdiff_t lane = 0; lane < n_lanes; lane++)
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            const ptrdiff_t at = NAME(place)(&g, steps, first + lane, c);
            REQUIRE(memcmp(NAME(written) + at, NAME(data) + at, sizeof(DATA)) == 0,
                    "stored: form %d, %td classes, lane %td, class %td", form, n_classes, lane, c);
            memset(NAME(written) + at, 0xa5, sizeof(DATA));
        }
    const unsigned char *rest = (const unsigned char *)NAME(written);
    for (size_t i = 0; i < sizeof NAME(written); i++)
        REQUIRE(rest[i] == 0xa5, "byte %zu between the values was written: form %d, %td classes", i, form, n_classes);
#endif
}

/* The small sizes, and those around multiples of the vector. */
static ptrdiff_t NAME(to_next)(ptrdiff_t n) {
    const ptrdiff_t lane = n % LANES;
    return n < 5 || lane < 2 || lane == LANES - 1 ? 1 : LANES / 2 - 1;
}

static void NAME(check_all)(void) {
    long long n = 0;
    for (ptrdiff_t n_classes = 1; n_classes <= 4 * LANES + 1; n_classes += NAME(to_next)(n_classes))
        for (ptrdiff_t n_lanes = 1; n_lanes <= 2 * LANES + 1;
             n_lanes += n_lanes % LANES == 1 && LANES > 2 ? LANES - 2 : 1)
            for (int gap = 0; gap < 2; gap++) {
                const ptrdiff_t first = gap * 3, step = n_classes + 5 * gap;
                const Steps rows = {ONE_GROUP, 0, step, 1}, groups = {4, 4 * step + 7, step, 1};
                NAME(check)(TRANSPOSED, n_classes, 1, n_lanes, first, &rows);
                NAME(check)(TRANSPOSED, n_classes, 1, n_lanes, first, &groups);
                NAME(check)(ROWS, n_classes, 1, n_lanes, first, &rows);
                for (ptrdiff_t inner = 1; inner <= 2 * LANES + 3; inner += LANES - 1 + gap) {
                    const Steps columns = {ONE_GROUP, 0, (inner + gap) * n_classes, inner + gap};
                    const ptrdiff_t few = n_lanes < LANES ? n_lanes : LANES;
                    NAME(check)(COLUMNS, n_classes, inner, n_lanes, first, &columns);
                    NAME(check)(GATHERED, n_classes, inner, few, first, &columns);
                    n += 2;
                }
                n += 3;
            }
    printf("%s 0 0x0p+0 %lld\n", TITLE, n);
}

#undef DATA
#undef REAL
#undef LANES
#undef NAME
#undef ENCODE
#undef MODULUS
#undef TITLE
#undef CAN_STORE
