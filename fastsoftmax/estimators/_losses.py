"""The loss of a network's outputs: softmax cross-entropy, or one sigmoid a column.

Targets are int32 class numbers (n_rows,) under softmax, uint8 labels (n_rows, n_outputs) under
sigmoids. The loss of a row with several sigmoids is the sum over its columns.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit

from ..functional import cross_entropy, cross_entropy_with_grad, log_softmax, softmax


class Tally(NamedTuple):
    """Weighted sums over rows: of losses, of weights, of the weights of correct rows."""

    loss: float = 0.0
    weight: float = 0.0
    correct: float = 0.0

    def __add__(self, other):
        return Tally(
            self.loss + other.loss, self.weight + other.weight, self.correct + other.correct
        )

    @property
    def means(self):
        """Mean loss and accuracy, under Keras's names."""
        weight = self.weight or np.nan
        return {"loss": float(self.loss / weight), "accuracy": float(self.correct / weight)}


def _divisor(logits, weights):
    """Return what a sum over rows is divided by; of a total weight of 0 the gradient is 0."""
    return len(logits) if weights is None else weights.sum() or np.inf


class SoftmaxLoss:
    """Cross-entropy of class numbers under softmax(logits)."""

    logistic = False

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def with_gradient(self, logits, targets, weights=None):
        """Return the mean loss and its gradient."""
        total, gradient = cross_entropy_with_grad(
            logits,
            targets,
            sample_weight=weights,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        divisor = _divisor(logits, weights)
        gradient /= gradient.dtype.type(divisor)
        return total / divisor, gradient

    def rows(self, logits, targets):
        """Return the loss of each row."""
        return cross_entropy(
            logits, targets, label_smoothing=self.label_smoothing, reduction="none"
        )

    def correct(self, logits, targets):
        """Return which rows are predicted right."""
        return logits.argmax(axis=1) == targets

    @staticmethod
    def probabilities(logits):
        """Return the probability of each class."""
        return softmax(logits)

    probabilities_of_outputs = probabilities

    @staticmethod
    def log_probabilities(logits):
        """Return the logarithm of `probabilities`."""
        return log_softmax(logits)


_SIGNS = {dtype: np.array([-1, 1], dtype) for dtype in "fd"}


def _of_both_classes(logits):
    """Return a column of logits beside its negative; several columns as they are."""
    return logits * _SIGNS[logits.dtype.char] if logits.shape[1] == 1 else logits


class LogisticLoss:
    """Cross-entropy of labels 0 and 1 under one sigmoid a column."""

    logistic = True

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def _smooth(self, targets):
        return (1 - self.label_smoothing) * targets + self.label_smoothing / 2

    def with_gradient(self, logits, targets, weights=None):
        """Return the mean loss and its gradient."""
        z = logits.astype(np.float64)
        if self.label_smoothing:
            y = self._smooth(targets)
            gradient = np.where(y == 1, -expit(-z), expit(z) - y)
            losses = self.rows(logits, targets)
        else:
            signs = 1 - 2.0 * targets
            z *= signs
            gradient = signs * expit(z)
            losses = -log_expit(-z).sum(axis=1)
        if weights is None:
            weights = np.ones(len(z))
        divisor = _divisor(logits, weights)
        gradient *= (weights / divisor)[:, np.newaxis]
        return weights @ losses / divisor, gradient.astype(logits.dtype)

    def rows(self, logits, targets):
        """Return the loss of each row."""
        z = logits.astype(np.float64)
        if not self.label_smoothing:
            return -log_expit((2.0 * targets - 1) * z).sum(axis=1)
        return (np.maximum(z, 0) - z * self._smooth(targets) - log_expit(np.abs(z))).sum(axis=1)

    def correct(self, logits, targets):
        """Return which rows have every label right."""
        return ((logits > 0) == targets).all(axis=1)

    @staticmethod
    def probabilities(logits):
        """Return the probability of each label; of both classes where there is one column."""
        return expit(_of_both_classes(logits))

    @staticmethod
    def probabilities_of_outputs(logits):
        """Return the sigmoid of each output."""
        return expit(logits)

    @staticmethod
    def log_probabilities(logits):
        """Return the logarithm of `probabilities`."""
        return log_expit(_of_both_classes(logits))


def loss_for(labels):
    """Return the class of the loss of such Labels."""
    return LogisticLoss if labels.logistic else SoftmaxLoss


@np.errstate(all="ignore")
def tally_of(loss, logits, targets, weights=None, *, untempered=None):
    """Return the sums that a history and an evaluation are made of.

    `untempered` are the logits before a temperature divided them: `predict` decides by these, and
    two of them may have the same quotient.
    """
    losses = loss.rows(logits, targets)
    correct = loss.correct(logits if untempered is None else untempered, targets)
    if weights is None:
        weights = np.ones(len(logits))
    losses = np.where(weights > 0, losses, 0)  # a row of weight 0 may have an infinite loss
    return Tally(float(weights @ losses), float(weights.sum()), float(weights @ correct))
