/* What all compiled modules of a process share: whether it is a forked child, and whether the team of
 * OpenMP threads is in use. One module owns it (runtime.pyx); the others hold a pointer. */
#ifndef FASTSOFTMAX_RUNTIME_STATE_H
#define FASTSOFTMAX_RUNTIME_STATE_H

#include <stdatomic.h>

/* Fewer elements than this run in the calling thread: a wake-up costs more than it saves. */
#define SERIAL_BELOW 32000

typedef struct {
    atomic_int forked;    /* libgomp's threads do not survive fork(): a child stays serial */
    atomic_int team_busy; /* a second Python thread computes serially rather than on a second team */
} runtime_state;

/* Whether the caller may run a parallel region; if so it must call team_release after it. */
static inline int team_acquire(runtime_state *state) {
    int is_free = 0;
    if (atomic_load_explicit(&state->forked, memory_order_relaxed)) return 0;
    return atomic_compare_exchange_strong(&state->team_busy, &is_free, 1);
}

static inline void team_release(runtime_state *state) {
    atomic_store(&state->team_busy, 0);
}

#endif
