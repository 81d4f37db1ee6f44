/* What the templates mean by REAL and the names that belong to it: float. Ended by end_real.h. */
#include <float.h>

#include "math/power.h"
#include "simd/sums.h"

#define REAL float
#define REAL_IS_DOUBLE 0
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
