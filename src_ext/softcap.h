/* Soft caps: z = softcap * tanh(x / temperature / softcap), and its slope dz/dx = sech**2 / temperature.
 *
 * float rows are computed in double: softcap_row, then the kernels of double. A z rounded to double would cost
 * double rows 16 ULP, so they are computed by capped_row_extended in long double from end to end: slow, exact, and
 * where long double is no wider than double, good to those 16 ULP. Caps are a habit of 32 and 16 bit models. */
#ifndef FASTSOFTMAX_SOFTCAP_H
#define FASTSOFTMAX_SOFTCAP_H

#include "primitives.h"

/* sech(u)**2 / temperature as 4 * e / (1 + e)**2 with e = exp(-2 * abs(u)): it keeps its digits where tanh is near 1. */
static inline double cap_slope(double x, double temperature, double softcap) {
    const long double e = expl(-2 * fabsl((long double)x / temperature / softcap));
    return (double)(4 * e / ((1 + e) * (1 + e)) / temperature);
}

/* For rows that end in float: tanh(u) = (1 - e) / (1 + e) with e = exp(-2 * abs(u)) is good to a few units of 2**-53
 * of the cap, not of z, and that is what softmax needs. x and z may be the same. */
static void softcap_row(const double *x, double *z, double *slope, Py_ssize_t n, double temperature, double softcap) {
    const exp_frame_f64 f = exp_setup_f64((vec_f64){0}, 1, 0);
    const double scale = 1 / temperature / softcap, flattest = 4 / temperature;
    for (Py_ssize_t i = 0; i < n; i += LANES_F64) {
        Py_ssize_t k = n - i < LANES_F64 ? n - i : LANES_F64;
        vec_f64 u = load_part_f64(x + i, k, (vec_f64){0}) * scale;
        vec_f64 e = exp_scaled_f64(-2.0 * abs_f64(u), &f, 0) / f.unit, sum = 1.0 + e;
        ivec_f64 sign = (ivec_f64)u & ~INT64_MAX;
        vec_f64 size = softcap * ((1.0 - e) / sum);
        store_part_f64(z + i, k, (vec_f64)((ivec_f64)size | sign));
        store_part_f64(slope + i, k, flattest * e / (sum * sum));
    }
}

/* z of one row of doubles; then its maximum, S' and sums over dense targets t (or NULL). */
static void capped_row_extended(const double *x, long double *z, const double *t, Py_ssize_t n, double temperature,
                                double softcap, long double *max, long double *others, long double *distance,
                                double *total /* OUT */) {
    Py_ssize_t n_max = 0, n_nan = 0;
    long double sum_of_t = 0;
    *max = -INFINITY;
    *others = *distance = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        z[i] = softcap * tanhl((long double)x[i] / temperature / softcap);
        n_nan += isnan(z[i]) != 0;
        if (z[i] > *max) *max = z[i];
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (z[i] == *max) n_max++;
        else *others += expl(z[i] - *max);
        if (t && t[i] != 0) {
            *distance += t[i] * (*max - z[i]);
            sum_of_t += t[i];
        }
    }
    *total = (double)sum_of_t;
    *others = n_nan ? NAN : *others + (n_max - 1);
}

/* grad = (share * p - t) * scale * slope, p from z and S'. */
static void capped_grad_extended(const double *x, const long double *z, const double *t, double *grad, Py_ssize_t n,
                                 double temperature, double softcap, long double max, long double others,
                                 double share, double scale) {
    for (Py_ssize_t i = 0; i < n; i++) {
        const long double u = (long double)x[i] / temperature / softcap, e = expl(-2 * fabsl(u));
        const long double p = expl(z[i] - max) / (1 + others);
        grad[i] = (double)((share * p - (t ? t[i] : 0)) * scale * (4 * e / ((1 + e) * (1 + e)) / temperature));
    }
}

#endif
