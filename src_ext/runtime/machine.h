/* The machine, as the baseline build sees it: its instruction sets, its CPUs, OpenMP. */
#ifndef FASTSOFTMAX_RUNTIME_MACHINE_H
#define FASTSOFTMAX_RUNTIME_MACHINE_H

#if defined(__linux__)
#include <sched.h>
#include <stdlib.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#define HAS_OPENMP 1
#elif !defined(HAS_OPENMP) /* a test brings its own */
#define HAS_OPENMP 0
static inline int omp_get_max_threads(void) { return 1; }
#endif

/* The CPUs that this process may run on; 0 where that cannot be told. */
static int affinity_cpu_count(void) {
#if defined(__linux__)
    for (int n_cpus = 1024; n_cpus <= 65536; n_cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(n_cpus);
        size_t size = CPU_ALLOC_SIZE(n_cpus);
        int count = 0;
        if (set == NULL) return 0;
        if (sched_getaffinity(0, size, set) == 0) count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0) return count;
    }
#endif
    return 0;
}

/* The level of x86-64 that the CPU and the system support: 2, 3 or 4; 1 for the first; 0 elsewhere. */
static int x86_level(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
#define HAS(feature) __builtin_cpu_supports(feature)
    if (!(HAS("ssse3") && HAS("sse4.1") && HAS("sse4.2") && HAS("popcnt"))) return 1;
    if (!(HAS("avx") && HAS("avx2") && HAS("bmi") && HAS("bmi2") && HAS("fma"))) return 2;
    if (!(HAS("avx512f") && HAS("avx512bw") && HAS("avx512cd") && HAS("avx512dq") && HAS("avx512vl"))) return 3;
    return 4;
#undef HAS
#else
    return 0;
#endif
}

#endif
