/* Soft caps: z = softcap * tanh(x / temperature / softcap), and its slope dz/dx = sech(...)**2 / temperature.
 *
 * A row is computed from z in two parts of the dtype: the second is what rounding has taken from the first, less that of the
 * maximum. exp takes both, so that caps cost no digit. What is asked for decides how:
 *
 * CAP_SERIES  abs(u) <= 1/2 for u = x / temperature / softcap, and z of ordinary size: see loss/softcap_series.h.
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
 * double from end to end: slow, exact, and where long double is no wider than double, of 43 ULP with caps of 1e7 and above. */
#ifndef FASTSOFTMAX_SOFTCAP_H
#define FASTSOFTMAX_SOFTCAP_H

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

/* e = exp(-y), and 1 - e with all its digits, for `count` vectors y >= 0: near 0 the polynomial of exp is that difference. */
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
