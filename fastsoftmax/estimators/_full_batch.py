"""Full-batch training: SciPy's L-BFGS-B on a flat vector of parameters in double."""

import contextlib
import warnings

import numpy as np
from scipy import optimize
from sklearn.exceptions import ConvergenceWarning

from ._compiled import CompiledLinear
from ._loop import evaluate_split, wants_to_stop
from ._losses import Tally
from ._network import Network, loss_and_gradients

_ROWS_AT_A_TIME = 4096


def flatten(network):
    """Return all parameters, in double, one after the other."""
    return np.concatenate([array.ravel() for array in network.arrays]).astype(np.float64)


def unflatten(vector, like):
    """Return the parameters of a flat vector as a Network shaped and typed `like` another."""
    arrays, start = [], 0
    with np.errstate(over="ignore"):  # a line search may try what float32 cannot hold
        for array in like.arrays:
            part = vector[start : start + array.size].reshape(array.shape)
            arrays.append(part.astype(array.dtype))
            start += array.size
    n = len(like.coefs)
    return Network(arrays[:n], arrays[n:])


class NumpySum:
    """The specification: sum of the losses and its gradient for any network."""

    def __init__(self, network, loss, split):
        self._loss, self._split = loss, split

    @staticmethod
    def blas():
        """Leave BLAS all its threads: the products are its work."""
        return contextlib.nullcontext()

    def __call__(self, network):
        """Return (Tally, gradients in double in the order of `network.arrays`)."""
        total, sums = [np.zeros(array.shape) for array in network.arrays], Tally()
        for part, x in self._split.rows.slices(_ROWS_AT_A_TIME):
            weights = None if self._split.weights is None else self._split.weights[part]
            targets = self._split.targets[part]
            _, gradients, tally = loss_and_gradients(network, self._loss, x, targets, weights)
            sums += tally
            for sum_, gradient in zip(total, gradients.arrays, strict=True):
                sum_ += tally.weight * gradient
        return sums, total


class Objective:
    """Mean loss + 0.5 * l2 * sum(w**2) + l1 * sum(abs(w)) of a flat vector.

    Biases are not penalised. With l1 > 0 the vector is split, w = positive - negative, both >= 0,
    which makes the penalty linear.
    """

    def __init__(self, problem, network, l2, l1, fit_intercept):
        self.split, self.loss, self.like = problem.train.whole(), problem.loss, network
        self.l2, self.l1, self.fit_intercept = l2, l1, fit_intercept
        sums = CompiledLinear if CompiledLinear.fits(network, self.split) else NumpySum
        self.sums = sums(network, self.loss, self.split)
        self.weight = self.split.total_weight
        self.n_coefs = sum(coef.size for coef in network.coefs)
        self.tally = Tally()

    def network(self, vector):
        """Return the parameters that a vector stands for."""
        return unflatten(self._joined(vector), self.like)

    def _joined(self, vector):
        if not self.l1:
            return vector
        positive, negative, biases = np.split(vector, [self.n_coefs, 2 * self.n_coefs])
        return np.concatenate([positive - negative, biases])

    def start(self):
        """Return the first vector, and the bounds of its entries."""
        vector = flatten(self.like)
        if not self.l1:
            return vector, None
        coefs, biases = np.split(vector, [self.n_coefs])
        bounds = [(0, None)] * (2 * self.n_coefs) + [(None, None)] * biases.size
        return np.concatenate([np.maximum(coefs, 0), np.maximum(-coefs, 0), biases]), bounds

    def largest_slope(self, vector, gradient):
        """Return the largest entry of a gradient, of those along which the vector may move."""
        if self.l1:
            n = 2 * self.n_coefs
            gradient = gradient.copy()
            gradient[:n] = np.minimum(gradient[:n], vector[:n])
        return np.abs(gradient).max(initial=0.0)

    @np.errstate(all="ignore")  # a line search may try what leaves the range
    def __call__(self, vector):
        """Return the objective and its gradient."""
        joined = self._joined(vector)
        coefs = joined[: self.n_coefs]
        self.tally, gradients = self.sums(unflatten(joined, self.like))
        value = self.tally.loss / self.weight + 0.5 * self.l2 * (coefs @ coefs)
        gradient = np.concatenate([array.ravel() for array in gradients]) / self.weight
        gradient[: self.n_coefs] += self.l2 * coefs
        if not self.fit_intercept:
            gradient[self.n_coefs :] = 0
        if not self.l1:
            return value, gradient
        value += self.l1 * vector[: 2 * self.n_coefs].sum()
        slopes, biases = np.split(gradient, [self.n_coefs])
        return value, np.concatenate([slopes + self.l1, self.l1 - slopes, biases])


class Iterations:
    """Minimises an objective; after every iteration it reports, and asks whether to go on."""

    def __init__(self, host, problem, state, objective, callbacks, reporter):
        self.host, self.problem, self.state = host, problem, state
        self.objective, self.callbacks, self.reporter = objective, callbacks, reporter

    def run(self, max_iter):
        """Minimise; return the state."""
        self.callbacks.train_begins()
        self.reporter.epoch_begins(0, None)
        try:
            self._check(self._minimize(max_iter), max_iter)
        except KeyboardInterrupt:
            warnings.warn(
                f"training was interrupted in iteration {self.state.epoch + 1} of {max_iter}; "
                "the estimator keeps what it has learned so far",
                UserWarning,
                stacklevel=6,
            )
        self.reporter.close()
        self.state.restore_best()
        self.host._take(self.state)
        self.callbacks.train_ends()
        return self.state

    def _minimize(self, max_iter):
        vector, bounds = self.objective.start()
        options = {
            "maxiter": max_iter,
            "maxfun": 100 * max_iter,
            "maxls": 50,
            "gtol": self.host.tol,
            "ftol": 0.0,
        }
        with self.objective.sums.blas():
            return optimize.minimize(
                self.objective,
                vector,
                method="L-BFGS-B",
                jac=True,
                bounds=bounds,
                callback=self._after_iteration,
                options=options,
            )

    def _after_iteration(self, vector):
        """Take over an iterate; its figures are those of the line search's last evaluation."""
        state, problem = self.state, self.problem
        network = self.objective.network(vector)
        if not (np.isfinite(self.objective.tally.loss) and network.is_finite()):
            raise StopIteration
        state.network = network
        logs = self.objective.tally.means
        if problem.validation is not None:
            means = evaluate_split(network, problem.loss, problem.validation).means
            logs |= {f"val_{name}": value for name, value in means.items()}
        state.record(logs)
        self.host._take(state)
        self.reporter.epoch_ends(state.epoch - 1, logs)
        self.callbacks.epoch_ends(state.epoch - 1, logs)
        self.reporter.epoch_begins(state.epoch, None)
        if self.host.early_stopping:
            state.watch(logs, self.host.tol, True)
        if wants_to_stop(self.host) or state.stale >= self.host.n_iter_no_change:
            raise StopIteration

    def _check(self, result, max_iter):
        """Set `converged_`, and warn where the result is not the minimum that was asked for."""
        host, state = self.host, self.state
        if not np.isfinite(result.fun):
            message = (
                f"the loss became NaN or infinite in iteration {state.epoch + 1} of lbfgs: "
                "training stops and keeps the last good weights. Scale the data, or set a penalty"
            )
        else:
            slope = self.objective.largest_slope(result.x, result.jac)
            stood_still = state.stale >= host.n_iter_no_change
            host.converged_ = bool(slope <= host.tol or stood_still)
            if host.converged_ or wants_to_stop(host):
                return
            why = f"in max_iter={max_iter} iterations: raise max_iter,"
            if result.status != 1:
                why = f"and finds no better weights in {self.objective.like.dtype}: raise tol,"
            message = (
                f"lbfgs did not converge {why} scale the data, or accept the model as it is; "
                f"the largest entry of the gradient is {slope:.3g}, tol={host.tol:g}"
            )
        warnings.warn(message, ConvergenceWarning, stacklevel=7)
