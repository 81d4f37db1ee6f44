"""The arguments of a loss of a linear layer, checked, and the work on one block of its rows."""

from __future__ import annotations

import math

import numpy as np

from .. import _validate
from .._backends import computing_dtype, numpy_impl
from .._dispatch import threads_for
from ._arrays import empty
from ._cross_entropy import Reducer, read_options
from ._softmax import logsumexp

ROWS_AT_ONCE = 256
"""Rows of a block: enough for matmul's full speed; 33 MB of float32 logits for 32,000 classes."""

BLOCK_BYTES = 1 << 27
"""Very many classes take fewer rows at once, so that a block stays under this."""

UPSTREAM_AS_IT_IS = 2.0**-72, 2.0**72
"""Sizes of what float32 gradients are multiplied with in float32; others need the range of float64."""


def rows_at_once(n_classes, item_bytes):
    """Return how many rows a block of logits has."""
    return max(1, min(ROWS_AT_ONCE, BLOCK_BYTES // (n_classes * item_bytes)))


class LinearLayer:
    """The checked arguments, rows of any shape in one row of them, and the loss of one block of rows."""

    def __init__(self, x, linear_weight, targets, linear_bias, reduction, n_threads, options):
        _validate.reduction(reduction)
        self.x, self.weight, self.dtype = matrices(x, linear_weight)
        *self.rows_shape, n_features = self.x_shape = self.x.shape
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
        axis = len(self.rows_shape)
        logits_shape = (*self.rows_shape, n_classes)
        options = read_options(logits_shape, axis, **options)
        targets, are_indices, ignore_index = _validate.targets(
            targets, logits_shape, axis, options.ignore_index
        )
        n_rows = math.prod(self.rows_shape)
        self.x = self.x.reshape(n_rows, n_features)
        self.shape, self.n_threads = (n_rows, n_classes), n_threads
        weight = options.sample_weight
        options = options._replace(
            ignore_index=ignore_index,
            sample_weight=None if weight is None else weight.reshape(-1, 1),
        )
        if are_indices:
            self.targets = np.ascontiguousarray(targets).reshape(-1, 1)
        else:
            self.targets = targets.reshape(n_rows, n_classes, 1)
        self.unused = self._unused(n_rows, self.targets[:, 0] if are_indices else None, options)
        if self.unused.any() and not np.isfinite(self.x[self.unused]).all():
            self.x = np.where(self.unused[:, None], 0, self.x)  # what is left out is not felt
        self.reducer = Reducer(
            reduction,
            options,
            self.targets,
            n_classes,
            self.dtype,
            lambda row: tuple(int(one) for one in np.unravel_index(row, self.rows_shape)),
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

    def row_weights(self, upstream):
        """Return what the gradient of each row is multiplied with, as a column, or None."""
        if upstream is None:
            return None
        if self.reducer.kind != "none":
            raise ValueError(f'upstream goes with reduction="none", got {self.reducer.kind!r}')
        array = _validate.as_real(upstream, "upstream")
        if array.shape != tuple(self.rows_shape):
            raise ValueError(
                f"upstream must have shape {tuple(self.rows_shape)}, got {array.shape}"
            )
        weights = np.where(self.unused, 0, array.reshape(-1)).astype(np.float64)
        sizes, (low, high) = np.abs(weights[weights != 0]), UPSTREAM_AS_IT_IS
        if self.x.dtype == np.float32 and ((low <= sizes) & (sizes <= high)).all():
            weights = weights.astype(np.float32)
        return weights[:, None]

    def blocks(self):
        """Yield the rows of each block."""
        n_rows, n_classes = self.shape
        step = rows_at_once(n_classes, self.x.itemsize)
        for start in range(0, n_rows, step):
            yield slice(start, min(start + step, n_rows))

    def scratch(self):
        """Return room for the logits of one block."""
        first = next(self.blocks(), slice(0, 0))
        return empty((first.stop - first.start, self.shape[1]), self.x.dtype)

    def block_loss(self, rows, scratch, with_grad, z_losses=None):
        """Fill the losses of a block, and what z_loss adds; return its logits' gradient, in `scratch`, if wanted."""
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
        if z_losses is not None:
            z_losses[rows] = self._z_losses(logits, options, self.unused[rows])
        block = logits[:, :, None]
        n_threads = threads_for(block.size, self.n_threads)
        grad = block if with_grad else None
        self.reducer.run(block, targets, self.losses[rows], grad, options, n_threads)
        return logits

    def _z_losses(self, logits, options, unused):
        """Return z_loss * logsumexp(logits)**2 of the rows of a block, as a column."""
        if self.reducer.is_wide:
            lse = numpy_impl.wide_logsumexp(logits, options.temperature, options.softcap)
        else:
            if options.softcap or options.temperature != 1:
                logits = logits / np.float64(options.temperature)
            if options.softcap:
                logits = np.tanh(logits / options.softcap) * options.softcap
            lse = logsumexp(logits, 1, n_threads=self.n_threads).astype(np.float64)[:, None]
        losses = options.z_loss * lse**2
        if options.sample_weight is not None:
            losses *= options.sample_weight
        losses[unused] = 0
        return losses

    def loss(self, losses=None):
        """Return the loss of all rows, or what else was summed by rows."""
        loss = self.reducer.of(self.losses if losses is None else losses)
        return loss.reshape(self.rows_shape) if loss.ndim else loss


def matrices(x, linear_weight):
    """Return the input and the weights of a linear layer, in the dtype of their product, and their own dtype.

    16-bit matrices are copied: np.matmul has no fast product of them.
    """
    found = []
    for value, name in ((x, "x"), (linear_weight, "linear_weight")):
        array = np.asarray(_validate.as_real(value, name), order="C")
        found.append(array)
    x, weight = found
    if x.ndim == 0:
        raise ValueError("x must have at least one dimension, that of the features, got shape ()")
    if weight.ndim != 2:
        raise ValueError(f"linear_weight must have two dimensions, got shape {weight.shape}")
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


class LayerGradients:
    """Where the gradients of a layer are computed, and what the caller gets."""

    def __init__(self, problem, out, arguments):
        shapes = [problem.x_shape, problem.weight.shape]
        names = ["grad_x", "grad_linear_weight", "grad_linear_bias"]
        if problem.bias is not None:
            shapes.append(problem.bias.shape)
        self.dtype, self.given = problem.dtype, [None] * len(shapes)
        if out is not None:
            if not isinstance(out, tuple) or len(out) != len(shapes):
                raise TypeError(
                    f"out must be a tuple of {len(shapes)} arrays ({', '.join(names[: len(shapes)])}), got "
                    f"{f'{len(out)} in a ' if isinstance(out, (tuple, list)) else ''}{type(out).__name__}"
                )
            self.given = list(out)
        self.views = [_validate.writable(one, "out") for one in self.given]
        for i, (view, shape, name) in enumerate(zip(self.views, shapes, names, strict=False)):
            if view is None:
                continue
            where = f"out ({name})"
            _validate.out_array(view, shape, self.dtype, where)
            for value, argument in arguments:
                if value is not None:
                    _validate.apart(view, _validate.as_array(value, argument), argument, where)
            for other in self.views[:i]:
                if other is not None:
                    _validate.apart(view, other, "another array of out", where)
        self.x, self.weight = (
            self._room(view, shape, problem.x.dtype)
            for view, shape in zip(
                self.views[:2], (problem.x.shape, problem.weight.shape), strict=True
            )
        )
        self.bias = None if problem.bias is None else np.zeros(len(problem.bias))

    @staticmethod
    def _room(view, shape, dtype):
        """Return the caller's array where it can be computed in, else a new one."""
        if (
            view is not None
            and view.dtype == dtype
            and view.flags.c_contiguous
            and view.flags.aligned
        ):
            return view.reshape(shape)
        return empty(shape, dtype)

    def finish(self, x_shape):
        """Return the gradients in the dtype of the arguments, in the arrays of the caller where given."""
        found = [self.x.reshape(x_shape), self.weight, self.bias]
        for i, (given, view) in enumerate(zip(self.given, self.views, strict=True)):
            if given is None:
                found[i] = rounded(found[i], self.dtype)
            else:
                if not np.may_share_memory(view, found[i]):
                    view[...] = found[i]
                found[i] = given
        return found
