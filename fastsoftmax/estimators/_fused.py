"""The compiled kernels: when they serve, and the step that trains with them."""

import functools
import importlib

from .. import _dispatch, _ext
from ._losses import Tally
from ._network import Network
from ._optimizers import OptimizerState

MOST_LAYERS = 64
"""Of a network that the compiled kernels serve."""

MIN_EPSILON = 1e-16
"""The compiled Adam takes second moments under the smallest normal number for 0."""

WORK_A_THREAD = 100_000
"""Multiplications of a step that are worth a thread of their own."""


def kernels():
    """Return the compiled module for the instruction set in use; None with other back ends."""
    if _dispatch.chosen.name != "cython":
        return None
    return _kernels_for(_dispatch.implementation().ISA)


@functools.cache
def _kernels_for(isa):
    return importlib.import_module(f"{_ext.__name__}.training_{isa}")


def n_threads():
    """Return the number of threads of the compiled kernels."""
    return _dispatch.get_num_threads()


def fits(rows, network, rule):
    """Whether the compiled step serves: dense rows, any network of reasonable depth."""
    return (
        kernels() is not None
        and rows.is_dense
        and len(network.coefs) <= MOST_LAYERS
        and rule.epsilon >= MIN_EPSILON
    )


class FusedStep:
    """Train with the compiled step; the contract of `_steps.NumpyStep`."""

    def __init__(self, network, optimizer, rows, targets, weights, loss, rule, batch_size):
        self._rows, self._targets, self._weights = rows, targets, weights
        batch_size = min(batch_size, max(1, rows.n_rows))  # memory is made for whole batches
        self._batch_size, self.step = batch_size, optimizer.step
        work = batch_size * sum(coef.size for coef in network.coefs)
        self._trainer = kernels().Trainer(
            network.arrays,
            optimizer.first,
            optimizer.second,
            rule,
            loss.label_smoothing,
            loss.logistic,
            batch_size,
            max(1, min(n_threads(), work // WORK_A_THREAD)),
        )

    def run(self, order, learning_rate):
        """Train on the rows of `order`, batch after batch; return their Tally."""
        rows = self._rows
        sums = self._trainer.train(
            rows.X, rows.scale, self._targets, self._weights, order, learning_rate, self.step
        )
        self.step += -(-len(order) // self._batch_size)
        return Tally(*sums)

    @property
    def network(self):
        """The parameters as they are now, copied."""
        arrays = self._trainer.parameters()
        return Network(arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :])

    @property
    def optimizer(self):
        """The optimiser's state as it is now, copied."""
        return OptimizerState(self.step, *self._trainer.moments())
