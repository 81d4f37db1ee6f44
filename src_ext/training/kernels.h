/* Every training kernel, in both precisions. */
#include "training/job.h"

#define JOIN_(name, suffix) name##_##suffix
#define JOIN(name, suffix) JOIN_(name, suffix)
#define NAME(name) JOIN(name, SUFFIX)

#define REAL float
#define SUFFIX f32
#define REAL_IS_DOUBLE 0
#define VLANES (VBYTES / 4)
#define SQRT sqrtf
#include "training/product.h"
#include "training/dots.h"
#include "training/loss.h"
#include "training/update.h"
#include "training/step.h"
#include "training/forward.h"
#include "training/linear.h"
#undef REAL
#undef SUFFIX
#undef REAL_IS_DOUBLE
#undef VLANES
#undef SQRT

#define REAL double
#define SUFFIX f64
#define REAL_IS_DOUBLE 1
#define VLANES (VBYTES / 8)
#define SQRT sqrt
#include "training/product.h"
#include "training/dots.h"
#include "training/loss.h"
#include "training/update.h"
#include "training/step.h"
#include "training/forward.h"
#include "training/linear.h"
