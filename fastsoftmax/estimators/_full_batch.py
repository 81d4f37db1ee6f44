"""Full-batch training: SciPy's L-BFGS-B, and Newton's method of `_newton`."""

import contextlib
import warnings

import numpy as np
from scipy import optimize
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from . import _newton
from ._compiled import CompiledLinear
from ._data import Rows, Split
from ._loop import validation_logs, wants_to_stop
from ._losses import Tally
from ._network import Network, loss_and_gradients
from ._newton import Newton, NoNewtonStep

_BLOCK_BYTES_A_FEATURE = 1 << 14


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
        for part, x in self._split.rows.slices(_BLOCK_BYTES_A_FEATURE // network.dtype.itemsize):
            weights = None if self._split.weights is None else self._split.weights[part]
            targets = self._split.targets[part]
            _, gradients, tally = loss_and_gradients(network, self._loss, x, targets, weights)
            sums += tally
            for sum_, gradient in zip(total, gradients.arrays, strict=True):
                sum_ += tally.weight * gradient
        return sums, total


def sums_over(split, loss, network):
    """Return the sum over the rows of a split, in the dtype of the network."""
    rows = split.rows
    if rows.dtype != network.dtype:
        split = Split(Rows(rows.X, rows.scale, network.dtype), split.targets, split.weights)
    module = CompiledLinear.kernels_for(network, split)
    if module is None:
        return NumpySum(network, loss, split)
    return CompiledLinear(module, network, loss, split)


class Objective:
    """Mean loss + 0.5 * l2 * sum(w**2) + l1 * sum(abs(w)) of a flat vector.

    Biases are not penalised. With l1 > 0 the vector is split, w = positive - negative, both >= 0,
    which makes the penalty linear.
    """

    def __init__(self, sums, weight, network, l2, l1, fit_intercept):
        self.sums, self.weight, self.like = sums, weight, network
        self.l2, self.l1, self.fit_intercept = l2, l1, fit_intercept
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


class Interrupted(Exception):
    """A callback, early stopping or a loss that is not finite has ended the iterations."""


class Iterations:
    """Minimises the objective of a fit; after every iteration it reports, and asks whether to go on.

    L-BFGS evaluates float32 data in float32 as long as that finds better weights, then in double,
    as Newton's method does from the start. Whether the fit has converged is decided by the gradient
    at the weights as they are stored, in double.
    """

    def __init__(self, host, problem, state, penalties, fit_intercept, callbacks, reporter):
        self.host, self.problem, self.state = host, problem, state
        self.penalties, self.fit_intercept = penalties, fit_intercept
        self.callbacks, self.reporter = callbacks, reporter
        self._is_finite, self._slope = True, None

    def run(self, solver, max_iter):
        """Minimise; return the state."""
        self.callbacks.train_begins()
        self.callbacks.iteration_begins()
        self.reporter.epoch_begins(0, None)
        interrupted = False
        try:
            self._minimize(solver, max_iter)
        except Interrupted:
            pass
        except KeyboardInterrupt:
            interrupted = True
            warnings.warn(
                f"training was interrupted in iteration {self.state.epoch + 1} of {max_iter}; "
                "the estimator keeps what it has learned so far",
                UserWarning,
                stacklevel=7,
            )
        self.reporter.close()
        self.state.restore_best()
        self.host._take(self.state)
        if not interrupted:
            self._judge(max_iter)
        self.callbacks.train_ends()
        return self.state

    def _objective(self, dtype):
        network = self.state.network.astype(dtype)
        sums, weight = self._sums(network), self.problem.train.total_weight
        return Objective(sums, weight, network, *self.penalties, self.fit_intercept)

    def _sums(self, network):
        return sums_over(self.problem.train.whole(), self.problem.loss, network)

    def _left(self, max_iter):
        return max_iter - self.state.epoch

    def _minimize(self, solver, max_iter):
        """Run the solver; go on with L-BFGS where Newton's method finds no step."""
        self.name = solver
        if max_iter == 0:
            return None
        if solver == "newton-cholesky":
            try:
                return self._minimize_newton(self._left(max_iter))
            except NoNewtonStep as problem:
                warnings.warn(f"{problem} It goes on with lbfgs", LinAlgWarning, stacklevel=8)
                max_iter -= problem.is_iteration
        self.name = "lbfgs"
        for dtype in dict.fromkeys((self.state.network.dtype, np.dtype(np.float64))):
            if self._left(max_iter) > 0:
                self._minimize_lbfgs(dtype, self._left(max_iter))
        return None

    def _minimize_newton(self, max_iter):
        sizes, loss = self.state.network.sizes, self.problem.loss
        n_parameters = _newton.n_parameters(*sizes, loss.logistic)
        if n_parameters > _newton.MOST_PARAMETERS:
            raise NoNewtonStep(
                f"newton-cholesky would need a Hessian of {n_parameters} rows and columns, more "
                f"than {_newton.MOST_PARAMETERS}."
            )
        newton, like = self._newton(), self.state.network.dtype
        try:
            newton.minimize(
                self.state.network,
                max_iter,
                self.host.tol,
                lambda network, tally: self._after_iteration(network.astype(like), tally),
            )
            if like == np.float64:
                self._slope = float(newton.largest_slope)
        except NoNewtonStep:
            raise NoNewtonStep(
                "newton-cholesky has met a singular or very ill-conditioned Hessian matrix in "
                f"iteration {self.state.epoch + 1}: remove features that depend on each other, or "
                "set a stronger penalty.",
                is_iteration=True,
            ) from None

    def _newton(self):
        split, loss = self.problem.train.whole(), self.problem.loss
        return Newton(split, loss, self.penalties[0], self.fit_intercept)

    def _minimize_lbfgs(self, dtype, max_iter):
        objective = self._objective(dtype)
        vector, bounds = objective.start()
        stored = self.state.network

        def after(vector):
            network = objective.network(vector).astype(stored.dtype)
            self._after_iteration(network, objective.tally)

        options = {
            "maxiter": max_iter,
            "maxfun": 100 * max(1, max_iter),
            "maxls": 50,
            "gtol": self.host.tol,
            "ftol": 0.0,
        }
        with objective.sums.blas():
            result = optimize.minimize(
                objective,
                vector,
                method="L-BFGS-B",
                jac=True,
                bounds=bounds,
                callback=after,
                options=options,
            )
        self._is_finite = bool(np.isfinite(result.fun))
        if not self._is_finite:
            raise Interrupted

    def _after_iteration(self, network, tally):
        """Take over an iterate; its figures are those of the line search's last evaluation."""
        state = self.state
        if not (np.isfinite(tally.loss) and network.is_finite()):
            self._is_finite = False
            raise Interrupted
        state.network = network
        logs = tally.means | self._validation_logs(network)
        state.record(logs)
        self.host._take(state)
        self.reporter.epoch_ends(state.epoch - 1, logs)
        self.callbacks.epoch_ends(state.epoch - 1, logs)
        self.callbacks.iteration_begins()
        self.reporter.epoch_begins(state.epoch, None)
        if self.host.early_stopping:
            state.watch(logs, self.host.tol, True)
        if wants_to_stop(self.host) or state.stale >= self.host.n_iter_no_change:
            raise Interrupted

    def _validation_logs(self, network):
        return validation_logs(self.problem, network)

    def _stored_slope(self):
        """Return the largest entry of the gradient at the weights as they are stored, in double."""
        objective = self._objective(np.dtype(np.float64))
        vector, _ = objective.start()
        return float(objective.largest_slope(vector, objective(vector)[1]))

    def _judge(self, max_iter):
        """Set `converged_` and `max_gradient_`, and warn where the minimum was not reached."""
        host, state, name = self.host, self.state, self.name
        slope = host.max_gradient_ = (
            self._slope if self._slope is not None else self._stored_slope()
        )
        stood_still = state.stale >= host.n_iter_no_change
        host.converged_ = bool((self._is_finite and slope <= host.tol) or stood_still)
        if host.converged_ or wants_to_stop(host):
            return
        if not self._is_finite:
            message = (
                f"the loss became NaN or infinite in iteration {state.epoch + 1} of {name}: "
                "training stops and keeps the last good weights. Scale the data, or set a penalty"
            )
        else:
            newton = name == "newton-cholesky"
            what = "Newton solver did not" if newton else f"{name} failed to"
            if self._left(max_iter) <= 0:
                why = f"after {max_iter} iterations: raise max_iter,"
            else:
                why = f"and finds no better weights in {state.network.dtype}: raise tol,"
            if not newton and "auto" in host._solvers:
                why += ' take solver="newton-cholesky",'
            message = (
                f"{what} converge {why} scale the data, or accept the model as it is; "
                f"the largest entry of the gradient is {slope:.3g}, tol={host.tol:g}"
            )
        warnings.warn(message, ConvergenceWarning, stacklevel=8)
