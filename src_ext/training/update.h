/* How parameters follow their gradients: Adam and SGD with Nesterov's momentum     (included once per REAL)

   Adam: m / (sqrt(v) + epsilon), the rate corrected for bias as in its paper. A square root and a division of a vector keep
   the divider busy for 7 cycles. */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#include "math/exp.h"
#include "training/product.h"
#include "training/dots.h"
#include "training/loss.h"
#endif

typedef struct {
    REAL rate, beta_1, beta_2, epsilon, momentum, decay;
    int solver;
} FN(update_rule);

/* One vector of parameters after an Adam step; its moments in place. */
INLINE VEC FN(adam)(const FN(update_rule) * rule, REAL decay, VEC w, REAL *m, REAL *v, const REAL *gradient) {
    const VEC g = *(const FN(unaligned) *)gradient + decay * w;
    VEC first = *(FN(unaligned) *)m, second = *(FN(unaligned) *)v;
    first += (1 - rule->beta_1) * (g - first);
    second += (1 - rule->beta_2) * (g * g - second);
    *(FN(unaligned) *)m = first;
    *(FN(unaligned) *)v = second;
    return w - rule->rate * first / (FN(square_root)(second) + rule->epsilon);
}

/* Update n parameters from their gradient. */
static void FN(update)(const FN(update_rule) * rule, REAL decay, ptrdiff_t n, REAL *restrict w, REAL *restrict m,
                       REAL *restrict v, const REAL *restrict gradient) {
    const REAL rate = rule->rate, momentum = rule->momentum;
    if (rule->solver == SOLVER_ADAM) {
        const ptrdiff_t whole = n - n % LANES;
        for (ptrdiff_t i = 0; i < whole; i += LANES)
            *(FN(unaligned) *)(w + i) = FN(adam)(rule, decay, *(FN(unaligned) *)(w + i), m + i, v + i, gradient + i);
        for (ptrdiff_t i = whole; i < n; i++) {
            const REAL g = gradient[i] + decay * w[i];
            m[i] += (1 - rule->beta_1) * (g - m[i]);
            v[i] += (1 - rule->beta_2) * (g * g - v[i]);
            w[i] -= rate * m[i] / ((REAL)sqrt(v[i]) + rule->epsilon);
        }
    } else {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            const REAL push = rate * (gradient[i] + decay * w[i]);
            m[i] = momentum * m[i] - push;
            w[i] += momentum * m[i] - push;
        }
    }
}
