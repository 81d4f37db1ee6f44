/* Narrow data in memory: float16, bfloat16 and the bytes of a mask, read as lanes of float or double and, for the
 * 16-bit kinds, written back rounded to nearest even. Subnormal float16 values are kept. */
#ifndef FASTSOFTMAX_VEC_NARROW_H
#define FASTSOFTMAX_VEC_NARROW_H

#include "simd/vector.h"

typedef struct {
    uint16_t bits;
} float16;
typedef struct {
    uint16_t bits;
} bfloat16;

typedef uint16_t vec_u16 __attribute__((vector_size(2 * LANES_F32), may_alias));
typedef uint32_t uvec_f32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint8_t vec_u8_f32 __attribute__((vector_size(LANES_F32), may_alias));
typedef uint8_t vec_u8_f64 __attribute__((vector_size(LANES_F64), may_alias));

/* ---- the first k of LANES_F32 16-bit values ---- */

INLINE vec_u16 load_part_u16(const void *p, size_t k) {
#if VECTOR_BYTES == 64 && defined(__AVX512BW__)
    return (vec_u16)_mm256_maskz_loadu_epi16((__mmask16)((1u << k) - 1), p);
#else
    vec_u16 v = {0};
    if (k == LANES_F32) memcpy(&v, p, sizeof v);
    else memcpy(&v, p, 2 * k);
    return v;
#endif
}
INLINE void store_part_u16(void *p, size_t k, vec_u16 v) {
#if VECTOR_BYTES == 64 && defined(__AVX512BW__)
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << k) - 1), (__m256i)v);
#else
    if (k == LANES_F32) memcpy(p, &v, sizeof v);
    else memcpy(p, &v, 2 * k);
#endif
}
INLINE ivec_f32 widen_u16(vec_u16 v) { return (ivec_f32)__builtin_convertvector(v, uvec_f32); }
INLINE vec_u16 narrow_u16(ivec_f32 v) { return __builtin_convertvector((uvec_f32)v, vec_u16); }
INLINE ivec_f32 choose(ivec_f32 mask, ivec_f32 yes, ivec_f32 no) { return (mask & yes) | (~mask & no); }

/* Lanes k and up of v become `fill`. */
INLINE vec_f32 fill_rest_f32(vec_f32 v, size_t k, vec_f32 fill) {
    if (k == LANES_F32) return v;
#if VECTOR_BYTES == 64
    return _mm512_mask_mov_ps(fill, (__mmask16)((1u << k) - 1), v);
#else
    for (size_t i = k; i < LANES_F32; i++) v[i] = fill[i];
    return v;
#endif
}

/* ---- bfloat16: the upper half of a float ---- */

INLINE vec_f32 load_part_bf16(const bfloat16 *p, size_t k, vec_f32 fill) {
    return fill_rest_f32((vec_f32)(widen_u16(load_part_u16(p, k)) << 16), k, fill);
}
INLINE void store_part_bf16(bfloat16 *p, size_t k, vec_f32 v) {
    uvec_f32 bits = (uvec_f32)v;
    ivec_f32 rounded = (ivec_f32)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
#if VECTOR_BYTES == 64
    rounded = (ivec_f32)_mm512_mask_mov_epi32((__m512i)rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q),
                                              _mm512_set1_epi32(0x7fc0));
#else
    rounded = choose(v == v, rounded, 0x7fc0 - (ivec_f32){0});
#endif
    store_part_u16(p, k, narrow_u16(rounded));
}

/* ---- float16 ---- */

#if VECTOR_BYTES == 64
INLINE vec_f32 float_of_half(vec_u16 v) { return _mm512_cvtph_ps((__m256i)v); }
INLINE vec_u16 half_of_float(vec_f32 v) {
    return (vec_u16)_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#elif defined(__F16C__)
INLINE vec_f32 float_of_half(vec_u16 v) { return _mm256_cvtph_ps((__m128i)v); }
INLINE vec_u16 half_of_float(vec_f32 v) { return (vec_u16)_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT); }
#else
/* The exponent is moved by a product with a power of two, which makes subnormal values right too. */
INLINE vec_f32 float_of_half(vec_u16 v) {
    ivec_f32 bits = widen_u16(v), size = bits & 0x7fff;
    ivec_f32 finite = (ivec_f32)((vec_f32)(size << 13) * 0x1p112f);
    return (vec_f32)(choose(size >= 0x7c00, (size << 13) | 0x7f800000, finite) | (bits & 0x8000) << 16);
}
/* Subnormal results are rounded by adding 0.5, whose last bit is that of a subnormal float16; normal ones by adding
 * half of their last bit, less one where that bit is even. */
INLINE vec_u16 half_of_float(vec_f32 v) {
    ivec_f32 bits = (ivec_f32)v, size = bits & INT32_MAX, sign = (ivec_f32)((uvec_f32)bits >> 16) & 0x8000;
    ivec_f32 normal = (size - (112 << 23) + 0xfff + ((size >> 13) & 1)) >> 13;
    ivec_f32 subnormal = (ivec_f32)((vec_f32)size + 0.5f) - 0x3f000000;
    ivec_f32 special = choose(size > 0x7f800000, 0x7e00 - (ivec_f32){0}, 0x7c00 - (ivec_f32){0});
    ivec_f32 half = choose(size < 0x38800000, subnormal, choose(size < 0x47800000, normal, special));
    return narrow_u16(half | sign);
}
#endif
INLINE vec_f32 load_part_f16(const float16 *p, size_t k, vec_f32 fill) {
    return fill_rest_f32(float_of_half(load_part_u16(p, k)), k, fill);
}
INLINE void store_part_f16(float16 *p, size_t k, vec_f32 v) { store_part_u16(p, k, half_of_float(v)); }

/* ---- bytes of a mask, as 0 and 1; the lanes behind are 0 ---- */

INLINE vec_f32 load_part_u8_f32(const uint8_t *p, size_t k, vec_f32 fill) {
    vec_u8_f32 v = {0};
    (void)fill;
    memcpy(&v, p, k);
    return __builtin_convertvector(__builtin_convertvector(v, ivec_f32), vec_f32);
}
INLINE vec_f64 load_part_u8_f64(const uint8_t *p, size_t k, vec_f64 fill) {
    vec_u8_f64 v = {0};
    (void)fill;
    memcpy(&v, p, k);
    return __builtin_convertvector(__builtin_convertvector(v, ivec_f64), vec_f64);
}

#endif
