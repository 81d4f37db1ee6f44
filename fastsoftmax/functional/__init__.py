"""The public operations: docstrings, allocation, reductions, and compositions of the contract."""

from ._cross_entropy import cross_entropy, cross_entropy_with_grad
from ._softmax import (
    log_softmax,
    log_softmax_backward,
    logsumexp,
    softmax,
    softmax_backward,
)

__all__ = [
    "cross_entropy",
    "cross_entropy_with_grad",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "softmax",
    "softmax_backward",
]
