/* Lanes chosen by integers, and lanes in another order. Included by vec.h. */
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
