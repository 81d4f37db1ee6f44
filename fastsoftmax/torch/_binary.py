"""The binary cross-entropy of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.autograd import Function

from .. import functional
from . import _composition
from ._cross_entropy import reduction_of
from ._tensors import (
    DTYPES,
    array_of,
    is_batched,
    is_jit_traced,
    is_traced,
    is_transformed,
    loss_tensor,
    refuse_others,
    scaled,
    tensor_of,
    unshared,
)


class _Binary(Function):
    @staticmethod
    def forward(ctx, input, found):
        loss, gradient, others, ctx.reduction = found
        ctx.save_for_backward(input, *others, gradient)
        ctx.is_first = True
        return loss

    @staticmethod
    def backward(ctx, upstream):
        *tensors, gradient = ctx.saved_tensors
        input, target, weight, pos_weight = tensors
        if (
            (is_transformed() or is_batched(upstream))
            and ctx.is_first
            and not torch.is_grad_enabled()
        ):
            return gradient * upstream, None
        if torch.is_grad_enabled() or is_batched(upstream) or is_transformed():

            def loss_of(input):
                return F.binary_cross_entropy_with_logits(
                    input, target, weight, reduction=ctx.reduction, pos_weight=pos_weight
                )

            return *_composition.gradients(loss_of, [input], upstream), None
        gradient = unshared(gradient) if ctx.is_first else _gradient_of(ctx.reduction, *tensors)
        ctx.is_first = False
        return scaled(gradient, upstream), None


def _gradient_of(reduction, input, target, weight, pos_weight):
    """Return the gradient once more."""
    _, gradient = functional.binary_cross_entropy_with_logits_with_grad(
        array_of(input), array_of(target), weight=array_of(weight), pos_weight=array_of(pos_weight), reduction=reduction
    )  # fmt: skip
    return tensor_of(gradient)


_apply = super(Function, _Binary).apply
"""Function.apply without its preparations for transforms of torch.func, which take a way of their own."""


def binary_cross_entropy_with_logits(
    input,
    target,
    weight=None,
    size_average=None,
    reduce=None,
    reduction="mean",
    pos_weight=None,
):
    """Compute the binary cross-entropy, as `torch.nn.functional.binary_cross_entropy_with_logits` does.

    Parameters
    ----------
    input : Tensor of float16, bfloat16, float32 or float64, on the CPU
        Logits of any shape.
    target : Tensor of the shape of `input`
        Numbers, usually in [0, 1].
    weight : Tensor, optional
        Broadcast to `input`.
    size_average, reduce : bool, optional
        PyTorch's older names of `reduction`.
    reduction : {"mean", "sum", "none"}, default "mean"
    pos_weight : Tensor, optional
        Weights of the positive answers, broadcast to `input`.

    Returns
    -------
    Tensor

    Raises
    ------
    RuntimeError, ValueError
        As PyTorch raises them.
    TypeError
        If a tensor is on another device, or of a subclass.

    Notes
    -----
    Error: at most 4 ULP for each element. What the kernels do not take (targets outside [0, 1], negative weights,
    gradients of targets) PyTorch computes.

    Examples
    --------
    >>> import torch
    >>> from fastsoftmax.torch import binary_cross_entropy_with_logits
    >>> binary_cross_entropy_with_logits(torch.zeros(2), torch.tensor([0.0, 1.0]))
    tensor(0.6931)
    """
    if size_average is not None or reduce is not None or reduction == "elementwise_mean":
        reduction = reduction_of(size_average, reduce, reduction)

    def peer():
        return F.binary_cross_entropy_with_logits(
            input, target, weight, reduction=reduction, pos_weight=pos_weight
        )

    if is_transformed():
        return peer()
    if is_traced():
        from ._ops import recorded_binary

        return recorded_binary(input, target, weight, pos_weight, reduction)
    tensors = input, target, weight, pos_weight
    refuse_others("binary_cross_entropy_with_logits", *tensors)
    if (
        input.dtype not in DTYPES
        or input.dtype is torch.float16  # PyTorch scales its gradient before it rounds
        or target.dtype != input.dtype
        or torch.is_autocast_enabled("cpu")
        or is_jit_traced()
        or any(one is not None and one.requires_grad for one in tensors[1:])
        or (pos_weight is not None and tuple(pos_weight.shape) != tuple(input.shape[-1:]))
    ):
        return peer()
    arrays = array_of(input), array_of(target)
    options = {
        "weight": array_of(weight),
        "pos_weight": array_of(pos_weight),
        "reduction": reduction,
    }
    tracks = input.requires_grad and torch.is_grad_enabled()
    try:
        if not tracks:
            loss = functional.binary_cross_entropy_with_logits(*arrays, **options)
        else:
            loss, grad = functional.binary_cross_entropy_with_logits_with_grad(*arrays, **options)
    except (TypeError, ValueError):
        return peer()
    loss = loss_tensor(loss, input.dtype)
    if not tracks:
        return loss
    return _apply(input, (loss, tensor_of(grad), tensors[1:], reduction))
