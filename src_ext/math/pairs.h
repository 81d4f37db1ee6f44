/* Numbers in two doubles, where one is not enough and long double may be no wider (on Windows, and on ARM processors of
 * Apple): 106 bits, of which about 100 are right after an operation (Dekker 1971, Knuth, Hida, Li and Bailey 2001). A
 * pair has the range of double; a Wide number has an exponent of its own and so no bounds that matter.
 *
 * Beside infinity and NaN the low part is 0. */
#ifndef FASTSOFTMAX_MATH_PAIRS_H
#define FASTSOFTMAX_MATH_PAIRS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define PAIR_INLINE static inline __attribute__((always_inline, unused))
#define PAIR_FUNCTION static __attribute__((noinline, unused))

typedef struct {
    double high, low; /* low is at most half of the last bit of high */
} DoublePair;

PAIR_INLINE DoublePair pair_of(double high, double low) { return (DoublePair){high, low}; }
PAIR_INLINE double pair_value(DoublePair a) { return a.high + a.low; }

/* a + b, exactly, abs(a) >= abs(b); then for any a and b; both finite, and the sum too. */
PAIR_INLINE DoublePair pair_quick_sum(double a, double b) {
    const double sum = a + b;
    return (DoublePair){sum, b - (sum - a)};
}
PAIR_INLINE DoublePair two_sum(double a, double b) {
    const double sum = a + b, part = sum - a;
    return (DoublePair){sum, (a - (sum - part)) + (b - part)};
}

/* a * b, exactly, unless the product is nearly subnormal or overflows. */
PAIR_INLINE DoublePair two_product(double a, double b) {
    const double product = a * b;
#if defined(__FP_FAST_FMA) || defined(__FMA__)
    return (DoublePair){product, __builtin_fma(a, b, -product)};
#else
    int64_t bits[2];
    memcpy(bits, &a, sizeof a);
    memcpy(bits + 1, &b, sizeof b);
    bits[0] &= ~0x7ffffffLL;
    bits[1] &= ~0x7ffffffLL;
    double a1, b1;
    memcpy(&a1, bits, sizeof a);
    memcpy(&b1, bits + 1, sizeof b);
    const double a2 = a - a1, b2 = b - b1;
    return (DoublePair){product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2};
#endif
}

PAIR_INLINE DoublePair pair_plus(DoublePair a, double b) {
    const DoublePair sum = two_sum(a.high, b);
    if (sum.high - sum.high != 0) return (DoublePair){sum.high, 0};
    return pair_quick_sum(sum.high, sum.low + a.low);
}
/* Where a and b have opposite signs the error is 2**-104 of the larger one, as for any sum. */
PAIR_INLINE DoublePair pair_sum(DoublePair a, DoublePair b) {
    const DoublePair high = two_sum(a.high, b.high), low = two_sum(a.low, b.low);
    if (high.high - high.high != 0) return (DoublePair){high.high, 0};
    const DoublePair sum = pair_quick_sum(high.high, high.low + low.high);
    return pair_quick_sum(sum.high, sum.low + low.low);
}
PAIR_INLINE DoublePair pair_minus(DoublePair a) { return (DoublePair){-a.high, -a.low}; }
PAIR_INLINE DoublePair pair_times(DoublePair a, double b) {
    const DoublePair product = two_product(a.high, b);
    if (product.high - product.high != 0) return (DoublePair){product.high, 0};
    return pair_quick_sum(product.high, product.low + a.low * b);
}
PAIR_INLINE DoublePair pair_product(DoublePair a, DoublePair b) {
    const DoublePair product = two_product(a.high, b.high);
    if (product.high - product.high != 0) return (DoublePair){product.high, 0};
    return pair_quick_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}
PAIR_INLINE DoublePair pair_quotient(DoublePair a, DoublePair b) {
    const double quotient = a.high / b.high;
    if (quotient - quotient != 0) return (DoublePair){quotient, 0};
    const DoublePair product = two_product(quotient, b.high);
    const double rest = ((a.high - product.high) - product.low) + (a.low - quotient * b.low);
    return pair_quick_sum(quotient, rest / b.high);
}
/* a * 2**exponent; a product is faster than ldexp. */
PAIR_INLINE DoublePair pair_scaled(DoublePair a, int exponent) {
    if (exponent < -1022 || exponent > 1023) return (DoublePair){ldexp(a.high, exponent), ldexp(a.low, exponent)};
    const int64_t bits = (int64_t)(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return (DoublePair){a.high * power, a.low * power};
}

/* (a - b) / temperature, where a - b may be beyond the range of double. */
PAIR_INLINE DoublePair pair_distance(double a, double b, double temperature) {
    /* at the end of double's range the distance leaves it, and so may the product that tells a quotient's error */
    const double size = fabs(a) < 0x1p1020 && fabs(b) < 0x1p1020 ? 1 : 0.25;
    const DoublePair part = pair_plus(pair_of(size * a, 0), -size * b);
    const DoublePair quotient = temperature == 1 ? part : pair_quotient(part, pair_of(temperature, 0));
    return (DoublePair){quotient.high / size, quotient.low / size};
}

/* exp(x) - 1 for abs(x) < 0.36: x is divided by 8, then three times exp(2 x) - 1 = (exp(x) - 1) * (exp(x) + 1). The
 * terms from x**4 on are so small that double is enough for them. Error: 2**-68 of the result. */
PAIR_INLINE DoublePair pair_expm1_near(DoublePair x) {
    const DoublePair r = {0.125 * x.high, 0.125 * x.low}, square = pair_product(r, r), cube = pair_product(square, r);
    const double v = r.high, sixth = 0x1.5555555555555p-3, sixth_rest = 0x1.5555555555555p-57;
    double rest = 1.0 / 479001600;
    static const double inverses[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                      1.0 / 5040,     1.0 / 720,     1.0 / 120,    1.0 / 24};
    for (int i = 0; i < 8; i++) rest = rest * v + inverses[i];
    rest *= square.high * square.high;
    DoublePair p = pair_plus(pair_product(cube, pair_of(sixth, sixth_rest)), rest);
    p = pair_sum(pair_of(0.5 * square.high, 0.5 * square.low), p);
    p = pair_sum(r, p);
    for (int i = 0; i < 3; i++) p = pair_product(p, pair_plus(p, 2.0));
    return p;
}

/* exp(x) = what is returned * 2**exponent; the former is between 0.7 and 1.42. Error: 2**-66. */
PAIR_FUNCTION DoublePair pair_exp(DoublePair x, int *exponent /* OUT */) {
    *exponent = 0;
    if (!(x.high > -1e8 && x.high < 1e8)) return pair_of(x.high > 0 ? INFINITY : x.high < 0 ? 0 : x.high, 0);
    const double n = rint(x.high * 0x1.71547652b82fep+0);
    /* n has at most 28 bits: the products with the first two parts, of 24 bits each, are exact */
    DoublePair r = pair_plus(x, -n * 0x1.62e42ep-1);
    r = pair_plus(r, -n * 0x1.efa39ep-25);
    r = pair_sum(r, pair_times(pair_of(0x1.e6af278ece601p-50, -0x1.a12a17e1979b3p-109), -n));
    *exponent = (int)n;
    return pair_plus(pair_expm1_near(r), 1.0);
}

/* exp(x) - 1 in the range of double. */
PAIR_FUNCTION DoublePair pair_expm1(DoublePair x) {
    if (fabs(x.high) < 0.35) return pair_expm1_near(x);
    int exponent;
    const DoublePair e = pair_exp(x, &exponent);
    return pair_plus(pair_scaled(e, exponent), -1.0);
}

/* log(1 + x), x > -1, from double's by one step of Newton's method. Error: 2**-64 of the result. */
PAIR_FUNCTION DoublePair pair_log1p(DoublePair x) {
    const double y = log1p(x.high);
    if (!isfinite(y) || y == 0) return pair_of(y, 0);
    const DoublePair difference = pair_sum(x, pair_minus(pair_expm1(pair_of(y, 0))));
    return pair_quick_sum(y, pair_value(difference) / (1 + x.high));
}

/* log(x), x > 0; near 1 as log1p. */
PAIR_FUNCTION DoublePair pair_log(DoublePair x) {
    if (x.high > 0.5 && x.high < 2) return pair_log1p(pair_plus(x, -1.0));
    const double y = log(x.high);
    if (!isfinite(y)) return pair_of(y, 0);
    int exponent;
    const DoublePair inverse = pair_exp(pair_of(-y, 0), &exponent);
    int size;
    const double mantissa = frexp(x.high, &size);
    const DoublePair one = pair_scaled(pair_product(inverse, pair_of(mantissa, ldexp(x.low, -size))), exponent + size);
    return pair_quick_sum(y, pair_value(pair_plus(one, -1.0)));
}

/* ---- with an exponent of their own ---- */

typedef struct {
    DoublePair size; /* abs(high) from 1/2 to 1, or 0; or infinite or NaN */
    long exponent;
} Wide;

PAIR_INLINE Wide wide_normal(DoublePair size, long exponent) {
    int64_t bits;
    memcpy(&bits, &size.high, sizeof bits);
    int more = (int)(bits >> 52 & 0x7ff) - 1022;
    if (more == 1025 || size.high == 0) return (Wide){{size.high, 0}, 0}; /* infinite, NaN or 0 */
    if (more == -1022) frexp(size.high, &more);                           /* subnormal */
    return (Wide){pair_scaled(size, -more), exponent + more};
}
PAIR_INLINE Wide wide_of(double value) { return wide_normal(pair_of(value, 0), 0); }
PAIR_INLINE double wide_value(Wide a) {
    const long bound = 5000, exponent = a.exponent > bound ? bound : a.exponent < -bound ? -bound : a.exponent;
    return ldexp(pair_value(a.size), (int)exponent);
}
PAIR_FUNCTION Wide wide_sum(Wide a, Wide b) {
    if (!isfinite(a.size.high) || !isfinite(b.size.high)) return (Wide){{a.size.high + b.size.high, 0}, 0};
    if (a.size.high == 0 || b.size.high == 0) return a.size.high == 0 ? b : a;
    if (a.exponent < b.exponent) {
        const Wide other = a;
        a = b;
        b = other;
    }
    if (a.exponent - b.exponent > 250) return a;
    return wide_normal(pair_sum(a.size, pair_scaled(b.size, (int)(b.exponent - a.exponent))), a.exponent);
}
PAIR_INLINE Wide wide_product(Wide a, Wide b) {
    return wide_normal(pair_product(a.size, b.size), a.exponent + b.exponent);
}
PAIR_INLINE Wide wide_quotient(Wide a, Wide b) {
    return wide_normal(pair_quotient(a.size, b.size), a.exponent - b.exponent);
}
PAIR_INLINE Wide wide_minus(Wide a) { return (Wide){pair_minus(a.size), a.exponent}; }
/* exp(x), or 0 where it is below 2**-1e8. */
PAIR_FUNCTION Wide wide_exp(Wide x) {
    int exponent;
    const int is_huge = x.exponent > 100, is_tiny = x.exponent < -1000;
    const DoublePair argument =
        is_huge ? pair_of(x.size.high * 1e300, 0) : pair_scaled(x.size, is_tiny ? -1000 : (int)x.exponent);
    const DoublePair e = pair_exp(argument, &exponent);
    return wide_normal(e, exponent);
}
/* exp(x) - 1. */
PAIR_FUNCTION Wide wide_expm1(Wide x) {
    if (x.exponent < -200) return x; /* what is left out is x / 2 of it */
    if (isfinite(x.size.high) && x.exponent < -1)
        return wide_normal(pair_expm1_near(pair_scaled(x.size, (int)x.exponent)), 0);
    return wide_sum(wide_exp(x), wide_of(-1));
}

#endif
