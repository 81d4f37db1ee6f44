/* 16 bytes of any machine, NEON among them: what the compiler makes of its vector extensions. The functions are
 * described in vector.h. */
#ifndef FASTSOFTMAX_SIMD_GENERIC_H
#define FASTSOFTMAX_SIMD_GENERIC_H

#define VECTOR_BYTES 16
#define EXP_GROUP 2

#include "simd/portable.h"

INLINE vec_f32 max_f32(vec_f32 x, vec_f32 m) {
    ivec_f32 above = x > m;
    return (vec_f32)((above & (ivec_f32)x) | (~above & (ivec_f32)m));
}
INLINE vec_f64 max_f64(vec_f64 x, vec_f64 m) {
    ivec_f64 above = x > m;
    return (vec_f64)((above & (ivec_f64)x) | (~above & (ivec_f64)m));
}
INLINE int any_equal_f32(vec_f32 a, vec_f32 b) {
    ivec_f32 equal = a == b;
    return (equal[0] | equal[1] | equal[2] | equal[3]) != 0;
}
INLINE int any_equal_f64(vec_f64 a, vec_f64 b) {
    ivec_f64 equal = a == b;
    return (equal[0] | equal[1]) != 0;
}
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
INLINE vec_f64 widen_low(vec_f32 v) { return (vec_f64){v[0], v[1]}; }
INLINE vec_f64 widen_high(vec_f32 v) { return (vec_f64){v[2], v[3]}; }
INLINE vec_f32 narrow(vec_f64 low, vec_f64 high) {
    return (vec_f32){(float)low[0], (float)low[1], (float)high[0], (float)high[1]};
}
INLINE vec_f32 square_root_f32(vec_f32 v) {
    for (int lane = 0; lane < LANES_F32; lane++) v[lane] = sqrtf(v[lane]);
    return v;
}
INLINE vec_f64 square_root_f64(vec_f64 v) {
    for (int lane = 0; lane < LANES_F64; lane++) v[lane] = sqrt(v[lane]);
    return v;
}

#endif
