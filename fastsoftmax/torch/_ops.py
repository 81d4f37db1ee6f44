"""Operators that PyTorch records: torch.compile, torch.export, make_fx, FakeTensor.

Each has a function for shapes alone (fake) and one for its gradient. Operators of losses return the gradient beside the
loss. Of tensors that require a second derivative, `_composition` computes the first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import guard_or_true
from torch.library import custom_op

from .. import functional
from . import _composition
from ._cross_entropy import (
    by_row,
    checked,
    computed,
    dtype_of_loss,
    is_infinite_mean,
    sample_weight_checked,
    smoothing_checked,
)
from ._linear import are_usual, fits, gradients_and_loss, scaled_by_use
from ._tensors import array_of, is_autocast, loss_tensor, tensor_of

RECORDED = (torch.float32, torch.float64, torch.bfloat16)


def _is_differentiated_again():
    return torch.is_grad_enabled() and not torch.compiler.is_compiling()


def _require_gradient(*tensors):
    return torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in tensors)


def _is_served(input):
    """Whether kernels take logits; of a size that only the data tell, operators find out."""
    is_known = input.device.type == "cpu" and input.dtype in RECORDED
    return is_known and guard_or_true(input.numel() > 0)


def _as_promised(tensor, input):
    """Return what an operator has computed as its fake promises it: contiguous, in the dtype of `input`."""
    return tensor.to(input.dtype).contiguous()


# softmax and log_softmax


@custom_op("fastsoftmax::softmax", mutates_args=())
def softmax(input: Tensor, dim: int, log: bool) -> Tensor:
    """Return the softmax over a dimension, or its logarithm."""
    run = functional.log_softmax if log else functional.softmax
    return _as_promised(tensor_of(run(array_of(input.contiguous()), dim)), input)


@custom_op("fastsoftmax::softmax_backward", mutates_args=())
def softmax_backward(upstream: Tensor, result: Tensor, dim: int, log: bool) -> Tensor:
    """Return the gradient of the logits, of that of the result."""
    run = functional.log_softmax_backward if log else functional.softmax_backward
    found = tensor_of(run(array_of(upstream.contiguous()), array_of(result.contiguous()), dim))
    return _as_promised(found, result)


@softmax.register_fake
def _(input, dim, log):
    return input.new_empty(input.shape)


@softmax_backward.register_fake
def _(upstream, result, dim, log):
    return result.new_empty(result.shape)


def _keep_result(ctx, inputs, output):
    _, ctx.dim, ctx.log = inputs
    ctx.save_for_backward(output)


def _softmax_gradient(ctx, upstream):
    (result,) = ctx.saved_tensors
    compute = _composition.softmax_gradient if _is_differentiated_again() else softmax_backward
    return compute(upstream, result, ctx.dim, ctx.log), None, None


softmax.register_autograd(_softmax_gradient, setup_context=_keep_result)


def recorded_softmax(input, dim, dtype, log):
    """Return the softmax through the operator where it has kernels for the call, else through PyTorch's."""
    if dtype is not None:
        input = input.to(dtype)
    if type(dim) is int and -input.ndim <= dim < input.ndim and _is_served(input):
        return softmax(input, dim, log)
    return (F.log_softmax if log else F.softmax)(input, dim)


# cross_entropy


def _composed(input, target, weight, sample_weight, options):
    """Return the loss and the gradient of what kernels do not take, such as negative weights of classes."""
    wide = input.float() if input.dtype.itemsize < 4 else input
    others = target, None if weight is None else weight.to(wide.dtype), sample_weight
    loss = _composition.cross_entropy(wide, *others, *options)
    return loss, _composition.cross_entropy_gradient(wide, *others, *options)


@custom_op("fastsoftmax::cross_entropy_with_grad", mutates_args=())
def cross_entropy_with_grad(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float | None,
    temperature: float,
    reduction: str,
) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy, in the dtype of `input`, and its gradient."""
    options = ignore_index, label_smoothing, z_loss, softcap, temperature, reduction
    smoothing_checked(label_smoothing)
    tensors = input.contiguous(), target, weight, sample_weight
    if weight is None or are_usual(weight):
        loss, gradient = computed(functional.cross_entropy_with_grad, *tensors, options)
        if weight is None or not label_smoothing or not is_infinite_mean(loss, options):
            loss = loss_tensor(loss, input.dtype)
            return _as_promised(loss, input), _as_promised(tensor_of(gradient), input)
    checked(input, sample_weight, options)
    return tuple(_as_promised(one, input) for one in _composed(*tensors, options))


@cross_entropy_with_grad.register_fake
def _(input, target, weight, sample_weight, *options):
    rows = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    loss = input.new_empty(rows if options[-1] == "none" else ())
    return loss, input.new_empty(input.shape)


def _keep_cross_entropy(ctx, inputs, output):
    ctx.options = inputs[4:]
    ctx.save_for_backward(*inputs[:4], output[1])
    ctx.mark_non_differentiable(output[1])


def _cross_entropy_gradient(ctx, upstream, _):
    input, *others, gradient = ctx.saved_tensors
    if _is_differentiated_again():

        def loss_of(input):
            return _composition.cross_entropy(input, *others, *ctx.options)

        found = _composition.gradients(loss_of, [input], upstream)
    else:
        target, _, sample_weight = others
        rows = _composition.upstream_of_rows(upstream, target, sample_weight, ctx.options[0])
        found = [gradient * by_row(rows, gradient)]
    return (*found, *[None] * 9)


cross_entropy_with_grad.register_autograd(
    _cross_entropy_gradient, setup_context=_keep_cross_entropy
)


def _is_of_rows(target, input):
    """Whether targets have the shape that logits ask for; PyTorch raises about others."""
    dim = 1 if input.ndim > 1 else 0
    rows = input.shape[:dim] + input.shape[dim + 1 :]
    shape = input.shape if target.is_floating_point() else rows
    sizes = zip(target.shape, shape, strict=False)
    return target.ndim == len(shape) and all(guard_or_true(one == other) for one, other in sizes)


def recorded_cross_entropy(input, target, weight, sample_weight, options):
    """Return the loss through the operator, or through PyTorch's operations where it has no kernel for the call."""
    if (
        not _is_served(input)
        or _require_gradient(target, weight, sample_weight)
        or (target.is_floating_point() and options[0] >= 0)
        or not _is_of_rows(target, input)
    ):
        checked(input, sample_weight, options)
        return _composition.cross_entropy(input, target, weight, sample_weight, *options)
    if sample_weight is not None:
        sample_weight_checked(sample_weight, input)
    if input.dtype is torch.bfloat16 and is_autocast():
        input = input.float()
    loss, _ = cross_entropy_with_grad(input, target, weight, sample_weight, *_numbers(options))
    return loss.to(dtype_of_loss(input.dtype, target))


def _numbers(options):
    """Return the options of a loss in the types that operators declare."""
    ignore_index, label_smoothing, z_loss, softcap, temperature, reduction = options
    softcap = None if softcap is None else float(softcap)
    return (
        ignore_index,
        float(label_smoothing),
        float(z_loss),
        softcap,
        float(temperature),
        reduction,
    )


# binary_cross_entropy_with_logits


@custom_op("fastsoftmax::binary_cross_entropy_with_grad", mutates_args=())
def binary_with_grad(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
) -> tuple[Tensor, Tensor]:
    """Return the binary cross-entropy, in the dtype of `input`, and its gradient."""
    try:
        loss, gradient = functional.binary_cross_entropy_with_logits_with_grad(
            array_of(input.contiguous()),
            array_of(target.contiguous()),
            weight=array_of(weight),
            pos_weight=array_of(pos_weight),
            reduction=reduction,
        )
    except (TypeError, ValueError):  # targets beyond 0 and 1, negative weights, or an error
        options = {"weight": weight, "pos_weight": pos_weight, "reduction": reduction}
        loss = F.binary_cross_entropy_with_logits(input, target, **options)
        gradient = _composition.binary_gradient(input, target, **options)
    else:
        loss, gradient = loss_tensor(loss, input.dtype), tensor_of(gradient)
    return _as_promised(loss, input), _as_promised(gradient, input)


@binary_with_grad.register_fake
def _(input, target, weight, pos_weight, reduction):
    return input.new_empty(input.shape if reduction == "none" else ()), input.new_empty(input.shape)


def _keep_binary(ctx, inputs, output):
    *tensors, ctx.reduction = inputs
    ctx.save_for_backward(*tensors, output[1])
    ctx.mark_non_differentiable(output[1])


def _binary_gradient(ctx, upstream, _):
    input, target, weight, pos_weight, gradient = ctx.saved_tensors
    if _is_differentiated_again():
        gradient = _composition.binary_gradient(input, target, weight, pos_weight, ctx.reduction)
    return gradient * upstream, None, None, None, None


binary_with_grad.register_autograd(_binary_gradient, setup_context=_keep_binary)


def recorded_binary(input, target, weight, pos_weight, reduction):
    """Return the loss through the operator, or through PyTorch's operations where it has no kernel for the call."""
    if (
        not _is_served(input)
        or target.dtype != input.dtype
        or target.shape != input.shape
        or is_autocast()
        or _require_gradient(target, weight, pos_weight)
        or (pos_weight is not None and pos_weight.shape != input.shape[-1:])
    ):
        return F.binary_cross_entropy_with_logits(
            input, target, weight, reduction=reduction, pos_weight=pos_weight
        )
    return binary_with_grad(input, target, weight, pos_weight, reduction)[0]


# linear_cross_entropy


def _composed_linear(layer, others, options, wants, upstream):
    """Return the loss and the gradients of a layer from its logits as a whole."""
    input, linear_weight, _ = layer
    loss, gradient = _composed(F.linear(*layer), *others, options)
    gradient = gradient.to(input.dtype)
    if upstream is not None:
        gradient = gradient * upstream.unsqueeze(1)
    ways = (
        lambda: gradient @ linear_weight,
        lambda: gradient.t() @ input,
        lambda: gradient.sum(0),
    )
    return loss, [way() if want else None for way, want in zip(ways, wants, strict=True)]


@custom_op("fastsoftmax::linear_cross_entropy_with_grad", mutates_args=())
def linear_with_grad(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float | None,
    temperature: float,
    reduction: str,
    upstream: Tensor | None,
    of_input: bool,
    of_weight: bool,
    of_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the loss, and the gradients that are wanted; the others are empty.

    `upstream` weighs the rows of the gradients.
    """
    smoothing_checked(label_smoothing)
    layer, others = (
        (input.contiguous(), linear_weight, linear_bias),
        (target, weight, sample_weight),
    )
    options = ignore_index, label_smoothing, z_loss, softcap, temperature, reduction
    wants = of_input, of_weight, of_bias
    if weight is None or are_usual(weight):
        loss, grads = gradients_and_loss((*layer, *others), options, wants, upstream)
    else:
        checked(input, sample_weight, options)
        loss, grads = _composed_linear(layer, others, options, wants, upstream)
    return _as_promised(loss, input), *(
        input.new_empty(0) if one is None else _as_promised(one, input) for one in grads
    )


@linear_with_grad.register_fake
def _(input, linear_weight, linear_bias, *others):
    reduction, _, *wants = others[-5:]
    layer = input, linear_weight, linear_bias
    return input.new_empty(input.shape[:1] if reduction == "none" else ()), *(
        input.new_empty(one.shape if want else 0) for one, want in zip(layer, wants, strict=True)
    )


def _keep_linear(ctx, inputs, output):
    ctx.options, ctx.wants = inputs[6:12], inputs[13:]
    ctx.save_for_backward(*inputs[:6], *output[1:])
    ctx.mark_non_differentiable(*output[1:])


def _linear_gradient(ctx, upstream, *_):
    saved = ctx.saved_tensors  # unpacked once: a checkpoint computes them anew
    tensors, grads = saved[:6], saved[6:]
    layer, others = tensors[:3], tensors[3:]
    if _is_differentiated_again():

        def loss_of(*layer):
            return _composition.cross_entropy(F.linear(*layer), *others, *ctx.options)

        return (*_composition.gradients(loss_of, layer, upstream), *[None] * 13)
    target, _, sample_weight = others
    wants = [one is not None and one.requires_grad for one in layer]
    if ctx.options[-1] == "none":
        rows = _composition.upstream_of_rows(upstream, target, sample_weight, ctx.options[0])
        _, *grads = linear_with_grad(*tensors, *ctx.options, rows, *wants)
    else:
        if any(want and not had for want, had in zip(wants, ctx.wants, strict=True)):
            # a program may be exported with tensors that require no gradient, and called with others
            _, *grads = linear_with_grad(*tensors, *ctx.options, None, *wants)
        grads = scaled_by_use(grads, upstream, target, sample_weight, ctx.options[0])
    return (
        *(one if want else None for one, want in zip(grads, wants, strict=True)),
        *[None] * 13,
    )


linear_with_grad.register_autograd(_linear_gradient, setup_context=_keep_linear)


def recorded_linear(tensors, options, dtype):
    """Return the loss through the operator, or None where it has no kernel for the call."""
    if tensors[-1] is not None and tensors[0].ndim == 2:
        sample_weight_checked(tensors[-1], tensors[0])
    if not _is_served(tensors[0]) or not fits(*tensors, options):
        return None
    is_by_row = options[-1] == "none"  # its gradients are made in the backward pass
    wants = [not is_by_row and one is not None and _require_gradient(one) for one in tensors[:3]]
    return linear_with_grad(*tensors, *_numbers(options), None, *wants)[0].to(dtype)
