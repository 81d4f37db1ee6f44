/* Narrow data in memory: float16, bfloat16 and the bytes of a mask, read as lanes of float or double and, for the
 * 16-bit kinds, written back rounded to nearest even. Subnormal float16 values are kept. */
#ifndef FASTSOFTMAX_LAYOUT_NARROW_H
#define FASTSOFTMAX_LAYOUT_NARROW_H

#include "simd/vector.h"

typedef struct {
    uint16_t bits;
} float16;
typedef struct {
    uint16_t bits;
} bfloat16;

typedef uint8_t vec_u8_f32 __attribute__((vector_size(LANES_F32), may_alias));
typedef uint8_t vec_u8_f64 __attribute__((vector_size(LANES_F64), may_alias));

INLINE ivec_f32 widen_u16(vec_u16 v) { return (ivec_f32) __builtin_convertvector(v, uvec_f32); }
INLINE vec_u16 narrow_u16(ivec_f32 v) { return __builtin_convertvector((uvec_f32)v, vec_u16); }

/* ---- bfloat16: the upper half of a float ---- */

INLINE vec_f32 load_part_bf16(const bfloat16 *p, size_t k, vec_f32 fill) {
    return fill_rest_f32((vec_f32)(widen_u16(load_part_u16(p, k)) << 16), k, fill);
}
INLINE void store_part_bf16(bfloat16 *p, size_t k, vec_f32 v) {
    uvec_f32 bits = (uvec_f32)v;
    ivec_f32 rounded = (ivec_f32)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    rounded = where_number_f32(rounded, v, 0x7fc0 - (ivec_f32){0});
    store_part_u16(p, k, narrow_u16(rounded));
}

/* ---- float16 ---- */

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
