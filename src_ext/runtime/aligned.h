/* Memory on a boundary, where C11's aligned_alloc is not to be had too. */
#ifndef FASTSOFTMAX_RUNTIME_ALIGNED_H
#define FASTSOFTMAX_RUNTIME_ALIGNED_H

#include <stdlib.h>
#if defined(_WIN32)
#include <malloc.h>
#endif

static inline void *allocate_aligned(size_t alignment, size_t size) {
    size = (size + alignment - 1) / alignment * alignment;
#if defined(_WIN32)
    return _aligned_malloc(size, alignment);
#else
    void *memory = NULL;
    return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
#endif
}

static inline void free_aligned(void *memory) {
#if defined(_WIN32)
    _aligned_free(memory);
#else
    free(memory);
#endif
}

#endif
