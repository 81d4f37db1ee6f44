"""Tensors as arrays and back without a copy, and which way a call goes."""

import numpy as np
import torch

DTYPES = frozenset((torch.float32, torch.float64, torch.float16, torch.bfloat16))
_TYPES = (torch.Tensor, torch.nn.Parameter)


def array_of(tensor):
    """Return a CPU tensor as an array that shares its memory; None stays None."""
    if tensor is None:
        return None
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        from ml_dtypes import bfloat16

        return tensor.view(torch.int16).numpy().view(bfloat16)
    return tensor.numpy()


def tensor_of(array):
    """Return an array, or a NumPy scalar, as a tensor that shares its memory."""
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def is_traced():
    """Whether PyTorch records operations instead of running them: then a registered operator stands in the graph."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0


def is_transformed():
    """Whether a transform of torch.func is active; its tensors have no memory of their own."""
    return torch._C._are_functorch_transforms_active()


def refuse_others(name, *tensors):
    """Raise about a tensor that kernels on the CPU cannot read, and say what to call instead."""
    for tensor in tensors:
        if tensor is None:
            continue
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
        if type(tensor) not in _TYPES:
            raise TypeError(
                f"fastsoftmax.torch.{name} takes plain tensors, got the subclass {type(tensor).__name__}: "
                f"call torch.nn.functional.{name}"
            )
        if not tensor.is_cpu:
            raise TypeError(
                f"fastsoftmax.torch.{name} takes tensors on the CPU, got one on {tensor.device}: "
                f"call torch.nn.functional.{name}"
            )
        if tensor.layout is not torch.strided:
            raise TypeError(
                f"fastsoftmax.torch.{name} takes dense tensors, got {tensor.layout}: "
                f"call torch.nn.functional.{name}"
            )


def scaled(gradient, upstream):
    """Return gradient * upstream; `gradient` belongs to the caller alone and may be overwritten."""
    if upstream.ndim == 0 and upstream.item() == 1:
        return gradient
    return gradient.mul_(upstream.to(gradient.dtype))
