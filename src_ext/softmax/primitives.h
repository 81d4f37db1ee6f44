/* The row and lane primitives, for float (suffix _f32) and double (_f64), from one text. */
#ifndef FASTSOFTMAX_PRIMITIVES_H
#define FASTSOFTMAX_PRIMITIVES_H

#include <Python.h>
#include <float.h>
#include <math.h>

#define UNIT_F32 0x1p40f /* UNIT_POWER of float, */
#define UNIT_F64 0x1p80  /* and of double, where it is needed under a name of its own */

#include "layout/upcoming.h"
#include "math/power.h"
#include "simd/sums.h"
#include "math/log1p.h"
#include "loss/divergence_rows.h"
#include "loss/lane_losses.h"
#include "loss/targets.h"

/* The sum of exp(x - m) over a row, times `unit`. */
typedef struct {
    double sum, sum_error; /* over all x, or over all but the maxima where these are left out; its rounding error */
    double n_max;          /* how many x attain the maximum; 0 unless they are left out of the sum */
    double unit, unit_error; /* what was stored for the maximum, and the rounding error of that */
} exp_sum;

/* 1 / temperature as two numbers whose sum is nearer to it than either dtype can be. */
static inline void slope_parts_f32(double temperature, float *slope, float *error) {
    double exact = 1 / temperature;
    *slope = exact < FLT_MAX ? (float)exact : FLT_MAX;
    *error = (float)(exact - *slope) < FLT_MAX ? (float)(exact - *slope) : 0;
}
static inline void slope_parts_f64(double temperature, double *slope, double *error) {
    *slope = 1 / temperature < DBL_MAX ? 1 / temperature : DBL_MAX;
    *error = *slope < DBL_MAX ? fma(-*slope, temperature, 1) / temperature : 0;
}

/* Where a sum with the rounder of math/exp.h is less, a term counts as 0: UNIT_EXPONENT - 2 under the smallest normal number. */
#define LOWEST_POWER_F64 (0x1.8p52 / (1 << POWER_BITS_F64) + (-1022 + 2)) /* that of double, for loss/softcap.h */
#define LOWEST_POWER (ROUNDER + (MIN_EXPONENT + 2))

#define REAL float
#define FN(name) name##_f32
#define VEC vec_f32
#define IVEC ivec_f32
#define LANES LANES_F32
#define INT_MAX_REAL INT32_MAX
#define SHIFT_ABOVE 256.0f
#define ROUNDER (0x1.8p23f / (1 << POWER_BITS_F32))
#define LOG2_E 0x1.715476p+0f
#define LN2_HIGH 0x1.62e4p-1f /* 15 bits: with whole n, n * LN2_HIGH is exact */
#define LN2_LOW 0x1.7f7d1cp-20f
#define MIN_EXPONENT -126
#define REAL_MIN_NORMAL ((double)FLT_MIN)
#define REAL_MAX FLT_MAX
#define REAL_EPSILON FLT_EPSILON
#define UNIT_EXPONENT 40
#define UNIT_POWER UNIT_F32
#define SMALL_FACTOR 0x1p-64f
#if POWER_BITS_F32 == 4
#define EXP_POLYNOMIAL(r) (0x1.55559ap-3f * r + 0x1.00021ep-1f)
#elif POWER_BITS_F32 == 3
#define EXP_POLYNOMIAL(r) ((0x1.55483ep-5f * r + 0x1.555c78p-3f) * r + 0x1p-1f)
#else
#define EXP_POLYNOMIAL(r) \
    ((((0x1.6a23ffp-10f * r + 0x1.123a02p-7f) * r + 0x1.5558f2p-5f) * r + 0x1.555492p-3f) * r + 0x1.fffffcp-2f)
#endif
#include "math/exp.h"
#include "softmax/rows.h"
#include "softmax/lanes.h"
#include "loss/dense.h"
#include "loss/lane_targets.h"
#include "loss/binary.h"
#include "loss/divergences.h"
#include "softmax/top_k.h"
#include "simd/end_real.h"

#define REAL double
#define FN(name) name##_f64
#define VEC vec_f64
#define IVEC ivec_f64
#define LANES LANES_F64
#define INT_MAX_REAL INT64_MAX
#define SHIFT_ABOVE 2048.0
#define ROUNDER (0x1.8p52 / (1 << POWER_BITS_F64))
#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HIGH 0x1.62e42feep-1 /* 32 bits: with whole n, n * LN2_HIGH is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define MIN_EXPONENT -1022
#define REAL_MIN_NORMAL DBL_MIN
#define REAL_MAX DBL_MAX
#define REAL_EPSILON DBL_EPSILON
#define UNIT_EXPONENT 80
#define UNIT_POWER UNIT_F64
#define SMALL_FACTOR 0x1p-512
#if POWER_BITS_F64 == 3
#define EXP_POLYNOMIAL(r)                                                                                        \
    ((((((0x1.9c590cd351fc5p-16 * r + 0x1.a018dd4cbffbcp-13) * r + 0x1.6c16c4d9fe659p-10) * r +                  \
        0x1.1111111328efcp-7) * r + 0x1.555555555465dp-5) * r + 0x1.5555555555540p-3) * r + 0x1p-1)
#else
#define EXP_POLYNOMIAL(r)                                                                                        \
    (((((((((0x1.ad7f5623f5103p-26 * r + 0x1.28ad87e001450p-22) * r + 0x1.71df25844f977p-19) * r +               \
          0x1.a01999f6a93d1p-16) * r + 0x1.a01a012a32359p-13) * r + 0x1.6c16c18431a25p-10) * r +                 \
       0x1.1111111127c7fp-7) * r + 0x1.555555555085cp-5) * r + 0x1.55555555554fap-3) * r + 0x1.000000000000ap-1)
#endif
#include "math/exp.h"
#include "softmax/rows.h"
#include "softmax/lanes.h"
#include "loss/dense.h"
#include "loss/lane_targets.h"
#include "loss/binary.h"
#include "loss/divergences.h"
#include "softmax/top_k.h"
#include "simd/end_real.h"

#endif
