/* Soft caps: z = softcap * tanh(x / temperature / softcap), and its slope dz/dx = sech**2 / temperature.
 *
 * Rows are computed from the distances m - z of their capped maximum m, which keep their digits where tanh is near 1 and
 * where its argument is tiny: with u the argument of m and v that of z, of one sign,
 *
 *     tanh(u) - tanh(v) = sinh(u - v) / (cosh(u) * cosh(v)) = 2 * (1 - exp(-2 * (u - v))) * max(a, b) / ((1 + a) * (1 + b))
 *
 * for a = exp(-2 * abs(u)), b = exp(-2 * abs(v)); of two signs, two tanh are added. float rows are computed in double:
 * softcap_row, then the kernels of double. double rows are computed by capped_row_extended in long double from end to
 * end: slow, exact, and where long double is no wider than double, good to 16 ULP. Caps are a habit of 32 and 16 bit
 * models. */
#ifndef FASTSOFTMAX_SOFTCAP_H
#define FASTSOFTMAX_SOFTCAP_H

#include "softmax/primitives.h"

/* e = exp(-y), and 1 - e with all its digits, for y >= 0: near 0 the polynomial of exp is that difference. */
INLINE void exp_of_minus(vec_f64 y, const exp_frame_f64 *f, vec_f64 *e, vec_f64 *less /* OUT */) {
    vec_f64 p = -y, t;
    exp_reduce_f64(&p, &t, 1, f, 0);
    *e = times_power_f64(p, t, LOWEST_POWER_F64 - (vec_f64){0}) / f->unit;
    const ivec_f64 near = t == f->rounder;
    *less = (vec_f64)((near & (ivec_f64)-p) | (~near & (ivec_f64)(1.0 - *e)));
}

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
