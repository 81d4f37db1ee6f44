/* The row and lane primitives, for float (suffix _f32) and double (_f64), from one text. */
#ifndef FASTSOFTMAX_PRIMITIVES_H
#define FASTSOFTMAX_PRIMITIVES_H

#include <Python.h>
#include <float.h>
#include <math.h>

#include "vec_sums.h"
#include "log1p.h"
#include "lane_losses.h"

/* The sum of exp(x - m) over a row, times `unit`. */
typedef struct {
    double sum, sum_error; /* over all x, or over all but the maxima where these are left out; its rounding error */
    double n_max;          /* how many x attain the maximum; 0 unless they are left out of the sum */
    double unit;           /* what was stored for the maximum */
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

#define UNIT_EXPONENT 32

#define REAL float
#define FN(name) name##_f32
#define VEC vec_f32
#define IVEC ivec_f32
#define LANES LANES_F32
#define INT_MAX_REAL INT32_MAX
#define SHIFT_ABOVE 256.0f
#define ROUNDER 0x1.8p23f
#define LOG2_E 0x1.715476p+0f
#define LN2_HIGH 0x1.62e4p-1f /* 15 bits: n * LN2_HIGH is exact */
#define LN2_LOW 0x1.7f7d1cp-20f
#define MIN_EXPONENT -126
#define REAL_MIN_NORMAL ((double)FLT_MIN)
#define REAL_MAX FLT_MAX
#define EXP_POLYNOMIAL(r) \
    ((((0x1.6a23ffp-10f * r + 0x1.123a02p-7f) * r + 0x1.5558f2p-5f) * r + 0x1.555492p-3f) * r + 0x1.fffffcp-2f)
#include "exp.h"
#include "rows.h"
#include "lanes.h"
#include "dense.h"
#include "lane_targets.h"
#include "binary.h"
#include "real_undef.h"

#define REAL double
#define FN(name) name##_f64
#define VEC vec_f64
#define IVEC ivec_f64
#define LANES LANES_F64
#define INT_MAX_REAL INT64_MAX
#define SHIFT_ABOVE 2048.0
#define ROUNDER 0x1.8p52
#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HIGH 0x1.62e42feep-1 /* 32 bits: n * LN2_HIGH is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define MIN_EXPONENT -1022
#define REAL_MIN_NORMAL DBL_MIN
#define REAL_MAX DBL_MAX
#define EXP_POLYNOMIAL(r)                                                                                        \
    (((((((((0x1.ad7f5623f5103p-26 * r + 0x1.28ad87e001450p-22) * r + 0x1.71df25844f977p-19) * r +               \
          0x1.a01999f6a93d1p-16) * r + 0x1.a01a012a32359p-13) * r + 0x1.6c16c18431a25p-10) * r +                 \
       0x1.1111111127c7fp-7) * r + 0x1.555555555085cp-5) * r + 0x1.55555555554fap-3) * r + 0x1.000000000000ap-1)
#include "exp.h"
#include "rows.h"
#include "lanes.h"
#include "dense.h"
#include "lane_targets.h"
#include "binary.h"
#include "real_undef.h"

#endif
