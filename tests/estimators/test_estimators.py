import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression

import fastsoftmax as fs

BOTH = [
    lambda **options: fs.SoftmaxRegression(solver="adam", learning_rate_init=0.05, **options),
    lambda **options: fs.MLPClassifier((24,), learning_rate_init=0.01, **options),
]
both = pytest.mark.parametrize("make", BOTH, ids=["softmax", "mlp"])


@both
def test_learns_every_dtype_of_input(make, images, dtype):
    X, y = images(600, dtype=dtype)
    clf = make(max_iter=30, random_state=0).fit(X[:400], y[:400])
    assert clf.score(X[400:], y[400:]) > 0.95
    assert clf.predict_proba(X).dtype == ("float64" if dtype == np.float64 else "float32")
    assert clf.input_scale_ == (1 / 255 if dtype == np.uint8 else 1.0)
    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        np.exp(clf.predict_log_proba(X)), clf.predict_proba(X), rtol=1e-4, atol=1e-30
    )
    np.testing.assert_array_equal(clf.predict(X), clf.decision_function(X).argmax(axis=1))


@both
@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_backends_reach_the_same_model(make, backend, images):
    X, y = images()
    expected = make(max_iter=5, random_state=3).fit(X, y).predict_proba(X)
    with fs.use_backend(backend):
        got = make(max_iter=5, random_state=3).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@both
@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.filterwarnings("ignore:lbfgs did not converge")
def test_random_state_gives_the_bits_for_any_number_of_threads(make, backend, solver, images):
    X, y = images(700)
    found = set()
    with fs.use_backend(backend):
        for n_threads in (1, 2, 4):
            with fs.set_num_threads(n_threads):
                clf = make(max_iter=4, random_state=7).set_params(solver=solver, warm_start=False)
                found.add(clf.fit(X, y).decision_function(X).tobytes())
    assert len(found) == 1


@both
def test_string_labels_and_two_classes(make, images):
    X, y = images(n_classes=2)
    names = np.array(["no", "yes"])[y]
    clf = make(max_iter=20, random_state=0).fit(X, names)
    assert set(clf.predict(X)) == {"no", "yes"}
    assert clf.decision_function(X).shape == (len(X),)
    assert clf.predict_proba(X).shape == (len(X), 2)
    np.testing.assert_array_equal(clf.predict(X) == "yes", clf.decision_function(X) > 0)
    assert clf.score(X, names) > 0.95


def test_attributes_have_scikit_learns_shapes(images):
    X, y = images(n_features=6, n_classes=3)
    clf = fs.SoftmaxRegression().fit(X, y)
    assert clf.coef_.shape == (3, 6)
    assert clf.intercept_.shape == (3,)
    binary = fs.SoftmaxRegression().fit(X, y == 1)
    assert binary.coef_.shape == (1, 6)
    assert binary.intercept_.shape == (1,)
    mlp = fs.MLPClassifier((5, 4), max_iter=2).fit(X, y)
    assert [c.shape for c in mlp.coefs_] == [(6, 5), (5, 4), (4, 3)]
    assert [b.shape for b in mlp.intercepts_] == [(5,), (4,), (3,)]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs_minimises_scikit_learns_objective(
    n_classes, fit_intercept, l1_ratio, weighted, images
):
    X, y = images(200, n_features=8, n_classes=n_classes, dtype="float64")
    weights = np.random.default_rng(0).uniform(0, 2, len(y)) if weighted else None
    options = {"C": 0.5, "fit_intercept": fit_intercept, "tol": 1e-9, "max_iter": 5000}
    ours = fs.SoftmaxRegression(l1_ratio=l1_ratio, class_weight="balanced", **options)
    ours.fit(X, y, weights)
    solver = {"solver": "saga"} if l1_ratio else {"solver": "lbfgs"}
    theirs = LogisticRegression(l1_ratio=l1_ratio, class_weight="balanced", **solver, **options)
    theirs.fit(X, y, weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-5)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=2e-5)
    if l1_ratio == 1:
        assert (ours.coef_ == 0).any()


def test_csr_rows_are_the_dense_rows(images):
    X, y = images(dtype="float64")
    X[X < 0.4] = 0
    for solver in ("lbfgs", "adam"):
        clf = fs.SoftmaxRegression(
            solver=solver, max_iter=300, n_iter_no_change=300, random_state=0
        )
        dense = clf.fit(X, y).predict_proba(X)
        rows = sparse.csr_array(X)
        np.testing.assert_allclose(clf.fit(rows, y).predict_proba(rows), dense, atol=1e-3)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        fs.MLPClassifier().fit(sparse.csr_array(X), y)


def test_images_are_flattened(images):
    X, y = images(n_features=36, dtype="uint8")
    flat = fs.MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y)
    cube = fs.MLPClassifier((8,), max_iter=3, random_state=0).fit(X.reshape(-1, 6, 6), y)
    assert cube.n_features_in_ == 36
    np.testing.assert_array_equal(flat.predict_proba(X), cube.predict_proba(X.reshape(-1, 6, 6)))


@both
@pytest.mark.parametrize(
    "layout", ["F", "strided", "reversed", "misaligned", "readonly", "swapped"]
)
def test_every_memory_layout_of_x(make, layout, images):
    X, y = images(dtype="float64")
    expected = make(max_iter=3, random_state=0).fit(X, y).predict_proba(X)
    other = {
        "F": lambda: np.asfortranarray(X),
        "strided": lambda: np.repeat(X, 2, axis=1)[:, ::2],
        "reversed": lambda: X[::-1].copy()[::-1],
        "misaligned": lambda: (
            np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view("f8").reshape(X.shape)
        ),
        "readonly": lambda: np.frombuffer(X.tobytes()).reshape(X.shape),
        "swapped": lambda: X.astype(X.dtype.newbyteorder()),
    }[layout]()
    got = make(max_iter=3, random_state=0).fit(other, y).predict_proba(other)
    np.testing.assert_array_equal(got, expected)


def test_auto_scale_refuses_the_other_family(images):
    X, y = images(dtype="uint8")
    clf = fs.MLPClassifier((8,), max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match=r"uint8, read times input_scale_=0\.00392157"):
        clf.predict(X / 255)
    clf.fit(X / 255, y)
    with pytest.raises(ValueError, match=r"fitted on \(floating"):
        clf.predict(X)
    clf.set_params(input_scale=1 / 255).fit(X, y)
    np.testing.assert_allclose(clf.predict_proba(X), clf.predict_proba(X.astype("f4")), rtol=1e-5)


@both
def test_partial_fit_goes_on_where_it_was(make, images):
    X, y = images(900)
    clf = make(random_state=0)
    for start in [0, 300, 600] * 8:
        clf.partial_fit(X[start : start + 300], y[start : start + 300], classes=np.arange(5))
    assert clf.score(X, y) > 0.9
    assert len(clf.history_["loss"]) == clf.n_iter_ == 24
    with pytest.raises(ValueError, match=r"only the classes \[0, 1, 2, 3, 4\], got 9 at row 1"):
        clf.partial_fit(X[:2], [0, 9])
    with pytest.raises(ValueError, match="those of the first call"):
        clf.partial_fit(X[:2], [0, 1], classes=[0, 1])


def test_partial_fit_needs_classes_and_batches(images):
    X, y = images()
    with pytest.raises(ValueError, match="classes must be passed to the first call"):
        fs.MLPClassifier().partial_fit(X, y)
    assert not hasattr(fs.SoftmaxRegression(), "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        fs.SoftmaxRegression().partial_fit(X, y)


@both
def test_evaluate_is_the_mean_loss(make, images):
    X, y = images()
    clf = make(max_iter=5, random_state=0).fit(X, y)
    figures = clf.evaluate(X, y)
    np.testing.assert_allclose(
        figures["loss"], fs.cross_entropy(clf.decision_function(X), y), rtol=1e-5
    )
    assert figures["accuracy"] == clf.score(X, y)
    weights = (y == 0).astype(float)
    assert clf.evaluate(X, y, weights)["accuracy"] == pytest.approx(clf.score(X[y == 0], y[y == 0]))
    with pytest.raises(ValueError, match="got 7 at row 0"):
        clf.evaluate(X[:1], [7])


def test_a_line_per_epoch(images, capsys):
    X, y = images()
    clf = fs.MLPClassifier((8,), max_iter=2, verbose=1).fit(X, y, X_val=X, y_val=y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Epoch 2/2 - ")
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert f"{name}: {clf.history_[name][1]:.4f}" in lines[1]
    fs.MLPClassifier((8,), max_iter=2).fit(X, y)
    assert capsys.readouterr() == ("", "")


def test_sample_weight_is_repetition(images):
    X, y = images(100, dtype="float64")
    weights = np.arange(100) % 3
    options = {"tol": 1e-8, "max_iter": 2000}
    weighted = fs.SoftmaxRegression(**options).fit(X, y, weights)
    repeated = fs.SoftmaxRegression(**options).fit(X.repeat(weights, axis=0), y.repeat(weights))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-5)


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
            "solver must be one of 'lbfgs', 'adam', 'sgd', got 'newton'",
        ),
        ({"learning_rate": "fast"}, ValueError, "learning_rate must be one of"),
        ({"learning_rate_init": 0}, ValueError, r"learning_rate_init must be finite and in \(0"),
        ({"tol": -1}, ValueError, "tol must be"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1, got 0"),
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


@both
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


@both
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_loss_that_becomes_nan_stops_and_keeps_good_weights(make, images):
    X, y = images(dtype="float32")
    rates = [0.01, 0.01, 1e30]
    clf = make(max_iter=10, random_state=0)
    clf.set_params(solver="sgd", learning_rate=lambda epoch: rates[min(epoch, 2)])
    words = r"epoch 3 at learning rate 1e\+30.*after epoch 2"
    with pytest.warns(ConvergenceWarning, match=words):
        clf.fit(X, y)
    assert len(clf.history_["loss"]) == 2
    good = make(max_iter=2, random_state=0).set_params(solver="sgd", learning_rate_init=0.01)
    np.testing.assert_array_equal(clf.predict_proba(X), good.fit(X, y).predict_proba(X))


def test_fashion_mnist_reaches_the_accuracy_of_keras(fashion):
    (X, y), (X_test, y_test) = fashion
    clf = fs.MLPClassifier((128,), batch_size=32, max_iter=5, random_state=0).fit(X, y)
    assert clf.evaluate(X_test, y_test)["accuracy"] >= 0.865
