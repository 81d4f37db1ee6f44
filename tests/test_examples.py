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

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("plot_*.py"))

RUN = """
import runpy, sys
import matplotlib.pyplot as plt
runpy.run_path(sys.argv[1], run_name="__main__")
assert plt.get_fignums(), "nothing is drawn"
for number in plt.get_fignums():
    plt.figure(number).savefig(f"{number}.png")
"""


def run(path, folder, before=""):
    """Run a script as a reader would, in an empty folder, and return what it printed."""
    import fastsoftmax

    source = str(Path(fastsoftmax.__file__).resolve().parent.parent)
    environment = {
        **os.environ,
        "FASTSOFTMAX_EXAMPLES_SMALL": "1",
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
    "3": [
        r"probabilities \[0\.  0\.5 0\.5\]",
        "grade 4.5, score 90.*predicted: admitted",
        "grade 4.3, score 79.*predicted: waitlisted, with probability 0",
    ],
    "4": ["test accuracy 0", "prediction,probability,probability_setosa", "one-vs-rest"],
}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    out = run(path, tmp_path)
    for said in SAYS.get(path.stem.split("_")[1], []):
        assert re.search(said, out, re.DOTALL), said


def test_examples_are_there():
    assert {path.stem.split("_")[1] for path in SCRIPTS} >= set("12349")


def test_digits_take_the_place_of_data_that_are_not_here(tmp_path):
    """Searched nowhere, the tutorial says so and goes on."""
    nowhere = "import fastsoftmax as fs; fs.datasets.find_folder = lambda *args: None\n"
    (path,) = EXAMPLES.glob("plot_2_*.py")
    assert "data: the digits of scikit-learn" in run(path, tmp_path, before=nowhere)
