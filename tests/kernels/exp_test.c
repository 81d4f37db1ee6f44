/* The exponential of math/exp.h alone: worst errors, and where.
 *
 *     exp_test STRIDE COUNT          every STRIDE-th float, COUNT random doubles
 *     exp_test at FLOAT DOUBLE       the errors at these two numbers, maximum 0
 *
 * Prints lines `name error at count`. STRIDE 1 is all 2**32 floats. */
#include "check.h"
#include "softmax/exp_sum.h"

#include "simd/float32.h"
#include "math/exp.h"
#include "simd/end_real.h"
#include "simd/float64.h"
#include "math/exp.h"
#include "simd/end_real.h"

typedef struct {
    double m, temperature;
    long double unit;
    exp_frame_f32 f_f32;
    exp_frame_f64 f_f64;
} exp_frame_of_check;

#include "simd/float32.h"
#include "exp_checks.h"
#include "simd/end_real.h"
#include "simd/float64.h"
#include "exp_checks.h"
#include "simd/end_real.h"

/* Floats from bits `first` on, `count` numbers of them, a stride apart. */
static void sweep(uint64_t first, uint64_t end, uint64_t stride, const exp_frame_of_check *frame, Worst *worst) {
    for (uint64_t bits = first; bits < end; bits += stride * LANES_F32) {
        vec_f32 x;
        for (int lane = 0; lane < LANES_F32; lane++) {
            const uint64_t own = bits + stride * lane;
            x[lane] = float_of_bits((uint32_t)(own < end ? own : first));
        }
        check_f32(x, frame, worst);
    }
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* -0 down to -inf beside the maximum 0; 0 up to 256 beside 256, where nothing is subtracted yet; what is larger beside
 * twice itself, where x - m is exact; NaN. Together they are every float. */
static void every_float(uint64_t stride) {
    const uint32_t negative = 1u << 31, inf = bits_of(INFINITY);
    Worst below = {0}, shared = {0}, apart = {0};
    exp_frame_of_check zero = frame_f32(0, 1), bound = frame_f32(256, 1);
    sweep(negative, negative + inf + 1, stride, &zero, &below);
    report("exp_f32", &below);
    sweep(0, bits_of(256) + 1, stride, &bound, &shared);
    report("exp_f32_beside_256", &shared);
    for (float m = 512; m < INFINITY; m *= 2) {
        exp_frame_of_check large = frame_f32(m, 1);
        sweep(bits_of(m / 2), bits_of(m) + 1, stride, &large, &apart);
    }
    report("exp_f32_beside_large", &apart);
    for (uint64_t bits = inf + 1; bits < negative; bits += stride) {
        const vec_f32 positive = exp_scaled_f32(all_f32(float_of_bits((uint32_t)bits)), &zero.f_f32, 0);
        const vec_f32 signed_one = exp_scaled_f32(all_f32(float_of_bits((uint32_t)bits | negative)), &zero.f_f32, 0);
        for (int lane = 0; lane < LANES_F32; lane += LANES_F32 - 1)
            REQUIRE(isnan(positive[lane]) && isnan(signed_one[lane]), "NaN %#x", (unsigned)bits);
        if (stride == 1) bits += 1022; /* NaN has too many names for a test of each */
    }
}

/* Maxima of all sizes, temperatures too or 1, the arguments where the terms are not 0. */
static void random_frames(long long count, int with_slope, Worst *floats, Worst *doubles) {
    for (long long i = 0; i < count / 256; i++) {
        const double size = exp2(random_between(-20, 20)), slant = with_slope ? exp2(random_between(-6, 6)) : 1;
        const double m = random_between(-size, size);
        exp_frame_of_check f = frame_f32((float)m, slant), d = frame_f64(m, slant);
        for (int k = 0; k < 256; k += LANES_F32) {
            vec_f32 x;
            for (int lane = 0; lane < LANES_F32; lane++) {
                x[lane] = (float)(f.m - random_between(0, 110 * slant));
                if (x[lane] > f.m) x[lane] = (float)f.m;
            }
            check_f32(x, &f, floats);
        }
        for (int k = 0; k < 256; k += LANES_F64) {
            vec_f64 x;
            for (int lane = 0; lane < LANES_F64; lane++) {
                x[lane] = d.m - random_between(0, (k % 2 ? 750 : 40) * slant);
                if (x[lane] > d.m) x[lane] = d.m;
            }
            check_f64(x, &d, doubles);
        }
    }
}

/* Doubles beside the maximum 0: of every size, and where it is hardest: at the bounds between two values of n, at
 * multiples of ln2, and their neighbours. */
static void doubles_below_zero(long long count, Worst *worst) {
    const exp_frame_of_check zero = frame_f64(0, 1);
    for (long long i = 0; i < count; i += LANES_F64) {
        vec_f64 x;
        for (int lane = 0; lane < LANES_F64; lane++)
            x[lane] = i % 3 == 0 ? -exp2(random_between(-60, 10)) : -random_between(0, i % 3 == 1 ? 708 : 4);
        check_f64(x, &zero, worst);
    }
    for (int n = 0; n < 1022 * 32; n++) {
        const double middle = -(double)(n * 0.69314718055994530942L / 32);
        const int64_t ulps = (int64_t)(random_bits() >> 54);
        vec_f64 x;
        for (int lane = 0; lane < LANES_F64; lane++) {
            uint64_t bits;
            memcpy(&bits, &middle, sizeof bits);
            x[lane] = n ? double_of_bits(bits + (uint64_t)(lane % 2 ? lane / 2 : -lane / 2 * ulps)) : -0.0;
        }
        check_f64(x, &zero, worst);
    }
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "at") == 0) {
        const exp_frame_of_check f = frame_f32(0, 1), d = frame_f64(0, 1);
        Worst floats = {0}, doubles = {0};
        check_f32(all_f32(strtof(argv[2], NULL)), &f, &floats);
        check_f64(all_f64(strtod(argv[3], NULL)), &d, &doubles);
        report("exp_f32", &floats);
        report("exp_f64", &doubles);
        return 0;
    }
    REQUIRE(argc == 3, "usage: exp_test STRIDE COUNT");
    const uint64_t stride = strtoull(argv[1], NULL, 10);
    const long long count = strtoll(argv[2], NULL, 10);
    Worst zero = {0}, floats[2] = {{0}}, doubles[2] = {{0}};
    every_float(stride);
    if (HAS_LONG_DOUBLE) {
        doubles_below_zero(count, &zero);
        report("exp_f64", &zero);
    }
    for (int with_slope = 0; with_slope < 2; with_slope++) {
        random_frames(count / 2, with_slope, floats + with_slope, doubles + with_slope);
        report(with_slope ? "exp_f32_with_temperature" : "exp_f32_any_maximum", floats + with_slope);
        if (HAS_LONG_DOUBLE)
            report(with_slope ? "exp_f64_with_temperature" : "exp_f64_any_maximum", doubles + with_slope);
    }
    return 0;
}
