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

/* SUM_LANES sums side by side. */
typedef struct {
    eight_doubles value, lost;
} EightSums;

static inline void add_eight(EightSums *lanes, eight_doubles x) {
    const eight_doubles total = lanes->value + x, part = total - lanes->value;
    lanes->lost += (lanes->value - (total - part)) + (x - part);
    lanes->value = total;
}

/* Add n numbers to the lanes: four at a time plainly, the rest in two parts. A run may be added in pieces if all but the
 * last are multiples of SUM_STEP. */
static inline void sums_add_run(EightSums *sums, const double *x, ptrdiff_t n) {
    EightSums lanes = *sums; /* in registers */
    ptrdiff_t i = 0;
    for (; i + SUM_STEP <= n; i += SUM_STEP) {
        eight_doubles four[4];
        memcpy(four, x + i, sizeof four);
        add_eight(&lanes, (four[0] + four[1]) + (four[2] + four[3]));
    }
    for (; i < n; i += SUM_LANES) {
        eight_doubles eight = {0}; /* to add 0 changes nothing */
        memcpy(&eight, x + i, (n - i < SUM_LANES ? n - i : SUM_LANES) * sizeof *x);
        add_eight(&lanes, eight);
    }
    *sums = lanes;
}

/* In three steps that wait for one another, where one after the other would be seven. */
static inline TwoPartSum sum_of_eight(const EightSums *lanes) {
    TwoPartSum sums[SUM_LANES];
    for (int k = 0; k < SUM_LANES; k++) sums[k] = (TwoPartSum){lanes->value[k], lanes->lost[k]};
    for (int half = SUM_LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) add_sum(sums + k, sums[k + half]);
    return sums[0];
}

static inline TwoPartSum sum_of_sums(const TwoPartSum *sums, ptrdiff_t n) {
    TwoPartSum total = sums[0];
    for (ptrdiff_t k = 1; k < n; k++) add_sum(&total, sums[k]);
    return total;
}

static inline TwoPartSum sum_in_two_parts(const double *x, ptrdiff_t n) {
    TwoPartSum few = {0, 0};
    EightSums lanes = {{0}, {0}};
    if (n < SUM_LANES) { /* one a lane: the same bits */
        for (ptrdiff_t i = 0; i < n; i++) add_to(&few, x[i]);
        return few;
    }
    sums_add_run(&lanes, x, n);
    return sum_of_eight(&lanes);
}

/* The sum as one number; beside an infinity nothing is lost. */
static inline double whole_of(TwoPartSum sum) { return isfinite(sum.lost) ? sum.value + sum.lost : sum.value; }

#endif
