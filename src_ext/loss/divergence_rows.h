/* What the terms of a divergence need of a row or of the lanes of a tile, and the series that keeps their digits. */
#ifndef FASTSOFTMAX_DIVERGENCE_ROWS_H
#define FASTSOFTMAX_DIVERGENCE_ROWS_H

#include "simd/vector.h"

/* Factors and their errors turn stored terms into probabilities times `unit`, a power of two that keeps products with
 * them normal numbers, and p alone times `p_unit` for its own gradient; `shift` is log(sum of q's terms / sum of p's),
 * all in two parts. `mean` is the divergence. `is_wide` tells that the gradients need numbers without bounds. */
typedef struct {
    double p_max, q_max, p_factor, p_error, q_factor, q_error, shift, shift_error, mean, unit, p_unit;
    int is_wide;
} DivergenceRow;

/* The same, one value a lane; and sums over the classes of each lane. */
typedef struct {
    double *p_factor, *p_error, *q_factor, *q_error, *shift, *shift_error, *mean, *unit;
    double *terms, *excess; /* OUT */
} DivergenceLanes;

/* (exp(-r) - 1 + r) / r**2 for abs(r) <= 1: relative errors 2**-26.6 and 2**-54.2, as tools/coefficients.py finds. */
INLINE vec_f32 exp_rest_f32(vec_f32 r) {
    return (((((((-0x1.7417cep-19f * r + 0x1.a96224p-16f) * r - 0x1.a028c4p-13f) * r + 0x1.6bffb2p-10f) * r -
               0x1.1110e0p-7f) *
                  r +
              0x1.55557ap-5f) *
                 r -
             0x1.555556p-3f) *
                r +
            0x1p-1f);
}
INLINE vec_f64 exp_rest_f64(vec_f64 r) {
    return (((((((((((((-0x1.b0541b4f4d736p-41 * r + 0x1.997e1cb7d3a43p-37) * r - 0x1.6128d505d9f8ep-33) * r +
                      0x1.1ee5774f2304ep-29) *
                         r -
                     0x1.ae6442be25a1dp-26) *
                        r +
                    0x1.27e50672ae707p-22) *
                       r -
                   0x1.71de3a723b01ep-19) *
                      r +
                  0x1.a01a0190d4ecep-16) *
                     r -
                 0x1.a01a019ff4ed2p-13) *
                    r +
                0x1.6c16c16c20d87p-10) *
                   r -
               0x1.111111111124bp-7) *
                  r +
              0x1.5555555555506p-5) *
                 r -
             0x1.5555555555555p-3) *
                r +
            0x1p-1);
}

#endif
