/* Template for one REAL: errors of math/exp.h. A term is judged against exp((x - m) / temperature) in units of the
 * maximum's term, as a row divides it. */

/* A REAL divided by a REAL, times 1: the frame of a row with this maximum. */
static exp_frame_of_check FN(frame)(REAL m, double temperature) {
    REAL slope, error;
    FN(slope_parts)(temperature, &slope, &error);
    exp_frame_of_check frame = {.temperature = temperature, .m = m};
    frame.FN(f) = FN(exp_setup)(FN(all)(m), slope, error);
    frame.unit = (long double)frame.FN(f).unit[0] + frame.FN(f).unit_error[0];
    return frame;
}

/* The errors of a vector of arguments <= m. */
static void FN(check)(VEC x, const exp_frame_of_check *frame, Worst *worst) {
    const int has_slope = frame->temperature != 1;
    const VEC got = FN(exp_scaled)(x, &frame->FN(f), has_slope);
    for (int lane = 0; lane < LANES; lane++) {
        const double v = x[lane];
        if (sizeof(REAL) == sizeof(float)) {
            /* (x - m) / temperature is exact enough in double */
            const double want = exp((v - frame->m) / frame->temperature) * (double)frame->unit;
            if (got[lane] == 0 && want < 0x1p-124) continue; /* too small to count, by the contract */
            note(worst, ulp_error_f32(got[lane], want), v);
        } else {
            const double total = v - frame->m, part = total - v;
            const long double lost = (v - (total - part)) + (-frame->m - part);
            const long double argument = ((long double)total + lost) / frame->temperature;
            const long double rest = (((long double)total - argument * frame->temperature) + lost) / frame->temperature;
            const long double want = expl(argument) * (1 + rest) * frame->unit;
            if (got[lane] == 0 && want < 0x1p-1020L) continue;
            note(worst, ulp_error_f64(got[lane], want), v);
        }
    }
}
