/* Numbers in two doubles (math/pairs.h): errors of the operations and functions in units of 2**-64 of the result.
 *
 *     pairs_test COUNT
 *
 * The arithmetic is judged in numbers of 113 bits. Functions are judged without any, by what they obey: exp(a + b) is
 * exp(a) * exp(b), and log(1 + expm1(x)) is x; and against long double, in its own last place. */
#include "check.h"
#include "math/pairs.h"

static double error_of(wide got, wide want) {
    const wide error = got > want ? got - want : want - got, size = want < 0 ? -want : want;
    return size == 0 ? (error == 0 ? 0 : INFINITY) : (double)(error / size * 0x1p64);
}
static wide of(DoublePair a) { return (wide)a.high + a.low; }
static wide size_of(wide a) { return a < 0 ? -a : a; }
static double signed_size(double spread) {
    return (random_bits() % 2 ? -1 : 1) * exp2(random_between(-spread, spread)) * random_between(1, 2);
}
static DoublePair random_pair(double spread) {
    const double high = signed_size(spread);
    return pair_quick_sum(high, high * 0x1p-54 * random_between(-1, 1));
}

int main(int argc, char **argv) {
    REQUIRE(argc == 2, "usage: pairs_test COUNT");
    const long long count = strtoll(argv[1], NULL, 10);
    Worst sum = {0}, product = {0}, quotient = {0}, times = {0}, additive = {0}, inverse = {0}, own = {0}, logs = {0},
          far = {0};
    for (long long i = 0; i < count; i++) {
        const DoublePair a = random_pair(30), b = random_pair(30);
        const wide x = of(a), y = of(b);
        /* of a sum in units of its terms: they may cancel */
        const wide off = of(pair_sum(a, b)) - (x + y);
        note(&sum, (double)(size_of(off) / (size_of(x) + size_of(y)) * 0x1p64), a.high);
        note(&product, error_of(of(pair_product(a, b)), x * y), a.high);
        note(&quotient, error_of(of(pair_quotient(a, b)), x / y), a.high);
        note(&times, error_of(of(pair_times(a, b.high)), x * b.high), a.high);

        const double spread = i % 2 ? 1 : 300, u = random_between(-spread, spread), v = random_between(-spread, spread);
        int n, m, k;
        const DoublePair e = pair_product(pair_exp(pair_of(u, 0), &n), pair_exp(pair_of(v, 0), &m));
        const DoublePair together = pair_exp(two_sum(u, v), &k);
        note(&additive, error_of(of(pair_scaled(together, k)), of(pair_scaled(e, n + m))), u);
        if (HAS_LONG_DOUBLE) note(&own, error_of(of(pair_scaled(pair_exp(pair_of(u, 0), &n), n)), expl(u)), u);
        const double w = exp2(random_between(-40, 3));
        note(&inverse, error_of(of(pair_log1p(pair_expm1(pair_of(w, 0)))), w), w);
        const double l = exp2(random_between(-60, 60));
        if (HAS_LONG_DOUBLE) note(&logs, error_of(of(pair_log(pair_of(l, 0))), logl(l)), l);

        /* far beyond the range of double, and back */
        const Wide huge = wide_product(wide_product(wide_of(a.high), wide_of(0x1p1000)), wide_of(0x1p1000));
        const Wide more = wide_sum(huge, wide_product(huge, wide_of(-0.25)));
        const Wide back = wide_quotient(wide_quotient(more, wide_of(0x1p1000)), wide_of(0x1p1000));
        note(&far, error_of(wide_value(back), 0.75 * a.high) * 0x1p-11, a.high);
    }
    report("sum", &sum);
    report("product", &product);
    report("quotient", &quotient);
    report("times", &times);
    report("exp_of_a_sum", &additive);
    report("log1p_of_expm1", &inverse);
    report("wide", &far);
    if (HAS_LONG_DOUBLE) {
        report("exp_beside_long_double", &own);
        report("log_beside_long_double", &logs);
    }
    int exponent;
    REQUIRE(pair_exp(pair_of(-INFINITY, 0), &exponent).high == 0, "exp(-inf)");
    REQUIRE(isnan(pair_exp(pair_of(NAN, 0), &exponent).high), "exp(NaN)");
    REQUIRE(wide_value(wide_exp(wide_of(-1e5))) == 0 && wide_value(wide_exp(wide_of(1e5))) == INFINITY,
            "far exponents");
    REQUIRE(isnan(wide_value(wide_sum(wide_of(INFINITY), wide_of(-INFINITY)))), "inf - inf");
    REQUIRE(wide_value(wide_sum(wide_of(0), wide_of(-3))) == -3, "0 - 3");
    return 0;
}
