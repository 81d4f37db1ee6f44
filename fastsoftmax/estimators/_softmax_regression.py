"""Softmax regression: multinomial logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from ._base import SoftmaxClassifier
from ._checks import MOST_PENALTY, fitted_network, names_of
from ._network import Network, zero_network
from ._other_names import answers_other_names
from ._sparse import to_dense
from ._steps import Rule

if TYPE_CHECKING:
    import pandas
    from typing_extensions import Self

    from ._types import (
        Array,
        Batch,
        ClassWeight,
        Scale,
        Schedule,
        Seed,
        Solver,
    )


def _dense(coef):
    """Return coef_ as an array, also after `sparsify`."""
    if type(coef) is not np.ndarray and sparse.issparse(coef):
        return to_dense(coef, "coef_")
    return coef


class SoftmaxRegression(SoftmaxClassifier):
    """Linear classifier: softmax of ``X @ coef_.T + intercept_``; logistic regression for two classes.

    Minimises the mean cross-entropy plus, with W the coefficients and weights summing to n::

        ((1 - l1_ratio) / 2 * sum(W**2) + l1_ratio * sum(abs(W))) / (C * n)

    which is the objective of scikit-learn's LogisticRegression.

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the penalty; np.inf for none.
    l1_ratio : float in [0, 1], default 0.0
        0 is L2, 1 is L1, between them lies the elastic net. Above 0 the solver is lbfgs.
    fit_intercept : bool, default True
        Whether `intercept_` is learned, or stays 0.
    class_weight : dict, "balanced" or None, default None
        Factor of the loss of each class; "balanced" makes them weigh the same in total.
    solver : {"auto", "lbfgs", "newton-cholesky", "adam", "sgd"}, default "auto"
        "newton-cholesky" is Newton's method with the whole Hessian, in double: few iterations, for
        data of any scale; where its Hessian is singular or too large it warns and goes on with
        lbfgs. "lbfgs" is SciPy's L-BFGS-B over all rows. "auto" takes Newton's method for few
        parameters (1000 and less, while an iteration is cheap) and lbfgs else. "adam" and "sgd"
        take batches and offer partial_fit.
    max_iter : int, default 100
        Iterations of lbfgs and newton-cholesky, 0 for the weights before the first; epochs of adam
        and sgd.
    tol : float, default 1e-4
        lbfgs and newton-cholesky stop when no entry of the gradient is larger; adam and sgd when the loss (with
        early_stopping, the validation accuracy) has not improved by more for `n_iter_no_change`
        epochs.
    batch_size : int or "auto", default "auto"
        Rows a batch; "auto" is min(200, n_rows).
    learning_rate_init : float, default 1e-3
        Learning rate of the first epoch.
    learning_rate : {"constant", "invscaling", "cosine"} or callable, default "constant"
        How the rate develops: divided by sqrt(epoch + 1); half a cosine wave towards 0 over
        max_iter; or a function of the epoch, counted from 0, that returns the rate.
    label_smoothing : float in [0, 1], default 0.0
        Share of each target that is spread over all classes.
    early_stopping : bool, default False
        Stop when the validation accuracy does not improve, and restore the best weights. Validates
        on X_val, y_val if `fit` gets them, else on a stratified share of the data.
    validation_fraction : float in (0, 1), default 0.1
        That share.
    n_iter_no_change : int, default 10
        Epochs without improvement before training stops.
    warm_start : bool, default False
        Whether `fit` starts from the weights of the last fit.
    input_scale : float or "auto", default "auto"
        What X is multiplied with as it is read; "auto" is 1/255 for images, that is uint8 of more
        than two axes, and 1 for all else.
    random_state : int, RandomState or None, default None
        Makes a fit reproducible, bit for bit, for every number of threads.
    verbose : int, default 0
        1 prints a line per epoch.

    Attributes
    ----------
    coef_ : ndarray, shape (n_classes, n_features); (1, n_features) for two classes
    intercept_ : ndarray, shape (n_classes,) or (1,)
    classes_ : ndarray, shape (n_classes,)
    history_ : dict of lists
        "loss" (without penalty) and "accuracy" of every epoch; "val_loss" and "val_accuracy" if
        validated.
    n_iter_ : ndarray of int, shape (1,)
        Epochs or iterations done.
    converged_ : bool
        Whether training has ended by `tol`: the loss or the validation accuracy stood still, or no
        entry of the gradient was larger (lbfgs, newton-cholesky). Where it has not, `fit` warns.
    max_gradient_ : float
        The largest absolute entry of the gradient at the weights as they are stored, computed in
        double; after lbfgs and newton-cholesky.
    input_scale_ : float
    temperature_ : float
        What logits are divided by before they become probabilities: 1 until `calibrate` is called.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If X had names.

    Notes
    -----
    y of shape (n, k) with 0 and 1 is multi-label: one sigmoid a column. SGD uses Nesterov's
    momentum of 0.9, Adam beta_1=0.9, beta_2=0.999 and epsilon=1e-7.

    scikit-learn's estimator checks pass, but for one with solver="adam": it gives classes weights of
    1000 and 0.0001, too lopsided for 1000 steps of the default learning_rate_init.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
    >>> clf = fs.SoftmaxRegression().fit(X, y)
    >>> clf.predict([[0.5], [2.5]])
    array(['low', 'high'], dtype='<U4')
    """

    coef_: Array
    intercept_: Array

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

    def coef_table(self) -> pandas.DataFrame:
        """Return the coefficients under the names of features and classes.

        Returns
        -------
        pandas.DataFrame
            A row for each feature (`feature_names_in_`, else x0, x1 and so on) and one for the
            intercept; a column for each class, or for the second of two.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> import fastsoftmax as fs
        >>> clf = fs.SoftmaxRegression().fit([[0.0], [1.0], [2.0]], ["a", "b", "c"])
        >>> clf.coef_table().round(2)
                        a     b     c
        x0          -0.62  0.00  0.62
        (intercept)  0.58  0.08 -0.66
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("coef_table() needs pandas: pip install pandas") from error
        check_is_fitted(self, "coef_")
        network = fitted_network(self)
        n_features, n_outputs = network.sizes
        names = names_of(self, n_features) or [f"x{i}" for i in range(n_features)]
        return pd.DataFrame(
            np.vstack([network.coefs[0], network.intercepts[0]]),
            index=[*names, "(intercept)"],
            columns=self.classes_[-n_outputs:].tolist(),  # pandas has no index of float16
        )

    def sparsify(self) -> Self:
        """Keep `coef_` as a CSR matrix: less memory where most of it is 0, as under an L1 penalty.

        Every prediction makes an array of it again, and `save` writes one.

        Returns
        -------
        self
        """
        check_is_fitted(self, "coef_")
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self) -> Self:
        """Keep `coef_` as an array again.

        Returns
        -------
        self
        """
        check_is_fitted(self, "coef_")
        self.coef_ = _dense(self.coef_)
        return self

    @property
    def _fit_intercept(self):
        return self.fit_intercept

    def _sizes(self, n_features, n_outputs):
        return (n_features, n_outputs)

    def _initial(self, sizes, dtype, rng):
        return zero_network(sizes, dtype)

    def _rule(self, weight, batch_size):
        decay = self._strength(weight) if weight else 0.0
        return Rule(self.solver, decay=decay, fit_intercept=self.fit_intercept)

    def _strength(self, weight):
        """Return the factor of the penalty for rows of this total weight."""
        product = self.C * weight
        if product < 1 / MOST_PENALTY:
            raise ValueError(
                f"C must be at least {1 / MOST_PENALTY:g} / the total weight of the rows, "
                f"{weight:g}, got {self.C!r}"
            )
        return 1 / product

    def _penalties(self, weight):
        strength = self._strength(weight)
        return (1 - self.l1_ratio) * strength, self.l1_ratio * strength

    _solvers = ("auto", "lbfgs", "newton-cholesky", "adam", "sgd")
    _coefs_are_turned = True

    def _count(self, n_iter):
        self.n_iter_ = np.array([n_iter], dtype=np.int32)

    def _layers(self):
        coef, intercept = self._both("coef_", "intercept_")
        return [("coef_", _dense(coef), "intercept_", intercept)]

    @property
    def _network(self):
        coef, intercept = self._both("coef_", "intercept_")
        return Network([_dense(coef).T], [intercept])

    def _store(self, network):
        vars(self).update(coef_=network.coefs[0].T, intercept_=network.intercepts[0])
