"""The training loop of adam and sgd: epochs of shuffled batches until nothing improves."""

import math
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._compiled import all_finite, logits_of
from ._losses import Tally, tally_of
from ._steps import learning_rate_at, make_step

BLOCK_ROWS = 1 << 14
"""Rows between two looks at Ctrl-C and at the loss: a tenth of a second and less."""


def wants_to_stop(estimator):
    """Whether a callback has set `stop_training`."""
    return getattr(estimator, "stop_training", False)


def evaluate_split(network, loss, split):
    """Return the Tally of a network on a split."""
    tally = Tally()
    for rows, targets, weights in split.parts():
        logits, _, _ = logits_of(network, rows, network.sizes[-1])
        tally += tally_of(loss, logits, targets, weights)
    return tally


def validation_logs(problem, network):
    """Return "val_loss" and "val_accuracy" of a network; nothing without rows to validate on."""
    if problem.validation is None:
        return {}
    means = evaluate_split(network, problem.loss, problem.validation).means
    return {f"val_{name}": value for name, value in means.items()}


class LossIsNaN(Exception):
    """The training loss has left the finite numbers."""


class Epochs:
    """Trains `problem` from `state` on; `host` is the estimator, whose options it follows."""

    def __init__(self, host, problem, state, rule, batch_size, callbacks, reporter):
        self.host, self.problem, self.state = host, problem, state
        self.callbacks, self.reporter = callbacks, reporter
        self.rule, self.batch_size = rule, batch_size
        self.step = self._make_step()
        self._ran_out = False

    def _make_step(self):
        train, state = self.problem.train, self.state
        return make_step(
            state.network,
            state.optimizer,
            train.rows,
            train.targets,
            train.weights,
            self.problem.loss,
            self.rule,
            self.batch_size,
            state.take_held(),
        )

    def run(self, n_epochs):
        """Train until `n_epochs` epochs are done, or something says stop; return the state."""
        state = self.state
        self.callbacks.train_begins()
        try:
            self._epochs_until(n_epochs)
            self._ran_out = state.epoch >= n_epochs and not wants_to_stop(self.host)
        except KeyboardInterrupt:
            self._keep(self.step.network)
            warnings.warn(
                f"training was interrupted in epoch {state.epoch + 1} of {n_epochs}; "
                "the estimator keeps what it has learned so far",
                UserWarning,
                stacklevel=7,
            )
        except LossIsNaN:
            self._warn_of_nan(n_epochs)
        finally:
            self.reporter.close()
        state.restore_best()
        self.host._take(state)
        self.callbacks.train_ends()
        return state

    def _epochs_until(self, n_epochs):  # its loop is not in run's `try`: see ProcessLock
        while self.state.epoch < n_epochs and not wants_to_stop(self.host):
            self._one_epoch(n_epochs)
            if self._has_converged():
                break

    def _keep(self, network):
        """Take over what the step has reached; `network` is its network."""
        self.state.network, self.state.optimizer = network, self.step.optimizer
        self.host._take(self.state)

    def _one_epoch(self, n_epochs):
        state, problem = self.state, self.problem
        rate = learning_rate_at(
            self.host.learning_rate, self.host.learning_rate_init, state.epoch, n_epochs
        )
        self.callbacks.epoch_begins(state.epoch)
        self.reporter.epoch_begins(state.epoch, problem.train.n_rows)
        tally = self._train_rows(self._shuffled(), rate)
        network = self.step.network
        if not all(map(all_finite, network.arrays)):
            raise LossIsNaN
        logs = tally.means | self._validation_logs(network)
        state.record(logs)
        self._keep(network)
        by_accuracy = self.host.early_stopping and problem.validation is not None
        state.watch(logs, self.host.tol, by_accuracy)
        self.reporter.epoch_ends(state.epoch - 1, logs)
        self.callbacks.epoch_ends(state.epoch - 1, logs)

    def _validation_logs(self, network):
        return validation_logs(self.problem, network)

    def _shuffled(self):
        train = self.problem.train
        if train.n_rows <= self.batch_size:  # the one batch
            order = np.arange(train.n_rows)
        else:
            order = self.state.epoch_rng().permutation(train.n_rows)
        return order if train.index is None else train.index[order]

    def _train_rows(self, order, rate):
        """Run the batches of an epoch in blocks, so that Ctrl-C and NaN are seen in time."""
        per_block = max(1, BLOCK_ROWS // self.batch_size) * self.batch_size
        if self.callbacks.want_batches:
            per_block = self.batch_size
        tally = Tally()
        for start in range(0, len(order), per_block):
            block = order[start : start + per_block]
            self.callbacks.batch_begins(start // self.batch_size)
            tally += self.step.run(block, rate)
            if not math.isfinite(tally.loss):
                raise LossIsNaN
            self.reporter.rows_done(len(block))
            self.callbacks.batch_ends(start // self.batch_size, tally)
        return tally

    def _has_converged(self):
        if self.state.stale < self.host.n_iter_no_change:
            return False
        if self.host.verbose:
            what = "val_accuracy" if self.host.early_stopping else "loss"
            print(
                f"{what} did not improve by more than tol={self.host.tol:g} for "
                f"{self.host.n_iter_no_change} epochs: stopping"
            )
        return True

    def warn_unless_converged(self, n_epochs):
        """Set `converged_`, and warn where the epochs have run out, as scikit-learn does."""
        self.host.converged_ = self.state.stale >= self.host.n_iter_no_change
        if self._ran_out and not self.host.converged_:
            what = "val_accuracy" if self.host.early_stopping else "loss"
            warnings.warn(
                f"training has reached max_iter={n_epochs} epochs before the {what} stood still "
                f"(tol={self.host.tol:g} for {self.host.n_iter_no_change} epochs): raise max_iter, "
                "or accept the model as it is",
                ConvergenceWarning,
                stacklevel=7,
            )

    def _warn_of_nan(self, n_epochs):
        """Go back to the last good weights and say so."""
        state = self.state
        rate = learning_rate_at(
            self.host.learning_rate, self.host.learning_rate_init, state.epoch, n_epochs
        )
        kept = f"those after epoch {state.epoch}" if state.epoch else "the initial ones"
        warnings.warn(
            f"the loss became NaN or infinite in epoch {state.epoch + 1} at learning rate "
            f"{rate:g}: training stops and keeps the last good weights, {kept}. "
            "Try a smaller learning_rate_init",
            ConvergenceWarning,
            stacklevel=8,
        )
