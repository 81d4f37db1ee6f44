"""Full-batch training: SciPy's L-BFGS-B on a flat vector of parameters in double."""

import contextlib
import warnings

import numpy as np
from scipy import optimize
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

from . import _fused
from ._loop import wants_to_stop
from ._losses import Tally
from ._network import Network, loss_and_gradients
from ._state import evaluate_split

_GROUPS = 64
_GROUP_BYTES = 16 << 20
_ROWS_AT_A_TIME = 4096
_BYTES_A_CALL = 256 << 20


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


class CompiledLinear:
    """Sum of the losses and its gradient for a linear model, in one pass over the data."""

    def __init__(self, network, loss, split):
        self._kernels, self._n_threads = _fused.kernels(), _fused.n_threads()
        self._loss, self._split = loss, split
        n_features, n_outputs = network.coefs[0].shape
        self._dtype = network.dtype
        lane = self._kernels.lane_count(self._dtype.itemsize == 8)
        self._bias = -(-n_features // lane) * lane  # where it lies: behind the padded features
        self._weights = self._kernels.aligned_empty((n_outputs, self._bias + 1), self._dtype)
        self._weights[:] = 0
        # The number of groups is part of the result's bits: it depends on the shape alone.
        n_groups = int(np.clip(_GROUP_BYTES // self._weights.nbytes, 1, _GROUPS))
        shape = self._weights.shape
        self._gradients = self._kernels.aligned_empty((n_groups, *shape), self._dtype)
        self._tallies, self._total = np.empty((n_groups, 3)), np.empty(shape)
        self._rows_a_group = -(-split.rows.n_rows // n_groups)
        self._rows_a_call = self._rows_between_looks(n_groups)

    def _rows_between_looks(self, n_groups):
        """Return how many rows of each group one call takes: Ctrl-C is honoured between calls."""
        X, block = self._split.rows.X, self._kernels.ROWS_A_BLOCK
        blocks = _BYTES_A_CALL // (n_groups * block * max(1, X.shape[1] * X.itemsize))
        return max(1, blocks) * block

    @staticmethod
    def fits(network, split):
        """Whether this serves."""
        return len(network.coefs) == 1 and split.rows.is_dense and _fused.kernels() is not None

    def __call__(self, network):
        """Return (Tally, [gradient of coef, of intercept] in double)."""
        coef = network.coefs[0]
        self._weights[:, : len(coef)] = coef.T
        self._weights[:, self._bias] = network.intercepts[0]
        self._tallies[:] = 0
        for first in range(0, self._rows_a_group, self._rows_a_call):
            self._add(first)
        gradients = [self._total[:, : len(coef)].T, self._total[:, self._bias]]
        return Tally(*self._tallies.sum(axis=0)), gradients

    @staticmethod
    def blas():
        """Hold BLAS to one thread: its idle ones would spin on the core that the kernel's team needs."""
        return ThreadpoolController().limit(limits=1, user_api="blas")

    def _add(self, first):
        """Add the losses and gradients of some rows of each group, from its row `first` on."""
        is_last = first + self._rows_a_call >= self._rows_a_group
        self._kernels.linear_loss_gradient(
            self._split.rows.X,
            self._split.rows.scale,
            self._split.targets,
            self._split.weights,
            self._loss.label_smoothing,
            self._weights,
            self._gradients,
            self._tallies,
            self._total if is_last else None,
            self._loss.logistic,
            first,
            self._rows_a_call,
            self._n_threads,
        )


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
