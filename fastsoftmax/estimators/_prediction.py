"""What a fitted estimator says about rows, and how good that is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_consistent_length

from .._validate import integer
from ._checks import fitted_network, refuse_masked, scale_of
from ._compiled import (
    all_finite,
    compiled_logits,
    kernels_for_logits,
    logits_of,
    logits_of_few,
)
from ._inputs import needs_nothing, predict_rows, weights_of_a_mean
from ._losses import loss_for, tally_of
from ._other_names import answers_other_names
from ._targets import read_targets

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._types import Array, ArrayLike, NDArray, Rows

TEMPERATURES = (0.01, 100.0)
"""Between these `calibrate` looks for the temperature."""


class Prediction:
    """Prediction, evaluation and calibration, from the logits of the fitted network."""

    def _logits(self, X):
        """Return the logits of every row, (n_rows, n_outputs)."""
        return self._logits_and_labels(X)[0]

    def _logits_and_labels(self, X, *, any_range=False):
        """Return the logits of every row, all finite unless `any_range`, and the Labels that they stand for."""
        if needs_nothing(self, X):
            try:
                labels = self._labels
                logits = logits_of_few(self._network, X, labels.n_outputs)
            except (AttributeError, LookupError, TypeError, ValueError):
                logits = None  # the general way says what is wrong
            if logits is not None:
                return logits, labels
        rows, unchecked = predict_rows(self, X)
        logits, rows_are_finite, is_finite = self._logits_of(rows)
        if unchecked and not rows_are_finite:
            check_array(rows.X, dtype=None, input_name="X", estimator=self)
        if not is_finite:
            fitted_network(self, finite=True)
            if not any_range:
                require_range(logits)
        return logits, self._labels

    def _logits_of(self, rows):
        """Return what `logits_of` does, with the fitted network as it is now."""
        n_outputs = self._labels.n_outputs
        try:
            network = self._network
            module = kernels_for_logits(network, rows)
            if module is not None:
                return compiled_logits(module, network, rows, n_outputs)
        except (AttributeError, LookupError, TypeError, ValueError):
            pass  # the next line says what is wrong with it
        return logits_of(fitted_network(self), rows, n_outputs)

    def decision_function(self, X: Rows) -> Array:
        """Return the logits.

        Parameters
        ----------
        X : array_like, shape (n_rows, ...)

        Returns
        -------
        ndarray, shape (n_rows, n_classes); (n_rows,) for two classes

        Raises
        ------
        ValueError
            If the logits of a row leave the range of the weights' dtype.
        """
        logits = self._logits(X)
        return logits[:, 0] if self._is_binary else logits

    @property
    def _is_binary(self):
        labels = self._labels
        return labels.logistic and not labels.is_multilabel

    def predict(self, X: Rows) -> NDArray:
        """Return the most probable class of each row, or the labels of each row as 0 and 1.

        Parameters
        ----------
        X : array_like, shape (n_rows, ...)

        Returns
        -------
        ndarray, shape (n_rows,); (n_rows, n_labels) for multi-label

        Raises
        ------
        ValueError
            If the logits of a row leave the range of the weights' dtype.
        """
        logits, labels = self._logits_and_labels(X)
        return labels.decode(logits)

    def predict_proba(self, X: Rows) -> Array:
        """Return the probability of each class, or of each label.

        Parameters
        ----------
        X : array_like, shape (n_rows, ...)

        Returns
        -------
        ndarray, shape (n_rows, n_classes)

        Raises
        ------
        ValueError
            If the logits of a row leave the range of the weights' dtype.
        """
        logits, labels = self._logits_and_labels(X)
        probs = loss_for(labels).probabilities(self._tempered(logits))
        return probs.astype(logits.dtype, copy=False)

    def predict_log_proba(self, X: Rows) -> Array:
        """Return the logarithm of `predict_proba`, exact where probabilities are too small for it.

        Parameters
        ----------
        X : array_like, shape (n_rows, ...)

        Returns
        -------
        ndarray, shape (n_rows, n_classes)

        Raises
        ------
        ValueError
            If the logits of a row leave the range of the weights' dtype.
        """
        logits, labels = self._logits_and_labels(X)
        log_probs = loss_for(labels).log_probabilities(self._tempered(logits))
        with np.errstate(over="ignore"):
            return log_probs.astype(logits.dtype, copy=False)

    def _tempered(self, logits):
        temperature = vars(self).get("temperature_")
        if type(temperature) is float and temperature == 1.0:
            return logits
        temperature = scale_of(self, "temperature_")
        with np.errstate(all="ignore"):
            tempered = logits / logits.dtype.type(temperature)
            if temperature < 1 and not np.isfinite(tempered).all():
                return _clipped(self._labels, logits, temperature)
        return tempered

    def _logits_and_targets(self, X, y):
        """Return the logits of X, which may be infinite, and the targets that the loss reads, both checked."""
        logits, _ = self._logits_and_labels(X, any_range=True)
        y = read_targets(y)
        check_consistent_length(logits, y)
        return logits, self._labels.encode(y)

    @answers_other_names
    def evaluate(
        self,
        X: Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        top_k: int | None = None,
    ) -> dict[str, float]:
        """Return mean loss and accuracy on other data, as Keras names them.

        Parameters
        ----------
        X : array_like, shape (n_rows, ...)
        y : array_like, shape (n_rows,) or (n_rows, n_labels)
        sample_weight : array_like, shape (n_rows,), optional
        top_k : int, optional
            Report also how often the right class is among the `top_k` most probable ones.

        Returns
        -------
        dict
            "loss" and "accuracy" (of multi-label rows: all labels right), and "top_{k}_accuracy".

        Raises
        ------
        ValueError
            If `y` has a class that the estimator was not fitted on, or a weight is negative or NaN,
            or all weights are 0, or the logits of a row of positive weight leave the range of the
            weights' dtype.
        """
        logits, targets = self._logits_and_targets(X, y)
        weights = weights_of_a_mean(sample_weight, logits)
        require_range(logits, weights)
        tempered = self._tempered(logits)
        figures = tally_of(self._loss, tempered, targets, weights, untempered=logits).means
        if top_k is not None:
            among = ranks(self._labels, logits, targets) < integer(top_k, "top_k", low=1)
            figures[f"top_{top_k}_accuracy"] = float(np.average(among, weights=weights))
        return figures

    def score(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy on other data; of multi-label rows all labels have to be right.

        Parameters
        ----------
        X : array_like, shape (n_rows, ...)
        y : array_like, shape (n_rows,) or (n_rows, n_labels)
        sample_weight : array_like, shape (n_rows,), optional

        Returns
        -------
        float

        Raises
        ------
        TypeError
            If `y` or `sample_weight` has masked values.
        ValueError
            If `y` has missing ones.
        """
        refuse_masked(sample_weight, "sample_weight")
        return super().score(X, read_targets(y), sample_weight)

    @answers_other_names
    def calibrate(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit `temperature_`, which all logits are divided by before they become probabilities.

        It minimises the loss on data that was not used for training, so that among rows predicted
        with a probability of 0.8 about 80 % are right. Predicted classes do not change.

        Parameters
        ----------
        X : array_like, shape (n_rows, ...)
        y : array_like, shape (n_rows,) or (n_rows, n_labels)
        sample_weight : array_like, shape (n_rows,), optional

        Returns
        -------
        self

        Warns
        -----
        ConvergenceWarning
            If the best temperature lies at or beyond 0.01 or 100, where the search ends: the rows
            are predicted without a fault, or no better than by chance.

        Notes
        -----
        Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
        """
        logits, targets = self._logits_and_targets(X, y)
        weights = weights_of_a_mean(sample_weight, logits)
        require_range(logits, weights)
        logits = logits.astype(np.float64)
        loss = type(self._loss)()

        def mean_loss(log_temperature):
            return tally_of(loss, logits / np.exp(log_temperature), targets, weights).means["loss"]

        bounds = np.log(TEMPERATURES)
        found = optimize.minimize_scalar(
            mean_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}
        )
        self.temperature_ = float(np.exp(found.x))
        nearest = int(np.argmin(np.abs(bounds - found.x)))
        if abs(bounds[nearest] - found.x) < 1e-4:
            self.temperature_ = TEMPERATURES[nearest]
            warnings.warn(
                f"calibrate() has ended at temperature_={self.temperature_:g}, the bound of its "
                "search: calibrate on rows that were not used for training, and on more of them",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self


def require_range(logits, weights=None):
    """Raise about the first row, unless its weight is 0, whose logits are not finite though X is."""
    if all_finite(logits):
        return
    is_right = np.isfinite(logits).all(axis=1)
    if weights is not None:
        is_right |= weights == 0
    if not is_right.all():
        row = is_right.argmin()
        raise ValueError(
            f"X must give logits within the range of {logits.dtype}, got {logits[row]!s:.80} at row {row}: "
            "its values are too large for the fitted weights"
        )


def _clipped(labels, logits, temperature):
    """Return logits / temperature in double, for quotients that leave the range of their dtype.

    Those that leave the range of double stay at its ends. Under softmax the largest logit of each
    row is subtracted before, so that this one stays what it is.
    """
    logits = logits.astype(np.float64)
    if not labels.logistic:
        logits -= logits.max(axis=1, keepdims=True)
    bound = np.finfo(np.float64).max
    return np.clip(logits / temperature, -bound, bound)


def ranks(labels, logits, targets):
    """Return how many classes are more probable than the right one; ties go to the first."""
    if labels.is_multilabel:
        raise ValueError("top_k must be None for multi-label y")
    if labels.logistic:
        return ((logits[:, 0] > 0) != targets[:, 0]).astype(int)
    right = np.take_along_axis(logits, targets[:, np.newaxis].astype(np.intp), axis=1)
    before = np.arange(logits.shape[1]) < targets[:, np.newaxis]
    return ((logits > right) | ((logits == right) & before)).sum(axis=1)
