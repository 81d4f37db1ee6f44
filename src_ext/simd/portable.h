/* What widths share that have no fused multiply-add, no blends and no conversions of halves: in vector extensions
 * alone, over any number of bytes. */
#ifndef FASTSOFTMAX_SIMD_PORTABLE_H
#define FASTSOFTMAX_SIMD_PORTABLE_H

#include "simd/unmasked.h"

#define TABLE_BITS_F32 0
#define TABLE_BITS_F64 0

/* ---- chosen lanes ---- */

INLINE vec_f32 where_equal_f32(vec_f32 kept, ivec_f32 a, ivec_f32 b, vec_f32 other) {
    return (vec_f32)(((a == b) & (ivec_f32)other) | (~(a == b) & (ivec_f32)kept));
}
INLINE vec_f64 where_equal_f64(vec_f64 kept, ivec_f64 a, ivec_f64 b, vec_f64 other) {
    return (vec_f64)(((a == b) & (ivec_f64)other) | (~(a == b) & (ivec_f64)kept));
}
INLINE vec_f32 where_at_most_f32(vec_f32 kept, vec_f32 a, vec_f32 b, vec_f32 other) {
    return (vec_f32)(((a <= b) & (ivec_f32)other) | (~(a <= b) & (ivec_f32)kept));
}
INLINE vec_f64 where_at_most_f64(vec_f64 kept, vec_f64 a, vec_f64 b, vec_f64 other) {
    return (vec_f64)(((a <= b) & (ivec_f64)other) | (~(a <= b) & (ivec_f64)kept));
}

/* ---- the first k lanes: a lane whose number is a variable would send the vector through memory ---- */

INLINE vec_f32 load_part_f32(const float *p, size_t k, vec_f32 fill) {
    if (k == LANES_F32) memcpy(&fill, p, sizeof fill);
    else
        for (size_t i = 0; i < LANES_F32 - 1; i++)
            if (i < k) fill[i] = p[i];
    return fill;
}
INLINE vec_f64 load_part_f64(const double *p, size_t k, vec_f64 fill) {
    if (k == LANES_F64) memcpy(&fill, p, sizeof fill);
    else
        for (size_t i = 0; i < LANES_F64 - 1; i++)
            if (i < k) fill[i] = p[i];
    return fill;
}
INLINE void store_part_f32(float *p, size_t k, vec_f32 v) {
    if (k == LANES_F32) memcpy(p, &v, sizeof v);
    else
        for (size_t i = 0; i < LANES_F32 - 1; i++)
            if (i < k) p[i] = v[i];
}
INLINE void store_part_f64(double *p, size_t k, vec_f64 v) {
    if (k == LANES_F64) memcpy(p, &v, sizeof v);
    else
        for (size_t i = 0; i < LANES_F64 - 1; i++)
            if (i < k) p[i] = v[i];
}

/* ---- arithmetic ---- */

INLINE vec_f32 less_product_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return a - b * c; }
INLINE vec_f64 less_product_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return a - b * c; }
/* Dekker's product (1971): each factor in two halves whose products are exact. The halves are cut off by bits, so that
 * no factor overflows. */
INLINE vec_f32 product_error_f32(vec_f32 a, vec_f32 b, vec_f32 ab) {
    vec_f32 a1 = (vec_f32)((ivec_f32)a & ~0xfff), b1 = (vec_f32)((ivec_f32)b & ~0xfff);
    vec_f32 a2 = a - a1, b2 = b - b1;
    return ((a1 * b1 - ab) + a1 * b2 + a2 * b1) + a2 * b2;
}
INLINE vec_f64 product_error_f64(vec_f64 a, vec_f64 b, vec_f64 ab) {
    vec_f64 a1 = (vec_f64)((ivec_f64)a & ~0x7ffffffLL), b1 = (vec_f64)((ivec_f64)b & ~0x7ffffffLL);
    vec_f64 a2 = a - a1, b2 = b - b1;
    return ((a1 * b1 - ab) + a1 * b2 + a2 * b1) + a2 * b2;
}

/* ---- float16 ---- */

/* The exponent is moved by a product with a power of two, which makes subnormal values right too. */
INLINE vec_f32 float_of_half(vec_u16 v) {
    ivec_f32 bits = (ivec_f32) __builtin_convertvector(v, uvec_f32), size = bits & 0x7fff;
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
    return __builtin_convertvector((uvec_f32)(half | sign), vec_u16);
}

#endif
