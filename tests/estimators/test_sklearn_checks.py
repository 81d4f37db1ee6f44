import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastsoftmax as fs

ESTIMATORS = [
    fs.SoftmaxRegression(),
    fs.SoftmaxRegression(solver="sgd", learning_rate_init=0.1),
    fs.MLPClassifier((20,), max_iter=100, learning_rate_init=0.01),
    fs.MLPClassifier((10, 10), max_iter=100, learning_rate_init=0.01),
]


@pytest.mark.filterwarnings("ignore:lbfgs did not converge")
@pytest.mark.filterwarnings("ignore:every row of y has exactly one 1")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
