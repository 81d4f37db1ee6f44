"""Adam, SGD and learning-rate schedules, in NumPy."""

import math
from typing import NamedTuple

import numpy as np

from .._validate import number


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
