/* What the templates mean by REAL and the names that belong to it: double. Ended by end_real.h. */
#include <float.h>

#include "math/power.h"
#include "simd/sums.h"

#define REAL double
#define REAL_IS_DOUBLE 1
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
#define EXP_POLYNOMIAL(r)                                                                       \
    ((((((0x1.9c590cd351fc5p-16 * r + 0x1.a018dd4cbffbcp-13) * r + 0x1.6c16c4d9fe659p-10) * r + \
        0x1.1111111328efcp-7) *                                                                 \
           r +                                                                                  \
       0x1.555555555465dp-5) *                                                                  \
          r +                                                                                   \
      0x1.5555555555540p-3) *                                                                   \
         r +                                                                                    \
     0x1p-1)
#else
#define EXP_POLYNOMIAL(r)                                                                          \
    (((((((((0x1.ad7f5623f5103p-26 * r + 0x1.28ad87e001450p-22) * r + 0x1.71df25844f977p-19) * r + \
           0x1.a01999f6a93d1p-16) *                                                                \
              r +                                                                                  \
          0x1.a01a012a32359p-13) *                                                                 \
             r +                                                                                   \
         0x1.6c16c18431a25p-10) *                                                                  \
            r +                                                                                    \
        0x1.1111111127c7fp-7) *                                                                    \
           r +                                                                                     \
       0x1.555555555085cp-5) *                                                                     \
          r +                                                                                      \
      0x1.55555555554fap-3) *                                                                      \
         r +                                                                                       \
     0x1.000000000000ap-1)
#endif
