/* Each function of simd/vector.h alone, against its description, a lane at a time; and 16-bit numbers both ways.
 *
 *     vectors_test COUNT STRIDE      COUNT random numbers for what rounds, every STRIDE-th float to 16 bits */
#include "check.h"
#include "layout/narrow.h"

INLINE vec_f32 abs_of_f32(vec_f32 v) { return (vec_f32)((ivec_f32)v & INT32_MAX); }
INLINE vec_f64 abs_of_f64(vec_f64 v) { return (vec_f64)((ivec_f64)v & INT64_MAX); }

#include "simd/float32.h"
#include "math/exp.h" /* all, load */
#include "vector_checks.h"
#include "simd/end_real.h"
#include "simd/float64.h"
#include "math/exp.h"
#include "vector_checks.h"
#include "simd/end_real.h"

static double value_of_half(uint16_t bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const double size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                        : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                                       : ldexp(mantissa, -24);
    return bits & 0x8000 ? -size : size;
}

/* Rounded to nearest, ties to even, on a grid of 2**exponent. */
static double on_grid(double size, int exponent) { return ldexp(nearbyint(ldexp(size, -exponent)), exponent); }

static void check_16_bits(uint32_t first, uint64_t stride) {
    vec_f32 v;
    uint32_t bits[LANES_F32];
    for (int lane = 0; lane < LANES_F32; lane++) {
        bits[lane] = (uint32_t)(first + stride * lane);
        v[lane] = float_of_bits(bits[lane]);
    }
    const vec_u16 half = half_of_float(v);
    bfloat16 brain[LANES_F32];
    store_part_bf16(brain, LANES_F32, v);
    const vec_f32 back = load_part_bf16(brain, LANES_F32, (vec_f32){0});
    for (int lane = 0; lane < LANES_F32; lane++) {
        const double x = v[lane], size = fabs(x), got = value_of_half(half[lane]);
        if (isnan(x)) {
            REQUIRE(isnan(got) && isnan(back[lane]), "NaN %#x", bits[lane]);
            continue;
        }
        int exponent;
        frexp(size, &exponent);
        const double rounded = on_grid(size, exponent < -13 ? -24 : exponent - 11);
        const double want = rounded > 65504 ? INFINITY : rounded;
        REQUIRE(got == copysign(want, x) && signbit(got) == signbit(x), "float16 of %a: %a", x, got);
        const double short_one = on_grid(size, (exponent < -125 ? -125 : exponent) - 8);
        const double brain_want = short_one > 0x1.fep127 ? INFINITY : short_one;
        const int may_be_0 = size < FLT_MIN && back[lane] == 0; /* AVX512_BF16 makes subnormal numbers 0 */
        REQUIRE(back[lane] == copysign(brain_want, x) || may_be_0, "bfloat16 of %a: %a", x, (double)back[lane]);
    }
}

static void check_halves(void) {
    for (uint32_t bits = 0; bits < 65536; bits += LANES_F32) {
        vec_u16 v;
        for (int lane = 0; lane < LANES_F32; lane++) v[lane] = (uint16_t)(bits + lane);
        const vec_f32 got = float_of_half(v);
        for (int lane = 0; lane < LANES_F32; lane++) {
            const double want = value_of_half(v[lane]);
            REQUIRE(got[lane] == want || (isnan(got[lane]) && isnan(want)), "float of half %#x: %a", v[lane],
                    (double)got[lane]);
        }
    }
}

int main(int argc, char **argv) {
    REQUIRE(argc == 3, "usage: vectors_test COUNT STRIDE");
    const long long count = strtoll(argv[1], NULL, 10);
    const uint64_t stride = strtoull(argv[2], NULL, 10);
    check_vectors_f32(count);
    check_vectors_f64(count);
    check_halves();
    for (uint64_t bits = 0; bits < 1ull << 32; bits += stride * LANES_F32) check_16_bits((uint32_t)bits, stride);
    printf("float16 0 0x0p+0 65536\nfrom_float 0 0x0p+0 %llu\n", (1ull << 32) / (unsigned long long)stride);
    return 0;
}
