/* tile_load and tile_store for each kind of data, and the choice among them by the kind. */
#ifndef FASTSOFTMAX_LAYOUT_KINDS_H
#define FASTSOFTMAX_LAYOUT_KINDS_H

#include "layout/geometry.h"
#include "layout/narrow.h"
#include "softmax/primitives.h"

#include "simd/float32.h"

#define DATA float
#define DATA_IS_REAL 1
#define MOVE(name) name##_f32_f32
#define LOAD_PART(p, k, fill) load_part_f32(p, k, fill)
#define STORE_PART(p, k, v) store_part_f32(p, k, v)
#include "layout/tiles.h"

#define DATA float16
#define NARROW_DATA
#define MOVE(name) name##_f16_f32
#define LOAD_PART(p, k, fill) load_part_f16(p, k, fill)
#define STORE_PART(p, k, v) store_part_f16(p, k, v)
#include "layout/tiles.h"

#define DATA bfloat16
#define NARROW_DATA
#define MOVE(name) name##_bf16_f32
#define LOAD_PART(p, k, fill) load_part_bf16(p, k, fill)
#define STORE_PART(p, k, v) store_part_bf16(p, k, v)
#include "layout/tiles.h"

#define DATA uint8_t
#define MOVE(name) name##_mask_f32
#define LOAD_PART(p, k, fill) load_part_u8_f32(p, k, fill)
#include "layout/tiles.h"

#include "simd/end_real.h"
#include "simd/float64.h"

#define DATA double
#define DATA_IS_REAL 1
#define MOVE(name) name##_f64_f64
#define LOAD_PART(p, k, fill) load_part_f64(p, k, fill)
#define STORE_PART(p, k, v) store_part_f64(p, k, v)
#include "layout/tiles.h"

#define DATA uint8_t
#define MOVE(name) name##_mask_f64
#define LOAD_PART(p, k, fill) load_part_u8_f64(p, k, fill)
#include "layout/tiles.h"

#include "simd/end_real.h"

/* Lanes first .. first + n_lanes of x, of any kind, into scratch in the form of the geometry; and back. */
static void tile_load_f32(float *tile, const Geometry *g, Kind kind, const void *x, const Steps *steps,
                          Py_ssize_t first, Py_ssize_t n_lanes) {
    if (kind == KIND_F16) tile_load_f16_f32(g, x, steps, first, n_lanes, tile);
    else if (kind == KIND_BF16) tile_load_bf16_f32(g, x, steps, first, n_lanes, tile);
    else if (kind == KIND_MASK) tile_load_mask_f32(g, x, steps, first, n_lanes, tile);
    else tile_load_f32_f32(g, x, steps, first, n_lanes, tile);
}
static void tile_load_f64(double *tile, const Geometry *g, Kind kind, const void *x, const Steps *steps,
                          Py_ssize_t first, Py_ssize_t n_lanes) {
    if (kind == KIND_MASK) tile_load_mask_f64(g, x, steps, first, n_lanes, tile);
    else tile_load_f64_f64(g, x, steps, first, n_lanes, tile);
}
static void tile_store_f32(const float *tile, const Geometry *g, Py_ssize_t first, Py_ssize_t n_lanes, void *out,
                           const Steps *steps) {
    if (g->kind == KIND_F16) tile_store_f16_f32(g, tile, first, n_lanes, out, steps);
    else if (g->kind == KIND_BF16) tile_store_bf16_f32(g, tile, first, n_lanes, out, steps);
    else tile_store_f32_f32(g, tile, first, n_lanes, out, steps);
}
static void tile_store_f64(const double *tile, const Geometry *g, Py_ssize_t first, Py_ssize_t n_lanes, void *out,
                           const Steps *steps) {
    tile_store_f64_f64(g, tile, first, n_lanes, out, steps);
}

/* The same of n values in a run that start at value number `first`. */
static void run_load_f32(Kind kind, const void *x, Py_ssize_t first, Py_ssize_t n, float *to) {
    if (kind == KIND_F16) read_run_f16_f32((const float16 *)x + first, to, n);
    else if (kind == KIND_BF16) read_run_bf16_f32((const bfloat16 *)x + first, to, n);
    else read_run_f32_f32((const float *)x + first, to, n);
}
static void run_store_f32(Kind kind, const float *from, void *out, Py_ssize_t first, Py_ssize_t n) {
    if (kind == KIND_F16) write_run_f16_f32(from, (float16 *)out + first, n);
    else if (kind == KIND_BF16) write_run_bf16_f32(from, (bfloat16 *)out + first, n);
    else write_run_f32_f32(from, (float *)out + first, n);
}
static float run_max_f32(Kind kind, const void *x, Py_ssize_t first, Py_ssize_t n, float *to) {
    if (kind == KIND_F16) return run_max_f16_f32((const float16 *)x + first, to, n);
    return run_max_bf16_f32((const bfloat16 *)x + first, to, n);
}
static void row_scale_f32(float *stage, Kind kind, void *out, Py_ssize_t first, Py_ssize_t n, double factor,
                          double error) {
    if (kind == KIND_F16) row_scale_f16_f32(stage, (float16 *)out + first, n, factor, error);
    else if (kind == KIND_BF16) row_scale_bf16_f32(stage, (bfloat16 *)out + first, n, factor, error);
    else row_scale_f32_f32(stage, (float *)out + first, n, factor, error);
}
static void row_scale_f64(double *stage, Kind kind, void *out, Py_ssize_t first, Py_ssize_t n, double factor,
                          double error) {
    (void)kind;
    row_scale_f64_f64(stage, (double *)out + first, n, factor, error);
}
static void row_log_shift_f32(const float *x, Kind kind, void *out, Py_ssize_t first, Py_ssize_t n, float m, double L,
                              double temperature) {
    if (kind == KIND_F16) row_log_shift_f16_f32(x, (float16 *)out + first, n, m, L, temperature);
    else if (kind == KIND_BF16) row_log_shift_bf16_f32(x, (bfloat16 *)out + first, n, m, L, temperature);
    else row_log_shift_f32_f32(x, (float *)out + first, n, m, L, temperature);
}
static void row_log_shift_f64(const double *x, Kind kind, void *out, Py_ssize_t first, Py_ssize_t n, double m, double L,
                              double temperature) {
    (void)kind;
    row_log_shift_f64_f64(x, (double *)out + first, n, m, L, temperature);
}

#define tile_load(tile, ...) INSTANCE(tile_load, tile)(tile, __VA_ARGS__)
#define tile_store(tile, ...) INSTANCE(tile_store, tile)(tile, __VA_ARGS__)
#define row_scale(stage, ...) INSTANCE(row_scale, stage)(stage, __VA_ARGS__)
#define row_log_shift(x, ...) INSTANCE(row_log_shift, x)(x, __VA_ARGS__)

#endif
