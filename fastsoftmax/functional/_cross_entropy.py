"""Cross-entropy from logits, with and without its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from .._backends import LossOptions, computing_dtype, numpy_impl
from .._backends._extremes import are_extreme
from .._backends._sums import in_two_parts, mean_of, reciprocal, total_of
from .._dispatch import implementation, threads_for, with_fast_path
from .._layout import Layout
from ._arrays import Result, empty, quiet, read_with_out

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Loss, Reduction


def reduce_losses(losses, reduction, divisor, dtype):
    """Return the losses of all rows ("none"), their sum, or their mean, for data of this dtype; callers are `quiet`."""
    dtype = computing_dtype(dtype)
    if reduction == "none":
        return losses.astype(dtype)
    if reduction == "mean":
        return dtype.type(mean_of(losses, divisor))
    return dtype.type(total_of(losses))


def gradient_scale(reduction, divisor):
    """Return what the gradient is multiplied with: 1 / divisor under "mean"."""
    return reciprocal(divisor)[0] if reduction == "mean" else 1.0


def read_options(
    shape,
    axis,
    weight,
    sample_weight,
    ignore_index,
    label_smoothing,
    z_loss,
    softcap,
    temperature,
    out=None,
):
    """Check the options of a cross-entropy of logits of this shape; `out` must lie apart from the weights."""
    index_shape = shape[:axis] + shape[axis + 1 :]
    return LossOptions(
        weight=_validate.weights(weight, "weight", (shape[axis],), out),
        sample_weight=_validate.weights(sample_weight, "sample_weight", index_shape, out),
        ignore_index=None
        if ignore_index is None
        else _validate.integer(ignore_index, "ignore_index"),
        label_smoothing=_validate.number(label_smoothing, "label_smoothing", 0, 1),
        z_loss=_validate.number(z_loss, "z_loss", 0),
        softcap=0.0 if softcap is None else _validate.number(softcap, "softcap", 0, open_low=True),
        temperature=_validate.number(temperature, "temperature", 0, open_low=True),
    )


class Reducer:
    """How the losses of rows become the result: who computes them, and what their gradient is divided by.

    Parameters
    ----------
    kind : {"mean", "sum", "none"}
    options : LossOptions
        Checked, with `sample_weight` of shape (outer, inner).
    targets : ndarray
        A block as kernels read it.
    n_classes : int
    dtype : dtype
        Of the logits.
    position : callable
        Returns the position of a row for an error message.
    n_threads : int

    Raises
    ------
    IndexError
        About the first target out of range.
    """

    def __init__(self, kind, options, targets, n_classes, dtype, position, n_threads):
        self.kind, self.dtype = kind, dtype
        self.divisor, error = self._divisor(options, targets, n_classes, position, n_threads)
        scale = reciprocal(self.divisor, error) if kind == "mean" else (1.0, 0.0)
        self.is_wide = are_extreme(options, n_classes, scale[0], dtype)
        if self.is_wide:
            self.divisor = numpy_impl.divisor_of(targets, options)
            with np.errstate(all="ignore"):
                scale = (1 / self.divisor if kind == "mean" else 1.0), 0.0
        self.options = options._replace(grad_scale=scale[0], grad_scale_error=scale[1])

    @staticmethod
    def _divisor(options, targets, n_classes, position, n_threads):
        """Return the divisor of "mean" in two parts."""
        if targets.dtype.kind not in "iu":
            if options.sample_weight is None:
                return targets.size // n_classes, 0.0
            return in_two_parts(options.sample_weight.sum(dtype=np.longdouble))
        row, value, divisor, error = implementation().inspect_targets(
            targets, n_classes, options, n_threads
        )
        if row >= 0:
            raise _validate.bad_target(value, position(row), n_classes, options.ignore_index)
        return divisor, error

    def losses(self, shape):
        """Return room for the losses of rows."""
        return empty(shape, np.longdouble if self.is_wide else np.float64)

    def run(self, logits, targets, losses, grad, options, n_threads):
        """Run the contract's cross_entropy over a block."""
        run = numpy_impl if self.is_wide else implementation()
        run.cross_entropy(logits, targets, losses, grad, options, n_threads)

    def of(self, losses):
        """Return the result of the losses of all rows."""
        return reduce_losses(losses, self.kind, self.divisor, self.dtype)

    def of_beyond_range(self, logits, targets, losses):
        """Return the result of losses of which some left the range of double: these are computed again."""
        beyond, wide = np.isinf(losses), losses.astype(np.longdouble)
        rows, weight = np.moveaxis(logits, 1, -1)[beyond], self.options.sample_weight
        if targets.ndim == 3:
            targets = np.moveaxis(targets, 1, -1)
        options = self.options
        if weight is not None:
            options = options._replace(sample_weight=weight[beyond][:, None])
        again = np.empty((len(rows), 1), np.longdouble)
        numpy_impl.cross_entropy(
            rows[..., None], targets[beyond][..., None], again, None, options, 1
        )
        wide[beyond] = again[:, 0]
        return self.of(wide)


@quiet
def _cross_entropy(logits, targets, axis, reduction, n_threads, out, with_grad, options):
    """Check everything, then run the contract's cross_entropy once. Return (loss, gradient or None)."""
    _validate.reduction(reduction)
    array = read_with_out(logits, "logits", out)
    axis = _validate.one_axis(axis, array.ndim)
    _validate.n_classes(array.shape[axis], "logits", array.shape)
    options = read_options(array.shape, axis, **options, out=out)
    targets, are_indices, ignore_index = _validate.targets(
        targets, array.shape, axis, options.ignore_index, out
    )
    options = options._replace(ignore_index=ignore_index)
    layout = Layout(array, (axis,))
    n_threads = threads_for(array.size, n_threads)
    if options.sample_weight is not None:
        options = options._replace(sample_weight=layout.rows(options.sample_weight))
    if are_indices:
        targets = layout.rows(targets)
    else:
        if targets.dtype != array.dtype:
            targets = targets.astype(computing_dtype(array.dtype), copy=False)
        probabilities, targets = targets, layout.read(targets)
    reduced = Reducer(
        reduction, options, targets, array.shape[axis], array.dtype, layout.row_position, n_threads
    )
    block, result = layout.read(array), Result(layout, array.dtype, out) if with_grad else None
    losses = reduced.losses((layout.block_shape[0], layout.block_shape[2]))
    grad = result.block if with_grad else None
    reduced.run(block, targets, losses, grad, reduced.options, n_threads)
    loss = reduced.of(losses)
    keeps_logits = grad is None or not np.may_share_memory(grad, block)
    if array.dtype == np.float64 and keeps_logits and np.isinf(loss).any():
        targets = targets if are_indices else layout.block(probabilities)
        loss = reduced.of_beyond_range(layout.block(array), targets, losses)
    if reduction == "none":
        loss = layout.unrows(loss)
    return loss, result.finish() if with_grad else None


@with_fast_path
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
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
    """Compute -log(softmax(logits)[target]), the cross-entropy of a classifier's logits.

    For targets that are probabilities y the loss of a row is -sum(y * log(softmax(logits))). With the options it is,
    for z = logits / temperature, capped to softcap * tanh(z / softcap), for y which is 1 at the target and else 0,
    and for t = weight * ((1 - label_smoothing) * y + label_smoothing / n_classes)::

        sample_weight * [ sum(t) * (lse(z) - max(z)) + sum(t * (max(z) - z)) + z_loss * lse(z)**2 ]

    Parameters
    ----------
    logits : array_like of float16, bfloat16, float32 or float64
        Any shape with the classes along `axis`, for example (n_rows, n_classes) or (N, C, H, W) with axis=1.
    targets : array_like
        Class indices y: any integer dtype, the shape of `logits` without `axis`; or probabilities y: floating,
        the shape of `logits`, not renormalised.
    axis : int, default -1
        The axis of the classes.
    weight : array_like, shape (n_classes,), optional
        Weights of the classes, finite and not negative.
    sample_weight : array_like, shape of index targets, optional
        Weights of the rows, finite and not negative. A row of weight 0 has loss and gradient 0, whatever its
        logits are.
    ignore_index : int, optional
        Rows with this target have loss and gradient 0, whatever their logits are. There is no default: PyTorch's
        is -100.
    label_smoothing : float in [0, 1], default 0.0
        Label smoothing: the share of the target that is spread evenly over all classes.
    z_loss : float, default 0.0
        Factor of lse(z)**2, which keeps logits from drifting.
    softcap : float, optional
        Bound of the logits.
    temperature : float, default 1.0
        What the logits are divided by.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides the sum by the sum of sample_weight * weight[target] over the rows that are not ignored
        (index targets) or by the sum of sample_weight (probabilities).
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`. Results do not depend on it.

    Returns
    -------
    scalar of the logits' dtype (float32 for 16 bits), or ndarray of the shape of index targets
        "mean" over no rows is NaN.

    Raises
    ------
    IndexError
        If a target is outside [0, n_classes) and not `ignore_index`.
    TypeError
        If `targets` are booleans, or floats of the shape of indices; if a dtype does not fit.
    ValueError
        If a shape or an option does not fit.

    Notes
    -----
    Error: at most 4 ULP for each row, also for confident rows whose loss is as small as 1e-30; with `z_loss` 4 ULP
    of z_loss * max(z)**2 more. Options may have any size: very large or small ones are computed in long double, slowly.
    The convention is that of `torch.nn.functional.cross_entropy`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> float(fs.cross_entropy([[0.0, 0.0], [1000.0, 0.0]], [1, 0]))
    0.34657359027997264
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
    return _cross_entropy(logits, targets, axis, reduction, n_threads, None, False, options)[0]


@with_fast_path
def cross_entropy_with_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[Loss, Array]:
    """Compute the cross-entropy and its gradient with respect to the logits, in one pass.

    Parameters
    ----------
    logits, targets, axis, weight, sample_weight, ignore_index, label_smoothing, z_loss, softcap, temperature, \
reduction, n_threads
        As in `cross_entropy`.
    out : ndarray, optional
        Where to write the gradient: the shape and dtype of `logits`, any strides; it may be `logits` itself.

    Returns
    -------
    loss : scalar of the logits' dtype (float32 for 16 bits), or ndarray of the shape of index targets
        As `cross_entropy` returns it.
    grad_logits : ndarray
        The shape, dtype and memory order of `logits`: the gradient of the mean, or of the sum (also under
        "none").

    Raises
    ------
    IndexError, TypeError, ValueError
        As `cross_entropy`, before anything is written to `out`.

    Notes
    -----
    Error of the gradient: at most 4 ULP for index targets without smoothing and z_loss, the entry of the target
    included; otherwise 4 ULP of the larger of its two terms, t and (sum(t) + 2 * z_loss * lse) * p. With `z_loss` the
    parts of the latter count as positive, lse as max(abs(lse), abs(max(z))): so too where they cancel. The convention
    is that of PyTorch's autograd.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> loss, grad = fs.cross_entropy_with_grad([[0.0, 0.0]], [1])
    >>> grad
    array([[ 0.5, -0.5]])
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
    return _cross_entropy(logits, targets, axis, reduction, n_threads, out, True, options)
