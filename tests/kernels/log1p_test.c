/* log1p of vectors (math/log1p.h): the worst error over numbers >= 0 of every size, and where.
 *
 *     log1p_test COUNT, or log1p_test at DOUBLE */
#include "check.h"
#include "math/log1p.h"

static void check(vec_f64 s, Worst *worst) {
    const vec_f64 got = log1p_vector(s, 1.0 / (1.0 + s));
    for (int lane = 0; lane < LANES_F64; lane++) note(worst, ulp_error_f64(got[lane], log1pl(s[lane])), s[lane]);
}

/* Of every size, most of them near 1; then where the reduction changes: near 2**k * sqrt(2) - 1 and 2**k - 1. */
static void every_size(long long count, Worst *worst) {
    for (long long i = 0; i < count; i += LANES_F64) {
        vec_f64 s;
        for (int lane = 0; lane < LANES_F64; lane++)
            s[lane] = exp2(random_between(i % 2 ? -1021 : -8, i % 2 ? 1023 : 8));
        check(s, worst);
    }
    for (int k = 0; k < 2 * 1022; k++)
        for (int ulps = -512; ulps < 512; ulps += LANES_F64) {
            const double edge = ldexp(k % 2 ? sqrt(2) : 1, k / 2) - (k < 2 * 53);
            uint64_t bits;
            memcpy(&bits, &edge, sizeof bits);
            vec_f64 s;
            for (int lane = 0; lane < LANES_F64; lane++) s[lane] = fabs(double_of_bits(bits + (uint64_t)(ulps + lane)));
            if (edge > 0) check(s, worst);
        }
}

static void special_values(void) {
    const vec_f64 zero = log1p_vector((vec_f64){0}, 1.0 - (vec_f64){0});
    REQUIRE(zero[0] == 0, "log1p(0) is %a", zero[0]);
    const vec_f64 nan = log1p_vector(NAN - (vec_f64){0}, NAN - (vec_f64){0});
    REQUIRE(isnan(nan[0]), "log1p(NaN) is %a", nan[0]);
}

int main(int argc, char **argv) {
    Worst worst = {0};
    if (argc == 3) {
        check(strtod(argv[2], NULL) - (vec_f64){0}, &worst);
    } else {
        special_values();
        every_size(strtoll(argv[1], NULL, 10), &worst);
    }
    report("log1p", &worst);
    return 0;
}
