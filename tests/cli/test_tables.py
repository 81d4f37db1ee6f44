"""`train` on tables: numbers and texts, missing values, Parquet and Arrow, the exact solver."""

import sys

import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax.cli import _models

pytest.importorskip("sklearn")
pytest.importorskip("safetensors")
pd = pytest.importorskip("pandas")


@pytest.fixture
def garden(tmp_path):
    """A table whose class is told by numbers and texts, with values missing, and its frame."""
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "length": rng.normal(5000, 100, n).round(3),
            "colour": rng.choice(["blue", "red", "white"], n),
            "note": [f"plant {number}" for number in range(n)],
            "year": rng.choice([2001, 2002], n),
        }
    )
    is_rose = (frame.length > 5000) == (frame.colour == "red")
    is_rose &= frame.colour != "blue"
    frame["kind"] = np.where(frame.colour == "blue", "iris", np.where(is_rose, "rose", "aster"))
    frame.to_csv(tmp_path / "garden.csv", index=False)
    return frame


TRAIN = ("train", "--data", "garden.csv", "--target", "kind", "--drop", "note", "--save", "m")


def test_texts_become_features(run, garden):
    report = run(*TRAIN, "--json").json
    data = report["data"]
    assert data["features"] == [
        "length", "colour=blue", "colour=red", "colour=white", "year",
    ]  # fmt: skip
    assert data["text_columns"] == ["colour"]
    assert (data["standardized"], data["solver"]) == (True, "auto")
    model = fs.load_model("m")
    assert model.feature_names_in_.tolist() == data["features"]
    X = pd.get_dummies(garden[["length", "colour", "year"]], prefix_sep="=")
    found = model.predict(X[data["features"]].astype(float)).tolist()
    rows = run("predict", "m", "garden.csv").out.splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == found


def test_printed_features(run, garden):
    lines = run(*TRAIN).out.splitlines()
    assert lines[2] == "features  5, float64, one for each text of colour, standardized"
    assert any(line.startswith("auto: ") and "loss" in line for line in lines)


def test_too_many_texts(refused, run, garden, tmp_path):
    options = ("train", "--data", "garden.csv", "--target", "kind", "--save", "m")
    line = refused(*options)
    assert "column 'note' holds 200 different texts, such as 'plant 0'" in line
    assert not (tmp_path / "m").exists()
    assert run(*options, "--categorical", "note").code == 0


def test_categorical_numbers(run, garden):
    report = run(*TRAIN, "--categorical", "year", "--features", "year,colour", "--json").json
    assert report["data"]["features"] == [
        "year=2001", "year=2002", "colour=blue", "colour=red", "colour=white",
    ]  # fmt: skip


def test_a_text_that_the_model_has_not_learnt(run, garden, tmp_path):
    assert run(*TRAIN).code == 0
    changed = garden.assign(colour=["green", *garden.colour[1:-1], "green"])
    changed.to_csv(tmp_path / "b.csv", index=False)
    outcome = run("predict", "m", "b.csv")
    assert outcome.code == 0
    assert outcome.err == (
        "fastsoftmax: warning: b.csv: column 'colour' holds 'green' in row 1, which the model has not "
        "learnt; it counts as none of its texts (2 rows)\n"
    )


def test_a_table_with_texts_from_python(run, garden):
    """The estimator takes the features that the command has made of texts, and says so of others."""
    assert run(*TRAIN).code == 0
    model, table = fs.load_model("m"), garden.drop(columns="kind")
    line = r"got columns \['colour'\]: `fastsoftmax train` has made a feature for each .*'colour="
    for use in (model.predict, model.predict_proba, lambda X: model.score(X, garden["kind"])):
        with pytest.raises(ValueError, match=line):
            use(table)
    features = pd.get_dummies(table, columns=["colour"], prefix_sep="=", dtype=float)
    features = features.reindex(columns=model.feature_names_in_, fill_value=0)
    printed = run("predict", "m", "garden.csv").out.splitlines()[1:]
    assert model.predict(features).tolist() == [text.split(",")[0] for text in printed]
    with pytest.raises(ValueError, match="feature names"):  # no column of texts
        model.predict(features.rename(columns={"length": "width"}))


def test_missing_values_are_refused_or_filled(run, refused, garden, tmp_path):
    holes = garden.copy()
    holes.loc[3, "length"] = np.nan
    holes.loc[4, "colour"] = None
    holes.to_csv(tmp_path / "garden.csv", index=False)
    assert refused(*TRAIN).endswith(
        f"missing value in column 'length', row 4 (1 of {len(holes)} rows lacks one; row 1 is the first "
        "row of data): pass --missing fill, or leave the column out with --drop\n"
    )
    assert run(*TRAIN, "--missing", "fill").code == 0
    held = run("evaluate", "m", "garden.csv", "--json").json
    assert held["rows"] == "test"
    kept = np.setdiff1d(np.arange(200), np.array(held["row_numbers"]) - 1)
    filled = holes.fillna(
        {"length": holes.length[kept].median(), "colour": holes.colour[kept].mode()[0]}
    )
    filled.to_csv(tmp_path / "b.csv", index=False)
    assert run("predict", "m", "b.csv").out == run("predict", "m", "garden.csv").out
    assert run(*TRAIN, "--missing", "refuse", "--features", "year", "--overwrite").code == 0


def test_empty_column(refused, garden, tmp_path):
    garden.assign(empty=None).to_csv(tmp_path / "garden.csv", index=False)
    for options in ((), ("--missing", "fill")):
        line = refused(*TRAIN, *options)
        assert "column 'empty' is empty; leave it out with --drop empty" in line


def test_two_features_of_one_name(refused, tmp_path):
    (tmp_path / "a.csv").write_text("a=b,a,y\n" + "1,b,x\n2,c,z\n" * 5)
    line = refused("train", "--data", "a.csv", "--target", "y")
    assert "two features would be named 'a=b'" in line


def test_how_the_file_is_written_is_remembered(run, tmp_path, flowers):
    frame = pd.read_csv(flowers[0])
    frame.loc[3, "width"] = np.nan
    frame["kind"] = frame.kind.replace("rose", "rosé")
    frame.to_csv(
        tmp_path / "a.csv", index=False, sep=":", decimal=",", encoding="latin-1", na_rep="?"
    )
    written = ("--sep", ":", "--decimal", ",", "--encoding", "latin-1", "--na-values", "?")
    options = ("--data", "a.csv", "--target", "kind", "--save", "m", "--missing", "fill")
    assert run("train", *options, *written).code == 0
    expected = run("predict", "m", "a.csv").out
    assert "rosé" in expected
    frame.to_csv(tmp_path / "b.csv", index=False, na_rep="?")
    others = ("--sep", ",", "--decimal", ".", "--encoding", "utf-8")
    assert run("predict", "m", "b.csv", *others).out == expected
    assert run("evaluate", "m", "b.csv", *others, "--json").json["rows"] == "test"


@pytest.mark.parametrize("name", ["iris", "wine"])
@pytest.mark.parametrize(("kind", "least"), [("softmax", {"iris": 0.93, "wine": 0.95}),
                                             ("mlp", {"iris": 0.9, "wine": 0.95})])  # fmt: skip
def test_accuracy_with_defaults(run, tmp_path, name, kind, least):
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = data.data.assign(label=data.target_names[data.target])
    frame.to_csv(tmp_path / "a.csv", index=False)
    for seed in range(3):
        options = ("--model", kind, "--seed", seed, "--save", f"{kind}{seed}", "--json")
        outcome = run("train", "--data", "a.csv", "--target", "label", *options)
        assert outcome.json["test"]["accuracy"] >= least[name]
        if kind == "softmax":
            assert outcome.err == ""


def test_exact_solver(run, flowers):
    """The minimum over standardised rows, of a model that reads raw ones."""
    options = ("train", "--data", flowers[0], "--target", "kind", "--save", "m")
    assert run(*options).code == 0
    found = run("evaluate", "m", flowers[0], "--json").json
    kept = np.setdiff1d(np.arange(60), np.array(found["row_numbers"]) - 1)
    _, X, y = flowers
    mean, scale = _models.standardization(X[kept])
    model = fs.SoftmaxRegression(max_iter=1000).fit((X[kept] - mean) / scale, y[kept])
    np.testing.assert_allclose(
        fs.load_model("m").predict_proba(_models.named(X, ["width", "height"])),
        model.predict_proba((X - mean) / scale),
        rtol=1e-6,
    )


def test_solvers(run, flowers):
    options = ("train", "--data", flowers[0], "--target", "kind", "--overwrite", "--save", "m")
    for solver, given in (
        ("auto", ()),
        ("lbfgs", ("--solver", "lbfgs")),
        ("adam", ("--batch-size", 8)),
        ("adam", ("--learning-rate", 0.1)),
        ("sgd", ("--solver", "sgd")),
        ("adam", ("--model", "mlp")),
        ("lbfgs", ("--model", "mlp", "--solver", "lbfgs")),
    ):
        report = run(*options, *given, "--json").json
        assert report["data"]["solver"] == solver
        assert fs.load_model("m").solver == solver


def test_iterations_that_do_not_suffice(run, flowers):
    """It says so, in one line, and saves what it has."""
    options = ("--data", flowers[0], "--target", "kind", "--save", "m", "--no-standardize")
    outcome = run("train", *options, "--epochs", 2)
    assert outcome.code == 0
    assert outcome.err == (
        "fastsoftmax: warning: training has not converged in 2 iterations: raise --epochs, or accept "
        "the model as it is\n"
    )
    assert len(fs.load_model("m").history_["loss"]) == 2


def test_the_custom_of_images_needs_no_word(run):
    """20 epochs of pictures are what every introduction has; --json tells what could still fall."""
    outcome = run("train", "--save", "m")
    assert (outcome.code, outcome.err) == (0, "")
    outcome = run("train", "--save", "m", "--overwrite", "--epochs", 20)
    assert "the loss still fell after 20 epochs, as many as were asked for" in outcome.err


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_epochs_that_do_not_suffice(run, flowers, solver):
    """It says so mildly of as many as were asked for, and --json has it."""
    options = ("train", "--data", flowers[0], "--target", "kind", "--save", "m", "--overwrite")
    options = (*options, "--solver", solver, "--learning-rate", 1e-3)
    outcome = run(*options)
    assert outcome.code == 0
    assert outcome.err == (
        "fastsoftmax: warning: training has not converged in 200 epochs: raise --epochs, or accept "
        "the model as it is\n"
    )
    for n, words in ((1, "1 epoch"), (5, "5 epochs")):
        outcome = run(*options, "--epochs", n, "--json")
        told = f"the loss still fell after {words}, as many as were asked for"
        assert outcome.err == f"fastsoftmax: warning: {told}\n"
        assert (outcome.json["converged"], outcome.json["n_iter"]) == (False, n)
    outcome = run(*options[:-4], "--solver", solver, "--learning-rate", 0.1, "--json")
    assert outcome.err == ""
    assert outcome.json["converged"]
    assert outcome.json["n_iter"] == len(outcome.json["history"]["loss"]) < 200


def test_validation(run, flowers):
    options = ("--data", flowers[0], "--target", "kind", "--save", "m", "--validation", 0.25)
    for given in ((), ("--solver", "adam", "--epochs", 3)):
        report = run("train", *options, *given, "--overwrite", "--json").json
        data = report["data"]
        assert (data["n_train"], data["n_validation"], data["n_test"]) == (36, 12, 12)
        assert len(report["history"]["val_accuracy"]) == len(report["history"]["loss"])
    outcome = run("train", *options, "--overwrite")
    assert "36 to train, 12 to validate, 12 to test" in outcome.out
    assert run("evaluate", "m", flowers[0], "--json").json["scores"]["n_rows"] == 12


@pytest.mark.parametrize("ending", ["parquet", "feather", "arrow", "arrows", "stream"])
def test_arrow_files(run, refused, garden, tmp_path, ending):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    frame = garden.astype({"colour": "category", "year": "int16"})
    frame["spring"] = frame.index % 2 == 0
    frame["when"] = pd.Timestamp("2020-01-01")
    frame.index = pd.Index(range(100, 300), name="number")
    path = tmp_path / f"garden.{ending}"
    table = pa.Table.from_pandas(frame)
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "feather":
        frame.reset_index(drop=True).to_feather(path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    options = ("--data", path, "--target", "kind", "--save", "m")
    line = refused("train", *options, "--drop", "note")
    assert "column 'when' holds timestamp" in line
    assert "leave it out with --drop when" in line
    report = run("train", *options, "--drop", "note,when", "--json").json
    assert report["data"]["features"][-2:] == ["year", "spring"]
    assert report["data"]["text_columns"] == ["colour"]
    found = run("evaluate", "m", path, "--json").json
    assert found["rows"] == "test"
    assert found["scores"] == report["test"]
    frame.to_csv(tmp_path / "b.csv", index=False)
    assert run("evaluate", "m", "b.csv", "--json").json["scores"] == report["test"]
    assert run("predict", "m", "b.csv").out == run("predict", "m", path).out


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0, None] * 2, "y": ["x", "z"] * 2}, "missing value in column 'a', row 2"),
        ({"a": [1.0, 2.0], "y": ["x", None]}, "missing value in column 'y', row 2"),
        ({"a": [1.0, 2.0], "y": [1.5, 2.0]}, "must be whole numbers or text, got 1.5 in row 1"),
        ({"a": [1.0, 2.0], "y": [1.0, np.nan]}, "missing value in column 'y', row 2"),
        ({"a": [1.0, np.inf], "y": [1, 2]}, "must hold finite numbers, got inf in row 2"),
        ({"a": [[1], [2]], "y": [1, 2]}, "column 'a' holds list"),
        ({"a": [1, 2], "y": [b"x", b"z"]}, "labels in 'y' must be integers or text, got binary"),
        ({"a": [], "y": []}, "has no rows"),
        ({"a": [1]}, "has no column 'y'"),
    ],
)
def test_refused_arrow_files(refused, tmp_path, columns, message):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), tmp_path / "a.parquet")
    assert message in refused("train", "--data", "a.parquet", "--target", "y")


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_damaged_arrow_files(run, flowers, tmp_path, ending):
    """Cut or changed bytes are one line, or read as a table: there are no sums over all of it."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    assert run("train", "--data", flowers[0], "--target", "kind", "--save", "m").code == 0
    path = tmp_path / f"a.{ending}"
    getattr(pd.read_csv(flowers[0]), f"to_{ending}")(path)
    content, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for number in range(100):
        damaged = bytearray(content)
        if number % 2:
            del damaged[rng.integers(len(content)) :]
        for at in rng.integers(0, max(1, len(damaged)), 5 * (1 - number % 2)):
            damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        outcome = run("predict", "m", path)
        assert outcome.code in (0, 2)
        assert outcome.code == 0 or outcome.err.count("\n") == 1
        refused += outcome.code == 2
    assert refused >= 50


def test_missing_pyarrow(refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    assert "need pyarrow: pip install" in refused("train", "--data", "a.parquet", "--target", "y")


def test_newton(run, flowers):
    """The other exact solver ends at the same minimum, and is for softmax regression."""
    options = ("train", "--data", flowers[0], "--target", "kind", "--seed", "3")
    lines = run(*options, "--solver", "newton-cholesky", "--save", "newton").out.splitlines()
    assert any(line.startswith("newton-cholesky: ") for line in lines)
    assert run(*options, "--solver", "lbfgs", "--save", "lbfgs").code == 0
    _, X, _ = flowers
    X = _models.named(X, ["width", "height"])
    np.testing.assert_allclose(
        fs.load_model("newton").predict_proba(X), fs.load_model("lbfgs").predict_proba(X), atol=0.01
    )
    refused = run(*options, "--model", "mlp", "--solver", "newton-cholesky")
    assert refused.code == 2
    assert "newton-cholesky is for --model softmax" in refused.err


# Units, and numbers that are written as texts


@pytest.mark.parametrize("unit", [1e-200, 1e-15, 1e-12, 1.0, 1e12, 1e200])
def test_features_of_any_unit(run, tmp_path, write_csv, unit):
    """Farads, metres or bytes: the same model, down to deviations whose squares are 0."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = rng.normal(size=(90, 2)) + y[:, None] * [[3.0, -3.0]]
    options = ("train", "--target", "y", "--overwrite", "--save", "m", "--json")
    write_csv(tmp_path / "a.csv", ["a", "b", "y"], X, y)
    want = run(*options, "--data", "a.csv").json["test"]
    write_csv(tmp_path / "b.csv", ["a", "b", "y"], X * unit, y)
    outcome = run(*options, "--data", "b.csv")
    assert outcome.err == ""
    assert outcome.json["test"]["accuracy"] == want["accuracy"]
    assert outcome.json["test"]["loss"] == pytest.approx(want["loss"], rel=1e-6)


def test_scale_of_constants():
    X = np.column_stack([np.full(50, 0.1), np.full(50, 1e-20), np.zeros(50), np.full(50, 1e300)])
    mean, scale = _models.standardization(X)
    np.testing.assert_allclose(mean, X[0], rtol=1e-12)
    np.testing.assert_array_equal(scale, 1)


@pytest.mark.parametrize(
    "texts", [("1,5", "0,25"), ("1,234.5", "2,000"), ("5 %", "10 %"), ("$3", "$4"), ("1_0", "2_0")]
)
def test_numbers_that_are_read_as_texts(run, tmp_path, texts):
    lines = [f'"{texts[row % 2]}",{row % 3},{"xy"[row % 2]}' for row in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,y", *lines]))
    options = ("train", "--data", "a.csv", "--target", "y", "--save", "m", "--json", "--overwrite")
    outcome = run(*options)
    assert outcome.json["data"]["text_columns"] == ["a"]
    assert f"column 'a' is read as texts, such as {texts[0]!r}" in outcome.err
    assert outcome.err.count("\n") == 1
    assert run(*options, "--categorical", "a").err == ""
    assert run("predict", "m", "a.csv").err == ""


@pytest.mark.parametrize(
    ("decimal", "text", "hint"),
    [
        (".", "1000,5", "write them as 1234.5, or pass --decimal;"),
        (",", "1000.5", "write them as 1234,5;"),
    ],
)
def test_numbers_with_the_other_decimal_point(run, tmp_path, decimal, text, hint):
    lines = [f"{text};{'xy'[row % 2]}" for row in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["a;y", *lines]))
    options = ("--sep", ";", "--decimal", decimal, "--save", "m")
    outcome = run("train", "--data", "a.csv", "--target", "y", *options)
    assert f"if they are numbers, {hint} if they are texts" in outcome.err


def test_a_text_that_one_row_has(run, garden, tmp_path):
    assert run(*TRAIN).code == 0
    garden.assign(colour=["green", *garden.colour[1:]]).to_csv(tmp_path / "b.csv", index=False)
    assert "it counts as none of its texts (1 row)\n" in run("predict", "m", "b.csv").err


def test_thousands_from_training_to_prediction(run, refused, tmp_path):
    rng = np.random.default_rng(0)
    rows = [(f"{1e4 * (1 + row % 2) + rng.normal():,.2f}", "xy"[row % 2]) for row in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(["a,y", *(f'"{a}",{y}' for a, y in rows)]))
    german = [a.translate({ord(","): ".", ord("."): ","}) for a, _ in rows]
    (tmp_path / "b.csv").write_text(
        "\n".join(["a;y", *(f"{a};{y}" for a, (_, y) in zip(german, rows, strict=True))])
    )
    train = ("train", "--data", "a.csv", "--target", "y", "--save", "m", "--json")
    found = run(*train, "--thousands", ",").json
    assert found["data"]["features"] == ["a"]
    assert found["test"]["accuracy"] == 1
    predicted = run("predict", "m", "a.csv", "--proba").out
    assert [line[0] for line in predicted.splitlines()[1:]] == [y for _, y in rows]
    assert run("predict", "m", "b.csv", "--proba", "--sep", ";", "--decimal", ",", "--thousands", "."
               ).out == predicted  # fmt: skip
    line = refused("predict", "m", "b.csv", "--sep", ";", "--decimal", ",")
    assert "pass --thousands '.'" in line
    line = refused("predict", "m", "a.csv", "--thousands", ".")
    assert "--thousands and the decimal point are both '.'" in line
    for bad in ("1", "e", "-", ",,", "", '"'):
        line = refused(*train, f"--thousands={bad}")
        assert "--thousands: expected one character that is no letter, digit or sign" in line


def test_numbers_that_parquet_has_as_texts(run, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    frame = pd.DataFrame({"a": ["1.5", "2.5"] * 20, "y": ["x", "z"] * 20})
    frame.to_parquet(tmp_path / "a.parquet")
    outcome = run("train", "--data", "a.parquet", "--target", "y", "--save", "m", "--json")
    assert "column 'a' is read as texts, such as '1.5'" in outcome.err


@pytest.mark.parametrize(
    "options", [("--categorical", "kind"), ("--categorical", "year", "--drop", "year"),
                ("--categorical", "year,length", "--features", "length,colour")]
)  # fmt: skip
def test_categories_that_are_no_features(refused, garden, options):
    line = refused("train", "--data", "garden.csv", "--target", "kind", "--save", "m", *options)
    assert "is no column to learn from" in line


def test_labels_that_were_features(run, refused, flowers):
    path = flowers[0]
    run("train", "--data", path, "--target", "kind", "--save", "m")
    line = refused("evaluate", "m", path, "--target", "width")
    assert "--target: the model learnt from 'width' as a feature" in line


def test_labels_beyond_int64(run, tmp_path):
    """A list of them would be floats in NumPy."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    labels = np.array([1, 2, 2**64 - 1], dtype=np.uint64)[np.arange(60) % 3]
    a = np.arange(60) % 3 + np.linspace(0, 0.1, 60)
    pytest.importorskip("pyarrow.parquet").write_table(
        pa.table({"a": a, "y": labels}), tmp_path / "a.parquet"
    )
    report = run("train", "--data", "a.parquet", "--target", "y", "--save", "m", "--json").json
    assert report["data"]["classes"] == [1, 2, 2**64 - 1]
    assert run("evaluate", "m", "a.parquet", "--json").json["scores"] == report["test"]
    predicted = run("predict", "m", "a.parquet").out.splitlines()[1:]
    assert {line.split(",")[0] for line in predicted} == {"1", "2", str(2**64 - 1)}


def test_checksums_of_parquet(refused, tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    path = tmp_path / "a.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(
        pa.table({"a": np.linspace(1, 2, 500), "y": [0, 1] * 250}), path, compression="none",
        use_dictionary=False, write_page_checksum=True,
    )  # fmt: skip
    content = bytearray(path.read_bytes())
    content[content.find(np.float64(1).tobytes()) + 100] ^= 1
    path.write_bytes(content)
    assert "CRC" in refused("train", "--data", path, "--target", "y")


def test_names_with_commas(run, refused, write_csv, tmp_path):
    rng = np.random.default_rng(0)
    kinds = np.repeat(["a", "b"], 20)
    X = rng.normal(size=(40, 3)) + (kinds == "b")[:, None]
    write_csv(tmp_path / "a.csv", ['"width, cm"', '"6"" high"', "c", "kind"], X, kinds)
    options = ("train", "--data", "a.csv", "--target", "kind", "--save", "m", "--overwrite")
    for given, features in (
        (("--features", '"width, cm",c'), ["width, cm", "c"]),
        (("--features", 'c,"6"" high"'), ["c", '6" high']),
        (("--drop", '"width, cm"'), ['6" high', "c"]),
    ):
        assert run(*options, *given, "--json").json["data"]["features"] == features
    assert "--drop: expected names parted by commas" in refused(*options, "--drop", '"width')


def test_what_is_left_out_is_named_as_it_is_read(refused, tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    columns = {"a, b": [[1], [2]], "c": [1, 2], "y": [1, 2]}
    feather = pytest.importorskip("pyarrow.feather")
    feather.write_feather(pa.table(columns), tmp_path / "a.feather")
    line = refused("train", "--data", "a.feather", "--target", "y")
    assert line.endswith("leave it out with --drop '\"a, b\"'\n")


def test_folders_and_patterns_need_dask(refused, garden):
    for data, kind in ((".", "a folder"), ("*.csv", "a pattern")):
        line = refused("train", "--data", data, "--target", "kind")
        assert f"{data} is {kind}, expected a file; with --dask it stands for Parquet" in line


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (2, "expected at least 3 rows, one for each class, got 2"),
        (0.01, "expected at least 3 rows, one for each class, got 1"),
        (46, "expected to leave at least 3 of 48 rows, one for each class, got 2"),
        (500, "expected to leave at least 3 of 48 rows, one for each class, got 0"),
    ],
)
def test_sizes_that_leave_classes_out(refused, flowers, size, words):
    options = ("train", "--data", flowers[0], "--target", "kind", "--validation", size)
    assert refused(*options) == f"fastsoftmax: --validation {size}: {words}\n"
