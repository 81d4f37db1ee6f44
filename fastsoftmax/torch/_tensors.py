"""Tensors as arrays and back without a copy, and which way a call goes."""

import math

import numpy as np
import torch
from torch.autograd import forward_ad

from .._validate._arrays import bfloat16_of
from ..functional._arrays import empty as _empty

DTYPES = frozenset((torch.float32, torch.float64, torch.float16, torch.bfloat16))
_TYPES = frozenset((torch.Tensor, torch.nn.Parameter))
_STRIDED = torch.strided
CPU = torch.device("cpu")  # tensors are made here, whatever torch.set_default_device says
_LAST_OF_NUMPY = np.dtype(np.half).num  # numbers of types that other libraries register are larger

_PRE_DISPATCH = torch._C.DispatchKey.PreDispatch
"""Is included where make_fx(pre_dispatch=True) records."""


def array_of(tensor):
    """Return a CPU tensor as an array that shares its memory; None stays None."""
    if tensor is None:
        return None
    if tensor.dtype is torch.bfloat16:
        return tensor.detach().resolve_neg().view(torch.int16).numpy().view(bfloat16_of("a tensor"))
    return tensor.numpy(force=True)


def tensor_of(array):
    """Return an array as a tensor that shares its memory."""
    if array.dtype.num > _LAST_OF_NUMPY:  # bfloat16
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def empty(shape, dtype):
    """Return an uninitialised tensor whose memory comes from the pool of results, so that it is warm."""
    if dtype is torch.bfloat16:
        return empty(shape, torch.int16).view(torch.bfloat16)
    return torch.from_numpy(_empty(tuple(shape), str(dtype).removeprefix("torch.")))


def loss_tensor(loss, dtype):
    """Return a loss, a number or an array, as a tensor of this dtype."""
    if type(loss) is np.ndarray:
        return tensor_of(loss).to(dtype)
    return torch.scalar_tensor(loss, dtype=dtype, device=CPU)


def is_traced():
    """Whether PyTorch records operations instead of running them: then a registered operator stands in the graph."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._dispatch_tls_is_dispatch_key_included(_PRE_DISPATCH)
    )


is_jit_traced = torch._C._is_tracing
"""Whether torch.jit.trace records operations; it sees PyTorch's alone."""


def is_autocast():
    """Whether autocast is on for the CPU."""
    return torch.is_autocast_enabled("cpu")


def is_transformed():
    """Whether a transform of torch.func is active, whose tensors have no memory, or forward-mode autograd."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def refuse_values(name, *tensors):
    """Raise about an argument that is no tensor, such as a list."""
    for one in tensors:
        if one is not None and not isinstance(one, torch.Tensor):
            raise TypeError(f"{name}: expected tensors, got {type(one).__name__}: {one!r:.60}")


def refuse_others(name, *tensors):
    """Raise about a tensor that kernels on the CPU cannot read, and say what to call instead."""
    for one in tensors:
        if one is None or (type(one) in _TYPES and one.is_cpu and one.layout is _STRIDED):
            continue
        refuse_values(name, one)
        if type(one) not in _TYPES:
            expected, got = "plain tensors", f"the subclass {type(one).__name__}"
        elif not one.is_cpu:
            expected, got = "tensors on the CPU", f"one on {one.device}"
        else:
            expected, got = "dense tensors", str(one.layout)
        raise TypeError(
            f"fastsoftmax.torch.{name} takes {expected}, got {got}: call torch.nn.functional.{name}"
        )


is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
unwrapped = torch._C._functorch.get_unwrapped
"""What a transform of torch.func has wrapped, maybe for another one."""


def is_batched(tensor):
    """Whether a tensor is a batch of several, as autograd.grad(is_grads_batched=True) makes them."""
    return torch._C._functorch.is_legacy_batchedtensor(tensor)


saving_hooks = torch._C._autograd._top_saved_tensors_default_hooks
"""Called with True, return the hooks that are to see what graphs keep (checkpoints, save_on_cpu), or None."""


def unshared(saved):
    """Return a saved tensor to be given away: what is done to it is not counted against the graph that saved it."""
    return None if saved is None else saved.data


def is_finite(upstream):
    """Whether an upstream gradient is known to be finite; that of a batch or a transform cannot be asked."""
    if is_transformed() or is_batched(upstream):
        return False
    return math.isfinite((upstream.sum() if upstream.ndim else upstream).item())


def scaled(gradient, upstream):
    """Return gradient * upstream; `gradient` belongs to the caller alone and may be overwritten."""
    if is_batched(upstream):
        return gradient * upstream
    if upstream.ndim == 0 and upstream.item() == 1:
        return gradient
    if upstream.dtype is not gradient.dtype:
        upstream = upstream.to(gradient.dtype)
    return gradient.mul_(upstream)
