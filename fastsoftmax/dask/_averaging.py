"""Adam and SGD with rows on workers: replicas train side by side and are averaged after each epoch."""

import numpy as np

from ..estimators._loop import Epochs, LossIsNaN
from ..estimators._losses import Tally
from ..estimators._network import Network
from ..estimators._state import OptimizerState
from . import _tasks
from ._cluster import shared
from ._problem import n_bytes_of, validation_logs


class AveragingStep:
    """Trains replicas side by side, each on its partitions in turn, and averages them by rows."""

    def __init__(self, problem, state, n_replicas, make_epoch, on_rows):
        self.network, self.optimizer = state.network, state.optimizer
        self._partitions, self._on_rows = problem.train.partitions, on_rows
        self._shares = shares_of(self._partitions.n_rows, n_replicas)
        self._make_epoch = make_epoch

    def run(self, number, rate):
        """Train an epoch; return its Tally."""
        partitions = self._partitions
        reached = _tasks.Reached(self.network, self.optimizer)
        start = shared(reached, len(self._shares), 3 * n_bytes_of(self.network), "weights")
        epoch = self._make_epoch(number, rate)
        replicas = partitions.train(start, self._shares, epoch, self._on_rows)
        self.network, self.optimizer = average(replicas)
        tally = Tally()
        for replica in replicas:
            tally += replica.tally
        return tally


def shares_of(n_rows, n_replicas):
    """Deal partitions to replicas: neighbours together, about as many rows each.

    >>> shares_of([10, 10, 10, 10, 40], 2)
    [[0, 1, 2, 3], [4]]
    """
    n_replicas = min(n_replicas, len(n_rows))
    middles = np.cumsum(n_rows) - np.asarray(n_rows) / 2
    owners = np.minimum(middles * n_replicas // max(1, sum(n_rows)), n_replicas - 1)
    shares = [np.flatnonzero(owners == owner).tolist() for owner in range(n_replicas)]
    return [share for share in shares if share]


def average(replicas):
    """Return the mean (Network, OptimizerState) of replicas, weighted by their rows."""
    n_rows = sum(replica.n_rows for replica in replicas)
    shares = [replica.n_rows / n_rows for replica in replicas]

    def mean(lists):
        return [
            sum(
                share * array.astype(np.float64)
                for share, array in zip(shares, arrays, strict=True)
            ).astype(arrays[0].dtype)
            for arrays in zip(*lists, strict=True)
        ]

    arrays = mean([replica.network.arrays for replica in replicas])
    n = len(replicas[0].network.coefs)
    optimizer = OptimizerState(
        max(replica.optimizer.step for replica in replicas),
        mean([replica.optimizer.first for replica in replicas]),
        mean([replica.optimizer.second for replica in replicas]),
    )
    return Network(arrays[:n], arrays[n:]), optimizer


class AveragedEpochs(Epochs):
    """The loop of adam and sgd over epochs whose batches run on workers."""

    def __init__(self, *args, n_replicas):
        self._n_replicas = n_replicas
        super().__init__(*args)

    def _make_step(self):
        on_rows = self.reporter.rows_done if self.host.verbose else None
        return AveragingStep(self.problem, self.state, self._n_replicas, self._epoch, on_rows)

    def _epoch(self, number, rate):
        return _tasks.Epoch(number, rate, self.batch_size, self.state.seed, self.rule)

    def _validation_logs(self, network):
        return validation_logs(self.problem, network)

    def _shuffled(self):
        return None  # each partition shuffles its own rows

    def _train_rows(self, order, rate):
        tally = self.step.run(self.state.epoch, rate)
        if not np.isfinite(tally.loss):
            raise LossIsNaN
        return tally
