"""Multilayer perceptron: fully connected ReLU layers under a softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.utils.validation import check_is_fitted

from ._base import SoftmaxClassifier
from ._checks import fitted_network, hidden_sizes
from ._network import Network, glorot_network
from ._other_names import answers_other_names
from ._steps import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._types import (
        Array,
        Batch,
        ClassWeight,
        Scale,
        Schedule,
        Seed,
        Solver,
    )


class MLPClassifier(SoftmaxClassifier):
    """Fully connected network of ReLU layers, trained by cross-entropy.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default (128,)
        Units of each hidden layer.
    solver : {"adam", "sgd", "lbfgs"}, default "adam"
        "sgd" uses Nesterov's momentum; "lbfgs" is SciPy's L-BFGS-B over all rows, for small data.
    alpha : float, default 0.0
        L2 penalty 0.5 * alpha * sum(W**2), divided by the rows of a batch (of the data under
        lbfgs).
    class_weight : dict, "balanced" or None, default None
        Factor of the loss of each class; "balanced" makes them weigh the same in total.
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
    max_iter : int, default 200
        Epochs, or iterations of lbfgs.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        Adam's decay rates of the two moments.
    epsilon : float, default 1e-7
        Adam's term in the denominator.
    momentum : float in [0, 1], default 0.9
        SGD's momentum.
    tol : float, default 1e-4
        Training stops when the loss (with early_stopping, the validation accuracy) has not improved
        by more for `n_iter_no_change` epochs; lbfgs when no entry of the gradient is larger.

    Attributes
    ----------
    coefs_ : list of ndarray, shapes (n_in, n_out)
    intercepts_ : list of ndarray, shapes (n_out,)
    classes_ : ndarray, shape (n_classes,)
    history_ : dict of lists
        "loss" (without penalty) and "accuracy" of every epoch; "val_loss" and "val_accuracy" if
        validated.
    n_iter_ : int
        Epochs or iterations done.
    converged_ : bool
        Whether training has ended by `tol`: the loss or the validation accuracy stood still, or no
        entry of lbfgs's gradient was larger. Where it has not, `fit` warns.
    max_gradient_ : float
        The largest absolute entry of the gradient at the weights as they are stored, computed in
        double; after lbfgs.
    input_scale_ : float
    temperature_ : float
        What logits are divided by before they become probabilities: 1 until `calibrate` is called.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If X had names.

    Notes
    -----
    y of shape (n, k) with 0 and 1 is multi-label: one sigmoid a column. Two classes share one
    sigmoid. Initial weights are Glorot's uniform, biases 0.

    scikit-learn's estimator checks pass where the options let it learn their data, but for three: with
    solver="lbfgs" and no alpha, predict_log_proba is exact where the logarithm of predict_proba is
    -inf; early_stopping holds out whole rows, so that a weight of 2 is not the row twice, and stops
    before classes with weights of 1000 and 0.0001 are learnt.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoftmax as fs
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> clf = fs.MLPClassifier((16,), learning_rate_init=0.1, random_state=0)
    >>> clf.fit(X, ["equal", "different", "different", "equal"]).predict(X)
    array(['equal', 'different', 'different', 'equal'], dtype='<U9')
    """

    coefs_: list[Array]
    intercepts_: list[Array]

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

    def summary(self) -> None:
        """Print the layers of the fitted network: units, shapes of the weights, parameters.

        Examples
        --------
        >>> import fastsoftmax as fs
        >>> clf = fs.MLPClassifier((16,), random_state=0).fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
        >>> clf.summary()
        MLPClassifier: 2 features, 2 classes, float64
        layer     function  units  weights  parameters
        hidden 1  ReLU         16   2 x 16          48
        output    sigmoid       1   16 x 1          17
        total                                       65
        """
        check_is_fitted(self, "classes_")
        network = fitted_network(self)
        function = "sigmoid" if self._labels.logistic else "softmax"
        what = "labels" if self._labels.is_multilabel else "classes"
        lines = [("layer", "function", "units", "weights", "parameters")]
        total, last = 0, len(network.coefs) - 1
        for i, (coef, intercept) in enumerate(zip(*network, strict=True)):
            name, f = ("output", function) if i == last else (f"hidden {i + 1}", "ReLU")
            n_parameters = coef.size + intercept.size
            total += n_parameters
            shape = f"{coef.shape[0]} x {coef.shape[1]}"
            lines.append((name, f, str(intercept.size), shape, f"{n_parameters:,}"))
        lines.append(("total", "", "", "", f"{total:,}"))
        w = [max(len(line[i]) for line in lines) for i in range(5)]
        print(
            f"{type(self).__name__}: {self.n_features_in_} features, {len(self.classes_)} {what}, "
            f"{network.dtype}"
        )
        for a, b, c, d, e in lines:
            print(f"{a:{w[0]}}  {b:{w[1]}}  {c:>{w[2]}}  {d:>{w[3]}}  {e:>{w[4]}}")

    def _sizes(self, n_features, n_outputs):
        return (n_features, *hidden_sizes(self.hidden_layer_sizes), n_outputs)

    def _initial(self, sizes, dtype, rng):
        return glorot_network(sizes, dtype, rng)

    def _rule(self, weight, batch_size):
        decay = self.alpha / batch_size
        return Rule(self.solver, self.beta_1, self.beta_2, self.epsilon, self.momentum, decay)

    def _penalties(self, weight):
        return self.alpha / weight, 0.0

    _solvers = ("adam", "sgd", "lbfgs")
    _coefs_are_turned = False

    def _layers(self):
        coefs, intercepts = self._both("coefs_", "intercepts_")
        for name, arrays in (("coefs_", coefs), ("intercepts_", intercepts)):
            if not isinstance(arrays, (list, tuple)) or not arrays:
                raise ValueError(f"{name} must be a list of arrays, got {type(arrays).__name__}")
        if len(coefs) != len(intercepts):
            raise ValueError(
                f"coefs_ and intercepts_ must have one array a layer, "
                f"got {len(coefs)} and {len(intercepts)}"
            )
        return [
            (f"coefs_[{i}]", coef, f"intercepts_[{i}]", intercept)
            for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True))
        ]

    @property
    def _network(self):
        return Network(*self._both("coefs_", "intercepts_"))

    def _store(self, network):
        vars(self).update(coefs_=list(network.coefs), intercepts_=list(network.intercepts))
