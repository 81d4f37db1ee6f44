"""Files and attributes that nobody should believe: each gets a ValueError that names what is wrong."""

import copy
import json
import threading

import needs
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import fastsoftmax as fs
from fastsoftmax import export
from fastsoftmax.estimators import _compiled
from fastsoftmax.estimators.callbacks import Callback


@pytest.fixture
def network(images):
    X, y = images(60)
    return fs.MLPClassifier((8,), max_iter=2, random_state=0).fit(X, y), X, y


@pytest.fixture
def regression(images):
    X, y = images(60)
    return fs.SoftmaxRegression(solver="adam", max_iter=2, random_state=0).fit(X, y), X, y


def rewrite(path, *, tensors=None, metadata=None):
    """Change a model file with functions of its arrays and of its metadata."""
    with safetensors.safe_open(path, framework="numpy") as file:
        header = dict(file.metadata())
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    fields = json.loads(header["fastsoftmax"])
    if tensors is not None:
        tensors(arrays)
    text = metadata(fields) if metadata is not None else None
    header["fastsoftmax"] = text if isinstance(text, str) else json.dumps(fields)
    safetensors.numpy.save_file(arrays, path, metadata=header)


# Files


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("kind", ["coefs", "intercepts"])
@pytest.mark.parametrize("part", ["", "last.", "first.", "second.", "best."])
@pytest.mark.parametrize("way", ["cut", "turned", "dtype", "nan", "absent"])
def test_arrays_of_a_checkpoint(part, kind, layer, way, images, tmp_path):
    X, y = images(60)
    options = {"max_iter": 2, "random_state": 0, "early_stopping": True}
    path, name = tmp_path / "checkpoint", f"{part}{kind}.{layer}"
    fs.MLPClassifier((8,), **options).fit(X, y).save(path, training_state=True)

    def damage(arrays):
        array = arrays.pop(name)
        if way != "absent":
            arrays[name] = {
                "cut": array[:4].copy(),
                "turned": array.reshape(*array.shape[::-1], 1),
                "dtype": array.astype(np.float64),
                "nan": np.full_like(array, np.nan),
            }[way]

    rewrite(path, tensors=damage)
    with pytest.raises(ValueError, match="damaged") as error:
        fs.MLPClassifier((8,), **options).fit(X, y, resume_from=path)
    if way != "dtype":  # the first array says which dtype the others must have
        assert name in str(error.value)


FIELDS = [
    ("temperature", [np.nan, 0, -1, 1e400, 10**400, "1", None, True]),
    ("input_scale", [np.nan, 0, 10**400, None, []]),
    ("n_layers", [0, 1, 3, 2.0, "2", 2**70]),
    ("n_features_in", [0, -1, 1e3, None]),
    ("n_iter", [-1, 1.5, None, 2**70]),
    ("history", [None, [], {"loss": 1}, {"loss": ["x"]}]),
    ("multilabel", [None, 0, "no"]),
    ("feature_names_in", [5, ["a"], [1] * 40]),
    ("params", [None, [], "x"]),
    ("classes", [None, {"dtype": "|u1", "values": [0, 256]}, {"dtype": "<i8", "values": [0, 2**64]},
                 {"dtype": "(", "values": [0, 1]}, {"dtype": "<U999999999", "values": [0, 1]},
                 {"dtype": "<f8", "values": [0, 1e999]}, {"dtype": "|b1", "values": [0, 5]}]),
    ("training.step", ["x", 2**70, -1, 1.0, None]),
    ("training.seed", [-1, 2**70, "x"]),
    ("training.epoch", [-1, 2**70, []]),
    ("training.stale", [-1, 0.5]),
    ("training.best_score", ["x", np.nan, 10**400]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in FIELDS for value in values]
)
def test_fields_of_the_metadata(field, value, network, tmp_path):
    clf, X, y = network
    path = tmp_path / "model"
    clf.save(path, training_state=True)

    def damage(fields):
        *outer, last = field.split(".")
        (fields[outer[0]] if outer else fields)[last] = value

    rewrite(path, metadata=damage)
    for use in (fs.load_model, lambda path: clf.fit(X, y, resume_from=path)):
        with pytest.raises(ValueError, match=rf"damaged .*{field.replace('.', r'[.]')}"):
            use(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, "", "null", "[]", "9" * 5000])
def test_metadata_that_are_no_object(text, network, tmp_path):
    network[0].save(tmp_path / "model")
    rewrite(tmp_path / "model", metadata=lambda fields: text)
    with pytest.raises(ValueError, match="metadata"):
        fs.load_model(tmp_path / "model")


@pytest.mark.parametrize("name", ["tol", "batch_size", "hidden_layer_sizes", "input_scale"])
@pytest.mark.parametrize("value", [-1, "x", [[]]])
def test_options_in_a_file(name, value, network, tmp_path):
    network[0].save(tmp_path / "model")
    rewrite(tmp_path / "model", metadata=lambda fields: fields["params"].update({name: value}))
    with pytest.raises(ValueError, match=name):
        fs.load_model(tmp_path / "model")


def test_a_checkpoint_of_classes_is_none_of_labels(images, tmp_path):
    X, y = images(60, n_classes=3)
    path = tmp_path / "checkpoint"
    clf = fs.MLPClassifier((8,), max_iter=2)
    clf.fit(X, y).save(path, training_state=True)
    labels = np.column_stack([y == 0, y == 1, y >= 1]).astype(int)
    with pytest.raises(ValueError, match="multilabel_"):
        clf.fit(X, labels, resume_from=path)
    with pytest.raises(ValueError, match="dtype"):
        clf.fit(X.astype(np.float64), y, resume_from=path)
    with pytest.raises(ValueError, match="input_scale_"):
        clf.fit((X * 255).astype(np.uint8)[..., np.newaxis], y, resume_from=path)


# Attributes


USES = {
    "predict": lambda clf, X, y, path: clf.predict(X),
    "predict_proba": lambda clf, X, y, path: clf.predict_proba(X),
    "predict_log_proba": lambda clf, X, y, path: clf.predict_log_proba(X),
    "decision_function": lambda clf, X, y, path: clf.decision_function(X),
    "one row": lambda clf, X, y, path: clf.decision_function(X[:1]),
    "score": lambda clf, X, y, path: clf.score(X, y),
    "evaluate": lambda clf, X, y, path: clf.evaluate(X, y),
    "calibrate": lambda clf, X, y, path: clf.calibrate(X, y),
    "partial_fit": lambda clf, X, y, path: clf.partial_fit(X, y),
    "save": lambda clf, X, y, path: clf.save(path),
    "checkpoint": lambda clf, X, y, path: clf.save(path, training_state=True),
    "warm_start": lambda clf, X, y, path: clf.set_params(warm_start=True).fit(X, y),
}


def misaligned(array):
    data = np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:]
    return data.view(array.dtype).reshape(array.shape)


ARRAYS = {
    "pruned": lambda array: np.ascontiguousarray(array[..., :2]),
    "cut": lambda array: array[:2].copy(),
    "turned": lambda array: array[np.newaxis],
    "misaligned": misaligned,
    "swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "half": lambda array: array.astype(np.float16),
    "integers": lambda array: array.astype(np.int64),
    "a list": lambda array: array.tolist(),
    "masked": lambda array: np.ma.masked_array(array, mask=True),
    "NaN": lambda array: np.full_like(array, np.nan),
    "None": lambda array: None,
}


@pytest.mark.parametrize("backend", ["cython", "numpy"])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("way", ARRAYS)
def test_weights_that_somebody_has_changed(use, way, backend, network, regression, tmp_path):
    for name, at in (
        ("coefs_", 0),
        ("coefs_", 1),
        ("intercepts_", 0),
        ("coef_", None),
        ("intercept_", None),
    ):
        clf, X, y = network if at is not None else regression
        clf = copy.deepcopy(clf)
        if at is None:
            setattr(clf, name, ARRAYS[way](getattr(clf, name)))
        else:
            getattr(clf, name)[at] = ARRAYS[way](getattr(clf, name)[at])
        with fs.use_backend(backend), pytest.raises(ValueError, match=name):
            USES[use](clf, X, y, tmp_path / "model")


@pytest.mark.parametrize("use", ["predict_proba", "evaluate", "save"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature_", np.nan), ("temperature_", 0), ("temperature_", -1.0), ("temperature_", "1"),
        ("temperature_", np.ones(3)), ("input_scale_", np.nan), ("input_scale_", None),
        ("classes_", [0, 1, 2, 3, 4]), ("classes_", np.arange(3)), ("multilabel_", None), ("coefs_", {}),
        ("coefs_", None), ("intercepts_", []),
    ],
)  # fmt: skip
def test_other_attributes_that_somebody_has_changed(use, name, value, network, tmp_path):
    clf, X, y = network
    setattr(clf, name, value)
    # Too few classes for the weights: the error is about the last layer.
    words = "classes_|coefs_" if name == "classes_" else name
    with pytest.raises(ValueError, match=words):
        USES[use](clf, X, y, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_weights_may_be_changed_to_what_fits(network, tmp_path):
    """Pruned in all layers, laid out otherwise, read-only, or mapped from a file."""
    clf, X, y = network
    expected = clf.predict_proba(X)
    clf.coefs_ = [np.asfortranarray(coef) for coef in clf.coefs_]
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    np.save(tmp_path / "coef.npy", clf.coefs_[0])
    clf.coefs_[0] = np.load(tmp_path / "coef.npy", mmap_mode="r")
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    clf.coefs_ = [clf.coefs_[0][:, :5], clf.coefs_[1][:5]]
    clf.intercepts_ = [clf.intercepts_[0][:5], clf.intercepts_[1]]
    hidden = np.maximum(X @ clf.coefs_[0] + clf.intercepts_[0], 0)
    logits = hidden @ clf.coefs_[1] + clf.intercepts_[1]
    np.testing.assert_allclose(clf.decision_function(X), logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="coefs_ must have the layers that the options ask for"):
        clf.save(tmp_path / "model")
    with pytest.raises(ValueError, match="coefs_ must have the shapes and the dtype of the last"):
        clf.partial_fit(X, y)


# Compiled functions


def compiled_calls():
    """Return right calls of the compiled functions, as (function, arguments)."""
    kernels, rng = _compiled.kernels(), np.random.default_rng(0)
    X, out = rng.normal(size=(40, 5)).astype("f4"), np.empty((40, 3), "f4")
    coefs, biases = [np.ones((5, 3), "f4")], [np.ones(3, "f4")]
    width = kernels.lane_count(False) + 1
    padded = kernels.aligned_empty((3, width), "f4")
    padded[:] = 0
    sums = kernels.aligned_empty((2, *padded.shape), "f4")
    y, total = np.zeros(40, np.int32), np.empty(padded.shape)
    linear = [X, 1.0, y, np.ones(40), 0.0, padded, sums, np.zeros((2, 3)), total, False, 0, 64, 1]
    return {
        "forward": (kernels.forward, [X, 1.0, coefs, biases, out, 1]),
        "linear": (kernels.linear_loss_gradient, linear),
    }


@needs.compiled
@pytest.mark.parametrize(
    ("call", "at", "value"),
    [
        ("forward", 0, np.ones((40, 4), "f4")),
        ("forward", 0, np.ones((40, 10), "f4")[:, ::2]),
        ("forward", 0, np.ones((40, 5), "i4")),
        ("forward", 2, [np.ones((6, 3), "f4")]),
        ("forward", 2, [np.ones((5, 3), "f8")]),
        ("forward", 2, []),
        ("forward", 3, [np.ones(2, "f4")]),
        ("forward", 4, np.empty((40, 2), "f4")),
        ("forward", 4, np.empty((39, 3), "f4")),
        ("forward", 4, np.empty((40, 6), "f4")[:, ::2]),
        ("forward", 5, 0),
        ("linear", 2, np.full(40, 3, np.int32)),
        ("linear", 2, np.full(40, -1, np.int32)),
        ("linear", 2, np.zeros(39, np.int32)),
        ("linear", 2, np.zeros(40, np.int64)),
        ("linear", 3, np.ones(39)),
        ("linear", 7, np.zeros((1, 3))),
        ("linear", 8, np.empty((2, 16))),
        ("linear", 9, True),
        ("linear", 10, -32),
        ("linear", 11, 0),
        ("linear", 12, 0),
    ],
)
def test_compiled_functions_refuse_wrong_arrays(call, at, value):
    function, arguments = compiled_calls()[call]
    function(*arguments)
    arguments[at] = value
    with pytest.raises((ValueError, TypeError, IndexError)):
        function(*arguments)


# One estimator at two places


def test_a_fit_within_a_fit_is_told_so(network):
    clf, X, y = network

    class FitsAgain(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.fit(X, y)

    with pytest.raises(RuntimeError, match=r"is being fitted, .* fit a clone"):
        clf.fit(X, y, callbacks=[FitsAgain()])
    assert clf.fit(X, y).n_iter_ == 2


def test_threads_that_fit_one_estimator_are_told_so(network, tmp_path):
    clf, X, y = network
    told, started, end = [], threading.Event(), threading.Event()

    class Waits(Callback):
        def on_epoch_end(self, epoch, logs=None):
            started.set()
            end.wait(60)

    thread = threading.Thread(target=lambda: told.append(clf.fit(X, y, callbacks=[Waits()])))
    thread.start()
    started.wait(60)
    for use in (clf.fit, clf.partial_fit):
        with pytest.raises(RuntimeError, match="by another thread"):
            use(X, y)
    assert clf.predict(X).shape == y.shape
    clf.save(tmp_path / "model")
    with pytest.raises(RuntimeError, match="training state is of no single epoch"):
        clf.save(tmp_path / "checkpoint", training_state=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    end.set()
    thread.join()
    assert told == [clf]
    assert not hasattr(clf, "stop_training")
    clf.save(tmp_path / "checkpoint", training_state=True)


def test_copies_are_made_of_one_moment(network):
    """A fit in another thread sets attributes while a copy reads them."""
    clf, X, y = network

    class Fits:
        def __deepcopy__(self, memo):
            clf.partial_fit(X, y)
            clf.set_later = 1
            return self

    clf.first = Fits()
    want = clf.predict_proba(X)
    made = copy.deepcopy(clf)
    np.testing.assert_array_equal(made.predict_proba(X), want)
    assert not hasattr(made, "set_later")


# Refusals that no other test reaches


class Named(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: setattr(e, "n_features_in_", 0), "n_features_in_ must be an integer of at least 1"),
        (lambda e: setattr(e, "n_features_in_", "40"), "n_features_in_ must be an integer of at least 1"),
        (lambda e: e.coefs_.__setitem__(1, e.coefs_[1].astype(np.float64)), r"coefs_\[1\] must have the dtype"),
        (lambda e: e.intercepts_.pop(), "coefs_ and intercepts_ must have one array a layer, got 2 and 1"),
        (lambda e: setattr(e, "classes_", e.classes_.astype(np.longdouble)), "classes must be numbers or strings"),
        (lambda e: setattr(e, "classes_", e.classes_.astype(complex)), "classes must be numbers or strings"),
        (lambda e: setattr(e, "classes_", np.array(["a", 1, 2, 3, 4], object)), "mixed types"),
        (lambda e: setattr(e, "_state", None), "the state of the optimiser is missing"),
    ],
)  # fmt: skip
def test_changed_attributes_are_not_saved(change, words, network, tmp_path):
    estimator = network[0]
    change(estimator)
    with pytest.raises(ValueError, match=words):
        estimator.save(tmp_path / "model", training_state=True)
    assert not list(tmp_path.iterdir())


def test_classes_may_be_of_a_class_of_their_own(network):
    estimator, X, _ = network
    want = estimator.predict(X)
    estimator.classes_ = estimator.classes_.view(Named)
    np.testing.assert_array_equal(estimator.predict(X), want)


def set_field(*path, value):
    """Return a function that sets a field somewhere within the metadata."""

    def change(fields):
        for key in path[:-1]:
            fields = fields[key]
        fields[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_field("params", "class_weight", value={"pairs": 5}), "params must be an object of parameters"),
        (set_field("params", "class_weight", value={"pairs": [[[], 1]]}), "params must be an object of parameters"),
        (set_field("params", value=[]), "params must be an object"),
        (set_field("params", "other", value=1), "'other', which is no parameter"),
        (set_field("classes", "dtype", value=5), "at least two numbers or strings"),
        (set_field("classes", "values", value="01234"), "at least two numbers or strings"),
        (set_field("training", value=[]), "training must be an object"),
        (set_field("training", "best_score", value="high"), "training.best_score must be a finite number or null"),
        (set_field("training", "step", value=-1), "training.step"),
    ],
)  # fmt: skip
def test_fields_of_a_checkpoint(change, words, images, tmp_path):
    X, y = images(60)
    options = {"max_iter": 2, "random_state": 0, "early_stopping": True}
    fs.MLPClassifier((8,), **options).fit(X, y).save(tmp_path / "model", training_state=True)
    rewrite(tmp_path / "model", metadata=change)
    with pytest.raises(ValueError, match=words):
        fs.MLPClassifier((8,), **options).fit(X, y, resume_from=tmp_path / "model")


def test_a_checkpoint_without_a_best_score_goes_on(images, tmp_path):
    X, y = images(60)
    options = {"max_iter": 2, "random_state": 0, "early_stopping": True}
    fs.MLPClassifier((8,), **options).fit(X, y).save(tmp_path / "model", training_state=True)
    rewrite(tmp_path / "model", metadata=set_field("training", "best_score", value=None))
    resumed = fs.MLPClassifier((8,), **{**options, "max_iter": 3})
    assert resumed.fit(X, y, resume_from=tmp_path / "model").n_iter_ == 3


def test_files_of_before_a_field_was_there(network, tmp_path):
    estimator, X, _ = network
    estimator.save(tmp_path / "model")
    rewrite(tmp_path / "model", metadata=lambda fields: fields.pop("converged") and None)
    loaded = fs.load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))


def test_classes_of_labels_are_numbered(tmp_path):
    X, Y = np.random.default_rng(0).random((30, 4)), np.arange(90).reshape(30, 3) % 2
    fs.SoftmaxRegression(solver="adam", max_iter=1).fit(X, Y).save(tmp_path / "model")
    rewrite(tmp_path / "model", metadata=set_field("classes", "values", value=[0, 1, 3]))
    with pytest.raises(ValueError, match="0, 1, 2 and so on, one for each label"):
        fs.load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda arrays: arrays.update({"coefs.0": arrays["coefs.0"].astype(np.float16)}), "must have dtype F32 or F64"),
        (lambda arrays: arrays.update({"more": np.zeros(2, np.float32)}), "'more' is no array of such a model"),
        (lambda arrays: arrays.update({"second.coefs.0": arrays["second.coefs.0"] - 1}), "must not be negative"),
    ],
)  # fmt: skip
def test_arrays_that_no_model_has(damage, words, network, tmp_path):
    estimator, X, y = network
    estimator.save(tmp_path / "model", training_state=True)
    rewrite(tmp_path / "model", tensors=damage)
    fresh = fs.MLPClassifier((8,), max_iter=3, random_state=0)
    with pytest.raises(ValueError, match=words):
        fresh.fit(X, y, resume_from=tmp_path / "model")


def test_many_rows_are_predicted_in_parts(network, monkeypatch):
    estimator, X, _ = network
    want = estimator.predict_proba(X)
    monkeypatch.setattr(_compiled, "_ROWS_A_CALL", 16)
    np.testing.assert_array_equal(estimator.predict_proba(X), want)
    estimator.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="coefs_"):
        estimator.predict_proba(X)


def test_a_state_of_the_optimiser_that_is_none(network):
    model, X, y = network
    model._state = 7
    with pytest.raises(ValueError, match="state of the optimiser is missing"):
        model.partial_fit(X, y)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["input_scale_", "temperature_"])
@pytest.mark.parametrize("value", [10**400, [1.0], None, np.nan, 0.0, "1"])
def test_export_of_factors_that_somebody_has_changed(name, value, network):
    pytest.importorskip("onnx")
    model, _, _ = network
    setattr(model, name, value)
    with pytest.raises(ValueError, match=name):
        export.to_onnx(model)
