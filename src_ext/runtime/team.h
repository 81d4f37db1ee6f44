/* One team of threads for the whole process, which waits for nobody.
 *
 * A job is a range of blocks. The caller gives every participant a contiguous segment of it, wakes those who sleep, and takes
 * blocks itself; whoever has finished his segment, from its front, takes from the back of the others'. So the caller
 * never waits for a thread that has not come: it does that thread's blocks. It only waits for those who are inside
 * a block when none is left. Blocks are fixed by the shape of the data, hence bits do not depend on who ran them.
 *
 * Helpers are the threads of one OpenMP region that lasts as long as the team (runtime.pyx). Between jobs they wait here
 * instead of in the runtime's barrier, which would keep spinning on the cores that the next library needs. They spin
 * only while calls follow one another closely, and hardly at all for a while after a wait that showed that others
 * want their cores; then they sleep, and an idle team costs nothing.
 *
 * The protocol, all in `gate`: OPEN is set while a job is published. A helper enters by raising the count of those
 * inside while OPEN is set, in one compare-and-swap, and only then reads the job. The caller clears OPEN and waits until the
 * count is 0; from then on nobody reads the job, and it may go away. tests/runtime/ holds a test of this under the
 * thread sanitizer and a check of every interleaving. */
#ifndef FASTSOFTMAX_RUNTIME_TEAM_H
#define FASTSOFTMAX_RUNTIME_TEAM_H

#include <stddef.h>
#include <string.h>

#include "platform.h"
#include "state.h"

enum {
    GATE_OPEN = 1u << 30,                 /* a job is published */
    GATE_SLEEPER = 1u << 29,              /* the caller sleeps until the last helper leaves */
    GATE_SHIFT = 14,                      /* number of participants, caller included */
    GATE_INSIDE = (1u << GATE_SHIFT) - 1, /* number of helpers inside */
    MAX_PARTICIPANTS = (1u << GATE_SHIFT) - 1,
};

/* Times in nanoseconds. */
enum {
    CLOSE_CALLS = 50000, /* calls that follow one another sooner than this are a loop: helpers spin so long */
    SHORT_SPIN = 500,    /* else so long, before they sleep */
    JOB_SPIN = 200000,   /* so long while a job runs that leaves them without a block */
    CALLER_SPIN = 30000, /* so long the caller spins for those inside a block, before it sleeps */
    MOST_CREDIT =
        1000000, /* what helpers have saved lately counts for so much of the waits for them that are still to come */
    LONGEST_ALONE = 200000000,
    RETRY = 1000000000, /* a refused thread is asked for again after a second, then after two, four, ... */
    MOST_RETRIES = 6,   /* doubled so often at most */
};

/* What has happened so far: for reports and tests. */
typedef struct {
    int64_t jobs, alone, blocks, blocks_of_helpers, sleeps, waited_ns;
} team_counts;

/* A participant's part of the job, and how its thread waits. */
typedef struct {
    _Atomic uint64_t range; /* next block, and in the upper half the end, of what is left of the segment */
    char padding[CACHE_LINE_BYTES - sizeof(uint64_t)];
    _Atomic uint32_t asleep; /* 1: waits to be woken */
    _Atomic int cpu;         /* where it fell asleep */
    char more_padding[CACHE_LINE_BYTES - sizeof(uint32_t) - sizeof(int)];
    _Atomic int thread;      /* 0: has not come to life */
    _Atomic int is_choosing; /* somebody changes `choice` */
    cpu_choice choice;
} participant;

typedef struct {
    _Atomic uint32_t generation; /* of jobs: what idle helpers look at */
    char padding_0[CACHE_LINE_BYTES - sizeof(uint32_t)];
    _Atomic uint32_t gate;
    char padding_1[CACHE_LINE_BYTES - sizeof(uint32_t)];
    block_function run; /* the job: written while nobody is inside */
    const void *task;
    ptrdiff_t first;
    char *scratch;
    ptrdiff_t stride;
    _Atomic int32_t patience; /* how long helpers spin after a job */
    _Atomic int caller_cpu;
    _Atomic int stopping;
    _Atomic int n_begun;   /* helpers that have come to life: for reports and tests only */
    _Atomic int n_helpers; /* as many as were asked for, then as many as the system gave */
    int n_asked;
    cpu_list cpus; /* what helpers have been told to use: not every OpenMP lets them inherit that of the caller */
    int64_t last_end, alone_until, credit; /* the caller's */
    int n_failures;
    team_counts counts;
    char *kept_scratch;
    size_t kept_bytes;
    _Atomic int may_be_freed;
    participant participants[]; /* n_helpers + 1; 0 is the caller */
} team;

/* What a test may ask for: each helper is held up before it enters and before each block, by up to so many nanoseconds. */
static _Atomic int32_t test_delay_ns;

static inline void delay_for_test(uint64_t *random) {
    const int32_t most = atomic_load_explicit(&test_delay_ns, memory_order_relaxed);
    if (most == 0) return;
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const int64_t until = now_ns() + (int64_t)((*random >> 33) % (uint32_t)most);
    while (now_ns() < until) cpu_relax();
}

static inline int take_front(participant *p, uint32_t *block /* OUT */) {
    uint64_t range = atomic_load_explicit(&p->range, memory_order_relaxed);
    do {
        if ((uint32_t)range >= (uint32_t)(range >> 32)) return 0;
        *block = (uint32_t)range;
    } while (!atomic_compare_exchange_weak_explicit(&p->range, &range, range + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return 1;
}

static inline int take_back(participant *p, uint32_t *block /* OUT */) {
    uint64_t range = atomic_load_explicit(&p->range, memory_order_relaxed);
    do {
        if ((uint32_t)range >= (uint32_t)(range >> 32)) return 0;
        *block = (uint32_t)(range >> 32) - 1;
    } while (!atomic_compare_exchange_weak_explicit(&p->range, &range, range - (UINT64_C(1) << 32),
                                                    memory_order_relaxed, memory_order_relaxed));
    return 1;
}

/* Do blocks until none is left: those of the own segment, then others'. Returns how many. */
static int do_blocks(team *t, int id, int n_participants, uint64_t *random) {
    char *scratch = t->scratch + id * t->stride;
    uint32_t block;
    int done = 0;
    for (int k = 0; k < n_participants; k++) {
        participant *owner = t->participants + (id + k < n_participants ? id + k : id + k - n_participants);
        while (k == 0 ? take_front(owner, &block) : take_back(owner, &block)) {
            if (id > 0) delay_for_test(random);
            t->run(t->task, t->first + block, scratch);
            done++;
        }
    }
    return done;
}

/* Move a helper off the caller's CPU and another (negative: none); nothing where somebody is just doing that. */
static inline void keep_off_cpus(const team *t, participant *helper, int other) {
    if (atomic_exchange(&helper->is_choosing, 1)) return;
    leave_cpus(&helper->choice, helper->thread, atomic_load_explicit(&t->caller_cpu, memory_order_relaxed), other);
    atomic_store(&helper->is_choosing, 0);
}

/* Helpers use the CPUs that their caller may use, also when somebody has changed those. */
static void follow_caller(team *t) {
    const cpu_list cpus = own_cpus();
    if (!cpus.is_known || are_same_cpus(&cpus, &t->cpus)) return;
    int all_live = 1; /* else the others are told at a later call */
    for (int id = 1; id <= atomic_load(&t->n_helpers); id++) {
        participant *helper = t->participants + id;
        const int thread = atomic_load(&helper->thread);
        if (thread == 0) {
            all_live = 0;
            continue;
        }
        while (atomic_exchange(&helper->is_choosing, 1)) cpu_relax();
        give_cpus(&helper->choice, thread, &cpus);
        atomic_store(&helper->is_choosing, 0);
    }
    if (all_live) t->cpus = cpus;
}

/* For which job a participant had this CPU last; the first CPUs of the machine, each on a cache line of its own. */
enum { CPUS_WATCHED = 1024 };
static struct {
    _Atomic uint32_t generation;
    char padding[CACHE_LINE_BYTES - sizeof(uint32_t)];
} cpu_claims[CPUS_WATCHED];

/* Claim a CPU for a participant of a job; returns 0 where another one has it. */
static inline int claim_cpu(int cpu, uint32_t generation) {
    return cpu < 0 || cpu >= CPUS_WATCHED ||
           atomic_exchange_explicit(&cpu_claims[cpu].generation, generation, memory_order_relaxed) != generation;
}

static inline void wake_participant(team *t, int id) {
    participant *helper = t->participants + id;
    if (!atomic_exchange(&helper->asleep, 0)) return;
    /* One that has been moved once may use no other CPU than the caller's, where the caller has come since: it would
     * wait for the end of the job that it is woken for. */
    const int cpu = atomic_load_explicit(&helper->cpu, memory_order_relaxed);
    if (cpu >= 0 && cpu == atomic_load_explicit(&t->caller_cpu, memory_order_relaxed)) keep_off_cpus(t, helper, -1);
    wake_one(&helper->asleep);
}

/* Each participant wakes two others, so that no one spends longer on it than the work takes. */
static inline void wake_children(team *t, int id, int n_participants) {
    for (int child = 2 * id + 1; child <= 2 * id + 2 && child < n_participants; child++) wake_participant(t, child);
}

/* Whether this helper holds up the very caller that it is to help. */
static inline int is_on_callers_cpu(const team *t) {
    const int cpu = current_cpu();
    return cpu >= 0 && cpu == atomic_load_explicit(&t->caller_cpu, memory_order_relaxed);
}

/* Wait for a job other than `seen`; returns its generation. */
static uint32_t wait_for_job(team *t, int id, uint32_t seen) {
    participant *me = t->participants + id;
    for (;;) {
        uint32_t generation;
        int64_t idle_since = 0, job_since = 0;
        for (int spins = 1;; spins++) {
            generation = atomic_load_explicit(&t->generation, memory_order_acquire);
            if (generation != seen) return generation;
            cpu_relax();
            if (spins % 16) continue;
            if (is_on_callers_cpu(t)) break;
            const int64_t now = now_ns();
            const int32_t patience = atomic_load_explicit(&t->patience, memory_order_relaxed);
            if (patience > SHORT_SPIN &&
                atomic_load_explicit(&t->gate, memory_order_relaxed) & (GATE_OPEN | GATE_INSIDE)) {
                if (!job_since) job_since = now;
                if (now - job_since > JOB_SPIN) break;
                idle_since = 0;
                continue;
            }
            if (!idle_since) idle_since = now;
            if (now - idle_since > patience) break;
        }
        atomic_store_explicit(&me->cpu, current_cpu(), memory_order_relaxed);
        atomic_store(&me->asleep, 1);
        if (atomic_load(&t->generation) == seen) sleep_while(&me->asleep, 1, -1);
        atomic_store(&me->asleep, 0);
    }
}

/* Enter the published job, if there is one with room for this helper; returns the number of participants or 0. */
static inline int enter_job(team *t, int id) {
    uint32_t gate = atomic_load_explicit(&t->gate, memory_order_relaxed);
    int n_participants;
    do {
        n_participants = (int)(gate >> GATE_SHIFT & MAX_PARTICIPANTS);
        if (!(gate & GATE_OPEN) || id >= n_participants) return 0;
    } while (
        !atomic_compare_exchange_weak_explicit(&t->gate, &gate, gate + 1, memory_order_acquire, memory_order_relaxed));
    return n_participants;
}

static inline void leave_job(team *t) {
    const uint32_t before = atomic_fetch_sub_explicit(&t->gate, 1, memory_order_acq_rel);
    if ((before & GATE_SLEEPER) && (before & GATE_INSIDE) == 1) wake_one(&t->gate);
}

/* The life of helper `id`, from 1 on. */
static void help(team *t, int id) {
    uint32_t seen = 0;
    uint64_t random = (uint64_t)id;
    atomic_store(&t->participants[id].thread, thread_number());
    atomic_fetch_add(&t->n_begun, 1);
    for (;;) {
        seen = wait_for_job(t, id, seen);
        if (atomic_load(&t->stopping)) return;
        delay_for_test(&random);
        /* The system likes to wake a thread where it was called from: beside the caller, or beside a helper that would
         * then stop in the middle of a block, for which the caller waits. */
        const int cpu = current_cpu();
        if (!claim_cpu(cpu, seen) || is_on_callers_cpu(t)) { /* the caller may have claimed it for a later job */
            keep_off_cpus(t, t->participants + id, cpu);
            claim_cpu(current_cpu(), seen);
        }
        const int n_participants = enter_job(t, id);
        if (n_participants == 0) continue;
        wake_children(t, id, n_participants);
        do_blocks(t, id, n_participants, &random);
        leave_job(t);
    }
}

static team *new_team(int n_helpers) {
    const size_t size = sizeof(team) + (size_t)(n_helpers + 1) * sizeof(participant);
    team *t = allocate_aligned(CACHE_LINE_BYTES, size);
    if (t == NULL) return NULL;
    memset(t, 0, size);
    t->n_helpers = t->n_asked = n_helpers;
    atomic_store(&t->patience, SHORT_SPIN);
    return t;
}

/* Called by the thread that hosts the helpers when they are gone. */
static void free_team(team *t) {
    while (!atomic_load(&t->may_be_freed)) cpu_relax();
    free_aligned(t->kept_scratch);
    free_aligned(t);
}

/* Tell the helpers to go; the thread that hosts them frees the team. */
static void stop_team(team *t) {
    atomic_store(&t->stopping, 1);
    atomic_fetch_add(&t->generation, 1);
    for (int id = 1; id <= t->n_asked; id++) wake_participant(t, id);
    atomic_store(&t->may_be_freed, 1);
}

/* Wait until no helper is inside. Returns how long that took. */
static int64_t wait_for_helpers(team *t, int64_t start) {
    int64_t now = start;
    for (int spins = 1; atomic_load_explicit(&t->gate, memory_order_acquire) & GATE_INSIDE; spins++) {
        cpu_relax();
        if (spins % 64) continue;
        now = now_ns();
        if (now - start < CALLER_SPIN) continue;
        /* Asleep, the caller leaves its core to a helper that is ready but was pushed off its own. */
        const uint32_t gate = atomic_fetch_or(&t->gate, GATE_SLEEPER) | GATE_SLEEPER;
        if (gate & GATE_INSIDE) sleep_while(&t->gate, gate, -1);
        t->counts.sleeps++;
    }
    atomic_store_explicit(&t->gate, 0, memory_order_relaxed);
    return now_ns() - start;
}

/* Decide from a job's times whether helpers are worth waking next: they are while what they save outweighs what the caller
 * waits for those that others have pushed off their cores in the middle of a block. */
static void judge_helpers(team *t, int64_t now, int64_t work, int64_t wait, int64_t done, int64_t n_blocks) {
    const int64_t a_block = work / (done ? done : 1);
    const int64_t saved = (n_blocks - done) * a_block, lost = wait > a_block ? wait - a_block : 0;
    t->credit += saved / 4 - lost;
    if (t->credit >= MOST_CREDIT) {
        t->credit = MOST_CREDIT;
        t->n_failures = 0;
    }
    if (t->credit >= 0 || atomic_load_explicit(&test_delay_ns, memory_order_relaxed)) return;
    const int64_t alone = -t->credit << (1 + t->n_failures);
    t->alone_until = now + (alone < LONGEST_ALONE ? alone : LONGEST_ALONE);
    t->credit = 0;
    if (t->n_failures < 6) t->n_failures++;
}

/* Run blocks first..stop - 1 of a job; the caller has the team for itself. n_participants: at most n_helpers + 1. */
static void run_job(team *t, block_function run, const void *task, ptrdiff_t first, ptrdiff_t stop, int n_participants,
                    char *scratch, ptrdiff_t stride) {
    const int64_t start = now_ns();
    const int64_t n_blocks = stop - first;
    const int most = atomic_load_explicit(&t->n_helpers, memory_order_relaxed) + 1;
    if (n_participants > most) n_participants = most;
    if (n_participants > n_blocks) n_participants = (int)n_blocks;
    t->counts.jobs++;
    t->counts.blocks += n_blocks;
    if (n_participants < 2 || start < t->alone_until) {
        for (ptrdiff_t block = first; block < stop; block++) run(task, block, scratch);
        t->counts.alone++;
        t->last_end = now_ns();
        return;
    }
    t->run = run, t->task = task, t->first = first, t->scratch = scratch, t->stride = stride;
    for (int i = 0; i < n_participants; i++) {
        const uint64_t from = (uint64_t)n_blocks * (uint64_t)i / (uint64_t)n_participants;
        const uint64_t to = (uint64_t)n_blocks * (uint64_t)(i + 1) / (uint64_t)n_participants;
        atomic_store_explicit(&t->participants[i].range, to << 32 | from, memory_order_relaxed);
    }
    const int cpu = current_cpu();
    atomic_store_explicit(&t->caller_cpu, cpu, memory_order_relaxed);
    claim_cpu(cpu, atomic_load_explicit(&t->generation, memory_order_relaxed) + 1);
    const int32_t patience = t->n_failures ? 0 : start - t->last_end < CLOSE_CALLS ? CLOSE_CALLS : SHORT_SPIN;
    atomic_store_explicit(&t->patience, patience, memory_order_relaxed);
    atomic_store_explicit(&t->gate, GATE_OPEN | (uint32_t)n_participants << GATE_SHIFT, memory_order_release);
    atomic_fetch_add(&t->generation, 1);
    wake_children(t, 0, n_participants);
    const int done = do_blocks(t, 0, n_participants, NULL);
    const int64_t out_of_work = now_ns();
    atomic_fetch_and_explicit(&t->gate, ~(uint32_t)GATE_OPEN, memory_order_acq_rel);
    const int64_t wait = wait_for_helpers(t, out_of_work);
    t->last_end = out_of_work + wait;
    t->counts.blocks_of_helpers += n_blocks - done;
    t->counts.waited_ns += wait;
    judge_helpers(t, t->last_end, out_of_work - start, wait, done, n_blocks);
}

#endif
