/* The row and lane primitives, for float (suffix _f32) and double (_f64), from one text. */
#ifndef FASTSOFTMAX_SOFTMAX_PRIMITIVES_H
#define FASTSOFTMAX_SOFTMAX_PRIMITIVES_H

#include <Python.h>

#include "loss/targets.h"

#include "simd/float32.h"
#include "softmax/templates.h"
#include "simd/end_real.h"

#include "simd/float64.h"
#include "softmax/templates.h"
#include "simd/end_real.h"

#endif
