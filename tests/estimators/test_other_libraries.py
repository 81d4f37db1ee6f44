"""scikit-learn, data frames and ONNX."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastsoftmax as fs
from fastsoftmax import export


def test_pipeline_grid_search_clone_and_pickle(images):
    X, y = images(dtype="float64")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), fs.SoftmaxRegression(max_iter=500)),
        {"softmaxregression__C": [0.01, 1.0]},
        cv=3,
    ).fit(X, y)
    assert search.best_score_ > 0.9
    clf = fs.MLPClassifier((7,), max_iter=3, random_state=0).fit(X, y)
    assert clone(clf).get_params() == clf.get_params()
    other = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))
    assert other.partial_fit(X, y).n_iter_ == 4


@pytest.mark.parametrize("library", ["pandas", pytest.param("polars", marks=pytest.mark.peer)])
def test_data_frames(library, images):
    frames = pytest.importorskip(library, reason=f"{library} is absent")
    X, y = images(n_features=3, dtype="float64")
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate("abc")})
    labels = frames.Series(np.array(list("vwxyz"))[y])
    clf = fs.SoftmaxRegression().fit(frame, labels)
    assert clf.feature_names_in_.tolist() == ["a", "b", "c"]
    expected = fs.SoftmaxRegression().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(clf.predict_proba(frame), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[["b", "a", "c"]])


@pytest.mark.parametrize("n_classes", [2, 4])
def test_from_sklearn(n_classes, images):
    X, y = images(n_features=12, n_classes=n_classes, dtype="float64")
    y = np.array(list("abcd"))[y]
    for theirs, ours in (
        (LogisticRegression(C=2.0, max_iter=500), fs.SoftmaxRegression),
        (MLPClassifier((8, 5), max_iter=40, tol=0, n_iter_no_change=100), fs.MLPClassifier),
    ):
        theirs.set_params(
            max_iter=1000 if theirs.__class__ is MLPClassifier else 500, tol=1e-2
        ).fit(X, y)
        clf = ours.from_sklearn(theirs)
        np.testing.assert_allclose(
            clf.predict_proba(X), theirs.predict_proba(X), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_array_equal(clf.predict(X), theirs.predict(X))
    assert clf.hidden_layer_sizes == (8, 5)
    images8 = (X * 255).astype(np.uint8)
    np.testing.assert_allclose(
        clf.predict_proba(images8), theirs.predict_proba(images8), atol=1e-12
    )


def test_from_sklearn_refuses_what_it_cannot_express(images):
    X, y = images()
    with pytest.raises(TypeError, match="must be a LogisticRegression"):
        fs.SoftmaxRegression.from_sklearn(fs.MLPClassifier())
    tanh = MLPClassifier((3,), activation="tanh", tol=1.0, n_iter_no_change=1).fit(X, y)
    with pytest.raises(ValueError, match="activation='relu', got 'tanh'"):
        fs.MLPClassifier.from_sklearn(tanh)


@pytest.mark.peer
@pytest.mark.parametrize("problem", ["classes", "binary", "labels"])
@pytest.mark.parametrize("hidden", [None, (9,), (9, 4)])
def test_onnx(problem, hidden, images, dtype, tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is absent")
    reference = pytest.importorskip("onnx.reference", reason="onnx is absent")
    X, y = images(dtype=dtype)
    Y = {"classes": y, "binary": y < 2, "labels": np.column_stack([y < 2, y > 0])}[problem]
    clf = (
        fs.SoftmaxRegression(max_iter=2000)
        if hidden is None
        else fs.MLPClassifier(hidden, max_iter=3)
    )
    clf.fit(X, Y).temperature_ = 1.5
    model = export.to_onnx(clf, tmp_path / "model.onnx")
    rows = X.reshape(len(X), -1)  # the graph takes images as rows
    evaluator = reference.ReferenceEvaluator(onnx.load(tmp_path / "model.onnx"))
    check_outputs(clf, X, evaluator.run(None, {"X": rows}))
    check_outputs(clf, X, run_onnx(model, X=rows))


def check_outputs(clf, X, outputs):
    """Hold logits, probabilities and labels against those of the estimator."""
    logits, probabilities, labels = outputs
    expected = clf.decision_function(X).reshape(len(X), -1)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, clf.predict_proba(X), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(labels, clf.predict(X))


def run_onnx(model, **inputs):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is absent")
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


@pytest.mark.peer
@pytest.mark.parametrize("names", [list("vwxyz"), [3, 5, 8, 9, 20], [1.0, 2.0, 5.0, 7.0, 9.0]])
def test_onnx_labels_are_the_classes(names, images):
    pytest.importorskip("onnx", reason="onnx is absent")
    X, y = images(dtype="float64")
    clf = fs.SoftmaxRegression().fit(X, np.array(names)[y])
    check_outputs(clf, X, run_onnx(export.to_onnx(clf), X=X))


@pytest.mark.peer
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("problem", ["strings", "binary", "labels", "network"])
def test_skl2onnx_converts_pipelines(problem, dtype, images):
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is absent")
    export.register_skl2onnx()
    X, y = images(dtype="float64")
    X = X.astype(dtype)
    labels = np.column_stack([y < 2, y > 0])
    Y = {"strings": np.array(list("vwxyz"))[y], "binary": y < 2, "labels": labels, "network": y}
    clf = (
        fs.MLPClassifier((7, 5), max_iter=3, random_state=0)
        if problem == "network"
        else fs.SoftmaxRegression()
    )
    pipeline = make_pipeline(StandardScaler(), clf).fit(X, Y[problem])
    clf.temperature_ = 1.5
    options = {id(clf): {"zipmap": False}}
    model = skl2onnx.to_onnx(pipeline, X[:1], options=options)
    labels, probabilities = run_onnx(model, X=X)
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), rtol=1e-3, atol=1e-5)
    assert (labels == pipeline.predict(X)).mean() > 0.99
    assert probabilities.dtype == dtype


@pytest.mark.peer
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("kind", ["calibrated", "stacked", "one_vs_one", "one_vs_rest"])
def test_skl2onnx_converts_what_learns_from_logits(kind, n_classes, images):
    """They take decision_function: probabilities in its place were wrong by up to 0.5."""
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is absent")
    export.register_skl2onnx()
    X, y = images(dtype="float32")
    y = y % n_classes
    inner = fs.SoftmaxRegression()
    model = {
        "calibrated": lambda: CalibratedClassifierCV(inner, cv=3),
        "stacked": lambda: StackingClassifier(
            [("inner", inner)],
            LogisticRegression(),
            stack_method="decision_function" if n_classes > 2 else "predict_proba",
        ),
        "one_vs_one": lambda: OneVsOneClassifier(inner),
        "one_vs_rest": lambda: OneVsRestClassifier(inner),
    }[kind]().fit(X, y)
    converted = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
    labels, scores = run_onnx(converted, X=X)
    assert (labels.ravel() == model.predict(X)).mean() > 0.98
    if kind != "one_vs_one":
        np.testing.assert_allclose(scores, model.predict_proba(X), rtol=1e-3, atol=1e-4)


@pytest.mark.peer
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("zipmap", [True, False, "columns"])
@pytest.mark.parametrize("names", ["booleans", "reals", "integers", "strings"])
def test_skl2onnx_has_labels_of_every_kind(names, zipmap, images):
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is absent")
    export.register_skl2onnx()
    X, y = images(dtype="float32")
    kinds = {"booleans": y < 2, "reals": y + 1.0, "integers": y, "strings": y.astype(str)}
    clf = fs.SoftmaxRegression().fit(X, kinds[names])
    options = {id(clf): {"zipmap": zipmap}}
    labels, *_ = run_onnx(skl2onnx.to_onnx(clf, X[:1], options=options), X=X)
    assert (labels == clf.predict(X)).all()


@pytest.mark.peer
@pytest.mark.parametrize("ending", ["onnx", "json", "textproto"])
def test_an_export_that_fails_leaves_the_old_file(ending, images, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    clf = fs.SoftmaxRegression().fit(*images())
    path = tmp_path / f"model.{ending}"
    model = export.to_onnx(clf, path)
    assert onnx.load(path) == model
    before = path.read_bytes()

    def full(*args):
        raise OSError("no space is left")

    monkeypatch.setattr("fastsoftmax.estimators._files.os.fsync", full)
    with pytest.raises(OSError, match="no space is left"):
        export.to_onnx(clf, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
