/* 16 bytes of x86-64: SSE2 and what the compiler makes of the portable functions with more. The functions are described
 * in vector.h. Empty for other targets. */
#if !defined(FASTSOFTMAX_SIMD_SSE2_H) && defined(__SSE2__)
#define FASTSOFTMAX_SIMD_SSE2_H

#define VECTOR_BYTES 16
#define EXP_GROUP 2

#include <immintrin.h>

#include "simd/portable.h"

INLINE vec_f32 max_f32(vec_f32 x, vec_f32 m) { return _mm_max_ps(x, m); }
INLINE vec_f64 max_f64(vec_f64 x, vec_f64 m) { return _mm_max_pd(x, m); }
INLINE int any_equal_f32(vec_f32 a, vec_f32 b) { return _mm_movemask_ps((__m128)(a == b)) != 0; }
INLINE int any_equal_f64(vec_f64 a, vec_f64 b) { return _mm_movemask_pd((__m128d)(a == b)) != 0; }
INLINE uint64_t exceeds_f32(vec_f32 a, vec_f32 b) { return _mm_movemask_ps(_mm_cmpnle_ps(a, b)); }
INLINE uint64_t exceeds_f64(vec_f64 a, vec_f64 b) { return _mm_movemask_pd(_mm_cmpnle_pd(a, b)); }
INLINE vec_f64 widen_low(vec_f32 v) { return _mm_cvtps_pd(v); }
INLINE vec_f64 widen_high(vec_f32 v) { return _mm_cvtps_pd(_mm_movehl_ps(v, v)); }
INLINE vec_f32 narrow(vec_f64 low, vec_f64 high) { return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high)); }
INLINE vec_f32 square_root_f32(vec_f32 v) { return _mm_sqrt_ps(v); }
INLINE vec_f64 square_root_f64(vec_f64 v) { return _mm_sqrt_pd(v); }

#endif
