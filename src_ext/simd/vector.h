/* Vectors of the widest registers that the instruction set has, for float and double.
 *
 * GCC's and Clang's vector extensions carry the arithmetic (+, -, *, /, comparisons, bits); only what they
 * lack or compile badly is written per instruction set here: maximum, masked moves, partial loads and
 * stores, conversions. Everything is static inline and compiled once per instruction set. */
#ifndef FASTSOFTMAX_VEC_H
#define FASTSOFTMAX_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

/* Fetch what will be needed next while there is arithmetic to do; any address will do, also past the end. */
#define CACHE_LINE_BYTES 64
#define PREFETCH(p) __builtin_prefetch((const void *)(p), 0, 3)
#define PREFETCH_TO_WRITE(p) __builtin_prefetch((const void *)(p), 1, 3)

#define INLINE static inline __attribute__((always_inline))

/* What the next piece of work will read and write, each NULL for nothing. */
typedef struct {
    const char *read, *also; /* logits; dense targets */
    char *write;
    ptrdiff_t item_bytes; /* of a value in memory */
} Upcoming;

/* Fetch what a span of `bytes` of scratch, from value number i on, will be filled with in the next piece. */
INLINE void fetch_ahead(const Upcoming *next, ptrdiff_t i, int bytes) {
    const char *read = next->read + i * next->item_bytes, *also = next->also + i * next->item_bytes;
    char *write = next->write + i * next->item_bytes;
    for (int k = 0; k < bytes; k += CACHE_LINE_BYTES) {
        if (next->read) PREFETCH(read + k);
        if (next->also) PREFETCH(also + k);
        if (next->write) PREFETCH_TO_WRITE(write + k);
    }
}

typedef float vec_f32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef int32_t ivec_f32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef double vec_f64 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef int64_t ivec_f64 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint64_t uvec_f64 __attribute__((vector_size(VECTOR_BYTES), may_alias));

#define LANES_F32 (VECTOR_BYTES / 4)
#define LANES_F64 (VECTOR_BYTES / 8)

/* ---- max, masked moves: (x, m) -> x > m ? x : m, so that a NaN in x is passed over ---- */

#if VECTOR_BYTES == 64
INLINE vec_f32 max_f32(vec_f32 x, vec_f32 m) { return _mm512_max_ps(x, m); }
INLINE vec_f64 max_f64(vec_f64 x, vec_f64 m) { return _mm512_max_pd(x, m); }
#elif VECTOR_BYTES == 32
INLINE vec_f32 max_f32(vec_f32 x, vec_f32 m) { return _mm256_max_ps(x, m); }
INLINE vec_f64 max_f64(vec_f64 x, vec_f64 m) { return _mm256_max_pd(x, m); }
#elif defined(__SSE2__)
INLINE vec_f32 max_f32(vec_f32 x, vec_f32 m) { return _mm_max_ps(x, m); }
INLINE vec_f64 max_f64(vec_f64 x, vec_f64 m) { return _mm_max_pd(x, m); }
#else
INLINE vec_f32 max_f32(vec_f32 x, vec_f32 m) {
    ivec_f32 above = x > m;
    return (vec_f32)((above & (ivec_f32)x) | (~above & (ivec_f32)m));
}
INLINE vec_f64 max_f64(vec_f64 x, vec_f64 m) {
    ivec_f64 above = x > m;
    return (vec_f64)((above & (ivec_f64)x) | (~above & (ivec_f64)m));
}
#endif

#if VECTOR_BYTES == 64
INLINE float max_of_lanes_f32(vec_f32 v) { return _mm512_reduce_max_ps(v); }
INLINE double max_of_lanes_f64(vec_f64 v) { return _mm512_reduce_max_pd(v); }
#else
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
#endif

/* v, but 0 where a < b (zero_less) or a == b (zero_equal); a NaN in a keeps v. any_equal: whether a == b anywhere.
 * product_from: v * e, but 0 where v < least, and there nothing is multiplied. */
#if VECTOR_BYTES == 64
INLINE vec_f32 zero_less_f32(vec_f32 v, vec_f32 a, vec_f32 b) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), v);
}
INLINE vec_f64 zero_less_f64(vec_f64 v, vec_f64 a, vec_f64 b) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a, b, _CMP_NLT_UQ), v);
}
INLINE vec_f32 zero_equal_f32(vec_f32 v, vec_f32 a, vec_f32 b) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ), v);
}
INLINE vec_f64 zero_equal_f64(vec_f64 v, vec_f64 a, vec_f64 b) {
    return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ), v);
}
INLINE ivec_f32 count_equal_f32(ivec_f32 n, vec_f32 a, vec_f32 b) {
    __mmask16 equal = _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
    return (ivec_f32)_mm512_mask_add_epi32((__m512i)n, equal, (__m512i)n, _mm512_set1_epi32(1));
}
INLINE ivec_f64 count_equal_f64(ivec_f64 n, vec_f64 a, vec_f64 b) {
    __mmask8 equal = _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
    return (ivec_f64)_mm512_mask_add_epi64((__m512i)n, equal, (__m512i)n, _mm512_set1_epi64(1));
}
INLINE vec_f32 product_from_f32(vec_f32 least, vec_f32 v, vec_f32 e) {
    return _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(v, least, _CMP_NLT_UQ), v, e);
}
INLINE vec_f64 product_from_f64(vec_f64 least, vec_f64 v, vec_f64 e) {
    return _mm512_maskz_mul_pd(_mm512_cmp_pd_mask(v, least, _CMP_NLT_UQ), v, e);
}
INLINE int any_equal_f32(vec_f32 a, vec_f32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ) != 0; }
INLINE int any_equal_f64(vec_f64 a, vec_f64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ) != 0; }
#else
INLINE vec_f32 zero_less_f32(vec_f32 v, vec_f32 a, vec_f32 b) { return (vec_f32)(~(a < b) & (ivec_f32)v); }
INLINE vec_f64 zero_less_f64(vec_f64 v, vec_f64 a, vec_f64 b) { return (vec_f64)(~(a < b) & (ivec_f64)v); }
INLINE vec_f32 zero_equal_f32(vec_f32 v, vec_f32 a, vec_f32 b) { return (vec_f32)(~(a == b) & (ivec_f32)v); }
INLINE vec_f64 zero_equal_f64(vec_f64 v, vec_f64 a, vec_f64 b) { return (vec_f64)(~(a == b) & (ivec_f64)v); }
INLINE ivec_f32 count_equal_f32(ivec_f32 n, vec_f32 a, vec_f32 b) { return n - (a == b); }
INLINE ivec_f64 count_equal_f64(ivec_f64 n, vec_f64 a, vec_f64 b) { return n - (a == b); }
INLINE vec_f32 product_from_f32(vec_f32 least, vec_f32 v, vec_f32 e) { return zero_less_f32(v, v, least) * e; }
INLINE vec_f64 product_from_f64(vec_f64 least, vec_f64 v, vec_f64 e) { return zero_less_f64(v, v, least) * e; }
#if VECTOR_BYTES == 32
INLINE int any_equal_f32(vec_f32 a, vec_f32 b) { return _mm256_movemask_ps((__m256)(a == b)) != 0; }
INLINE int any_equal_f64(vec_f64 a, vec_f64 b) { return _mm256_movemask_pd((__m256d)(a == b)) != 0; }
#elif defined(__SSE2__)
INLINE int any_equal_f32(vec_f32 a, vec_f32 b) { return _mm_movemask_ps((__m128)(a == b)) != 0; }
INLINE int any_equal_f64(vec_f64 a, vec_f64 b) { return _mm_movemask_pd((__m128d)(a == b)) != 0; }
#else
INLINE int any_equal_f32(vec_f32 a, vec_f32 b) {
    ivec_f32 equal = a == b;
    return (equal[0] | equal[1] | equal[2] | equal[3]) != 0;
}
INLINE int any_equal_f64(vec_f64 a, vec_f64 b) {
    ivec_f64 equal = a == b;
    return (equal[0] | equal[1]) != 0;
}
#endif
#endif

#include "simd/power.h"

/* ---- the first k lanes only, 0 <= k <= LANES; the others read as `fill` and are not touched ---- */

#if VECTOR_BYTES == 64
INLINE vec_f32 load_part_f32(const float *p, size_t k, vec_f32 fill) {
    return _mm512_mask_loadu_ps(fill, (__mmask16)((1u << k) - 1), p);
}
INLINE vec_f64 load_part_f64(const double *p, size_t k, vec_f64 fill) {
    return _mm512_mask_loadu_pd(fill, (__mmask8)((1u << k) - 1), p);
}
INLINE void store_part_f32(float *p, size_t k, vec_f32 v) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << k) - 1), v);
}
INLINE void store_part_f64(double *p, size_t k, vec_f64 v) {
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << k) - 1), v);
}
#elif VECTOR_BYTES == 32
INLINE __m256i first_lanes_f32(size_t k) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)k), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE __m256i first_lanes_f64(size_t k) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)k), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE vec_f32 load_part_f32(const float *p, size_t k, vec_f32 fill) {
    __m256i first = first_lanes_f32(k);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, first), (__m256)first);
}
INLINE vec_f64 load_part_f64(const double *p, size_t k, vec_f64 fill) {
    __m256i first = first_lanes_f64(k);
    return _mm256_blendv_pd(fill, _mm256_maskload_pd(p, first), (__m256d)first);
}
INLINE void store_part_f32(float *p, size_t k, vec_f32 v) { _mm256_maskstore_ps(p, first_lanes_f32(k), v); }
INLINE void store_part_f64(double *p, size_t k, vec_f64 v) { _mm256_maskstore_pd(p, first_lanes_f64(k), v); }
#else
INLINE vec_f32 load_part_f32(const float *p, size_t k, vec_f32 fill) {
    if (k == LANES_F32) memcpy(&fill, p, sizeof fill);
    else
        for (size_t i = 0; i < k; i++) fill[i] = p[i];
    return fill;
}
INLINE vec_f64 load_part_f64(const double *p, size_t k, vec_f64 fill) {
    if (k == LANES_F64) memcpy(&fill, p, sizeof fill);
    else
        for (size_t i = 0; i < k; i++) fill[i] = p[i];
    return fill;
}
INLINE void store_part_f32(float *p, size_t k, vec_f32 v) {
    if (k == LANES_F32) memcpy(p, &v, sizeof v);
    else
        for (size_t i = 0; i < k; i++) p[i] = v[i];
}
INLINE void store_part_f64(double *p, size_t k, vec_f64 v) {
    if (k == LANES_F64) memcpy(p, &v, sizeof v);
    else
        for (size_t i = 0; i < k; i++) p[i] = v[i];
}
#endif

/* ---- float lanes as two vectors of double lanes, and back ---- */

#if VECTOR_BYTES == 64
INLINE vec_f64 widen_low(vec_f32 v) { return _mm512_cvtps_pd(_mm512_castps512_ps256(v)); }
INLINE vec_f64 widen_high(vec_f32 v) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)); }
INLINE vec_f32 narrow(vec_f64 low, vec_f64 high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}
#elif VECTOR_BYTES == 32
INLINE vec_f64 widen_low(vec_f32 v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
INLINE vec_f64 widen_high(vec_f32 v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }
INLINE vec_f32 narrow(vec_f64 low, vec_f64 high) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low)), _mm256_cvtpd_ps(high), 1);
}
#elif defined(__SSE2__)
INLINE vec_f64 widen_low(vec_f32 v) { return _mm_cvtps_pd(v); }
INLINE vec_f64 widen_high(vec_f32 v) { return _mm_cvtps_pd(_mm_movehl_ps(v, v)); }
INLINE vec_f32 narrow(vec_f64 low, vec_f64 high) { return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high)); }
#else
INLINE vec_f64 widen_low(vec_f32 v) { return (vec_f64){v[0], v[1]}; }
INLINE vec_f64 widen_high(vec_f32 v) { return (vec_f64){v[2], v[3]}; }
INLINE vec_f32 narrow(vec_f64 low, vec_f64 high) {
    return (vec_f32){(float)low[0], (float)low[1], (float)high[0], (float)high[1]};
}
#endif

/* ---- a - b * c, in one rounding where there is an instruction for it; the rounding error of a * b, given its rounded
 * value ---- */

#if VECTOR_BYTES == 64
INLINE vec_f32 less_product_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return _mm512_fnmadd_ps(b, c, a); }
INLINE vec_f64 less_product_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return _mm512_fnmadd_pd(b, c, a); }
INLINE vec_f32 product_error_f32(vec_f32 a, vec_f32 b, vec_f32 ab) { return _mm512_fmsub_ps(a, b, ab); }
INLINE vec_f64 product_error_f64(vec_f64 a, vec_f64 b, vec_f64 ab) { return _mm512_fmsub_pd(a, b, ab); }
#elif VECTOR_BYTES == 32
INLINE vec_f32 less_product_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return _mm256_fnmadd_ps(b, c, a); }
INLINE vec_f64 less_product_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return _mm256_fnmadd_pd(b, c, a); }
INLINE vec_f32 product_error_f32(vec_f32 a, vec_f32 b, vec_f32 ab) { return _mm256_fmsub_ps(a, b, ab); }
INLINE vec_f64 product_error_f64(vec_f64 a, vec_f64 b, vec_f64 ab) { return _mm256_fmsub_pd(a, b, ab); }
#else
INLINE vec_f32 less_product_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return a - b * c; }
INLINE vec_f64 less_product_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return a - b * c; }
/* Dekker's product: each factor in two halves whose products are exact. The halves are cut off by bits, so
 * that no factor overflows. */
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
#endif

#include "simd/choice.h"

#endif
