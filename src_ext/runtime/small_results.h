/* Memory for results of one to 32 kilobytes: what a dead array leaves is kept for the next result of its size.
 *
 * NumPy keeps blocks of less than a kilobyte itself. For larger ones malloc looks through its lists, joins blocks and
 * splits them: 30 to 150 ns, as the heap happens to be, where 32 rows of 10 classes are computed in 300. Here some
 * blocks of each size wait in slots. One atomic exchange takes a block or leaves one, so that no lock is held, around
 * fork() either. Who finds no slot calls malloc or free: all blocks are the C library's own. They start on a cache
 * line. */
#ifndef FASTSOFTMAX_RUNTIME_SMALL_RESULTS_H
#define FASTSOFTMAX_RUNTIME_SMALL_RESULTS_H

#include "result_pool.h"

#if HAS_RESULT_POOL && defined(__linux__)
#include <malloc.h>

enum {
    SMALL_UNIT = 1 << 10, /* blocks are whole numbers of units, each number a kind of its own */
    SMALL_KINDS = SMALL_RESULT_BYTES / SMALL_UNIT + 1,
    SMALL_SLOTS = 4, /* of each kind; of those beyond 8 kilobytes half: 1.2 MB at most in all */
};

static char *small_slots[SMALL_KINDS][SMALL_SLOTS];

static int small_slots_of(size_t units) { return units * SMALL_UNIT <= 8 << 10 ? SMALL_SLOTS : SMALL_SLOTS / 2; }

/* Take what lies in a slot of a kind, or NULL. */
static char *take_small(size_t units) {
    for (int k = 0; k < small_slots_of(units); k++) {
        char **slot = &small_slots[units][k];
        char *block =
            __atomic_load_n(slot, __ATOMIC_RELAXED) ? __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL) : NULL;
        if (block) return block;
    }
    return NULL;
}

static void *small_malloc(void *context, size_t size) {
    (void)context;
    if (size > PTRDIFF_MAX - SMALL_UNIT) return NULL;
    const size_t units = size ? (size + SMALL_UNIT - 1) / SMALL_UNIT : 1;
    char *block = units < SMALL_KINDS ? take_small(units) : NULL;
    return block ? block : aligned_alloc(CACHE_LINE_BYTES, units * SMALL_UNIT);
}

/* What a block has room for is asked of the C library: nobody can say anything false about it. */
static void small_free(void *context, void *block, size_t size) {
    (void)context;
    (void)size;
    if (block == NULL) return;
    const size_t units = malloc_usable_size(block) / SMALL_UNIT;
    char *left = block;
    const int is_aligned = (uintptr_t)block % CACHE_LINE_BYTES == 0; /* not where realloc has moved it */
    if (units && units < SMALL_KINDS && is_aligned && pool_limit())
        for (int k = 0; k < small_slots_of(units) && left; k++) {
            char **slot = &small_slots[units][k];
            if (__atomic_load_n(slot, __ATOMIC_RELAXED) == NULL)
                left = __atomic_exchange_n(slot, left, __ATOMIC_ACQ_REL);
        }
    free(left);
}

static void *small_calloc(void *context, size_t n, size_t item) {
    if (item && n > SIZE_MAX / item) return NULL;
    void *block = small_malloc(context, n * item);
    if (block) memset(block, 0, n * item);
    return block;
}

static void *small_realloc(void *context, void *block, size_t size) {
    (void)context;
    return realloc(block, size ? size : 1);
}

/* Whether a result of so many bytes is served here. */
static int is_small(size_t n_bytes) {
    return n_bytes >= SMALLEST_RESULT_BYTES && n_bytes < SMALL_RESULT_BYTES && pool_limit();
}

static size_t small_held(void) {
    size_t held = 0;
    for (size_t units = 0; units < SMALL_KINDS; units++)
        for (int k = 0; k < SMALL_SLOTS; k++)
            if (__atomic_load_n(&small_slots[units][k], __ATOMIC_RELAXED)) held += units * SMALL_UNIT;
    return held;
}

/* Give all of it back to the C library. */
static void release_small(void) {
    for (size_t units = 0; units < SMALL_KINDS; units++)
        for (char *block; (block = take_small(units));) free(block);
}

#else

#define small_malloc pool_malloc
#define small_calloc pool_calloc
#define small_realloc pool_realloc
#define small_free pool_free
static int is_small(size_t n_bytes) {
    (void)n_bytes;
    return 0;
}
static size_t small_held(void) { return 0; }
static void release_small(void) {}

#endif

#endif
