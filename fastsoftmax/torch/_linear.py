"""The cross-entropy of a linear layer whose logits never exist as a whole.

Products are PyTorch's; rows are taken in blocks, and the gradient of a block's logits overwrites them.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch.autograd import Function

from .. import functional
from . import _composition
from ._cross_entropy import (
    checked,
    computed,
    dtype_of_loss,
    index_of,
    reduction_of,
    refuse_learned,
)
from ._tensors import (
    CPU,
    DTYPES,
    array_of,
    empty,
    is_autocast,
    is_batched,
    is_finite,
    is_jit_traced,
    is_traced,
    is_transformed,
    refuse_others,
    refuse_values,
    scaled,
    tensor_of,
    unshared,
)

ROWS_AT_ONCE = 256
BLOCK_BYTES = 1 << 27


def _blocks(n_rows, n_classes, itemsize):
    step = max(1, min(ROWS_AT_ONCE, BLOCK_BYTES // max(1, n_classes * itemsize)))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def _divisor(n_rows, target, weight, sample_weight, options):
    """Return what "mean" divides by; 1 under the other reductions."""
    if options[-1] != "mean":
        return 1.0
    counted = torch.ones(n_rows, dtype=torch.float64, device=CPU)
    if sample_weight is not None:
        counted *= sample_weight
    if not target.is_floating_point():
        used = target != options[0]
        if weight is not None:
            counted *= weight.double()[torch.where(used, target, 0).long()]
        counted = torch.where(used, counted, 0)
    return counted.sum().item()


def _scale_of_nothing(target, sample_weight, options):
    """Return what scales gradients whose divisor is 0: they stay 0 where every row is left out, else are NaN."""
    used = _composition.used_rows(target, sample_weight, options[0])
    return float("nan") if used is None or used.any() else 1.0


def gradients_and_loss(tensors, options, wants, upstream=None):
    """Return (loss, gradients of input, weight and bias); `wants` says which of these are wanted.

    `upstream` weighs the rows of the gradients.
    """
    input, linear_weight, linear_bias, target, weight, sample_weight = tensors
    n_rows, n_classes = len(input), len(linear_weight)
    divisor = _divisor(n_rows, target, weight, sample_weight, options)
    alpha = 1 / divisor if divisor else _scale_of_nothing(target, sample_weight, options)
    blocks = _blocks(n_rows, n_classes, input.element_size())
    room = empty((blocks[0].stop if blocks else 0, n_classes), input.dtype)
    wide = input.dtype if input.element_size() > 2 else torch.float32
    grads = [
        empty(one.shape, wide) if want else None
        for one, want in zip((input, linear_weight, linear_bias), wants, strict=True)
    ]
    for one in grads[1:] if blocks else grads:
        if one is not None and (one.ndim == 1 or wide != input.dtype or not blocks):
            one.zero_()  # else the first block writes it
    losses = torch.empty(n_rows, dtype=wide, device=CPU)
    by_row = (*options[:-1], "none")
    for rows in blocks:
        x, logits = input[rows], room[: rows.stop - rows.start]
        if linear_bias is None:
            torch.mm(x, linear_weight.t(), out=logits)
        else:
            torch.addmm(linear_bias, x, linear_weight.t(), out=logits)
        of_rows = None if sample_weight is None else sample_weight[rows]
        arguments = logits, target[rows], weight, of_rows, by_row
        if not any(wants):
            losses[rows] = tensor_of(computed(functional.cross_entropy, *arguments))
            continue
        in_place = partial(functional.cross_entropy_with_grad, out=array_of(logits))
        losses[rows] = tensor_of(computed(in_place, *arguments)[0])
        if upstream is not None:
            logits.mul_(upstream[rows, None])
        _add_products(grads, rows, logits, x, linear_weight, alpha)
    if options[-1] == "none":
        return losses, grads
    total = losses.sum(dtype=torch.float64)
    if options[-1] == "mean":
        total = total / divisor if divisor else total * torch.nan
    return total.to(wide), grads


def _add_products(grads, rows, logits, x, linear_weight, alpha):
    of_input, of_weight, of_bias = grads
    if of_input is not None:
        if of_input.dtype == logits.dtype:
            torch.addmm(
                of_input[rows], logits, linear_weight, beta=0, alpha=alpha, out=of_input[rows]
            )
        else:
            of_input[rows] = torch.mm(logits, linear_weight).float() * alpha
    if of_weight is not None:
        if of_weight.dtype == logits.dtype:
            of_weight.addmm_(logits.t(), x, beta=int(rows.start > 0), alpha=alpha)
        else:
            of_weight.add_(torch.mm(logits.t(), x), alpha=alpha)
    if of_bias is not None:
        of_bias.add_(logits.sum(0, dtype=of_bias.dtype), alpha=alpha)


def scaled_by_use(grads, upstream, target, sample_weight, ignore_index):
    """Return the gradients of a layer times that of its loss; 0 for rows that take no part, whatever that is."""
    used = _composition.used_rows(target, sample_weight, ignore_index)
    rows, of_all = upstream, upstream
    if used is not None:
        rows = torch.where(used, upstream, 0).unsqueeze(1)
        of_all = torch.where(used.any(), upstream, 0)
    return [
        None if one is None else (one * factor).to(one.dtype)
        for one, factor in zip(grads, (rows, of_all, of_all), strict=True)
    ]


class _LinearCrossEntropy(Function):
    @staticmethod
    def forward(ctx, *args):
        *tensors, options, dtype = args
        ctx.options, ctx.wants = options, ctx.needs_input_grad[:3]
        later = options[-1] == "none"
        loss, grads = gradients_and_loss(tensors, options, (False,) * 3 if later else ctx.wants)
        ctx.is_first = not later
        ctx.save_for_backward(*tensors, *grads)
        return loss.to(dtype)

    @staticmethod
    def backward(ctx, upstream):
        saved = ctx.saved_tensors  # unpacked once: a checkpoint computes them anew
        tensors, grads = saved[:6], saved[6:]
        layer, rest = tensors[:3], tensors[3:]
        used = rest[0], rest[2], ctx.options[0]  # what says which rows take part
        if torch.is_grad_enabled() or is_transformed() or is_batched(upstream):

            def loss_of(input, linear_weight, linear_bias):
                logits = F.linear(input, linear_weight, linear_bias)
                return _composition.cross_entropy(logits, *rest, *ctx.options)

            return (*_composition.gradients(loss_of, layer, upstream), *[None] * 5)
        if not ctx.is_first:
            rows = None
            if upstream.ndim:
                rows = _composition.upstream_of_rows(upstream.detach(), *used)
            _, grads = gradients_and_loss(tensors, ctx.options, ctx.wants, rows)
        ctx.is_first = False
        if upstream.ndim == 0:
            grads = [unshared(one) for one in grads]
            if is_finite(upstream):
                grads = [None if one is None else scaled(one, upstream) for one in grads]
            else:
                grads = scaled_by_use(grads, upstream, *used)
        return (
            *(None if g is None else g.to(t.dtype) for g, t in zip(grads, layer, strict=True)),
            *[None] * 5,
        )


def are_usual(weight):
    """Whether kernels take these weights of classes: none is negative, infinite or NaN."""
    return bool(((weight >= 0) & (weight < torch.inf)).all())


def fits(input, linear_weight, linear_bias, target, weight, sample_weight, options):
    """Whether the blocks serve the call; all else PyTorch composes, or raises about."""
    others = [one for one in (target, weight, sample_weight) if one is not None]
    matrices = [input, linear_weight] + ([] if linear_bias is None else [linear_bias])
    return (
        input.ndim == linear_weight.ndim == 2
        and input.shape[1] == linear_weight.shape[1]
        and 0 not in linear_weight.shape
        and (linear_bias is None or linear_bias.shape == linear_weight.shape[:1])
        and all(one.dtype == input.dtype for one in matrices)
        and input.dtype in DTYPES
        and (
            target.shape == (len(input), len(linear_weight))
            if target.is_floating_point()
            else target.shape == input.shape[:1]
            and target.dtype is torch.int64
        )
        and not any(one.requires_grad for one in others)
        and (weight is None or (weight.shape == linear_weight.shape[:1] and (is_traced() or are_usual(weight))))
        and (sample_weight is None or sample_weight.shape == input.shape[:1])
        and options[-1] in ("mean", "sum", "none")
    )  # fmt: skip


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
    z_loss=0.0,
    softcap=None,
    sample_weight=None,
    temperature=1.0,
):
    """Compute the cross-entropy of a linear layer, as `torch.nn.functional.linear_cross_entropy` does.

    Parameters
    ----------
    input : Tensor of shape (N, in_features) or (in_features,), on the CPU
    linear_weight : Tensor of shape (C, in_features), or (C, d1, ..., in_features)
    target : Tensor
        Class indices or probabilities.
    linear_bias : Tensor, optional
    weight, reduction, ignore_index, label_smoothing
        As in `torch.nn.functional.linear_cross_entropy`; None ignores -100.
    options : torch.nn.LinearCrossEntropyOptions, optional
        Given, the call is PyTorch's own, in its chunks.
    z_loss, softcap, sample_weight, temperature
        As in `fastsoftmax.cross_entropy`.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexError, RuntimeError, ValueError
        As PyTorch raises them.
    TypeError
        If a tensor is on another device, or of a subclass.

    Notes
    -----
    Of (N, in_features) times (C, in_features) the logits of 256 rows exist at a time. Other shapes, second derivatives
    and recorded calls go through the logits as a whole.

    Examples
    --------
    >>> import torch
    >>> from fastsoftmax.torch import linear_cross_entropy
    >>> linear_cross_entropy(torch.ones(2, 3), torch.zeros(4, 3), torch.tensor([0, 3]))
    tensor(1.3863)
    """
    from ._cross_entropy import cross_entropy

    if isinstance(target, torch.Tensor) and target.dtype in _composition.INTEGERS:
        target = target.long()
    tensors = input, linear_weight, linear_bias, target, weight, sample_weight
    index = -100 if ignore_index is None else index_of(ignore_index)
    if reduction == "elementwise_mean":
        reduction = reduction_of(None, None, reduction)
    is_plain = sample_weight is None and (z_loss, softcap, temperature) == (0.0, None, 1.0)
    loss_options = index, label_smoothing, z_loss, softcap, temperature, reduction
    if options is not None:
        if not is_plain:
            raise ValueError(
                "linear_cross_entropy: z_loss, softcap, sample_weight and temperature go without PyTorch's options, "
                f"got {options!r}"
            )
        return F.linear_cross_entropy(
            input, linear_weight, target, linear_bias=linear_bias, weight=weight, reduction=reduction,
            ignore_index=ignore_index, label_smoothing=label_smoothing, options=options,
        )  # fmt: skip
    refuse_learned("linear_cross_entropy", loss_options)
    if is_traced():
        from ._ops import recorded_linear

        refuse_values("linear_cross_entropy", *tensors)
    else:
        refuse_others("linear_cross_entropy", *tensors)
    if not is_transformed():
        if not is_traced():  # else the operators raise
            are_matrices = (
                input.ndim == linear_weight.ndim == 2
            )  # else weights of rows are refused below
            checked(input, sample_weight if are_matrices else None, loss_options)
        if is_autocast():
            narrow = torch.get_autocast_dtype("cpu")
            layer = [
                one if one is None or one.dtype is torch.float64 else one.to(narrow)
                for one in tensors[:3]
            ]
            tensors = (*layer, *tensors[3:])
            dtype = layer[0].dtype if layer[0].dtype is torch.float64 else torch.float32
        else:
            dtype = input.dtype
        dtype = dtype_of_loss(dtype, target)
        is_ignoring = target.is_floating_point() and ignore_index is not None
        if is_traced():
            if (
                not is_ignoring
                and (loss := recorded_linear(tensors, loss_options, dtype)) is not None
            ):
                return loss
        elif not is_ignoring and not is_jit_traced() and fits(*tensors, loss_options):
            return _LinearCrossEntropy.apply(*tensors, loss_options, dtype)
    if (is_plain and not is_traced()) or not input.ndim == linear_weight.ndim == 2:
        if not is_plain:
            raise ValueError(
                "linear_cross_entropy: z_loss, softcap, sample_weight and temperature take matrices, got shapes "
                f"{tuple(input.shape)} and {tuple(linear_weight.shape)}"
            )
        _, _, weight = _composition.as_pytorch_takes(input, target, weight)
        return F.linear_cross_entropy(
            input, linear_weight, target, linear_bias=linear_bias, weight=weight,
            reduction=reduction, ignore_index=ignore_index, label_smoothing=label_smoothing,
        )  # fmt: skip
    return cross_entropy(
        F.linear(input, linear_weight, linear_bias), target, weight, None, index, None, reduction, label_smoothing,
        z_loss=z_loss, softcap=softcap, sample_weight=sample_weight, temperature=temperature,
    )  # fmt: skip
