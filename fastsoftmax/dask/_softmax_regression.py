"""Softmax regression over the partitions of Dask collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import estimators
from ..estimators.callbacks import training
from ._base import DistributedClassifier

if TYPE_CHECKING:
    from distributed import Client
    from typing_extensions import Self

    from ..estimators._types import (
        Batch,
        Callbacks,
        ClassWeight,
        Path,
        Scale,
        Schedule,
        Seed,
        Solver,
    )


class SoftmaxRegression(DistributedClassifier, estimators.SoftmaxRegression):
    """`fastsoftmax.SoftmaxRegression` for Dask collections, on dask.distributed.

    With solver="lbfgs" the workers sum loss and gradient over their partitions, and the client adds
    the sums in a fixed tree: the result has the bits of one process over the same partitions, for any
    number of workers and threads. A worker that dies costs time and no bits.

    Parameters
    ----------
    client : distributed.Client, optional
        Where to compute; by default the client that was started last.
    n_replicas : int, optional
        With adam and sgd: networks that are trained side by side, each for an epoch on partitions
        of its own, and averaged; by default as many as there are workers when `fit` begins. The
        bits depend on the partitions and on this number alone.
    others
        As in `fastsoftmax.SoftmaxRegression`.

    Attributes
    ----------
    client_ : distributed.Client
        The client in use.
    n_replicas_ : int
        How many networks were averaged, under adam and sgd.
    others
        As in `fastsoftmax.SoftmaxRegression`.

    Notes
    -----
    `docs/scaling.md` says what an iteration costs as rows, features, classes and workers grow.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from fastsoftmax.dask import SoftmaxRegression
    >>> X = da.arange(8, chunks=4).reshape(8, 1).astype("float32")
    >>> y = (X[:, 0] > 3).astype("int64")
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     clf = SoftmaxRegression(client=client).fit(X, y)
    ...     clf.predict(X).compute()
    array([0, 0, 0, 0, 1, 1, 1, 1])
    """

    _local_class = estimators.SoftmaxRegression

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        class_weight: ClassWeight = None,
        solver: Solver = "auto",
        max_iter: int = 100,
        tol: float = 1e-4,
        batch_size: Batch = "auto",
        learning_rate_init: float = 1e-3,
        learning_rate: Schedule = "constant",
        label_smoothing: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        input_scale: Scale = "auto",
        random_state: Seed = None,
        verbose: int = 0,
        client: Client | None = None,
        n_replicas: int | None = None,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate
        self.label_smoothing = label_smoothing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.input_scale = input_scale
        self.random_state = random_state
        self.verbose = verbose
        self.client = client
        self.n_replicas = n_replicas

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        callbacks: Callbacks = None,
        resume_from: Path | None = None,
    ) -> Self:
        """Learn from the rows of X, on the workers that hold them.

        Parameters
        ----------
        X : Dask array or data frame, or list of delayed pieces; shape (n_rows, ...)
            Read as `fastsoftmax.SoftmaxRegression.fit` reads arrays, partition by partition: float32, float64
            and uint8 stay what they are, where they are. What fits into 0.4 of the workers' memory
            is kept there; what does not is read anew for each evaluation. Data that X.persist() has
            put there before are always used where they lie.
        y, sample_weight : of the same kinds, shape (n_rows,) or (n_rows, n_labels)
            Partitioned as X is.
        X_val, y_val : of the same kinds, or array_like, optional
            Data to validate on after every epoch or iteration.
        callbacks : list of Callback, optional
            See `fastsoftmax.estimators.callbacks`; hooks for batches are refused. They run at the
            client.
        resume_from : path, optional
            A checkpoint of an interrupted fit with the same options and data. With adam and sgd the
            result has the bits of an uninterrupted fit of as many replicas; lbfgs goes on from the
            weights of the checkpoint and finds its curvatures anew, which leads to the same minimum
            within `tol`.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If X or y is no Dask collection.
        ValueError
            If partitions contradict each other, or come from data that have been scattered, which
            are lost with their worker; and whatever the class of one machine refuses.
        """
        with training(self):
            self._fit(X, y, sample_weight, X_val, y_val, callbacks, resume_from)
        return self
