/* Vector types of VECTOR_BYTES bytes, which a width file sets: for the arithmetic (+, -, *, /, comparisons, bits) the
 * vector extensions of GCC and Clang are used as they are. A comparison gives -1 where it holds, else 0. */
#ifndef FASTSOFTMAX_SIMD_TYPES_H
#define FASTSOFTMAX_SIMD_TYPES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef VECTOR_BYTES
#define VECTOR_BYTES 16 /* only when this header is opened alone */
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec_f32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef double vec_f64 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef float unaligned_f32 __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias)); /* in memory */
typedef double unaligned_f64 __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
typedef int32_t ivec_f32 __attribute__((vector_size(VECTOR_BYTES), may_alias)); /* as many integers as float lanes */
typedef int64_t ivec_f64 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint32_t uvec_f32 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint64_t uvec_f64 __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint16_t vec_u16 __attribute__((vector_size(VECTOR_BYTES / 2), may_alias)); /* a 16-bit value a float lane */

#define LANES_F32 (VECTOR_BYTES / 4)
#define LANES_F64 (VECTOR_BYTES / 8)

#endif
