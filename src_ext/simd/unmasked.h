/* What widths without mask registers share: chosen lanes by bits, and sums and transposes over any vector. */
#ifndef FASTSOFTMAX_SIMD_UNMASKED_H
#define FASTSOFTMAX_SIMD_UNMASKED_H

#include "simd/types.h"

#ifndef INTERLEAVE_LOW_F32 /* 16 bytes */
#define INTERLEAVE_LOW_F32 0, 4, 1, 5
#define INTERLEAVE_HIGH_F32 2, 6, 3, 7
#define INTERLEAVE_LOW_F64 0, 2
#define INTERLEAVE_HIGH_F64 1, 3
#endif
#define HAS_PERMUTATIONS 0

/* ---- maxima ---- */

INLINE float max_of_lanes_f32(vec_f32 v) {
    float m = v[0];
    for (int lane = 1; lane < LANES_F32; lane++) m = v[lane] > m ? v[lane] : m;
    return m;
}
INLINE double max_of_lanes_f64(vec_f64 v) {
    double m = v[0];
    for (int lane = 1; lane < LANES_F64; lane++) m = v[lane] > m ? v[lane] : m;
    return m;
}

/* ---- chosen lanes ---- */

INLINE ivec_f32 choose(ivec_f32 mask, ivec_f32 yes, ivec_f32 no) { return (mask & yes) | (~mask & no); }
INLINE vec_f32 zero_less_f32(vec_f32 v, vec_f32 a, vec_f32 b) { return (vec_f32)(~(a < b) & (ivec_f32)v); }
INLINE vec_f64 zero_less_f64(vec_f64 v, vec_f64 a, vec_f64 b) { return (vec_f64)(~(a < b) & (ivec_f64)v); }
INLINE vec_f32 zero_equal_f32(vec_f32 v, vec_f32 a, vec_f32 b) { return (vec_f32)(~(a == b) & (ivec_f32)v); }
INLINE vec_f64 zero_equal_f64(vec_f64 v, vec_f64 a, vec_f64 b) { return (vec_f64)(~(a == b) & (ivec_f64)v); }
INLINE ivec_f32 count_equal_f32(ivec_f32 n, vec_f32 a, vec_f32 b) { return n - (a == b); }
INLINE ivec_f64 count_equal_f64(ivec_f64 n, vec_f64 a, vec_f64 b) { return n - (a == b); }
INLINE vec_f32 product_from_f32(vec_f32 least, vec_f32 v, vec_f32 e) { return zero_less_f32(v, v, least) * e; }
INLINE vec_f64 product_from_f64(vec_f64 least, vec_f64 v, vec_f64 e) { return zero_less_f64(v, v, least) * e; }
INLINE ivec_f32 where_number_f32(ivec_f32 kept, vec_f32 v, ivec_f32 other) { return choose(v == v, kept, other); }

/* ---- the first k lanes: a lane whose number is a variable would send the vector through memory ---- */

INLINE vec_f32 fill_rest_f32(vec_f32 v, size_t k, vec_f32 fill) {
    if (k == LANES_F32) return v;
    for (size_t i = 0; i < LANES_F32; i++)
        if (i >= k) v[i] = fill[i];
    return v;
}
INLINE vec_u16 load_part_u16(const void *p, size_t k) {
    const uint16_t *from = p;
    vec_u16 v = {0};
    if (k == LANES_F32) memcpy(&v, p, sizeof v);
    else
        for (size_t i = 0; i < LANES_F32 - 1; i++)
            if (i < k) v[i] = from[i];
    return v;
}
INLINE void store_part_u16(void *p, size_t k, vec_u16 v) {
    uint16_t *to = p;
    if (k == LANES_F32) memcpy(p, &v, sizeof v);
    else
        for (size_t i = 0; i < LANES_F32 - 1; i++)
            if (i < k) to[i] = v[i];
}

/* ---- arithmetic ---- */

INLINE vec_f32 times_1p_f32(vec_f32 power, vec_f32 p, vec_f32 t, vec_f32 lowest) {
    power = zero_less_f32(power, t, lowest);
    return zero_less_f32(power * p + power, t, lowest);
}
INLINE vec_f64 times_1p_f64(vec_f64 power, vec_f64 p, vec_f64 t, vec_f64 lowest) {
    power = zero_less_f64(power, t, lowest);
    return zero_less_f64(power * p + power, t, lowest);
}
INLINE double sum_of_lanes(vec_f64 v) {
    double total[LANES_F64];
    memcpy(total, &v, sizeof v);
    for (int step = LANES_F64 / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) total[i] += total[i + step];
    return total[0];
}
INLINE double count_of_lanes_f32(ivec_f32 n) {
    int64_t total = 0;
    for (int lane = 0; lane < LANES_F32; lane++) total += n[lane];
    return (double)total;
}
INLINE double count_of_lanes_f64(ivec_f64 n) {
    int64_t total = 0;
    for (int lane = 0; lane < LANES_F64; lane++) total += n[lane];
    return (double)total;
}

/* ---- transposes: log2(LANES) rounds of interleaving the halves ---- */

#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
#define SHUFFLE(ivec, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(ivec, a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
INLINE void transpose_f32(vec_f32 r[LANES_F32]) {
    vec_f32 next[LANES_F32];
    for (int round = 1; round < LANES_F32; round *= 2) {
        for (int i = 0; i < LANES_F32 / 2; i++) {
            next[2 * i] = SHUFFLE(ivec_f32, r[i], r[i + LANES_F32 / 2], INTERLEAVE_LOW_F32);
            next[2 * i + 1] = SHUFFLE(ivec_f32, r[i], r[i + LANES_F32 / 2], INTERLEAVE_HIGH_F32);
        }
        for (int i = 0; i < LANES_F32; i++) r[i] = next[i];
    }
}
INLINE void transpose_f64(vec_f64 r[LANES_F64]) {
    vec_f64 next[LANES_F64];
    for (int round = 1; round < LANES_F64; round *= 2) {
        for (int i = 0; i < LANES_F64 / 2; i++) {
            next[2 * i] = SHUFFLE(ivec_f64, r[i], r[i + LANES_F64 / 2], INTERLEAVE_LOW_F64);
            next[2 * i + 1] = SHUFFLE(ivec_f64, r[i], r[i + LANES_F64 / 2], INTERLEAVE_HIGH_F64);
        }
        for (int i = 0; i < LANES_F64; i++) r[i] = next[i];
    }
}

#endif
