"""The training step: its contract, NumPy's version of it, and the choice of an implementation.

A step is made from (network, optimizer state, rows, targets, weights, loss, rule, batch_size). It
offers `run(order, learning_rate) -> Tally`, which trains on the rows of `order` batch after batch,
and `network` and `optimizer`, copies of what it has reached.
"""

import numpy as np
from threadpoolctl import ThreadpoolController

from . import _fused
from ._losses import Tally
from ._network import loss_and_gradients
from ._optimizers import OptimizerState, update


class NumpyStep:
    """The specification: every shape of network, every solver, dense or sparse rows."""

    def __init__(self, network, optimizer, rows, targets, weights, loss, rule, batch_size):
        self._network, self._step = network.copy(), optimizer.step
        self._first = [array.copy() for array in optimizer.first]
        self._second = [array.copy() for array in optimizer.second]
        self._rows, self._targets, self._weights = rows, targets, weights
        self._loss, self._rule, self._batch_size = loss, rule, batch_size
        # BLAS with one thread: the same bits everywhere, and no quarrel with OpenMP's threads over
        # cores.
        self._blas = ThreadpoolController()

    @np.errstate(all="ignore")  # the loop looks for NaN
    def run(self, order, learning_rate):
        """Train on the rows of `order`, batch after batch; return their Tally."""
        tally = Tally()
        with self._blas.limit(limits=1, user_api="blas"):
            for start in range(0, len(order), self._batch_size):
                tally += self._batch(order[start : start + self._batch_size], learning_rate)
        return tally

    def _batch(self, indices, learning_rate):
        weights = None if self._weights is None else self._weights[indices]
        _, gradients, tally = loss_and_gradients(
            self._network, self._loss, self._rows.take(indices), self._targets[indices], weights
        )
        decay = self._network.dtype.type(self._rule.decay)
        for gradient, coef in zip(gradients.coefs, self._network.coefs, strict=True):
            gradient += decay * coef
        if not self._rule.fit_intercept:
            gradients.intercepts[-1][:] = 0
        self._step += 1
        for arrays in zip(
            self._network.arrays, self._first, self._second, gradients.arrays, strict=True
        ):
            update(self._rule, self._step, learning_rate, *arrays)
        return tally

    @property
    def network(self):
        """The parameters as they are now, copied."""
        return self._network.copy()

    @property
    def optimizer(self):
        """The optimiser's state as it is now, copied."""
        copies = [[array.copy() for array in arrays] for arrays in (self._first, self._second)]
        return OptimizerState(self._step, *copies)


def make_step(network, optimizer, rows, targets, weights, loss, rule, batch_size):
    """Return the compiled step where it serves, else NumPy's."""
    step = _fused.FusedStep if _fused.fits(rows, network, rule) else NumpyStep
    return step(network, optimizer, rows, targets, weights, loss, rule, batch_size)
