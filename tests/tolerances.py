"""Every tolerance of the suite, equal to the documented error bounds (docs/accuracy.md)."""

ULP = 4
"""softmax, log_softmax, losses, sigmoid, gradients for index targets; terms of the other gradients."""

AUTOGRAD = 1e-9
"""Against PyTorch's autograd in float64, relative and absolute."""

DIFFERENCES = 1e-6
"""Gradients against central differences in float64, relative to the largest entry."""

DEFINITIONS = 1e-6
"""Against peers, relative and absolute, where only whether two definitions are the same is asked."""
