/* Soft caps: z = softcap * tanh(x / temperature / softcap), and its slope dz/dx = sech(...)**2 / temperature.
 *
 * A row is computed from z in two parts of the dtype: the second is what rounding has taken from the first, less that
 * of the maximum. exp takes both, so that caps cost no digit. What is asked for decides how:
 *
 * CAP_SERIES  abs(u) <= 1/2 for u = x / temperature / softcap, and z of ordinary size: see loss/softcap_series.h.
 * CAP_EXP     with e = exp(-2 * abs(u)), tanh(abs(u)) = (1 - e) / (1 + e): float in double, double in pairs of doubles.
 * CAP_WIDE    caps and logits so large that z - m would lose the digits of x - m: softcap_row and, for double,
 *             capped_row_wide, one row at a time.
 *
 * CAP_MIXED is for lanes of which some take the series and the others exp. A row's own logits decide, or the options
 * alone: no bit depends on other rows.
 *
 * The wide rows use, for u the argument of m and v that of z, of one sign,
 *
 *     tanh(u) - tanh(v) = sinh(u - v) / (cosh(u) * cosh(v))
 *                       = 2 * (1 - exp(-2 * (u - v))) * max(a, b) / ((1 + a) * (1 + b))
 *
 * for a = exp(-2 * abs(u)), b = exp(-2 * abs(v)); of two signs, two tanh are added. Wide rows of doubles are computed
 * in CapNumber from end to end: slow, and right everywhere. */
#ifndef FASTSOFTMAX_SOFTCAP_H
#define FASTSOFTMAX_SOFTCAP_H

#include <float.h>

#include "math/pairs.h"
#include "softmax/primitives.h"

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define HAS_FUSED_PRODUCTS 1
#else
#define HAS_FUSED_PRODUCTS 0
#endif

enum { CAP_WIDE, CAP_SERIES, CAP_EXP, CAP_MIXED };
enum { CAP_GROUP = 2 }; /* vectors that are capped in step */

/* H of loss/softcap_series.h, from the lowest power of w on. */
enum { CAP_REST_f32 = 5, CAP_REST_f64 = 11 };
static const double cap_rest_f32[CAP_REST_f32] = {0x1.11110d89cb05dp-3, -0x1.ba187bb68c599p-5, 0x1.65d99b0167902p-6,
                                                  -0x1.1ad49c63ed730p-7, 0x1.610e639a8e287p-9};
static const double cap_rest_f64[CAP_REST_f64] = {
    0x1.1111111111110p-3,  -0x1.ba1ba1ba1b788p-5,  0x1.664f4882a7063p-6,  -0x1.226e355634e4ap-7,
    0x1.d6d3cddc6eff7p-9,  -0x1.7da30ac110f2fp-10, 0x1.3551501a6e9c8p-11, -0x1.f4caec81ac134p-13,
    0x1.90697103cb56dp-14, -0x1.271e1c4997359p-15, 0x1.2a0798441c406p-17};

#include "simd/float32.h"
#include "loss/softcap_series.h"
#include "simd/end_real.h"

#include "simd/float64.h"
#include "loss/softcap_series.h"
#include "simd/end_real.h"

typedef struct {
    double softcap;
    double argument, argument_error;          /* 1 / (temperature * softcap), in two parts */
    double largest_of_series, largest_of_exp; /* the largest size of logits that each method is for; -1: none */
    int with_temperature;
    cap_series_f32 series_f32;
    cap_series_f64 series_f64;
} Cap;

static inline int is_moderate(double value, double exponent) { return value > 1 / exponent && value < exponent; }

static inline Cap plan_cap(double softcap, double temperature, int is_double) {
    const double product = temperature * softcap, error = fma(temperature, softcap, -product);
    Cap cap = {.softcap = softcap, .argument = 1 / product, .largest_of_series = -1, .largest_of_exp = -1};
    cap.argument_error = (fma(-cap.argument, product, 1) - cap.argument * error) / product;
    cap.with_temperature = temperature != 1;
    if (!is_moderate(product, 0x1p900) || !is_moderate(temperature, 0x1p900)) return cap;
#if !HAS_FUSED_PRODUCTS /* the gradient of doubles would err by up to 4.5 ULP */
    if (is_double) return cap;
#endif
    if (softcap > 0x1p-8 && softcap < 0x1p20 && is_moderate(temperature, 0x1p20)) {
        cap.largest_of_series = fmin(0.5 * softcap, 32) * temperature;
        if (is_double) cap.series_f64 = plan_series_f64(softcap, temperature);
        else cap.series_f32 = plan_series_f32(softcap, temperature);
    }
    if (is_double) cap.largest_of_exp = softcap <= 64 ? INFINITY : -1;
    else cap.largest_of_exp = softcap <= 0x1p20 ? INFINITY : 0x1p20 * temperature;
    return cap;
}

/* How to compute a row of logits of at most `size`, in absolute value; infinity: by the options alone. */
static inline int cap_method(const Cap *cap, double size) {
    return size <= cap->largest_of_series ? CAP_SERIES : size <= cap->largest_of_exp ? CAP_EXP : CAP_WIDE;
}

/* ---- doubles that end as float ---- */

#define EACH for (int k = 0; k < count; k++)

/* e = exp(-y), and 1 - e with all its digits, for `count` vectors y >= 0: near 0 the polynomial of exp is
 * that difference. */
INLINE void exp_of_minus(const vec_f64 *y, int count, const exp_frame_f64 *f, vec_f64 *e, vec_f64 *less /* OUT */) {
    vec_f64 p[2 * CAP_GROUP], t[2 * CAP_GROUP];
    EACH p[k] = -y[k];
    for (int k = 0; k < count; k += EXP_GROUP)
        exp_reduce_pairs_f64(p + k, NULL, t + k, count - k < EXP_GROUP ? count - k : EXP_GROUP, f, 0);
    EACH e[k] = times_power_f64(p[k], t[k], LOWEST_POWER_F64 - (vec_f64){0}) * (1 / UNIT_F64);
    EACH less[k] = where_equal_f64(1.0 - e[k], (ivec_f64)t[k], (ivec_f64)f->rounder, -p[k]);
}

/* softcap * tanh(u) of `count` vectors. */
INLINE void cap_doubles(const vec_f64 *x, int count, const Cap *cap, const exp_frame_f64 *f, vec_f64 *z,
                        vec_f64 *slope /* OUT */) {
    vec_f64 y[2 * CAP_GROUP], e[2 * CAP_GROUP], less[2 * CAP_GROUP], inverse[2 * CAP_GROUP];
    EACH y[k] = abs_f64(x[k] * (2 * cap->argument));
    exp_of_minus(y, count, f, e, less);
    EACH inverse[k] = 1.0 / (1.0 + e[k]);
    EACH slope[k] = 4.0 * e[k] * (inverse[k] * inverse[k]);
    EACH z[k] = (vec_f64)((ivec_f64)(cap->softcap * (less[k] * inverse[k])) ^ ((ivec_f64)x[k] & INT64_MIN));
}

INLINE void cap_by_exp_f32(const vec_f32 *x, int count, const Cap *cap, const exp_frame_f64 *f, vec_f32 *z,
                           vec_f32 *low, vec_f32 *slope, vec_f32 *slope_low /* OUT */) {
    vec_f64 wide[2 * CAP_GROUP], slopes[2 * CAP_GROUP];
    EACH wide[2 * k] = widen_low(x[k]), wide[2 * k + 1] = widen_high(x[k]);
    cap_doubles(wide, 2 * count, cap, f, wide, slopes);
    for (int k = 0; k < 2 * count; k++) slopes[k] *= UNIT_F32;
    EACH {
        z[k] = narrow(wide[2 * k], wide[2 * k + 1]);
        low[k] = narrow(wide[2 * k] - widen_low(z[k]), wide[2 * k + 1] - widen_high(z[k]));
        slope[k] = narrow(slopes[2 * k], slopes[2 * k + 1]);
        slope_low[k] = narrow(slopes[2 * k] - widen_low(slope[k]), slopes[2 * k + 1] - widen_high(slope[k]));
    }
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

/* softcap * tanh(u) in two parts: error 2**-59 of the cap. The slope times UNIT_F64. Each product that an addition
 * follows goes through an intrinsic or bits, so that no compiler fuses them. */
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

INLINE void cap_by_exp_f64(const vec_f64 *x, int count, const Cap *cap, const exp_frame_f64 *f, vec_f64 *z,
                           vec_f64 *low, vec_f64 *slope, vec_f64 *slope_low /* OUT */) {
    EACH z[k] = cap_in_pairs(x[k], cap, f, low + k, slope + k, slope_low + k);
}

/* ---- rows and tiles ---- */

#include "simd/float32.h"
#include "loss/softcap_passes.h"
#include "simd/end_real.h"

#include "simd/float64.h"
#include "loss/softcap_passes.h"
#include "simd/end_real.h"

#undef EACH

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
    const vec_f64 size = abs_f64(m * twice);
    exp_of_minus(&size, 1, &f, &a, &a_less);
    const vec_f64 tanh_of_m = a_less / (1.0 + a);
    for (Py_ssize_t i = 0; i < n; i += LANES_F64) {
        Py_ssize_t k = n - i < LANES_F64 ? n - i : LANES_F64;
        const vec_f64 v = load_part_f64(x + i, k, m);
        vec_f64 b, b_less, nearness, apart;
        const vec_f64 argument = abs_f64(v * twice), distance_of_arguments = (m - v) * twice;
        exp_of_minus(&argument, 1, &f, &b, &b_less);
        exp_of_minus(&distance_of_arguments, 1, &f, &nearness, &apart);
        const vec_f64 sum = 1.0 + b;
        const vec_f64 alike = 2.0 * max_f64(a, b) * apart / (sum * (1.0 + a)), added = tanh_of_m + b_less / sum;
        const ivec_f64 differs = (m >= 0) & (v < 0);
        const vec_f64 distance = softcap * (vec_f64)((differs & (ivec_f64)added) | (~differs & (ivec_f64)alike));
        store_part_f64(z + i, k, -zero_equal_f64(distance, v, m));
        store_part_f64(slope + i, k, flattest * b / (sum * sum));
    }
}

/* What wide rows of doubles are computed in: 64 bits and more, in a range without bounds that matter. The long double
 * of x87 is four times as fast as pairs of doubles; elsewhere it is double, or computed by software. */
#if defined(__x86_64__) && LDBL_MANT_DIG == 64
typedef long double CapNumber;
static inline CapNumber cap_of(double value) { return value; }
static inline double cap_value(CapNumber a) { return (double)a; }
static inline CapNumber cap_sum(CapNumber a, CapNumber b) { return a + b; }
static inline CapNumber cap_product(CapNumber a, CapNumber b) { return a * b; }
static inline CapNumber cap_quotient(CapNumber a, CapNumber b) { return a / b; }
static inline CapNumber cap_minus(CapNumber a) { return -a; }
static inline CapNumber cap_size(CapNumber a) { return fabsl(a); }
static inline CapNumber cap_exp(CapNumber a) { return expl(a); }
static inline CapNumber cap_expm1(CapNumber a) { return expm1l(a); }
#else
typedef Wide CapNumber;
static inline CapNumber cap_of(double value) { return wide_of(value); }
static inline double cap_value(CapNumber a) { return wide_value(a); }
static inline CapNumber cap_sum(CapNumber a, CapNumber b) { return wide_sum(a, b); }
static inline CapNumber cap_product(CapNumber a, CapNumber b) { return wide_product(a, b); }
static inline CapNumber cap_quotient(CapNumber a, CapNumber b) { return wide_quotient(a, b); }
static inline CapNumber cap_minus(CapNumber a) { return wide_minus(a); }
static inline CapNumber cap_size(CapNumber a) { return a.size.high < 0 ? wide_minus(a) : a; }
static inline CapNumber cap_exp(CapNumber a) { return wide_exp(a); }
static inline CapNumber cap_expm1(CapNumber a) { return wide_expm1(a); }
#endif

typedef struct {
    CapNumber softcap, half_unit;    /* u is x / (2 * half_unit) */
    CapNumber flattest;              /* 4 / temperature */
    CapNumber tanh_of_max, e_of_max; /* of the size of u: tanh, and exp(-2 * u) */
    double max;
} WideCap;

/* -2 * abs(u) */
static inline CapNumber cap_exponent(const WideCap *cap, CapNumber x) {
    return cap_minus(cap_size(cap_quotient(x, cap->half_unit)));
}

static WideCap plan_wide_cap(double max, double temperature, double softcap) {
    WideCap cap = {.max = max, .softcap = cap_of(softcap), .flattest = cap_quotient(cap_of(4), cap_of(temperature))};
    cap.half_unit = cap_product(cap_product(cap_of(temperature), cap_of(0.5)), cap.softcap);
    const CapNumber exponent = cap_exponent(&cap, cap_of(max));
    cap.e_of_max = cap_exp(exponent);
    cap.tanh_of_max = cap_quotient(cap_minus(cap_expm1(exponent)), cap_sum(cap.e_of_max, cap_of(1)));
    return cap;
}

/* The largest logit, capped. */
static inline double capped_max(const WideCap *cap) {
    return copysign(cap_value(cap_product(cap->softcap, cap->tanh_of_max)), cap->max);
}

/* m - z of a logit below the largest. */
static inline CapNumber capped_distance(const WideCap *cap, double x) {
    const CapNumber one = cap_of(1), exponent = cap_exponent(cap, cap_of(x)), e = cap_exp(exponent);
    const CapNumber bottom = cap_sum(one, e);
    if (cap->max >= 0 && x < 0) {
        const CapNumber tanh_of_size = cap_quotient(cap_minus(cap_expm1(exponent)), bottom);
        return cap_product(cap->softcap, cap_sum(cap->tanh_of_max, tanh_of_size));
    }
    const CapNumber apart = cap_expm1(cap_exponent(cap, cap_sum(cap_of(cap->max), cap_of(-x))));
    const CapNumber larger = fabs(cap->max) <= fabs(x) ? cap->e_of_max : e;
    const CapNumber top = cap_product(cap_product(larger, cap_of(-2)), apart);
    return cap_product(cap->softcap, cap_quotient(top, cap_product(bottom, cap_sum(one, cap->e_of_max))));
}

/* sech(u)**2 / temperature as 4 * e / (1 + e)**2 with e = exp(-2 * abs(u)): it keeps its digits where
 * tanh is near 1. */
static inline CapNumber cap_slope(const WideCap *cap, double x) {
    const CapNumber e = cap_exp(cap_exponent(cap, cap_of(x))), bottom = cap_sum(cap_of(1), e);
    return cap_product(cap->flattest, cap_quotient(e, cap_product(bottom, bottom)));
}

/* z - m of one row; then S' and sums over dense targets t (or NULL). */
static void capped_row_wide(const WideCap *cap, const double *x, CapNumber *z, const double *t, Py_ssize_t n,
                            CapNumber *others, CapNumber *distance, double *total /* OUT */) {
    Py_ssize_t n_max = 0, n_nan = 0;
    CapNumber sum_of_t = cap_of(0);
    *others = *distance = sum_of_t;
    for (Py_ssize_t i = 0; i < n; i++) {
        z[i] = cap_of(0);
        if (x[i] == cap->max) {
            n_max++;
        } else {
            z[i] = cap_minus(capped_distance(cap, x[i]));
            *others = cap_sum(*others, cap_exp(z[i]));
        }
        n_nan += isnan(x[i]) != 0;
        if (t && t[i] != 0) {
            *distance = cap_sum(*distance, cap_product(z[i], cap_of(-t[i])));
            sum_of_t = cap_sum(sum_of_t, cap_of(t[i]));
        }
    }
    *total = cap_value(sum_of_t);
    *others = n_nan ? cap_of(NAN) : cap_sum(*others, cap_of((double)(n_max - 1)));
}

/* The numbers of a row that its loss needs, S' and 1 + S' in two parts. */
static inline void cap_stat(CapNumber others, double *sum, double *sum_error, double *total,
                            double *total_error /* OUT */) {
    const CapNumber whole = cap_sum(others, cap_of(1));
    *sum = cap_value(others), *total = cap_value(whole);
    *sum_error = isfinite(*sum) ? cap_value(cap_sum(others, cap_of(-*sum))) : 0;
    *total_error = isfinite(*total) ? cap_value(cap_sum(whole, cap_of(-*total))) : 0;
}

static inline CapNumber capped_probability(CapNumber z, CapNumber others) {
    return cap_quotient(cap_exp(z), cap_sum(others, cap_of(1)));
}

/* grad = (share * p - t) * (scale + scale_error) * slope. */
static void capped_grad_wide(const WideCap *cap, const double *x, const CapNumber *z, const double *t, double *grad,
                             Py_ssize_t n, CapNumber others, double share, double scale, double scale_error) {
    const CapNumber wide_share = cap_of(share), factor = cap_sum(cap_of(scale), cap_of(scale_error));
    for (Py_ssize_t i = 0; i < n; i++) {
        CapNumber entry = cap_product(wide_share, capped_probability(z[i], others));
        if (t) entry = cap_sum(entry, cap_of(-t[i]));
        grad[i] = cap_value(cap_product(cap_product(entry, factor), cap_slope(cap, x[i])));
    }
}

#endif
