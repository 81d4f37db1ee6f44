# The declarations of training/kernels.h that Cython needs.

cdef extern from "runtime/state.h":
    ctypedef struct runtime_functions:
        int (*acquire)(int n) noexcept nogil
        void (*release)() noexcept nogil

cdef extern from "training/kernels.h" nogil:
    enum:
        VECTOR_BYTES
        MAX_BLOCK_ROWS
        PANEL_GROUP
        TILE_GROUP
        ROW_BLOCK
        SOURCE_UINT8
        SOURCE_FLOAT32
        SOURCE_FLOAT64
        LOSS_SOFTMAX
        LOSS_LOGISTIC
        SOLVER_ADAM
        SOLVER_SGD
        ROWS_FINITE
        LOGITS_FINITE

    ctypedef struct loss_tally:
        double loss
        double weight
        double correct

    ctypedef struct data_rows:
        const char *x
        ptrdiff_t stride
        ptrdiff_t n_features
        int source
        double scale

    ctypedef struct training_layer:
        ptrdiff_t n_in, n_tiles
        void *w
        void *m
        void *v
        void *b
        void *mb
        void *vb
        void *out
        void *back
        void *transposed

    ctypedef struct training_job:
        data_rows data
        int loss, solver, fit_intercept
        const int32_t *targets
        const uint8_t *labels
        const double *weights
        const int64_t *order
        ptrdiff_t n_rows, batch_size, n_outputs, n_hidden
        const training_layer *layers
        double learning_rate, beta_1, beta_2, epsilon, momentum, decay, smoothing
        int64_t step
        ptrdiff_t block_rows, n_blocks, copies
        void *x
        void *z
        void *scratch
        ptrdiff_t scratch_size
        loss_tally *tallies
        loss_tally tally

    ctypedef struct network_job:
        data_rows data
        ptrdiff_t n_rows, n_layers, n_outputs, widest, scratch_size
        const ptrdiff_t *sizes
        const ptrdiff_t *widths
        const ptrdiff_t *lds
        const void *const *weights
        const void *const *biases
        const void *const *ends
        const ptrdiff_t *n_ends
        void *out
        void *scratch

    ctypedef struct linear_job:
        data_rows data
        ptrdiff_t n_rows, n_outputs, width, n_groups, first, count, scratch_size
        const int32_t *targets
        const uint8_t *labels
        const double *sample_weights
        double smoothing
        const void *weights
        void *gradients
        void *scratch
        loss_tally *tallies
        double *total

    ctypedef struct workers:
        const runtime_functions *runtime
        int n_threads

    void train_f32(training_job *job, workers *w)
    void train_f64(training_job *job, workers *w)
    void pack_f32(const float *source, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t row_step, ptrdiff_t column_step,
                  float *to, ptrdiff_t width)
    void pack_f64(const double *source, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t row_step, ptrdiff_t column_step,
                  double *to, ptrdiff_t width)
    void unpack_f32(const float *source, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width, float *to,
                    ptrdiff_t row_step, ptrdiff_t column_step)
    void unpack_f64(const double *source, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t width, double *to,
                    ptrdiff_t row_step, ptrdiff_t column_step)
    bint row_is_finite_f32(const char *row, int source, ptrdiff_t n)
    int forward_f32(network_job *job, workers *w)
    int forward_f64(network_job *job, workers *w)
    void linear_loss_gradient_f32(const linear_job *job, workers *w)
    void linear_loss_gradient_f64(const linear_job *job, workers *w)
