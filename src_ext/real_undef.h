/* Ends one instance of the templates in primitives.h. */
#undef REAL
#undef FN
#undef VEC
#undef IVEC
#undef LANES
#undef INT_MAX_REAL
#undef SHIFT_ABOVE
#undef ROUNDER
#undef LOG2_E
#undef LN2_HIGH
#undef LN2_LOW
#undef MIN_EXPONENT
#undef REAL_MIN_NORMAL
#undef REAL_MAX
#undef REAL_EPSILON
#undef EXP_POLYNOMIAL
