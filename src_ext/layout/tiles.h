/* Template for one DATA in memory and the REAL that it is computed in: between memory and scratch. Included by
 * layout/kinds.h, with LOAD_PART and, unless the data are read alone, STORE_PART; NARROW_DATA where they are of 16
 * bits, DATA_IS_REAL where they are what is computed in.
 *
 * A tile holds n_classes rows of `stride` lanes (a multiple of LANES): one lane is one row of the softmax. Few
 * classes are transposed into tiles so that the vectors are full; other axes than the last lie like this already
 * and are copied in short runs. Conversions happen on the way; nothing else is computed here. */
#include "layout/geometry.h"
#include "layout/narrow.h"
#include "layout/upcoming.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "softmax/rows.h"
#define DATA float
#define DATA_IS_REAL 1
#define MOVE(name) name##_f32_f32
#define LOAD_PART(p, k, fill) load_part_f32(p, k, fill)
#define STORE_PART(p, k, v) store_part_f32(p, k, v)
#endif

/* A run of values. */
INLINE void MOVE(read_run)(const DATA *x, REAL *to, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) FN(store)(to + i, LOAD_PART(x + i, LANES, (VEC){0}));
    if (i < n) FN(store_part)(to + i, n - i, LOAD_PART(x + i, n - i, (VEC){0}));
}

#ifdef NARROW_DATA
/* A run of values, and the largest of them; NaNs are passed over. */
static REAL MOVE(run_max)(const DATA *x, REAL *to, ptrdiff_t n) {
    const VEC lowest = FN(all)(-INFINITY);
    VEC m0 = lowest, m1 = lowest;
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        VEC v0 = LOAD_PART(x + i, LANES, lowest), v1 = LOAD_PART(x + i + LANES, LANES, lowest);
        FN(store)(to + i, v0);
        FN(store)(to + i + LANES, v1);
        m0 = FN(max)(v0, m0);
        m1 = FN(max)(v1, m1);
    }
    for (; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        VEC v = LOAD_PART(x + i, k, lowest);
        FN(store_part)(to + i, k, v);
        m0 = FN(max)(v, m0);
    }
    return FN(max_of_lanes)(FN(max)(m0, m1));
}
#endif

#if HAS_PERMUTATIONS
/* Very few classes: LANES whole rows are n_classes vectors, and each class collects its lanes from all of them. */
enum { MOVE(VERY_FEW) = 4 };

static void MOVE(transpose_few_in)(const DATA *x, ptrdiff_t n_classes, REAL *tile, ptrdiff_t stride) {
    VEC v[MOVE(VERY_FEW)];
    for (int s = 0; s < n_classes; s++) v[s] = LOAD_PART(x + s * LANES, LANES, (VEC){0});
    for (int c = 0; c < n_classes; c++) {
        const IVEC place = FN(lane_numbers)() * (int)n_classes + c;
        VEC lanes = {0};
        for (int s = 0; s < n_classes; s++) lanes = FN(permuted)(lanes, place / LANES == s, place % LANES, v[s]);
        FN(store)(tile + c * stride, lanes);
    }
}
#endif

/* Transpose up to LANES rows of n_classes, `step` apart, into lanes of a tile; absent rows
 * become copies of the last. */
static void MOVE(transpose_in)(const DATA *x, ptrdiff_t step, ptrdiff_t n_classes, ptrdiff_t n_rows, REAL *tile,
                               ptrdiff_t stride) {
#if HAS_PERMUTATIONS
    if (n_classes <= MOVE(VERY_FEW) && n_rows >= LANES && step == n_classes) {
        MOVE(transpose_few_in)(x, n_classes, tile, stride);
        return;
    }
#endif
#if DATA_IS_REAL
    if (n_rows == 1) {
        for (ptrdiff_t c = 0; c < n_classes; c++) FN(store)(tile + c * stride, FN(all)(x[c]));
        return;
    }
#endif
    for (ptrdiff_t c = 0; c < n_classes; c += LANES) {
        ptrdiff_t k = n_classes - c < LANES ? n_classes - c : LANES;
        VEC r[LANES];
        for (int i = 0; i < LANES; i++) {
            ptrdiff_t row = i < n_rows ? i : n_rows - 1;
            r[i] = LOAD_PART(x + row * step + c, k, (VEC){0});
        }
        FN(transpose)(r);
        for (int i = 0; i < k; i++) FN(store)(tile + (c + i) * stride, r[i]);
    }
}

/* Rows of several groups are brought together before they are transposed. */
static NOINLINE void MOVE(transpose_groups_in)(const DATA *x, const Steps *steps, ptrdiff_t n_classes, ptrdiff_t first,
                                               ptrdiff_t n_lanes, REAL *tile, ptrdiff_t stride) {
    DATA together[LANES * FEW_CLASSES];
    for (ptrdiff_t lane = 0; lane < n_lanes; lane += LANES) {
        const ptrdiff_t n_rows = n_lanes - lane < LANES ? n_lanes - lane : LANES;
        for (ptrdiff_t i = 0; i < n_rows; i++)
            memcpy(together + i * n_classes, x + outer_start(steps, first + lane + i), n_classes * sizeof(DATA));
        MOVE(transpose_in)(together, n_classes, n_classes, n_rows, tile + lane, stride);
    }
}

/* Where a run of lanes with the same outer index starts for class 0, and how long it is, at most `limit`. */
INLINE ptrdiff_t MOVE(run_of)(const Steps *steps, ptrdiff_t inner, ptrdiff_t lane, ptrdiff_t limit,
                              ptrdiff_t *run /* OUT */) {
    ptrdiff_t outer = lane / inner, at = lane % inner;
    *run = inner - at < limit ? inner - at : limit;
    return outer_start(steps, outer) + at;
}

/* Copy lanes first .. first + n_lanes of a block (outer, n_classes, inner) into a tile, or back. */
static void MOVE(copy_in)(const DATA *x, const Steps *steps, ptrdiff_t n_classes, ptrdiff_t inner, ptrdiff_t first,
                          ptrdiff_t n_lanes, REAL *tile, ptrdiff_t stride) {
    const ptrdiff_t step = steps->classes;
    for (ptrdiff_t lane = 0, run; lane < n_lanes; lane += run) {
        const DATA *from = x + MOVE(run_of)(steps, inner, first + lane, n_lanes - lane, &run);
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            for (ptrdiff_t i = 0; i < run; i += CACHE_LINE_BYTES / (ptrdiff_t)sizeof(DATA))
                PREFETCH(from + (c + CLASSES_AHEAD) * step + i);
            MOVE(read_run)(from + c * step, tile + c * stride + lane, run);
        }
    }
    for (ptrdiff_t lane = n_lanes; lane < stride; lane++)
        for (ptrdiff_t c = 0; c < n_classes; c++) tile[c * stride + lane] = 0;
}

/* Transpose lanes first .. first + n_lanes (at most LANES) of a block into rows of n_classes, or back: what has no
 * tile form is computed row by row. */
static void MOVE(gather_rows)(const DATA *x, const Steps *steps, ptrdiff_t n_classes, ptrdiff_t inner, ptrdiff_t first,
                              ptrdiff_t n_lanes, REAL *rows) {
    for (ptrdiff_t lane = 0, run; lane < n_lanes; lane += run) {
        const DATA *from = x + MOVE(run_of)(steps, inner, first + lane, n_lanes - lane, &run);
        for (ptrdiff_t c = 0; c < n_classes; c += LANES) {
            ptrdiff_t k = n_classes - c < LANES ? n_classes - c : LANES;
            VEC r[LANES];
            for (int i = 0; i < LANES; i++)
                r[i] = i < k ? LOAD_PART(from + (c + i) * steps->classes, run, (VEC){0}) : (VEC){0};
            FN(transpose)(r);
            for (int i = 0; i < LANES; i++)
                if (i < run) FN(store_part)(rows + (lane + i) * n_classes + c, k, r[i]);
        }
    }
}

#ifdef STORE_PART
INLINE void MOVE(write_run)(const REAL *from, DATA *out, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) STORE_PART(out + i, LANES, FN(load)(from + i));
    if (i < n) STORE_PART(out + i, n - i, FN(load_part)(from + i, n - i, (VEC){0}));
}

INLINE void MOVE(scale_body)(const REAL *stage, DATA *out, ptrdiff_t n, REAL factor, REAL error, REAL least) {
    const FN(factor) f = FN(factor_of)(FN(all)(factor), FN(all)(error), FN(all)(least));
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        VEC v0 = FN(scaled)(FN(load)(stage + i), &f);
        VEC v1 = FN(scaled)(FN(load)(stage + i + LANES), &f);
        STORE_PART(out + i, LANES, v0);
        STORE_PART(out + i + LANES, LANES, v1);
    }
    for (; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        STORE_PART(out + i, k, FN(scaled)(FN(load_part)(stage + i, k, f.value), &f));
    }
}

/* out = (x - m) / temperature - L. Both terms are <= 0: nothing cancels. out may be x. */
static void MOVE(row_log_shift)(const REAL *x, DATA *out, ptrdiff_t n, REAL m, double L, double temperature) {
    const VEC max = FN(all)(m), log_sum = FN(all)((REAL)L), size = FN(size_beside)(max);
    const VEC divisor = FN(all)((REAL)temperature) * size;
    const int with_temperature = temperature != 1.0;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        ptrdiff_t k = n - i < LANES ? n - i : LANES;
        const VEC v = k == LANES ? FN(load)(x + i) : FN(load_part)(x + i, k, max);
        STORE_PART(out + i, k, (with_temperature ? (v * size - max * size) / divisor : v - max) - log_sum);
    }
}

/* out = stage * (factor + error) for stage >= 0, with one rounding; out may be stage. */
static void MOVE(row_scale)(REAL *stage, DATA *out, ptrdiff_t n, double factor, double error) {
    FN(shrink_for)(stage, n, &factor, &error);
    const REAL rounded = (REAL)factor;
    MOVE(scale_body)(stage, out, n, rounded, FN(factor_error)(factor - rounded + error), FN(lowest_factor)(factor));
}

#if HAS_PERMUTATIONS
static void MOVE(transpose_few_out)(const REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes, DATA *out) {
    VEC v[MOVE(VERY_FEW)];
    for (int c = 0; c < n_classes; c++) v[c] = FN(load)(tile + c * stride);
    for (int s = 0; s < n_classes; s++) {
        const IVEC place = FN(lane_numbers)() + s * LANES;
        const VEC quotient = (__builtin_convertvector(place, VEC) + (REAL)0.5) / (REAL)n_classes;
        const IVEC row = __builtin_convertvector(quotient, IVEC);
        VEC values = {0};
        for (int c = 0; c < n_classes; c++) values = FN(permuted)(values, place - row * (int)n_classes == c, row, v[c]);
        STORE_PART(out + s * LANES, LANES, values);
    }
}
#endif

/* Transpose lanes of a tile back into up to LANES rows, `step` apart. */
static void MOVE(transpose_out)(const REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes, ptrdiff_t n_rows, DATA *out,
                                ptrdiff_t step) {
#if HAS_PERMUTATIONS
    if (n_classes <= MOVE(VERY_FEW) && n_rows >= LANES && step == n_classes) {
        MOVE(transpose_few_out)(tile, stride, n_classes, out);
        return;
    }
#endif
#if DATA_IS_REAL
    if (n_rows == 1) {
        for (ptrdiff_t c = 0; c < n_classes; c++) out[c] = tile[c * stride];
        return;
    }
#endif
    for (ptrdiff_t c = 0; c < n_classes; c += LANES) {
        ptrdiff_t k = n_classes - c < LANES ? n_classes - c : LANES;
        VEC r[LANES];
        for (int i = 0; i < LANES; i++) r[i] = i < k ? FN(load)(tile + (c + i) * stride) : (VEC){0};
        FN(transpose)(r);
        for (int i = 0; i < LANES; i++)
            if (i < n_rows) STORE_PART(out + i * step + c, k, r[i]);
    }
}

static NOINLINE void MOVE(transpose_groups_out)(const REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes,
                                                ptrdiff_t first, ptrdiff_t n_lanes, DATA *out, const Steps *steps) {
    DATA together[LANES * FEW_CLASSES];
    for (ptrdiff_t lane = 0; lane < n_lanes; lane += LANES) {
        const ptrdiff_t n_rows = n_lanes - lane < LANES ? n_lanes - lane : LANES;
        MOVE(transpose_out)(tile + lane, stride, n_classes, n_rows, together, n_classes);
        for (ptrdiff_t i = 0; i < n_rows; i++)
            memcpy(out + outer_start(steps, first + lane + i), together + i * n_classes, n_classes * sizeof(DATA));
    }
}

static void MOVE(copy_out)(const REAL *tile, ptrdiff_t stride, ptrdiff_t n_classes, ptrdiff_t inner, ptrdiff_t first,
                           ptrdiff_t n_lanes, DATA *out, const Steps *steps) {
    const ptrdiff_t step = steps->classes;
    for (ptrdiff_t lane = 0, run; lane < n_lanes; lane += run) {
        DATA *to = out + MOVE(run_of)(steps, inner, first + lane, n_lanes - lane, &run);
        for (ptrdiff_t c = 0; c < n_classes; c++) {
            for (ptrdiff_t i = 0; i < run; i += CACHE_LINE_BYTES / (ptrdiff_t)sizeof(DATA))
                PREFETCH_TO_WRITE(to + (c + CLASSES_AHEAD) * step + i);
            MOVE(write_run)(tile + c * stride + lane, to + c * step, run);
        }
    }
}

static void MOVE(scatter_rows)(const REAL *rows, ptrdiff_t n_classes, ptrdiff_t inner, ptrdiff_t first,
                               ptrdiff_t n_lanes, DATA *out, const Steps *steps) {
    for (ptrdiff_t lane = 0, run; lane < n_lanes; lane += run) {
        DATA *to = out + MOVE(run_of)(steps, inner, first + lane, n_lanes - lane, &run);
        for (ptrdiff_t c = 0; c < n_classes; c += LANES) {
            ptrdiff_t k = n_classes - c < LANES ? n_classes - c : LANES;
            VEC r[LANES];
            for (int i = 0; i < LANES; i++)
                r[i] = i < run ? FN(load_part)(rows + (lane + i) * n_classes + c, k, (VEC){0}) : (VEC){0};
            FN(transpose)(r);
            for (int i = 0; i < LANES; i++)
                if (i < k) STORE_PART(to + (c + i) * steps->classes, run, r[i]);
        }
    }
}
#endif

/* Lanes first .. first + n_lanes of a block, at most `stride`, into scratch in the form of the geometry, or back.
 * The tile is as wide as `width_of` says. */
static void MOVE(tile_load)(const Geometry *g, const DATA *x, const Steps *steps, ptrdiff_t first, ptrdiff_t n_lanes,
                            REAL *tile) {
    const ptrdiff_t n = g->n_classes, width = (n_lanes + LANES - 1) / LANES * LANES;
    if (g->form == TRANSPOSED && in_one_group(steps, first, n_lanes)) {
        const DATA *from = x + outer_start(steps, first);
        const ptrdiff_t step = steps->outer;
        for (ptrdiff_t lane = 0; lane < n_lanes; lane += LANES)
            MOVE(transpose_in)(from + lane * step, step, n, n_lanes - lane, tile + lane, width);
    } else if (g->form == TRANSPOSED) MOVE(transpose_groups_in)(x, steps, n, first, n_lanes, tile, width);
    else if (g->form == COLUMNS) MOVE(copy_in)(x, steps, n, g->inner, first, n_lanes, tile, width);
    else if (g->form == GATHERED) MOVE(gather_rows)(x, steps, n, g->inner, first, n_lanes, tile);
    else
        for (ptrdiff_t lane = 0; lane < n_lanes; lane++)
            MOVE(read_run)(x + outer_start(steps, first + lane), tile + lane * n, n);
}

#ifdef STORE_PART
static void MOVE(tile_store)(const Geometry *g, const REAL *tile, ptrdiff_t first, ptrdiff_t n_lanes, DATA *out,
                             const Steps *steps) {
    const ptrdiff_t n = g->n_classes, width = (n_lanes + LANES - 1) / LANES * LANES;
    if (g->form == TRANSPOSED && in_one_group(steps, first, n_lanes)) {
        DATA *to = out + outer_start(steps, first);
        const ptrdiff_t step = steps->outer;
        for (ptrdiff_t lane = 0; lane < n_lanes; lane += LANES)
            MOVE(transpose_out)(tile + lane, width, n, n_lanes - lane, to + lane * step, step);
    } else if (g->form == TRANSPOSED) MOVE(transpose_groups_out)(tile, width, n, first, n_lanes, out, steps);
    else if (g->form == COLUMNS) MOVE(copy_out)(tile, width, n, g->inner, first, n_lanes, out, steps);
    else if (g->form == GATHERED) MOVE(scatter_rows)(tile, n, g->inner, first, n_lanes, out, steps);
    else
        for (ptrdiff_t lane = 0; lane < n_lanes; lane++)
            MOVE(write_run)(tile + lane * n, out + outer_start(steps, first + lane), n);
}
#endif

#undef DATA
#undef DATA_IS_REAL
#undef MOVE
#undef LOAD_PART
#undef STORE_PART
#undef NARROW_DATA
