/* What a call hands to the kernels of an instruction set: checked arrays as blocks, options within range.
 *
 * The general path fills these structs from the arrays of the contract (_backends), the fast path straight from a
 * user's arrays. Both call the same function of the table, so that both give the same bits. Each function returns 0, or
 * -1 with an exception set (MemoryError, KeyboardInterrupt), and runs with the GIL held; it lets go of it where the
 * work is long. */
#ifndef FASTSOFTMAX_CALLS_H
#define FASTSOFTMAX_CALLS_H

#include <stdint.h>

#include "loss/sums.h"
#include "layout/geometry.h"

/* Rows of n_classes values, seen as (outer, n_classes, inner); the values of one row are `inner` apart,
 * or as Steps say. */
typedef struct {
    Kind kind;
    Py_ssize_t outer, n_classes, inner;
} Block;

/* An array of a block's shape; data is NULL for one that is not there. */
typedef struct {
    void *data;
    Steps steps;
} Operand;

/* softmax, log_softmax (log) and logsumexp, whose out is (outer, inner), contiguous, in the computing dtype. */
typedef struct {
    Block block;
    Operand x, out, where; /* where: one byte a value, or NULL */
    double temperature;
    int log, n_threads;
} SoftmaxCall;

/* softmax_backward, log_softmax_backward (log). */
typedef struct {
    Block block;
    Operand grad, forward, out;
    int log, n_threads;
} BackwardCall;

/* Cross-entropy. Targets are indices (outer, inner), contiguous, or probabilities of the block's shape. */
typedef struct {
    Block block;
    Operand logits, grad, targets;        /* grad: NULL for the loss alone */
    int target_form;                      /* INDEX_INT64 .. PROBABILITIES */
    Kind target_kind;                     /* of probabilities */
    double *losses;                       /* (outer, inner) */
    const double *weight, *sample_weight; /* (n_classes) and (outer, inner), or NULL */
    int has_ignore;
    int64_t ignore_index;
    double smoothing, z_loss, softcap, temperature; /* softcap 0: none */
    double grad_scale, grad_scale_error;            /* what multiplies the gradient, in two parts */
    int n_threads;
} LossCall;

/* What is known of index targets before anything is written. */
typedef struct {
    Py_ssize_t bad_row; /* the first whose target is neither a class nor ignored, or -1 */
    int64_t bad_value;
    double divisor, divisor_error; /* of the mean: sum of sample_weight * weight[target] over the rows that count */
} TargetSummary;

typedef struct {
    Kind kind;
    Py_ssize_t n_rows, n_columns;
    Operand x, out;
    int n_threads;
} SigmoidCall;

typedef struct {
    Kind kind, target_kind;
    Py_ssize_t n_rows, n_labels;
    Operand logits, targets, grad;
    double *losses;     /* (n_rows, n_labels), or NULL; */
    void *rows;         /* the same in float, or double where the logits are, or NULL; */
    TwoPartSum *sums;   /* of SUM_AT_ONCE losses each, or NULL */
    const void *weight; /* (n_rows, n_labels) of weight_kind, float or double, or NULL */
    Kind weight_kind;
    const double *pos_weight; /* (n_labels), or NULL */
    double grad_scale;
    int n_threads;
} BinaryCall;

/* Of the weights that are not 0; 1 where there are none. */
typedef struct {
    double low, high;
} Bounds;

/* Entropy, or the divergence of p from q where q is there. */
typedef struct {
    Block block;
    Operand p, q, grad_p, grad_q;
    double *losses; /* (outer, inner) */
    double divisor; /* of the gradients */
    int n_threads;
} DivergenceCall;

typedef struct {
    Block block;
    Operand x;
    void *values;     /* (outer, k, inner), of the block's kind */
    int64_t *indices; /* likewise */
    Py_ssize_t k;
    int n_threads;
} TopKCall;

/* The functions of one instruction set. `layout` says of what sizes the calls are: a table that was built from other
 * sources than its caller must not be called. */
typedef struct {
    size_t layout; /* CALL_LAYOUT */
    int (*softmax)(const SoftmaxCall *call);
    int (*logsumexp)(const SoftmaxCall *call);
    int (*backward)(const BackwardCall *call);
    int (*inspect_targets)(const LossCall *call, TargetSummary *summary /* OUT */);
    int (*cross_entropy)(const LossCall *call);
    int (*sigmoid)(const SigmoidCall *call);
    int (*binary)(const BinaryCall *call);
    /* whether all of n weights, float or double, are finite and not negative */
    int (*find_bounds)(const void *weights, Kind kind, Py_ssize_t n, int n_threads, Bounds *bounds /* OUT */);
    int (*divergence)(const DivergenceCall *call);
    int (*top_k)(const TopKCall *call);
    TwoPartSum (*sum)(const double *x, ptrdiff_t n); /* sum_in_two_parts, in this set's vectors */
} KernelTable;

/* clang-format off */
#define CALL_LAYOUT                                                                                                 \
    ((((((sizeof(SoftmaxCall) * 1024 + sizeof(BackwardCall)) * 1024 + sizeof(LossCall)) * 1024 + sizeof(SigmoidCall)) * \
       1024 + sizeof(BinaryCall)) * 1024 + sizeof(DivergenceCall)) * 31 + sizeof(TopKCall) + sizeof(KernelTable))
/* clang-format on */

/* Calls in which nothing is asked for: no optional array, no option, one thread. Who fills a call starts with one. It
 * is filled in place: to copy what has just been written takes 50 ns. */
static inline void clear_operand(Operand *operand /* OUT */) {
    operand->data = NULL;
    operand->steps.per_group = ONE_GROUP;
    operand->steps.group = 0;
    operand->steps.outer = operand->steps.classes = 1;
}
static inline void default_softmax_call(SoftmaxCall *call /* OUT */) {
    clear_struct(call, sizeof *call);
    clear_operand(&call->x);
    clear_operand(&call->out);
    clear_operand(&call->where);
    call->temperature = 1;
    call->n_threads = 1;
}
static inline void default_backward_call(BackwardCall *call /* OUT */) {
    clear_struct(call, sizeof *call);
    clear_operand(&call->grad);
    clear_operand(&call->forward);
    clear_operand(&call->out);
    call->n_threads = 1;
}
static inline void default_loss_call(LossCall *call /* OUT */) {
    clear_struct(call, sizeof *call);
    clear_operand(&call->logits);
    clear_operand(&call->grad);
    clear_operand(&call->targets);
    call->temperature = call->grad_scale = 1;
    call->n_threads = 1;
}
static inline void default_sigmoid_call(SigmoidCall *call /* OUT */) {
    clear_struct(call, sizeof *call);
    clear_operand(&call->x);
    clear_operand(&call->out);
    call->n_threads = 1;
}
static inline void default_binary_call(BinaryCall *call /* OUT */) {
    clear_struct(call, sizeof *call);
    clear_operand(&call->logits);
    clear_operand(&call->targets);
    clear_operand(&call->grad);
    call->grad_scale = 1;
    call->n_threads = 1;
}
static inline void default_divergence_call(DivergenceCall *call /* OUT */) {
    clear_struct(call, sizeof *call);
    clear_operand(&call->p);
    clear_operand(&call->q);
    clear_operand(&call->grad_p);
    clear_operand(&call->grad_q);
    call->divisor = 1;
    call->n_threads = 1;
}
static inline void default_top_k_call(TopKCall *call /* OUT */) {
    clear_struct(call, sizeof *call);
    clear_operand(&call->x);
    call->n_threads = 1;
}

#endif
