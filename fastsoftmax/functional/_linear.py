"""Cross-entropy of a linear layer whose logits never exist as a whole.

Rows are taken in blocks: the logits of a block, their loss, their gradient in place, and the products with it. The
gradient of the weights is summed over the blocks in strips of classes, since np.matmul cannot accumulate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from ._arrays import empty, quiet
from ._cross_entropy import cross_entropy, cross_entropy_with_grad
from ._linear_layer import LayerGradients, LinearLayer, rows_at_once

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Loss, Reduction

STRIP_BYTES = 1 << 22


def _add_product(total, grad, x, is_first):
    """Add grad.T @ x to `total` in strips of classes; the first block is written rather than added."""
    step = max(1, STRIP_BYTES // max(1, x.shape[1] * x.itemsize))
    for start in range(0, len(total), step):
        strip = slice(start, start + step)
        if is_first:
            np.matmul(grad[:, strip].T, x, out=total[strip])
        else:
            total[strip] += grad[:, strip].T @ x


def _logits_of_one_block(x, linear_weight, linear_bias):
    """Return all logits, if one block holds them and the arrays are such as need no conversion and no message."""
    arrays = (x, linear_weight) if linear_bias is None else (x, linear_weight, linear_bias)
    if any(type(array) is not np.ndarray or array.dtype != x.dtype for array in arrays):
        return None
    if x.dtype.char not in "fd" or x.ndim == 0 or linear_weight.ndim != 2:
        return None
    n_classes, n_features = linear_weight.shape
    if x.shape[-1] != n_features or n_features == 0 or n_classes == 0:
        return None
    n_rows = x.size // n_features
    if n_rows > rows_at_once(n_classes, x.itemsize):
        return None
    if linear_bias is not None and linear_bias.shape != (n_classes,):
        return None
    logits = np.matmul(x, linear_weight.T, out=empty((*x.shape[:-1], n_classes), x.dtype))
    if linear_bias is not None:
        logits += linear_bias
    return logits


def _products(grad, x, linear_weight, linear_bias):
    """Return the gradients of x, of the weights and of the bias from that of the logits of one block."""
    grad_x = np.matmul(grad, linear_weight, out=empty(x.shape, x.dtype))
    rows = grad.reshape(-1, grad.shape[-1])
    grad_weight = empty(linear_weight.shape, x.dtype)
    np.matmul(rows.T, x.reshape(-1, x.shape[-1]), out=grad_weight)
    if linear_bias is None:
        return grad_x, grad_weight, None
    return grad_x, grad_weight, rows.sum(axis=0, dtype=np.float64).astype(x.dtype)


def _wants_z_loss(value):
    return _validate.flag(value, "return_z_loss")


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
    return_z_loss: bool = False,
    n_threads: int | None = None,
) -> Loss | tuple[Loss, Loss]:
    """Compute the cross-entropy of the logits x @ linear_weight.T + linear_bias, which are never stored.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64, shape (..., n_features)
        Features, of rows in any shape: (n_rows, n_features), (batch, length, n_features) or one row, (n_features,).
    linear_weight : array_like, shape (n_classes, n_features)
        Weights of the layer, in the dtype of `x`.
    targets : array_like
        Class indices (...) or probabilities (..., n_classes), as in `cross_entropy`.
    linear_bias : array_like, shape (n_classes,), optional
        Bias of the layer, in the dtype of `x`.
    weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap, temperature, reduction, n_threads
        As in `cross_entropy`.
    return_z_loss : bool, default False
        Also return the part of the loss that is due to `z_loss`.

    Returns
    -------
    loss : scalar of the dtype of `x` (float32 for 16 bits), or ndarray of shape (...)
    z_loss : like loss
        If `return_z_loss`; the loss includes it.

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
    if return_z_loss is False:
        logits = _logits_of_one_block(x, linear_weight, linear_bias)
        if logits is not None:
            options.update(axis=-1, reduction=reduction, n_threads=n_threads)
            return cross_entropy(logits, targets, **options)
    layer = LinearLayer(x, linear_weight, targets, linear_bias, reduction, n_threads, options)
    scratch = layer.scratch()
    z_losses = np.zeros_like(layer.losses) if _wants_z_loss(return_z_loss) else None
    for rows in layer.blocks():
        layer.block_loss(rows, scratch, False, z_losses)
    return layer.loss() if z_losses is None else (layer.loss(), layer.loss(z_losses))


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
    upstream: ArrayLike | None = None,
    return_z_loss: bool = False,
    n_threads: int | None = None,
    out: tuple[Array | None, ...] | None = None,
) -> tuple[Loss, Array, Array, Array | None] | tuple[Loss, Array, Array, Array | None, Loss]:
    """Compute the cross-entropy of a linear layer and its gradients, without the logits as a whole.

    Parameters
    ----------
    x, linear_weight, targets, linear_bias, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap, \
temperature, reduction, return_z_loss, n_threads
        As in `linear_cross_entropy`.
    upstream : array_like, shape (...), optional
        With ``reduction="none"``: what the gradient of each row is multiplied with; 1 by default.
    out : tuple of ndarray, optional
        Where the gradients are written: (grad_x, grad_linear_weight), and grad_linear_bias with a bias; None for one
        that is to be new. Each has the shape and dtype of its argument and shares no memory with any argument.

    Returns
    -------
    loss : scalar of the dtype of `x` (float32 for 16 bits), or ndarray of shape (...)
        As `linear_cross_entropy` returns it.
    grad_x : ndarray, shape (..., n_features)
    grad_linear_weight : ndarray, shape (n_classes, n_features)
    grad_linear_bias : ndarray, shape (n_classes,), or None without a bias
        Gradients of the mean, or of the sum (also under "none", where `upstream` weighs the rows).
    z_loss : like loss
        If `return_z_loss`; the loss includes it.

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
    every_row_counts = sample_weight is None and ignore_index is None
    if every_row_counts and return_z_loss is False and upstream is None and out is None:
        logits = _logits_of_one_block(x, linear_weight, linear_bias)
        if logits is not None:
            options.update(axis=-1, reduction=reduction, n_threads=n_threads, out=logits)
            loss, grad = cross_entropy_with_grad(logits, targets, **options)
            return loss, *_products(grad, x, linear_weight, linear_bias)
    layer = LinearLayer(x, linear_weight, targets, linear_bias, reduction, n_threads, options)
    row_weights = layer.row_weights(upstream)
    arguments = (
        (x, "x"),
        (linear_weight, "linear_weight"),
        (targets, "targets"),
        (linear_bias, "linear_bias"),
    )
    grads = LayerGradients(layer, out, arguments)
    z_losses = np.zeros_like(layer.losses) if _wants_z_loss(return_z_loss) else None
    scratch = layer.scratch()
    if layer.shape[0] == 0:
        grads.weight[...] = 0
    for rows in layer.blocks():
        grad = layer.block_loss(rows, scratch, True, z_losses)
        with np.errstate(invalid="ignore", over="ignore"):
            if row_weights is not None:
                np.multiply(grad, row_weights[rows], out=grad, casting="same_kind")
            np.matmul(grad, layer.weight, out=grads.x[rows])
        _add_product(grads.weight, grad, layer.x[rows], is_first=rows.start == 0)
        if grads.bias is not None:
            grads.bias += grad.sum(axis=0, dtype=np.float64)
    if layer.unused.any():
        grads.x[layer.unused] = 0  # 0 times a weight that is not finite would be NaN
    found = grads.finish(layer.x_shape)
    return layer.loss(), *found, *(() if z_losses is None else (layer.loss(z_losses),))
