/* The row and lane primitives: one text, instantiated for float (suffix _f32) and for double (_f64), and for each the
 * macro of its name, which picks the instance by the type of its first argument. Cython calls the macros; the headers
 * that define the primitives state their arguments. */
#ifndef FASTSOFTMAX_SOFTMAX_PRIMITIVES_H
#define FASTSOFTMAX_SOFTMAX_PRIMITIVES_H

#include <Python.h>

#include "loss/targets.h"

#include "simd/float32.h"
#include "softmax/templates.h"
#include "simd/end_real.h"

#include "simd/float64.h"
#include "softmax/templates.h"
#include "simd/end_real.h"

#define INSTANCE(name, p) \
    _Generic((p), float *: name##_f32, const float *: name##_f32, double *: name##_f64, const double *: name##_f64)

/* softmax/rows.h */
#define row_max(x, ...) INSTANCE(row_max, x)(x, __VA_ARGS__)
#define row_exp_sum(x, ...) INSTANCE(row_exp_sum, x)(x, __VA_ARGS__)
#define row_shrink(stage, ...) INSTANCE(row_shrink, stage)(stage, __VA_ARGS__)
#define row_dot(a, ...) INSTANCE(row_dot, a)(a, __VA_ARGS__)
#define row_softmax_backward(g, ...) INSTANCE(row_softmax_backward, g)(g, __VA_ARGS__)
#define row_log_softmax_backward(g, ...) INSTANCE(row_log_softmax_backward, g)(g, __VA_ARGS__)

/* softmax/lanes.h */
#define lanes_max(tile, ...) INSTANCE(lanes_max, tile)(tile, __VA_ARGS__)
#define lanes_exp_sum(tile, ...) INSTANCE(lanes_exp_sum, tile)(tile, __VA_ARGS__)
#define lanes_scale(tile, ...) INSTANCE(lanes_scale, tile)(tile, __VA_ARGS__)
#define lanes_log_shift(tile, ...) INSTANCE(lanes_log_shift, tile)(tile, __VA_ARGS__)

/* softmax/top_k.h */
#define row_top(x, ...) INSTANCE(row_top, x)(x, __VA_ARGS__)

/* loss/dense.h */
#define row_target_gap(t, ...) INSTANCE(row_target_gap, t)(t, __VA_ARGS__)
#define row_target(y, ...) INSTANCE(row_target, y)(y, __VA_ARGS__)
#define row_combine(stage, ...) INSTANCE(row_combine, stage)(stage, __VA_ARGS__)
#define row_mask(x, ...) INSTANCE(row_mask, x)(x, __VA_ARGS__)
#define row_copy_masked(x, ...) INSTANCE(row_copy_masked, x)(x, __VA_ARGS__)
#define lanes_mask(tile, ...) INSTANCE(lanes_mask, tile)(tile, __VA_ARGS__)
#define lanes_target(t, ...) INSTANCE(lanes_target, t)(t, __VA_ARGS__)
#define lanes_target_gap(tile, ...) INSTANCE(lanes_target_gap, tile)(tile, __VA_ARGS__)
#define lanes_combine(tile, ...) INSTANCE(lanes_combine, tile)(tile, __VA_ARGS__)

/* loss/lane_targets.h */
#define lanes_pick(tile, ...) INSTANCE(lanes_pick, tile)(tile, __VA_ARGS__)
#define lanes_place(tile, ...) INSTANCE(lanes_place, tile)(tile, __VA_ARGS__)
#define lanes_entries(term, ...) INSTANCE(lanes_entries, term)(term, __VA_ARGS__)
#define lanes_widen(m, ...) INSTANCE(lanes_widen, m)(m, __VA_ARGS__)

/* loss/binary.h */
#define sigmoid_run(x, ...) INSTANCE(sigmoid_run, x)(x, __VA_ARGS__)
#define binary_run(x, ...) INSTANCE(binary_run, x)(x, __VA_ARGS__)

/* loss/entropy.h */
#define row_exp_moment(x, ...) INSTANCE(row_exp_moment, x)(x, __VA_ARGS__)
#define row_entropy_slope(x, ...) INSTANCE(row_entropy_slope, x)(x, __VA_ARGS__)
#define lanes_exp_moment(tile, ...) INSTANCE(lanes_exp_moment, tile)(tile, __VA_ARGS__)
#define lanes_entropy_slope(tile, ...) INSTANCE(lanes_entropy_slope, tile)(tile, __VA_ARGS__)

/* loss/kl_divergence.h */
#define row_divergence(zp, ...) INSTANCE(row_divergence, zp)(zp, __VA_ARGS__)
#define row_divergence_slopes(zp, ...) INSTANCE(row_divergence_slopes, zp)(zp, __VA_ARGS__)
#define lanes_divergence(zp, ...) INSTANCE(lanes_divergence, zp)(zp, __VA_ARGS__)
#define lanes_divergence_slopes(zp, ...) INSTANCE(lanes_divergence_slopes, zp)(zp, __VA_ARGS__)
#define wide_divergence(zp, ...) INSTANCE(wide_divergence, zp)(zp, __VA_ARGS__)
#define wide_slopes(zp, ...) INSTANCE(wide_slopes, zp)(zp, __VA_ARGS__)

#endif
