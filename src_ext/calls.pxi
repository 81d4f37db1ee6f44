# calls.h for Cython.

from libc.stdint cimport int64_t

cdef extern from "loss/targets.h":
    int INDEX_INT64, INDEX_INT32, INDEX_UINT8, PROBABILITIES

cdef extern from "loss/sums.h":
    ctypedef struct TwoPartSum:
        double value, lost
    int SUM_STEP
    TwoPartSum sum_in_two_parts(const double *x, Py_ssize_t n) noexcept nogil

cdef extern from "calls.h":
    ctypedef enum Kind:
        KIND_F32, KIND_F64, KIND_F16, KIND_BF16, KIND_MASK
    ctypedef struct Steps:
        Py_ssize_t per_group, group, outer, classes
    Py_ssize_t ONE_GROUP
    ctypedef struct Block:
        Kind kind
        Py_ssize_t outer, n_classes, inner
    ctypedef struct Operand:
        void *data
        Steps steps
    ctypedef struct SoftmaxCall:
        Block block
        Operand x, out, where
        double temperature
        bint log
        int n_threads
    ctypedef struct BackwardCall:
        Block block
        Operand grad, forward, out
        bint log
        int n_threads
    ctypedef struct LossCall:
        Block block
        Operand logits, grad, targets
        int target_form
        Kind target_kind
        double *losses
        const double *weight
        const double *sample_weight
        bint has_ignore
        int64_t ignore_index
        double smoothing, z_loss, softcap, temperature, grad_scale, grad_scale_error
        int n_threads
    ctypedef struct TargetSummary:
        Py_ssize_t bad_row
        int64_t bad_value
        double divisor, divisor_error
    ctypedef struct SigmoidCall:
        Kind kind
        Py_ssize_t n_rows, n_columns
        Operand x, out
        int n_threads
    ctypedef struct BinaryCall:
        Kind kind, target_kind
        Py_ssize_t n_rows, n_labels
        Operand logits, targets, grad
        double *losses
        void *rows
        TwoPartSum *sums
        const void *weight
        Kind weight_kind
        const double *pos_weight
        double grad_scale
        int n_threads
    ctypedef struct Bounds:
        double low, high
    ctypedef struct DivergenceCall:
        Block block
        Operand p, q, grad_p, grad_q
        double *losses
        double divisor
        int n_threads
    ctypedef struct TopKCall:
        Block block
        Operand x
        void *values
        int64_t *indices
        Py_ssize_t k
        int n_threads
    size_t CALL_LAYOUT
    ctypedef struct KernelTable:
        size_t layout
        int (*softmax)(const SoftmaxCall *call) except -1
        int (*logsumexp)(const SoftmaxCall *call) except -1
        int (*backward)(const BackwardCall *call) except -1
        int (*inspect_targets)(const LossCall *call, TargetSummary *summary) except -1
        int (*cross_entropy)(const LossCall *call) except -1
        int (*sigmoid)(const SigmoidCall *call) except -1
        int (*binary)(const BinaryCall *call) except -1
        int (*find_bounds)(const void *weights, Kind kind, Py_ssize_t n, int n_threads, Bounds *bounds) except -1
        int (*divergence)(const DivergenceCall *call) except -1
        int (*top_k)(const TopKCall *call) except -1
        TwoPartSum (*sum)(const double *x, Py_ssize_t n) noexcept nogil
    void clear_operand(Operand *operand) noexcept nogil
    void default_softmax_call(SoftmaxCall *call) noexcept nogil
    void default_backward_call(BackwardCall *call) noexcept nogil
    void default_loss_call(LossCall *call) noexcept nogil
    void default_sigmoid_call(SigmoidCall *call) noexcept nogil
    void default_binary_call(BinaryCall *call) noexcept nogil
    void default_divergence_call(DivergenceCall *call) noexcept nogil
    void default_top_k_call(TopKCall *call) noexcept nogil
