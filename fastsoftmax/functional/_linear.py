"""Cross-entropy of a linear layer whose logits never exist as a whole.

Rows are taken in blocks: the logits of a block, their loss, their gradient in place, and the products with it. The
gradient of the weights is summed over the blocks in strips of classes, since np.matmul cannot accumulate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from .._backends import computing_dtype
from .._dispatch import threads_for
from ._arrays import empty, empty_like, quiet, zeros
from ._cross_entropy import Reducer, read_options

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Loss, Reduction

ROWS_AT_ONCE = 256
"""Rows of a block: enough for matmul's full speed; 33 MB of float32 logits for 32,000 classes."""

BLOCK_BYTES = 1 << 27
"""Very many classes take fewer rows at once, so that a block stays under this."""

STRIP_BYTES = 1 << 22


class _Problem:
    """The checked arguments, and the work on one block of rows."""

    def __init__(self, x, linear_weight, targets, linear_bias, reduction, n_threads, options):
        _validate.reduction(reduction)
        self.x, self.weight, self.dtype = matrices(x, linear_weight)
        n_rows, n_features = self.x.shape
        n_classes = len(self.weight)
        if self.weight.shape[1] != n_features:
            raise ValueError(
                f"linear_weight must have shape (n_classes, {n_features}), got {self.weight.shape}"
            )
        if n_classes == 0:
            raise ValueError(
                f"linear_weight must have at least one class, got shape {self.weight.shape}"
            )
        self.bias = bias_vector(linear_bias, n_classes, self.dtype)
        self.shape, self.n_threads = (n_rows, n_classes), n_threads
        options = read_options(self.shape, 1, **options)
        targets, are_indices, ignore_index = _validate.targets(
            targets, self.shape, 1, options.ignore_index
        )
        options = options._replace(ignore_index=ignore_index)
        weight = options.sample_weight
        options = options._replace(sample_weight=None if weight is None else weight[:, None])
        self.unused = self._unused(n_rows, targets if are_indices else None, options)
        if self.unused.any() and not np.isfinite(self.x[self.unused]).all():
            self.x = np.where(self.unused[:, None], 0, self.x)  # what is left out is not felt
        if are_indices:
            self.targets = np.ascontiguousarray(targets).reshape(-1, 1)
        else:
            self.targets = targets[:, :, None]
        self.reducer = Reducer(
            reduction,
            options,
            self.targets,
            n_classes,
            self.dtype,
            lambda row: (row,),
            threads_for(n_rows, n_threads),
        )
        self.losses = self.reducer.losses((n_rows, 1))

    @staticmethod
    def _unused(n_rows, index, options):
        """Return which rows take no part."""
        unused = np.zeros(n_rows, bool)
        if options.sample_weight is not None:
            unused |= options.sample_weight[:, 0] == 0
        if index is not None and options.ignore_index is not None:
            unused |= index == options.ignore_index
        return unused

    def blocks(self):
        """Yield the rows of each block."""
        n_rows, n_classes = self.shape
        step = max(1, min(ROWS_AT_ONCE, BLOCK_BYTES // (n_classes * self.x.itemsize)))
        for start in range(0, n_rows, step):
            yield slice(start, min(start + step, n_rows))

    def scratch(self):
        """Return room for the logits of one block."""
        first = next(self.blocks(), slice(0, 0))
        return empty((first.stop - first.start, self.shape[1]), self.x.dtype)

    def block_loss(self, rows, scratch, with_grad):
        """Fill the losses of a block; return its logits' gradient, in `scratch`, unless not wanted."""
        logits = scratch[: rows.stop - rows.start]
        with np.errstate(invalid="ignore", over="ignore"):
            np.matmul(self.x[rows], self.weight.T, out=logits)
        if self.bias is not None:
            logits += self.bias
        targets = self.targets[rows]
        if targets.ndim == 3:
            targets = np.ascontiguousarray(targets.astype(logits.dtype, copy=False))
        options = self.reducer.options
        if options.sample_weight is not None:
            options = options._replace(sample_weight=options.sample_weight[rows])
        block = logits[:, :, None]
        n_threads = threads_for(block.size, self.n_threads)
        grad = block if with_grad else None
        self.reducer.run(block, targets, self.losses[rows], grad, options, n_threads)
        return logits

    def loss(self):
        """Return the loss of all rows."""
        loss = self.reducer.of(self.losses)
        return loss[:, 0] if loss.ndim else loss


def matrices(x, linear_weight):
    """Return the input and the weights of a linear layer, in the dtype of their product, and their own dtype.

    16-bit matrices are copied: np.matmul has no fast product of them.
    """
    found = []
    for value, name in ((x, "x"), (linear_weight, "linear_weight")):
        array = np.asarray(_validate.as_real(value, name), order="C")
        if array.ndim != 2:
            raise ValueError(f"{name} must have two dimensions, got shape {array.shape}")
        found.append(array)
    x, weight = found
    if weight.dtype != x.dtype:
        raise TypeError(f"linear_weight must have the dtype of x, {x.dtype}, got {weight.dtype}")
    dtype = computing_dtype(x.dtype)
    return x.astype(dtype, copy=False), weight.astype(dtype, copy=False), x.dtype


def bias_vector(value, n_classes, dtype):
    """Return the bias of a linear layer whose matrices have this dtype, in that of their product, or None."""
    if value is None:
        return None
    array = _validate.as_real(value, "linear_bias")
    if array.shape != (n_classes,):
        raise ValueError(f"linear_bias must have shape ({n_classes},), got {array.shape}")
    if array.dtype != dtype:
        raise TypeError(f"linear_bias must have the dtype of x, {dtype}, got {array.dtype}")
    return array.astype(computing_dtype(dtype), copy=False)


def rounded(gradient, dtype):
    """Return a gradient in the dtype of the arguments, which `matrices` widened; None stays None."""
    return None if gradient is None else gradient.astype(dtype, copy=False)


def _add_product(total, grad, x, is_first):
    """Add grad.T @ x to `total` in strips of classes; the first block is written rather than added."""
    step = max(1, STRIP_BYTES // max(1, x.shape[1] * x.itemsize))
    for start in range(0, len(total), step):
        strip = slice(start, start + step)
        if is_first:
            np.matmul(grad[:, strip].T, x, out=total[strip])
        else:
            total[strip] += grad[:, strip].T @ x


@quiet
def linear_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Loss:
    """Compute the cross-entropy of the logits x @ linear_weight.T + linear_bias, which are never stored.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64, shape (n_rows, n_features)
        Features.
    linear_weight : array_like, shape (n_classes, n_features)
        Weights of the layer, in the dtype of `x`.
    targets : array_like
        Class indices (n_rows,) or probabilities (n_rows, n_classes), as in `cross_entropy`.
    linear_bias : array_like, shape (n_classes,), optional
        Bias of the layer, in the dtype of `x`.
    weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap, temperature, reduction, n_threads
        As in `cross_entropy`.

    Returns
    -------
    scalar of the dtype of `x` (float32 for 16 bits), or ndarray of shape (n_rows,)

    Raises
    ------
    IndexError, TypeError, ValueError
        As `cross_entropy`; also if the shapes of the layer do not fit.

    Notes
    -----
    Error: at most 4 ULP for each row beyond that of the logits, which np.matmul computes. Memory beyond the
    arguments: the logits of 256 rows. The convention is that of PyTorch's `linear_cross_entropy`.

    Examples
    --------
    >>> import numpy as np, fastsoftmax as fs
    >>> float(fs.linear_cross_entropy(np.ones((2, 3)), np.zeros((4, 3)), [0, 3]))
    1.3862943611198906
    """
    options = {
        "weight": weight,
        "sample_weight": sample_weight,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "z_loss": z_loss,
        "softcap": softcap,
        "temperature": temperature,
    }
    problem = _Problem(x, linear_weight, targets, linear_bias, reduction, n_threads, options)
    scratch = problem.scratch()
    for rows in problem.blocks():
        problem.block_loss(rows, scratch, with_grad=False)
    return problem.loss()


@quiet
def linear_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> tuple[Loss, Array, Array, Array | None]:
    """Compute the cross-entropy of a linear layer and its gradients, without the logits as a whole.

    Parameters
    ----------
    x, linear_weight, targets, linear_bias, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap, \
temperature, reduction, n_threads
        As in `linear_cross_entropy`.

    Returns
    -------
    loss : scalar of the dtype of `x` (float32 for 16 bits), or ndarray of shape (n_rows,)
        As `linear_cross_entropy` returns it.
    grad_x : ndarray, shape (n_rows, n_features)
    grad_linear_weight : ndarray, shape (n_classes, n_features)
    grad_linear_bias : ndarray, shape (n_classes,), or None without a bias
        Gradients of the mean, or of the sum (also under "none").

    Raises
    ------
    IndexError, TypeError, ValueError
        As `linear_cross_entropy`.

    Notes
    -----
    Error: that of `cross_entropy_with_grad`, 4 ULP, at the logits that np.matmul computes, and of the products. Rows
    that are ignored or have a `sample_weight` of 0 are not felt, whatever they hold.
    Equal bits for equal threads of NumPy's BLAS.

    Examples
    --------
    >>> import numpy as np, fastsoftmax as fs
    >>> result = fs.linear_cross_entropy_with_grad(np.ones((2, 3)), np.zeros((4, 3)), [0, 3])
    >>> [None if one is None else one.shape for one in result]
    [(), (2, 3), (4, 3), None]
    """
    options = {
        "weight": weight,
        "sample_weight": sample_weight,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "z_loss": z_loss,
        "softcap": softcap,
        "temperature": temperature,
    }
    problem = _Problem(x, linear_weight, targets, linear_bias, reduction, n_threads, options)
    grad_x, grad_weight = empty_like(problem.x), zeros(problem.weight.shape, problem.weight.dtype)
    grad_bias = None if problem.bias is None else np.zeros(len(problem.bias))
    scratch = problem.scratch()
    for rows in problem.blocks():
        grad = problem.block_loss(rows, scratch, with_grad=True)
        with np.errstate(invalid="ignore"):
            np.matmul(grad, problem.weight, out=grad_x[rows])
        _add_product(grad_weight, grad, problem.x[rows], is_first=rows.start == 0)
        if grad_bias is not None:
            grad_bias += grad.sum(axis=0, dtype=np.float64)
    if problem.unused.any():
        grad_x[problem.unused] = 0  # 0 times a weight that is not finite would be NaN
    gradients = (rounded(one, problem.dtype) for one in (grad_x, grad_weight, grad_bias))
    return problem.loss(), *gradients
