"""What both estimators share: from Dask collections to a fit, and back to one machine."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._validate import integer
from ..estimators import _newton, _storage
from ..estimators._checks import BATCH_SOLVERS, check_options
from ..estimators._data import Problem, computing_dtype
from ..estimators._inputs import validation_split
from ..estimators._other_names import answers_other_names
from ..estimators._progress import Reporter
from ..estimators._tasks import tasks_of
from ..estimators.callbacks import CallbackList, training
from . import _tasks
from ._averaging import AveragedEpochs, shares_of
from ._cluster import Cluster, Kept, Streamed, client_or_default, fits_in_memory, task
from ._collections import is_lazy, partitions_of
from ._facts import class_factors, facts_of, warn_of_images, whole_of
from ._full_batch import DistributedIterations, RowsReporter
from ._prediction import LazyPrediction
from ._problem import Train, Validation
from ._tree import tree_sum

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..estimators._types import Callbacks, Path

_OWN_PARAMETERS = ("client", "n_replicas")


def _no_batches(estimator):
    raise AttributeError(
        "partial_fit is for data that come one batch after the other: use that of to_local()"
    )


class DistributedClassifier(LazyPrediction):
    """Fits a classifier of `fastsoftmax.estimators` on partitions; comes before its class.

    Subclasses name that class in `_local_class`.
    """

    client: Any
    n_replicas: int | None
    n_replicas_: int

    @property
    def client_(self):
        """The client in use: `client`, or the one that was started last."""
        return client_or_default(self.client)

    # Training

    @answers_other_names
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
            Read as the class of one machine reads arrays, partition by partition: float32, float64
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
            If X or y is no Dask collection, or `client` no client.
        ValueError
            If partitions contradict each other, or come from data that have been scattered, which
            are lost with their worker; and whatever the class of one machine refuses.
        RuntimeError
            If a worker lacks this library or has another version of it.
        MemoryError
            If no worker has memory left to go on with, or a task needs more than they have.
        concurrent.futures.CancelledError
            If the cluster has cancelled the tasks: after `client.restart()`, or because the
            scheduler is lost.
        KilledWorker
            If a task has ended several workers in another way, one after the other; and whatever
            reading a partition raises, as it is.
        """
        with training(self):
            self._fit(X, y, sample_weight, X_val, y_val, callbacks, resume_from)
        return self

    def _fit(self, X, y, sample_weight, X_val, y_val, callbacks, resume_from):
        local = self._as_local(fitted=False)
        check_options(local)
        if self.n_replicas is not None:
            integer(self.n_replicas, "n_replicas", low=1)
        cluster = Cluster(self.client_)
        cluster.require_library()
        n_features = getattr(self, "n_features_in_", None)
        partitions, held = partitions_of(X, y, sample_weight)
        numbers, facts = _facts(cluster, partitions, local, reset=True)
        whole = whole_of(list(zip(numbers, facts, strict=True)), type(self).__name__)
        previous = self._previous_network(whole.labels, n_features) if self.warm_start else None
        self._learn_whole(whole)
        factors = class_factors(self.class_weight, whole)
        state = self._begin(previous, whole, resume_from)
        plan = _tasks.Plan(self._as_local(state=False), factors, computing_dtype(whole.dtype))
        partitions = [partitions[number] for number in numbers]
        keeps = held or fits_in_memory(cluster, whole.n_bytes)

        def rows(plan):
            found = _read_by(cluster, partitions, numbers, plan, keeps, held)
            as_found = factors is None and plan.held_share is None
            return _train_of(found, facts if as_found else None, plan.held_share)

        validation = self._validation(cluster, X_val, y_val, plan)
        if self.early_stopping and validation is None:
            plan = plan._replace(held_share=float(self.validation_fraction), seed=state.seed)
            validation = Validation(rows(plan._replace(want_held=True)).partitions)
        problem = Problem(rows(plan), validation, self._loss)
        by_batches = self.solver in BATCH_SOLVERS
        tasks = tasks_of(self, X, y, sample_weight, self.max_iter, by_batches=by_batches)
        self._train(problem, state, self.max_iter, callbacks, tasks)

    def _learn_whole(self, whole):
        """Set what the fitted estimator knows of its data."""
        self.n_features_in_ = whole.n_features
        vars(self).pop("feature_names_in_", None)
        if whole.feature_names is not None:
            self.feature_names_in_ = whole.feature_names
        self.classes_ = whole.labels.classes
        self.multilabel_ = whole.labels.is_multilabel
        self.temperature_ = 1.0
        self.input_scale_ = whole.scale
        self._fitted_on_uint8 = bool(whole.dtype == np.uint8)
        warn_of_images(self.input_scale, whole)

    def _begin(self, previous, whole, resume_from):
        """Return the state before the first epoch: fresh, warm, or read from a checkpoint."""
        if resume_from is None:
            return self._start(previous, np.empty((0, whole.n_features), whole.dtype))
        local = self._as_local(state=False)
        return _storage.load_training_state(local, resume_from, whole.dtype)

    def _validation(self, cluster, X_val, y_val, plan):
        """Return the user's validation rows: on workers, or in memory at the client."""
        if X_val is None or y_val is None or not is_lazy(X_val):
            local = self._as_local(state=False)
            return validation_split(local, X_val, y_val, self._labels)
        partitions, held = partitions_of(X_val, y_val, None, "_val")
        numbers, facts = _facts(cluster, partitions, plan.estimator, reset=False)
        partitions = [partitions[number] for number in numbers]
        plan = plan._replace(factors=None)
        keeps = held or fits_in_memory(cluster, sum(each.n_bytes for each in facts))
        found = _read_by(cluster, partitions, numbers, plan, keeps, held)
        return Validation(_train_of(found, facts).partitions)

    def _train(self, problem, state, n_epochs, callbacks, tasks):
        """Run the solver over the partitions and keep what it reached."""
        n_rows = problem.train.n_rows
        batch_size = self._batch_size(n_rows)
        told = {
            "epochs": n_epochs,
            "samples": n_rows,
            "batch_size": batch_size,
            "verbose": self.verbose,
        }
        hooks = CallbackList(callbacks, self, told, tasks)
        if hooks.want_batches:
            raise ValueError(
                "callbacks must have no hooks for batches, on_train_batch_begin and "
                "on_train_batch_end: batches run on workers, the hooks at the client"
            )
        self._state = state
        self._take(state)
        self.history_, self.converged_ = state.history, False
        weight = problem.train.total_weight
        vars(self).pop("max_gradient_", None)
        if self.solver not in BATCH_SOLVERS:
            reporter = RowsReporter(self.verbose, n_epochs, n_rows)
            penalties, intercept = self._penalties(weight), self._fit_intercept
            arguments = (self, problem, state, penalties, intercept, hooks, reporter)
            iterations = DistributedIterations(*arguments)
            iterations.run(self._full_batch_solver(problem), n_epochs)
        else:
            partitions = problem.train.partitions
            n_replicas = self.n_replicas or len(partitions.cluster.workers())
            self.n_replicas_ = len(shares_of(partitions.n_rows, n_replicas))
            reporter, rule = Reporter(self.verbose, n_epochs), self._rule(weight, batch_size)
            arguments = (self, problem, state, rule, batch_size, hooks, reporter)
            epochs = AveragedEpochs(*arguments, n_replicas=n_replicas)
            epochs.run(n_epochs)
            epochs.warn_unless_converged(n_epochs)
        self._count(max(min(1, n_epochs), state.epoch))

    def _full_batch_solver(self, problem):
        """Return the solver that "auto" stands for: Newton's method needs few rounds, or passes.

        The local rule about the work of an iteration holds for a partition here.
        """
        if self.solver != "auto":
            return self.solver
        n_rows, sizes = max(problem.train.partitions.n_rows), self._state.network.sizes
        _, l1 = self._penalties(problem.train.total_weight)
        pays = _newton.pays(n_rows, *sizes, problem.loss.logistic)
        return "newton-cholesky" if pays and not l1 else "lbfgs"

    @available_if(_no_batches)
    def partial_fit(self):
        """Do not exist: `to_local().partial_fit` takes batches."""

    # One machine

    def to_local(self):
        """Return the fitted estimator of one machine: `fastsoftmax`'s class of the same name.

        Returns
        -------
        estimator
            With the parameters, the weights and the history of this one; it shares no state with it.
        """
        check_is_fitted(self, "classes_")
        return copy.deepcopy(self._as_local())

    def _as_local(self, *, fitted=True, state=True):
        """Return the local estimator; unless `fitted`, with the parameters alone."""
        params = self.get_params(deep=False)
        local = self._local_class(
            **{name: value for name, value in params.items() if name not in _OWN_PARAMETERS}
        )
        if not fitted:
            return local
        left_out = {*params, "stop_training", "n_replicas_", "_state", "history_"}
        vars(local).update({k: v for k, v in vars(self).items() if k not in left_out})
        history = copy.deepcopy(getattr(self, "history_", {})) if state else {}
        local.history_ = history
        if state and hasattr(self, "_state"):
            local._state = dataclasses.replace(self._state, history=history)
        return local

    def save(self, path: Path, *, training_state: bool = False) -> None:
        """Save the fitted estimator; `fastsoftmax.load_model` and `load` of either class read it.

        Parameters
        ----------
        path : path
            The file, by custom with the ending ".safetensors". It appears whole or not at all.
        training_state : bool, default False
            Save also what `fit(..., resume_from=path)` needs.

        Raises
        ------
        ValueError, OSError
            As `fastsoftmax.SoftmaxRegression.save` does.
        """
        check_is_fitted(self, "classes_")
        self._as_local().save(path, training_state=training_state)

    def __sklearn_clone__(self):
        """Return an unfitted copy with the same client: connections are not copied."""
        params = self._as_local(fitted=False)
        params = {name: clone(value, safe=False) for name, value in params.get_params().items()}
        own = {name: getattr(self, name) for name in _OWN_PARAMETERS}
        return type(self)(**params, **own)

    def __getstate__(self):
        """Leave the client out: a connection cannot be pickled."""
        return {**super().__getstate__(), "client": None}


def _facts(cluster, partitions, estimator, *, reset):
    """Return the numbers and the Facts of the partitions that have rows."""
    calls = [
        task(facts_of, *part, estimator, reset, number, name="inspect")
        for number, part in enumerate(partitions)
    ]
    futures = cluster.start(calls)
    found = cluster.gather(futures)
    cluster.require_recomputable(futures)
    numbers = [number for number, facts in enumerate(found) if facts is not None]
    if not numbers:
        raise ValueError("X must have at least one row, got only empty partitions")
    return numbers, [found[number] for number in numbers]


def _read_by(cluster, partitions, numbers, plan, keeps, held):
    """Return partitions that are kept in memory, or read anew each round."""
    if keeps:
        return Kept(cluster, partitions, numbers, plan, held)
    return Streamed(cluster, partitions, numbers, plan)


def _train_of(partitions, facts, held_share=None):
    """Return the Train of partitions, less those without a row to learn from.

    `facts` tell how many rows there are and what they weigh; None has them counted.
    """
    if facts is None:
        sizes = partitions.sizes()
    else:
        sizes = [(each.n_used, each.weight) for each in facts]
    places = [place for place, (n_rows, _) in enumerate(sizes) if n_rows]
    if not places:
        if held_share is not None:
            raise ValueError(
                "early_stopping needs more rows: validation_fraction leaves none to learn from"
            )
        raise ValueError("class_weight and sample_weight must not be zero for all rows")
    n_rows = [sizes[place][0] for place in places]
    partitions.keep(places, n_rows)
    weights = {(leaf, leaf + 1): sizes[place][1] for leaf, place in enumerate(places)}
    return Train(partitions, sum(n_rows), tree_sum(weights, len(places)))
