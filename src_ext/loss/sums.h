/* Sums of the losses of rows: within 2 ULP whatever their number and order.
 *
 * SUM_AT_ONCE losses are one part of a sum; parts may be summed by different threads, and no bit depends on which. */
#ifndef FASTSOFTMAX_LOSS_SUMS_H
#define FASTSOFTMAX_LOSS_SUMS_H

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { SUM_AT_ONCE = 2048, SUM_LANES = 8, SUM_STEP = 4 * SUM_LANES };

typedef double eight_doubles __attribute__((vector_size(64))); /* in as many registers as it takes */

/* A sum and what its roundings have lost. */
typedef struct {
    double value, lost;
} TwoPartSum;

/* Add x; the rounding error of the addition is exact (Knuth's two-sum). */
static inline void add_to(TwoPartSum *sum, double x) {
    const double total = sum->value + x, part = total - sum->value;
    sum->lost += (sum->value - (total - part)) + (x - part);
    sum->value = total;
}

static inline void add_sum(TwoPartSum *sum, TwoPartSum other) {
    add_to(sum, other.value);
    sum->lost += other.lost;
}

/* Add n numbers to SUM_LANES sums: four at a time plainly, the rest in two parts. A run may be added in pieces if all but
 * the last are multiples of SUM_STEP. */
static inline void sums_add_run(TwoPartSum *lanes, const double *x, ptrdiff_t n) {
    eight_doubles value, lost;
    ptrdiff_t i = 0;
    for (int k = 0; k < SUM_LANES; k++) value[k] = lanes[k].value, lost[k] = lanes[k].lost;
    for (; i + SUM_STEP <= n; i += SUM_STEP) {
        eight_doubles four[4];
        memcpy(four, x + i, sizeof four);
        const eight_doubles added = (four[0] + four[1]) + (four[2] + four[3]);
        const eight_doubles total = value + added, part = total - value;
        lost += (value - (total - part)) + (added - part);
        value = total;
    }
    for (int k = 0; k < SUM_LANES; k++) lanes[k] = (TwoPartSum){value[k], lost[k]};
    for (; i < n; i++) add_to(lanes + i % SUM_LANES, x[i]);
}

static inline TwoPartSum sum_of_sums(const TwoPartSum *sums, ptrdiff_t n) {
    TwoPartSum total = sums[0];
    for (ptrdiff_t k = 1; k < n; k++) add_sum(&total, sums[k]);
    return total;
}

static inline TwoPartSum sum_in_two_parts(const double *x, ptrdiff_t n) {
    TwoPartSum few = {0, 0}, lanes[SUM_LANES] = {{0, 0}};
    if (n < SUM_LANES) { /* one a lane: the same bits */
        for (ptrdiff_t i = 0; i < n; i++) add_to(&few, x[i]);
        return few;
    }
    sums_add_run(lanes, x, n);
    return sum_of_sums(lanes, SUM_LANES);
}

/* The sum as one number; beside an infinity nothing is lost. */
static inline double whole_of(TwoPartSum sum) { return isfinite(sum.lost) ? sum.value + sum.lost : sum.value; }

#endif
