"""The examples for PyTorch run, in their small setting, and their losses agree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.peer
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "torch_and_dask"


def run(name):
    import fastsoftmax

    environment = {
        **os.environ,
        "FASTSOFTMAX_EXAMPLES_SMALL": "1",
        "PYTHONPATH": str(Path(fastsoftmax.__file__).resolve().parents[1]),
    }
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def column(out, names, place):
    """Return the numbers that stand at a place behind each of these names."""
    rows = [re.search(rf"^{name}\s.*", out, re.MULTILINE) for name in names]
    return [float(row[0].split()[place]) for row in rows]


def test_gpt_takes_the_same_steps_with_each_loss():
    out = run("gpt_cpu.py")
    names = "PyTorch", "cross_entropy", "linear_cross_entropy"
    first, last = (column(out, names, place) for place in (1, 2))
    assert max(last) < min(first)
    assert first == pytest.approx([first[0]] * 3, rel=1e-5)
    assert last == pytest.approx([last[0]] * 3, rel=1e-5)
    assert float(re.search(r"differ by at most (\S+)", out)[1]) < 1e-5


def test_convolution_net_learns_the_same():
    losses = column(run("convolution_net.py"), ("PyTorch", "fastsoftmax"), 1)
    assert losses == pytest.approx([losses[0]] * 2, rel=1e-4)
