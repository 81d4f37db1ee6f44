"""The rows that `train` holds out are found again by `evaluate`, and no others are called test."""

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.cli import _models
from fastsoftmax.cli._notes import Notes, read_notes

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("safetensors")


@pytest.fixture
def trained(run, flowers):
    """What `train` reported about a model in the file m, and the path of its data."""
    options = ("train", "--data", flowers[0], "--target", "kind", "--save", "m", "--seed", 3)
    return run(*options, "--json").json, flowers[0]


def test_held_out_rows_are_scored(run, trained, flowers):
    report, path = trained
    found = run("evaluate", "m", path, "--json").json
    assert found["scores"] == report["test"]
    assert (found["rows"], found["n_trained"]) == ("test", 0)
    rows = np.array(found["row_numbers"]) - 1
    _, X, y = flowers
    model = fs.load_model("m")
    assert model.evaluate(_models.named(X[rows], ["width", "height"]), y[rows]) == {
        name: found["scores"][name] for name in ("loss", "accuracy")
    }
    out = run("evaluate", "m", path, "--target", "kind").out
    shown = ", ".join(str(row + 1) for row in rows[:10])
    assert f"12 of 60, which training held out: {shown}, ..." in out
    assert "test accuracy" in out


def test_all_rows(run, trained):
    found = run("evaluate", "m", trained[1], "--all-rows", "--json").json
    assert (found["rows"], found["n_trained"], found["scores"]["n_rows"]) == ("all", 48, 60)
    out = run("evaluate", "m", trained[1], "--all-rows").out
    assert "60, 48 of which the model was trained on" in out
    assert "test accuracy" not in out


@pytest.mark.parametrize("change", ["a number", "a label", "a row", "the order"])
def test_other_data_have_no_test_rows(run, trained, change):
    lines = trained[1].read_text().splitlines()
    if change == "a number":
        lines[5] = "1" + lines[5].removeprefix("-")
    elif change == "a label":
        lines[5] = lines[5].rpartition(",")[0] + ("," + ("iris" if "rose" in lines[5] else "rose"))
    elif change == "a row":
        del lines[5]
    else:
        lines[5], lines[6] = lines[6], lines[5]
    trained[1].write_text("\n".join(lines) + "\n")
    found = run("evaluate", "m", trained[1], "--json").json
    assert (found["rows"], found["row_numbers"], found["n_trained"]) == ("all", None, None)
    assert found["scores"]["n_rows"] == len(lines) - 1
    assert "test accuracy" not in run("evaluate", "m", trained[1]).out


def test_the_same_data_in_another_file(run, trained, tmp_path):
    """Written in another way, with other columns beside and in another order: the same rows."""
    lines = [line.split(",") for line in trained[1].read_text().splitlines()]
    text = "\r\n".join(f"{kind};{height};x;{width}" for width, height, kind in lines)
    (tmp_path / "b.csv").write_text(text.replace("height;x", "height;note"), newline="")
    found = run("evaluate", "m", "b.csv", "--json").json
    assert (found["rows"], found["scores"]) == ("test", trained[0]["test"])


def test_a_model_that_was_trained_further(run, trained, flowers):
    model = fs.load_model("m")
    model.intercept_ += 0.1
    model.save("m")
    outcome = run("evaluate", "m", trained[1], "--json")
    assert (outcome.json["rows"], outcome.json["scores"]["n_rows"]) == ("all", 60)
    assert "its weights have changed since" in outcome.err


def test_another_split(run, trained, monkeypatch):
    """What scikit-learn splits in another way is not called test."""
    monkeypatch.setattr(
        "sklearn.model_selection.train_test_split",
        lambda rows, **options: (rows[12:], rows[:12]),
    )
    outcome = run("evaluate", "m", trained[1], "--json")
    assert outcome.json["rows"] == "all"
    assert "splits in another way" in outcome.err


def test_digits(run):
    report = run("train", "--epochs", 1, "--json").json
    found = run(*report["next"].split()[1:], "--json").json
    assert (found["rows"], found["scores"]) == ("test", report["test"])


def test_arrays(run, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.random(60) < 0.5
    np.savez(tmp_path / "a.npz", X=rng.normal(size=(60, 2, 3)) + y[:, None, None], y=y)
    options = ("train", "--data", "a.npz", "--target", "y", "--save", "m", "--test-size", 13)
    report = run(*options, "--json").json
    found = run("evaluate", "m", "a.npz", "--json").json
    assert (found["rows"], found["scores"]) == ("test", report["test"])
    assert found["scores"]["classes"] == [False, True]


def test_few_rows_with_many_classes(run, tmp_path):
    """A row of each class is held out where a fifth of the rows would be fewer."""
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{n},c{n % 4}\n" for n in range(8)))
    data = run("train", "--data", "a.csv", "--target", "y", "--json").json["data"]
    assert (data["n_train"], data["n_test"]) == (4, 4)


def test_one_row(refused, tmp_path):
    (tmp_path / "a.csv").write_text("a,y\n1,x\n")
    assert "has one class only, 'x'" in refused("train", "--data", "a.csv", "--target", "y")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ((), "x"),
        ((), []),
        (("held_out",), 3),
        (("held_out", "seed"), -1),
        (("held_out", "seed"), True),
        (("held_out", "n_rows"), 1e300),
        (("held_out", "test_size"), 0),
        (("held_out", "test_size"), 1.5),
        (("held_out", "test_size"), None),
        (("held_out", "data"), 3),
        (("columns",), {}),
        (("columns",), [3]),
        (("columns", 0, "name"), 3),
        (("columns", 0, "texts"), "abc"),
        (("columns", 0, "texts"), [3]),
        (("columns", 0, "fill"), "x"),
        (("columns", 0, "fill"), True),
        (("format", "sep"), "ab"),
        (("format", "decimal"), ""),
        (("format", "thousands"), "7"),
        (("format", "thousands"), 3),
        (("format", "encoding"), "hex"),
        (("format", "na_values"), "x"),
        (("target",), 3),
        (("class_names",), ["a"]),
        (("on_dask",), 1),
    ],
)
def test_damaged_notes(refused, trained, where, value):
    """What a file says about its table is checked before it is used."""
    model = fs.load_model("m")
    if where:
        part = model._notes
        for step in where[:-1]:
            part = part[step]
        part[where[-1]] = value
    else:
        model._notes = value
    model.save("bad")
    line = refused("evaluate", "bad", trained[1], "--target", "kind")
    assert "bad: what it says about its table is damaged: " in line


def test_a_model_that_python_fitted_again(run, trained, flowers, tmp_path):
    """Its notes speak of other columns: they are not used."""
    _, X, y = flowers
    model = fs.load_model("m").fit(_models.named(X, ["height", "width"]), y)
    assert read_notes("m", model) == Notes()
    model.save("m")
    found = run("evaluate", "m", trained[1], "--target", "kind", "--json").json
    assert (found["rows"], found["scores"]["n_rows"]) == ("all", 60)
