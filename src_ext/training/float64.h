/* What the templates of training/ mean by REAL: double. */
#include "training/job.h"

#ifndef NAME
#define JOIN_(name, suffix) name##_##suffix
#define JOIN(name, suffix) JOIN_(name, suffix)
#define NAME(name) JOIN(name, SUFFIX)
#endif

#define REAL double
#define SUFFIX f64
#define REAL_IS_DOUBLE 1
#define VLANES (VBYTES / 8)
#define SQRT sqrt
