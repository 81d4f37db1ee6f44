"""Weights of scikit-learn's own estimators."""

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.neural_network import MLPClassifier
from sklearn.utils.validation import check_is_fitted

from ._checks import fitted_network, refuse_masked
from ._network import Network
from ._sparse import to_dense
from ._state import FitState, OptimizerState

_SOURCES = {
    "SoftmaxRegression": (LogisticRegression, LogisticRegressionCV),
    "MLPClassifier": (MLPClassifier,),
}


def _linear_network(fitted):
    one_vs_rest = getattr(fitted, "multi_class", None) == "ovr" or fitted.solver == "liblinear"
    if one_vs_rest and len(fitted.classes_) > 2:
        raise ValueError("fitted must be one softmax over all classes, got one model per class")
    coef = fitted.coef_
    coef = to_dense(coef, "coef_") if sparse.issparse(coef) else coef
    coef = _copied(coef, "coef_").T
    return Network([coef], [_copied(fitted.intercept_, "intercept_", coef.dtype)]), False


def _mlp_network(fitted):
    if fitted.activation != "relu" and len(fitted.coefs_) > 1:
        raise ValueError(f"fitted must have activation='relu', got {fitted.activation!r}")
    multilabel = fitted.out_activation_ == "logistic" and fitted.n_outputs_ > 1
    coefs = [_copied(coef, "coefs_") for coef in fitted.coefs_]
    intercepts = [_copied(intercept, "intercepts_") for intercept in fitted.intercepts_]
    return Network(coefs, intercepts), multilabel


def _copied(weights, name, dtype=None):
    """Return a copy of weights, which no later change of `fitted` reaches."""
    refuse_masked(weights, name)
    return np.array(weights, dtype=dtype, order="C")


def _common_params(estimator, fitted):
    """Return the options that both have, where ours takes the value."""
    theirs = fitted.get_params(deep=False)
    names = {"class_weight", "fit_intercept", "max_iter", "tol", "warm_start", "hidden_layer_sizes"}
    names |= {"alpha", "beta_1", "beta_2", "momentum", "learning_rate_init", "n_iter_no_change"}
    mine = estimator.get_params(deep=False)
    params = {name: theirs[name] for name in names if name in theirs and name in mine}
    if theirs.get("solver") in ("lbfgs", "adam", "sgd"):
        params["solver"] = theirs["solver"]
    if isinstance(theirs.get("C"), float):
        params["C"] = theirs["C"]
    return params


def from_sklearn(estimator, fitted):
    """Give `estimator` the weights of `fitted`."""
    sources = _SOURCES[type(estimator).__name__]
    if not isinstance(fitted, sources):
        names = " or ".join(source.__name__ for source in sources)
        raise TypeError(f"fitted must be a {names}, got {type(fitted).__name__}")
    check_is_fitted(fitted)
    linear = estimator._coefs_are_turned
    network, multilabel = (_linear_network if linear else _mlp_network)(fitted)
    # scikit-learn reads images as they are: a fixed factor of 1 takes every dtype.
    estimator.set_params(**_common_params(estimator, fitted), input_scale=1.0)
    estimator.classes_ = np.array(fitted.classes_)
    estimator.multilabel_, estimator._fitted_on_uint8 = multilabel, False
    estimator.input_scale_ = estimator.temperature_ = 1.0
    estimator.n_features_in_ = fitted.n_features_in_
    if hasattr(fitted, "feature_names_in_"):
        estimator.feature_names_in_ = fitted.feature_names_in_
    n_iter = int(np.max(fitted.n_iter_, initial=0))
    estimator._count(n_iter)
    estimator.history_ = {}
    estimator.converged_ = n_iter < estimator.max_iter
    estimator._store(network)
    fitted_network(estimator, finite=True)
    estimator._state = FitState(network, OptimizerState.zeros(network), 0)
    estimator._state.history = estimator.history_
    return estimator
