"""The training step: how Adam and SGD follow a gradient, and the choice of an implementation.

A step is made from (network, optimizer state, rows, targets, weights, loss, rule, batch_size). It
offers `run(order, learning_rate) -> Tally`, which trains on the rows of `order` batch after batch,
`network` and `optimizer`, copies of what it has reached, and `held`, what a later step can go on with.
"""

import math
from typing import NamedTuple

import numpy as np

from .._validate import number
from . import _compiled
from ._losses import Tally
from ._network import loss_and_gradients
from ._state import OptimizerState


class Rule(NamedTuple):
    """How parameters follow their gradients.

    `decay` times a weight (not a bias) is added to its gradient: the L2 penalty. Biases stay as
    they are where `fit_intercept` is false.
    """

    solver: str
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    momentum: float = 0.9
    decay: float = 0.0
    fit_intercept: bool = True


def update(rule, step, learning_rate, parameter, first, second, gradient):
    """Update one parameter and its state in place; `step` counts from 1.

    Adam as its paper states it at the end of section 2, with epsilon beside the uncorrected second
    moment, like Keras and scikit-learn; SGD with Nesterov's momentum, like scikit-learn.
    """
    real = parameter.dtype.type
    if rule.solver == "adam":
        corrected = math.sqrt(1 - rule.beta_2**step) / (1 - rule.beta_1**step)
        first += real(1 - rule.beta_1) * (gradient - first)
        second += real(1 - rule.beta_2) * (gradient**2 - second)
        parameter -= (
            real(learning_rate * corrected) * first / (np.sqrt(second) + real(rule.epsilon))
        )
    else:
        push = real(learning_rate) * gradient
        first *= real(rule.momentum)
        first -= push
        parameter += real(rule.momentum) * first - push


def learning_rate_at(schedule, learning_rate_init, epoch, n_epochs):
    """Return the learning rate of an epoch, counted from 0.

    "constant"; "invscaling": the initial rate / sqrt(epoch + 1); "cosine": half a wave from the
    initial rate towards 0; or what a function of the epoch returns.
    """
    if callable(schedule):
        return number(schedule(epoch), f"learning_rate({epoch})", 0)
    if schedule == "invscaling":
        return learning_rate_init / math.sqrt(epoch + 1)
    if schedule == "cosine":
        return learning_rate_init * 0.5 * (1 + math.cos(math.pi * epoch / n_epochs))
    return learning_rate_init


class NumpyStep:
    """The specification: every shape of network, every solver, dense or sparse rows."""

    held = None

    def __init__(self, network, optimizer, rows, targets, weights, loss, rule, batch_size):
        self._network, self._step = network.copy(), optimizer.step
        self._first = [array.copy() for array in optimizer.first]
        self._second = [array.copy() for array in optimizer.second]
        self._rows, self._targets, self._weights = rows, targets, weights
        self._loss, self._rule, self._batch_size = loss, rule, batch_size

    @np.errstate(all="ignore")  # the loop looks for NaN
    def run(self, order, learning_rate):
        """Train on the rows of `order`, batch after batch; return their Tally."""
        tally = Tally()
        with _compiled.one_blas_thread:
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


def make_step(network, optimizer, rows, targets, weights, loss, rule, batch_size, held=None):
    """Return the compiled step where it serves, else NumPy's; `held` as FusedStep takes it."""
    arguments = (network, optimizer, rows, targets, weights, loss, rule, batch_size)
    module = _compiled.kernels_for_steps(rows, network, rule, batch_size)
    if module is None:
        return NumpyStep(*arguments)
    return _compiled.FusedStep(module, *arguments, held)
