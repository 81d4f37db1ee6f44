"""softmax and log_softmax of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.autograd import Function

from .. import functional
from . import _composition
from ._tensors import (
    DTYPES,
    array_of,
    is_batched,
    is_jit_traced,
    is_traced,
    is_transformed,
    refuse_others,
    tensor_of,
)


class _Softmax(Function):
    @staticmethod
    def forward(input, dim, log):
        run = functional.log_softmax if log else functional.softmax
        return tensor_of(run(array_of(input.contiguous()), dim))  # so are PyTorch's results

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.dim, ctx.log = inputs
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def jvp(ctx, tangent, *_):
        (result,) = ctx.saved_tensors
        probs = result.exp() if ctx.log else result
        change = tangent - (tangent * probs).sum(ctx.dim, keepdim=True)
        return change if ctx.log else change * probs

    @staticmethod
    def backward(ctx, upstream):
        (result,) = ctx.saved_tensors
        if torch.is_grad_enabled() or is_transformed() or is_batched(upstream):
            found = _composition.softmax_gradient(upstream, result, ctx.dim, ctx.log)
        else:
            run = functional.log_softmax_backward if ctx.log else functional.softmax_backward
            found = tensor_of(run(array_of(upstream.contiguous()), array_of(result), ctx.dim))
        return found, None, None

    @staticmethod
    def vmap(info, in_dims, input, dim, log):
        """Take the softmax of a batch: its dimension goes first, and the one of the classes behind it."""
        batch = input.movedim(in_dims[0], 0)
        return _Softmax.apply(batch, dim % (batch.ndim - 1) + 1, log), 0


_apply = super(Function, _Softmax).apply
"""Function.apply without its preparations for transforms of torch.func."""


def _run(log, input, dim, stacklevel, dtype):
    peer = F.log_softmax if log else F.softmax
    if is_traced():
        if is_transformed():
            return peer(input, dim, dtype=dtype)
        from ._ops import recorded_softmax

        return recorded_softmax(input, dim, dtype, log)
    refuse_others(peer.__name__, input)
    if dtype is not None:
        input = input.to(dtype)
    if (
        dim is None
        or is_jit_traced()
        or input.numel() == 0
        or input.ndim == 0
        or input.dtype not in DTYPES
    ):
        return peer(input, dim, stacklevel + 2)
    if type(dim) is not int or not -input.ndim <= dim < input.ndim:
        return peer(input, dim)  # raises
    return (_Softmax.apply if is_transformed() else _apply)(input, dim, log)


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Turn logits into probabilities, as `torch.nn.functional.softmax` does.

    Parameters
    ----------
    input : Tensor of float16, bfloat16, float32 or float64, on the CPU
        Logits of any shape and strides.
    dim : int
        The dimension of the classes. None chooses one and warns, as in PyTorch.
    dtype : torch.dtype, optional
        What `input` is converted to first.

    Returns
    -------
    Tensor
        The shape and dtype of `input`.

    Raises
    ------
    IndexError, RuntimeError
        As PyTorch raises them.
    TypeError
        If `input` is on another device, or a subclass of Tensor.

    Notes
    -----
    Error: at most 4 ULP, as in `fastsoftmax.softmax`.

    Examples
    --------
    >>> import torch
    >>> from fastsoftmax.torch import softmax
    >>> softmax(torch.zeros(1, 4), dim=1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return _run(False, input, dim, _stacklevel, dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Turn logits into logarithms of probabilities, as `torch.nn.functional.log_softmax` does.

    Parameters
    ----------
    input, dim, dtype
        As in `softmax`.

    Returns
    -------
    Tensor
        The shape and dtype of `input`.

    Raises
    ------
    IndexError, RuntimeError, TypeError
        As `softmax`.

    Notes
    -----
    Error: at most 4 ULP, as in `fastsoftmax.log_softmax`.

    Examples
    --------
    >>> import torch
    >>> from fastsoftmax.torch import log_softmax
    >>> log_softmax(torch.tensor([[1000.0, 0.0]]), dim=1)
    tensor([[    0., -1000.]])
    """
    return _run(True, input, dim, _stacklevel, dtype)
