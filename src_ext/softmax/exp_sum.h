/* The sum of the exponentials of a row, and the factor of a temperature. */
#ifndef FASTSOFTMAX_SOFTMAX_EXP_SUM_H
#define FASTSOFTMAX_SOFTMAX_EXP_SUM_H

#include <float.h>
#include <math.h>

/* The sum of exp(x - m) over a row, times `unit`. */
typedef struct {
    double sum, sum_error;   /* over all x, or over all but the maxima where these are left out; its rounding error */
    double n_max;            /* how many x attain the maximum; 0 unless they are left out of the sum */
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

#endif
