/* Lanes chosen by integers, and lanes in another order. Included by simd/vector.h. */
#ifndef FASTSOFTMAX_VEC_CHOICE_H
#define FASTSOFTMAX_VEC_CHOICE_H

/* ---- as many ints as there are lanes; kept, but `other` where a == b ---- */

INLINE ivec_f32 load_ints_f32(const int32_t *p) {
    ivec_f32 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE ivec_f64 load_ints_f64(const int32_t *p) {
    int32_t v __attribute__((vector_size(VECTOR_BYTES / 2)));
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, ivec_f64);
}

#if VECTOR_BYTES == 64
INLINE vec_f32 where_equal_f32(vec_f32 kept, ivec_f32 a, ivec_f32 b, vec_f32 other) {
    return _mm512_mask_mov_ps(kept, _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b), other);
}
INLINE vec_f64 where_equal_f64(vec_f64 kept, ivec_f64 a, ivec_f64 b, vec_f64 other) {
    return _mm512_mask_mov_pd(kept, _mm512_cmpeq_epi64_mask((__m512i)a, (__m512i)b), other);
}
#elif VECTOR_BYTES == 32
INLINE vec_f32 where_equal_f32(vec_f32 kept, ivec_f32 a, ivec_f32 b, vec_f32 other) {
    return _mm256_blendv_ps(kept, other, (__m256)(a == b));
}
INLINE vec_f64 where_equal_f64(vec_f64 kept, ivec_f64 a, ivec_f64 b, vec_f64 other) {
    return _mm256_blendv_pd(kept, other, (__m256d)(a == b));
}
#else
INLINE vec_f32 where_equal_f32(vec_f32 kept, ivec_f32 a, ivec_f32 b, vec_f32 other) {
    return (vec_f32)(((a == b) & (ivec_f32)other) | (~(a == b) & (ivec_f32)kept));
}
INLINE vec_f64 where_equal_f64(vec_f64 kept, ivec_f64 a, ivec_f64 b, vec_f64 other) {
    return (vec_f64)(((a == b) & (ivec_f64)other) | (~(a == b) & (ivec_f64)kept));
}
#endif

/* ---- kept, but `other` where a <= b; a NaN in a keeps ---- */

#if VECTOR_BYTES == 64
INLINE vec_f32 where_at_most_f32(vec_f32 kept, vec_f32 a, vec_f32 b, vec_f32 other) {
    return _mm512_mask_mov_ps(kept, _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), other);
}
INLINE vec_f64 where_at_most_f64(vec_f64 kept, vec_f64 a, vec_f64 b, vec_f64 other) {
    return _mm512_mask_mov_pd(kept, _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), other);
}
#elif VECTOR_BYTES == 32
INLINE vec_f32 where_at_most_f32(vec_f32 kept, vec_f32 a, vec_f32 b, vec_f32 other) {
    return _mm256_blendv_ps(kept, other, (__m256)(a <= b));
}
INLINE vec_f64 where_at_most_f64(vec_f64 kept, vec_f64 a, vec_f64 b, vec_f64 other) {
    return _mm256_blendv_pd(kept, other, (__m256d)(a <= b));
}
#else
INLINE vec_f32 where_at_most_f32(vec_f32 kept, vec_f32 a, vec_f32 b, vec_f32 other) {
    return (vec_f32)(((a <= b) & (ivec_f32)other) | (~(a <= b) & (ivec_f32)kept));
}
INLINE vec_f64 where_at_most_f64(vec_f64 kept, vec_f64 a, vec_f64 b, vec_f64 other) {
    return (vec_f64)(((a <= b) & (ivec_f64)other) | (~(a <= b) & (ivec_f64)kept));
}
#endif

/* ---- a bit for each lane where a is neither less than b nor equal, NaN included ---- */

#if VECTOR_BYTES == 64
INLINE uint64_t exceeds_f32(vec_f32 a, vec_f32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
INLINE uint64_t exceeds_f64(vec_f64 a, vec_f64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLE_UQ); }
#elif VECTOR_BYTES == 32
INLINE uint64_t exceeds_f32(vec_f32 a, vec_f32 b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLE_UQ)); }
INLINE uint64_t exceeds_f64(vec_f64 a, vec_f64 b) { return _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_NLE_UQ)); }
#elif defined(__SSE2__)
INLINE uint64_t exceeds_f32(vec_f32 a, vec_f32 b) { return _mm_movemask_ps(_mm_cmpnle_ps(a, b)); }
INLINE uint64_t exceeds_f64(vec_f64 a, vec_f64 b) { return _mm_movemask_pd(_mm_cmpnle_pd(a, b)); }
#else
INLINE uint64_t exceeds_f32(vec_f32 a, vec_f32 b) {
    uint64_t bits = 0;
    for (int lane = 0; lane < LANES_F32; lane++) bits |= (uint64_t)!(a[lane] <= b[lane]) << lane;
    return bits;
}
INLINE uint64_t exceeds_f64(vec_f64 a, vec_f64 b) {
    uint64_t bits = 0;
    for (int lane = 0; lane < LANES_F64; lane++) bits |= (uint64_t)!(a[lane] <= b[lane]) << lane;
    return bits;
}
#endif

/* ---- lanes of v in another order where `chosen`, else `kept` ---- */

#if VECTOR_BYTES == 64
#define HAS_PERMUTATIONS 1
INLINE vec_f32 permuted_f32(vec_f32 kept, ivec_f32 chosen, ivec_f32 order, vec_f32 v) {
    return _mm512_mask_permutexvar_ps(kept, _mm512_movepi32_mask((__m512i)chosen), (__m512i)order, v);
}
INLINE vec_f64 permuted_f64(vec_f64 kept, ivec_f64 chosen, ivec_f64 order, vec_f64 v) {
    return _mm512_mask_permutexvar_pd(kept, _mm512_movepi64_mask((__m512i)chosen), (__m512i)order, v);
}
INLINE ivec_f32 lane_numbers_f32(void) { return (ivec_f32){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }
INLINE ivec_f64 lane_numbers_f64(void) { return (ivec_f64){0, 1, 2, 3, 4, 5, 6, 7}; }
#else
#define HAS_PERMUTATIONS 0
#endif

#endif
