"""All that a fit changes: enough to go on to the same bits."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ._network import Network


class OptimizerState(NamedTuple):
    """Steps done; first moments (Adam) or velocities (SGD), and second moments."""

    step: int
    first: list
    second: list

    @classmethod
    def zeros(cls, network):
        """Return the state before the first step."""
        zeros = [np.zeros_like(array) for array in network.arrays]
        return cls(0, zeros, [zero.copy() for zero in zeros])


@dataclass
class FitState:
    """What training has reached after `epoch` epochs.

    `held` is what the last step of partial_fit has left for the next one to go on with. Copies do not
    have it, for it serves one call at a time.
    """

    network: Network
    optimizer: OptimizerState
    seed: int
    epoch: int = 0
    history: dict = field(default_factory=dict)
    best_score: float = -np.inf
    best_network: Network | None = None
    stale: int = 0
    held: Any = field(default=None, init=False, repr=False, compare=False)

    def __getstate__(self):
        """Return what copies and pickles have."""
        return {**vars(self), "held": None}

    def take_held(self):
        """Return what is held, once: no two threads get it."""
        return vars(self).pop("held", None)

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
