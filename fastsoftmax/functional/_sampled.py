"""Sampled softmax: the cross-entropy over a few classes drawn at random, for very large vocabularies.

The classes are drawn with replacement, one set for the whole batch. With q(c) the probability to draw c in one of k
draws, exp(z_c) / (k * q(c)) summed over the draws has the expectation of the sum over all classes; beside it stands
the target with its own logit, and draws that hit a row's target are removed from that row, so that it does not count
twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from ._arrays import empty, quiet
from ._cross_entropy import cross_entropy, cross_entropy_with_grad
from ._linear_layer import bias_vector, matrices, rounded

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Loss, NDArray, Reduction, Sampler, Seed

MOST_DRAWS = 2**31 - 1
SAMPLERS = ("log_uniform", "uniform")


def draw_classes(n_classes, num_sampled, sampler, rng):
    """Draw class indices with replacement; return (indices, log of the probability of one draw)."""
    if sampler == "uniform":
        return rng.integers(0, n_classes, num_sampled), np.full(num_sampled, -np.log(n_classes))
    drawn = np.exp(rng.random(num_sampled) * np.log(n_classes + 1)).astype(np.int64) - 1
    drawn = np.clip(drawn, 0, n_classes - 1)
    return drawn, np.log(np.log1p(1 / (drawn + 1.0)) / np.log(n_classes + 1))


class _Problem:
    """The checked arguments, and the logits of the target and of the draws."""

    def __init__(
        self,
        x,
        linear_weight,
        targets,
        num_sampled,
        linear_bias,
        sampler,
        remove_hits,
        seed,
        ignore_index=None,
    ):
        self.x, self.weight, self.dtype = matrices(x, linear_weight)
        if self.x.ndim != 2:
            raise ValueError(f"x must have two dimensions, got shape {self.x.shape}")
        n_rows, n_features = self.x.shape
        n_classes = len(self.weight)
        if self.weight.shape[1] != n_features or n_classes == 0:
            raise ValueError(
                f"linear_weight must have shape (n_classes, {n_features}), got {self.weight.shape}"
            )
        self.bias = bias_vector(linear_bias, n_classes, self.dtype)
        num_sampled = _validate.integer(num_sampled, "num_sampled", low=1)
        if num_sampled > MOST_DRAWS:
            raise ValueError(f"num_sampled must be at most {MOST_DRAWS}, got {num_sampled}")
        _validate.choice(sampler, "sampler", SAMPLERS)
        self.targets, self.used = self._index_targets(targets, (n_rows, n_classes), ignore_index)
        if not self.used.all() and not np.isfinite(self.x[~self.used]).all():
            self.x = np.where(self.used[:, None], self.x, 0)  # what is left out is not felt
        rng = _validate.generator(seed)
        self.drawn, log_q = draw_classes(n_classes, num_sampled, sampler, rng)
        self.correction = (np.log(num_sampled) + log_q).astype(self.x.dtype)
        self.remove_hits = _validate.flag(remove_hits, "remove_accidental_hits")

    @staticmethod
    def _index_targets(targets, shape, ignore_index):
        """Return (targets, used): class indices, 0 where a row is ignored, and which rows are not."""
        if ignore_index is not None:
            ignore_index = _validate.integer(ignore_index, "ignore_index")
        targets, are_indices, ignore_index = _validate.targets(targets, shape, 1, ignore_index)
        if not are_indices:
            raise TypeError("targets must be integers (class indices), got probabilities")
        targets = targets.astype(np.int64)
        used = np.ones(shape[0], bool) if ignore_index is None else targets != ignore_index
        targets = np.where(used, targets, 0)
        bad = np.flatnonzero((targets < 0) | (targets >= shape[1]))
        if bad.size:
            row = int(bad[0])
            raise _validate.bad_target(int(targets[row]), (row,), shape[1], ignore_index)
        return targets, used

    def first(self):
        """Return the targets of the logits: the first of each row, or -1, which is ignored."""
        return np.where(self.used, 0, -1)

    def logits(self):
        """Return (n_rows, 1 + num_sampled): the target's logit, then those of the draws, corrected."""
        logits = empty((len(self.x), 1 + len(self.drawn)), self.x.dtype)
        logits[:, 0] = np.einsum("rf,rf->r", self.x, self.weight[self.targets])
        np.matmul(self.x, self.weight[self.drawn].T, out=logits[:, 1:])
        if self.bias is not None:
            logits[:, 0] += self.bias[self.targets]
            logits[:, 1:] += self.bias[self.drawn]
        logits[:, 1:] -= self.correction
        if self.remove_hits:
            logits[:, 1:][self.targets[:, None] == self.drawn] = -np.inf
        return logits

    def by_class(self, grad):
        """Return (class_ids, rows, bias): the gradients of the weights for each class touched."""
        own = self.targets[self.used]
        class_ids, place = np.unique(np.concatenate([self.drawn, own]), return_inverse=True)
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], np.arange(len(class_ids)))
        of_own = (grad[:, :1] * self.x)[self.used]
        parts = np.concatenate([grad[:, 1:].T @ self.x, of_own])
        rows = np.add.reduceat(parts[order], starts, axis=0)
        if self.bias is None:
            return class_ids, rows, None
        bias = np.concatenate([grad[:, 1:].sum(axis=0), grad[self.used, 0]])
        return class_ids, rows, np.add.reduceat(bias[order], starts)


@quiet
def sampled_softmax_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    num_sampled: int,
    *,
    linear_bias: ArrayLike | None = None,
    sampler: Sampler = "log_uniform",
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Loss:
    """Estimate the cross-entropy of a linear layer from a few classes drawn at random.

    Parameters
    ----------
    x : array_like of float16, bfloat16, float32 or float64, shape (n_rows, n_features)
        Features.
    linear_weight : array_like, shape (n_classes, n_features)
        Weights of the layer, in the dtype of `x`.
    targets : array_like of integers, shape (n_rows,)
        Class indices.
    num_sampled : int
        How many classes are drawn, with replacement, one set for the batch.
    linear_bias : array_like, shape (n_classes,), optional
        Bias of the layer, in the dtype of `x`.
    sampler : {"log_uniform", "uniform"}, default "log_uniform"
        "log_uniform" draws class c with probability log((c + 2) / (c + 1)) / log(n_classes + 1): for classes that
        are sorted by falling frequency, as words are.
    remove_accidental_hits : bool, default True
        Leave a draw out of the rows whose target it is. With False such a draw counts beside the target.
    seed : None, int or numpy.random.Generator, optional
        What the draws depend on; the same seed gives the same classes.
    ignore_index : int, optional
        Rows with this target take no part: their loss and gradient are 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        Over the rows that take part.
    n_threads : int, optional
        At most this many threads; by default `get_num_threads()`.

    Returns
    -------
    scalar of the dtype of `x` (float32 for 16 bits), or ndarray of shape (n_rows,)
        It tends to `linear_cross_entropy` as `num_sampled` grows.

    Raises
    ------
    IndexError, TypeError, ValueError
        If a target is out of range, or a dtype, shape or option does not fit.

    Notes
    -----
    From the logit of a drawn class log(num_sampled * q) is subtracted, q its probability in one draw, so that the
    expectation of the sum of exponentials is that of all classes (Bengio and Senecal 2008; Jean et al. 2015). The
    convention is that of TensorFlow's `sampled_softmax_loss`, but for draws with replacement and for the target's
    logit, which needs no correction. Error of the loss: at most 4 ULP at the logits that np.matmul computes.

    Examples
    --------
    >>> import numpy as np, fastsoftmax as fs
    >>> x, weight = np.ones((2, 3)), np.zeros((1000, 3))
    >>> loss = fs.sampled_softmax_cross_entropy(x, weight, [0, 7], 64, sampler="uniform", seed=0)
    >>> abs(loss - np.log(1000)) < 0.01
    np.True_
    """
    problem = _Problem(
        x,
        linear_weight,
        targets,
        num_sampled,
        linear_bias,
        sampler,
        remove_accidental_hits,
        seed,
        ignore_index,
    )
    return cross_entropy(
        problem.logits(),
        problem.first(),
        ignore_index=-1,
        reduction=reduction,
        n_threads=n_threads,
    )


@quiet
def sampled_softmax_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    num_sampled: int,
    *,
    linear_bias: ArrayLike | None = None,
    sampler: Sampler = "log_uniform",
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> tuple[Loss, Array, NDArray[np.int64], Array, Array | None]:
    """Estimate the cross-entropy and its gradients; those of the weights for the classes touched alone.

    Parameters
    ----------
    x, linear_weight, targets, num_sampled, linear_bias, sampler, remove_accidental_hits, seed, ignore_index, \
reduction, n_threads
        As in `sampled_softmax_cross_entropy`.

    Returns
    -------
    loss : scalar of the dtype of `x` (float32 for 16 bits), or ndarray of shape (n_rows,)
    grad_x : ndarray, shape (n_rows, n_features)
    class_ids : ndarray of int64, shape (n_touched,)
        The classes drawn and the targets of the rows that take part, each once, ascending.
    grad_weight_rows : ndarray, shape (n_touched, n_features)
        Gradient of ``linear_weight[class_ids]``; that of all other classes is 0.
    grad_bias_rows : ndarray, shape (n_touched,), or None without a bias

    Raises
    ------
    IndexError, TypeError, ValueError
        As `sampled_softmax_cross_entropy`.

    Notes
    -----
    Cost and memory grow with the sample, not with the number of classes. Error: that of `cross_entropy_with_grad`,
    4 ULP, at the logits that np.matmul computes, and of the products.

    Examples
    --------
    >>> import numpy as np, fastsoftmax as fs
    >>> x, weight = np.ones((2, 3)), np.zeros((1000, 3))
    >>> loss, grad_x, class_ids, rows, _ = fs.sampled_softmax_cross_entropy_with_grad(x, weight, [0, 7], 5, seed=0)
    >>> rows.shape == (len(class_ids), 3)
    True
    """
    problem = _Problem(
        x,
        linear_weight,
        targets,
        num_sampled,
        linear_bias,
        sampler,
        remove_accidental_hits,
        seed,
        ignore_index,
    )
    logits = problem.logits()
    loss, grad = cross_entropy_with_grad(
        logits,
        problem.first(),
        ignore_index=-1,
        reduction=reduction,
        n_threads=n_threads,
        out=logits,
    )
    grad_x = (
        grad[:, 1:] @ problem.weight[problem.drawn] + grad[:, :1] * problem.weight[problem.targets]
    )
    grad_x[~problem.used] = 0  # 0 times a weight that is not finite would be NaN
    class_ids, rows, bias = problem.by_class(grad)
    grad_x, rows, bias = (rounded(one, problem.dtype) for one in (grad_x, rows, bias))
    return loss, grad_x, class_ids, rows, bias
