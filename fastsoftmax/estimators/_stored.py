"""How estimators come from and go to elsewhere: model files, and scikit-learn's estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.utils.validation import check_is_fitted

from . import _storage
from ._from_sklearn import from_sklearn

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from typing_extensions import Self

    from ._types import Path


class Stored:
    """Saving, loading, and taking over the weights of a fitted estimator of scikit-learn's."""

    def save(self, path: Path, *, training_state: bool = False) -> None:
        """Save the fitted estimator as safetensors with JSON metadata; nothing is pickled.

        Parameters
        ----------
        path : path
            The file, by custom with the ending ".safetensors". It appears whole or not at all,
            whoever else writes or reads it. A new file gets the permissions that every new file
            gets; one that is replaced keeps its own.
        training_state : bool, default False
            Save also what `fit(..., resume_from=path)` needs: the optimiser's state and the best
            weights.

        Raises
        ------
        ValueError
            If `path` leads to a device, a pipe or a folder, the classes cannot be written, or a
            fitted attribute has been changed to what cannot be: the error names it.
        RuntimeError
            If `training_state` is asked for while another thread fits this estimator.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self, "classes_")
        _storage.save(self, path, training_state)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the estimator that `save` has written.

        Parameters
        ----------
        path : path

        Returns
        -------
        estimator of this class

        Raises
        ------
        ValueError
            If the file is not a whole model of this class; the error names the field or array that
            is wrong.
        OSError
            If it cannot be read.

        See Also
        --------
        fastsoftmax.load_model : Read a model of either class.
        """
        return _storage.load(path, cls)

    @classmethod
    def from_sklearn(cls, fitted: BaseEstimator) -> Self:
        """Return an estimator with the weights of a fitted one from scikit-learn.

        Parameters
        ----------
        fitted : LogisticRegression for SoftmaxRegression, MLPClassifier for MLPClassifier
            The network must have ReLU layers, the regression one softmax over all classes.

        Returns
        -------
        estimator of this class

        Raises
        ------
        TypeError, ValueError
            If `fitted` is of another class, or a model that this class cannot express.
        """
        return from_sklearn(cls(), fitted)
