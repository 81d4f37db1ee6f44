/* What the training kernels need of the machine: vector width, tile shape, a barrier.

   VBYTES is the width of one vector register; PRODUCT_ROWS times two vectors of accumulators fill the
   register file (32 registers with AVX-512 and NEON, 16 elsewhere). Neither enters into the bits of
   a product: every element is one sum over its depth, in order. */
#ifndef FASTSOFTMAX_TRAINING_CONFIG_H
#define FASTSOFTMAX_TRAINING_CONFIG_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#include <sched.h>
#endif

#if defined(__AVX512F__)
#define VBYTES 64
#define PRODUCT_ROWS 12
#elif defined(__AVX__)
#define VBYTES 32
#define PRODUCT_ROWS 6
#elif defined(__aarch64__)
#define VBYTES 16
#define PRODUCT_ROWS 12
#else
#define VBYTES 16
#define PRODUCT_ROWS 6
#endif

/* Dot products keep a tile of so many outputs by so many rows, or vectors of features, in registers. */
#define DOT_ROWS 4
#define DOT_OUTPUTS (PRODUCT_ROWS > 8 ? 5 : 2)

/* Features whose weights are updated and then used at once for the next batch, while they sit in L1. */
#define FEATURE_BLOCK 96

/* Rows that the inference and L-BFGS kernels take at a time. */
#define ROW_BLOCK 32

enum { SOURCE_UINT8, SOURCE_FLOAT32, SOURCE_FLOAT64 };
enum { LOSS_SOFTMAX, LOSS_LOGISTIC };
enum { SOLVER_ADAM, SOLVER_SGD };

static inline ptrdiff_t source_bytes(int source) {
    return source == SOURCE_UINT8 ? 1 : source == SOURCE_FLOAT32 ? 4 : 8;
}

#define SPINS_TO_STALL 4000

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* What is fetched from memory beside the arithmetic: a cache line a step, up to `end`. */
typedef struct {
    const char *at, *end;
} fetching;

ALWAYS_INLINE void fetch_line(fetching *next) {
    if (next->at >= next->end) return;
    __builtin_prefetch(next->at, 0, 2);
    next->at += 64;
}

/* A barrier that spins: a step is tens of microseconds, a sleeping thread takes as long to wake.
   After a while it yields, and counts a stall: somebody else wants the core of a thread of ours. */
typedef struct {
    int n_threads, stalls;
    int arrived __attribute__((aligned(64)));
    int generation __attribute__((aligned(64)));
} spin_barrier;

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static void spin_wait(spin_barrier *barrier) {
    if (barrier->n_threads == 1) return;
    int generation = __atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == barrier->n_threads) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->generation, generation + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int spins = 0; __atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE) == generation; spins++) {
        cpu_relax();
#if defined(_OPENMP)
        if (spins == SPINS_TO_STALL) __atomic_add_fetch(&barrier->stalls, 1, __ATOMIC_RELAXED);
        if (spins > SPINS_TO_STALL) sched_yield();
#endif
    }
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

/* The fixed share of `count` items that thread `index` of `n_threads` takes. */
static inline ptrdiff_t share_start(ptrdiff_t count, int index, int n_threads) {
    return count * index / n_threads;
}

#endif
