/* 32 bytes: AVX2 with FMA and F16C. The functions are described in vector.h. Empty for other targets. */
#if !defined(FASTSOFTMAX_SIMD_AVX2_H) && defined(__AVX2__)
#define FASTSOFTMAX_SIMD_AVX2_H

#define VECTOR_BYTES 32
#define EXP_GROUP 2
#define TABLE_BITS_F32 3
#define TABLE_BITS_F64 0

#include <immintrin.h>

#include "simd/types.h"

#define INTERLEAVE_LOW_F32 0, 8, 1, 9, 2, 10, 3, 11
#define INTERLEAVE_HIGH_F32 4, 12, 5, 13, 6, 14, 7, 15
#define INTERLEAVE_LOW_F64 0, 4, 1, 5
#define INTERLEAVE_HIGH_F64 2, 6, 3, 7
#include "simd/unmasked.h"

/* ---- maxima ---- */

INLINE vec_f32 max_f32(vec_f32 x, vec_f32 m) { return _mm256_max_ps(x, m); }
INLINE vec_f64 max_f64(vec_f64 x, vec_f64 m) { return _mm256_max_pd(x, m); }

/* ---- chosen lanes ---- */

INLINE int any_equal_f32(vec_f32 a, vec_f32 b) { return _mm256_movemask_ps((__m256)(a == b)) != 0; }
INLINE int any_equal_f64(vec_f64 a, vec_f64 b) { return _mm256_movemask_pd((__m256d)(a == b)) != 0; }
INLINE vec_f32 where_equal_f32(vec_f32 kept, ivec_f32 a, ivec_f32 b, vec_f32 other) {
    return _mm256_blendv_ps(kept, other, (__m256)(a == b));
}
INLINE vec_f64 where_equal_f64(vec_f64 kept, ivec_f64 a, ivec_f64 b, vec_f64 other) {
    return _mm256_blendv_pd(kept, other, (__m256d)(a == b));
}
INLINE vec_f32 where_at_most_f32(vec_f32 kept, vec_f32 a, vec_f32 b, vec_f32 other) {
    return _mm256_blendv_ps(kept, other, (__m256)(a <= b));
}
INLINE vec_f64 where_at_most_f64(vec_f64 kept, vec_f64 a, vec_f64 b, vec_f64 other) {
    return _mm256_blendv_pd(kept, other, (__m256d)(a <= b));
}
INLINE uint64_t exceeds_f32(vec_f32 a, vec_f32 b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLE_UQ)); }
INLINE uint64_t exceeds_f64(vec_f64 a, vec_f64 b) { return _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_NLE_UQ)); }

/* ---- the first k lanes ---- */

INLINE __m256i first_lanes_f32(size_t k) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)k), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE __m256i first_lanes_f64(size_t k) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)k), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE vec_f32 load_part_f32(const float *p, size_t k, vec_f32 fill) {
    __m256i first = first_lanes_f32(k);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, first), (__m256)first);
}
INLINE vec_f64 load_part_f64(const double *p, size_t k, vec_f64 fill) {
    __m256i first = first_lanes_f64(k);
    return _mm256_blendv_pd(fill, _mm256_maskload_pd(p, first), (__m256d)first);
}

/* In halves, as a masked store takes 12 cycles and more on AMD's processors. */
INLINE void store_part_f32(float *p, size_t k, vec_f32 v) {
    if (k == LANES_F32) {
        memcpy(p, &v, sizeof v);
        return;
    }
    __m128 rest = _mm256_castps256_ps128(v);
    if (k & 4) {
        memcpy(p, &rest, sizeof rest);
        rest = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (k & 2) {
        memcpy(p, &rest, 8);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (k & 1) memcpy(p, &rest, 4);
}
INLINE void store_part_f64(double *p, size_t k, vec_f64 v) {
    if (k == LANES_F64) {
        memcpy(p, &v, sizeof v);
        return;
    }
    __m128d rest = _mm256_castpd256_pd128(v);
    if (k & 2) {
        memcpy(p, &rest, sizeof rest);
        rest = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (k & 1) memcpy(p, &rest, 8);
}

/* ---- conversions ---- */

INLINE vec_f64 widen_low(vec_f32 v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
INLINE vec_f64 widen_high(vec_f32 v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }
INLINE vec_f32 narrow(vec_f64 low, vec_f64 high) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low)), _mm256_cvtpd_ps(high), 1);
}
INLINE vec_f32 float_of_half(vec_u16 v) { return _mm256_cvtph_ps((__m128i)v); }
INLINE vec_u16 half_of_float(vec_f32 v) { return (vec_u16)_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT); }

/* ---- arithmetic ---- */

INLINE vec_f32 less_product_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return _mm256_fnmadd_ps(b, c, a); }
INLINE vec_f64 less_product_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return _mm256_fnmadd_pd(b, c, a); }
INLINE vec_f32 product_error_f32(vec_f32 a, vec_f32 b, vec_f32 ab) { return _mm256_fmsub_ps(a, b, ab); }
INLINE vec_f64 product_error_f64(vec_f64 a, vec_f64 b, vec_f64 ab) { return _mm256_fmsub_pd(a, b, ab); }
INLINE vec_f32 square_root_f32(vec_f32 v) { return _mm256_sqrt_ps(v); }
INLINE vec_f64 square_root_f64(vec_f64 v) { return _mm256_sqrt_pd(v); }
INLINE ivec_f32 lookup_f32(const int32_t *table, ivec_f32 n) {
    return (ivec_f32)_mm256_permutevar8x32_epi32(_mm256_load_si256((const __m256i *)table), (__m256i)n);
}

#endif
