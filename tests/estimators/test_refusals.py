"""Bad options and bad data get clear errors."""

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
