"""Softmax regression over the partitions of Dask collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import estimators
from ..estimators._other_names import answers_other_names
from ._base import DistributedClassifier

if TYPE_CHECKING:
    from distributed import Client

    from ..estimators._types import (
        Batch,
        ClassWeight,
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
        How many networks were averaged, under adam and sgd: at most as many as there are
        partitions with rows.
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

    @answers_other_names
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
