"""`fastsoftmax evaluate` and `fastsoftmax predict`, on a model that `train` saved."""

import csv
import io

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.cli import _models

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("safetensors")


@pytest.fixture
def model(run, flowers):
    """The name of a model of the flowers; it is never wrong about them."""
    outcome = run(
        "train", "--data", flowers[0], "--target", "kind", "--standardize", "--epochs", 60,
        "--learning-rate", 0.05, "--model", "mlp", "--hidden", "8,4", "--save", "m",
    )  # fmt: skip
    assert outcome.code == 0
    return "m"


def rows_of(text):
    return list(csv.reader(io.StringIO(text)))


def test_predict(run, flowers, model):
    path, X, labels = flowers
    outcome = run("predict", model, path)
    assert (outcome.code, outcome.err) == (0, "")
    header, *rows = rows_of(outcome.out)
    assert header == ["prediction", "probability"]
    assert [row[0] for row in rows] == labels.tolist()
    probs = _models.load(model).predict_proba(_models.named(X, ["width", "height"]))
    assert [float(row[1]) for row in rows] == probs.max(axis=1).tolist()


def test_predict_all_probabilities(run, flowers, model):
    header, *rows = rows_of(run("predict", model, flowers[0], "--proba").out)
    assert header[2:] == ["probability_aster", "probability_iris", "probability_rose"]
    values = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(values[:, 1:].sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(values[:, 0], values[:, 1:].max(axis=1))


def test_predict_json(run, flowers, model):
    found = run("predict", model, flowers[0], "--json").json
    assert found["prediction"] == flowers[2].tolist()
    assert "probabilities" not in found
    found = run("predict", model, flowers[0], "--json", "--proba").json
    np.testing.assert_array_equal(np.max(found["probabilities"], axis=1), found["probability"])


def test_columns_are_matched_by_name(run, tmp_path, flowers, write_csv, model):
    path, X, _ = flowers
    write_csv(tmp_path / "b.csv", ["height", "width", "note"], X[:, ::-1], ["hello"] * len(X))
    assert run("predict", model, "b.csv").out == run("predict", model, path).out


def test_npz_is_matched_by_position(run, refused, tmp_path, flowers, model):
    path, X, _ = flowers
    np.savez(tmp_path / "a.npz", X)
    assert run("predict", model, "a.npz").out == run("predict", model, path).out
    np.savez(tmp_path / "a.npz", X[:, :1])
    assert "the model expects 2 features, the rows have 1" in refused("predict", model, "a.npz")


def test_labels_with_commas_and_quotes(run, tmp_path, write_csv):
    names = np.array(["a, b", 'say "c"'])[np.arange(20) % 2]
    quoted = ['"a, b"', '"say ""c"""'] * 10
    write_csv(tmp_path / "a.csv", ["a", "y"], np.arange(20.0)[:, None] % 2, quoted)
    options = ("--data", "a.csv", "--target", "y", "--epochs", 60, "--learning-rate", 0.1)
    assert run("train", *options, "--save", "m").code == 0
    _, *rows = rows_of(run("predict", "m", "a.csv").out)
    assert [row[0] for row in rows] == names.tolist()


def test_evaluate(run, flowers, model):
    path, _, labels = flowers
    path.write_text(path.read_text() + "9,100,iris\n")  # not the data of the training
    outcome = run("evaluate", model, path, "--target", "kind")
    assert (outcome.code, outcome.err) == (0, "")
    assert "\nloss 0.0" in outcome.out
    assert "accuracy 1.0000" in outcome.out
    assert "test accuracy" not in outcome.out
    assert "confusion matrix" in outcome.out
    assert "macro avg" in outcome.out
    found = run("evaluate", model, path, "--target", "kind", "--json").json["scores"]
    assert found["confusion_matrix"] == [[20, 0, 0], [0, 21, 0], [0, 0, 20]]
    assert found["report"]["iris"]["support"] == 21
    assert found["n_rows"] == len(labels) + 1


def test_evaluate_some_of_the_classes(run, tmp_path, flowers, write_csv, model):
    _, X, labels = flowers
    some = labels == "iris"
    write_csv(tmp_path / "b.csv", ["width", "height", "kind"], X[some], labels[some])
    found = run("evaluate", model, "b.csv", "--target", "kind", "--json").json["scores"]
    assert found["confusion_matrix"] == [[0, 0, 0], [0, 20, 0], [0, 0, 0]]


def test_text_labels_that_look_like_numbers(run, tmp_path, write_csv):
    """A model of "1", "2" and "x" recognises a file that holds only 1 and 2."""
    X = np.repeat(np.eye(3), 10, axis=0)
    write_csv(tmp_path / "a.csv", ["a", "b", "c", "y"], X, np.repeat(["1", "2", "x"], 10))
    write_csv(tmp_path / "b.csv", ["a", "b", "c", "y"], X[:20], np.repeat(["1", "2"], 10))
    options = ("--data", "a.csv", "--target", "y", "--epochs", 60, "--learning-rate", 0.1)
    assert run("train", *options, "--save", "m").code == 0
    found = run("evaluate", "m", "b.csv", "--target", "y", "--json").json["scores"]
    assert found["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "width,height,kind\n1,2,tulip\n",
            "label 'tulip' in row 1 is none of the model's 3 classes",
        ),
        ("width,height\n1,2\n", "has no column 'kind'"),
        ("width,kind\n1,iris\n", "lacks 'height', which the model needs"),
        ("width,height,kind\n1,,iris\n", "missing value in column 'height', row 1"),
        ("width,height,kind\n1,,iris\n", "fill them in, or train the model with --missing fill"),
        ("width,height,kind\n1,2,\n", "missing value in column 'kind', row 1"),
        ("width,height,kind\n1,2,\n", "leave out the rows without a label"),
    ],
)
def test_evaluate_refuses(refused, tmp_path, model, text, message):
    (tmp_path / "b.csv").write_text(text)
    assert message in refused("evaluate", model, "b.csv", "--target", "kind")


def test_options_that_do_not_fit(refused, flowers, model):
    path = flowers[0]
    assert "either FILE or --dataset" in refused("predict", model)
    assert "either FILE or --dataset" in refused("predict", model, path, "--dataset", "digits")
    assert "--data-dir needs --dataset" in refused("predict", model, path, "--data-dir", ".")
    assert "the model expects 2 features" in refused("predict", model, "--dataset", "digits")
    line = refused("evaluate", model, "--dataset", "digits", "--target", "y")
    assert "--target is for FILE" in line


@pytest.mark.parametrize("damage", ["absent", "folder", "foreign", "truncated", "csv"])
def test_damaged_model(refused, tmp_path, flowers, model, damage):
    bad = tmp_path / "bad"
    content = (tmp_path / model).read_bytes()
    if damage == "folder":
        bad.mkdir()
    elif damage != "absent":
        foreign = b"\x80\x04K\x01."
        damaged = {"foreign": foreign, "truncated": content[:-9], "csv": flowers[0].read_bytes()}
        bad.write_bytes(damaged[damage])
    assert "bad" in refused("predict", "bad", flowers[0])
    assert "bad" in refused("evaluate", "bad", flowers[0], "--target", "kind")


def test_other_safetensors(refused, tmp_path, flowers):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, tmp_path / "bad", {"format": "pt"})
    assert "bad is not a fastsoftmax model" in refused("predict", "bad", flowers[0])


def test_multilabel_model(refused, tmp_path, flowers):
    fs.SoftmaxRegression(max_iter=5).fit(np.eye(4), np.eye(4)[:, :3] + np.eye(4)[:, 1:]).save("n")
    assert "is a multi-label model" in refused("predict", "n", flowers[0])


def test_model_saved_from_python(run, refused, flowers, tmp_path):
    """It has no names of columns: all but the target are taken, in the order of the file."""
    path, X, labels = flowers
    clf = fs.MLPClassifier((8,), random_state=0, max_iter=60, learning_rate_init=0.05)
    clf.fit(X / [1, 100], labels)
    clf.coefs_[0] /= [[1], [100]]
    clf.save(tmp_path / "n")
    found = run("evaluate", "n", path, "--target", "kind", "--json").json["scores"]
    assert (found["accuracy"], found["n_rows"]) == (1.0, 60)
    assert "FILE needs --target" in refused("evaluate", "n", path)
