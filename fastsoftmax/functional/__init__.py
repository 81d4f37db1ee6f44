"""The public operations: docstrings, allocation, reductions, and compositions of the contract."""

from ._backward import (
    log_softmax_backward,
    softmax_backward,
)
from ._binary import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_with_grad,
    sigmoid,
)
from ._cross_entropy import (
    cross_entropy,
    cross_entropy_with_grad,
)
from ._divergences import (
    entropy_with_logits,
    entropy_with_logits_with_grad,
    kl_div_with_logits,
    kl_div_with_logits_with_grad,
)
from ._linear import (
    linear_cross_entropy,
    linear_cross_entropy_with_grad,
)
from ._sampled import (
    sampled_softmax_cross_entropy,
    sampled_softmax_cross_entropy_with_grad,
)
from ._softmax import (
    log_softmax,
    logsumexp,
    softmax,
)
from ._top_k import (
    top_k_softmax,
)

__all__ = [
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_with_grad",
    "cross_entropy",
    "cross_entropy_with_grad",
    "entropy_with_logits",
    "entropy_with_logits_with_grad",
    "kl_div_with_logits",
    "kl_div_with_logits_with_grad",
    "linear_cross_entropy",
    "linear_cross_entropy_with_grad",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "sampled_softmax_cross_entropy",
    "sampled_softmax_cross_entropy_with_grad",
    "sigmoid",
    "softmax",
    "softmax_backward",
    "top_k_softmax",
]
