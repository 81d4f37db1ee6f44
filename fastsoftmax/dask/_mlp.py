"""A classifier of fully connected ReLU layers over the partitions of Dask collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import estimators
from ..estimators._other_names import answers_other_names
from ._base import DistributedClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client

    from ..estimators._types import (
        Batch,
        ClassWeight,
        Scale,
        Schedule,
        Seed,
        Solver,
    )


class MLPClassifier(DistributedClassifier, estimators.MLPClassifier):
    """`fastsoftmax.MLPClassifier` for Dask collections, on dask.distributed.

    In an epoch each replica of the network is trained on its partitions, one after the other; then
    weights and the optimiser's moments are averaged, weighted by rows. That costs accuracy: replicas
    see a part of the batches each. `docs/scaling.md` says how much was measured.

    Parameters
    ----------
    client : distributed.Client, optional
        Where to compute; by default the client that was started last.
    n_replicas : int, optional
        With adam and sgd: networks that are trained side by side, each for an epoch on partitions
        of its own, and averaged; by default as many as there are workers when `fit` begins. The
        bits depend on the partitions and on this number alone.
    others
        As in `fastsoftmax.MLPClassifier`.

    Attributes
    ----------
    client_ : distributed.Client
        The client in use.
    n_replicas_ : int
        How many networks were averaged, under adam and sgd: at most as many as there are
        partitions with rows.
    others
        As in `fastsoftmax.MLPClassifier`.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from fastsoftmax.dask import MLPClassifier
    >>> X = da.arange(8, chunks=4).reshape(8, 1).astype("float32")
    >>> y = (X[:, 0] > 3).astype("int64")
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     clf = MLPClassifier((8,), learning_rate_init=0.05, random_state=0, client=client)
    ...     clf.fit(X, y).predict(X).compute()
    array([0, 0, 0, 0, 1, 1, 1, 1])
    """

    _local_class = estimators.MLPClassifier

    @answers_other_names
    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (128,),
        *,
        solver: Solver = "adam",
        alpha: float = 0.0,
        class_weight: ClassWeight = None,
        batch_size: Batch = "auto",
        learning_rate_init: float = 1e-3,
        learning_rate: Schedule = "constant",
        max_iter: int = 200,
        label_smoothing: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        input_scale: Scale = "auto",
        random_state: Seed = None,
        verbose: int = 0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        momentum: float = 0.9,
        tol: float = 1e-4,
        client: Client | None = None,
        n_replicas: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.solver = solver
        self.alpha = alpha
        self.class_weight = class_weight
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.label_smoothing = label_smoothing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.input_scale = input_scale
        self.random_state = random_state
        self.verbose = verbose
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.momentum = momentum
        self.tol = tol
        self.client = client
        self.n_replicas = n_replicas
