/* How parameters follow their gradients: Adam and SGD with Nesterov's momentum     (included once per REAL)

   Adam: m / (sqrt(v) + epsilon), the rate corrected for bias as in its paper. A square root and a division of a vector keep
   the divider busy for 7 cycles. */
#ifndef REAL /* opened alone: for float */
#include "training/float32.h"
#include "training/product.h"
#include "training/dots.h"
#include "training/loss.h"
#endif

typedef struct {
    REAL rate, beta_1, beta_2, epsilon, momentum, decay;
    int solver;
} NAME(update_rule);

ALWAYS_INLINE NAME(vec) NAME(square_roots)(NAME(vec) v) {
#if defined(__AVX512F__) && REAL_IS_DOUBLE
    return (NAME(vec))_mm512_sqrt_pd((__m512d)v);
#elif defined(__AVX512F__)
    return (NAME(vec))_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX__) && REAL_IS_DOUBLE
    return (NAME(vec))_mm256_sqrt_pd((__m256d)v);
#elif defined(__AVX__)
    return (NAME(vec))_mm256_sqrt_ps((__m256)v);
#elif defined(__SSE2__) && REAL_IS_DOUBLE
    return (NAME(vec))_mm_sqrt_pd((__m128d)v);
#elif defined(__SSE2__)
    return (NAME(vec))_mm_sqrt_ps((__m128)v);
#else
    for (int lane = 0; lane < VLANES; lane++) v[lane] = SQRT(v[lane]);
    return v;
#endif
}

/* One vector of parameters after an Adam step; its moments in place. */
ALWAYS_INLINE NAME(vec) NAME(adam)(const NAME(update_rule) *rule, REAL decay, NAME(vec) w, REAL *m, REAL *v,
                                     const REAL *gradient) {
    const NAME(vec) g = *(const NAME(vec) *)gradient + decay * w;
    NAME(vec) first = *(NAME(vec) *)m, second = *(NAME(vec) *)v;
    first += (1 - rule->beta_1) * (g - first);
    second += (1 - rule->beta_2) * (g * g - second);
    *(NAME(vec) *)m = first;
    *(NAME(vec) *)v = second;
    return w - rule->rate * first / (NAME(square_roots)(second) + rule->epsilon);
}

/* Update n parameters from their gradient. */
static void NAME(update)(const NAME(update_rule) *rule, REAL decay, ptrdiff_t n, REAL *restrict w, REAL *restrict m,
                         REAL *restrict v, const REAL *restrict gradient) {
    const REAL rate = rule->rate, momentum = rule->momentum;
    if (rule->solver == SOLVER_ADAM) {
        const ptrdiff_t whole = n - n % VLANES;
        for (ptrdiff_t i = 0; i < whole; i += VLANES)
            *(NAME(vec) *)(w + i) = NAME(adam)(rule, decay, *(NAME(vec) *)(w + i), m + i, v + i, gradient + i);
        for (ptrdiff_t i = whole; i < n; i++) {
            const REAL g = gradient[i] + decay * w[i];
            m[i] += (1 - rule->beta_1) * (g - m[i]);
            v[i] += (1 - rule->beta_2) * (g * g - v[i]);
            w[i] -= rate * m[i] / (SQRT(v[i]) + rule->epsilon);
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
