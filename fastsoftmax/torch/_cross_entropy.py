"""The cross-entropy of tensors: an autograd.Function in eager mode, a registered operator where PyTorch records."""

from __future__ import annotations

import math
import warnings

import torch
from torch.autograd import Function

from .. import _validate, functional
from . import _composition
from ._tensors import (
    DTYPES,
    array_of,
    is_finite,
    is_jit_traced,
    is_traced,
    is_transformed,
    is_wrapped,
    loss_tensor,
    refuse_others,
    refuse_values,
    saving_hooks,
    scaled,
    tensor_of,
    unshared,
    unwrapped,
)

_LAST_INDEX = 2**63 - 1


def computed(function, input, target, weight, sample_weight, options):
    """Return what `function`, one of the losses of arrays, makes of tensors."""
    ignore_index, label_smoothing, z_loss, softcap, temperature, reduction = options
    return function(
        array_of(input),
        array_of(target),
        axis=1 if input.ndim > 1 else 0,
        weight=None if weight is None else array_of(weight),
        sample_weight=None if sample_weight is None else array_of(sample_weight),
        ignore_index=None if target.is_floating_point() else ignore_index,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        softcap=softcap,
        temperature=temperature,
        reduction=reduction,
    )


def dtype_of_loss(dtype, target):
    """Return the dtype of the loss of logits of this one: probabilities of a wider one widen it, as PyTorch's do."""
    if target.dtype is dtype or not target.is_floating_point():
        return dtype
    return torch.promote_types(dtype, target.dtype)


def is_infinite_mean(loss, options):
    """Whether the divisor of a mean may be 0, where PyTorch's smoothed loss is NaN: it divides the parts of its sum."""
    return options[-1] == "mean" and loss == math.inf


def by_row(upstream, gradient):
    """Return the gradient of the losses so that it broadcasts to that of the logits."""
    return upstream.unsqueeze(1 if gradient.ndim > 1 else 0) if upstream.ndim else upstream


class _CrossEntropy(Function):
    """The first backward pass takes the gradient that the forward pass made; later ones compute it again.

    The graph keeps the logits for later passes alone: before the first they may be overwritten. The gradient stays
    beside the graph, which costs less, unless hooks are to see what a graph keeps: checkpoints free it then.
    """

    @staticmethod
    def forward(ctx, input, found):
        loss, gradient, others, ctx.options = found
        ctx.is_first = saving_hooks(True) is not None
        if ctx.is_first:
            ctx.save_for_backward(input, *others, gradient)
            ctx.gradient = None
        else:
            ctx.gradient = gradient
            if others[1] is others[2] is None:
                ctx.save_for_backward(input, others[0])
            else:
                ctx.save_for_backward(input, *others)
        return loss

    @staticmethod
    def backward(ctx, upstream):
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None or torch.is_grad_enabled() or not is_finite(upstream):
            return _of_saved(ctx, upstream, gradient), None
        return scaled(gradient, by_row(upstream, gradient)), None


_apply = super(Function, _CrossEntropy).apply
"""Function.apply without its preparations for transforms of torch.func, which take a way of their own."""


def _of_saved(ctx, upstream, gradient):
    """Return the gradient of a later backward pass, one that hooks hold, or one that is differentiated itself.

    Of an upstream gradient that is not finite, too: which rows take part is read from the targets.
    """
    saved = ctx.saved_tensors
    input, target, weight, sample_weight, held = *saved, *[None] * (5 - len(saved))
    is_first, ctx.is_first = ctx.is_first, False
    if torch.is_grad_enabled():

        def loss_of(input):
            return _composition.cross_entropy(input, target, weight, sample_weight, *ctx.options)

        return _composition.gradients(loss_of, [input], upstream)[0]
    if is_first:
        gradient = unshared(held)
    elif gradient is None:
        _, gradient = computed(
            functional.cross_entropy_with_grad, input, target, weight, sample_weight, ctx.options
        )
        gradient = tensor_of(gradient)
    if is_finite(upstream):
        return scaled(gradient, by_row(upstream, gradient))
    rows = _composition.upstream_of_rows(upstream, target, sample_weight, ctx.options[0])
    return (gradient * by_row(rows, gradient)).to(input.dtype)


def checked(input, sample_weight, options):
    """Raise about what PyTorch does not have, and about what it checks after all else."""
    _, label_smoothing, z_loss, softcap, temperature, reduction = options
    _validate.reduction(reduction)
    _validate.number(z_loss, "z_loss", 0)
    _validate.number(temperature, "temperature", 0, open_low=True)
    if softcap is not None:
        _validate.number(softcap, "softcap", 0, open_low=True)
    smoothing_checked(label_smoothing)
    if sample_weight is not None:
        sample_weight_checked(sample_weight, input)


def smoothing_checked(label_smoothing):
    """Raise about a smoothing out of range as PyTorch does."""
    is_number = isinstance(label_smoothing, (int, float, torch.Tensor))
    if is_number and not 0 <= label_smoothing <= 1:
        raise RuntimeError(
            f"label_smoothing must be between 0.0 and 1.0. Got: {float(label_smoothing):g}"
        )


def refuse_learned(name, options):
    """Raise about a number that is a tensor whose gradient is wanted: none is computed."""
    instead = {
        "label_smoothing": "smooth the targets",
        "z_loss": "add the squares of torch.logsumexp",
        "softcap": "bend the logits with torch.tanh",
        "temperature": "divide the logits by it",
    }
    for (option, words), value in zip(instead.items(), options[1:5], strict=True):
        if isinstance(value, torch.Tensor) and value.requires_grad and torch.is_grad_enabled():
            raise TypeError(
                f"{name}: {option} is a number without a gradient, got a tensor that requires one: "
                f"{words} in PyTorch's operations, or pass {option}.item()"
            )


def index_of(ignore_index):
    """Return the index that is ignored, checked."""
    index = _validate.integer(ignore_index, "ignore_index")
    if not -_LAST_INDEX - 1 <= index <= _LAST_INDEX:
        raise ValueError(f"ignore_index must be in the range of int64, got {index}")
    return index


def reduction_of(size_average, reduce, reduction):
    """Return the reduction that PyTorch's older arguments, or its older name of the mean, stand for; warn of them."""
    if size_average is None and reduce is None:
        given, found = "reduction='elementwise_mean' is", "mean"
    else:
        given = "size_average and reduce are"
        found = "none" if reduce is not None and not reduce else "mean"
        if found == "mean" and size_average is not None and not size_average:
            found = "sum"
    if not torch.compiler.is_compiling():  # which cannot record it
        warnings.warn(f"{given} deprecated: use reduction={found!r}", stacklevel=3)
    return found


def sample_weight_checked(sample_weight, input):
    """Raise about the weights of rows; their values are read where they exist."""
    is_recorded = is_traced()
    if not is_recorded and is_jit_traced():  # torch.compile cannot ask the second
        return
    rows = tuple(input.shape[:1] + input.shape[2:]) if input.ndim > 1 else ()
    if tuple(sample_weight.shape) != rows:
        raise ValueError(f"sample_weight must have shape {rows}, got {tuple(sample_weight.shape)}")
    if is_recorded or not sample_weight.is_cpu:
        return
    while is_wrapped(sample_weight):
        sample_weight = unwrapped(sample_weight)
    with torch._C._DisableFuncTorch():
        values = array_of(sample_weight)
    _validate.weights(values, "sample_weight", values.shape)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
    *,
    z_loss=0.0,
    softcap=None,
    sample_weight=None,
    temperature=1.0,
):
    """Compute the cross-entropy of logits, as `torch.nn.functional.cross_entropy` does.

    Parameters
    ----------
    input : Tensor of float16, bfloat16, float32 or float64, on the CPU
        Logits: (C,), (N, C) or (N, C, d1, ...), of any strides.
    target : Tensor
        Class indices without the dimension C, or probabilities of the shape of `input`.
    weight : Tensor of shape (C,), optional
        Weights of the classes.
    size_average, reduce : bool, optional
        PyTorch's older names of `reduction`.
    ignore_index : int, default -100
        Rows with this target take no part.
    reduction : {"mean", "sum", "none"}, default "mean"
    label_smoothing : float in [0, 1], default 0.0
    z_loss, softcap, sample_weight, temperature
        As in `fastsoftmax.cross_entropy`.

    Returns
    -------
    Tensor
        Of the dtype of `input`; float32 under autocast.

    Raises
    ------
    IndexError, RuntimeError, ValueError
        As PyTorch raises them.
    TypeError
        If a tensor is on another device, or of a subclass.

    Notes
    -----
    Error: at most 4 ULP for each row, as in `fastsoftmax.cross_entropy`. What its kernels do not take (negative
    weights, no classes, gradients of targets and weights, second derivatives, transforms of `torch.func`) is computed
    by PyTorch's own operations.

    Examples
    --------
    >>> import torch
    >>> from fastsoftmax.torch import cross_entropy
    >>> logits = torch.zeros(2, 4, requires_grad=True)
    >>> cross_entropy(logits, torch.tensor([3, -100])).backward()
    >>> logits.grad
    tensor([[ 0.2500,  0.2500,  0.2500, -0.7500],
            [ 0.0000,  0.0000,  0.0000,  0.0000]])
    """
    if size_average is not None or reduce is not None or reduction == "elementwise_mean":
        reduction = reduction_of(size_average, reduce, reduction)
    if type(ignore_index) is not int or abs(ignore_index) > _LAST_INDEX:
        ignore_index = index_of(ignore_index)
    options = ignore_index, label_smoothing, z_loss, softcap, temperature, reduction
    are_floats = type(label_smoothing) is type(z_loss) is type(temperature) is float
    if softcap is not None or not are_floats:
        refuse_learned("cross_entropy", options)
    if is_transformed():
        refuse_values("cross_entropy", input, target, weight, sample_weight)
        checked(input, sample_weight, options)
        return _composition.cross_entropy(input, target, weight, sample_weight, *options)
    if is_traced():
        from ._ops import recorded_cross_entropy

        refuse_values("cross_entropy", input, target, weight, sample_weight)
        return recorded_cross_entropy(input, target, weight, sample_weight, options)
    refuse_others("cross_entropy", input, target, weight, sample_weight)
    dtype = input.dtype
    is_narrow = dtype is torch.bfloat16 or dtype is torch.float16
    is_autocast = is_narrow and torch.is_autocast_enabled("cpu")
    if dtype is torch.float16:  # its gradient is scaled before it is rounded
        loss = cross_entropy(
            input.float(), target, None if weight is None else weight.float(),
            None, ignore_index, None, reduction, label_smoothing,
            z_loss=z_loss, softcap=softcap, sample_weight=sample_weight, temperature=temperature,
        )  # fmt: skip
        return loss if is_autocast else loss.to(dtype_of_loss(dtype, target))
    if (
        dtype in DTYPES
        and not target.requires_grad
        and (weight is None or not weight.requires_grad)
        and (sample_weight is None or not sample_weight.requires_grad)
        and not (ignore_index >= 0 and target.is_floating_point())
        and not is_jit_traced()
    ):
        others = target, weight, sample_weight
        if is_autocast:
            dtype = torch.float32
        dtype = dtype_of_loss(dtype, target)
        tracks = input.requires_grad and torch.is_grad_enabled()
        try:
            if tracks:
                loss, gradient = computed(
                    functional.cross_entropy_with_grad, input, *others, options
                )
            else:
                loss = computed(functional.cross_entropy, input, *others, options)
        except (TypeError, ValueError):
            pass  # PyTorch takes it, or raises in its own words
        else:
            if not (label_smoothing and weight is not None and is_infinite_mean(loss, options)):
                loss = loss_tensor(loss, dtype)
                return (
                    _apply(input, (loss, tensor_of(gradient), others, options)) if tracks else loss
                )
    checked(input, sample_weight, options)
    return _composition.cross_entropy(input, target, weight, sample_weight, *options)
