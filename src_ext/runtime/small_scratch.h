/* Scratch memory of a thread for calls that need little of it: neither an allocation a call nor the caller's stack. */
#ifndef FASTSOFTMAX_RUNTIME_SMALL_SCRATCH_H
#define FASTSOFTMAX_RUNTIME_SMALL_SCRATCH_H

enum { SMALL_SCRATCH = 48 << 10 };

static inline char *small_scratch(void) {
    static _Thread_local char memory[SMALL_SCRATCH] __attribute__((aligned(64)));
    return memory;
}

#endif
