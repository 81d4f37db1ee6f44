/* Included before everything else by FASTSOFTMAX_LONG_DOUBLE=64: the C library's functions of long double take x86's 80
 * bits, whatever the compiler calls long double, so that those of double have to stand in for them. */
#define _GNU_SOURCE 1
#include <math.h>

#define expl exp
#define expm1l expm1
#define fabsl fabs
#define tanhl tanh
