/* LANES x LANES values, held in as many vectors, transposed in registers. */
#ifndef FASTSOFTMAX_TRANSPOSE_H
#define FASTSOFTMAX_TRANSPOSE_H

#include "simd/vector.h"

#if VECTOR_BYTES == 64
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
#else
/* log2(LANES) rounds of interleaving the halves. */
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
#define SHUFFLE(ivec, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(ivec, a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
#define LOW_2 0, 2
#define HIGH_2 1, 3
#define LOW_4 0, 4, 1, 5
#define HIGH_4 2, 6, 3, 7
#define LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#if VECTOR_BYTES == 32
#define LOW_F32 LOW_8
#define HIGH_F32 HIGH_8
#define LOW_F64 LOW_4
#define HIGH_F64 HIGH_4
#else
#define LOW_F32 LOW_4
#define HIGH_F32 HIGH_4
#define LOW_F64 LOW_2
#define HIGH_F64 HIGH_2
#endif
#define INTERLEAVE_HALVES(r, next, lanes, ivec, low, high)                   \
    for (int round = 1; round < lanes; round *= 2) {                         \
        for (int i = 0; i < lanes / 2; i++) {                                \
            next[2 * i] = SHUFFLE(ivec, r[i], r[i + lanes / 2], low);        \
            next[2 * i + 1] = SHUFFLE(ivec, r[i], r[i + lanes / 2], high);   \
        }                                                                    \
        for (int i = 0; i < lanes; i++) r[i] = next[i];                      \
    }
INLINE void transpose_f32(vec_f32 r[LANES_F32]) {
    vec_f32 next[LANES_F32];
    INTERLEAVE_HALVES(r, next, LANES_F32, ivec_f32, LOW_F32, HIGH_F32)
}
INLINE void transpose_f64(vec_f64 r[LANES_F64]) {
    vec_f64 next[LANES_F64];
    INTERLEAVE_HALVES(r, next, LANES_F64, ivec_f64, LOW_F64, HIGH_F64)
}
#endif

#endif
