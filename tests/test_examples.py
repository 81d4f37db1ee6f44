"""The tutorials run, in their small setting, and draw."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("safetensors")
pytest.importorskip("matplotlib")

from fastsoftmax.datasets._sources import FASHION_MNIST, find_folder

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("plot_*.py"))

RUN = """
import ast, re, sys
from pathlib import Path
path = Path(sys.argv[1])
main = sys.modules["__main__"]
main.__file__ = str(path)
for cell in re.split(r"^# %%.*$", path.read_text(), flags=re.MULTILINE):
    lines = ast.parse(cell).body
    last = lines.pop() if lines and isinstance(lines[-1], ast.Expr) else ast.parse("None").body[0]
    exec(compile(ast.Module(lines, []), str(path), "exec"), vars(main))
    value = eval(compile(ast.Expression(last.value), str(path), "eval"), vars(main))
    assert value is None, f"a notebook prints {value!r} after {cell}"
import matplotlib.pyplot as plt
saved = sorted(path.name for path in Path("pictures").iterdir())
expected = sorted(f"{path.stem}_{number}.png" for number in plt.get_fignums())
assert saved == expected and saved, "not all pictures are shown"
"""
"""Runs the cells of a script as a notebook does, which prints the value of a last line."""


def run(path, folder, before=""):
    """Run a script as a reader would, in an empty folder, and return what it printed."""
    import fastsoftmax

    source = str(Path(fastsoftmax.__file__).resolve().parent.parent)
    environment = {
        **os.environ,
        "FASTSOFTMAX_EXAMPLES_SMALL": "1",
        "FASTSOFTMAX_PICTURES": "pictures",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")])),
    }
    strict = ["-W", "error", "-W", "ignore::DeprecationWarning"]  # those are other libraries'
    command = [sys.executable, *strict, "-c", before + RUN, str(path)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SAYS = {
    "2": ["well-known tutorial    0.9098  0.8956"],
    "3": [
        r"probabilities \[0\.  0\.5 0\.5\]",
        r"admitted   score = -40 \* grade \+ 250",
        r"waitlisted \| rejected  score = -12\.\d\d \* grade \+ 12\d\.\d",
        "grade 4.5, score 90.*predicted: admitted",
        "grade 4.3, score 79.*predicted: waitlisted, with probability 0",
    ],
    "4": ["test accuracy 0", "prediction,probability,probability_setosa", "one-vs-rest"],
}


def found(data):
    return find_folder(data) is not None


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    if "fashion" in path.stem and not found(FASHION_MNIST):
        pytest.skip("Fashion-MNIST is not on this machine: FASTSOFTMAX_DATA names its folder")
    out = run(path, tmp_path)
    assert f"no display: saved {path.stem}_1.png" in out
    for said in SAYS.get(path.stem.split("_")[1], []):
        assert re.search(said, out, re.DOTALL), said
    if path.stem.startswith("plot_2"):
        check_that_calibration_helps(out)


def check_that_calibration_helps(out):
    """Hold the tutorial to what its text says: the network is too sure, and calibration mends it."""
    confidence = float(re.search(r"mean confidence in the test (\S+)", out)[1])
    assert confidence > float(re.search(r"(\S+) of the test images", out)[1]) + 0.05
    figures = re.findall(r"(?:before|after) +calibration error (\S+), loss (\S+)", out)
    (error, loss), (error_after, loss_after) = (map(float, pair) for pair in figures)
    assert error_after < error / 3
    assert loss_after < loss - 0.1


def test_examples_are_there():
    assert sorted(EXAMPLES.glob("*.py")) == SCRIPTS, "the gallery says that it runs all of these"
    assert {path.stem.split("_")[1] for path in SCRIPTS} >= set("12349")


def test_digits_take_the_place_of_mnist(tmp_path):
    """Searched nowhere, the first tutorial says so and goes on with other digits."""
    nowhere = "import fastsoftmax as fs; fs.datasets.find_folder = lambda *args: None\n"
    (path,) = EXAMPLES.glob("plot_1_*.py")
    assert "data: the digits of scikit-learn" in run(path, tmp_path, before=nowhere)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_one_style_for_all(path):
    assert 'plt.style.use("fastsoftmax.plots.style")' in path.read_text()
