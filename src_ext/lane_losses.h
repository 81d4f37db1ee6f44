/* The arithmetic of losses and gradients over the lanes of a tile: arrays of doubles, a multiple of the vector long.
 * The names are those of losses.pxi. */
#ifndef FASTSOFTMAX_LANE_LOSSES_H
#define FASTSOFTMAX_LANE_LOSSES_H

#include <math.h>

/* From the sum without the maxima, in its unit: total = the sum with them, in two parts; others = S'. */
static void lanes_totals(Py_ssize_t n, const double *restrict n_max, const double *restrict unit,
                         double *restrict others, double *restrict total, double *restrict error /* OUT */) {
    for (Py_ssize_t i = 0; i < n; i++) {
        const double a = others[i], b = n_max[i] * unit[i], sum = a + b, part = sum - a;
        error[i] += (a - (sum - part)) + (b - part);
        total[i] = sum;
        others[i] = a / unit[i] + (n_max[i] - 1);
    }
}

/* loss = s * (t * L + t * (m - z) / temperature), the second term 0 where t is. */
static void lanes_loss(Py_ssize_t n, const double *restrict t, const double *restrict s, const double *restrict m,
                       const double *restrict z, const double *restrict log_sum, double temperature,
                       double *restrict loss /* OUT */) {
    for (Py_ssize_t i = 0; i < n; i++) {
        const double distance = t[i] * ((m[i] - z[i]) / temperature);
        loss[i] = s[i] * (t[i] * log_sum[i] + (t[i] == 0 ? 0 : distance));
    }
}

/* share = s * t * scale; factor and its error: share / total; missed = -share * S' / (1 + S'). */
static void lanes_factors(Py_ssize_t n, const double *restrict t, const double *restrict s, double scale,
                          const double *restrict others, double *restrict total_to_factor, double *restrict error,
                          double *restrict share, double *restrict missed /* OUT */) {
    for (Py_ssize_t i = 0; i < n; i++) {
        const double total = total_to_factor[i], numerator = s[i] * t[i] * scale, quotient = numerator / total;
        error[i] = (fma(-quotient, total, numerator) - quotient * error[i]) / total;
        total_to_factor[i] = quotient;
        share[i] = numerator;
        missed[i] = -numerator * (others[i] / (1 + others[i]));
    }
}

#endif
