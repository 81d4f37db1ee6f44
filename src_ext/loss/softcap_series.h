/* Template for one REAL: softcap * tanh(v / softcap) in two parts for abs(v) <= softcap / 2.
 * Included by loss/softcap.h.
 *
 * With k = 1 / softcap**2 and tanh(u) = u - u**3 / 3 + u**5 * H(u**2),
 *
 *     z = v - v**3 * (k / 3) + v**5 * k**2 * H(k * v**2)
 *
 * v**3 and its product with k / 3 are in two parts, the last term is not: it is less than a tenth of the second, which
 * is less than a twelfth of v. So z errs by 2**-26 (float) or 2**-55 (double) of what the cap takes from v. H is
 * minimax for the relative error of that: float 2**-31.1, double 2**-56.8. Products are what limits the speed: 14 a
 * float. */
#ifndef REAL /* opened alone: by softcap.h */
#include "loss/softcap.h"
#else

typedef struct {
    REAL slope, slope_error; /* 1 / temperature */
    REAL square;             /* k, */
    REAL third, third_low;   /* and a third of it */
    REAL rest[FN(CAP_REST)]; /* k**2 * H: the factors of v**0, v**2 and so on */
} FN(cap_series);

static inline FN(cap_series) FN(plan_series)(double softcap, double temperature) {
    const double inverse = 1 / softcap, inverse_low = fma(-inverse, softcap, 1) / softcap;
    const double square = inverse * inverse, square_low = fma(inverse, inverse, -square) + 2 * inverse * inverse_low;
    const double third = square / 3, third_low = (fma(-3, third, square) + square_low) / 3;
    FN(cap_series) s;
    FN(slope_parts)(temperature, &s.slope, &s.slope_error);
    s.square = (REAL)square;
    s.third = (REAL)third, s.third_low = (REAL)(third - s.third + third_low);
    double power = square;
    for (int i = 0; i < FN(CAP_REST); i++) {
        power *= square;
        const double factor = FN(cap_rest)[i] * power;
        s.rest[i] = fabs(factor) < REAL_MIN_NORMAL ? 0 : (REAL)factor; /* then its term is nothing beside v */
    }
    return s;
}

/* z and, in `low`, what rounding has taken from it; UNIT_POWER * sech(...)**2 in two parts. */
INLINE VEC FN(cap_by_series)(VEC x, const FN(cap_series) * s, int with_temperature, VEC *low, VEC *slope,
                             VEC *slope_low /* OUT */) {
    VEC v = x, v_low = {0};
    if (with_temperature) {
        v = x * s->slope;
        v_low = FN(product_error)(x, FN(all)(s->slope), v) + x * s->slope_error;
    }
    const VEC square = v * v, square_low = FN(product_error)(v, v, square);
    const VEC cube = v * square, cube_low = FN(product_error)(v, square, cube) + v * square_low;
    VEC h = FN(all)(s->rest[FN(CAP_REST) - 1]);
    for (int i = FN(CAP_REST) - 2; i >= 0; i--) h = h * square + s->rest[i];
    const VEC rest = cube * (square * h - s->third_low), third = FN(all)(s->third);
    const VEC sum = v + rest, sum_low = rest - (sum - v);
    const VEC z = FN(less_product)(sum, cube, third);
    *low = FN(less_product)(FN(less_product)(sum - z, cube, third) + sum_low, cube_low, third);
#if !HAS_FUSED_PRODUCTS
    *low = *low - FN(product_error)(cube, third, cube * third);
#endif
    if (with_temperature) {
        const VEC w = square * s->square;
        *low = *low + v_low * (1 - w * (1 - w * (REAL)(2.0 / 3)));
    }
    /* 1 - (z / softcap)**2 */
    const VEC zz = z * z, zz_low = FN(product_error)(z, z, zz) + (z + z) * *low;
    const VEC k = FN(all)(s->square * UNIT_POWER), one = FN(all)(UNIT_POWER);
    *slope = FN(less_product)(one, zz, k);
    *slope_low = FN(less_product)(FN(less_product)(one - *slope, zz, k), zz_low, k);
    return z;
}

#endif
