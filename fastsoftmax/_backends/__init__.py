"""The contract that every implementation obeys, and the list of implementations.

A back end is one module with the functions of `Backend`. It receives arrays that are already checked:

- data blocks and masks are `(outer, n_classes, inner)`, aligned, in native byte order and of one
  dtype: float16, bfloat16, float32 or float64; `out` and `grad` have the size and dtype of their block
  and are the block itself or disjoint; 16-bit data are computed in float32 and rounded once;
- values lie side by side along `inner`, and along the classes where `inner` is 1; other strides are any
  number of values, negative and 0 too. A block whose outer indices need two strides is
  `(groups, outer, n_classes, inner)`, whatever form the other blocks of the call have;
- index targets are `(outer, inner)`; probabilities have the shape of the logits, and their dtype or the one
  that they are computed in;
- losses, divisors and weights are float64; options, and their products, are within the range of `_extremes`: what
  is beyond goes to the specification alone, with losses in long double.

A back end whose kernels can be called from C may also have a `kernel_table`, a capsule of the functions in calls.h of
the compiled sources: the fast path hands plain calls straight to them, and both ways give the same bits. A back end in
Python may have `plain_calls`, functions by the names of the public ones. They get the arrays of a call that gives no
option, unchecked, and return None for what they leave to the general path; here too both ways give the same bits.

It raises nothing but MemoryError and KeyboardInterrupt. Its results obey the table of special values
and the accuracy bounds in docs/accuracy.md; the parity suite holds every implementation to them.
"""

from typing import NamedTuple, Protocol

import numpy as np

NAMES = ("cython", "numba", "numpy")


def computing_dtype(dtype):
    """Return what data of a dtype are computed in: float32 for 16 bits, else the dtype itself."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


class LossOptions(NamedTuple):
    """Options of the cross-entropy, checked and brought to the shapes that kernels read.

    Attributes
    ----------
    weight : ndarray of float64, shape (n_classes,), or None
        Class weights.
    sample_weight : ndarray of float64, shape (outer, inner), or None
        Weights of the rows.
    ignore_index : int or None
        The index target that takes no part.
    label_smoothing, z_loss : float
        Smoothing in [0, 1]; factor of lse**2.
    softcap : float
        The bound of the logits; 0 for none.
    temperature : float
        What the logits are divided by.
    grad_scale, grad_scale_error : float
        What the gradient is multiplied with: 1, or 1 / divisor under "mean"; and what its rounding has taken.
    """

    weight: np.ndarray | None = None
    sample_weight: np.ndarray | None = None
    ignore_index: int | None = None
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    softcap: float = 0.0
    temperature: float = 1.0
    grad_scale: float = 1.0
    grad_scale_error: float = 0.0


class Backend(Protocol):
    """What an implementation offers. `n_threads` is a bound; bits never depend on it."""

    def softmax(self, x, out, where, temperature: float, n_threads: int) -> None:
        """Write softmax(x / temperature) to `out`; `where` is None or uint8 of x's shape."""

    def log_softmax(self, x, out, where, temperature: float, n_threads: int) -> None:
        """Write log(softmax(x / temperature)) to `out`."""

    def logsumexp(self, x, out, where, n_threads: int) -> None:
        """Write log(sum(exp(x))) over the classes to `out`: (outer, inner), in the computing dtype."""

    def softmax_backward(self, grad, probs, out, n_threads: int) -> None:
        """Write probs * (grad - sum(grad * probs)) to `out`."""

    def log_softmax_backward(self, grad, log_probs, out, n_threads: int) -> None:
        """Write grad - exp(log_probs) * sum(grad) to `out`."""

    def inspect_targets(
        self, targets, n_classes: int, options: LossOptions, n_threads: int
    ) -> tuple[int, int, float, float]:
        """Return (first bad row or -1, its value, divisor of "mean" in two parts) of index targets.

        A row is bad where its target is outside [0, n_classes) and not `ignore_index`. The divisor is
        the sum of sample_weight * weight[target] over the rows that are not ignored: the nearest double, and what
        is left of it.
        """

    def cross_entropy(
        self, logits, targets, losses, grad, options: LossOptions, n_threads: int
    ) -> None:
        """Write the loss of each row to `losses` and, unless `grad` is None, the gradient to `grad`.

        `losses` is float64 of shape (outer, inner) and not scaled; the gradient is scaled by
        `options.grad_scale`. Floating `targets` are probabilities. An index that turns out of range
        after `inspect_targets` gives a row of NaN. A row that is ignored or has a sample weight of 0 gets a loss and a
        gradient of 0, whatever it holds.
        """

    def sigmoid(self, x, out, n_threads: int) -> None:
        """Write 1 / (1 + exp(-x)) to `out`; both are blocks whose `inner` is 1."""

    def binary_cross_entropy(
        self, logits, targets, losses, grad, weight, pos_weight, grad_scale: float, n_threads: int
    ) -> None:
        """Write the loss of each logit to `losses` and, unless None, the gradient to `grad`.

        `logits`, `targets` and `grad` are blocks (n_rows, n_labels, 1) of one dtype, `losses` float64 of
        shape (n_rows, n_labels); `weight` is None or float64 of that shape, `pos_weight` None or (n_labels,). Where
        `weight` is 0, so are the loss and the gradient.
        """

    def entropy(self, logits, losses, grad, divisor: float, n_threads: int) -> None:
        """Write the entropy of softmax(logits) to `losses` and, unless None, its gradient / divisor to `grad`.

        `losses` is float64 of shape (outer, inner), the gradient that of their sum; `grad` lies apart from `logits`.
        """

    def kl_div(
        self, p_logits, q_logits, losses, grad_p, grad_q, divisor: float, n_threads: int
    ) -> None:
        """Write KL(softmax(p_logits) || softmax(q_logits)) to `losses`, and the gradients / divisor.

        `grad_p` and `grad_q` are both None or apart from all else. A class with p = 0 contributes 0.
        """

    def top_k_softmax(self, x, values, indices, n_threads: int) -> None:
        """Write the largest of softmax(x), with its bits, to `values` and their classes to `indices`.

        Both are (outer, k, inner), 1 <= k <= n_classes; indices are int64, in the order of falling x. NaN ranks
        before every number; of equals the smaller index does.
        """
