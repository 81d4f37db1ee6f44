"""Bad options and bad data get clear errors."""

import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastsoftmax as fs


def test_unused_parameters_do_not_exist():
    for name in ("activation", "n_jobs", "penalty"):
        for estimator in (fs.SoftmaxRegression, fs.MLPClassifier):
            with pytest.raises(TypeError, match="unexpected keyword"):
                estimator(**{name: 1})


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"solver": "newton"},
            ValueError,
            "solver must be one of .*'adam', 'sgd'.*, got 'newton'",
        ),
        ({"learning_rate": "fast"}, ValueError, "learning_rate must be one of"),
        ({"learning_rate_init": 0}, ValueError, r"learning_rate_init must be finite and in \(0"),
        ({"tol": -1}, ValueError, "tol must be"),
        ({"max_iter": 0, "solver": "adam"}, ValueError, "max_iter must be at least 1, got 0"),
        ({"max_iter": -1, "solver": "lbfgs"}, ValueError, "max_iter must be at least 0, got -1"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be an integer, got 1.5"),
        ({"batch_size": "big"}, TypeError, "batch_size must be an integer"),
        ({"label_smoothing": 2}, ValueError, "label_smoothing must be"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction must be less than 1"),
        ({"early_stopping": "yes"}, TypeError, "early_stopping must be True or False"),
        ({"input_scale": "max"}, TypeError, "input_scale must be a real number"),
    ],
)
@pytest.mark.parametrize("estimator", [fs.SoftmaxRegression, fs.MLPClassifier])
def test_options_out_of_range(estimator, options, error, words, images):
    with pytest.raises(error, match=words):
        estimator(**options).fit(*images())


def test_options_of_one_estimator(images):
    data = images()
    for options, words in [
        ({"C": 0}, "C must be"),
        ({"l1_ratio": 0.5, "solver": "sgd"}, "l1_ratio > 0 needs"),
    ]:
        with pytest.raises(ValueError, match=words):
            fs.SoftmaxRegression(**options).fit(*data)
    with pytest.raises(ValueError, match="hidden_layer_sizes must be at least 1"):
        fs.MLPClassifier((3, 0)).fit(*data)
    with pytest.raises(TypeError, match="hidden_layer_sizes"):
        fs.MLPClassifier("big").fit(*data)


def test_partial_fit_needs_classes_and_batches(images):
    X, y = images()
    with pytest.raises(ValueError, match="classes must be passed to the first call"):
        fs.MLPClassifier().partial_fit(X, y)
    assert not hasattr(fs.SoftmaxRegression(), "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        fs.SoftmaxRegression().partial_fit(X, y)


def test_bad_data_gets_clear_words(make, images):
    X, y = images()
    clf = make(max_iter=1)
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        clf.fit(bad, y)
    with pytest.raises(ValueError, match="one class: 0"):
        clf.fit(X, np.zeros(len(X), int))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clf.fit(X, y[:-1])
    with pytest.raises(NotFittedError):
        clf.predict(X)
    clf.fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        clf.predict(bad)
    with pytest.raises(ValueError, match="40 features"):
        clf.predict(X[:, :-1])
    with pytest.raises(ValueError, match="together"):
        clf.fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="got 11 at row 0"):
        clf.fit(X, y, X_val=X[:1], y_val=[11])
    texts = np.array(["a", "b"] * len(X), object)[: len(X)]
    with pytest.raises(ValueError, match="one class: 'a'"):
        clf.fit(X, texts[::2].repeat(2)[: len(X)])
    with pytest.raises(ValueError, match="got 'c' at row 0"):
        clf.fit(X, texts, X_val=X[:1], y_val=np.array(["c"], object))


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (
            lambda X, y: fs.MLPClassifier(epochs=3),
            "MLPClassifier got an unexpected .* 'epochs': use max_iter",
        ),
        (lambda X, y: fs.SoftmaxRegression(penalty="l1"), "'penalty': use C and l1_ratio"),
        (
            lambda X, y: fs.SoftmaxRegression().fit(X, y, epochs=3),
            "fit got an .* 'epochs': use max_iter",
        ),
        (
            lambda X, y: fs.MLPClassifier().fit(X, y, validation_data=(X, y)),
            "'validation_data': use X_val and y_val",
        ),
    ],
)
def test_names_of_other_libraries_are_answered_with_ours(call, meant):
    with pytest.raises(TypeError, match=meant):
        call([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize(
    ("sizes", "error"),
    [(None, TypeError), (3.5, TypeError), ("big", TypeError), ((2**40,), ValueError)],
)
def test_sizes_of_layers(sizes, error, images):
    with pytest.raises(error, match=r"^hidden_layer_sizes must be"):
        fs.MLPClassifier(sizes).fit(*images(30))


def test_a_warm_start_on_other_targets(images):
    X, y = images(30, n_classes=3)
    estimator = fs.SoftmaxRegression(warm_start=True, max_iter=50).fit(X, y)
    with pytest.raises(ValueError, match="warm_start needs y of the kind of the last fit"):
        estimator.fit(X, np.arange(90).reshape(30, 3) % 2)
    with pytest.raises(ValueError, match="warm_start needs the classes of the last fit"):
        estimator.fit(X, y + 1)


def test_y_must_be_there(make, images):
    with pytest.raises(ValueError, match=r"requires y to be passed"):
        make().fit(images(30)[0], None)


def test_weights_that_leave_nothing(make, images):
    X, y = images(30)
    with pytest.raises(ValueError, match=r"must not be zero for all rows|at least one non-zero"):
        make().fit(X, y, sample_weight=np.zeros(30))
    with pytest.raises(ValueError, match="class_weight and sample_weight must not be zero for all"):
        make(class_weight=dict.fromkeys(range(5), 0.0)).fit(X, y)
    with pytest.raises(ValueError, match="class_weight must be None for multi-label y"):
        make(class_weight="balanced").fit(X, np.arange(90).reshape(30, 3) % 2)


def test_validation_data_of_two_lengths(make, images):
    X, y = images(30)
    with pytest.raises(ValueError, match=r"^y_val must have 30 rows like X_val, got 29"):
        make().fit(X, y, X_val=X, y_val=y[:29])


def test_targets_of_another_kind(make, images):
    X, y = images(30)
    Y = np.arange(90).reshape(30, 3) % 2
    with pytest.raises(ValueError, match=r"^y must have shape \(n_rows,\), got \(30, 3\)"):
        make(max_iter=1).fit(X, y).evaluate(X, Y)
    labels = make(max_iter=1).fit(X, Y)
    for wrong, words in (
        (Y[:, :2], r"^y must have shape \(n_rows, 3\), got \(30, 2\)"),
        (Y * 2, "must contain only 0 and 1"),
    ):
        with pytest.raises(ValueError, match=words):
            labels.evaluate(X, wrong)
    with pytest.raises(ValueError, match="must contain only 0 and 1"):
        make().fit(X, Y * 3)


def test_sparse_labels(make, images):
    X, Y = images(30)[0], np.arange(90).reshape(30, 3) % 2
    sparse = pytest.importorskip("scipy.sparse")
    want = make(max_iter=2, random_state=0).fit(X, Y).predict_proba(X)
    got = make(max_iter=2, random_state=0).fit(X, sparse.csr_array(Y)).predict_proba(X)
    np.testing.assert_array_equal(got, want)


def test_a_checkpoint_of_a_figure_that_is_not_there(make, images, tmp_path):
    saves = fs.estimators.callbacks.ModelCheckpoint(
        tmp_path / "model", monitor="val_loss", save_best_only=True
    )
    with pytest.raises(KeyError, match="monitor must be one of loss"):
        make(max_iter=1).fit(*images(30), callbacks=[saves])


def test_top_k_of_two_classes(make, images):
    X, y = images(60, n_classes=2)
    estimator = make(max_iter=3, random_state=0).fit(X, y)
    figures = estimator.evaluate(X, y, top_k=1)
    assert figures["top_1_accuracy"] == estimator.score(X, y)
    both = np.exp(estimator.predict_log_proba(X))
    np.testing.assert_allclose(both, estimator.predict_proba(X), rtol=1e-5)


def test_a_table_of_weights_needs_pandas(images, monkeypatch):
    estimator = fs.SoftmaxRegression(max_iter=50).fit(*images(60))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas: pip install pandas"):
        estimator.coef_table()


def test_what_scikit_learn_trained_with_one_model_per_class(images):
    linear_model = pytest.importorskip("sklearn.linear_model")
    fitted = linear_model.LogisticRegression().fit(*images(60))
    fitted.solver = "liblinear"
    with pytest.raises(ValueError, match="one softmax over all classes"):
        fs.SoftmaxRegression.from_sklearn(fitted)


@pytest.mark.parametrize("make", [fs.SoftmaxRegression, fs.MLPClassifier])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_subclasses_with_options_of_their_own(make, images):
    class Shorter(make):
        def __init__(self, *, max_iter=3, note="none"):
            super().__init__(max_iter=max_iter, random_state=0)
            self.note = note

    X, y = images()
    clf = Shorter().fit(X, y)
    whole = make(max_iter=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), whole.predict_proba(X))
    with pytest.raises(ValueError, match="max_iter must be"):
        Shorter(max_iter=-1).fit(X, y)
    clf.solver = "newest"
    with pytest.raises(ValueError, match="solver must be one of"):
        clf.fit(X, y)
