/* Every template of the kernels, for the REAL that simd/float32.h or simd/float64.h has set; each stands on
 * those before it. */
#ifndef REAL
#include "simd/float32.h" /* opened alone */
#endif
#include "math/exp.h"
#include "softmax/rows.h"
#include "softmax/lanes.h"
#include "loss/dense.h"
#include "loss/lane_targets.h"
#include "loss/binary.h"
#include "loss/bounds.h"
#include "loss/entropy.h"
#include "loss/kl_divergence.h"
#include "softmax/top_k.h"
