/* Memory for large results: what a dead array leaves is kept for the next result of its size.
 *
 * NumPy's allocator gives every large array back to the system when it dies, and the next call pays for the page faults
 * again: 1.6 times the arithmetic at 64 MB. Here a block stays mapped, most recently used first, within a limit; the
 * least recently used goes first. Blocks that nobody has wanted for a while go back to the system: a thread of the
 * pool's own sees to that, which lives while blocks are held, so that it does not depend on the team. Arrays own their
 * data as ever: NumPy frees them through the handler that allocated them (NEP 49). */
#ifndef FASTSOFTMAX_RUNTIME_RESULT_POOL_H
#define FASTSOFTMAX_RUNTIME_RESULT_POOL_H

#include <stdlib.h>
#include <string.h>

#include "platform.h"
#include "state.h"

#if !defined(_WIN32) && !defined(__SANITIZE_ADDRESS__)
#include <sys/mman.h>
#define HAS_RESULT_POOL 1
#else
#define HAS_RESULT_POOL 0 /* a sanitizer has to see each array end where it ends */
#endif

enum {
    POOL_SLOTS = 64,
    HUGE_PAGE = 2 << 20,
    PAGE = 1 << 16,
    IDLE_NS = 100000000,       /* memory that has lain so long may be taken by the system when it needs some, */
    FORGOTTEN_NS = 1000000000, /* and goes back to it after a second */
    SLACK_NS = 10000000,
    MOST_MAPPED = 16384, /* blocks: Linux allows a process 65530 mappings, and refuses threads beyond */
};

#if HAS_RESULT_POOL

/* Stands in the page before the data. */
typedef struct {
    size_t mapped_bytes, capacity; /* mapped_bytes: 0 where the block is malloc's */
    int64_t released_at;
    int is_lent_to_system; /* MADV_FREE */
} pool_block;

static struct {
    pthread_mutex_t mutex;
    pool_block *blocks[POOL_SLOTS];
    int n_blocks;
    size_t held;
    _Atomic size_t limit; /* also read without the mutex */
    int has_keeper;       /* a thread looks after what is held */
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static size_t round_up_to(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }
static char *data_of_block(pool_block *block) { return (char *)block + PAGE; }
static pool_block *block_of_data(void *data) { return (pool_block *)((char *)data - PAGE); }

static _Atomic int n_mapped;

static void unmap_block(pool_block *block) {
    if (block->mapped_bytes) {
        atomic_fetch_sub(&n_mapped, 1);
        munmap(block, block->mapped_bytes);
    } else {
        free(block);
    }
}

/* Where there are many blocks malloc makes others, whose mappings the system joins. */
static pool_block *malloc_block(size_t capacity) {
    pool_block *block = aligned_alloc(PAGE, PAGE + capacity);
    if (block) *block = (pool_block){.capacity = capacity};
    return block;
}

/* Make a new block whose data start on a huge page where that pays. */
static pool_block *new_block(size_t size) {
    const size_t alignment = size >= HUGE_PAGE ? HUGE_PAGE : PAGE;
    const size_t capacity = round_up_to(size, size >= 4 * (size_t)HUGE_PAGE ? HUGE_PAGE : PAGE);
    if (size > SIZE_MAX / 2) return NULL;
    if (atomic_fetch_add(&n_mapped, 1) >= MOST_MAPPED) {
        atomic_fetch_sub(&n_mapped, 1);
        return malloc_block(capacity);
    }
    const size_t bytes = PAGE + alignment + capacity;
    char *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) {
        atomic_fetch_sub(&n_mapped, 1);
        return NULL;
    }
    char *data = (char *)round_up_to((size_t)mapping + PAGE, alignment);
    char *start = data - PAGE, *end = data + capacity;
    if (start > mapping) munmap(mapping, (size_t)(start - mapping));
    if (end < mapping + bytes) munmap(end, (size_t)(mapping + bytes - end));
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE) madvise(start, PAGE + capacity, MADV_HUGEPAGE); /* from `data` on: two mappings */
#endif
    pool_block *block = (pool_block *)start;
    *block = (pool_block){.mapped_bytes = PAGE + capacity, .capacity = capacity};
    return block;
}

/* With the mutex held: take a block out of the pool. */
static pool_block *remove_slot(int i) {
    pool_block *block = pool.blocks[i];
    pool.blocks[i] = pool.blocks[--pool.n_blocks];
    pool.held -= block->capacity;
    return block;
}

/* With the mutex held: the block that was released first. */
static int oldest_slot(void) {
    int oldest = 0;
    for (int i = 1; i < pool.n_blocks; i++)
        if (pool.blocks[i]->released_at < pool.blocks[oldest]->released_at) oldest = i;
    return oldest;
}

/* Give memory back to the system until at most `limit` bytes are held, and what was released before `before`. */
static void shrink_pool(size_t limit, int64_t before) {
    for (;;) {
        pool_block *block = NULL;
        pthread_mutex_lock(&pool.mutex);
        if (pool.n_blocks) {
            const int oldest = oldest_slot();
            if (pool.held > limit || pool.blocks[oldest]->released_at < before) block = remove_slot(oldest);
        }
        pthread_mutex_unlock(&pool.mutex);
        if (block == NULL) return;
        unmap_block(block);
    }
}

/* The smallest block that holds `size` bytes and is not much larger; of equal ones the last that was used. */
static pool_block *take_block(size_t size) {
    const size_t most = size + size / 4 + PAGE;
    int best = -1;
    pool_block *block = NULL;
    pthread_mutex_lock(&pool.mutex);
    for (int i = 0; i < pool.n_blocks; i++) {
        const pool_block *candidate = pool.blocks[i];
        if (candidate->capacity < size || candidate->capacity > most) continue;
        if (best < 0 || candidate->capacity < pool.blocks[best]->capacity ||
            (candidate->capacity == pool.blocks[best]->capacity &&
             candidate->released_at > pool.blocks[best]->released_at))
            best = i;
    }
    if (best >= 0) block = remove_slot(best);
    pthread_mutex_unlock(&pool.mutex);
    return block;
}

static void *pool_malloc(void *context, size_t size) {
    (void)context;
    pool_block *block = take_block(size);
    if (block == NULL) block = new_block(size);
    if (block == NULL) {
        shrink_pool(0, 0);
        block = new_block(size);
    }
    if (block == NULL) return NULL;
    block->is_lent_to_system = 0;
    return data_of_block(block);
}

static void *pool_calloc(void *context, size_t n, size_t item) {
    (void)context;
    if (item && n > SIZE_MAX / item) return NULL;
    void *data = pool_malloc(context, n * item);
    if (data) memset(data, 0, n * item);
    return data;
}

/* When to look again at a block: to lend it to the system, or to give it back. */
static int64_t due(const pool_block *block) {
    return block->released_at + (block->is_lent_to_system ? FORGOTTEN_NS : IDLE_NS);
}

/* Give back what has lain for long, and let the system have what has lain for a while. Returns for how long nothing is
 * to be done, in nanoseconds; negative where nothing is held, so that nobody has to look until pool_free starts a
 * keeper. */
static int64_t look_after_pool(void) {
    const int64_t now = now_ns();
    int64_t next = INT64_MAX;
    shrink_pool(SIZE_MAX, now - FORGOTTEN_NS);
    pthread_mutex_lock(&pool.mutex);
    for (int i = 0; i < pool.n_blocks; i++) {
        pool_block *block = pool.blocks[i];
        if (!block->is_lent_to_system && due(block) <= now) {
#ifdef MADV_FREE
            madvise(data_of_block(block), block->capacity, MADV_FREE);
#endif
            block->is_lent_to_system = 1;
        }
        if (due(block) < next) next = due(block);
    }
    pool.has_keeper = pool.n_blocks > 0;
    pthread_mutex_unlock(&pool.mutex);
    return next == INT64_MAX ? -1 : next > now ? next - now : 0;
}

static thread_result THREAD_CALL keep_pool(void *unused) {
    (void)unused;
    for (int64_t wait; (wait = look_after_pool()) >= 0;) {
        wait += SLACK_NS; /* what is due soon after is seen to at the same time */
        nanosleep(&(struct timespec){wait / 1000000000, wait % 1000000000}, NULL);
    }
    return 0;
}

/* Where the system refuses the thread nothing is held. */
static void start_keeper(void) {
    if (start_thread(keep_pool, NULL)) return;
    pthread_mutex_lock(&pool.mutex);
    pool.has_keeper = 0;
    pthread_mutex_unlock(&pool.mutex);
    shrink_pool(0, 0);
}

static void pool_free(void *context, void *data, size_t size) {
    (void)context;
    (void)size;
    if (data == NULL) return;
    pool_block *block = block_of_data(data), *evicted = NULL;
    int is_kept = 0, must_start = 0;
    block->released_at = now_ns();
    pthread_mutex_lock(&pool.mutex);
    if (block->capacity <= pool.limit) {
        if (pool.n_blocks == POOL_SLOTS) evicted = remove_slot(oldest_slot());
        pool.blocks[pool.n_blocks++] = block;
        pool.held += block->capacity;
        is_kept = 1;
        must_start = !pool.has_keeper;
        pool.has_keeper = 1;
    }
    const int is_over = pool.held > pool.limit;
    const size_t limit = pool.limit;
    pthread_mutex_unlock(&pool.mutex);
    if (!is_kept) unmap_block(block);
    if (evicted) unmap_block(evicted);
    if (is_over) shrink_pool(limit, 0);
    if (must_start) start_keeper();
}

static void *pool_realloc(void *context, void *data, size_t size) {
    if (data == NULL) return pool_malloc(context, size);
    const size_t capacity = block_of_data(data)->capacity;
    if (size <= capacity && size >= capacity / 2) return data;
    void *moved = pool_malloc(context, size);
    if (moved == NULL) return NULL;
    memcpy(moved, data, size < capacity ? size : capacity);
    pool_free(context, data, capacity);
    return moved;
}

static size_t pool_held(void) {
    pthread_mutex_lock(&pool.mutex);
    const size_t held = pool.held;
    pthread_mutex_unlock(&pool.mutex);
    return held;
}

static size_t pool_limit(void) { return pool.limit; }

static void set_pool_limit(size_t limit) {
    pthread_mutex_lock(&pool.mutex);
    pool.limit = limit;
    pthread_mutex_unlock(&pool.mutex);
    shrink_pool(limit, 0);
}

/* Around fork(): no other thread may be inside meanwhile. */
static void lock_pool(void) { pthread_mutex_lock(&pool.mutex); }
static void unlock_pool(void) { pthread_mutex_unlock(&pool.mutex); }

/* A child holds nothing: its first write to a page that it shares with its parent would copy it. */
static void restart_pool(void) {
    while (pool.n_blocks) unmap_block(remove_slot(pool.n_blocks - 1));
    pool.has_keeper = 0;
    pthread_mutex_unlock(&pool.mutex);
}

/* 1/16 of the machine's memory, at most 256 MB. */
static size_t default_pool_limit(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const size_t most = (size_t)256 << 20;
    if (pages <= 0 || page <= 0) return most;
    const size_t part = (size_t)pages / 16 * (size_t)page;
    return part < most ? part : most;
}

#else

static void *pool_malloc(void *context, size_t size) {
    (void)context;
    return malloc(size);
}
static void *pool_calloc(void *context, size_t n, size_t item) {
    (void)context;
    return calloc(n, item);
}
static void *pool_realloc(void *context, void *data, size_t size) {
    (void)context;
    return realloc(data, size);
}
static void pool_free(void *context, void *data, size_t size) {
    (void)context;
    (void)size;
    free(data);
}
static size_t pool_held(void) { return 0; }
static size_t pool_limit(void) { return 0; }
static void set_pool_limit(size_t limit) { (void)limit; }
#if !defined(_WIN32) /* which has no fork() */
static void lock_pool(void) {}
static void unlock_pool(void) {}
#endif
static void restart_pool(void) {}
static size_t default_pool_limit(void) { return 0; }
#endif

#endif
