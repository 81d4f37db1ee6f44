/* How parameters follow their gradients: Adam and SGD with Nesterov's momentum     (included once per REAL)

   Adam: m / (sqrt(v) + epsilon), the rate corrected for bias as in its paper. A square root and a division of a vector keep
   the divider busy for 7 cycles; `update_and_forward` lets products run beside it. */

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
        ptrdiff_t i = 0;
        for (; i + VLANES <= n; i += VLANES)
            *(NAME(vec) *)(w + i) = NAME(adam)(rule, decay, *(NAME(vec) *)(w + i), m + i, v + i, gradient + i);
        for (; i < n; i++) {
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

/* Rows whose roots and quotients are under way while the products of earlier rows run. */
#define ROWS_IN_FLIGHT 8

/* Adam on `depth` rows of two vectors of w, each used at once for PRODUCT_ROWS rows of c += x @ w: the divider and the
   multipliers work side by side. The same sums in the same order as `update`, then `product_rows`. */
static void NAME(update_and_forward)(const NAME(update_rule) *rule, ptrdiff_t depth, REAL *restrict w, REAL *restrict m,
                                     REAL *restrict v, const REAL *restrict gradient, const REAL *restrict x, ptrdiff_t ldx,
                                     REAL *restrict c /* IN, OUT */) {
    const NAME(update_rule) own = *rule;
    NAME(vec) sum[PRODUCT_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < PRODUCT_ROWS; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) sum[i][j] = *(const NAME(vec) *)(c + (2 * i + j) * VLANES);
    const ptrdiff_t lead = depth < ROWS_IN_FLIGHT ? depth : ROWS_IN_FLIGHT;
    NAME(update)(&own, own.decay, lead * 2 * VLANES, w, m, v, gradient);
    for (ptrdiff_t k = 0; k < depth; k++) {
        NAME(vec) row[2];
        const ptrdiff_t later = (k + lead) * 2 * VLANES;
        if (k + lead < depth)
#pragma GCC unroll 2
            for (ptrdiff_t at = later; at < later + 2 * VLANES; at += VLANES)
                *(NAME(vec) *)(w + at) =
                    NAME(adam)(&own, own.decay, *(NAME(vec) *)(w + at), m + at, v + at, gradient + at);
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) row[j] = *(const NAME(vec) *)(w + (2 * k + j) * VLANES);
#pragma GCC unroll 16
        for (int i = 0; i < PRODUCT_ROWS; i++)
#pragma GCC unroll 2
            for (int j = 0; j < 2; j++) sum[i][j] += x[i * ldx + k] * row[j];
    }
#pragma GCC unroll 16
    for (int i = 0; i < PRODUCT_ROWS; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) *(NAME(vec) *)(c + (2 * i + j) * VLANES) = sum[i][j];
}
