"""The losses in PyTorch's own differentiable operations.

They serve what kernels do not: derivatives of derivatives, gradients of targets and weights, transforms of torch.func,
negative weights, no classes; and they raise PyTorch's errors.
"""

import torch
import torch.nn.functional as F

from ._tensors import is_autocast, is_jit_traced, is_traced

INTEGERS = frozenset((
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
))  # fmt: skip


def as_pytorch_takes(input, target, weight):
    """Return the arguments of a loss in the dtypes that PyTorch wants: kernels take others."""
    if is_autocast() and input.dtype.itemsize < 4:
        input = input.float()
    if target.dtype in INTEGERS:
        target = target.long()
    if weight is not None and weight.is_floating_point():
        weight = weight.to(input.dtype)
    return input, target, weight


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
    input, target, weight = as_pytorch_takes(input, target, weight)
    dim = 1 if input.ndim > 1 else 0
    is_plain = sample_weight is None and z_loss == 0
    is_jit = not is_traced() and is_jit_traced()  # torch.compile cannot ask the second
    rows = input.shape[:dim] + input.shape[dim + 1 :]
    if not is_jit and rows == () and target.shape == (1,) and not target.is_floating_point():
        target = target[0]  # PyTorch takes it so, too
    shape = input.shape if target.is_floating_point() else rows
    if not is_plain and (is_jit or target.shape == shape):  # else PyTorch raises below
        used = used_rows(target, sample_weight, ignore_index)
        if used is not None:  # a row that takes no part may hold anything
            input = torch.where(used.unsqueeze(dim), input, 0)
    z = input if temperature == 1 else input / temperature
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    options = {
        "weight": weight,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
    }
    if is_plain:
        return F.cross_entropy(z, target, reduction=reduction, **options)
    losses = F.cross_entropy(z, target, reduction="none", **options)
    counted = torch.ones_like(losses)
    if z_loss:
        losses = losses + z_loss * torch.logsumexp(z, dim) ** 2
    if sample_weight is not None:
        sample_weight = sample_weight.to(losses.dtype)
        losses, counted = losses * sample_weight, counted * sample_weight
    if used is not None:
        losses, counted = torch.where(used, losses, 0), torch.where(used, counted, 0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if weight is not None and not target.is_floating_point():
        counted = counted * weight[torch.where(used, target, 0)]
    return losses.sum() / counted.sum()


def used_rows(target, sample_weight, ignore_index):
    """Return which rows take part, or None where all do."""
    used = None if target.is_floating_point() else target.long() != ignore_index
    if sample_weight is None:
        return used
    return sample_weight != 0 if used is None else used & (sample_weight != 0)


def upstream_of_rows(upstream, target, sample_weight, ignore_index):
    """Return an upstream gradient, 0 for rows that take no part: their gradient stays 0 where others are NaN."""
    used = used_rows(target, sample_weight, ignore_index)
    return upstream if used is None else torch.where(used, upstream, 0)


def _weighted_target(weights, target, dim, label_smoothing):
    """Return the smoothed probabilities of targets times the weights of their classes."""
    even = label_smoothing / weights.shape[dim]
    wanted = weights * even if even else torch.zeros_like(weights)
    if target.is_floating_point():
        return wanted + (1 - label_smoothing) * weights * target
    target = target.unsqueeze(dim)
    return wanted.scatter_add(dim, target, (1 - label_smoothing) * weights.gather(dim, target))


def cross_entropy_gradient(
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
    """Return the gradient of the logits, where autograd cannot be asked; class weights may be any."""
    dim = 1 if input.ndim > 1 else 0
    z, slope = input / temperature, 1 / temperature
    if softcap is not None:
        bent = torch.tanh(z / softcap)
        z, slope = softcap * bent, slope * (1 - bent * bent)
    probs = torch.softmax(z, dim)
    is_index = not target.is_floating_point()
    scale = torch.ones_like(probs.select(dim, 0))
    used = target.long() != ignore_index if is_index else scale != 0
    if is_index:
        target = torch.where(used, target.long(), 0)
    if sample_weight is not None:
        scale = scale * sample_weight
    weight = probs.new_ones(probs.shape[dim]) if weight is None else weight.to(probs.dtype)
    if reduction == "mean":
        counted = scale * weight[target] if is_index else scale
        scale = scale / torch.where(used, counted, 0).sum()
    weights = weight.view(-1, *[1] * (input.ndim - 2)) * scale.unsqueeze(dim)
    wanted = _weighted_target(weights, target, dim, label_smoothing)
    gradient = probs * wanted.sum(dim, keepdim=True) - wanted
    if z_loss:
        factor = 2 * z_loss * scale * torch.logsumexp(z, dim)
        gradient = gradient + factor.unsqueeze(dim) * probs
    taken = used if sample_weight is None else used & (sample_weight != 0)
    nothing = (
        (weight * 0).sum() if label_smoothing else 0
    )  # NaN beside infinite weights, as in PyTorch
    return torch.where(taken.unsqueeze(dim), gradient * slope, nothing)


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
    """Return the gradients of loss_of(*tensors), differentiable themselves where a graph is made of them.

    None stands for what takes none.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        wanted = [one for one in tensors if one is not None and one.requires_grad]
        loss = loss_of(*tensors)
        found = iter(torch.autograd.grad(loss, wanted, upstream, create_graph=create_graph))
        return [next(found) if one is not None and one.requires_grad else None for one in tensors]
