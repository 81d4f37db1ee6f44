"""softmax and log_softmax of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.autograd import Function

from .. import functional
from ._tensors import DTYPES, array_of, is_traced, is_transformed, refuse_others, tensor_of


class _Softmax(Function):
    @staticmethod
    def forward(ctx, input, dim):
        probs = tensor_of(functional.softmax(array_of(input), dim))
        ctx.save_for_backward(probs)
        ctx.dim = dim
        return probs

    @staticmethod
    def backward(ctx, upstream):
        (probs,) = ctx.saved_tensors
        if torch.is_grad_enabled() or is_transformed():
            inner = (upstream * probs).sum(ctx.dim, keepdim=True)
            return probs * (upstream - inner), None
        arrays = array_of(upstream), array_of(probs)
        return tensor_of(functional.softmax_backward(*arrays, ctx.dim)), None


class _LogSoftmax(Function):
    @staticmethod
    def forward(ctx, input, dim):
        log_probs = tensor_of(functional.log_softmax(array_of(input), dim))
        ctx.save_for_backward(log_probs)
        ctx.dim = dim
        return log_probs

    @staticmethod
    def backward(ctx, upstream):
        (log_probs,) = ctx.saved_tensors
        if torch.is_grad_enabled() or is_transformed():
            return upstream - log_probs.exp() * upstream.sum(ctx.dim, keepdim=True), None
        arrays = array_of(upstream), array_of(log_probs)
        return tensor_of(functional.log_softmax_backward(*arrays, ctx.dim)), None


def _run(function, peer, input, dim, stacklevel, dtype):
    if is_traced() or is_transformed():
        return peer(input, dim, dtype=dtype)
    refuse_others(peer.__name__, input)
    if torch.is_autocast_enabled("cpu") and input.dtype in DTYPES:
        dtype = dtype or torch.promote_types(input.dtype, torch.float32)
    if dtype is not None:
        input = input.to(dtype)
    if dim is None or input.numel() == 0 or input.ndim == 0 or input.dtype not in DTYPES:
        return peer(input, dim, stacklevel + 2)
    if type(dim) is not int or not -input.ndim <= dim < input.ndim:
        return peer(input, dim)  # raises
    return function.apply(input, dim)


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
    Error: at most 4 ULP, as in `fastsoftmax.softmax`. Recorded by `torch.compile`, and under transforms of
    `torch.func`, PyTorch's own operation is used.

    Examples
    --------
    >>> import torch
    >>> from fastsoftmax.torch import softmax
    >>> softmax(torch.zeros(1, 4), dim=1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return _run(_Softmax, F.softmax, input, dim, _stacklevel, dtype)


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
    return _run(_LogSoftmax, F.log_softmax, input, dim, _stacklevel, dtype)
