"""What X may be: images, sparse rows, any memory layout, files."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

import fastsoftmax as fs
from fastsoftmax.estimators import _compiled


def test_images_are_flattened(images):
    X, y = images(n_features=36, dtype="uint8")
    flat = fs.MLPClassifier((8,), max_iter=3, input_scale=1 / 255, random_state=0)
    flat.fit(X.reshape(-1, 36), y)
    cube = fs.MLPClassifier((8,), max_iter=3, random_state=0).fit(X.reshape(-1, 6, 6), y)
    assert cube.n_features_in_ == 36
    expected = flat.predict_proba(X.reshape(-1, 36))
    for other in (X, X.reshape(-1, 6, 6), X.reshape(-1, 36)):
        np.testing.assert_array_equal(cube.predict_proba(other), expected)


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


@pytest.mark.filterwarnings("ignore:.*converge")
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix, sparse.coo_array])
@pytest.mark.parametrize("as_dtype", ["float32", "float64", "uint8"])
def test_networks_learn_from_sparse_rows(container, as_dtype, images, monkeypatch):
    X, y = images(dtype="float64")
    X = (np.where(X < 0.4, 0, X) * 9).astype(as_dtype)
    rows = container(X)
    options = {"max_iter": 5, "batch_size": 32, "random_state": 0}
    monkeypatch.setattr(_compiled, "_DENSE_BYTES", 2 * 32 * X.shape[1] * 8)
    for given in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        clf = fs.MLPClassifier((9, 7), **options, **given)
        dense = clf.fit(X.astype(rows.dtype if as_dtype != "uint8" else "float64"), y)
        expected = dense.predict_proba(dense_of(rows))
        found = clf.fit(rows, y).predict_proba(rows)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    clf = fs.MLPClassifier((9,), random_state=0).partial_fit(rows, y, classes=np.unique(y))
    other = fs.MLPClassifier((9,), random_state=0).partial_fit(dense_of(rows), y, np.unique(y))
    np.testing.assert_allclose(clf.coefs_[0], other.coefs_[0], rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*converge")
def test_wide_sparse_rows_are_never_dense_as_a_whole(images, monkeypatch):
    X, y = images(dtype="float32")
    rows = sparse.csr_array(X)
    monkeypatch.setattr(_compiled, "_DENSE_BYTES", 1)
    options = {"max_iter": 5, "batch_size": 32, "random_state": 0}
    by_products = fs.MLPClassifier((9,), **options).fit(rows, y)
    monkeypatch.undo()
    compiled = fs.MLPClassifier((9,), **options).fit(rows, y)
    np.testing.assert_allclose(by_products.coefs_[0], compiled.coefs_[0], rtol=1e-3, atol=1e-4)


def dense_of(rows):
    """Return rows as an array, in the dtype that the estimators make of sparse ones."""
    return rows.toarray().astype(np.float64 if rows.dtype == np.uint8 else rows.dtype)


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


def test_tables_of_uint8_are_read_as_they_are(make, recwarn):
    rng = np.random.default_rng(0)
    category = rng.integers(0, 5, 400)
    y = (category + rng.integers(0, 2, 400)) % 3
    table = np.eye(5, dtype=np.uint8)[category]
    clf = make(max_iter=20, random_state=0).fit(table, y)
    assert clf.input_scale_ == 1
    expected = make(max_iter=20, random_state=0).fit(table.astype(np.float32), y)
    np.testing.assert_allclose(
        clf.predict_proba(table), expected.predict_proba(table), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(clf.predict(table), clf.predict(table.astype(np.float64)))
    assert not [w for w in recwarn if "uint8" in str(w.message)]


@pytest.mark.parametrize("kind", ["array", "csr", "frame", "partial_fit"])
def test_a_table_of_bytes_draws_a_warning(kind, images):
    X, y = images(dtype="uint8")
    X = X[..., 0]
    clf = fs.SoftmaxRegression(solver="adam", max_iter=1)
    if kind == "csr":
        X = sparse.csr_array(X)
    if kind == "frame":
        X = pytest.importorskip("pandas", reason="pandas is absent").DataFrame(X).add_prefix("x")
    with pytest.warns(UserWarning, match=r"values up to 2\d\d, .* pass input_scale=1/255") as told:
        clf.partial_fit(X, y, np.arange(5)) if kind == "partial_fit" else clf.fit(X, y)
    assert told[0].filename == __file__
    assert clf.input_scale_ == 1
    clf.set_params(input_scale=1 / 255).fit(X, y)
    assert clf.input_scale_ == 1 / 255


@pytest.mark.parametrize("name", ["X", "y", "sample_weight", "X_val", "y_val", "rows of X"])
def test_masked_values_are_refused(name, images):
    X, y = images(60)
    given = {"X": X, "y": y, "sample_weight": np.ones(60), "X_val": X, "y_val": y}
    clf = fs.SoftmaxRegression(max_iter=1, tol=10)
    if name == "rows of X":
        given["X"] = [np.ma.masked_array(row, row == row.max()) for row in X]
    else:
        given[name] = np.ma.masked_array(given[name])
        clf.fit(**given)  # a masked array without a masked value is an array
        given[name] = given[name].copy()
        given[name][5] = np.ma.masked
    with pytest.raises(
        TypeError, match=f"{name[-1] if ' ' in name else name.split('_val')[0]}.* masked"
    ):
        clf.fit(**given)
    if name == "X":
        clf.fit(X, y)
        for use in (clf.predict, clf.predict_proba, lambda X: clf.evaluate(X, y)):
            with pytest.raises(TypeError, match="X must have no masked values"):
                use(given["X"])


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "UInt8", "boolean"])
def test_nullable_frames(dtype):
    pandas = pytest.importorskip("pandas", reason="pandas is absent")
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (60, 3))
    y = X[:, 0] ^ (rng.random(60) < 0.2)
    frame = pandas.DataFrame(X, columns=list("abc")).astype(dtype)
    labels, weights = pandas.Series(y).astype("Int64"), pandas.Series(np.ones(60)).astype("Float64")
    clf = fs.SoftmaxRegression().fit(frame, labels, weights)
    expected = fs.SoftmaxRegression().fit(X.astype(np.float64), y).predict_proba(X)
    np.testing.assert_allclose(clf.predict_proba(frame), expected, rtol=1e-4)
    assert clf.score(frame, labels) == clf.evaluate(frame, labels)["accuracy"]
    frame.loc[3, "a"] = pandas.NA
    for use in (clf.predict, lambda X: clf.fit(X, labels)):
        with pytest.raises(ValueError, match=r"NA|NaN"):
            use(frame)
    labels[3] = pandas.NA
    with pytest.raises((ValueError, TypeError), match=r"NA|NaN|y"):
        clf.fit(X, labels)


def test_memmap_is_read_where_it_is(images, tmp_path):
    X, y = images(dtype="uint8")
    X.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", dtype=np.uint8, mode="r", shape=X.shape)
    got = fs.MLPClassifier((8,), max_iter=3, random_state=0).fit(mapped, y).predict_proba(mapped)
    expected = fs.MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("backend", ["cython", "numpy"])
def test_images_are_never_floats_as_a_whole(backend):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (20_000, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, len(X))
    with fs.use_backend(backend):
        for clf in (
            fs.MLPClassifier((16,), batch_size=512, max_iter=1),
            fs.SoftmaxRegression(max_iter=1, tol=1.0),
        ):
            tracemalloc.start()
            clf.fit(X, y).predict_proba(X)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 32 << 20 < X.size * 4


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_a_list_of_images(images, dtype):
    X, y = images(60, n_features=36, dtype=dtype)
    X = X.reshape(-1, 6, 6)
    stacked = fs.MLPClassifier((8,), solver="sgd", max_iter=20, random_state=0).fit(X, y)
    for listed in (list(X), tuple(X), X.tolist() if dtype == "float64" else list(X)):
        clf = fs.MLPClassifier((8,), solver="sgd", max_iter=20, random_state=0)
        clf.fit(listed, y, X_val=listed, y_val=y)
        assert clf.input_scale_ == stacked.input_scale_
        np.testing.assert_array_equal(clf.predict_proba(listed), stacked.predict_proba(X))
        assert clf.partial_fit(listed, y).evaluate(listed, y)["loss"] < np.log(5)
    with pytest.raises(ValueError, match="X must be images of one shape"):
        clf.predict([X[0], X[1][:3]])


def test_score_refuses_masked_values():
    X, y = np.eye(6), np.arange(6) % 3
    clf = fs.SoftmaxRegression().fit(X, y)
    with pytest.raises(TypeError, match="sample_weight must have no masked values"):
        clf.score(X, y, sample_weight=np.ma.masked_array(np.ones(6), y == 2))
    with pytest.raises(TypeError, match="y must have no masked values"):
        clf.score(X, np.ma.masked_array(y, y == 2))
    labels = np.c_[y > 0, y > 1].astype(int)
    several = fs.SoftmaxRegression().fit(X, labels)
    with pytest.raises(TypeError, match="y must have no masked values"):
        several.score(X, np.ma.masked_array(labels, labels == 1))
    assert clf.score(X, np.ma.masked_array(y)) == clf.score(X, y)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("class_weight", "even"),
        ("class_weight", True),
        ("class_weight", [1, 2, 3]),
        ("class_weight", {0: -1.0}),
        ("class_weight", {0: np.nan}),
        ("random_state", "x"),
        ("random_state", -1),
        ("random_state", 2**32),
        ("random_state", np.nan),
    ],
)
def test_class_weight_and_random_state_are_checked(name, value):
    X, y = np.eye(6), np.arange(6) % 3
    for make in (fs.SoftmaxRegression, fs.MLPClassifier):
        with pytest.raises(ValueError, match=name):
            make(**{name: value}).fit(X, y)


@pytest.mark.parametrize("missing", ["None", "NaT"])
def test_missing_labels(missing):
    pd = pytest.importorskip("pandas")
    label = {"None": None, "NaT": pd.NaT}[missing]
    X, y = np.eye(6), np.array(["a", "b", label] * 2, dtype=object)
    clf = fs.SoftmaxRegression().fit(X, ["a", "b", "c"] * 2)
    for use in (clf.fit, clf.evaluate, clf.score, clf.calibrate):
        with pytest.raises(ValueError, match=f"y must have no .* values, got {missing} at row 2"):
            use(X, y)


@pytest.mark.parametrize("kind", ["M8[D]", "m8[s]"])
def test_missing_dates_as_labels(kind):
    X, y = np.eye(6), np.array([0, 1, "NaT"] * 2, dtype=kind)
    clf = fs.SoftmaxRegression().fit(X, np.array([0, 1, 2] * 2, dtype=kind))
    for use in (clf.fit, clf.evaluate, clf.score):
        with pytest.raises(ValueError, match="y must have no missing values, got NaT at row 2"):
            use(X, y)


@pytest.mark.parametrize("labels", [["a", 1, "c"], ["a", b"a", "c"]])
def test_labels_of_several_types(labels):
    X, y = np.eye(6), np.empty(6, dtype=object)
    y[:] = labels * 2
    clf = fs.SoftmaxRegression().fit(X, ["a", "b", "c"] * 2)
    with pytest.raises(TypeError, match="y must have labels of one type, got"):
        fs.SoftmaxRegression().fit(X, y)
    with pytest.raises(ValueError, match=r"y must contain only the classes .*, got .* at row"):
        clf.evaluate(X, y)


def test_labels_of_another_type_than_the_classes():
    X = np.eye(6)
    clf = fs.SoftmaxRegression().fit(X, ["a", "b", "c"] * 2)
    for y in (np.arange(6), np.array(["2020"] * 6, "M8[Y]"), np.array([True] * 6)):
        with pytest.raises(ValueError, match=r"y must contain only the classes \['a', 'b', 'c'\]"):
            clf.evaluate(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [fs.SoftmaxRegression, lambda: fs.MLPClassifier((4,), max_iter=5)])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_logits_beyond_the_range_are_refused(make, dtype, n_classes):
    """There is no class to tell, and no probability: infinity less infinity."""
    X = np.random.default_rng(0).standard_normal((60, 3)).astype(dtype)
    y = np.arange(60) % n_classes
    clf = make().fit(X, y)
    clf._store(type(clf._network)(*([abs(array) * 50 for array in part] for part in clf._network)))
    X[7] = np.finfo(dtype).max
    for rows in (X, X[5:]):
        calls = [getattr(clf, name) for name in ("predict", "predict_proba", "decision_function")]
        calls += [lambda X: clf.evaluate(X, y[-len(X) :]), lambda X: clf.score(X, y[-len(X) :])]
        for call in calls:
            with pytest.raises(ValueError, match=f"X must give logits .* at row {len(rows) - 53}:"):
                call(rows)
    weights = (np.arange(60) != 7) * 1.0
    want = clf.evaluate(X[weights > 0], y[weights > 0])
    assert clf.evaluate(X, y, weights) == pytest.approx(want)
    clf.calibrate(X, y, weights)
