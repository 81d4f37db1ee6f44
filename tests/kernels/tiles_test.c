/* Transposes and tiles: layout/tiles.h for every kind of data, and transpose of simd/vector.h.
 *
 * Prints a line for each kind: `name 0 0 count`; a value in a wrong place ends the program with its place. */
#include "layout/kinds.h"

#include "check.h"

enum { AREA = 8192 };

#define DATA float
#define REAL float
#define LANES LANES_F32
#define NAME(stem) stem##_f32_f32
#define ENCODE(v) (v)
#define MODULUS 8191
#define TITLE "tiles_f32"
#define CAN_STORE
#include "tile_checks.h"

#define DATA double
#define REAL double
#define LANES LANES_F64
#define NAME(stem) stem##_f64_f64
#define ENCODE(v) (v)
#define MODULUS 8191
#define TITLE "tiles_f64"
#define CAN_STORE
#include "tile_checks.h"

/* An integer below 2048 as float16: its leading bit is implied. */
static float16 half_of(float v) {
    if (v == 0) return (float16){0};
    const int exponent = ilogbf(v);
    return (float16){(uint16_t)(((exponent + 15) << 10) | (int)ldexpf(v - ldexpf(1, exponent), 10 - exponent))};
}
static bfloat16 bfloat16_of(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (bfloat16){(uint16_t)(bits >> 16)};
}

#define DATA float16
#define REAL float
#define LANES LANES_F32
#define NAME(stem) stem##_f16_f32
#define ENCODE(v) half_of(v)
#define MODULUS 2039
#define TITLE "tiles_f16"
#define CAN_STORE
#include "tile_checks.h"

#define DATA bfloat16
#define REAL float
#define LANES LANES_F32
#define NAME(stem) stem##_bf16_f32
#define ENCODE(v) bfloat16_of(v)
#define MODULUS 251
#define TITLE "tiles_bf16"
#define CAN_STORE
#include "tile_checks.h"

#define DATA uint8_t
#define REAL float
#define LANES LANES_F32
#define NAME(stem) stem##_mask_f32
#define ENCODE(v) (uint8_t)(v)
#define MODULUS 2
#define TITLE "tiles_mask_f32"
#include "tile_checks.h"

#define DATA uint8_t
#define REAL double
#define LANES LANES_F64
#define NAME(stem) stem##_mask_f64
#define ENCODE(v) (uint8_t)(v)
#define MODULUS 2
#define TITLE "tiles_mask_f64"
#include "tile_checks.h"

static void transposes(void) {
    vec_f32 f[LANES_F32];
    vec_f64 d[LANES_F64];
    for (int i = 0; i < LANES_F32; i++)
        for (int j = 0; j < LANES_F32; j++) f[i][j] = (float)(100 * i + j);
    for (int i = 0; i < LANES_F64; i++)
        for (int j = 0; j < LANES_F64; j++) d[i][j] = 100 * i + j;
    transpose_f32(f);
    transpose_f64(d);
    for (int i = 0; i < LANES_F32; i++)
        for (int j = 0; j < LANES_F32; j++)
            REQUIRE(f[i][j] == 100 * j + i, "float, row %d, lane %d: %g", i, j, f[i][j]);
    for (int i = 0; i < LANES_F64; i++)
        for (int j = 0; j < LANES_F64; j++)
            REQUIRE(d[i][j] == 100 * j + i, "double, row %d, lane %d: %g", i, j, d[i][j]);
    printf("transpose 0 0x0p+0 2\n");
}

int main(void) {
    transposes();
    check_all_f32_f32();
    check_all_f64_f64();
    check_all_f16_f32();
    check_all_bf16_f32();
    check_all_mask_f32();
    check_all_mask_f64();
    return 0;
}
