import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastsoftmax as fs

TOO_SHORT_STEPS = "1000 steps of 0.001, one an epoch, do not reach weights as lopsided as 1e7 to 1"
SATURATED = (
    "without a penalty separable classes get logits beyond 40: predict_log_proba is exact where "
    "predict_proba rounds to 0 or 1"
)
HELD_OUT = "a row of weight 2 is held out as a whole, two equal rows need not be"
STANDS_STILL = "the accuracy stands still for 20 epochs before weights as lopsided are learnt"

ESTIMATORS = {
    fs.SoftmaxRegression(): {},
    fs.SoftmaxRegression(solver="lbfgs"): {},
    fs.SoftmaxRegression(solver="newton-cholesky"): {},
    fs.SoftmaxRegression(C=0.1, l1_ratio=0.5): {},
    fs.SoftmaxRegression(solver="adam"): {"check_class_weight_classifiers": TOO_SHORT_STEPS},
    fs.SoftmaxRegression(solver="sgd", learning_rate_init=0.1): {},
    fs.MLPClassifier((20,), max_iter=100, learning_rate_init=0.01): {},
    fs.MLPClassifier((10, 10), max_iter=100, learning_rate_init=0.01): {},
    fs.MLPClassifier((5,), max_iter=50, learning_rate_init=0.05, early_stopping=True): {
        "check_sample_weight_equivalence_on_dense_data": HELD_OUT,
        "check_sample_weight_equivalence_on_sparse_data": HELD_OUT,
        "check_class_weight_classifiers": STANDS_STILL,
    },
    fs.MLPClassifier((5,), max_iter=50, solver="lbfgs", alpha=1e-2): {},
    fs.MLPClassifier((20,), solver="lbfgs"): {"check_classifiers_train": SATURATED},
}


def expected_failures(estimator):
    """Failures that SoftmaxRegression's and MLPClassifier's docstrings state."""
    return next(
        failures for known, failures in ESTIMATORS.items() if repr(known) == repr(estimator)
    )


@pytest.mark.filterwarnings("ignore:.*(did not|failed to) converge")
@pytest.mark.filterwarnings("ignore:every row of y has exactly one 1")
@parametrize_with_checks(list(ESTIMATORS), expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
