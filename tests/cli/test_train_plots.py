"""`fastsoftmax train --plots DIR`: which pictures it writes, and what it refuses before training."""

import sys

import numpy as np
import pytest

from fastsoftmax import plots
from fastsoftmax.cli import _models, _pictures

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("safetensors")
matplotlib = pytest.importorskip("matplotlib")


def pictures(folder):
    """Return the names of the files: pictures that are not blank, and not cut off at an edge."""
    from matplotlib.image import imread

    for path in folder.iterdir():
        picture = imread(path)[..., :3]
        assert picture.std() > 0.01
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert (edge == 1).all(), path.name
    return sorted(path.name for path in folder.iterdir())


ALWAYS = ["confusion_matrix.png", "history.png", "reliability.png"]


def test_digits(run, tmp_path):
    outcome = run("train", "--epochs", 2, "--plots", "new/folder")
    assert outcome.code == 0
    assert all(
        "converge" in line or "the loss still fell" in line for line in outcome.err.splitlines()
    )
    folder = tmp_path / "new" / "folder"
    assert pictures(folder) == sorted([*ALWAYS, "class_weights.png"])
    told = [line.split()[-1] for line in outcome.out.splitlines() if line.endswith(".png")]
    assert sorted(told) == [f"new/folder/{name}" for name in pictures(folder)]
    assert outcome.out.splitlines()[-1].startswith("next ")


def test_two_features(run, tmp_path, flowers):
    report = run("train", "--data", flowers[0], "--target", "kind", "--plots", "p", "--json").json
    assert report["plots"] == [
        "p/history.png", "p/confusion_matrix.png", "p/coefficients.png", "p/decision_regions.png",
        "p/reliability.png",
    ]  # fmt: skip
    assert [f"p/{name}" for name in pictures(tmp_path / "p")] == sorted(report["plots"])


@pytest.mark.parametrize(
    ("n_rows", "n_bins", "title"),
    [
        (7, 1, "test rows (7): few, so the dots are uncertain"),
        (30, 3, "test rows (30): few, so the dots are uncertain"),
        (99, 9, "test rows (99): few, so the dots are uncertain"),
        (100, 10, "test rows (100)"),
    ],
)
def test_few_rows_have_few_bins(n_rows, n_bins, title):
    """Ten bins of 30 rows are dots of a row or two, one above the other."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, n_rows)
    y = (rng.random(n_rows) > confidence).astype(int)
    y[:2] = [0, 1]
    ax = _pictures._reliability(plots, np.column_stack([confidence, 1 - confidence]), None, y).axes[
        0
    ]
    assert ax.get_title() == title
    assert ax.get_legend().get_title().get_text().startswith(f"{n_bins} bins")
    heights = ax.lines[1].get_ydata()
    assert len(heights) <= n_bins


def test_network_has_no_weights_per_class(run, tmp_path):
    options = ("--model", "mlp", "--hidden", 4, "--epochs", 1)
    assert run("train", *options, "--plots", "p").code == 0
    assert pictures(tmp_path / "p") == ALWAYS


@pytest.mark.parametrize(("shape", "drawn"), [((4, 6), True), ((24,), False), ((2, 2, 6), False)])
def test_images_are_told_by_their_shape(run, tmp_path, shape, drawn):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.integers(0, 200, (60, *shape), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", X=X, y=y)
    assert run("train", "--data", "a.npz", "--target", "y", "--plots", "p").code == 0
    assert ("class_weights.png" in pictures(tmp_path / "p")) == drawn


def test_drawing_does_not_change_the_model(run):
    """Calibration for the reliability diagram is a copy's, and no figure is left behind."""
    import matplotlib.pyplot as plt

    before = plt.get_fignums(), matplotlib.get_backend()
    for name, options in (("a", ()), ("b", ("--plots", "p"))):
        assert run("train", "--epochs", 1, "--save", name, *options).code == 0
    a, b = _models.load("a"), _models.load("b")
    np.testing.assert_array_equal(a.coef_, b.coef_)
    assert a.temperature_ == b.temperature_ == 1
    assert (plt.get_fignums(), matplotlib.get_backend()) == before


def test_labels_that_matplotlib_would_take_for_mathematics(run, tmp_path, write_csv):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), ["$\\x$", "_b$", "c$"] * 20
    write_csv(tmp_path / "a.csv", ["$\\a$", "b", "y"], X, y)
    outcome = run("train", "--data", "a.csv", "--target", "y", "--plots", "p")
    assert (outcome.code, outcome.err) == (0, "")
    assert "decision_regions.png" in pictures(tmp_path / "p")


@pytest.fixture
def untrained(monkeypatch):
    """Fail if the command comes as far as training."""
    monkeypatch.setattr(
        "fastsoftmax.SoftmaxRegression.fit", lambda *args, **kwargs: pytest.fail("it has trained")
    )


@pytest.mark.usefixtures("untrained")
def test_refused_before_training(refused, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "full" / "history.png").mkdir(parents=True)
    assert "--plots: expected a folder, got 'file'" in refused("train", "--plots", "file")
    assert "--plots: expected a folder, got ''" in refused("train", "--plots", "")
    line = refused("train", "--plots", "file/below")
    assert "--plots: file/below cannot be written: [Errno 20] Not a directory" in line
    line = refused("train", "--plots", "full")
    assert "--plots: full/history.png is there and is not a file" in line

    def deny(*args, dir, **kwargs):
        if dir.name == "closed":
            raise PermissionError(13, "Permission denied")
        return open(tmp_path / "file")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", deny)
    line = refused("train", "--plots", "closed")
    assert "--plots: closed cannot be written: [Errno 13] Permission denied" in line


@pytest.mark.usefixtures("untrained")
def test_earlier_pictures_are_not_replaced_in_silence(refused, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "reliability.png").write_text("")
    assert "p/reliability.png is there already; pass --overwrite" in refused(
        "train", "--plots", "p"
    )


@pytest.mark.usefixtures("untrained")
def test_missing_matplotlib(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = refused("train", "--plots", "p")
    assert '--plots needs matplotlib: pip install "fastsoftmax[plots]"' in line


def test_disk_that_fills_while_drawing(refused, flowers, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    line = refused("train", "--data", flowers[0], "--target", "kind", "--plots", "p")
    assert "--plots: p/history.png cannot be written: [Errno 28]" in line
