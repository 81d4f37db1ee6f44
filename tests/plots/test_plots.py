"""Histories, confusion matrices, weights and reliability diagrams: what is drawn, what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import fastsoftmax as fs
from fastsoftmax.plots import (
    plot_class_weights,
    plot_coefficients,
    plot_confusion_matrix,
    plot_decision_regions,
    plot_history,
    plot_reliability,
)


def labelled(ax):
    return {line.get_label(): line.get_ydata() for line in ax.lines}


# History


def test_history_draws_the_figures_of_each_epoch(iris):
    X, y = iris
    clf = fs.MLPClassifier((4,), max_iter=7, random_state=0).fit(X, y, X_val=X[::3], y_val=y[::3])
    axes = plot_history(clf)
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", name)
        drawn = labelled(ax)
        assert list(drawn) == ["training", "validation"]
        np.testing.assert_array_equal(drawn["training"], clf.history_[name])
        np.testing.assert_array_equal(drawn["validation"], clf.history_[f"val_{name}"])
        assert ax.lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert [text.get_text() for text in ax.get_legend().get_texts()] == list(drawn)


def test_history_of_lbfgs_counts_iterations(linear):
    axes = plot_history(linear)
    assert axes[0].get_xlabel() == "iteration"
    assert axes[0].get_legend() is None
    assert len(axes[0].lines[0].get_xdata()) == linear.n_iter_


def test_history_as_a_dict():
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 2)
    assert list(plot_history({"loss": [2, 1], "accuracy": [0, 1]}, ax=axes)) == list(axes)
    assert labelled(axes[0])["training"].tolist() == [2, 1]
    assert len(plot_history({"loss": [2.0]})) == 1


@pytest.mark.parametrize(
    ("history", "error", "message"),
    [
        (3, TypeError, "history must be a fitted estimator or a dict, got int"),
        (fs.SoftmaxRegression, TypeError, "history must be a fitted estimator"),
        ({}, ValueError, "must have 'loss' or 'accuracy', got"),
        ({"loss": []}, ValueError, "at least one epoch"),
        ({"loss": [1], "val_loss": [1, 2]}, ValueError, "lists of one length"),
        (fs.MLPClassifier(), NotFittedError, "not fitted"),
    ],
)
def test_history_refused(history, error, message):
    with pytest.raises(error, match=message):
        plot_history(history)


def test_history_needs_axes_for_both(linear):
    from matplotlib.figure import Figure

    with pytest.raises(ValueError, match="ax must hold 2 Axes, one for each panel, got 1"):
        plot_history(linear, ax=Figure().add_subplot())
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes, got int"):
        plot_history(linear, ax=[1, 2])


# Confusion matrix


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix_shows_the_counts(iris, linear, normalize):
    from sklearn.metrics import confusion_matrix

    X, y = iris
    ax = plot_confusion_matrix(linear, X, y, normalize=normalize)
    expected = confusion_matrix(y, linear.predict(X), normalize=normalize)
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    assert [float(text.get_text()) for text in ax.texts] == pytest.approx(
        expected.ravel(), abs=0.005
    )
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "setosa",
        "versicolor",
        "virginica",
    ]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_confusion_matrix_keeps_classes_without_rows(iris, linear):
    X, y = iris
    ax = plot_confusion_matrix(linear, X[:50], y[:50], class_names=["a", "b", "c"])
    assert ax.images[0].get_array().shape == (3, 3)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b", "c"]


def test_confusion_matrix_of_many_classes_leaves_out_the_numbers(rng):
    y = np.arange(60) % 30
    clf = fs.SoftmaxRegression(max_iter=500).fit(rng.normal(size=(60, 3)), y)
    assert not plot_confusion_matrix(clf, rng.normal(size=(60, 3)), y).texts


def test_confusion_matrix_refused(iris, linear):
    X, y = iris
    with pytest.raises(ValueError, match="normalize must be one of 'true', 'pred', 'all' or None"):
        plot_confusion_matrix(linear, X, y, normalize="rows")
    with pytest.raises(ValueError, match="a name for each of 3 classes, got 2"):
        plot_confusion_matrix(linear, X, y, class_names=["a", "b"])
    with pytest.raises(ValueError, match="a name for each of 3 classes, got 5"):
        plot_confusion_matrix(linear, X, y, class_names=5)
    with pytest.raises(ValueError, match="y must have 150 rows like X, got 2"):
        plot_confusion_matrix(linear, X, y[:2])
    with pytest.raises(ValueError, match="got 'rose' at row 0"):
        plot_confusion_matrix(linear, X[:1], ["rose"])
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes, got str"):
        plot_confusion_matrix(linear, X, y, ax="here")


# Weights


def test_class_weights_are_the_images(rng):
    X, y = rng.normal(size=(60, 6)), np.array(["x", "y", "z"] * 20)
    clf = fs.SoftmaxRegression(max_iter=500).fit(X, y)
    axes = plot_class_weights(clf, shape=(2, 3))
    images = [ax.images[0] for ax in axes]
    for ax, image, row in zip(axes, images, clf.coef_, strict=True):
        np.testing.assert_array_equal(image.get_array(), row.reshape(2, 3))
        assert ax.get_title() in "xyz"
    limits = {image.get_clim() for image in images}  # one scale, with 0 in the middle
    assert limits == {(-np.abs(clf.coef_).max(), np.abs(clf.coef_).max())}


def test_class_weights_of_two_classes(rng):
    X, y = rng.normal(size=(20, 4)), np.array([False, True] * 10)
    (ax,) = plot_class_weights(fs.SoftmaxRegression().fit(X, y), class_names=["cat", "dog"])
    assert ax.get_title() == "dog (red) against cat (blue)"
    assert ax.images[0].get_array().shape == (2, 2)


def test_class_weights_refused(linear, network):
    with pytest.raises(ValueError, match="shape must be given: 2 features make no square image"):
        plot_class_weights(linear)
    with pytest.raises(ValueError, match=r"shape must make an image of 2 features, got \(3, 1\)"):
        plot_class_weights(linear, shape=(3, 1))
    with pytest.raises(ValueError, match="shape must be"):
        plot_class_weights(linear, shape=2)
    with pytest.raises(TypeError, match="fig must be a matplotlib Figure, got int"):
        plot_class_weights(linear, shape=(1, 2), fig=3)
    with pytest.raises(TypeError, match=r"model must be linear, .* got MLPClassifier"):
        plot_class_weights(network)


def table_of(rng, n_features=4):
    """Return a table and a model of it; `sparsify` is no obstacle to a picture."""
    import pandas as pd

    columns = [f"column ${i}" for i in range(n_features)]
    X = pd.DataFrame(
        rng.normal(size=(60, n_features)) * np.arange(1, n_features + 1), None, columns
    )
    y = np.array(["ankle boot", "bag", "coat"] * 20)
    return X, y, fs.SoftmaxRegression(max_iter=500).fit(X, y).sparsify()


def texts(labels):
    return [label.get_text() for label in labels]


def test_coefficients_have_the_names_of_a_table(rng):
    X, _, clf = table_of(rng)
    weights = clf.coef_.toarray().T
    for shown, expected in [
        (plot_coefficients(clf), weights),
        (plot_coefficients(clf, X), weights * X.to_numpy().std(axis=0)[:, np.newaxis]),
    ]:
        assert texts(shown.get_xticklabels()) == ["ankle boot", "bag", "coat"]
        assert texts(shown.get_yticklabels()) == [f"column \\${i}" for i in range(4)]
        np.testing.assert_allclose(shown.images[0].get_array(), expected)
        assert [float(text) for text in texts(shown.texts)] == [
            float(f"{weight:.2g}") for weight in expected.ravel()
        ]
    ax = plot_coefficients(clf, feature_names=["abcd"] * 4, class_names=["x", "y", "z"])
    assert texts(ax.get_xticklabels()) == ["x", "y", "z"]
    assert texts(ax.get_yticklabels()) == ["abcd"] * 4


def test_the_pictures_of_a_table_have_its_names(rng):
    X, y, clf = table_of(rng, 2)
    matrix = plot_confusion_matrix(clf, X, y)
    assert texts(matrix.get_yticklabels()) == ["ankle boot", "bag", "coat"]
    regions = plot_decision_regions(clf, X, y)
    assert (regions.get_xlabel(), regions.get_ylabel()) == (r"column \$0", r"column \$1")
    assert texts(regions.get_legend().get_texts())[:3] == ["ankle boot", "bag", "coat"]
    assert plot_class_weights(clf, shape=(1, 2))[0].get_title() == "ankle boot"


def test_coefficients_of_many_features_are_the_largest(rng):
    X, _, clf = table_of(rng, 60)
    ax = plot_coefficients(clf, X)
    assert ax.get_title() == "40 of 60 features: the largest weights"
    weights = np.abs(clf.coef_.toarray() * X.to_numpy().std(axis=0)).max(axis=0)
    names = [f"column \\${i}" for i in np.sort(np.argsort(-weights)[:40])]
    assert texts(ax.get_yticklabels()) == names


def test_coefficients_of_two_classes(rng):
    X, y = rng.normal(size=(20, 3)), np.array([False, True] * 10)
    ax = plot_coefficients(fs.SoftmaxRegression().fit(X, y), class_names=["cat", "dog"])
    assert texts(ax.get_xticklabels()) == ["dog (red) against cat (blue)"]
    assert texts(ax.get_yticklabels()) == ["x0", "x1", "x2"]


def test_coefficients_refused(linear, network):
    with pytest.raises(TypeError, match=r"model must be linear, .* got MLPClassifier"):
        plot_coefficients(network)
    with pytest.raises(ValueError, match=r"X must have shape \(n_rows, 2\), got \(3, 5\)"):
        plot_coefficients(linear, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="feature_names must be 2 names, got 1"):
        plot_coefficients(linear, feature_names=["x"])
    with pytest.raises(ValueError, match="feature_names must be 2 names, got 'xy'"):
        plot_coefficients(linear, feature_names="xy")
    with pytest.raises(ValueError, match="class_names must have a name for each"):
        plot_coefficients(linear, class_names=["x"])
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes"):
        plot_coefficients(linear, ax=3)


# Reliability


def test_reliability_is_the_share_of_right_predictions():
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.3, 0.7]] * 2)
    y = ["no", "no", "no", "yes", "yes", "no"]
    ax = plot_reliability(probabilities, None, y, n_bins=5)
    _, line = ax.lines
    np.testing.assert_allclose(line.get_xydata(), [[0.7, 0.5], [0.9, 0.75]])
    sizes = ax.collections[0].get_sizes()
    assert sizes[1] == pytest.approx(2 * sizes[0])
    error = (2 * 0.2 + 4 * 0.15) / 6
    assert line.get_label() == f"(ECE {error:.3f})"


def test_reliability_before_and_after_calibration():
    """Weights made five times too large say too much; calibration takes it back."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2500, 3))
    y = np.array(["a", "b", "c"])[(X + rng.gumbel(size=X.shape)).argmax(axis=1)]
    clf = fs.SoftmaxRegression().fit(X[:500], y[:500])
    clf.coef_ *= 5
    before = clf.predict_proba(X[1000:])
    clf.calibrate(X[500:1000], y[500:1000])
    ax = plot_reliability({"before": before, "after": clf}, X[1000:], y[1000:])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    errors = {label.split()[0]: float(label.split()[-1][:-1]) for label in labels[1:]}
    assert errors["before"] > 0.15
    assert errors["after"] < 0.07
    below = ax.lines[1].get_xydata()
    assert below[-1, 1] < below[-1, 0]


def test_reliability_refused(iris, linear):
    X, y = iris
    right = linear.predict_proba(X)
    with pytest.raises(ValueError, match="X must be given with a model"):
        plot_reliability(linear, None, y)
    with pytest.raises(ValueError, match="models must hold at least one model"):
        plot_reliability({}, X, y)
    with pytest.raises(ValueError, match=r"a column for each of 3 classes, got shape \(150, 2\)"):
        plot_reliability(np.full((150, 2), 0.5), None, y)
    with pytest.raises(ValueError, match="each row sum to 1"):
        plot_reliability(right * 0.5, None, y)
    with pytest.raises(ValueError, match="each row sum to 1"):
        plot_reliability(np.full((150, 3), np.nan), None, y)
    with pytest.raises(ValueError, match=r"must have shape \(n_rows, n_classes\), got \(150,\)"):
        plot_reliability(right[:, 0], None, y)
    with pytest.raises(ValueError, match="y must have 150 rows like X, got 149"):
        plot_reliability({"a": right, "b": linear}, X, y[:-1])
    with pytest.raises(ValueError, match="n_bins must be at least 1, got 0"):
        plot_reliability(linear, X, y, n_bins=0)
    with pytest.raises(TypeError, match="models must be classifiers or probabilities, got None"):
        plot_reliability(None, X, y)
    with pytest.raises(TypeError, match="models must be classifiers or probabilities, got object"):
        plot_reliability(object(), X, y)
    from sklearn.svm import LinearSVC

    with pytest.raises(TypeError, match="must have predict_proba, which LinearSVC lacks"):
        plot_reliability(LinearSVC().fit(X, y), X, y)


# All of them


MODEL_PLOTS = [
    lambda model, X, y: plot_confusion_matrix(model, X, y),
    lambda model, X, y: plot_decision_regions(model, X, y),
    lambda model, X, y: plot_class_weights(model),
    lambda model, X, y: plot_reliability(model, X, y),
    lambda model, X, y: plot_coefficients(model, X),
]


@pytest.mark.parametrize("plot", MODEL_PLOTS)
def test_unfit_models(iris, multilabel, plot):
    X, y = iris
    with pytest.raises(NotFittedError):
        plot(fs.SoftmaxRegression(), X, y)
    with pytest.raises(ValueError, match="multi-label"):
        plot(multilabel, X, y)
    with pytest.raises(TypeError, match="model must be a fitted classifier, got the class"):
        plot(fs.SoftmaxRegression, X, y)


def test_nothing_is_shown(iris, linear, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: pytest.fail("plt.show() was called"))
    plot_history(linear)
    for plot in MODEL_PLOTS[:2] + MODEL_PLOTS[3:]:
        plot(linear, *iris)


def test_a_notebook_draws_each_picture_once(iris, linear):
    """Axes have no picture of their own, so that a cell shows the figure that is open and no copy of it."""
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    calls = [lambda: plot_history(linear), lambda: plot_class_weights(linear, shape=(1, 2))]
    calls += [lambda p=p: p(linear, *iris) for p in MODEL_PLOTS[:2] + MODEL_PLOTS[3:]]
    for number, call in enumerate(calls, start=1):
        drawn = call()
        assert all(isinstance(ax, Axes) for ax in np.ravel(np.asarray(drawn, dtype=object)))
        assert not [name for name in dir(drawn) if name.startswith("_repr_")]
        assert len(plt.get_fignums()) == number


def test_reliability_says_what_dots_and_error_are(iris, linear):
    legend = plot_reliability(linear, *iris, n_bins=7).get_legend()
    assert legend.get_title().get_text().startswith("7 bins; area of a dot")
    assert "ECE: distance from the diagonal" in legend.get_title().get_text()


def test_without_matplotlib(iris, linear, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    calls = [lambda: plot_history(linear), lambda: plot_class_weights(linear, shape=(1, 2))]
    calls += [lambda p=p: p(linear, *iris) for p in MODEL_PLOTS[:2] + MODEL_PLOTS[3:]]
    for call in calls:
        with pytest.raises(ImportError, match=r'pip install "fastsoftmax\[plots\]"'):
            call()


def test_loaded_when_asked_for():
    code = (
        "import sys, fastsoftmax as fs\n"
        "assert 'plots' in dir(fs) and 'fastsoftmax.plots' not in sys.modules\n"
        "fs.plots.plot_history\n"
        "assert not {'matplotlib', 'sklearn', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_images_have_no_frame(linear, iris):
    """Whatever the style: with that of the tutorials half a frame stayed."""
    images = plot_class_weights(linear, shape=(1, 2))
    tables = [plot_confusion_matrix(linear, *iris), plot_coefficients(linear)]
    assert not any(ax.axison for ax in images)
    assert not any(spine.get_visible() for ax in tables for spine in ax.spines.values())
