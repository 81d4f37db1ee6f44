/* Sums of the losses of rows: within 2 ULP whatever their number and order.
 *
 * SUM_AT_ONCE losses are one part of a sum; parts may be summed by different threads, and no bit depends on which. */
#ifndef FASTSOFTMAX_LOSS_SUMS_H
#define FASTSOFTMAX_LOSS_SUMS_H

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { SUM_AT_ONCE = 2048, SUM_LANES = 8, SUM_STEP = 4 * SUM_LANES };

/* Vectors in as many registers as it takes. */
typedef double eight_doubles __attribute__((vector_size(64)));
typedef double four_doubles __attribute__((vector_size(32)));
typedef double two_doubles __attribute__((vector_size(16)));

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
    double value[SUM_LANES], lost[SUM_LANES];
} EightSums;

static inline eight_doubles load_eight(const double *x) {
    eight_doubles eight;
    memcpy(&eight, x, sizeof eight);
    return eight;
}

/* Add n numbers to the lanes: four at a time plainly, the rest in two parts. A run may be added in pieces if all but
 * the last are multiples of SUM_STEP. */
static inline void sums_add_run(EightSums *sums, const double *x, ptrdiff_t n) {
    eight_doubles value = load_eight(sums->value), lost = load_eight(sums->lost);
    ptrdiff_t i = 0;
    while (i + SUM_LANES <= n) {
        const int is_step = i + SUM_STEP <= n;
        eight_doubles eight = load_eight(x + i);
        if (is_step)
            eight = (eight + load_eight(x + i + SUM_LANES)) +
                    (load_eight(x + i + 2 * SUM_LANES) + load_eight(x + i + 3 * SUM_LANES));
        const eight_doubles total = value + eight, part = total - value;
        lost += (value - (total - part)) + (eight - part);
        value = total;
        i += is_step ? SUM_STEP : SUM_LANES;
    }
    memcpy(sums->value, &value, sizeof value);
    memcpy(sums->lost, &lost, sizeof lost);
    for (int k = 0; i < n; i++, k++) {
        TwoPartSum sum = {sums->value[k], sums->lost[k]};
        add_to(&sum, x[i]);
        sums->value[k] = sum.value, sums->lost[k] = sum.lost;
    }
}

/* Add the second half of the lanes to the first, as vectors of half their number. */
#define ADD_SECOND_HALF(half)                                                           \
    do {                                                                                \
        half first, second, first_lost, second_lost;                                    \
        memcpy(&first, sums.value, sizeof first);                                       \
        memcpy(&second, sums.value + sizeof first / sizeof(double), sizeof second);     \
        memcpy(&first_lost, sums.lost, sizeof first);                                   \
        memcpy(&second_lost, sums.lost + sizeof first / sizeof(double), sizeof second); \
        const half total = first + second, part = total - first;                        \
        first_lost += (first - (total - part)) + (second - part);                       \
        first_lost += second_lost;                                                      \
        memcpy(sums.value, &total, sizeof total);                                       \
        memcpy(sums.lost, &first_lost, sizeof first_lost);                              \
    } while (0)

/* In three steps that wait for one another, where one after the other would be seven. Halves of arrays, not elements of
 * vectors: GCC makes of those twice as many instructions. */
static inline TwoPartSum sum_of_eight(const EightSums *lanes) {
    EightSums sums = *lanes;
    ADD_SECOND_HALF(four_doubles);
    ADD_SECOND_HALF(two_doubles);
    ADD_SECOND_HALF(double);
    return (TwoPartSum){sums.value[0], sums.lost[0]};
}
#undef ADD_SECOND_HALF

static inline TwoPartSum sum_of_sums(const TwoPartSum *sums, ptrdiff_t n) {
    TwoPartSum total = sums[0];
    for (ptrdiff_t k = 1; k < n; k++) add_sum(&total, sums[k]);
    return total;
}

static inline TwoPartSum sum_in_two_parts(const double *x, ptrdiff_t n) {
    if (n < SUM_LANES) { /* one a lane: the same bits */
        TwoPartSum few = {0, 0};
        for (ptrdiff_t i = 0; i < n; i++) add_to(&few, x[i]);
        return few;
    }
    EightSums lanes = {{0}, {0}};
    sums_add_run(&lanes, x, n);
    return sum_of_eight(&lanes);
}

/* The sum as one number; beside an infinity nothing is lost. */
static inline double whole_of(TwoPartSum sum) { return isfinite(sum.lost) ? sum.value + sum.lost : sum.value; }

#endif
