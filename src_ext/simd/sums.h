/* Sums over vectors that keep their digits, and lanes as arrays of doubles. */
#ifndef FASTSOFTMAX_SIMD_SUMS_H
#define FASTSOFTMAX_SIMD_SUMS_H

#include <math.h>

#include "math/pairs.h"
#include "simd/vector.h"

/* ---- vectors of sums: float lanes are summed in double, double lanes with their rounding error ---- */

typedef struct {
    vec_f64 low, high;
} sums_f32;
typedef struct {
    vec_f64 sum, error;
} sums_f64;

INLINE sums_f32 sums_start_f32(void) { return (sums_f32){{0}, {0}}; }
INLINE sums_f64 sums_start_f64(void) { return (sums_f64){{0}, {0}}; }
INLINE void sums_add_f32(sums_f32 *s, vec_f32 v) {
    s->low += widen_low(v);
    s->high += widen_high(v);
}
INLINE void sums_add_f64(sums_f64 *s, vec_f64 v) {
    vec_f64 sum = s->sum + v, part = sum - s->sum;
    s->error += (s->sum - (sum - part)) + (v - part);
    s->sum = sum;
}
/* The total of all lanes; its rounding error, where that matters. */
INLINE double sums_total_f32(const sums_f32 *s, double *error /* OUT */) {
    *error = 0;
    return sum_of_lanes(s->low + s->high);
}
INLINE double sums_total_f64(const sums_f64 *s, double *error /* OUT */) {
    double total[LANES_F64], lost[LANES_F64];
    const vec_f64 errors =
        (vec_f64)((ivec_f64)s->error & (s->sum - s->sum == 0)); /* an infinite sum has none but NaN */
    memcpy(total, &s->sum, sizeof total);
    memcpy(lost, &errors, sizeof lost);
    for (int step = LANES_F64 / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) {
            const DoublePair sum = two_sum(total[i], total[i + step]);
            total[i] = sum.high;
            lost[i] = sum.low + (lost[i] + lost[i + step]);
        }
    const DoublePair whole = pair_plus(pair_of(total[0], 0), lost[0]);
    *error = whole.low;
    return total[0] - total[0] == 0 ? whole.high : total[0];
}
/* Add a * b: exact products for float, products with their rounding errors for double. */
INLINE void dots_add_f32(sums_f32 *s, vec_f32 a, vec_f32 b) {
    s->low += widen_low(a) * widen_low(b);
    s->high += widen_high(a) * widen_high(b);
}
INLINE void dots_add_f64(sums_f64 *s, vec_f64 a, vec_f64 b) {
    const vec_f64 product = a * b;
    sums_add_f64(s, product);
    s->error += product_error_f64(a, b, product);
}
/* The sum of each lane and `more`, as doubles, and its rounding error. */
INLINE void sums_lanes_f32(const sums_f32 *s, vec_f32 more, double *sum, double *error /* OUT */) {
    vec_f64 low = s->low + widen_low(more), high = s->high + widen_high(more);
    memcpy(sum, &low, VECTOR_BYTES);
    memcpy(sum + LANES_F64, &high, VECTOR_BYTES);
    memset(error, 0, 2 * VECTOR_BYTES);
}
INLINE void sums_lanes_f64(const sums_f64 *s, vec_f64 more, double *sum, double *error /* OUT */) {
    ivec_f64 finite = s->sum - s->sum == 0; /* an infinite sum has no error but NaN */
    vec_f64 e = (vec_f64)(finite & (ivec_f64)(s->error + more));
    vec_f64 v = s->sum + e, lost = e - (v - s->sum);
    memcpy(sum, &v, sizeof v);
    memcpy(error, &lost, sizeof v);
}

/* ---- lanes as an array of doubles, and back, rounded ---- */

INLINE vec_f64 load_doubles(const double *p) {
    vec_f64 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void to_doubles_f32(vec_f32 v, double *out) {
    vec_f64 low = widen_low(v), high = widen_high(v);
    memcpy(out, &low, sizeof low);
    memcpy(out + LANES_F64, &high, sizeof high);
}
INLINE void to_doubles_f64(vec_f64 v, double *out) { memcpy(out, &v, sizeof v); }
INLINE vec_f32 from_doubles_f32(const double *p) { return narrow(load_doubles(p), load_doubles(p + LANES_F64)); }
INLINE vec_f64 from_doubles_f64(const double *p) { return load_doubles(p); }
/* A value and its rounding error as two doubles; for float one is enough. */
INLINE void pair_to_doubles_f32(vec_f32 v, vec_f32 e, double *out, double *error /* OUT */) {
    vec_f64 low = widen_low(v) + widen_low(e), high = widen_high(v) + widen_high(e);
    memcpy(out, &low, sizeof low);
    memcpy(out + LANES_F64, &high, sizeof high);
    memset(error, 0, 2 * VECTOR_BYTES);
}
INLINE void pair_to_doubles_f64(vec_f64 v, vec_f64 e, double *out, double *error /* OUT */) {
    memcpy(out, &v, sizeof v);
    memcpy(error, &e, sizeof e);
}
/* What the rounding of p to `rounded` has lost, and e. */
INLINE vec_f32 lost_f32(const double *p, const double *e, vec_f32 rounded) {
    return narrow(load_doubles(p) - widen_low(rounded) + load_doubles(e),
                  load_doubles(p + LANES_F64) - widen_high(rounded) + load_doubles(e + LANES_F64));
}
INLINE vec_f64 lost_f64(const double *p, const double *e, vec_f64 rounded) {
    (void)p, (void)rounded;
    return load_doubles(e);
}

/* ---- the sums of exp(x - m) over each lane of a tile: arrays of doubles, as exp_sum of softmax/exp_sum.h ---- */

typedef struct {
    double *sum, *sum_error, *n_max, *unit, *unit_error;
} LaneSums;

/* S', the sum over all but one maximum in units of the maximum's term; `inverse` is 1 / unit. */
INLINE vec_f64 sum_rest_of_lanes(const LaneSums *a, ptrdiff_t i, vec_f64 inverse, int is_double) {
    const vec_f64 sum = load_doubles(a->sum + i), more = load_doubles(a->n_max + i) - 1.0;
    if (!is_double) return sum * inverse + more;
    const vec_f64 unit = load_doubles(a->unit + i), quotient = sum / unit;
    const vec_f64 rest = (load_doubles(a->sum_error + i) - product_error_f64(quotient, unit, sum)) -
                         quotient * load_doubles(a->unit_error + i);
    return (quotient + rest * inverse) + more;
}

/* The same of n lanes, into an array. */
static inline void lanes_sum_rest(const LaneSums *a, ptrdiff_t n, int is_double, double *sum_rest /* OUT */) {
    for (ptrdiff_t i = 0; i < n; i += LANES_F64) {
        const vec_f64 v = sum_rest_of_lanes(a, i, 1.0 / load_doubles(a->unit + i), is_double);
        memcpy(sum_rest + i, &v, sizeof v);
    }
}

#endif
