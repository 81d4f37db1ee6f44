/* The sums of simd/sums.h: the error of totals, dot products and lanes against sums in four times the digits, and of
 * the quotients that are made with them.
 *
 *     sums_test COUNT
 *
 * Prints lines `name error at count`: in units in the last place of the sum of absolute values, with `at` the number of
 * vectors that were added. `_pair` is what is left of the error where a sum comes with its rounding error, in units of
 * 2**-64 of it. */
#include "check.h"
#include "simd/sums.h"

enum { MOST = 4096 };
static float floats[2][MOST * LANES_F32];
static double doubles[2][MOST * LANES_F64];

static double of_any_size(double spread, int with_sign) {
    const double v = exp2(random_between(-spread, spread)) * random_between(1, 2);
    return with_sign && random_bits() % 2 ? -v : v;
}

static double error_of(wide got, wide want, wide size, int bits) {
    const wide error = got > want ? got - want : want - got;
    return (double)(error / size * ldexp(1, bits));
}

static Worst f32 = {0}, f64 = {0}, f64_pair = {0}, dot_f32 = {0}, dot_f64 = {0}, lanes_f64 = {0}, lanes_f64_pair = {0};

static void check_f64_sums(int n, double spread, int with_sign) {
    sums_f64 sums = sums_start_f64(), dots = sums_start_f64();
    wide want = 0, size = 0, dot = 0, dot_size = 0, lanes[LANES_F64] = {0}, lane_size[LANES_F64] = {0};
    for (int i = 0; i < n * LANES_F64; i++) {
        const double a = doubles[0][i] = of_any_size(spread, with_sign),
                     b = doubles[1][i] = of_any_size(spread, with_sign);
        want += a;
        size += fabs(a);
        dot += (wide)a * b;
        dot_size += (wide)fabs(a) * fabs(b);
        lanes[i % LANES_F64] += a;
        lane_size[i % LANES_F64] += fabs(a);
    }
    for (int i = 0; i < n; i++) {
        const vec_f64 a = load_doubles(doubles[0] + i * LANES_F64), b = load_doubles(doubles[1] + i * LANES_F64);
        sums_add_f64(&sums, a);
        dots_add_f64(&dots, a, b);
    }
    double error, sum[LANES_F64], lost[LANES_F64];
    double total = sums_total_f64(&sums, &error);
    note(&f64, error_of(total, want, size, 53), n);
    note(&f64_pair, error_of((wide)total + error, want, size, 64), n);
    total = sums_total_f64(&dots, &error);
    note(&dot_f64, error_of(total, dot, dot_size, 53), n);
    sums_lanes_f64(&sums, (vec_f64){0}, sum, lost);
    for (int lane = 0; lane < LANES_F64; lane++) {
        note(&lanes_f64, error_of(sum[lane], lanes[lane], lane_size[lane], 53), n);
        note(&lanes_f64_pair, error_of((wide)sum[lane] + lost[lane], lanes[lane], lane_size[lane], 64), n);
    }
}

static void check_f32_sums(int n, double spread, int with_sign) {
    sums_f32 sums = sums_start_f32(), dots = sums_start_f32();
    wide want = 0, size = 0, dot = 0, dot_size = 0;
    for (int i = 0; i < n * LANES_F32; i++) {
        const float a = floats[0][i] = (float)of_any_size(spread, with_sign);
        const float b = floats[1][i] = (float)of_any_size(spread, with_sign);
        want += a;
        size += fabsf(a);
        dot += (wide)a * b;
        dot_size += (wide)fabsf(a) * fabsf(b);
    }
    for (int i = 0; i < n; i++) {
        vec_f32 a, b;
        memcpy(&a, floats[0] + i * LANES_F32, sizeof a);
        memcpy(&b, floats[1] + i * LANES_F32, sizeof b);
        sums_add_f32(&sums, a);
        dots_add_f32(&dots, a, b);
    }
    double error;
    double total = sums_total_f32(&sums, &error);
    note(&f32, error_of(total, want, size, 24), n);
    total = sums_total_f32(&dots, &error);
    note(&dot_f32, error_of(total, dot, dot_size, 24), n);
}

/* S' of a lane: (sum + its error) / (unit + its error) + maxima but one. */
static void check_sum_rest(long long count) {
    Worst worst = {0};
    double sum[LANES_F64], sum_error[LANES_F64], n_max[LANES_F64], unit[LANES_F64], unit_error[LANES_F64];
    const LaneSums a = {sum, sum_error, n_max, unit, unit_error};
    for (long long k = 0; k < count; k += LANES_F64) {
        double sum_rest[LANES_F64];
        for (int i = 0; i < LANES_F64; i++) {
            unit[i] = ldexp(random_between(0.7, 1.5), 80);
            unit_error[i] = unit[i] * 0x1p-53 * random_between(-1, 1);
            sum[i] = unit[i] * exp2(random_between(-60, 10));
            sum_error[i] = sum[i] * 0x1p-53 * random_between(-1, 1);
            n_max[i] = k % 3 ? 1 : (double)(1 + random_bits() % 4);
        }
        lanes_sum_rest(&a, LANES_F64, 1, sum_rest);
        for (int i = 0; i < LANES_F64; i++) {
            const wide want = ((wide)sum[i] + sum_error[i]) / ((wide)unit[i] + unit_error[i]) + (n_max[i] - 1);
            note(&worst, error_of(sum_rest[i], want, want, 53), sum[i]);
        }
    }
    report("sum_rest_f64", &worst);
}

static void infinite_sums(void) {
    sums_f64 s = sums_start_f64();
    double error;
    sums_add_f64(&s, 1.0 - (vec_f64){0});
    sums_add_f64(&s, INFINITY - (vec_f64){0});
    sums_add_f64(&s, 1.0 - (vec_f64){0});
    const double total = sums_total_f64(&s, &error);
    REQUIRE(total == INFINITY && error == 0, "got %a and %a", total, error);
}

int main(int argc, char **argv) {
    REQUIRE(argc == 2, "usage: sums_test COUNT");
    const long long count = strtoll(argv[1], NULL, 10);
    for (long long i = 0; i < count; i++) {
        const int n = 1 + (int)(i < 8 ? i : random_bits() % (i % 16 ? 64 : MOST));
        const double spread = i % 3 == 0 ? 0 : i % 3 == 1 ? 10 : 40;
        check_f64_sums(n, spread, i % 2);
        check_f32_sums(n, spread, i % 2);
    }
    report("sum_f32", &f32);
    report("dot_f32", &dot_f32);
    report("sum_f64", &f64);
    report("sum_f64_pair", &f64_pair);
    report("dot_f64", &dot_f64);
    report("sum_of_a_lane_f64", &lanes_f64);
    report("sum_of_a_lane_f64_pair", &lanes_f64_pair);
    check_sum_rest(1000 * count);
    infinite_sums();
    return 0;
}
