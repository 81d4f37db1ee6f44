/* What the team of threads needs of the system: a clock, a pause, threads, and sleeping until a word changes.
 *
 * Linux has futexes, Windows WaitOnAddress; elsewhere one mutex and one condition serve all words. */
#ifndef FASTSOFTMAX_RUNTIME_PLATFORM_H
#define FASTSOFTMAX_RUNTIME_PLATFORM_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aligned.h"

#if defined(_WIN32)
#include <windows.h>
#include <process.h>
#else
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

enum { CACHE_LINE_BYTES = 64 };

/* Tell the processor that this is a waiting loop. */
static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Nanoseconds of a clock that never goes back. */
static inline int64_t now_ns(void) {
#if defined(_WIN32)
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (int64_t)((double)count.QuadPart * 1e9 / (double)frequency.QuadPart);
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
#endif
}

/* The CPU that the calling thread is on; -1 where that cannot be told. */
static inline int current_cpu(void) {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

/* Some of the first 1024 CPUs, beyond which no thread is moved. */
typedef struct {
#if defined(__linux__)
    cpu_set_t set;
#endif
    int is_known;
} cpu_list;

/* The CPUs that a thread may use: what it was given, and what it uses of them. */
typedef struct {
#if defined(__linux__)
    cpu_set_t given, used;
#endif
    int has_moved;
} cpu_choice;

/* The CPUs that the calling thread may use. */
static inline cpu_list own_cpus(void) {
    cpu_list found;
    memset(&found, 0, sizeof found);
#if defined(__linux__)
    found.is_known = sched_getaffinity(0, sizeof found.set, &found.set) == 0;
#endif
    return found;
}

static inline int are_same_cpus(const cpu_list *a, const cpu_list *b) { return memcmp(a, b, sizeof *a) == 0; }

/* Let a thread use these CPUs and no others. */
static inline void give_cpus(cpu_choice *choice, int thread, const cpu_list *cpus) {
    choice->has_moved = 0;
#if defined(__linux__)
    sched_setaffinity(thread, sizeof cpus->set, &cpus->set);
#else
    (void)thread;
    (void)cpus;
#endif
}

/* A number that no other living thread of the process has, never 0. */
static inline uintptr_t own_thread(void) {
#if defined(_WIN32)
    return GetCurrentThreadId();
#else
    return (uintptr_t)pthread_self();
#endif
}

/* What the system calls the calling thread. */
static inline int thread_number(void) {
#if defined(__linux__)
    return (int)syscall(SYS_gettid);
#else
    return 0;
#endif
}

/* Move a thread off a CPU, and off another (negative: none) if a third is left to it, until it is moved again. */
static inline void leave_cpus(cpu_choice *choice, int thread, int cpu, int other) {
#if defined(__linux__)
    cpu_set_t now, used;
    if (sched_getaffinity(thread, sizeof now, &now)) return;
    if (!choice->has_moved || !CPU_EQUAL(&now, &choice->used)) choice->given = now; /* somebody else has set it */
    used = choice->given;
    if (cpu >= 0) CPU_CLR(cpu, &used);
    if (other >= 0 && CPU_COUNT(&used) > (CPU_ISSET(other, &used) != 0)) CPU_CLR(other, &used);
    if (CPU_COUNT(&used) == 0 || CPU_EQUAL(&used, &now) || sched_setaffinity(thread, sizeof used, &used)) return;
    choice->used = used;
    choice->has_moved = 1;
#else
    (void)choice;
    (void)thread;
    (void)cpu;
    (void)other;
#endif
}

/* sleep_while(word, value, timeout_ns): return when *word is no longer `value` and somebody has called wake_one or
 * wake_all on it, after timeout_ns (negative: never), or for no reason at all. */
#if defined(__linux__)

static inline void sleep_while(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns) {
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns < 0 ? NULL : &timeout, NULL, 0);
}

static inline void wake_one(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }
static inline void forget_sleepers(void) {}

#elif defined(_WIN32)

static inline void sleep_while(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns) {
    WaitOnAddress((void *)word, &value, sizeof value, timeout_ns < 0 ? INFINITE : (DWORD)(timeout_ns / 1000000 + 1));
}

static inline void wake_one(_Atomic uint32_t *word) { WakeByAddressSingle((void *)word); }
static inline void forget_sleepers(void) {}

#else

static pthread_mutex_t sleepers_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sleepers_condition = PTHREAD_COND_INITIALIZER;

static inline void sleep_while(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns) {
    struct timespec until;
    if (timeout_ns >= 0) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)((until.tv_nsec + timeout_ns) / 1000000000);
        until.tv_nsec = (long)((until.tv_nsec + timeout_ns) % 1000000000);
    }
    pthread_mutex_lock(&sleepers_mutex);
    while (atomic_load(word) == value) {
        if (timeout_ns < 0) pthread_cond_wait(&sleepers_condition, &sleepers_mutex);
        else if (pthread_cond_timedwait(&sleepers_condition, &sleepers_mutex, &until)) break;
    }
    pthread_mutex_unlock(&sleepers_mutex);
}

static inline void wake_one(_Atomic uint32_t *word) {
    (void)word;
    pthread_mutex_lock(&sleepers_mutex);
    pthread_cond_broadcast(&sleepers_condition);
    pthread_mutex_unlock(&sleepers_mutex);
}

/* In a forked child, where no thread sleeps any more. */
static inline void forget_sleepers(void) {
    const pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    const pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    sleepers_mutex = mutex;
    sleepers_condition = condition;
}

#endif

/* Start a detached thread that receives no signal. Returns whether the system let it. */
#if defined(_WIN32)

typedef unsigned thread_result;
#define THREAD_CALL __stdcall

static inline int start_thread(thread_result(THREAD_CALL *body)(void *), void *argument) {
    uintptr_t handle = _beginthreadex(NULL, 1 << 20, body, argument, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (handle == 0) return 0;
    CloseHandle((HANDLE)handle);
    return 1;
}

#else

typedef void *thread_result;
#define THREAD_CALL

static inline int start_thread(thread_result (*body)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int refused;
    if (pthread_attr_init(&attributes)) return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    refused = pthread_create(&thread, &attributes, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !refused;
}

#endif

/* How many threads, at most n, the system would start now beside those that run: an OpenMP runtime that is refused one
 * ends the process. Each is started for a moment, as OpenMP would, and is gone when this returns. */
#if defined(_WIN32)

static inline int startable_threads(int n) { return n; }

#else

typedef struct {
    _Atomic uint32_t leave;
    _Atomic int n_arrived;
} probe_gate;

typedef struct {
    probe_gate *gate;
    pthread_t thread;
    long id;
} probe;

static void *probe_body(void *argument) {
    probe *me = argument;
#if defined(__linux__)
    me->id = syscall(SYS_gettid);
#endif
    atomic_fetch_add(&me->gate->n_arrived, 1);
    while (!atomic_load(&me->gate->leave)) sleep_while(&me->gate->leave, 0, 1000000);
    return NULL;
}

/* The bytes of stack that OpenMP may ask for: what the environment says, else the system's default. */
static size_t openmp_stack_bytes(size_t most) {
    static const char *const names[] = {"OMP_STACKSIZE", "GOMP_STACKSIZE", "KMP_STACKSIZE"};
    for (int i = 0; i < 3; i++) {
        const char *text = getenv(names[i]);
        char *unit = NULL;
        const unsigned long long number = text ? strtoull(text, &unit, 10) : 0;
        if (number == 0) continue;
        while (*unit == ' ') unit++;
        const int shift = strchr("gG", *unit) && *unit   ? 30
                          : strchr("mM", *unit) && *unit ? 20
                          : strchr("bB", *unit) && *unit ? 0
                                                         : 10;
        if (number <= (SIZE_MAX >> 1) >> shift && (size_t)(number << shift) > most) most = (size_t)(number << shift);
    }
    return most;
}

static int startable_threads(int n) {
    pthread_attr_t attributes;
    size_t stack_bytes;
    probe_gate gate = {0, 0};
    probe *probes = calloc(n > 0 ? n : 1, sizeof *probes);
    int started = 0;
    if (probes == NULL) return 0;
    if (pthread_attr_init(&attributes)) {
        free(probes);
        return 0;
    }
    /* A little more than OpenMP will ask for, so that it fits the stacks that the C library keeps of these. */
    if (pthread_attr_getstacksize(&attributes, &stack_bytes) == 0)
        pthread_attr_setstacksize(&attributes, openmp_stack_bytes(stack_bytes) + ((size_t)1 << 20));
    while (started < n) {
        probes[started].gate = &gate;
        if (pthread_create(&probes[started].thread, &attributes, probe_body, probes + started)) break;
        started++;
    }
    pthread_attr_destroy(&attributes);
    while (atomic_load(&gate.n_arrived) < started) sched_yield();
    atomic_store(&gate.leave, 1);
    for (int i = 0; i < started; i++) {
        wake_one(&gate.leave);
        pthread_join(probes[i].thread, NULL);
#if defined(__linux__)
        /* A joined thread counts against the limits until the kernel has let go of it. */
        while (syscall(SYS_tgkill, getpid(), probes[i].id, 0) == 0) sched_yield();
#endif
    }
    free(probes);
    return started == n
               ? n
               : started / 2; /* where there is a limit, others come up to it too, the OpenMP runtime among them */
}

#endif

#endif
