"""The solvers that look at all rows at once, L-BFGS and Newton's method, with rows on workers."""

import numpy as np

from ..estimators._full_batch import Iterations
from ..estimators._newton import Newton
from ..estimators._progress import Reporter
from . import _tasks
from ._problem import n_bytes_of, validation_logs
from ._workers import one_blas_thread


class SumsOverPartitions:
    """Sum of the losses and its gradient over all partitions; the contract of `NumpySum`."""

    def __init__(self, problem, network, on_rows=None):
        self._partitions, self._on_rows = problem.train.partitions, on_rows
        self._compiled = len(network.coefs) == 1

    @staticmethod
    def blas():
        """Hold BLAS to one thread: L-BFGS's own sums then have the same bits on every client."""
        return one_blas_thread

    def __call__(self, network):
        """Return (Tally, gradients in double in the order of `network.arrays`)."""
        sums = self._partitions.add_up(
            _tasks.LossAndGradient(network),
            "loss-gradient",
            n_bytes_of(network),
            side_by_side=not self._compiled,
            on_rows=self._on_rows,
        )
        ends = np.cumsum([array.size for array in network.arrays])[:-1]
        parts = np.split(sums.arrays[0], ends)
        pairs = zip(parts, network.arrays, strict=True)
        return sums.tally, [part.reshape(array.shape) for part, array in pairs]


class DistributedNewton(Newton):
    """Newton's method whose losses, gradients and Hessians are summed over partitions.

    One round of tasks finds all three at the next point: a second one would read the rows again.
    """

    def __init__(self, problem, l2, fit_intercept, on_rows=None):
        self.loss, self.l2, self.fit_intercept = problem.loss, l2, fit_intercept
        self._partitions, self._on_rows = problem.train.partitions, on_rows
        self._total = problem.train.total_weight
        self.largest_slope = np.inf

    def minimize(self, network, max_iter, tol, after):
        """Iterate from a network on; call `after(network, tally)` after every iteration.

        Raises
        ------
        NoNewtonStep
            Where the Hessian is singular in double; what is reached has been given to `after`.
        """
        self._n_features = network.sizes[0]
        with one_blas_thread, np.errstate(all="ignore"):
            self._iterate(network, max_iter, tol, after)

    def _keep_blocks(self, theta):
        """Leave the rows to the workers."""

    def _logits(self, theta):
        return theta  # logits stay on the workers; they are linear in theta, which stands for them

    def _mean_loss(self, theta):
        """Return the loss, and the sums of all partitions in the place of the rows' slopes."""
        sums = self._partitions.add_up(
            _tasks.Derivatives(theta, self.fit_intercept),
            "hessian",
            theta.nbytes,
            on_rows=self._on_rows,
        )
        return sums.tally.loss / self._total, sums

    def _mean_gradient(self, point):
        return point.slopes.arrays[0] / self._total

    def _mean_hessians(self, point):
        return point.slopes.arrays[1] / self._total

    def _tally(self, point):
        return point.slopes.tally


class DistributedIterations(Iterations):
    """Iterations over partitions."""

    @property
    def _on_rows(self):
        return self.reporter.rows_done if self.host.verbose else None

    def _sums(self, network):
        return SumsOverPartitions(self.problem, network, self._on_rows)

    def _newton(self):
        l2, _ = self.penalties
        return DistributedNewton(self.problem, l2, self.fit_intercept, self._on_rows)

    def _validation_logs(self, network):
        return validation_logs(self.problem, network)


class RowsReporter(Reporter):
    """Shows a bar over the rows of an iteration: at scale one takes as long as an epoch."""

    def __init__(self, verbose, n_epochs, n_rows):
        super().__init__(verbose, n_epochs, "Iteration")
        self._n_rows = n_rows

    def epoch_begins(self, epoch, n_rows):
        """Start the clock and the bar."""
        super().epoch_begins(epoch, self._n_rows)
