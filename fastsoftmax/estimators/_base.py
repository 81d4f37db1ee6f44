"""What both estimators share: the way from the user's data to a fit, and storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state

from . import _newton, _storage
from ._checks import (
    BATCH_SOLVERS,
    check_options,
    classes_of,
    fitted_network,
    refuse_masked,
    scale_of,
    state_of,
)
from ._data import Problem, Rows, Split, computing_dtype, weighted_rows
from ._full_batch import Iterations
from ._inputs import (
    check_family,
    check_fit_X,
    fit_input_scale,
    hold_out,
    row_weights,
    stacked,
    validation_split,
    warn_of_bytes,
)
from ._loop import Epochs
from ._losses import loss_for
from ._other_names import answers_other_names, hint_for
from ._prediction import Prediction
from ._progress import Reporter
from ._state import FitState, OptimizerState
from ._stored import Stored
from ._targets import Labels, find_labels, read_targets
from ._tasks import CallbackSupportMixin, tasks_of, with_callbacks
from .callbacks import CallbackList, training

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import Self

    from ._types import ArrayLike, Callbacks, Function, NDArray, Path
    from ._types import Rows as UserRows

    def available_if(check: Callable[[SoftmaxClassifier], bool]) -> Callable[[Function], Function]:
        """As scikit-learn, which has no types, would declare it."""
        ...

else:
    from sklearn.utils.metaestimators import available_if


def _has_batches(estimator):
    """Tell scikit-learn's `available_if` whether partial_fit exists."""
    if estimator.solver not in BATCH_SOLVERS:
        raise AttributeError(
            f"partial_fit needs solver='adam' or 'sgd', got solver={estimator.solver!r}"
        )
    return True


class SoftmaxClassifier(Prediction, Stored, CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """A network whose outputs are classes; subclasses say how large it is and keep its weights.

    They define `_sizes(n_features, n_outputs)`, `_initial(sizes, dtype, rng)`,
    `_rule(n_rows_weight, batch_size)`, `_penalties(weight)` for lbfgs as (l2, l1), `_network` (the
    fitted Network) and `_store(network)`.
    """

    classes_: NDArray
    history_: dict[str, list[float]]
    n_iter_: int
    input_scale_: float
    temperature_: float

    _fit_intercept = True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        return tags

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, as scikit-learn's estimators do.

        Parameters
        ----------
        **params
            Names of parameters and their values.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no parameter of a name.
        """
        unknown = [name for name in params if name not in self._get_param_names()]
        try:
            return super().set_params(**params)
        except ValueError as error:
            hint = unknown and hint_for(unknown[0], type(self), type(self).__init__)
            if not hint:
                raise
            message = str(error).removesuffix(".")
            raise ValueError(f"{message}. For {unknown[0]!r}: {hint}") from None

    def __getstate__(self):
        """Return what copies and pickles have, as of one moment: another thread may be fitting."""
        state = dict(super().__getstate__())
        state.pop("stop_training", None)
        return state

    # Training

    @answers_other_names
    @with_callbacks
    def fit(
        self,
        X: UserRows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: UserRows | None = None,
        y_val: ArrayLike | None = None,
        callbacks: Callbacks = None,
        resume_from: Path | None = None,
    ) -> Self:
        """Learn from the rows of X.

        Parameters
        ----------
        X : array_like or CSR, shape (n_rows, ...)
            float32 and float64 keep their dtype; uint8 images are read as they are, times
            input_scale; axes after the first are flattened.
        y : array_like, shape (n_rows,) or (n_rows, n_labels)
            Classes (numbers or strings), or labels 0 and 1.
        sample_weight : array_like, shape (n_rows,), optional
            Factor of the loss of each row. A row of weight 0 takes no part, but its X must be
            finite like all others.
        X_val, y_val : array_like, optional
            Data to validate on after every epoch.
        callbacks : list of Callback, optional
            See `fastsoftmax.estimators.callbacks`.
        resume_from : path, optional
            A checkpoint of an interrupted fit with the same options and data; the result has the
            bits of an uninterrupted one. Not for lbfgs.

        Returns
        -------
        self
        """
        with training(self):
            self._fit(X, y, sample_weight, X_val, y_val, callbacks, resume_from)
        return self

    @available_if(_has_batches)
    @answers_other_names
    def partial_fit(
        self,
        X: UserRows,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train one epoch on some more rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array_like, shape (n_classes,)
            All classes that will ever occur; needed by the first call.

        Returns
        -------
        self
        """
        return self._partial_fit(X, y, classes, sample_weight)

    def _fit(self, X, y, sample_weight, X_val, y_val, callbacks, resume_from):
        check_options(self)
        n_features = getattr(self, "n_features_in_", None)
        given = stacked(X)
        X, y = self._read(given, y, reset=True)
        labels = find_labels(y, type(self).__name__)
        previous = self._previous_network(labels, n_features) if self.warm_start else None
        self._learn_shape(given, X, labels)
        weights = row_weights(self, X, y, labels, sample_weight)
        state = self._start(previous, X, resume_from)
        train = weighted_rows(Split(Rows(X, self.input_scale_), labels.encode(y), weights))
        validation = validation_split(self, X_val, y_val, labels)
        if validation is None:
            train, validation = hold_out(self, train, labels, y, state.seed)
        by_batches = self.solver in BATCH_SOLVERS
        tasks = tasks_of(self, X, y, sample_weight, self.max_iter, by_batches=by_batches)
        problem = Problem(train, validation, self._loss)
        self._train(problem, state, self.max_iter, callbacks, tasks)

    def _previous_network(self, labels, n_features):
        """Return the network that a warm start goes on from; None before the first fit."""
        if not hasattr(self, "classes_"):
            return None
        last = self._labels
        if not np.array_equal(labels.classes, last.classes):
            raise ValueError(
                f"warm_start needs the classes of the last fit, {last.classes}, "
                f"got {labels.classes}"
            )
        if labels.is_multilabel != last.is_multilabel:
            raise ValueError("warm_start needs y of the kind of the last fit: labels, or classes")
        return fitted_network(self, finite=True, n_features=n_features)

    def _read(self, X, y, *, reset):
        """Return X and y, checked; finite values of X included."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        X = check_fit_X(self, X, reset=reset)
        y = read_targets(y)
        if X.shape[0] != len(y):
            check_consistent_length(X, y)
        return X, y

    def _take(self, state):
        """Make what training has reached the fitted attributes."""
        self._store(state.network)
        self._count(state.epoch)

    def _both(self, weights, biases):
        """Return two attributes of one epoch, also while another thread trains."""
        fitted = vars(self)
        while True:
            first, second = fitted.get(weights), fitted.get(biases)
            if first is fitted.get(weights):
                return first, second

    def _count(self, n_iter):
        self.n_iter_ = n_iter

    def _learn_shape(self, given, X, labels):
        """Set what the fitted estimator knows of its data: X, and as the user has given it."""
        self.classes_ = labels.classes
        self.multilabel_ = labels.is_multilabel
        self.temperature_ = 1.0
        self.input_scale_ = fit_input_scale(self.input_scale, given)
        self._fitted_on_uint8 = bool(X.dtype == np.uint8)
        warn_of_bytes(self.input_scale, given, X)

    @property
    def _labels(self):
        is_multilabel = getattr(self, "multilabel_", None)
        if type(is_multilabel) is not bool:
            raise ValueError(f"multilabel_ must be True or False, got {is_multilabel!r}")
        return Labels(classes_of(self), is_multilabel)

    @property
    def _loss(self):
        return loss_for(self._labels)(self.label_smoothing)

    def _start(self, previous, X, resume_from=None):
        """Return the state before the first epoch: fresh, warm, or read from a checkpoint."""
        if resume_from is not None:
            if self.solver not in BATCH_SOLVERS:
                raise ValueError(f"resume_from must be None with solver={self.solver!r}")
            return _storage.load_training_state(self, resume_from, X.dtype)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        sizes = self._sizes(X.shape[1], self._labels.n_outputs)
        dtype = computing_dtype(X.dtype)
        if previous is None:
            network = self._initial(sizes, dtype, np.random.default_rng((seed, 0)))
        elif previous.sizes == sizes:
            network = previous.astype(dtype)
        else:
            raise ValueError(
                f"warm_start needs the layers of the last fit, {previous.sizes}, got {sizes}"
            )
        return FitState(network, OptimizerState.zeros(network), seed)

    def _batch_size(self, n_rows):
        return min(200 if isinstance(self.batch_size, str) else self.batch_size, n_rows)

    def _train(self, problem, state, n_epochs, callbacks, tasks):
        """Run the solver and keep what it reached."""
        n_rows = problem.train.n_rows
        batch_size = self._batch_size(n_rows)
        told = {
            "epochs": n_epochs,
            "samples": n_rows,
            "batch_size": batch_size,
            "verbose": self.verbose,
        }
        hooks = CallbackList(callbacks, self, told, tasks)
        self._state = state
        self._take(state)
        self.history_, self.converged_ = state.history, False
        weight = problem.train.total_weight
        vars(self).pop("max_gradient_", None)
        if self.solver not in BATCH_SOLVERS:
            reporter = Reporter(self.verbose, n_epochs, "Iteration")
            penalties, intercept = self._penalties(weight), self._fit_intercept
            iterations = Iterations(self, problem, state, penalties, intercept, hooks, reporter)
            iterations.run(self._full_batch_solver(problem), n_epochs)
        else:
            reporter = Reporter(self.verbose, n_epochs)
            rule = self._rule(weight, batch_size)
            epochs = Epochs(self, problem, state, rule, batch_size, hooks, reporter)
            epochs.run(n_epochs)
            epochs.warn_unless_converged(n_epochs)
        self._count(max(min(1, n_epochs), state.epoch))

    def _full_batch_solver(self, problem):
        """Return the solver that "auto" stands for: Newton's method for few parameters."""
        if self.solver != "auto":
            return self.solver
        sizes = self._state.network.sizes
        l1 = self._penalties(problem.train.total_weight)[1]
        few = _newton.pays(problem.train.n_rows, *sizes, problem.loss.logistic)
        return "newton-cholesky" if few and not l1 else "lbfgs"

    def _partial_fit(self, X, y, classes, sample_weight):
        with training(self):
            self._partial_fit_alone(X, y, classes, sample_weight)
        return self

    def _partial_fit_alone(self, X, y, classes, sample_weight):
        check_options(self)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight must be a dict or None for partial_fit, which does not know how often "
                f"each class will occur, got {self.class_weight!r}"
            )
        first = not hasattr(self, "classes_")
        given = stacked(X)
        X, y = self._read(given, y, reset=first)
        if first:
            self._learn_shape(given, X, self._first_labels(y, classes))
            self._state = self._start(None, X)
            self._take(self._state)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes must be those of the first call, {self.classes_}, got {classes}"
            )
        scale = scale_of(self, "input_scale_")
        check_family(self, given, X.dtype)
        labels = self._labels
        targets = labels.encode(y)
        weights = row_weights(self, X, y, labels, sample_weight)
        network = fitted_network(self, finite=True)
        self._state = state_of(self, network)
        self._state.network = network
        rows = Rows(X, scale, network.dtype)
        self._train_once(Problem(weighted_rows(Split(rows, targets, weights)), None, self._loss))

    def _first_labels(self, y, classes):
        """Return the Labels that the first call of partial_fit tells."""
        if classes is None:
            raise ValueError("classes must be passed to the first call of partial_fit")
        refuse_masked(classes, "classes")
        y_all = y if y.ndim == 2 else np.unique(np.asarray(classes))
        return find_labels(y_all, type(self).__name__)

    def _train_once(self, problem):
        """Run one epoch over what partial_fit was given; early stopping takes no part."""
        state = self._state
        state.forget_best()
        quiet = Reporter(0, state.epoch + 1)
        batch_size = self._batch_size(problem.train.n_rows)
        rule = self._rule(problem.train.total_weight, batch_size)
        hooks = CallbackList(None, self, {})
        self.history_, self.converged_ = state.history, False
        self._take(state)
        epochs = Epochs(self, problem, state, rule, batch_size, hooks, quiet)
        epochs.run(state.epoch + 1)
        state.held = epochs.step.held
        self._count(state.epoch)
