"""The losses as PyTorch's users call them: tensors on the CPU, autograd, `torch.compile`.

Names, order of arguments, defaults, shapes and errors are those of `torch.nn.functional` and `torch.nn`: code changes
one import. Keywords of this library follow PyTorch's own. Tensors are read where they lie.

>>> import torch
>>> from fastsoftmax.torch import cross_entropy
>>> logits = torch.zeros(3, 5, requires_grad=True)
>>> loss = cross_entropy(logits, torch.tensor([1, 0, 4]))
>>> loss.backward()
>>> round(loss.item(), 4)
1.6094
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastsoftmax.torch needs PyTorch: pip install "fastsoftmax[torch]"'
    ) from error

from ._binary import binary_cross_entropy_with_logits
from ._cross_entropy import cross_entropy
from ._linear import linear_cross_entropy
from ._modules import CrossEntropyLoss, LinearCrossEntropyLoss
from ._softmax import log_softmax, softmax

__all__ = [
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "linear_cross_entropy",
    "log_softmax",
    "softmax",
]
