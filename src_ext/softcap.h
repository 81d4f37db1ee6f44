/* Soft caps: z = softcap * tanh(x / temperature / softcap), and its slope dz/dx = sech**2 / temperature.
 *
 * With e = exp(-2 * abs(u)): tanh(u) = (1 - e) / (1 + e) and sech(u)**2 = 4 * e / (1 + e)**2, which keeps its digits
 * where tanh is near 1. The error of z is a few units of 2**-53 * softcap. */
#ifndef FASTSOFTMAX_SOFTCAP_H
#define FASTSOFTMAX_SOFTCAP_H

#include "primitives.h"

static void softcap_row(const double *x, double *z, double *slope, Py_ssize_t n, double temperature, double softcap) {
    for (Py_ssize_t i = 0; i < n; i++) {
        const double u = x[i] / temperature / softcap, e = exp(-2 * fabs(u));
        z[i] = softcap * tanh(u);
        slope[i] = 4 * e / ((1 + e) * (1 + e)) / temperature;
    }
}

#endif
