/* What the training kernels need of the machine: tile shape, threads.

   PRODUCT_ROWS times two vectors of accumulators stay in registers (32 with AVX-512 and NEON, 16 elsewhere): enough of
   them to keep the multipliers busy, and with AVX-512 a divisor of the tile. Neither enters into the bits of a product:
   every element is one sum over its depth, in order. */
#ifndef FASTSOFTMAX_TRAINING_CONFIG_H
#define FASTSOFTMAX_TRAINING_CONFIG_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "runtime/state.h"
#include "simd/vector.h"

#if VECTOR_BYTES == 64
#define PRODUCT_ROWS 8
#elif defined(__aarch64__)
#define PRODUCT_ROWS 12
#else
#define PRODUCT_ROWS 6
#endif

/* So many vectors of columns of one row are summed at once, which hides the latency of an addition. */
#define WIDE_VECTORS 8

/* Dot products keep a tile of so many outputs by so many rows, or vectors of features, in registers. */
#define DOT_ROWS 4
#define DOT_OUTPUTS (PRODUCT_ROWS >= 8 ? 5 : 2)

/* The most rows of a batch that training takes at a time. */
#define MAX_BLOCK_ROWS 64

/* Gradients of so many panels of inputs by so many tiles of units are one block of work. */
#define PANEL_GROUP 2
#define TILE_GROUP 4

/* Rows that the inference and L-BFGS kernels take at a time. */
#define ROW_BLOCK 32

/* Entries of a gradient whose sum over the groups one block takes. */
#define SUM_BLOCK 512

enum { SOURCE_UINT8, SOURCE_FLOAT32, SOURCE_FLOAT64 };
enum { LOSS_SOFTMAX, LOSS_LOGISTIC };
enum { SOLVER_ADAM, SOLVER_SGD };
enum { ROWS_FINITE = 1, LOGITS_FINITE = 2 };

static inline ptrdiff_t source_bytes(int source) {
    return source == SOURCE_UINT8 ? 1 : source == SOURCE_FLOAT32 ? 4 : 8;
}

/* What is fetched from memory beside the arithmetic: a cache line a step, up to `end`. */
typedef struct {
    const char *at, *end;
} Fetching;

INLINE void fetch_line(Fetching *next) {
    if (next->at >= next->end) return;
    __builtin_prefetch(next->at, 0, 2);
    next->at += 64;
}

/* The threads of a call, each with scratch memory of so many bytes. */
typedef struct {
    const runtime_functions *runtime;
    int n_threads;
    char *scratch;
    ptrdiff_t scratch_bytes;
} workers;

/* Run a block function over all blocks; it has returned for each of them when this returns. */
static void run_all_blocks(const workers *w, block_function run, const void *task, ptrdiff_t n_blocks) {
    if (w->n_threads > 1) {
        w->runtime->run(run, task, 0, n_blocks, w->n_threads, w->scratch, w->scratch_bytes);
        return;
    }
    for (ptrdiff_t block = 0; block < n_blocks; block++) run(task, block, w->scratch);
}

/* Treat subnormal numbers as 0 in the calling thread; returns the mode to restore. */
static inline uint64_t flush_subnormals(void) {
#if defined(__x86_64__)
    const uint32_t mode = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(mode | 0x8040); /* flush to zero, denormals are zero */
    return mode;
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(mode | (1u << 24)));
    return mode;
#else
    return 0;
#endif
}

static inline void restore_subnormals(uint64_t mode) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((uint32_t)mode);
#elif defined(__aarch64__)
    __asm__ __volatile__("msr fpcr, %0" : : "r"(mode));
#else
    (void)mode;
#endif
}

/* Where part `index` of `n_parts` in `count` items starts. */
static inline ptrdiff_t part_start(ptrdiff_t count, ptrdiff_t index, ptrdiff_t n_parts) {
    return count * index / n_parts;
}

#endif
