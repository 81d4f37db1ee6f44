import json
import os
import stat
import sys
import threading

import numpy as np
import pytest
import safetensors.numpy

import fastsoftmax as fs


@pytest.fixture
def fitted(images):
    X, y = images(dtype="uint8")
    return fs.MLPClassifier((12,), max_iter=3, random_state=0).fit(X, np.array(list("abcde"))[y])


LABELS = [
    np.array(list("abcde")),
    np.array(["a", "bb", "c", "d", "e"], dtype=object),
    np.array([-1, 10, 20, 30, 40]),
    np.array([0.0, 1.0, 2.0, 3.0, 4.0]),
    np.array([1, 2, 3, 4, 5], np.uint8),
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: str(labels.dtype))
@pytest.mark.parametrize(
    "estimator", [fs.MLPClassifier((9, 4), max_iter=2), fs.SoftmaxRegression()]
)
def test_round_trip(estimator, labels, images, dtype, tmp_path):
    X, y = images(dtype=dtype)
    clf = estimator.fit(X, labels[y])
    clf.save(tmp_path / "model.safetensors")
    other = type(estimator).load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(other.predict(X), clf.predict(X))
    assert other.classes_.dtype == clf.classes_.dtype
    assert other.history_ == clf.history_
    for name, value in clf.get_params().items():
        saved = other.get_params()[name]
        assert (tuple(saved) if isinstance(value, tuple) else saved) == value


def test_loaded_models_can_go_on(fitted, images, tmp_path):
    X, y = images(dtype="uint8")
    fitted.save(tmp_path / "m")
    other = fs.MLPClassifier.load(tmp_path / "m")
    y = np.array(list("abcde"))[y]
    before = other.evaluate(X, y)["loss"]
    assert other.partial_fit(X, y).evaluate(X, y)["loss"] < before


def test_feature_names_are_kept(tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is absent")
    X = pandas.DataFrame({"width": [0.0, 1, 2, 3], "height": [3.0, 2, 1, 0]})
    fs.SoftmaxRegression().fit(X, [0, 0, 1, 1]).save(tmp_path / "m")
    clf = fs.SoftmaxRegression.load(tmp_path / "m")
    assert clf.feature_names_in_.tolist() == ["width", "height"]
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(X.rename(columns={"width": "depth"}))


@pytest.mark.parametrize("keep", [0, 1, 7, 100, 0.5, 0.9, 0.999])
def test_truncated_files(fitted, tmp_path, keep):
    path = tmp_path / "model.safetensors"
    fitted.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a whole safetensors file"):
        fs.MLPClassifier.load(path)


def test_foreign_files(fitted, tmp_path):
    path = tmp_path / "foreign"
    for content in (b"\x80\x04pickle", b"PK\x03\x04", b"\0" * 100, b'{"json": 1}'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            fs.MLPClassifier.load(path)
    safetensors.numpy.save_file({"a": np.zeros(2)}, path)
    with pytest.raises(ValueError, match="not a fastsoftmax model"):
        fs.MLPClassifier.load(path)
    fitted.save(path)
    with pytest.raises(ValueError, match="holds a MLPClassifier, expected a SoftmaxRegression"):
        fs.SoftmaxRegression.load(path)
    with pytest.raises(FileNotFoundError):
        fs.MLPClassifier.load(tmp_path / "absent")


def _rewrite(path, change):
    with safetensors.safe_open(path, framework="numpy") as file:
        header = dict(file.metadata())
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    metadata = json.loads(header["fastsoftmax"])
    change(metadata, tensors)
    header["fastsoftmax"] = json.dumps(metadata)
    safetensors.numpy.save_file(tensors, path, metadata=header)


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata, tensors: tensors.pop("coefs.1"),
        lambda metadata, tensors: tensors.update({"coefs.0": tensors["coefs.0"][:-1].copy()}),
        lambda metadata, tensors: tensors.update({"coefs.0": tensors["coefs.0"].astype("f8")}),
        lambda metadata, tensors: metadata.pop("classes"),
        lambda metadata, tensors: metadata.update(n_features_in=41),
        lambda metadata, tensors: metadata["params"].update(gamma=1),
        lambda metadata, tensors: metadata["classes"].update(values=["a", "b"]),
        lambda metadata, tensors: metadata["classes"].update(dtype="<M8[s]"),
    ],
)
def test_damaged_models(fitted, tmp_path, change):
    path = tmp_path / "model"
    fitted.save(path)
    _rewrite(path, change)
    with pytest.raises(ValueError, match="damaged"):
        fs.MLPClassifier.load(path)


def test_a_failed_save_leaves_the_old_file(fitted, tmp_path):
    path = tmp_path / "model"
    fitted.save(path)
    before = path.read_bytes()
    fitted.classes_ = np.array([1, "a", None, 2, 3], dtype=object)
    with pytest.raises(ValueError, match="classes of mixed types"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_schedule_is_not_saved_silently(fitted, tmp_path):
    fitted.set_params(learning_rate=lambda epoch: 0.01)
    with pytest.warns(UserWarning, match="learning_rate cannot be written as JSON"):
        fitted.save(tmp_path / "model")
    assert fs.MLPClassifier.load(tmp_path / "model").learning_rate == "constant"


@pytest.mark.parametrize("estimator", [fs.MLPClassifier((4,), max_iter=1), fs.SoftmaxRegression()])
def test_load_model_finds_the_class(estimator, images, tmp_path):
    X, y = images()
    path = tmp_path / "model"
    estimator.fit(X, y).save(path)
    other = fs.load_model(path)
    assert type(other) is type(estimator)
    np.testing.assert_array_equal(other.predict_proba(X), estimator.predict_proba(X))
    _rewrite(path, lambda metadata, tensors: metadata.update({"class": "Forest"}))
    with pytest.raises(
        ValueError, match="holds a Forest, expected a SoftmaxRegression or MLPClassifier"
    ):
        fs.load_model(path)


def test_paths_may_be_bytes_or_links(fitted, tmp_path):
    fitted.save(os.fsencode(tmp_path / "model"))
    assert fs.load_model(os.fsencode(tmp_path / "model")).n_iter_ == 3
    (tmp_path / "link").symlink_to(tmp_path / "target")
    fitted.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes with names, and modes")
def test_devices_pipes_and_folders_are_refused(fitted, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/null", tmp_path / "pipe", tmp_path):
        for use in (fitted.save, fs.load_model, fs.MLPClassifier.load):
            with pytest.raises(ValueError, match="path must lead to a regular file, got"):
                use(path)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="needs modes")
def test_a_file_gets_the_permissions_of_a_new_file(fitted, tmp_path):
    before = os.umask(0o027)
    try:
        fitted.save(tmp_path / "model")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "model").st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="needs modes")
def test_a_file_that_is_replaced_keeps_its_permissions(fitted, tmp_path):
    path = tmp_path / "model"
    path.touch(mode=0o600)
    fitted.save(path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_writers_and_readers_at_once(images, tmp_path):
    X, y = images(30, n_features=200)
    models = [fs.MLPClassifier((n,), max_iter=1).fit(X, y) for n in (500, 400)]
    path, faults, end = tmp_path / "model", [], threading.Event()
    models[0].save(path)

    def write(model):
        while not end.is_set():
            try:
                model.save(path)
            except Exception as error:
                faults.append(error)

    threads = [threading.Thread(target=write, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for _ in range(100):
        loaded = fs.load_model(path)
        if not any(np.array_equal(loaded.coefs_[0], model.coefs_[0]) for model in models):
            faults.append("mixed")
    end.set()
    for thread in threads:
        thread.join()
    assert not faults
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_loaded_model_does_not_hold_its_file(fitted, images, tmp_path):
    X, _ = images(dtype="uint8")
    path = tmp_path / "model"
    fitted.save(path)
    loaded = fs.load_model(path)
    path.write_bytes(b"")
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert all(coef.flags.writeable for coef in loaded.coefs_)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_planted_links_are_not_followed(fitted, tmp_path, monkeypatch):
    names = iter(["taken", "taken too", "free"])
    monkeypatch.setattr("fastsoftmax.estimators._files.secrets.token_hex", lambda n: next(names))
    for name in ("taken", "taken too"):
        (tmp_path / f".fastsoftmax-{name}.part").symlink_to(tmp_path / "victim")
    fitted.save(tmp_path / "model")
    assert not (tmp_path / "victim").exists()
    assert fs.load_model(tmp_path / "model").n_iter_ == 3


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_on_the_way_leaves_nothing_behind(fitted, tmp_path, monkeypatch, step):
    path = tmp_path / "model"
    fitted.save(path)
    before = path.read_bytes()

    def full(*args):
        raise OSError("no space is left")

    monkeypatch.setattr(f"fastsoftmax.estimators._files.os.{step}", full)
    with pytest.raises(OSError, match="no space is left"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_class_weights_keep_their_keys(images, tmp_path):
    X, y = images()
    weights = {0: 2.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: 0.5}
    clf = fs.MLPClassifier((4,), max_iter=1, class_weight=weights).fit(X, y)
    clf.save(tmp_path / "model", training_state=True)
    assert fs.load_model(tmp_path / "model").class_weight == weights
    clf.set_params(max_iter=2).fit(X, y, resume_from=tmp_path / "model")
    fs.load_model(tmp_path / "model").partial_fit(X, y)


def test_a_folder_that_is_absent_is_an_os_error(fitted, tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        fitted.save(tmp_path / "absent" / "model")
    assert raised.value.filename == str(tmp_path / "absent")  # and no name of ours


def test_sizes_may_be_an_array(images, tmp_path):
    X, y = images()
    fs.MLPClassifier(np.array([7, 3]), max_iter=1).fit(X, y).save(tmp_path / "model")
    assert fs.load_model(tmp_path / "model").hidden_layer_sizes == [7, 3]


def test_no_name_is_free_for_the_new_file(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda _: "taken")
    (tmp_path / ".fastsoftmax-taken.part").touch()
    with pytest.raises(FileExistsError, match="no name is free"):
        fitted.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_without_safetensors(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match="need safetensors: pip install"):
        fitted.save(tmp_path / "model")
