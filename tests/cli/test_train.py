"""`fastsoftmax train`: what it prints, what it saves, what it refuses."""

import gzip
import struct
import sys

import numpy as np
import pytest

from fastsoftmax.cli import _models

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("safetensors")


def test_digits_by_default(run, tmp_path):
    outcome = run("train")
    assert outcome.code == 0
    assert all("converge" in line for line in outcome.err.splitlines())
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["data", "digits"]
    assert "1437 to train, 360 to test" in lines[1]
    assert lines[2].split() == ["features", "64,", "float32"]
    assert "10: 0, 1, 2" in lines[3]
    assert lines[4].split() == ["seed", "0"]
    assert "Epoch 1/20" in outcome.out
    assert "confusion matrix" in outcome.out
    assert "weighted avg" in outcome.out
    assert lines[-2].split() == ["model", "digits-softmax.safetensors"]
    assert lines[-1].split(maxsplit=1)[1] == (
        "fastsoftmax evaluate digits-softmax.safetensors --dataset digits"
    )
    assert (tmp_path / "digits-softmax.safetensors").is_file()


def test_digits_are_learnt(run):
    report = run("train", "--json").json
    assert report["test"]["accuracy"] > 0.93
    assert report["test"]["loss"] < 0.3
    assert len(report["history"]["loss"]) == 20
    assert np.sum(report["test"]["confusion_matrix"]) == report["test"]["n_rows"] == 360


def test_next_command_works(run):
    outcome = run("train", "--epochs", 1)
    command = outcome.out.splitlines()[-1].split()
    assert command[:2] == ["next", "fastsoftmax"]
    assert run(*command[2:]).code == 0


@pytest.mark.parametrize(
    ("argv", "orig_argv", "words"),
    [
        ([".venv/bin/fastsoftmax"], [".venv/bin/python", ".venv/bin/fastsoftmax"], ".venv/bin/fastsoftmax"),
        (["{path}/fastsoftmax"], ["python", "{path}/fastsoftmax"], "fastsoftmax"),
        (["/elsewhere/fastsoftmax"], ["python", "/elsewhere/fastsoftmax"], "/elsewhere/fastsoftmax"),
        (["/lib/fastsoftmax/__main__.py"], ["python", "-m", "fastsoftmax"], "python -m fastsoftmax"),
        (
            ["/lib/fastsoftmax/__main__.py"],
            [".venv/bin/python", "-m", "fastsoftmax"],
            ".venv/bin/python -m fastsoftmax",
        ),
        (["/lib/pytest/__main__.py"], ["python", "-m", "pytest"], "fastsoftmax"),
    ],
)  # fmt: skip
def test_next_command_starts_as_this_one_did(run, tmp_path, monkeypatch, argv, orig_argv, words):
    on_path = tmp_path / "bin"
    on_path.mkdir()
    (on_path / "fastsoftmax").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(on_path))
    monkeypatch.setattr("sys.argv", [word.format(path=on_path) for word in argv])
    monkeypatch.setattr("sys.orig_argv", [word.format(path=on_path) for word in orig_argv])
    report = run("train", "--epochs", 1, "--json").json
    assert report["next"] == f"{words} evaluate digits-softmax.safetensors --dataset digits"
    assert run("train", "--epochs", "x").err.endswith(f"(see {words} train --help)\n")


def test_same_seed_same_model(run):
    options = ("train", "--epochs", 2, "--model", "mlp", "--hidden", 8)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(*options, "--seed", seed, "--save", name).code == 0
    a, b, c = (_models.load(name).coefs_ for name in "abc")
    assert all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
    assert not np.array_equal(a[0], c[0])


def test_csv_with_text_labels(run, flowers):
    path, _, _ = flowers
    report = run(
        "train", "--data", path, "--target", "kind", "--standardize", "--epochs", 60,
        "--learning-rate", 0.05, "--json",
    ).json  # fmt: skip
    data = report["data"]
    assert (data["n_train"], data["n_test"], data["shape"]) == (48, 12, [2])
    assert data["features"] == ["width", "height"]
    assert data["classes"] == report["test"]["classes"] == ["aster", "iris", "rose"]
    assert data["standardized"]
    assert report["test"]["accuracy"] == 1.0
    assert report["model"] == "flowers-softmax.safetensors"
    assert report["next"] == f"fastsoftmax predict flowers-softmax.safetensors {path}"


@pytest.mark.parametrize("kind", ["softmax", "mlp"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_standardization_is_in_the_weights(run, tmp_path, flowers, write_csv, kind, n_classes):
    """The file alone gives from raw rows what the model gave from standardised ones."""
    _, X, y = flowers
    X, y = X[y != "rose"] if n_classes == 2 else X, y[y != "rose"] if n_classes == 2 else y
    X = np.column_stack([X, np.full(len(X), 7.0)])  # a constant feature has no deviation
    write_csv(tmp_path / "a.csv", ["a", "b", "c", "y"], X, y)
    options = ("train", "--data", "a.csv", "--target", "y", "--model", kind, "--save", "m")
    learnt = run(*options, "--standardize", "--epochs", 60, "--learning-rate", 0.05, "--json").json
    assert learnt["test"]["accuracy"] == 1.0
    estimator = _models.load("m")
    assert estimator.score(_models.named(X, ["a", "b", "c"]), y) == 1.0

    mean, scale = _models.standardization(X)
    frame = _models.named(X, ["a", "b", "c"])
    before = estimator.predict_proba((frame - mean) / scale)
    _models.fold(estimator, mean, scale)
    np.testing.assert_allclose(estimator.predict_proba(frame), before, rtol=1e-9)


@pytest.fixture
def rare(tmp_path, write_csv):
    """A table of 380 rows of one class and 20 of another, which overlap."""
    rng = np.random.default_rng(0)
    y = np.repeat(["common", "rare"], [380, 20])
    X = rng.normal(size=(400, 2)) + 1.5 * (y == "rare")[:, None]
    write_csv(tmp_path / "a.csv", ["a", "b", "y"], X, y)
    return "train", "--data", "a.csv", "--target", "y", "--save", "m", "--overwrite"


@pytest.mark.parametrize("kind", ["softmax", "mlp"])
def test_class_weight(run, rare, kind):
    options = (*rare, "--model", kind, "--epochs", 40)
    plain = run(*options, "--json").json
    found = run(*options, "--class-weight", "balanced", "--json").json
    assert (plain["data"]["class_weight"], found["data"]["class_weight"]) == (None, "balanced")
    assert _models.load("m").class_weight == "balanced"
    recalls = [one["test"]["report"]["rare"]["recall"] for one in (plain, found)]
    assert recalls[0] <= 0.5 < 0.75 <= recalls[1]
    assert "2: common, rare, of equal weight" in run(*options, "--class-weight", "balanced").out


@pytest.mark.parametrize("kind", ["softmax", "mlp"])
def test_early_stopping(run, rare, kind):
    """It ends before the epochs do, on the rows of --validation or on the estimator's own."""
    options = (*rare, "--model", kind, "--early-stopping", "--json")
    own, given = run(*options).json, run(*options, "--validation", 60).json
    assert [one["data"]["n_validation"] for one in (own, given)] == [0, 60]
    for report in (own, given):
        assert (report["data"]["solver"], report["data"]["early_stopping"]) == ("adam", True)
        accuracy = report["history"]["val_accuracy"]
        assert 10 < len(accuracy) < 200
        assert max(accuracy) - max(accuracy[:-10]) <= 1e-4
    n_right = np.array(given["history"]["val_accuracy"]) * 60
    np.testing.assert_allclose(n_right, n_right.round(), atol=1e-9)
    assert _models.load("m").early_stopping


def test_standardized_bytes(run, tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.integers(0, 100, (60, 4, 4), dtype=np.uint8)
    X[y == 1] += 100
    np.savez(tmp_path / "a.npz", X=X, y=y)
    options = ("--data", "a.npz", "--target", "y", "--epochs", 40, "--learning-rate", 0.05)
    assert run("train", *options, "--standardize", "--save", "m").code == 0
    assert (
        run("evaluate", "m", "a.npz", "--target", "y", "--json").json["scores"]["accuracy"] == 1.0
    )


def write_idx(folder, name, array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    (folder / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


@pytest.fixture
def mnist_folder(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, n_rows in (("train", 40), ("t10k", 20)):
        labels = np.arange(n_rows, dtype=np.uint8) % 10
        images = rng.integers(0, 50, (n_rows, 28, 28), dtype=np.uint8)
        images[np.arange(n_rows), labels] = 255
        write_idx(folder, f"{name}-images-idx3-ubyte", images)
        write_idx(folder, f"{name}-labels-idx1-ubyte", labels)
    return folder


@pytest.mark.parametrize("dataset", ["fashion-mnist", "mnist"])
def test_dataset_with_its_own_test_rows(run, refused, mnist_folder, dataset):
    where = ("--dataset", dataset, "--data-dir", mnist_folder)
    report = run("train", *where, "--model", "mlp", "--epochs", 30, "--json").json
    assert (report["data"]["n_train"], report["data"]["n_test"]) == (40, 20)
    assert report["data"]["dtype"] == "uint8"
    assert report["test"]["accuracy"] > 0.9
    tested = run(*report["next"].split()[1:], "--json").json
    assert tested["rows"] == "test"
    assert tested["scores"]["loss"] == report["test"]["loss"]
    if dataset == "fashion-mnist":
        assert report["test"]["class_names"][9] == "ankle boot"
        assert "ankle boot" in run(*report["next"].split()[1:]).out
    assert "has test rows of its own" in refused("train", *where, "--test-size", 5)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--model", "cnn"), "--model: invalid choice: 'cnn'"),
        (("--epochs", "0"), "--epochs: expected a whole number above 0, got '0'"),
        (("--epochs", "1e3"), "--epochs: expected a whole number above 0, got '1e3'"),
        (("--batch-size", "-1"), "--batch-size: expected a whole number above 0, got '-1'"),
        (("--learning-rate", "nan"), "--learning-rate: expected a number above 0, got 'nan'"),
        (("--learning-rate", "0"), "--learning-rate: expected a number above 0, got '0'"),
        (("--hidden", "8"), "--hidden is for --model mlp"),
        (("--model", "mlp", "--hidden", "8,"), "--hidden: expected a whole number above 0"),
        (("--test-size", "1.5"), "--test-size: expected a share below 1 or a count, got '1.5'"),
        (("--test-size", "5000"), "--test-size 5000: "),
        (("--test-size", "3"), "--test-size 3: "),
        (("--seed", "-1"), "--seed: expected a whole number in [0, 2**32), got '-1'"),
        (("--target", "y"), "--target is for --data"),
        (("--drop", "y"), "--drop is for --data"),
        (("--missing", "fill"), "--missing is for --data"),
        (("--sep", ";"), "--sep is for files"),
        (("--data-dir", "."), "--data-dir is for fashion-mnist and mnist"),
        (("--dataset", "imagenet"), "--dataset: invalid choice: 'imagenet'"),
        (("--dataset", "mnist", "--data-dir", "x"), "x does not hold MNIST"),
        (("--data", "nope.csv", "--target", "y"), "nope.csv: no such file"),
        (("--save", "nowhere/model"), "--save: there is no folder nowhere"),
        (("--save", "."), "--save: . is there and is not a file"),
        (("--save", ""), "is not a file"),
    ],
)
def test_refused_options(refused, args, message, tmp_path):
    assert message in refused("train", "--epochs", 1, *args)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "--data needs --target NAME"),
        (("--target", "colour"), "has no column 'colour'; its columns: 'width', 'height', 'kind'"),
        (("--target", "width"), "one row only; expected one to train and one to test; labels with"),
        (("--target", "kind", "--drop", "kind"), "--drop: 'kind' is the column of labels"),
        (("--target", "kind", "--features", "kind"), "--features: 'kind' is the column of labels"),
        (("--target", "kind", "--features", "depth"), "has no column 'depth'"),
        (("--target", "kind", "--drop", "depth"), "has no column 'depth'"),
        (("--target", "kind", "--drop", "width,height"), "has no columns beside 'kind'"),
        (("--target", "kind", "--categorical", "depth"), "has no column 'depth'"),
        (("--target", "kind", "--sep", "ab"), "--sep: expected one character or tab, got 'ab'"),
        (("--target", "kind", "--decimal", ";"), "--decimal: expected . or , got ';'"),
        (("--target", "kind", "--decimal", ",", "--sep", ","), "--sep and --decimal are both ','"),
        (("--target", "kind", "--encoding", "hex"), "--encoding: expected an encoding such as"),
        (("--target", "kind", "--encoding", "nope"), "--encoding: expected an encoding such as"),
        (("--target", "kind", "--validation", "0"), "--validation: expected a number above 0"),
        (("--target", "kind", "--validation", "1"), "--validation 1: "),
        (
            ("--target", "kind", "--solver", "lbfgs", "--learning-rate", "1"),
            "--learning-rate is for --solver adam and sgd",
        ),
        (
            ("--target", "kind", "--solver", "lbfgs", "--early-stopping"),
            "--early-stopping is for --solver adam and sgd, got lbfgs",
        ),
        (("--target", "kind", "--class-weight", "even"), "--class-weight: invalid choice: 'even'"),
        (("--target", "kind", "--dataset", "digits"), "--data and --dataset exclude each other"),
        (("--target", "kind", "--data-dir", "."), "--data and --data-dir exclude each other"),
    ],
)
def test_refused_data_options(refused, flowers, args, message):
    assert message in refused("train", "--data", flowers[0], *args)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("xxxxx", "has one class only, 'x'"),
        ("xxxxz", "class 'z' has one row only"),
    ],
)
def test_too_few_labels(refused, tmp_path, write_csv, labels, message):
    write_csv(tmp_path / "a.csv", ["a", "y"], np.arange(5.0)[:, None], list(labels))
    assert message in refused("train", "--data", "a.csv", "--target", "y")


def test_device_is_not_replaced(refused):
    assert "is not a file" in refused("train", "--epochs", 1, "--save", "/dev/null")


@pytest.fixture
def a_fit_that_ends(flowers):
    """A command that has nothing to say of its fit."""
    return ("train", "--data", flowers[0], "--target", "kind")


def test_earlier_model_survives_a_failed_save(run, refused, a_fit_that_ends, tmp_path, monkeypatch):
    assert run("train", "--epochs", 1, "--save", "m").code == 0
    before = (tmp_path / "m").read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    line = refused(*a_fit_that_ends, "--seed", 1, "--save", "m", "--overwrite")
    assert "m cannot be written: [Errno 28]" in line
    assert (tmp_path / "m").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flowers.csv", "m"]


def test_folder_that_takes_no_file(refused, a_fit_that_ends, monkeypatch):
    def fail(self, path):
        raise OSError("I/O error")

    monkeypatch.setattr("fastsoftmax.SoftmaxRegression.save", fail)
    assert "m cannot be written: I/O error" in refused(*a_fit_that_ends, "--save", "m")


def test_ctrl_c_while_fitting(run, monkeypatch, tmp_path):
    """`fit` keeps what it has learnt and warns; the command ends all the same."""
    monkeypatch.setattr("fastsoftmax.estimators._loop.Epochs._train_rows", interrupt)
    outcome = run("train")
    assert (outcome.code, outcome.err) == (130, "fastsoftmax: interrupted\n")
    assert not list(tmp_path.iterdir())


def interrupt(*args):
    raise KeyboardInterrupt


def test_missing_safetensors(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    line = refused("train")
    assert 'The trainer needs safetensors: pip install "fastsoftmax[train]"' in line


def test_missing_scikit_learn(refused, monkeypatch, tmp_path, write_csv):
    write_csv(tmp_path / "a.csv", ["a", "y"], np.arange(10.0)[:, None], ["x", "z"] * 5)
    monkeypatch.delitem(sys.modules, "fastsoftmax.estimators", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for options in ((), ("--data", "a.csv", "--target", "y")):
        assert 'pip install "fastsoftmax[train]"' in refused("train", *options)
