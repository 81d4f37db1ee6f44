/* The team of this process: who has it, when it is started, what fork() does to it. */
#ifndef FASTSOFTMAX_RUNTIME_PROCESS_H
#define FASTSOFTMAX_RUNTIME_PROCESS_H

#include "machine.h"
#include "result_pool.h"
#include "small_results.h"
#include "team.h"

static team *current_team;         /* touched by whoever has taken it */
static _Atomic uintptr_t taken_by; /* a thread, or 0; a second Python thread computes alone meanwhile */
static _Atomic uint32_t is_starting;
static _Atomic int64_t refused_at; /* when the system last refused a thread; 0: never */
static _Atomic int n_refusals;     /* since it last gave all that were asked for */
static _Atomic int n_hosts;        /* threads that host a team, or have not quite ended */

/* What bounds the number of threads besides affinity and OpenMP's own settings; 0: nothing. */
static struct {
    _Atomic int wanted;
    int quota, n_cpus; /* do not change once the package is imported */
} thread_limits;

typedef enum { BY_WANT, BY_AFFINITY, BY_QUOTA, BY_OPENMP, BY_BUILD } thread_decision;

/* The number of threads of a large call, and what decided it. */
static int decide_threads(thread_decision *reason /* OUT */) {
    int n = affinity_cpu_count();
    *reason = BY_BUILD;
    if (!HAS_OPENMP) return 1;
    *reason = BY_WANT;
    const int wanted = thread_limits.wanted;
    if (wanted > 0) return wanted;
    *reason = BY_AFFINITY;
    if (n == 0) n = thread_limits.n_cpus;
    if (thread_limits.quota > 0 && thread_limits.quota < n) n = thread_limits.quota, *reason = BY_QUOTA;
    if (omp_get_max_threads() < n) n = omp_get_max_threads(), *reason = BY_OPENMP;
    return n;
}

static int default_threads(void) {
    thread_decision reason;
    return decide_threads(&reason);
}

/* Enter the OpenMP region of a team and help until it is stopped: runtime.pyx. */
static void (*host_region)(team *t, int n_helpers);

/* One team starts at a time: what the system would start must not be given to two. */
static void begin_start(void) {
    while (atomic_exchange(&is_starting, 1)) sleep_while(&is_starting, 1, 1000000);
}

static void end_start(void) {
    atomic_store(&is_starting, 0);
    wake_one(&is_starting);
}

/* Thread `id` of a team's region, from 1 on; the first is the one that has entered it, when OpenMP has started the
 * others. */
static void help_in_region(team *t, int id) {
    if (id == 1) end_start();
    help(t, id);
}

static void note_refusal(void) {
    if (atomic_fetch_add(&n_refusals, 1) >= MOST_RETRIES) atomic_store(&n_refusals, MOST_RETRIES);
    atomic_store(&refused_at, now_ns());
}

/* Whether the system has refused threads so lately that it is not asked again. */
static int was_refused_lately(void) {
    const int64_t at = atomic_load(&refused_at);
    const int n = atomic_load(&n_refusals);
    return at && now_ns() - at < (int64_t)RETRY << (n > 1 ? n - 1 : 0);
}

/* Wait until the threads of earlier teams have ended, 20 ms at most: the system counts them. */
static void wait_for_other_hosts(void) {
    for (int k = 0; k < 100 && atomic_load(&n_hosts) > 1; k++) sleep_while(&is_starting, 1, 200000);
}

static thread_result THREAD_CALL host_team(void *argument) {
    team *t = argument;
    atomic_fetch_add(&n_hosts, 1);
    begin_start();
    if (atomic_load(&n_refusals)) wait_for_other_hosts();
    const int n_helpers = startable_threads(t->n_asked - 1) + 1; /* this thread is one of them */
    atomic_store(&t->n_helpers, n_helpers);
    if (n_helpers < t->n_asked) note_refusal();
    else atomic_store(&n_refusals, 0);
    if (atomic_load(&t->stopping)) end_start();
    else host_region(t, n_helpers);
    free_team(t);
    atomic_fetch_sub(&n_hosts, 1);
    return 0;
}

/* With the team taken: have one with so many helpers. A team that is smaller goes, and a new one comes. */
static int have_team(int n_helpers) {
    if (current_team && atomic_load(&current_team->n_helpers) >= n_helpers) return 1;
    if (!HAS_OPENMP) return 0;
    if (was_refused_lately()) return current_team != NULL;
    if (n_helpers < default_threads() - 1) n_helpers = default_threads() - 1; /* as later calls will want */
    if (n_helpers > MAX_PARTICIPANTS - 1) n_helpers = MAX_PARTICIPANTS - 1;
    team *t = new_team(n_helpers);
    if (t == NULL) return current_team != NULL;
    if (!start_thread(host_team, t)) {
        atomic_store(&t->may_be_freed, 1);
        free_team(t);
        note_refusal();
        return current_team != NULL;
    }
    if (current_team) stop_team(current_team);
    current_team = t;
    return 1;
}

static int take_team(void) {
    uintptr_t nobody = 0;
    return atomic_compare_exchange_strong(&taken_by, &nobody, own_thread());
}

/* Not so in a child that a signal handler has forked in the middle of a call: there it goes on without the team. */
static int has_team(void) { return atomic_load(&taken_by) == own_thread(); }

static void release_team(void) {
    if (has_team()) atomic_store(&taken_by, 0);
}

static int acquire_team(int n) {
    if (n < 2 || !take_team()) return 1;
    if (n > MAX_PARTICIPANTS) n = MAX_PARTICIPANTS;
    if (have_team(n - 1)) {
        follow_caller(current_team);
        const int most = atomic_load(&current_team->n_helpers) + 1;
        return n < most ? n : most;
    }
    release_team();
    return 1;
}

static char *team_scratch(size_t n_bytes) {
    if (!has_team()) return NULL;
    team *t = current_team;
    if (t->kept_bytes < n_bytes) {
        free_aligned(t->kept_scratch);
        t->kept_scratch = allocate_aligned(CACHE_LINE_BYTES, n_bytes);
        t->kept_bytes = t->kept_scratch ? n_bytes : 0;
    }
    return t->kept_scratch;
}

static void run_on_team(block_function run, const void *task, ptrdiff_t first, ptrdiff_t stop, int n, char *scratch,
                        ptrdiff_t stride) {
    if (has_team()) run_job(current_team, run, task, first, stop, n, scratch, stride);
    else
        for (ptrdiff_t block = first; block < stop; block++) run(task, block, scratch);
}

/* A child has the memory of its parent's team but none of its threads: it starts its own at its first large call. */
static void start_anew(void) {
    current_team = NULL;
    atomic_store(&refused_at, 0);
    atomic_store(&n_refusals, 0);
    atomic_store(&n_hosts, 0);
    atomic_store(&is_starting, 0);
    atomic_store(&taken_by, 0);
    forget_sleepers();
    restart_pool();
}

/* Returns whether the system tells of forks itself; else Python has to. */
static int watch_forks(void) {
#if defined(_WIN32)
    return 1;
#else
    return pthread_atfork(lock_pool, unlock_pool, start_anew) == 0;
#endif
}

/* The number of helpers that have come to life, -1 while the team works, and what it has done. */
static int report_team(team_counts *counts /* OUT */) {
    int n = 0;
    memset(counts, 0, sizeof *counts);
    if (!take_team()) return -1;
    if (current_team) {
        n = atomic_load(&current_team->n_begun);
        *counts = current_team->counts;
    }
    release_team();
    return n;
}

#endif
