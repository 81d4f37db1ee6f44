/* The vectors of the widest registers that the instruction set has, for float and double.
 *
 * A width is a file with the functions below, each with the suffix _f32 and again with _f64 where it exists for both; so
 * does TABLE_BITS. Another width is another such file, one entry in the choice here and one in build_support/targets.py.
 * What a width has no instructions for it takes from unmasked.h or portable.h. tests/test_headers.py reads this list.
 *
 *     max(x, m)                       x > m ? x : m: a NaN in x is passed over
 *     max_of_lanes(v)                 the largest lane
 *     zero_less(v, a, b)              a < b ? 0 : v; a NaN in a or b gives v
 *     zero_equal(v, a, b)             a == b ? 0 : v
 *     count_equal(n, a, b)            a == b ? n + 1 : n, in integers
 *     any_equal(a, b)                 whether a == b in any lane
 *     product_from(least, v, e)       v < least ? 0 : v * e for a finite e; where it is 0 no subnormal product costs
 *                                     time
 *     where_equal(kept, a, b, other)  a == b ? other : kept, for integers a and b
 *     where_at_most(kept, a, b, other)  a <= b ? other : kept; a NaN keeps
 *     exceeds(a, b)                   a bit for each lane where a <= b does not hold: a > b, or a NaN
 *     load_part(p, k, fill)           the first k lanes from p, 0 <= k <= LANES, the others from `fill`; no byte behind
 *                                     the first k values is touched
 *     store_part(p, k, v)             the first k lanes
 *     fill_rest_f32(v, k, fill)       the first k lanes of v, the others of `fill`
 *     widen_low(v), widen_high(v)     the halves of a vector of floats as doubles
 *     narrow(low, high)               and back, each lane rounded
 *     less_product(a, b, c)           a - b * c, with one rounding where there is an instruction for that
 *     product_error(a, b, ab)         a * b - ab for ab = a * b rounded, unless that is subnormal or infinite: exact,
 *                                     but for 2**-104 of the product of doubles where no instruction fuses it
 *     square_root(v)                  correctly rounded
 *     sum_of_lanes(v)                 of doubles, halves onto halves
 *     count_of_lanes(n)               the sum of a vector of counts, as a double
 *     TABLE_BITS, lookup(table, n)    where TABLE_BITS > 0: entry n mod 2**TABLE_BITS of a table of integers
 *     times_1p(power, p, t, lowest)   t < lowest ? 0 : power * (1 + p), with one rounding after the exact sum where
 *                                     there is an instruction for that; where it is 0 nothing is multiplied
 *     transpose(r)                    LANES vectors as the rows of a square matrix
 *     HAS_PERMUTATIONS, permuted(kept, chosen, order, v)  where there are: lane order[i] of v where chosen, else kept
 *     load_part_u16, store_part_u16   the first k of LANES_F32 values of 16 bits
 *     float_of_half, half_of_float    float16 and back, rounded to nearest even; subnormal numbers are kept
 *     where_number_f32(kept, v, other)  v is a number ? kept : other, in integers
 *     EXP_GROUP                       vectors that exp.h computes in step: as many as the registers hold */
#ifndef FASTSOFTMAX_SIMD_VECTOR_H
#define FASTSOFTMAX_SIMD_VECTOR_H

#if defined(FASTSOFTMAX_GENERIC) /* a test of the generic functions on any machine */
#include "simd/generic.h"
#elif defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512BW__)
#include "simd/avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "simd/avx2.h"
#elif defined(__SSE2__)
#include "simd/sse2.h"
#else
#include "simd/generic.h"
#endif

/* ---- the same for every width ---- */

INLINE vec_f32 abs_f32(vec_f32 v) { return (vec_f32)((ivec_f32)v & INT32_MAX); }
INLINE vec_f64 abs_f64(vec_f64 v) { return (vec_f64)((ivec_f64)v & INT64_MAX); }
/* mask ? yes : no; each lane of the mask is all ones or zero. */
INLINE vec_f64 select_f64(ivec_f64 mask, vec_f64 yes, vec_f64 no) {
    return (vec_f64)((mask & (ivec_f64)yes) | (~mask & (ivec_f64)no));
}

/* As many int32 as there are lanes. */
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

#endif
