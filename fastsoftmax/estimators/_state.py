"""What a fit works on, and all that it changes: enough to go on to the same bits."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._data import Rows
from ._inference import logits_of
from ._losses import Tally, tally_of
from ._network import Network
from ._optimizers import OptimizerState

_ROWS_AT_A_TIME = 8192


@dataclass
class Split:
    """Some rows of the data with their targets and weights; `index` None means all rows."""

    rows: Rows
    targets: np.ndarray
    weights: np.ndarray | None = None
    index: np.ndarray | None = None

    @property
    def n_rows(self):
        """Number of rows in the split."""
        return self.rows.n_rows if self.index is None else len(self.index)

    @property
    def total_weight(self):
        """Sum of the rows' weights."""
        if self.weights is None:
            return float(self.n_rows)
        weights = self.weights if self.index is None else self.weights[self.index]
        return float(weights.sum())

    def parts(self):
        """Iterate over (Rows, targets, weights), a few thousand rows at a time."""
        for start in range(0, self.n_rows, _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            part = part if self.index is None else self.index[part]
            weights = None if self.weights is None else self.weights[part]
            yield (
                Rows(self.rows.X[part], self.rows.scale, self.rows.dtype),
                self.targets[part],
                weights,
            )

    def whole(self):
        """Return a split of the same rows whose index is None."""
        if self.index is None:
            return self
        weights = None if self.weights is None else self.weights[self.index]
        rows = Rows(self.rows.X[self.index], self.rows.scale, self.rows.dtype)
        return Split(rows, self.targets[self.index], weights)


def weighted_rows(split):
    """Return the rows of positive weight: the others take no part, whatever they hold."""
    if split.weights is None or (split.weights > 0).all():
        return split
    return Split(split.rows, split.targets, split.weights, np.flatnonzero(split.weights))


def evaluate_split(network, loss, split):
    """Return the Tally of a network on a split."""
    tally = Tally()
    for rows, targets, weights in split.parts():
        logits, _, _ = logits_of(network, rows, network.sizes[-1])
        tally += tally_of(loss, logits, targets, weights)
    return tally


@dataclass
class Problem:
    """What is to be learned: the rows to train on, the rows to validate on, the loss."""

    train: Split
    validation: Split | None
    loss: Any


@dataclass
class FitState:
    """What training has reached after `epoch` epochs."""

    network: Network
    optimizer: OptimizerState
    seed: int
    epoch: int = 0
    history: dict = field(default_factory=dict)
    best_score: float = -np.inf
    best_network: Network | None = None
    stale: int = 0

    def epoch_rng(self):
        """Return the random numbers of the coming epoch, which depend on seed and epoch alone."""
        return np.random.default_rng((self.seed, 1, self.epoch))

    def record(self, logs):
        """Append an epoch's figures to the history."""
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)
        self.epoch += 1

    def watch(self, logs, tol, early_stopping):
        """Count epochs without improvement: of val_accuracy in early stopping, else of the loss."""
        score = logs["val_accuracy"] if early_stopping else -logs["loss"]
        self.stale = 0 if score > self.best_score + tol else self.stale + 1
        if score > self.best_score:
            self.best_score = score
            self.best_network = self.network.copy() if early_stopping else None

    def forget_best(self):
        """Judge the coming epochs by themselves: what was best before does not bind them."""
        self.best_score, self.best_network, self.stale = -np.inf, None, 0

    def restore_best(self):
        """Go back to the best weights of early stopping, if there are any."""
        if self.best_network is not None:
            self.network = self.best_network
