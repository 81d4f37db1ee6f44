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
/* AVX512_BF16 rounds in one instruction; not every CPU with AVX-512 has it. Numbers under the smallest normal one
 * become 0 there: no result is promised to keep them. */
#if LANES_F32 == 16 && defined(__AVX512F__) && (defined(__clang__) || __GNUC__ >= 10)
#define MAY_HAVE_BF16
static int has_bf16;
static void __attribute__((constructor)) find_bf16(void) {
    __builtin_cpu_init();
    has_bf16 = __builtin_cpu_supports("avx512bf16") != 0;
}
INLINE vec_u16 bf16_of_float(vec_f32 v) {
    vec_u16 rounded;
    __asm__("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(v));
    return rounded;
}
#endif

INLINE void store_part_bf16(bfloat16 *p, size_t k, vec_f32 v) {
#ifdef MAY_HAVE_BF16
    if (has_bf16) {
        store_part_u16(p, k, bf16_of_float(v));
        return;
    }
#endif
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
