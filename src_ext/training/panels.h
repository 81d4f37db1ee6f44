/* How the matrices of a network under training lie, and where a block of rows is in them   (included once per REAL)

   All matrices lie in panels of T columns, T = two vectors, so that products read memory in order:
   x and the outputs of a hidden layer are (blocks of rows, panels, rows, T), weights (tiles of T units, inputs, T).
   Neither T nor the blocks of rows depend on the number of threads, nor do the bits; how the second job is cut does not
   enter into them. */
#include "training/job.h"
#ifndef REAL /* opened alone: for float */
#include "simd/float32.h"
#endif

#define TILE (2 * LANES)
#define AT(field) ((REAL *)J->field)

static inline ptrdiff_t FN(rows_of)(const training_job *J, ptrdiff_t batch) {
    const ptrdiff_t left = J->n_rows - batch * J->batch_size;
    return left < J->batch_size ? left : J->batch_size;
}

/* Rows in a block of a batch, 0 or less for blocks beyond a short last batch. */
static inline ptrdiff_t FN(rows_in_block)(const training_job *J, ptrdiff_t batch, ptrdiff_t block) {
    const ptrdiff_t left = FN(rows_of)(J, batch) - block * J->block_rows;
    return left < J->block_rows ? left : J->block_rows;
}

static inline ptrdiff_t FN(blocks_of_batch)(const training_job *J, ptrdiff_t batch) {
    return (FN(rows_of)(J, batch) + J->block_rows - 1) / J->block_rows;
}

static inline ptrdiff_t FN(panels)(ptrdiff_t columns) { return (columns + TILE - 1) / TILE; }

/* Columns in a panel of so many. */
static inline ptrdiff_t FN(columns_in)(ptrdiff_t columns, ptrdiff_t panel) {
    const ptrdiff_t left = columns - panel * TILE;
    return left < TILE ? left : TILE;
}

/* Panel of a block of rows in a matrix of n_panels panels. */
static inline REAL *FN(panel_of)(const training_job *J, void *matrix, ptrdiff_t n_panels, ptrdiff_t block,
                                 ptrdiff_t panel) {
    return (REAL *)matrix + (block * n_panels + panel) * J->block_rows * TILE;
}

static inline REAL *FN(x_of)(const training_job *J, ptrdiff_t batch, ptrdiff_t block, ptrdiff_t panel) {
    const ptrdiff_t copy = batch % J->copies;
    return FN(panel_of)(J, J->x, FN(panels)(J->data.n_features), copy * J->n_blocks + block, panel);
}

static inline REAL *FN(out_of)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block,
                               ptrdiff_t tile) {
    const training_layer *L = J->layers + layer;
    const ptrdiff_t copy = layer == 0 ? batch % J->copies : 0;
    return FN(panel_of)(J, L->out, L->n_tiles, copy * J->n_blocks + block, tile);
}

static inline REAL *FN(back_of)(const training_job *J, ptrdiff_t layer, ptrdiff_t block, ptrdiff_t tile) {
    const training_layer *L = J->layers + layer;
    return FN(panel_of)(J, L->back, L->n_tiles, block, tile);
}

/* What a layer reads. */
static inline REAL *FN(in_of)(const training_job *J, ptrdiff_t layer, ptrdiff_t batch, ptrdiff_t block,
                              ptrdiff_t panel) {
    return layer == 0 ? FN(x_of)(J, batch, block, panel) : FN(out_of)(J, layer - 1, batch, block, panel);
}
