/* What the templates of training/ mean by REAL: float. */
#include "training/job.h"

#ifndef NAME
#define JOIN_(name, suffix) name##_##suffix
#define JOIN(name, suffix) JOIN_(name, suffix)
#define NAME(name) JOIN(name, SUFFIX)
#endif

#define REAL float
#define SUFFIX f32
#define REAL_IS_DOUBLE 0
#define VLANES (VBYTES / 4)
#define SQRT sqrtf
