"""Modules with PyTorch's names, which hold the options of a loss."""

from __future__ import annotations

import torch

from ._cross_entropy import cross_entropy
from ._linear import linear_cross_entropy


class CrossEntropyLoss(torch.nn.CrossEntropyLoss):
    """`torch.nn.CrossEntropyLoss` over `fastsoftmax.torch.cross_entropy`.

    Examples
    --------
    >>> import torch
    >>> from fastsoftmax.torch import CrossEntropyLoss
    >>> CrossEntropyLoss()(torch.zeros(2, 4), torch.tensor([0, 3]))
    tensor(1.3863)
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean",
                 label_smoothing=0.0, *, z_loss=0.0, softcap=None, temperature=1.0):  # fmt: skip
        super().__init__(weight, size_average, ignore_index, reduce, reduction, label_smoothing)
        self.z_loss, self.softcap, self.temperature = z_loss, softcap, temperature

    def forward(self, input, target, sample_weight=None):
        """Return the loss."""
        return cross_entropy(
            input, target, self.weight, None, self.ignore_index, None, self.reduction, self.label_smoothing,
            z_loss=self.z_loss, softcap=self.softcap, sample_weight=sample_weight, temperature=self.temperature,
        )  # fmt: skip


class LinearCrossEntropyLoss(torch.nn.LinearCrossEntropyLoss):
    """`torch.nn.LinearCrossEntropyLoss`, a linear layer and its loss, over `fastsoftmax.torch.linear_cross_entropy`.

    The layer is `self.linear`, a `torch.nn.Linear`.

    Examples
    --------
    >>> import torch
    >>> from fastsoftmax.torch import LinearCrossEntropyLoss
    >>> LinearCrossEntropyLoss(3, 4)(torch.zeros(2, 3), torch.tensor([0, 3]))
    tensor(1.3863, grad_fn=<_LinearCrossEntropyBackward>)
    """

    def __init__(self, in_features, num_classes, *, out_features=(), bias=False, device=None, dtype=None,
                 reduction="mean", weight=None, ignore_index=None, label_smoothing=0.0, options=None, z_loss=0.0,
                 softcap=None, temperature=1.0):  # fmt: skip
        super().__init__(
            in_features, num_classes, out_features=tuple(out_features), bias=bias, device=device, dtype=dtype,
            reduction=reduction, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing,
            options=options,
        )  # fmt: skip
        self.z_loss, self.softcap, self.temperature = z_loss, softcap, temperature

    def forward(self, input, target, sample_weight=None):
        """Return the loss."""
        weight, bias = self.linear.weight, self.linear.bias
        if self.out_features:
            weight = weight.reshape(self.num_classes, *self.out_features, -1)
            bias = None if bias is None else bias.reshape(self.num_classes, *self.out_features)
        return linear_cross_entropy(
            input, weight, target, linear_bias=bias, weight=self.weight, reduction=self.reduction,
            ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, options=self.options,
            z_loss=self.z_loss, softcap=self.softcap, sample_weight=sample_weight, temperature=self.temperature,
        )  # fmt: skip
