/* The team of threads and the memory of results without Python and OpenMP, for the thread sanitizer: each block of each job
 * runs once and sees the job's data, whatever the helpers do, while teams grow, stop and start, memory passes through the
 * pool, and its limit changes.
 *
 *     gcc -std=gnu11 -g -O1 -fsanitize=thread -pthread -I src_ext $(python3-config --includes) tests/runtime/team_test.c */
#define _GNU_SOURCE 1 /* as Python has it */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>

#define HAS_OPENMP 1 /* helpers are plain threads here: OpenMP's own runtime is not built for the sanitizer */
static int omp_get_max_threads(void) { return 4; }
#include "runtime/process.h"

#define MAX_BLOCKS 300

typedef struct {
    team *t;
    int id;
} helper;

static void *live(void *argument) {
    helper *h = argument;
    help_in_region(h->t, h->id);
    return NULL;
}

static void host_with_threads(team *t, int n_helpers) {
    pthread_t threads[64];
    helper helpers[64];
    for (int i = 0; i < n_helpers; i++) {
        helpers[i] = (helper){t, i + 1};
        assert(pthread_create(threads + i, NULL, live, helpers + i) == 0);
    }
    for (int i = 0; i < n_helpers; i++) pthread_join(threads[i], NULL);
}

/* What a block writes is plain memory: the sanitizer sees it if two threads touch a block, or one reads a job that has ended. */
typedef struct {
    int factor, n_blocks;
    int runs[MAX_BLOCKS];
    long values[MAX_BLOCKS];
    char *scratch;
    ptrdiff_t stride;
} task;

static void run_block(const void *argument, ptrdiff_t block, char *scratch) {
    task *t = (task *)argument;
    assert(block >= 0 && block < t->n_blocks);
    assert((scratch - t->scratch) % t->stride == 0);
    for (int i = 0; i < 16; i++) scratch[i] = (char)(block + i); /* nobody else may use this scratch now */
    for (int i = 0; i < 16; i++) assert(scratch[i] == (char)(block + i));
    t->runs[block]++;
    t->values[block] = (long)block * t->factor;
}

static unsigned next_random(unsigned *state) { return *state = *state * 1664525u + 1013904223u, *state >> 8; }

static void *call_often(void *argument) {
    unsigned random = (unsigned)(size_t)argument;
    for (int i = 0; i < 1500; i++) {
        task job = {0};
        job.factor = (int)(next_random(&random) % 1000), job.n_blocks = 1 + (int)(next_random(&random) % MAX_BLOCKS);
        const int wanted = 1 + (int)(next_random(&random) % (i % 100 == 99 ? 9 : 4)), n = acquire_team(wanted);
        char alone[64];
        job.stride = 64, job.scratch = n > 1 ? team_scratch(64 * (size_t)n) : alone;
        if (n > 1) {
            const int half = job.n_blocks / 2; /* two turns of one call */
            run_on_team(run_block, &job, 0, half, n, job.scratch, 64);
            run_on_team(run_block, &job, half, job.n_blocks, n, job.scratch, 64);
            release_team();
        } else {
            for (int block = 0; block < job.n_blocks; block++) run_block(&job, block, job.scratch);
        }
        for (int block = 0; block < job.n_blocks; block++)
            assert(job.runs[block] == 1 && job.values[block] == (long)block * job.factor);
        if (i % 7 == 0) { /* sleepers have to be woken */
            const struct timespec pause = {0, 50000 + (long)(next_random(&random) % 300000)};
            nanosleep(&pause, NULL);
        }
        if (i % 5 == 0) {
            const size_t size = POOLED_BYTES << (next_random(&random) % 3);
            char *memory = pool_malloc(NULL, size);
            memory[0] = memory[size - 1] = (char)i;
            if (i % 2) memory = pool_realloc(NULL, memory, size * 2);
            assert(memory[0] == (char)i && memory[size - 1] == (char)i);
            pool_free(NULL, memory, size);
        }
        if (i % 2 == 0) {
            const size_t size = SMALLEST_RESULT_BYTES + next_random(&random) % SMALL_RESULT_BYTES;
            char *memory = small_malloc(NULL, size);
            memset(memory, i, size);
            for (size_t at = 0; at < size; at += 512) assert(memory[at] == (char)i); /* nobody else has it */
            small_free(NULL, memory, size);
        }
        if (i % 50 == 0) set_pool_limit(i % 100 ? (size_t)8 << 20 : 0);
    }
    return NULL;
}

/* A CPU belongs to the participant of a job that claims it first. */
static void check_claims(void) {
    assert(claim_cpu(3, 7) && !claim_cpu(3, 7) && claim_cpu(4, 7) && claim_cpu(3, 8) && !claim_cpu(3, 8));
    for (int i = 0; i < 2; i++) assert(claim_cpu(-1, 8) && claim_cpu(CPUS_WATCHED, 8)); /* nobody knows */
}

#if defined(__linux__)
static int allowed(int cpu) {
    cpu_set_t now;
    assert(sched_getaffinity(0, sizeof now, &now) == 0);
    return CPU_ISSET(cpu, &now) != 0; /* of musl a bit of its word */
}

static void allow(int cpu, int other) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    CPU_SET(other, &set);
    assert(sched_setaffinity(0, sizeof set, &set) == 0);
}

/* A thread of two CPUs leaves the first it is told of, and the other one only if a third is left. */
static void check_choice_of_cpus(void) {
    cpu_set_t given;
    cpu_choice choice = {0};
    int cpus[3], n = 0;
    const int me = thread_number();
    assert(sched_getaffinity(0, sizeof given, &given) == 0);
    for (int cpu = 0; cpu < CPU_SETSIZE && n < 3; cpu++)
        if (CPU_ISSET(cpu, &given)) cpus[n++] = cpu;
    if (n < 2) return;
    const int a = cpus[0], b = cpus[1];
    allow(a, b);
    leave_cpus(&choice, me, a, -1);
    assert(!allowed(a) && allowed(b));
    leave_cpus(&choice, me, b, -1);
    assert(allowed(a) && !allowed(b));
    leave_cpus(&choice, me, a, b);
    assert(!allowed(a) && allowed(b));
    leave_cpus(&choice, me, b, b);
    assert(allowed(a) && !allowed(b));
    allow(b, b); /* somebody else has set it: then there is no choice */
    leave_cpus(&choice, me, b, a);
    assert(!allowed(a) && allowed(b));
    if (n == 3) {
        const int c = cpus[2];
        assert(sched_setaffinity(0, sizeof given, &given) == 0);
        leave_cpus(&choice, me, a, b);
        assert(!allowed(a) && !allowed(b) && allowed(c));
    }
    assert(sched_setaffinity(0, sizeof given, &given) == 0);
}
#else
static void check_choice_of_cpus(void) {}
#endif

int main(void) {
    pthread_t callers[3];
    check_claims();
    check_choice_of_cpus();
    host_region = host_with_threads;
    thread_limits.n_cpus = 4;
    watch_forks();
    set_pool_limit((size_t)8 << 20);
    for (int delay = 0; delay <= 20000; delay += 20000) {
        atomic_store(&test_delay_ns, delay);
        for (size_t i = 0; i < 3; i++) assert(pthread_create(callers + i, NULL, call_often, (void *)(i + 1)) == 0);
        for (size_t i = 0; i < 3; i++) pthread_join(callers[i], NULL);
    }
    set_pool_limit(0);
    release_small();
    assert(pool_held() == 0 && small_held() == 0);
    puts("every block ran once");
    return 0;
}
