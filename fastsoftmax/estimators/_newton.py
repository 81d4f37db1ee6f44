"""Newton's method for a linear model, with a Cholesky factorisation of the whole Hessian.

Softmax is blind to what is added to all logits of a row, so the method works on the differences
theta[k] = w[k] - w[last] for all classes but the last, of which n_classes - 1 are free. The weights
that belong to them are those with the smallest penalty, w[k] = theta[k] - mean(theta, 0): they sum
to 0 over the classes. Sigmoids are free as they are, and their Hessians do not mix.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from ._compiled import one_blas_thread, thread_count
from ._data import Rows
from ._losses import Tally
from ._network import Network

MOST_PARAMETERS = 10_000
"""The Hessian takes 8 bytes for each pair of parameters."""

AUTO_PARAMETERS = 1_000
AUTO_WORK = 2e9
"""Up to this many multiplications an iteration, and parameters, Newton's method pays."""

_BLOCK_BYTES = 4 << 20
_KEPT_BYTES = 64 << 20
_HALVINGS = 20
_ARMIJO = 2.0**-11


class NoNewtonStep(Exception):
    """The Hessian has no Cholesky factor, or the step does not lead downhill.

    `is_iteration` says that it was tried, which counts among the iterations that max_iter allows.
    """

    def __init__(self, message="", *, is_iteration=False):
        super().__init__(message)
        self.is_iteration = is_iteration


def n_parameters(n_features, n_outputs, logistic):
    """Return the rows of the largest Hessian that must be factorised."""
    return (n_features + 1) * (1 if logistic else n_outputs - 1)


def pays(n_rows, n_features, n_outputs, logistic):
    """Whether solver="auto" takes Newton's method."""
    size = n_parameters(n_features, n_outputs, logistic)
    n_hessians = n_outputs if logistic else 1
    return size <= AUTO_PARAMETERS and n_hessians * size**2 * (n_rows + size) <= AUTO_WORK


def gradient_of_block(x, slopes, logistic):
    """Return the gradient of the losses of some rows, shape (n_free, n_columns).

    Parameters
    ----------
    x : ndarray, shape (n_rows, n_columns)
        In double; a column of ones for the intercept is the last one.
    slopes : ndarray, shape (n_rows, n_outputs)
        Derivatives of the rows' losses by their logits, times the rows' weights.
    logistic : bool
        Sigmoids: n_free is n_outputs. Else softmax: n_outputs - 1.
    """
    return (slopes if logistic else slopes[:, :-1]).T @ x


def hessian_of_block(x, weights, probs, logistic):
    """Return the Hessian of the losses of some rows.

    A row adds weight * (diag(p) - outer(p, p)), for the free classes, times outer(x, x). All
    products of probabilities are one product of a matrix with its own transpose, which BLAS
    computes in half the time of another; the diagonal blocks, p * (1 - p), are products of their
    own, so that nothing is subtracted from them.

    Parameters
    ----------
    x : ndarray, shape (n_rows, n_columns)
        In double; a column of ones for the intercept is the last one.
    weights : ndarray, shape (n_rows,)
    probs : ndarray, shape (n_rows, n_outputs)
        Probabilities, softmax or sigmoids of the logits.
    logistic : bool

    Returns
    -------
    ndarray, shape (n_hessians, size, size)
        Softmax has one Hessian of (n_outputs - 1) * n_columns rows, class by class; sigmoids have
        n_outputs of n_columns rows.
    """
    n_columns = x.shape[1]
    free = probs if logistic else probs[:, :-1]
    own = [_square(x, weights * p * (1 - p)) for p in free.T]
    if logistic:
        return np.stack(own)
    n_free = free.shape[1]
    if n_free == 1:
        return own[0][np.newaxis]
    shares = free * np.sqrt(weights)[:, np.newaxis]
    z = (shares[:, :, np.newaxis] * x[:, np.newaxis]).reshape(len(x), n_free * n_columns)
    hessian = z.T @ z
    np.negative(hessian, out=hessian)
    for k, block in enumerate(own):
        part = slice(k * n_columns, (k + 1) * n_columns)
        hessian[part, part] = block
    return hessian[np.newaxis]


def _square(x, weights):
    z = x * np.sqrt(weights)[:, np.newaxis]
    return z.T @ z


def _solve(hessian, gradient):
    """Return the solution of hessian @ step = -gradient, by Cholesky after scaling."""
    scale = np.sqrt(np.diagonal(hessian))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise NoNewtonStep
    hessian = hessian / scale
    hessian /= scale[:, np.newaxis]
    norm = np.abs(hessian).sum(axis=0).max()
    factor, info = lapack.dpotrf(hessian, lower=0, clean=0, overwrite_a=1)
    if info != 0 or not np.isfinite(norm):
        raise NoNewtonStep
    rcond, _ = lapack.dpocon(factor, norm)
    if rcond < len(scale) * np.finfo(np.float64).eps:
        raise NoNewtonStep
    step, _ = lapack.dpotrs(factor, -gradient / scale, lower=0)
    return step / scale


class Point(NamedTuple):
    """Parameters theta; there: logits, mean loss, objective, slopes of all rows, and gradient."""

    theta: np.ndarray
    logits: np.ndarray
    loss: float
    value: float
    slopes: np.ndarray
    gradient: np.ndarray | None = None


class Newton:
    """Minimises mean loss + 0.5 * l2 * sum(w**2) of a linear model, in double.

    Step sizes are halved until the objective falls as Armijo asks. It has converged when no entry
    of the gradient is larger than tol, and the fall that the last step promised is not either;
    these are scikit-learn's rules, too.
    """

    def __init__(self, split, loss, l2, fit_intercept):
        self.loss, self.l2, self.fit_intercept = loss, l2, fit_intercept
        rows = split.rows
        self._rows = Rows(rows.X, rows.scale, np.dtype(np.float64))
        self._targets, self._sample_weights = split.targets, split.weights
        self._total = split.total_weight
        self._n_features = rows.n_features
        weights = np.ones(rows.n_rows) if split.weights is None else split.weights
        self._weights = weights / self._total
        self._kept, self._map = None, map
        self.largest_slope = np.inf

    def minimize(self, network, max_iter, tol, after):
        """Iterate from a network on; call `after(network, tally)` after every iteration.

        Raises
        ------
        NoNewtonStep
            Where the Hessian is singular in double; what is reached has been given to `after`.
        """
        with one_blas_thread, np.errstate(all="ignore"), self._threads(network):
            self._iterate(network, max_iter, tol, after)

    @contextlib.contextmanager
    def _threads(self, network):
        """Compute blocks on as many threads as kernels may, where there is work for them."""
        workers = thread_count()
        if workers == 1 or self._rows.n_rows * self._row_work(network) < 1e8:
            yield
            return
        with ThreadPoolExecutor(workers) as pool:
            self._map = pool.map
            yield

    def _row_work(self, network):
        n_features, n_outputs = network.coefs[0].shape
        size = n_parameters(n_features, n_outputs, self.loss.logistic)
        return size**2

    def _iterate(self, network, max_iter, tol, after):
        theta = self._theta_of(network)
        self._keep_blocks(theta)
        point = self._evaluate(theta, self._logits(theta))
        point = point._replace(gradient=self._gradient(point))
        for _ in range(max_iter):
            step = self._step(point)
            fall = -float(np.vdot(point.gradient, step))
            if not fall >= 0:
                raise NoNewtonStep
            point = self._search(point, step, fall)
            if point is None:
                return
            self.largest_slope = self._largest(point.gradient)
            after(self._network_of(point.theta), self._tally(point))
            if self.largest_slope <= tol and 0.5 * fall <= tol:
                return

    def _tally(self, point):
        correct = self.loss.correct(point.logits, self._targets)
        share = float(self._weights @ correct)
        return Tally(point.loss * self._total, self._total, share * self._total)

    # Parameters

    def _theta_of(self, network):
        coef, intercept = network.coefs[0].astype(np.float64), network.intercepts[0]
        theta = coef.T
        if self.fit_intercept:
            theta = np.column_stack([theta, intercept.astype(np.float64)])
        return theta if self.loss.logistic else theta[:-1] - theta[-1]

    def _weights_of(self, theta):
        """Return the weights of all outputs, (n_outputs, n_columns)."""
        if self.loss.logistic:
            return theta
        return np.vstack([theta, np.zeros(theta.shape[1])]) - theta.sum(axis=0) / (len(theta) + 1)

    def _network_of(self, theta):
        weights = self._weights_of(theta)
        n_features = self._n_features
        intercept = weights[:, n_features] if self.fit_intercept else np.zeros(len(weights))
        return Network([np.ascontiguousarray(weights[:, :n_features].T)], [intercept.copy()])

    # Passes over the rows

    def _keep_blocks(self, theta):
        """Cut the rows into blocks, whose sizes depend on the shape alone; keep them if they are small."""
        n_columns = self._rows.n_features + bool(self.fit_intercept)
        size = n_columns * (1 if self.loss.logistic else len(theta))
        self._rows_a_block = max(256, _BLOCK_BYTES // (8 * size))
        n_rows = self._rows.n_rows
        if n_rows * n_columns * 8 <= _KEPT_BYTES:
            starts = range(0, n_rows, self._rows_a_block)
            self._kept = [(s, self._block(s)) for s in (self._part(start) for start in starts)]

    def _part(self, start):
        return slice(start, min(start + self._rows_a_block, self._rows.n_rows))

    def _block(self, part):
        """Return rows in double, with a column of ones where an intercept is learned."""
        n_columns = self._rows.n_features + bool(self.fit_intercept)
        x = self._rows.take(part)
        if not isinstance(x, np.ndarray):
            x = x.toarray()
        if not self.fit_intercept:
            return x
        block = np.empty((len(x), n_columns))
        block[:, :-1] = x
        block[:, -1] = 1
        return block

    def _blocks(self):
        """Return (slice, function of nothing that returns its rows) of every block."""
        if self._kept is not None:
            return self._kept
        return [(self._part(s), None) for s in range(0, self._rows.n_rows, self._rows_a_block)]

    def _over_blocks(self, function):
        """Iterate over function(slice, rows) in the order of the blocks, a few at a time."""

        def of_block(block):
            part, x = block
            return function(part, self._block(part) if x is None else x)

        blocks, wave = self._blocks(), 16
        for first in range(0, len(blocks), wave):
            yield from self._map(of_block, blocks[first : first + wave])

    def _logits(self, theta):
        if not self.loss.logistic:  # the last class has logit 0
            theta = np.vstack([theta, np.zeros(theta.shape[1])])
        weights = theta.T
        return np.concatenate(list(self._over_blocks(lambda part, x: x @ weights)))

    def _gradient(self, point):
        gradient = self._mean_gradient(point)
        if self.l2:
            n = self._n_features
            gradient[:, :n] += self.l2 * self._weights_of(point.theta)[: len(gradient), :n]
        return gradient

    def _mean_gradient(self, point):
        logistic, slopes = self.loss.logistic, point.slopes
        return sum(self._over_blocks(lambda part, x: gradient_of_block(x, slopes[part], logistic)))

    def _hessians(self, point):
        hessians = self._mean_hessians(point)
        if self.l2:
            self._add_penalty(hessians, *point.theta.shape)
        return hessians

    def _mean_hessians(self, point):
        probs = self.loss.probabilities_of_outputs(point.logits)
        weights, logistic = self._weights, self.loss.logistic
        hessians = None
        parts = self._over_blocks(
            lambda part, x: hessian_of_block(x, weights[part], probs[part], logistic)
        )
        for part in parts:
            hessians = part if hessians is None else np.add(hessians, part, out=hessians)
        return hessians

    def _add_penalty(self, hessians, n_free, n_columns):
        """Add the second derivatives of 0.5 * l2 * sum(w**2) by theta."""
        features = np.arange(self._n_features)
        if self.loss.logistic:
            hessians[:, features, features] += self.l2
            return
        hessian = hessians[0].reshape(n_free, n_columns, n_free, n_columns)
        for k in range(n_free):
            for j in range(n_free):
                hessian[k, features, j, features] += self.l2 * ((j == k) - 1 / (n_free + 1))

    # Steps

    def _evaluate(self, theta, logits):
        loss, slopes = self._mean_loss(logits)
        value = loss = float(loss)
        if self.l2:
            weights = self._weights_of(theta)[:, : self._n_features].ravel()
            value += 0.5 * self.l2 * (weights @ weights)
        return Point(theta, logits, loss, float(value), slopes)

    def _mean_loss(self, logits):
        return self.loss.with_gradient(logits, self._targets, self._sample_weights)

    def _step(self, point):
        hessians = self._hessians(point)
        gradients = point.gradient.reshape(len(hessians), -1)
        steps = [_solve(h, g) for h, g in zip(hessians, gradients, strict=True)]
        return np.reshape(steps, point.theta.shape)

    def _search(self, point, step, fall):
        """Return the next point; None where double cannot tell the objective from a smaller one."""
        change, rounding = self._logits(step), 16 * np.finfo(np.float64).eps * abs(point.value)
        for halving in range(_HALVINGS + 1):
            size = 0.5**halving
            new = self._evaluate(point.theta + size * step, point.logits + size * change)
            fell = point.value - new.value
            if fell >= size * _ARMIJO * fall:
                return new._replace(gradient=self._gradient(new))
            if abs(fell) <= rounding:
                new = new._replace(gradient=self._gradient(new))
                if np.abs(new.gradient).sum() < np.abs(point.gradient).sum():
                    return new
        if fall <= rounding:
            return None
        raise NoNewtonStep

    def _largest(self, gradient):
        """Return the largest entry of the gradient, of the last class's weights too."""
        largest = np.abs(gradient).max(initial=0.0)
        return largest if self.loss.logistic else max(largest, np.abs(gradient.sum(axis=0)).max())
