"""Operators that PyTorch records: torch.compile, torch.export, make_fx, FakeTensor."""

import torch

from . import _composition
from .. import functional
from ._cross_entropy import by_row, computed
from ._tensors import loss_tensor, tensor_of


@torch.library.custom_op("fastsoftmax::cross_entropy_with_grad", mutates_args=())
def cross_entropy_with_grad(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None,
    sample_weight: torch.Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float | None,
    temperature: float,
    reduction: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross-entropy, in the dtype of `input`, and its gradient."""
    options = ignore_index, label_smoothing, z_loss, softcap, temperature, reduction
    tensors = input.contiguous(), target, weight, sample_weight
    loss, gradient = computed(functional.cross_entropy_with_grad, *tensors, options)
    return loss_tensor(loss, input.dtype), tensor_of(gradient)


@cross_entropy_with_grad.register_fake
def _(input, target, weight, sample_weight, *options):
    rows = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    loss = input.new_empty(rows if options[-1] == "none" else ())
    return loss, input.new_empty(input.shape)


def _setup_context(ctx, inputs, output):
    ctx.tensors, ctx.options = len(inputs), inputs[4:]
    ctx.save_for_backward(*inputs[:4], output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx, upstream, _):
    input, target, weight, sample_weight, gradient = ctx.saved_tensors
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():

        def loss_of(input):
            return _composition.cross_entropy(input, target, weight, sample_weight, *ctx.options)

        found = _composition.gradients(loss_of, [input], upstream)
    else:
        found = [gradient * by_row(upstream, gradient)]
    return (*found, *[None] * 9)


cross_entropy_with_grad.register_autograd(_backward, setup_context=_setup_context)


def recorded_cross_entropy(input, target, weight, sample_weight, options):
    """Return the loss through the operator, or through PyTorch's operations where it has no kernel for the call."""
    tensors = [one for one in (target, weight, sample_weight) if one is not None]
    if (
        input.device.type != "cpu"
        or input.dtype not in (torch.float32, torch.float64, torch.bfloat16)
        or input.numel() == 0
        or (torch.is_grad_enabled() and any(one.requires_grad for one in tensors))
        or (target.is_floating_point() and options[0] >= 0)
        or weight is not None  # perhaps negative: PyTorch takes that
    ):
        return _composition.cross_entropy(input, target, weight, sample_weight, *options)
    dtype = input.dtype
    if torch.is_autocast_enabled("cpu") and dtype is torch.bfloat16:
        input = input.float()
    ignore_index, label_smoothing, z_loss, softcap, temperature, reduction = options
    loss, _ = cross_entropy_with_grad(
        input, target, weight, sample_weight, ignore_index, float(label_smoothing), float(z_loss),
        None if softcap is None else float(softcap), float(temperature), reduction,
    )  # fmt: skip
    return loss
