"""Labels from a file to the classes of a model, and from `predict` back."""

import csv
import io

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.cli._csv import Wanted, csv_line
from fastsoftmax.cli._errors import CommandError
from fastsoftmax.cli._labels import RawLabels
from fastsoftmax.cli._reading import read_table

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("safetensors")


def raw(values):
    is_text = isinstance(values[0], str)
    return RawLabels("a.csv", "y", np.array(values, dtype=object if is_text else None))


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        (["b", "a"], ["a", "b"], ["b", "a"]),
        (["01", "1"], ["01", "1"], ["01", "1"]),
        (["NA", "None"], ["NA", "None"], ["NA", "None"]),
        (["2", "-1"], [-1, 2], [2, -1]),
        (["2.0", "-1."], [-1, 2], [2, -1]),
        (["0.5", "5e-1", "1"], [0.5, 1.0], [0.5, 0.5, 1.0]),
        (["0.1"], np.array([0.1, 0.2], "f4"), [np.float32(0.1)]),
        (["TRUE", "false", "1", "0.0"], [False, True], [True, False, True, False]),
        (["255"], np.array([1, 255], "u1"), [255]),
        ([1, 2], ["1", "2"], ["1", "2"]),
        ([1.0, 2.0], ["1", "2"], ["1", "2"]),
        ([1.0, 2.0], ["1.0", "2.0"], ["1.0", "2.0"]),
        ([1.0, 2.0], [1, 2], [1, 2]),
        ([True, False], ["False", "True"], ["True", "False"]),
        ([True, False], ["FALSE", "TRUE"], ["TRUE", "FALSE"]),
        ([True, False], [0, 1], [1, 0]),
        ([1, 0], [False, True], [True, False]),
        ([2**63 - 1], [0, 2**63 - 1], [2**63 - 1]),
        (["9223372036854775809"], np.array([1, 2**63 + 1], "u8"), [2**63 + 1]),
    ],
)
def test_labels_are_matched(values, classes, expected):
    found = raw(values).to_match(np.asarray(classes))
    assert found.tolist() == np.asarray(expected).tolist()
    assert found.dtype == np.asarray(classes).dtype


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["1", "01"], [1, 2]),
        (["1", "+1"], [1, 2]),
        (["1", "1e0"], [1, 2]),
        (["1", "1.5"], [1, 2]),
        (["1", " 1"], [1, 2]),
        (["1", "x"], [1, 2]),
        (["1", "9" * 500], [1, 2]),
        (["1", "-1"], np.array([1, 255], "u1")),
        (["1", "257"], np.array([1, 255], "u1")),
        (["1", "nan"], [1.0, 2.0]),
        (["1", "inf"], [1.0, 2.0]),
        (["1", "yes"], [False, True]),
        (["1", "2"], [False, True]),
        (["1", "1.0"], ["1", "2"]),
        (["1", " 1"], ["1", "2"]),
        ([1, 3], [1, 2]),
        ([1.0, 1.5], [1, 2]),
        ([1.0, np.inf], [1, 2]),
        ([1, 3], ["1", "2"]),
    ],
)
def test_other_labels_are_refused(values, classes):
    with pytest.raises(CommandError, match="in row 2 is none of the model's 2 classes"):
        raw(values).to_match(np.asarray(classes))


TEXTS = ["01", "1", "1.0", "1e3", "NA", "None", "NaN", " a", "a ", "a", "a,b", 'say "c"', "a\nb",
         "a\rb", "a\r\nb", "TRUE", "a;b", "a\tb", "\x1b[31mred", "rosé", "-", "'", '"']  # fmt: skip


def write(path, X, labels):
    lines = [
        csv_line([*(repr(float(x)) for x in row), label])
        for row, label in zip(X, labels, strict=True)
    ]
    names = [f"f{position}" for position in range(X.shape[1])]
    path.write_text("\n".join([csv_line([*names, "y"]), *lines]) + "\n", newline="")


def test_predictions_read_back_as_the_same_labels(run, tmp_path):
    X, labels = np.repeat(np.eye(len(TEXTS)), 4, axis=0), np.repeat(TEXTS, 4)
    write(tmp_path / "a.csv", X, labels)
    assert run("train", "--data", "a.csv", "--target", "y", "--save", "m").code == 0
    assert fs.load_model("m").classes_.tolist() == sorted(TEXTS)
    outcome = run("predict", "m", "a.csv", "--proba")
    assert outcome.code == 0
    header, *rows = csv.reader(io.StringIO(outcome.out, newline=""))
    assert header[2:] == [f"probability_{text}" for text in sorted(TEXTS)]
    assert [row[0] for row in rows] == labels.tolist()

    (tmp_path / "b.csv").write_text(outcome.out, newline="")
    again = run("evaluate", "m", "a.csv", "--all-rows", "--json").json["scores"]
    assert again["accuracy"] == 1.0
    read = read_table("b.csv", Wanted("prediction", ["probability"])).labels
    assert read.to_learn().tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("classes", "written"),
    [
        ([False, True], ["FALSE", "TRUE"]),
        ([1.0, 2.0], ["1", "2.0"]),
        ([-1, 7], ["-1", "7"]),
        (["no", "yes"], ["no", "yes"]),
        (np.array(["no", "yes"], dtype=object), ["no", "yes"]),
        (np.array([3, 200], "u1"), ["3", "200"]),
    ],
)
def test_classes_of_a_model_made_in_python(run, tmp_path, classes, written):
    X = np.repeat(np.eye(2), 10, axis=0)
    y = np.asarray(classes)[np.repeat([0, 1], 10)]
    fs.SoftmaxRegression().fit(X, y).save("m")
    write(tmp_path / "a.csv", X, np.repeat(written, 10))
    assert run("evaluate", "m", "a.csv", "--target", "y", "--json").json["scores"]["accuracy"] == 1
    assert run("evaluate", "m", "a.csv", "--target", "y").code == 0
    write(tmp_path / "b.csv", X[:, :1], X[:, 1])
    outcome = run("predict", "m", "b.csv")
    assert outcome.out.splitlines()[1].split(",")[0] == str(np.asarray(classes)[0])
    assert run("predict", "m", "b.csv", "--json").json["prediction"] == y.tolist()


def test_booleans_as_text(run, tmp_path):
    X = np.repeat(np.eye(2), 10, axis=0)
    write(tmp_path / "a.csv", X, np.repeat(["TRUE", "FALSE"], 10))
    assert run("train", "--data", "a.csv", "--target", "y", "--save", "m").code == 0
    found = run("evaluate", "m", "a.csv", "--target", "y", "--json").json
    assert found["scores"]["classes"] == ["FALSE", "TRUE"]
    assert found["scores"]["accuracy"] == 1.0


def test_labels_of_a_wide_file(run, tmp_path, rng):
    """Text at the end of a file that pandas reads in several chunks."""
    X = rng.normal(size=(2000, 300)).round(2)
    y = np.where(X[:, 0] > 0, "01", "02")
    y[-2:] = "X9"
    write(tmp_path / "a.csv", X, y)
    options = ("--data", "a.csv", "--target", "y", "--epochs", 1, "--save", "m")
    assert run("train", *options).code == 0
    assert fs.load_model("m").classes_.tolist() == ["01", "02", "X9"]


@pytest.mark.parametrize("other", ["", "  "])
def test_missing_labels(refused, run, tmp_path, other):
    (tmp_path / "a.csv").write_text("a,y\n" + "1,x\n2,z\n" * 5)
    (tmp_path / "b.csv").write_text(f"a,y\n1,x\n2,{other}\n")
    assert run("train", "--data", "a.csv", "--target", "y", "--save", "m").code == 0
    line = "b.csv: missing value in column 'y', row 2"
    assert line in refused("train", "--data", "b.csv", "--target", "y")
    assert line in refused("evaluate", "m", "b.csv", "--target", "y")
