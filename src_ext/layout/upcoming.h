/* What the next piece of work will read and write, fetched while this one is computed. */
#ifndef FASTSOFTMAX_LAYOUT_UPCOMING_H
#define FASTSOFTMAX_LAYOUT_UPCOMING_H

#include "simd/vector.h"

#define NOINLINE __attribute__((noinline)) /* what has a large frame keeps it from its callers */
#define CLASSES_AHEAD 16 /* how far ahead the columns of a tile are fetched: the hardware stays within a page */

/* Fetch what will be needed next while there is arithmetic to do; any address will do, also past the end. */
#define CACHE_LINE_BYTES 64
#define PREFETCH(p) __builtin_prefetch((const void *)(p), 0, 3)
#define PREFETCH_TO_SECOND_CACHE(p) __builtin_prefetch((const void *)(p), 0, 2)
#define PREFETCH_TO_WRITE(p) __builtin_prefetch((const void *)(p), 1, 3)

/* What the next piece of work will read and write, each NULL for nothing. */
typedef struct {
    const char *read, *targets; /* logits; dense targets */
    char *write;
    ptrdiff_t item_bytes; /* of a value in memory */
    int is_large;         /* the nearest cache has no room for it beside what is computed */
} Upcoming;

/* Fetch what a span of `bytes` of scratch, from value number i on, will be filled with in the next piece. */
INLINE void fetch_ahead(const Upcoming *next, ptrdiff_t i, int bytes) {
    const char *read = next->read + i * next->item_bytes, *targets = next->targets + i * next->item_bytes;
    char *write = next->write + i * next->item_bytes;
    for (int k = 0; k < bytes; k += CACHE_LINE_BYTES) {
        if (next->is_large) {
            if (next->read) PREFETCH_TO_SECOND_CACHE(read + k);
            if (next->write) PREFETCH_TO_SECOND_CACHE(write + k);
        } else {
            if (next->read) PREFETCH(read + k);
            if (next->write) PREFETCH_TO_WRITE(write + k);
        }
        if (next->targets) PREFETCH(targets + k);
    }
}

/* The same of what is written alone, from value number i on of a tile one vector wide. */
INLINE void fetch_for_writing(const Upcoming *next, ptrdiff_t i, int bytes) {
    if (!next->write) return;
    for (int k = 0; k < bytes; k += CACHE_LINE_BYTES) PREFETCH_TO_SECOND_CACHE(next->write + i * next->item_bytes + k);
}

#endif
