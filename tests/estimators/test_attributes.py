"""Fitted attributes that the user has changed, beside the weights: names, classes, factors, history."""

from fractions import Fraction

import numpy as np
import pytest

import fastsoftmax as fs


@pytest.fixture
def data():
    X = np.random.default_rng(0).normal(size=(60, 4))
    return X, np.arange(60) % 3


@pytest.fixture
def linear(data):
    return fs.SoftmaxRegression(solver="adam", max_iter=2, random_state=0).fit(*data)


# Names, counts, factors


@pytest.mark.parametrize("names", [5, ["a"], "abcd", [1, 2, 3, 4], [["a", "b"]] * 4, object()])
def test_names_of_features(names, linear, tmp_path):
    pytest.importorskip("pandas")
    linear.feature_names_in_ = names
    for use in (linear.coef_table, lambda: linear.save(tmp_path / "model")):
        with pytest.raises(ValueError, match="feature_names_in_ must be 4 names"):
            use()
    assert not list(tmp_path.iterdir())


def test_no_names_of_features(linear, tmp_path):
    pytest.importorskip("pandas")
    linear.feature_names_in_ = None
    linear.save(tmp_path / "model")
    assert list(linear.coef_table().index) == ["x0", "x1", "x2", "x3", "(intercept)"]


@pytest.mark.parametrize(
    "value", ["4", None, True, -4, 4.0, 4 + 0j, np.array([4, 4]), np.array([4])]
)
def test_number_of_features(value, linear, data):
    X, y = data
    linear.n_features_in_ = value
    for use in (linear.predict, linear.predict_proba, lambda X: linear.evaluate(X, y)):
        with pytest.raises(ValueError, match="n_features_in_ must be an integer of at least 1"):
            use(X)
    with pytest.raises(ValueError, match="n_features_in_"):
        linear.partial_fit(X, y)


@pytest.mark.parametrize("value", [1 + 0j, np.array([1.0]), np.array([1.0, 1.0]), [1.0]])
def test_factors_that_equal_1(value, linear, data):
    X, _ = data
    linear.input_scale_ = value
    with pytest.raises(ValueError, match="input_scale_ must be a real number"):
        linear.predict(X)


def test_a_factor_may_be_a_fraction(linear, data):
    X, _ = data
    want = linear.set_params(input_scale=1.0).predict_proba(X / 2)
    linear.input_scale_ = Fraction(1, 2)
    np.testing.assert_allclose(linear.predict_proba(X), want)
    linear.input_scale = "auto"
    with pytest.raises(ValueError, match=r"input_scale_=0\.5"):
        linear.predict(X)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_iter_", "x"), ("n_iter_", object()), ("n_iter_", np.array([1, 2])), ("n_iter_", -1), ("n_iter_", 1.5),
        ("n_iter_", None), ("converged_", np.array([True, False])), ("converged_", "x"), ("converged_", None),
        ("history_", {"loss": [1j]}), ("history_", {"loss": (1.0,)}),
    ],
)  # fmt: skip
def test_what_a_fit_has_told(name, value, linear, tmp_path):
    setattr(linear, name, value)
    with pytest.raises(ValueError, match=name):
        linear.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_history_of_any_real_numbers(linear, tmp_path):
    linear.history_ = {"loss": [Fraction(1, 2), np.longdouble(2), np.float32(3), np.int64(4), 5]}
    linear.save(tmp_path / "model")
    assert fs.load_model(tmp_path / "model").history_ == {"loss": [0.5, 2.0, 3.0, 4, 5]}


# Classes


@pytest.mark.parametrize(
    "classes",
    [
        np.array([2, 1, 0]), np.array([0, 0, 1]), np.array(["b", "a", "c"]), np.array([True, False, True]),
        np.array([None, 1, "a"], dtype=object), np.array([np.nan, 1, 2]),
    ],
)  # fmt: skip
def test_classes_that_are_not_sorted(classes, linear, data):
    """Found by bisection, a label would be another class or none."""
    X, _ = data
    linear.classes_ = classes
    assert linear.predict(X).dtype == classes.dtype
    y = classes[1:][np.arange(60) % 2]
    for use in (linear.evaluate, linear.calibrate, linear.partial_fit):
        with pytest.raises(ValueError, match="classes_ must be sorted, each class once"):
            use(X, y)


@pytest.mark.parametrize("dtypes", ["iu", "ui"])
def test_labels_beyond_double(dtypes, data):
    """Signed and unsigned labels meet as double in NumPy, which has not all of them."""
    X, y = data
    labels = (2**60 + np.arange(3))[y]
    mine, theirs = (labels.astype({"i": np.int64, "u": np.uint64}[kind]) for kind in dtypes)
    fitted = fs.SoftmaxRegression().fit(X, mine)
    assert fitted.evaluate(X, theirs) == fitted.evaluate(X, mine)


def test_missing_labels_of_pandas(data):
    pd = pytest.importorskip("pandas")
    X, _ = data
    y = pd.Series([None, *"ab" * 29, "a"], dtype="string")
    with pytest.raises(ValueError, match="y must have no missing values, got NA at row 0"):
        fs.SoftmaxRegression().fit(X, y)


def test_classes_of_float16(data):
    pytest.importorskip("pandas")
    X, y = data
    assert list(fs.SoftmaxRegression().fit(X, y.astype(np.float16)).coef_table().columns) == [
        0,
        1,
        2,
    ]


@pytest.mark.peer
@pytest.mark.parametrize(
    "classes",
    [
        np.array([0, 1, 2**63], dtype=np.uint64), np.array(["2020", "2021", "2022"], "M8[Y]"),
        np.array([0, 1, 2], dtype=complex), np.array([b"a", b"b", b"c"]),
    ],
)  # fmt: skip
def test_classes_that_onnx_has_not(classes, linear):
    pytest.importorskip("onnx")
    from fastsoftmax import export

    linear.classes_ = classes
    with pytest.raises(ValueError, match="classes_ must be strings, booleans, or numbers"):
        export.to_onnx(linear)


# Temperatures


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["classes", "two classes", "labels"])
def test_quotients_beyond_the_range(dtype, kind, data):
    X, y = data
    X = X.astype(dtype)
    y = {
        "classes": y,
        "two classes": y > 0,
        "labels": np.eye(3, dtype=int)[y] + (y == 1)[:, None] > 0,
    }[kind]
    clf = fs.SoftmaxRegression().fit(X, y.astype(int))
    clf.coef_ *= dtype(1e10 if dtype is np.float32 else 1e290)
    clf.temperature_ = 1e-30
    probs, log_probs = clf.predict_proba(X), clf.predict_log_proba(X)
    assert probs.dtype == log_probs.dtype == dtype
    assert np.isin(probs, (0, 1)).all()
    np.testing.assert_array_equal(log_probs == 0, probs == 1)
    found = clf.evaluate(X, y.astype(int))
    assert found["loss"] > 1e38
    assert found["accuracy"] == clf.score(X, y.astype(int))
    if dtype is np.float32:
        logits = clf.decision_function(X).astype(np.float64) / 1e-30
        if kind == "classes":
            rows = logits.max(axis=1) - logits[np.arange(60), y]
        else:
            signed = logits.reshape(60, -1) * np.where(y.reshape(60, -1), -1, 1)
            rows = np.maximum(signed, 0).sum(axis=1)
        np.testing.assert_allclose(found["loss"], rows.mean(), rtol=1e-6)


def test_accuracy_is_that_of_predict():
    """Two logits may have the same quotient; `predict` knows the greater one."""
    X = np.eye(3, dtype=np.float32)
    clf = fs.SoftmaxRegression().fit(X, [0, 1, 2])
    clf.coef_ = np.full((3, 3), np.float32(1))
    clf.intercept_ = np.zeros(3, np.float32)
    for row in range(3):
        clf.coef_[row, row] = np.nextafter(np.float32(1), np.float32(2))
    clf.temperature_ = 3.0
    assert clf.score(X, [0, 1, 2]) == 1
    assert clf.evaluate(X, [0, 1, 2], top_k=1) == pytest.approx(
        {"loss": np.log(3), "accuracy": 1, "top_1_accuracy": 1}
    )


# Weights of scikit-learn


def test_from_sklearn_shares_nothing(data):
    linear_model = pytest.importorskip("sklearn.linear_model")
    theirs = linear_model.LogisticRegression().fit(*data)
    want = theirs.coef_.copy()
    mine = fs.SoftmaxRegression.from_sklearn(theirs)
    mine.coef_ *= 2
    mine.classes_ += 1
    np.testing.assert_array_equal(theirs.coef_, want)
    np.testing.assert_array_equal(theirs.classes_, [0, 1, 2])


def test_from_sklearn_after_sparsify(data):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = data
    theirs = linear_model.LogisticRegression().fit(X, y).sparsify()
    mine = fs.SoftmaxRegression.from_sklearn(theirs)
    np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("coef_", lambda a: np.ma.masked_greater(a, 0), "coef_ must have no masked values"),
        ("coef_", lambda a: a[:, :2], "coef_ must be a float32 or float64 array of shape"),
        ("coef_", lambda a: a.astype(int), "coef_ must be a float32 or float64 array of shape"),
        ("intercept_", lambda a: 0.0, "intercept_ must be a float32 or float64 array of shape"),
    ],
)
def test_from_sklearn_of_changed_weights(name, value, words, data):
    linear_model = pytest.importorskip("sklearn.linear_model")
    theirs = linear_model.LogisticRegression().fit(*data)
    setattr(theirs, name, value(getattr(theirs, name)))
    with pytest.raises((TypeError, ValueError), match=words):
        fs.SoftmaxRegression.from_sklearn(theirs)


@pytest.mark.parametrize("dtype", [object, [("a", object)], "U3", "M8[s]"])
@pytest.mark.parametrize("make", [fs.SoftmaxRegression, fs.MLPClassifier])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_of_other_kinds_of_dtypes(make, dtype):
    X = np.random.default_rng(0).normal(size=(600, 20)).astype(np.float32)
    expected = "must be a float32 or float64 array"
    for name in ("predict", "predict_proba", "decision_function"):
        clf = make(max_iter=2).fit(X, np.arange(600) % 3)
        getattr(clf, name)(X)  # fills the memory that is kept for results
        if make is fs.MLPClassifier:
            clf.coefs_[0] = np.zeros(clf.coefs_[0].shape, dtype)
        else:
            clf.coef_ = np.zeros(clf.coef_.shape, dtype)
        with pytest.raises(ValueError, match=expected):
            getattr(clf, name)(X)
        with pytest.raises(ValueError, match=expected):
            clf.evaluate(X, np.arange(600) % 3)


@pytest.mark.peer
def test_any_integer_of_features_is_exported(linear):
    onnx = pytest.importorskip("onnx")
    from fastsoftmax import export

    linear.n_features_in_ = np.int64(4)
    onnx.checker.check_model(export.to_onnx(linear))
