/* What the programs of this folder share: wider numbers, random ones, and errors in units in the last place. */
#ifndef FASTSOFTMAX_KERNELS_CHECK_H
#define FASTSOFTMAX_KERNELS_CHECK_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SIZEOF_FLOAT128__)
typedef __float128 wide; /* only +, -, * and /: they need no library */
#else
typedef long double wide;
#endif

/* Whether functions of long double are exact beyond those of double: of 113 bits not in musl, and never to the smallest
 * numbers where a long double is two doubles. */
#if LDBL_MANT_DIG == 64 || (LDBL_MANT_DIG == 113 && defined(__GLIBC__))
enum { HAS_LONG_DOUBLE = 1 };
#else
enum { HAS_LONG_DOUBLE = 0 };
#endif

static uint64_t random_state = 0x9e3779b97f4a7c15;
static inline uint64_t random_bits(void) { /* splitmix64 (Steele, Lea and Flood, 2014) */
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
static inline double random_between(double low, double high) {
    return low + (high - low) * ((double)(random_bits() >> 11) * 0x1p-53);
}
static inline float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline double double_of_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The error of `got` in units in the last place of `want`, in a format of so many bits; the unit of subnormal numbers
 * is that of the smallest normal one. */
static inline double ulp_error(double got, long double want, int mantissa_bits, int min_exponent) {
    int exponent;
    if (isnan((double)want) || isinf((double)want))
        return (isnan(got) && isnan((double)want)) || got == (double)want ? 0 : INFINITY;
    frexpl(want, &exponent);
    if (exponent < min_exponent) exponent = min_exponent;
    double error = (double)fabsl(ldexpl(got - want, mantissa_bits - exponent));
    return isnan(error) ? INFINITY : error;
}
/* The same for float, in double and fast, since it is asked of every float there is; `want` is finite and not 0. */
static inline double ulp_error_f32(double got, double want) {
    uint64_t bits;
    memcpy(&bits, &want, sizeof bits);
    uint64_t exponent = bits >> 52 & 0x7ff;
    if (exponent < 1023 - 126) exponent = 1023 - 126;
    const double error = fabs(got - want) * double_of_bits((1023 + 1023 + FLT_MANT_DIG - 1 - exponent) << 52);
    return isnan(error) ? INFINITY : error;
}
static inline double ulp_error_f64(double got, long double want) {
    return ulp_error(got, want, DBL_MANT_DIG, DBL_MIN_EXP);
}

/* The worst error of a function, and where. */
typedef struct {
    double error, at;
    long long count;
} Worst;

static inline void note(Worst *worst, double error, double at) {
    worst->count++;
    if (error > worst->error) {
        worst->error = error;
        worst->at = at;
    }
}
static inline void report(const char *name, const Worst *worst) {
    printf("%s %.4f %a %lld\n", name, worst->error, worst->at, worst->count);
}

#define REQUIRE(condition, ...)                                             \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
            fprintf(stderr, __VA_ARGS__);                                   \
            fprintf(stderr, "\n");                                          \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

#endif
