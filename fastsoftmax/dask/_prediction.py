"""What a fitted estimator says about Dask collections: lazily, partition by partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from .._validate import integer
from ..estimators._checks import TOTAL_WEIGHTS, fitted_network, n_features_of
from ..estimators._other_names import answers_other_names
from . import _tasks
from ._cluster import Cluster, shared, task
from ._collections import is_lazy, partitions_of, pieces_of, require_whole_rows
from ._tree import tree_sum

if TYPE_CHECKING:
    from typing import Any


class LazyPrediction:
    """Prediction on Dask collections; what lies in memory goes to the class of one machine."""

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each row, or the labels of each row as 0 and 1.

        Parameters
        ----------
        X : Dask array or data frame, list of delayed pieces, or array_like; shape (n_rows, ...)

        Returns
        -------
        Dask array, shape (n_rows,); (n_rows, n_labels) for multi-label
            Lazy, with the chunks of X; those of a data frame are of unknown length. A list of
            delayed pieces gives such a list, rows in memory an ndarray.
        """
        shape = (len(self.classes_),) if self._is_fitted_on_labels() else ()
        return self._lazily("predict", X, shape)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, or of each label.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        Dask array, shape (n_rows, n_classes)
            Lazy, as from `predict`.
        """
        check_is_fitted(self, "classes_")
        return self._lazily("predict_proba", X, (len(self.classes_),))

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        Dask array, shape (n_rows, n_classes)
            Lazy, as from `predict`.
        """
        check_is_fitted(self, "classes_")
        return self._lazily("predict_log_proba", X, (len(self.classes_),))

    def decision_function(self, X: Any) -> Any:
        """Return the logits.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        Dask array, shape (n_rows, n_classes); (n_rows,) for two classes
            Lazy, as from `predict`.
        """
        check_is_fitted(self, "classes_")
        return self._lazily(
            "decision_function", X, () if self._is_binary else (self._labels.n_outputs,)
        )

    def _is_fitted_on_labels(self):
        check_is_fitted(self, "classes_")
        return self._labels.is_multilabel

    def _lazily(self, method, X, shape):
        """Return what a method says about X; `shape` is that of one row of it."""
        if not is_lazy(X):
            return getattr(super(), method)(X)
        local = self._as_local(state=False)
        n_bytes = _n_bytes(local)
        meta = np.empty((0, *shape), _tasks.dtype_of(local, method))
        name = method.replace("_", "-")
        if isinstance(X, da.Array):
            require_whole_rows(X, "X")
            self._require_features(X)
            model = shared(local, len(X.chunks[0]), n_bytes, "model")
            return X.map_blocks(
                _tasks.predict_blocks,
                model,
                method=method,
                shape=shape,
                drop_axis=list(range(1, X.ndim)),
                new_axis=list(range(1, 1 + len(shape))),
                chunks=(X.chunks[0], *((n,) for n in shape)),
                dtype=meta.dtype,
                meta=meta,
                name=None,
                token=name,
            )
        self._require_columns(X)
        pieces = pieces_of(X, "X").pieces
        model = shared(local, len(pieces), n_bytes, "model")
        calls = [task(_tasks.predict_with, model, x, method, shape, name=name) for x in pieces]
        if isinstance(X, (list, tuple)):
            return calls
        parts = [da.from_delayed(call, (np.nan, *shape), meta=meta) for call in calls]
        return da.concatenate(parts, allow_unknown_chunksizes=True)

    def _require_features(self, X):
        """Raise at once, not when something is computed, if the rows of an array have another length."""
        n_features, expected = np.prod(X.shape[1:]), n_features_of(self)
        if X.ndim > 1 and n_features != expected and not np.isnan(n_features):
            raise ValueError(
                f"X has {n_features:.0f} features, but {type(self).__name__} is expecting "
                f"{expected} features as input"
            )

    def _require_columns(self, X):
        """Raise at once if a data frame has not the columns that the estimator was fitted on."""
        if not hasattr(X, "columns"):
            return
        meta = X._meta
        if getattr(self, "feature_names_in_", None) is not None:
            validate_data(self, meta, reset=False, skip_check_array=True)
        self._require_features(meta)

    # Scores

    @answers_other_names
    def evaluate(
        self, X: Any, y: Any, sample_weight: Any = None, *, top_k: int | None = None
    ) -> dict[str, float]:
        """Return mean loss and accuracy on other data, computed by the workers.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; or all three in memory.
        top_k : int, optional
            Report also how often the right class is among the `top_k` most probable ones.

        Returns
        -------
        dict
            "loss" and "accuracy", and "top_{k}_accuracy".

        Raises
        ------
        ValueError
            As `fastsoftmax.SoftmaxRegression.evaluate` does; or if the sum of the weights is beyond
            1e304, or below 1e-300.
        """
        if not is_lazy(X):
            return super().evaluate(X, y, sample_weight, top_k=top_k)
        check_is_fitted(self, "classes_")
        if top_k is not None:
            integer(top_k, "top_k", low=1)
        local, cluster = self._as_local(state=False), Cluster(self.client_)
        partitions, _ = partitions_of(X, y, sample_weight)
        model = shared(local, len(partitions), _n_bytes(local), "model")
        calls = [task(_tasks.score_of, model, *part, top_k, name="score") for part in partitions]
        found = cluster.results(calls)
        sums = tree_sum({(i, i + 1): one for i, one in enumerate(found)}, len(found))
        if not sums.tally.weight:
            raise ValueError("X must have rows of positive weight, got none")
        low, high = TOTAL_WEIGHTS
        if not low <= sums.tally.weight <= high:
            raise ValueError(
                f"sample_weight must have a sum in [{low:g}, {high:g}], got {sums.tally.weight:g}"
            )
        figures = sums.tally.means
        if top_k is not None:
            figures[f"top_{top_k}_accuracy"] = float(sums.arrays[0] / sums.tally.weight)
        return figures

    @answers_other_names
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, computed by the workers.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; or all three in memory.

        Returns
        -------
        float
            Share of the rows (of the weight) whose class is predicted; of multi-label rows, whose
            labels all are.
        """
        if not is_lazy(X):
            return super().score(X, y, sample_weight)
        return self.evaluate(X, y, sample_weight)["accuracy"]

    @answers_other_names
    def calibrate(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit `temperature_`, which all logits are divided by before they become probabilities.

        The logits of X, (n_rows, n_classes), are gathered at the client: a part of the data that was
        not trained on is enough.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; or all three in memory.

        Returns
        -------
        self
        """
        if is_lazy(X):
            sample_weight = _gathered(self.client_, sample_weight)
        return super().calibrate(X, y, sample_weight)

    def _logits_and_targets(self, X, y):
        if not is_lazy(X):
            return super()._logits_and_targets(X, y)
        cluster = Cluster(self.client_)
        partitions, _ = partitions_of(X, y, None)
        local = self._as_local(state=False)
        model = shared(local, len(partitions), _n_bytes(local), "model")
        calls = [
            task(_tasks.logits_of, model, part.X, part.y, name="logits") for part in partitions
        ]
        found = [pair for pair in cluster.results(calls) if pair is not None]
        if not found:
            raise ValueError("X must have at least one row, got only empty partitions")
        logits, targets = zip(*found, strict=True)
        return np.concatenate(logits), np.concatenate(targets)


def _gathered(client, value):
    """Return a collection of one number a row as an array in memory."""
    if value is None or not is_lazy(value):
        return value
    pieces = pieces_of(value, "sample_weight").pieces
    return np.concatenate(
        Cluster(client).results([task(np.asarray, x, name="gather") for x in pieces])
    )


def _n_bytes(estimator):
    """Return the size of a fitted network, of which each array is checked."""
    return sum(array.nbytes for array in fitted_network(estimator).arrays)
