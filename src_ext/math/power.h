/* 2**n and its products, for exp.h.
 *
 * n is a multiple of 2**-POWER_BITS and comes as t = n + constant, whose bits end in those of n. The table holds the
 * bits of 2**(j / 2**POWER_BITS) less j at the place of the lowest bits of n, so that one addition of t's bits, shifted
 * up to the exponent, completes it. */
#ifndef FASTSOFTMAX_MATH_POWER_H
#define FASTSOFTMAX_MATH_POWER_H

#include "simd/vector.h"

#define UNIT_F32 0x1p40f /* UNIT_POWER of float, */
#define UNIT_F64 0x1p80  /* and of double, where it is needed under a name of its own */

#define POWER_BITS_F32 TABLE_BITS_F32
#define POWER_BITS_F64 TABLE_BITS_F64

#if POWER_BITS_F32 == 4
static const int32_t power_table_f32[16] __attribute__((aligned(64))) = {
    0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
    0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d};
#elif POWER_BITS_F32 == 3
static const int32_t power_table_f32[8] __attribute__((aligned(32))) = {0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                                                                        0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
#endif
#if POWER_BITS_F32
INLINE ivec_f32 looked_up_f32(ivec_f32 bits) { return lookup_f32(power_table_f32, bits); }
#else
INLINE ivec_f32 looked_up_f32(ivec_f32 bits) { return 0 * bits + 0x3f800000; }
#endif

#if POWER_BITS_F64 == 3
static const int64_t power_table_f64[8]
    __attribute__((aligned(64))) = {0x3ff0000000000000, 0x3fef72b83c7d517b, 0x3fef06fe0a31b715, 0x3feebfdad5362a27,
                                    0x3feea09e667f3bcd, 0x3feeace5422aa0db, 0x3feee89f995ad3ad, 0x3fef5818dcfba487};
INLINE ivec_f64 looked_up_f64(ivec_f64 bits) { return lookup_f64(power_table_f64, bits); }
#else
INLINE ivec_f64 looked_up_f64(ivec_f64 bits) { return 0 * bits + 0x3ff0000000000000LL; }
#endif

/* 2**n, the whole part of n taken modulo the range of the exponents. */
INLINE vec_f32 power_f32(vec_f32 t) {
    return (vec_f32)(looked_up_f32((ivec_f32)t) + ((ivec_f32)t << (23 - POWER_BITS_F32)));
}
INLINE vec_f64 power_f64(vec_f64 t) {
    return (vec_f64)(looked_up_f64((ivec_f64)t) + ((ivec_f64)t << (52 - POWER_BITS_F64)));
}

/* 2**n * (1 + p), but 0 where t < lowest; there nothing is multiplied where that could take 150 cycles: a result under
 * the smallest normal number. A NaN in p stays. */
INLINE vec_f32 times_power_f32(vec_f32 p, vec_f32 t, vec_f32 lowest) {
    return times_1p_f32(power_f32(t), p, t, lowest);
}
INLINE vec_f64 times_power_f64(vec_f64 p, vec_f64 t, vec_f64 lowest) {
    return times_1p_f64(power_f64(t), p, t, lowest);
}

/* Where a sum with the rounder of math/exp.h is less, a term counts as 0: UNIT_EXPONENT - 2 under the smallest
 * normal number. */
#define LOWEST_POWER_F64 (0x1.8p52 / (1 << POWER_BITS_F64) + (-1022 + 2)) /* that of double, for loss/softcap.h */
#define LOWEST_POWER (ROUNDER + (MIN_EXPONENT + 2))

#endif
