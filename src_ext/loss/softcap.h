/* Soft caps: z = softcap * tanh(x / temperature / softcap), and its slope dz/dx = sech(...)**2 / temperature.
 *
 * A row is computed from the distances z - m of its capped maximum m, in two parts of the dtype each: the second is what
 * rounding has taken from the first. exp takes both, so that caps cost no digit. What is asked for decides how:
 *
 * CAP_SERIES  float rows, abs(u) <= 1/2 for u = x / temperature / softcap: tanh(u) = u * P(u**2) in double.
 * CAP_EXP     with e = exp(-2 * abs(u)), tanh(abs(u)) = (1 - e) / (1 + e): float in double, double in pairs of doubles.
 * CAP_WIDE    caps and logits so large that z - m would lose the digits of x - m: softcap_row and, for double,
 *             capped_row_extended, one row at a time.
 *
 * CAP_MIXED is for lanes of which some take the series and the others exp. A row's own logits decide, or the options alone: no bit
 * depends on other rows.
 *
 * The wide rows use, for u the argument of m and v that of z, of one sign,
 *
 *     tanh(u) - tanh(v) = sinh(u - v) / (cosh(u) * cosh(v)) = 2 * (1 - exp(-2 * (u - v))) * max(a, b) / ((1 + a) * (1 + b))
 *
 * for a = exp(-2 * abs(u)), b = exp(-2 * abs(v)); of two signs, two tanh are added. Wide double rows are computed in long
 * double from end to end: slow, exact, and where long double is no wider than double, good to 16 ULP. */
#ifndef FASTSOFTMAX_SOFTCAP_H
#define FASTSOFTMAX_SOFTCAP_H

#include "softmax/primitives.h"

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define HAS_FUSED_PRODUCTS 1
#else
#define HAS_FUSED_PRODUCTS 0
#endif

enum { CAP_WIDE, CAP_SERIES, CAP_EXP, CAP_MIXED };

typedef struct {
    double softcap, largest_of_series; /* logits of the series are no larger; those of a double row have none */
    double argument, argument_error;   /* 1 / (temperature * softcap), in two parts */
    int method;
} Cap;

/* Choose how to compute logits of at most `size`, in absolute value; infinity: by the options alone. */
static inline Cap plan_cap(double softcap, double temperature, double size, int is_double) {
    const double product = temperature * softcap, error = fma(temperature, softcap, -product), z = size / temperature;
    Cap cap = {softcap, -1, 1 / product, 0, CAP_WIDE};
    cap.argument_error = (fma(-cap.argument, product, 1) - cap.argument * error) / product;
    const double bound = softcap < z ? softcap : z; /* of abs(capped) */
    if (!(product > 0x1p-900 && product < 0x1p900 && temperature > 0x1p-900 && temperature < 0x1p900)) return cap;
    if (is_double) {
#if HAS_FUSED_PRODUCTS /* else the gradient would err by up to 4.5 ULP */
        if (softcap <= 64) cap.method = CAP_EXP;
#endif
        return cap;
    }
    cap.largest_of_series = fmin(0.5 * product, 0x1p10 * temperature);
    if (size <= cap.largest_of_series) cap.method = CAP_SERIES;
    else if (bound <= 0x1p20) cap.method = CAP_EXP;
    return cap;
}

/* ---- doubles that end as float ---- */

/* e = exp(-y), and 1 - e with all its digits, for y >= 0: near 0 the polynomial of exp is that difference. */
INLINE void exp_of_minus(vec_f64 y, const exp_frame_f64 *f, vec_f64 *e, vec_f64 *less /* OUT */) {
    vec_f64 p = -y, t;
    exp_reduce_pairs_f64(&p, NULL, &t, 1, f, 0);
    *e = times_power_f64(p, t, LOWEST_POWER_F64 - (vec_f64){0}) / f->unit;
    const ivec_f64 near = t == f->rounder;
    *less = select_f64(near, -p, 1.0 - *e);
}

/* tanh(u) for abs(u) <= 1/2. P is minimax for the relative error: 2**-42.3. */
INLINE vec_f64 tanh_by_series(vec_f64 x, const Cap *cap, vec_f64 *slope /* OUT */) {
    const vec_f64 u = x * cap->argument, w = u * u, w2 = w * w, w4 = w2 * w2;
    const vec_f64 p01 = -0x1.55555553b2684p-2 * w + 0x1.ffffffffff976p-1,
                  p23 = -0x1.ba1b16a0aac88p-5 * w + 0x1.11110ffd09947p-3;
    const vec_f64 p45 = -0x1.21406644cabeap-7 * w + 0x1.663dfb00afd78p-6,
                  p67 = -0x1.0235d5dea12fbp-10 * w + 0x1.bfa8cf548b361p-9;
    const vec_f64 p = (p01 + w2 * p23) + w4 * (p45 + w2 * p67), tanh_of_u = u * p;
    *slope = 1.0 - tanh_of_u * tanh_of_u;
    return tanh_of_u;
}

INLINE vec_f64 tanh_by_exp(vec_f64 x, const Cap *cap, const exp_frame_f64 *f, vec_f64 *slope /* OUT */) {
    vec_f64 e, less;
    exp_of_minus(abs_f64(x * (2 * cap->argument)), f, &e, &less);
    const vec_f64 inverse = 1.0 / (1.0 + e), size = less * inverse;
    *slope = 4.0 * e * (inverse * inverse);
    return select_f64(x < 0.0, -size, size);
}

typedef struct {
    vec_f64 z[LANES_F32 / LANES_F64]; /* of each half of the floats */
} capped_max_f32;

/* Which lanes take the series, in two halves. */
typedef struct {
    ivec_f64 low, high;
} cap_lanes_f32;

INLINE cap_lanes_f32 lanes_of_series_f32(vec_f32 size, const Cap *cap) {
    return (cap_lanes_f32){widen_low(size) <= cap->largest_of_series, widen_high(size) <= cap->largest_of_series};
}
INLINE int method_of_lanes_f32(vec_f32 size, const Cap *cap) {
    const cap_lanes_f32 series = lanes_of_series_f32(size, cap);
    int n = 0;
    for (int i = 0; i < LANES_F64; i++) n += (series.low[i] != 0) + (series.high[i] != 0);
    return n == 0 ? CAP_EXP : n == LANES_F32 ? CAP_SERIES : CAP_MIXED;
}

/* softcap * tanh(u). The product comes last, whatever the method, so that what the compiler fuses it with is the same. */
INLINE vec_f64 cap_doubles(vec_f64 x, const Cap *cap, const exp_frame_f64 *f, int method, ivec_f64 series,
                           vec_f64 *slope /* OUT */) {
    vec_f64 tanh_of_u;
    if (method == CAP_SERIES) {
        tanh_of_u = tanh_by_series(x, cap, slope);
    } else if (method == CAP_EXP) {
        tanh_of_u = tanh_by_exp(x, cap, f, slope);
    } else {
        vec_f64 slope_of_series;
        const vec_f64 by_series = tanh_by_series(x, cap, &slope_of_series);
        tanh_of_u = select_f64(series, by_series, tanh_by_exp(x, cap, f, slope));
        *slope = select_f64(series, slope_of_series, *slope);
    }
    return cap->softcap * tanh_of_u;
}
INLINE capped_max_f32 cap_max_f32(vec_f32 m, const Cap *cap, const exp_frame_f64 *f, int method,
                                  const cap_lanes_f32 *series) {
    vec_f64 slope;
    return (capped_max_f32){{cap_doubles(widen_low(m), cap, f, method, series->low, &slope),
                             cap_doubles(widen_high(m), cap, f, method, series->high, &slope)}};
}
INLINE void capped_max_to_doubles_f32(const capped_max_f32 *m, double *out) { memcpy(out, m->z, sizeof m->z); }

/* z - m, 0 where x is the maximum. */
INLINE vec_f32 cap_distance_f32(vec_f32 x, vec_f32 max, const capped_max_f32 *m, const Cap *cap, const exp_frame_f64 *f,
                                int method, const cap_lanes_f32 *series, vec_f32 *low, vec_f32 *slope,
                                vec_f32 *slope_low /* OUT */) {
    vec_f64 s[2];
    const vec_f64 d0 = cap_doubles(widen_low(x), cap, f, method, series->low, &s[0]) - m->z[0];
    const vec_f64 d1 = cap_doubles(widen_high(x), cap, f, method, series->high, &s[1]) - m->z[1];
    const vec_f32 high = narrow(d0, d1);
    *low = zero_equal_f32(narrow(d0 - widen_low(high), d1 - widen_high(high)), x, max);
    s[0] *= UNIT_F32, s[1] *= UNIT_F32;
    *slope = narrow(s[0], s[1]);
    *slope_low = narrow(s[0] - widen_low(*slope), s[1] - widen_high(*slope));
    return zero_equal_f32(high, x, max);
}

/* ---- doubles in pairs ---- */

#define LONGEST_ARGUMENT 760.0 /* of exp: beyond, the slope is 2**-74 of the smallest normal number */

#include "simd/float64.h"

/* (exp(r) - 1 - r) / r**2 for abs(r) <= ln2 / 16: what is left out is 2**-67 of exp(r). */
INLINE vec_f64 exp_taylor(vec_f64 r) {
    const vec_f64 r2 = r * r, r4 = r2 * r2;
    const vec_f64 c01 = 1.0 / 6 * r + 0.5, c23 = 1.0 / 120 * r + 1.0 / 24, c45 = 1.0 / 5040 * r + 1.0 / 720;
    const vec_f64 c67 = 1.0 / 362880 * r + 1.0 / 40320;
    return (c01 + r2 * c23) + r4 * (c45 + r2 * c67);
}

/* power * exp(r + r_low) in two parts. */
#if POWER_BITS_F64 == 3
/* What the entries of the table of 2**n have lost by rounding, relative to them. */
static const double power_table_error[8] __attribute__((aligned(64))) = {0,
                                                                         -0x1.01b15eaa59348p-55,
                                                                         0x1.34d754db0abb6p-55,
                                                                         0x1.690cebb7aafb0p-56,
                                                                         -0x1.3b3efbf5e2228p-54,
                                                                         0x1.db72fc1f0eab4p-55,
                                                                         0x1.c1a7792cb3387p-55,
                                                                         0x1.4a385a63d07a7p-56};
INLINE vec_f64 exp_in_pairs(vec_f64 r, vec_f64 r_low, vec_f64 t, vec_f64 power, vec_f64 *low /* OUT */) {
    const vec_f64 error = (vec_f64)lookup_f64((const int64_t *)power_table_error, (ivec_f64)t);
    const vec_f64 rest = r * r * exp_taylor(r), p = r + rest;
    const vec_f64 p_low = ((r - p) + rest) + (r_low + r_low * p + error);
    const vec_f64 e = less_product_f64(power, -power, p);
    *low = less_product_f64(power - e, -power, p) + power * p_low;
    return e;
}
#else
/* Without a table r is larger: exp(r / 8)**8. */
INLINE vec_f64 exp_in_pairs(vec_f64 r, vec_f64 r_low, vec_f64 t, vec_f64 power, vec_f64 *low /* OUT */) {
    (void)t;
    const vec_f64 h = 0.125 * r, rest = h * h * exp_taylor(h), p = h + rest;
    const vec_f64 p_low = ((h - p) + rest) + 0.125 * (r_low + r_low * p);
    vec_f64 e = 1.0 + p, e_low = ((1.0 - e) + p) + p_low;
    for (int i = 0; i < 3; i++) {
        const vec_f64 square = e * e;
        e_low = product_error_f64(e, e, square) + 2.0 * e * e_low;
        e = square;
    }
    *low = power * e_low;
    return power * e;
}
#endif

/* softcap * tanh(u) in two parts: error 2**-59 of the cap. The slope times UNIT_F64. Each product that an addition follows goes through an intrinsic or
 * bits, so that no compiler fuses them. */
INLINE vec_f64 cap_in_pairs(vec_f64 x, const Cap *cap, const exp_frame_f64 *f, vec_f64 *low, vec_f64 *slope,
                            vec_f64 *slope_low /* OUT */) {
    const vec_f64 zero = {0}, bound = LONGEST_ARGUMENT / (2 * cap->argument) + zero, twice = 2 * cap->argument + zero;
    const vec_f64 size = select_f64(abs_f64(x) > bound, bound, abs_f64(x));
    const vec_f64 y = size * twice, y_low = product_error_f64(size, twice, y) + size * (2 * cap->argument_error);
    /* e = exp(-y) in two parts */
    const vec_f64 t = f->rounder - y * LOG2_E, n = t - f->rounder;
    const vec_f64 first = less_product_f64(-y, n, LN2_HIGH + zero), r = less_product_f64(first, n, LN2_LOW + zero);
    const vec_f64 r_low = less_product_f64(first - r, n, LN2_LOW + zero) - y_low;
    vec_f64 large_low; /* times UNIT_F64 */
    const vec_f64 large = exp_in_pairs(r, r_low, t, power_f64(t), &large_low);
    const vec_f64 e = large * (1 / UNIT_F64), e_low = large_low * (1 / UNIT_F64);
    /* (1 - e) / (1 + e) in two parts */
    const vec_f64 top = 1.0 - e, top_low = ((1.0 - top) - e) - e_low;
    const vec_f64 bottom = 1.0 + e, bottom_low = ((1.0 - bottom) + e) + e_low;
    const vec_f64 inverse = 1.0 / bottom, quotient = top * inverse;
    const vec_f64 quotient_low = (top_low - product_error_f64(quotient, bottom, top) - quotient * bottom_low) * inverse;
    const vec_f64 z = quotient * cap->softcap;
    const vec_f64 z_low = product_error_f64(quotient, cap->softcap + zero, z) + cap->softcap * quotient_low;
    /* 4 * e / (1 + e)**2, the roundings put back */
    const vec_f64 lost =
        -product_error_f64(bottom, inverse, 1.0 + zero) - bottom_low * inverse; /* relative, of 1 / (1 + e) */
    const vec_f64 half = large * inverse, whole = half * inverse;
    const vec_f64 rest_of_slope = product_error_f64(half, inverse, whole) +
                                  inverse * product_error_f64(large, inverse, half) + inverse * inverse * large_low +
                                  2.0 * whole * lost;
    const vec_f64 counted = (vec_f64)((ivec_f64)rest_of_slope & (abs_f64(rest_of_slope) < UNIT_F64));
    const vec_f64 sum = whole + counted;
    *slope = 4.0 * sum, *slope_low = 4.0 * ((whole - sum) + counted);
    const ivec_f64 sign = (ivec_f64)x & INT64_MIN;
    *low = (vec_f64)((ivec_f64)z_low ^ sign);
    return (vec_f64)((ivec_f64)z ^ sign);
}

#include "simd/end_real.h"

typedef struct {
    vec_f64 z, low;
} capped_max_f64;

/* Doubles have one method. */
typedef struct {
    int none;
} cap_lanes_f64;

INLINE cap_lanes_f64 lanes_of_series_f64(vec_f64 size, const Cap *cap) {
    (void)size, (void)cap;
    return (cap_lanes_f64){0};
}
INLINE int method_of_lanes_f64(vec_f64 size, const Cap *cap) {
    (void)size, (void)cap;
    return CAP_EXP;
}

INLINE capped_max_f64 cap_max_f64(vec_f64 m, const Cap *cap, const exp_frame_f64 *f, int method,
                                  const cap_lanes_f64 *series) {
    (void)method, (void)series;
    capped_max_f64 result;
    vec_f64 slope, slope_low;
    result.z = cap_in_pairs(m, cap, f, &result.low, &slope, &slope_low);
    return result;
}
INLINE void capped_max_to_doubles_f64(const capped_max_f64 *m, double *out) {
    const vec_f64 whole = m->z + m->low;
    memcpy(out, &whole, sizeof whole);
}

INLINE vec_f64 cap_distance_f64(vec_f64 x, vec_f64 max, const capped_max_f64 *m, const Cap *cap, const exp_frame_f64 *f,
                                int method, const cap_lanes_f64 *series, vec_f64 *low, vec_f64 *slope,
                                vec_f64 *slope_low /* OUT */) {
    (void)method, (void)series;
    vec_f64 z_low;
    const vec_f64 z = cap_in_pairs(x, cap, f, &z_low, slope, slope_low);
    const vec_f64 d = z - m->z, part = d - z, d_low = ((z - (d - part)) - (m->z + part)) + (z_low - m->low);
    const vec_f64 high = d + d_low;
    *low = zero_equal_f64((d - high) + d_low, x, max);
    return zero_equal_f64(high, x, max);
}

/* ---- rows and tiles ---- */

#include "simd/float32.h"
#include "loss/softcap_passes.h"
#include "simd/end_real.h"

#include "simd/float64.h"
#include "loss/softcap_passes.h"
#include "simd/end_real.h"

#define row_sizes(x, ...) INSTANCE(row_sizes, x)(x, __VA_ARGS__)
#define row_cap(x, ...) INSTANCE(row_cap, x)(x, __VA_ARGS__)
#define lanes_cap(tile, ...) INSTANCE(lanes_cap, tile)(tile, __VA_ARGS__)
#define times_slopes(grad, ...) INSTANCE(times_slopes, grad)(grad, __VA_ARGS__)

/* ---- wide rows ---- */

/* For rows that end in float: z - m of doubles x with the largest x, and the slopes. x and z may be the same. */
static void softcap_row(const double *x, double *z, double *slope, Py_ssize_t n, double max, double temperature,
                        double softcap) {
    const exp_frame_f64 f = exp_setup_f64((vec_f64){0}, 1, 0);
    const double twice = 2 / temperature / softcap, flattest = 4 / temperature;
    const vec_f64 m = max - (vec_f64){0};
    vec_f64 a, a_less;
    exp_of_minus(abs_f64(m * twice), &f, &a, &a_less);
    const vec_f64 tanh_of_m = a_less / (1.0 + a);
    for (Py_ssize_t i = 0; i < n; i += LANES_F64) {
        Py_ssize_t k = n - i < LANES_F64 ? n - i : LANES_F64;
        const vec_f64 v = load_part_f64(x + i, k, m);
        vec_f64 b, b_less, nearness, apart;
        exp_of_minus(abs_f64(v * twice), &f, &b, &b_less);
        exp_of_minus((m - v) * twice, &f, &nearness, &apart);
        const vec_f64 sum = 1.0 + b;
        const vec_f64 alike = 2.0 * max_f64(a, b) * apart / (sum * (1.0 + a)), added = tanh_of_m + b_less / sum;
        const ivec_f64 differs = (m >= 0) & (v < 0);
        const vec_f64 distance = softcap * (vec_f64)((differs & (ivec_f64)added) | (~differs & (ivec_f64)alike));
        store_part_f64(z + i, k, -zero_equal_f64(distance, v, m));
        store_part_f64(slope + i, k, flattest * b / (sum * sum));
    }
}

/* sech(u)**2 / temperature as 4 * e / (1 + e)**2 with e = exp(-2 * abs(u)): it keeps its digits where tanh is near 1. */
static inline long double cap_slope(double x, double temperature, double softcap) {
    const long double e = expl(-2 * fabsl((long double)x / temperature / softcap));
    return 4 * e / ((1 + e) * (1 + e)) / temperature;
}

/* z - m of one row of doubles with the largest x; then S' and sums over dense targets t (or NULL). */
static void capped_row_extended(const double *x, long double *z, const double *t, Py_ssize_t n, double max,
                                double temperature, double softcap, long double *others, long double *distance,
                                double *total /* OUT */) {
    const long double u = (long double)max / temperature / softcap, a = expl(-2 * fabsl(u));
    Py_ssize_t n_max = 0, n_nan = 0;
    long double sum_of_t = 0;
    *others = *distance = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        const long double v = (long double)x[i] / temperature / softcap;
        if (x[i] == max) {
            z[i] = 0;
            n_max++;
        } else {
            if (max >= 0 && x[i] < 0) {
                z[i] = softcap * (tanhl(v) - tanhl(u));
            } else {
                const long double b = expl(-2 * fabsl(v)), apart = ((long double)max - x[i]) / temperature / softcap;
                z[i] = softcap * (2 * (a > b ? a : b) * expm1l(-2 * apart) / ((1 + a) * (1 + b)));
            }
            *others += expl(z[i]);
        }
        n_nan += isnan(z[i]) != 0;
        if (t && t[i] != 0) {
            *distance -= t[i] * z[i];
            sum_of_t += t[i];
        }
    }
    *total = (double)sum_of_t;
    *others = n_nan ? NAN : *others + (n_max - 1);
}

/* grad = (share * p - t) * scale * slope, p from z - m and S'. */
static void capped_grad_extended(const double *x, const long double *z, const double *t, double *grad, Py_ssize_t n,
                                 double temperature, double softcap, long double others, long double share,
                                 long double scale) {
    for (Py_ssize_t i = 0; i < n; i++) {
        const long double p = expl(z[i]) / (1 + others);
        grad[i] = (double)((share * p - (t ? t[i] : 0)) * scale * cap_slope(x[i], temperature, softcap));
    }
}

#endif
