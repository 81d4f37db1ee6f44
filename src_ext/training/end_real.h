/* Ends one instance of the templates in kernels.h. */
#undef REAL
#undef SUFFIX
#undef REAL_IS_DOUBLE
#undef VLANES
#undef SQRT
