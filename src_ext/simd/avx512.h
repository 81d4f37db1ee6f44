/* 64 bytes: AVX-512 with F, BW, DQ and VL. vector.h describes the functions. Empty for other targets. */
#if !defined(FASTSOFTMAX_SIMD_AVX512_H) && defined(__AVX512F__)
#define FASTSOFTMAX_SIMD_AVX512_H

#define VECTOR_BYTES 64
#define EXP_GROUP 4
#define TABLE_BITS_F32 4
#define TABLE_BITS_F64 3
#define HAS_PERMUTATIONS 1

#include <immintrin.h>

#include "simd/types.h"

INLINE vec_f32 max_f32(vec_f32 x, vec_f32 m) { return _mm512_max_ps(x, m); }
INLINE vec_f64 max_f64(vec_f64 x, vec_f64 m) { return _mm512_max_pd(x, m); }
INLINE float max_of_lanes_f32(vec_f32 v) { return _mm512_reduce_max_ps(v); }
INLINE double max_of_lanes_f64(vec_f64 v) { return _mm512_reduce_max_pd(v); }
INLINE vec_f32 zero_less_f32(vec_f32 v, vec_f32 a, vec_f32 b) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), v);
}
INLINE vec_f64 zero_less_f64(vec_f64 v, vec_f64 a, vec_f64 b) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a, b, _CMP_NLT_UQ), v);
}
INLINE vec_f32 zero_equal_f32(vec_f32 v, vec_f32 a, vec_f32 b) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ), v);
}
INLINE vec_f64 zero_equal_f64(vec_f64 v, vec_f64 a, vec_f64 b) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ), v);
}
INLINE ivec_f32 count_equal_f32(ivec_f32 n, vec_f32 a, vec_f32 b) {
    __mmask16 equal = _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
    return (ivec_f32)_mm512_mask_add_epi32((__m512i)n, equal, (__m512i)n, _mm512_set1_epi32(1));
}
INLINE ivec_f64 count_equal_f64(ivec_f64 n, vec_f64 a, vec_f64 b) {
    __mmask8 equal = _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
    return (ivec_f64)_mm512_mask_add_epi64((__m512i)n, equal, (__m512i)n, _mm512_set1_epi64(1));
}
INLINE vec_f32 product_from_f32(vec_f32 least, vec_f32 v, vec_f32 e) {
    return _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(v, least, _CMP_NLT_UQ), v, e);
}
INLINE vec_f64 product_from_f64(vec_f64 least, vec_f64 v, vec_f64 e) {
    return _mm512_maskz_mul_pd(_mm512_cmp_pd_mask(v, least, _CMP_NLT_UQ), v, e);
}
INLINE int any_equal_f32(vec_f32 a, vec_f32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ) != 0; }
INLINE int any_equal_f64(vec_f64 a, vec_f64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ) != 0; }
INLINE vec_f32 load_part_f32(const float *p, size_t k, vec_f32 fill) {
    return _mm512_mask_loadu_ps(fill, (__mmask16)((1u << k) - 1), p);
}
INLINE vec_f64 load_part_f64(const double *p, size_t k, vec_f64 fill) {
    return _mm512_mask_loadu_pd(fill, (__mmask8)((1u << k) - 1), p);
}
INLINE void store_part_f32(float *p, size_t k, vec_f32 v) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << k) - 1), v); }
INLINE void store_part_f64(double *p, size_t k, vec_f64 v) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << k) - 1), v); }
INLINE vec_f64 widen_low(vec_f32 v) { return _mm512_cvtps_pd(_mm512_castps512_ps256(v)); }
INLINE vec_f64 widen_high(vec_f32 v) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)); }
INLINE vec_f32 narrow(vec_f64 low, vec_f64 high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}
INLINE vec_f32 less_product_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return _mm512_fnmadd_ps(b, c, a); }
INLINE vec_f64 less_product_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return _mm512_fnmadd_pd(b, c, a); }
INLINE vec_f32 product_error_f32(vec_f32 a, vec_f32 b, vec_f32 ab) { return _mm512_fmsub_ps(a, b, ab); }
INLINE vec_f64 product_error_f64(vec_f64 a, vec_f64 b, vec_f64 ab) { return _mm512_fmsub_pd(a, b, ab); }
INLINE vec_f32 where_equal_f32(vec_f32 kept, ivec_f32 a, ivec_f32 b, vec_f32 other) {
    return _mm512_mask_mov_ps(kept, _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b), other);
}
INLINE vec_f64 where_equal_f64(vec_f64 kept, ivec_f64 a, ivec_f64 b, vec_f64 other) {
    return _mm512_mask_mov_pd(kept, _mm512_cmpeq_epi64_mask((__m512i)a, (__m512i)b), other);
}
INLINE vec_f32 where_at_most_f32(vec_f32 kept, vec_f32 a, vec_f32 b, vec_f32 other) {
    return _mm512_mask_mov_ps(kept, _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), other);
}
INLINE vec_f64 where_at_most_f64(vec_f64 kept, vec_f64 a, vec_f64 b, vec_f64 other) {
    return _mm512_mask_mov_pd(kept, _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), other);
}
INLINE uint64_t exceeds_f32(vec_f32 a, vec_f32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
INLINE uint64_t exceeds_f64(vec_f64 a, vec_f64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLE_UQ); }
INLINE vec_f32 permuted_f32(vec_f32 kept, ivec_f32 chosen, ivec_f32 order, vec_f32 v) {
    return _mm512_mask_permutexvar_ps(kept, _mm512_movepi32_mask((__m512i)chosen), (__m512i)order, v);
}
INLINE vec_f64 permuted_f64(vec_f64 kept, ivec_f64 chosen, ivec_f64 order, vec_f64 v) {
    return _mm512_mask_permutexvar_pd(kept, _mm512_movepi64_mask((__m512i)chosen), (__m512i)order, v);
}
INLINE ivec_f32 lane_numbers_f32(void) { return (ivec_f32){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }
INLINE ivec_f64 lane_numbers_f64(void) { return (ivec_f64){0, 1, 2, 3, 4, 5, 6, 7}; }
INLINE vec_f32 float_of_half(vec_u16 v) { return _mm512_cvtph_ps((__m256i)v); }
INLINE vec_u16 half_of_float(vec_f32 v) {
    return (vec_u16)_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vec_f32 times_1p_f32(vec_f32 power, vec_f32 p, vec_f32 t, vec_f32 lowest) {
    return _mm512_maskz_fmadd_ps(_mm512_cmp_ps_mask(t, lowest, _CMP_NLT_UQ), power, p, power);
}
INLINE vec_f64 times_1p_f64(vec_f64 power, vec_f64 p, vec_f64 t, vec_f64 lowest) {
    return _mm512_maskz_fmadd_pd(_mm512_cmp_pd_mask(t, lowest, _CMP_NLT_UQ), power, p, power);
}

INLINE ivec_f32 lookup_f32(const int32_t *table, ivec_f32 n) {
    return (ivec_f32)_mm512_permutexvar_epi32((__m512i)n, _mm512_load_si512(table));
}
INLINE ivec_f64 lookup_f64(const int64_t *table, ivec_f64 n) {
    return (ivec_f64)_mm512_permutexvar_epi64((__m512i)n, _mm512_load_si512(table));
}
INLINE vec_f32 square_root_f32(vec_f32 v) { return _mm512_sqrt_ps(v); }
INLINE vec_f64 square_root_f64(vec_f64 v) { return _mm512_sqrt_pd(v); }
INLINE double sum_of_lanes(vec_f64 v) { return _mm512_reduce_add_pd(v); }
INLINE double count_of_lanes_f32(ivec_f32 n) { return _mm512_reduce_add_epi32((__m512i)n); }
INLINE double count_of_lanes_f64(ivec_f64 n) { return (double)_mm512_reduce_add_epi64((__m512i)n); }
INLINE vec_u16 load_part_u16(const void *p, size_t k) {
    return (vec_u16)_mm256_maskz_loadu_epi16((__mmask16)((1u << k) - 1), p);
}
INLINE void store_part_u16(void *p, size_t k, vec_u16 v) {
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << k) - 1), (__m256i)v);
}
INLINE vec_f32 fill_rest_f32(vec_f32 v, size_t k, vec_f32 fill) {
    if (k == LANES_F32) return v;
    return _mm512_mask_mov_ps(fill, (__mmask16)((1u << k) - 1), v);
}
INLINE ivec_f32 where_number_f32(ivec_f32 kept, vec_f32 v, ivec_f32 other) {
    return (ivec_f32)_mm512_mask_mov_epi32((__m512i)kept, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), (__m512i)other);
}

/* Within parts of 128 bits first, then the parts themselves: interleaving whole vectors takes as many steps, but each
 * of them reads a table (softmax of 1024 x 10 gains 6 percent). */
INLINE void transpose_f32(vec_f32 r[16]) {
    __m512 pairs[16], fours[16];
    for (int i = 0; i < 16; i += 2) {
        pairs[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int half = 0; half < 2; half++) {
            __m512d a = _mm512_castps_pd(pairs[i + half]), b = _mm512_castps_pd(pairs[i + 2 + half]);
            fours[i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    for (int k = 0; k < 4; k++) {
        __m512 even01 = _mm512_shuffle_f32x4(fours[k], fours[4 + k], 0x88);
        __m512 odd01 = _mm512_shuffle_f32x4(fours[k], fours[4 + k], 0xdd);
        __m512 even23 = _mm512_shuffle_f32x4(fours[8 + k], fours[12 + k], 0x88);
        __m512 odd23 = _mm512_shuffle_f32x4(fours[8 + k], fours[12 + k], 0xdd);
        r[k] = _mm512_shuffle_f32x4(even01, even23, 0x88);
        r[4 + k] = _mm512_shuffle_f32x4(odd01, odd23, 0x88);
        r[8 + k] = _mm512_shuffle_f32x4(even01, even23, 0xdd);
        r[12 + k] = _mm512_shuffle_f32x4(odd01, odd23, 0xdd);
    }
}
INLINE void transpose_f64(vec_f64 r[8]) {
    __m512d pairs[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int k = 0; k < 2; k++) {
        __m512d even01 = _mm512_shuffle_f64x2(pairs[k], pairs[2 + k], 0x88);
        __m512d odd01 = _mm512_shuffle_f64x2(pairs[k], pairs[2 + k], 0xdd);
        __m512d even23 = _mm512_shuffle_f64x2(pairs[4 + k], pairs[6 + k], 0x88);
        __m512d odd23 = _mm512_shuffle_f64x2(pairs[4 + k], pairs[6 + k], 0xdd);
        r[k] = _mm512_shuffle_f64x2(even01, even23, 0x88);
        r[2 + k] = _mm512_shuffle_f64x2(odd01, odd23, 0x88);
        r[4 + k] = _mm512_shuffle_f64x2(even01, even23, 0xdd);
        r[6 + k] = _mm512_shuffle_f64x2(odd01, odd23, 0xdd);
    }
}

#endif
