/* Template for one REAL: the functions of simd/vector.h, each against its description there, a lane at a time, over
 * every triple of special values in every lane; then, of random numbers, those that round. */
#define EXPECT(what, got, want)                                                                                   \
    REQUIRE((got) == (want) || (isnan((double)(got)) && isnan((double)(want))), what ": %a, not %a, of %a %a %a", \
            (double)(got), (double)(want), (double)a[lane], (double)b[lane], (double)c[lane])

static void FN(check_three)(VEC a, VEC b, VEC c) {
    const IVEC n = __builtin_convertvector(FN(abs_of)(a) < 3, IVEC) + 7;
    const VEC max = FN(max)(a, b), less = FN(zero_less)(c, a, b), equal = FN(zero_equal)(c, a, b);
    const VEC from = FN(product_from)(FN(abs_of)(b), a, c), at_most = FN(where_at_most)(c, a, b, a);
    const VEC same = FN(where_equal)(c, (IVEC)a, (IVEC)b, a), times = FN(times_1p)(a, b, a, c);
    const IVEC counted = FN(count_equal)(n, a, b);
    const uint64_t exceeds = FN(exceeds)(a, b);
    int any = 0;
    for (int lane = 0; lane < LANES; lane++) {
        const REAL x = a[lane], y = b[lane], z = c[lane], size = y < 0 ? -y : y;
        EXPECT("max", max[lane], x > y ? x : y);
        EXPECT("zero_less", less[lane], x < y ? 0 : z);
        EXPECT("zero_equal", equal[lane], x == y ? 0 : z);
        EXPECT("count_equal", counted[lane], n[lane] + (x == y));
        if (isfinite(z)) EXPECT("product_from", from[lane], x < size ? 0 : x * z);
        EXPECT("where_at_most", at_most[lane], x <= y ? x : z);
        EXPECT("where_equal", same[lane], ((IVEC)a)[lane] == ((IVEC)b)[lane] ? x : z);
        EXPECT("exceeds", (int)(exceeds >> lane & 1), !(x <= y));
        if (x < z) EXPECT("times_1p", times[lane], 0);
        else if (fabs(y) < 2 && fabs(x) < 4)
            EXPECT("times_1p, near", fabs(times[lane] - x * (1 + (double)y)) <= 4 * REAL_EPSILON, 1);
        any |= x == y;
    }
    REQUIRE(FN(any_equal)(a, b) == any, "any_equal is not %d", any);
    REQUIRE(exceeds >> (LANES - 1) <= 1, "exceeds has bits beyond the lanes: %#llx", (unsigned long long)exceeds);
}

static void FN(check_parts)(void) {
    REAL from[LANES], to[LANES + 2];
    for (int lane = 0; lane < LANES; lane++) from[lane] = (REAL)(lane + 1);
    for (size_t k = 0; k <= LANES; k++) {
        VEC a = FN(load_part)(from, k, FN(all)(-7)), b = a, c = a;
        for (int lane = 0; lane < LANES; lane++) EXPECT("load_part", a[lane], (size_t)lane < k ? from[lane] : -7);
        for (int i = 0; i < LANES + 2; i++) to[i] = 99;
        FN(store_part)(to + 1, k, FN(load)(from));
        for (int lane = -1; lane <= LANES; lane++)
            REQUIRE(to[lane + 1] == (lane >= 0 && (size_t)lane < k ? from[lane] : 99), "store_part %zu, lane %d", k,
                    lane);
        VEC rising = FN(load)(from) - (REAL)k;
        REQUIRE(FN(max_of_lanes)(rising) == (REAL)LANES - (REAL)k, "max_of_lanes");
        rising = -rising;
        REQUIRE(FN(max_of_lanes)(rising) == (REAL)k - 1, "max_of_lanes, in the first");
        REQUIRE(FN(max_of_lanes)(FN(all)(-INFINITY)) == -INFINITY, "max_of_lanes of -inf");
        REQUIRE(FN(count_of_lanes)((IVEC)(FN(load)(from) <= FN(all)((REAL)k))) == -(double)k, "count_of_lanes");
    }
}

/* Of doubles without FMA the lower halves have 27 bits, and their product 54. */
#if defined(__FMA__)
#define PRODUCT_MISS 0
#else
#define PRODUCT_MISS (sizeof(REAL) == sizeof(float) ? 0 : 0x1p-104)
#endif

static REAL FN(random)(void) { return (REAL)((random_bits() % 2 ? -1 : 1) * exp2(random_between(-20, 20))); }

static void FN(check_arithmetic)(long long count) {
    for (long long i = 0; i < count; i += LANES) {
        VEC a, b, c;
        for (int lane = 0; lane < LANES; lane++) a[lane] = FN(random)(), b[lane] = FN(random)(), c[lane] = FN(random)();
        const VEC ab = a * b, error = FN(product_error)(a, b, ab), root = FN(square_root)(FN(abs_of)(a));
        const VEC less = FN(less_product)(a, b, c);
        for (int lane = 0; lane < LANES; lane++) {
            const wide exact = (wide)a[lane] * b[lane], left = (wide)root[lane] * root[lane] - fabs((double)a[lane]);
            const wide missed = (wide)ab[lane] + error[lane] - exact;
            REQUIRE(fabs((double)missed) <= PRODUCT_MISS * fabs((double)exact), "product_error: %a %a", (double)a[lane],
                    (double)b[lane]);
            /* correctly rounded: off by at most half of the last bit, which is 2 * root * EPSILON / 2 of the square */
            const double off = (double)(left < 0 ? -left : left), half = (double)root[lane] * root[lane] * REAL_EPSILON;
            REQUIRE(off <= half * 1.000001, "square_root(%a) is %a", (double)a[lane], (double)root[lane]);
            const wide want = a[lane] - (wide)b[lane] * c[lane],
                       size = fabs((double)a[lane]) + fabs((double)b[lane] * c[lane]);
            const wide miss = want > less[lane] ? want - less[lane] : less[lane] - want;
            REQUIRE(miss <= size * REAL_EPSILON, "less_product: %a %a %a", (double)a[lane], (double)b[lane],
                    (double)c[lane]);
        }
    }
}

static void FN(check_vectors)(long long count) {
    static const REAL special[] = {0,
                                   -0.0,
                                   1,
                                   -1,
                                   2,
                                   3.5,
                                   REAL_EPSILON,
                                   (REAL)REAL_MIN_NORMAL,
                                   (REAL)REAL_MIN_NORMAL / 4,
                                   REAL_MAX,
                                   -REAL_MAX,
                                   INFINITY,
                                   -INFINITY,
                                   NAN};
    enum { N = sizeof special / sizeof special[0] };
    for (int i = 0; i < N * N * N; i++) {
        VEC a, b, c;
        for (int lane = 0; lane < LANES; lane++) {
            const int k = i + lane;
            a[lane] = special[k % N], b[lane] = special[k / N % N], c[lane] = special[k / (N * N) % N];
        }
        FN(check_three)(a, b, c);
    }
    FN(check_parts)();
    FN(check_arithmetic)(count);
    printf("%s 0 0x0p+0 %lld\n", sizeof(REAL) == sizeof(float) ? "vectors_f32" : "vectors_f64", count);
}
#undef EXPECT
#undef PRODUCT_MISS
