"""scikit-learn's own tests of LogisticRegression, run with SoftmaxRegression in its place.

Those that ask for what scikit-learn alone has are listed with the reason, and must fail.
"""

import importlib.util
import types

import pytest
import sklearn.linear_model

import fastsoftmax as fs

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore:The default value for l1_ratios.*:FutureWarning"),
]

THEIR_SOLVERS = ("liblinear", "newton-cg", "sag", "saga")
SOLVER = f"needs one of the solvers {', '.join(THEIR_SOLVERS)}"
PENALTY = "needs the parameter penalty"
OF_THEIRS = {
    "test_LogisticRegression_elastic_net_objective": SOLVER,
    "test_check_solver_option": "expects the words of scikit-learn's messages",
    "test_elastic_net_coeffs": SOLVER,
    "test_elastic_net_l1_l2_equivalence": PENALTY,
    "test_elastic_net_versus_sgd": SOLVER,
    "test_elastic_net_vs_l1_l2": SOLVER,
    "test_elasticnet_l1_ratio_err_helpful": PENALTY,
    "test_l1_ratio_non_elasticnet": SOLVER,
    "test_liblinear_decision_function_zero": SOLVER,
    "test_liblinear_dual_random_state": "needs the parameter dual",
    "test_liblinear_multiclass_raises": SOLVER,
    "test_liblinear_not_stuck": SOLVER,
    "test_liblinear_with_large_values": SOLVER,
    "test_logistic_cv_multinomial_score": "needs the parameter n_jobs",
    "test_logistic_regression_callback_support[0]": "expects a task for an iteration that "
    "max_iter=0 does not run",
    "test_logistic_regression_callback_support_warning": SOLVER,
    "test_logistic_regression_class_weights": SOLVER,
    "test_logistic_regression_solvers": SOLVER,
    "test_logistic_regression_solvers_multiclass": SOLVER,
    "test_logistic_regression_solvers_multiclass_unpenalized": SOLVER,
    "test_logisticregression_liblinear_sample_weight": "needs the parameter dual",
    "test_logisticregression_warns_with_n_jobs": "needs the parameter n_jobs",
    "test_logreg_l1": SOLVER,
    "test_logreg_predict_proba_multinomial": "calls the private method _predict_proba_lr",
    "test_lr_penalty_l1ratio_incompatible": PENALTY,
    "test_penalty_deprecated": PENALTY,
    "test_penalty_none": PENALTY,
    "test_saga_vs_liblinear": SOLVER,
    "test_sample_and_class_weight_equivalence_liblinear": SOLVER,
    "test_single_feature_newton_cg": SOLVER,
    "test_warm_start_converge_LR": SOLVER,
}


def with_default(solver):
    """Return a SoftmaxRegression with this default, called as scikit-learn's tests do."""
    ours = fs.SoftmaxRegression.__init__.__wrapped__
    init = types.FunctionType(ours.__code__, ours.__globals__, "__init__")
    init.__kwdefaults__ = {**ours.__kwdefaults__, "solver": solver}
    return type("LogisticRegression", (fs.SoftmaxRegression,), {"__init__": init})


def suite_with(solver):
    """Return scikit-learn's test module, imported with our class in LogisticRegression's place."""
    spec = importlib.util.find_spec("sklearn.linear_model.tests.test_logistic")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.linear_model, "LogisticRegression", with_default(solver))
        spec.loader.exec_module(module)
    return module


def collect(solver):
    """Make the tests that are about LogisticRegression, on NumPy's arrays, tests of this module."""
    for name, test in vars(suite_with(solver)).items():
        if name.startswith("test_") and "array_api" not in name and is_about_ours(test):
            globals()[f"test_{solver.replace('-', '_')}_{name[5:]}"] = test


def is_about_ours(test):
    """Whether a test reads the name of the class, and none of LogisticRegressionCV's."""
    read = {*test.__code__.co_names, *test.__code__.co_varnames}
    if read & {"LogisticRegressionCV", "_logistic_regression_path"}:
        return "problem" in read  # whose parameter says which of the two it is
    return bool(read & {"LogisticRegression", "LR", "Estimator", "est"})


pytest.importorskip("sklearn.callback", reason="the list is that of scikit-learn 1.9")
collect("lbfgs")
collect("newton-cholesky")


@pytest.fixture
def global_random_seed():
    """Return what scikit-learn's suite takes by default."""
    return 42


@pytest.fixture(autouse=True)
def _expect_what_is_theirs(request):
    """Expect the failure of a test that needs what scikit-learn alone has."""
    node = request.node
    name = f"test_{node.name.removeprefix('test_lbfgs_').removeprefix('test_newton_cholesky_')}"
    parameters = node.callspec.params.values() if hasattr(node, "callspec") else ()
    if any(value in ("cv", sklearn.linear_model.LogisticRegressionCV) for value in parameters):
        pytest.skip("about LogisticRegressionCV")
    reason = OF_THEIRS.get(name) or OF_THEIRS.get(name.split("[")[0])
    if any(value in THEIR_SOLVERS for value in parameters):
        reason = SOLVER
    if reason is not None:
        node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
