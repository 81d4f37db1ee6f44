"""The losses in PyTorch's own differentiable operations.

They serve what kernels do not: derivatives of derivatives, gradients of targets and weights, transforms of torch.func,
negative weights, no classes; and they raise PyTorch's errors.
"""

import torch
import torch.nn.functional as F


def cross_entropy(
    input,
    target,
    weight,
    sample_weight,
    ignore_index,
    label_smoothing,
    z_loss,
    softcap,
    temperature,
    reduction,
):
    """Return the cross-entropy with every option of `fastsoftmax.cross_entropy`."""
    z = input if temperature == 1 else input / temperature
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    options = {
        "weight": weight,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
    }
    if sample_weight is None and z_loss == 0:
        return F.cross_entropy(z, target, reduction=reduction, **options)
    losses = F.cross_entropy(z, target, reduction="none", **options)
    is_index = not target.is_floating_point()
    used = target != ignore_index if is_index else torch.ones_like(losses, dtype=torch.bool)
    if z_loss:
        squares = z_loss * torch.logsumexp(z, 1 if z.ndim > 1 else 0) ** 2
        losses = losses + torch.where(used, squares, 0)
    counted = used.to(losses.dtype)
    if sample_weight is not None:
        sample_weight = sample_weight.to(losses.dtype)
        losses = torch.where(sample_weight == 0, 0, losses * sample_weight)
        counted = counted * sample_weight
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if is_index and weight is not None:
        counted = counted * weight[torch.where(used, target, 0)]
    return losses.sum() / counted.sum()


def softmax_gradient(upstream, result, dim, log):
    """Return the gradient of the logits, of that of the softmax or of its logarithm."""
    if log:
        return upstream - result.exp() * upstream.sum(dim, keepdim=True)
    return result * (upstream - (upstream * result).sum(dim, keepdim=True))


def binary_gradient(input, target, weight, pos_weight, reduction):
    """Return the gradient of the binary cross-entropy before it meets an upstream one."""
    positive = target if pos_weight is None else target * pos_weight
    gradient = (1 - target + positive) * torch.sigmoid(input) - positive
    if weight is not None:
        gradient = gradient * weight
    return gradient / input.numel() if reduction == "mean" else gradient


def gradients(loss_of, tensors, upstream):
    """Return the gradients of loss_of(*tensors), differentiable themselves; None for what takes none."""
    with torch.enable_grad():
        wanted = [one for one in tensors if one is not None and one.requires_grad]
        found = iter(torch.autograd.grad(loss_of(*tensors), wanted, upstream, create_graph=True))
        return [next(found) if one is not None and one.requires_grad else None for one in tensors]
