"""linear_cross_entropy takes the least memory of all ways that PyTorch has: peaks of processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
STATUS = Path("/proc/self/status")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        not STATUS.exists() or "VmHWM" not in STATUS.read_text(),
        reason="this system does not tell the peak of a process in /proc/self/status",
    ),
]

MEASURE = """
import sys, torch, fastsoftmax.torch as ft
F = torch.nn.functional
torch.manual_seed(0)
x = torch.randn(4096, 64, requires_grad=True)
w = torch.randn(16000, 64).mul_(0.1).requires_grad_()
y = torch.randint(0, 16000, (4096,))
ways = {
    "ours": lambda *a: ft.linear_cross_entropy(*a),
    "naive": lambda x, w, y: F.cross_entropy(F.linear(x, w), y),
    "chunks": lambda *a: F.linear_cross_entropy(*a, options=torch.nn.LinearCrossEntropyOptions(batch_chunk_size=256)),
    "plain": lambda *a: F.linear_cross_entropy(*a),
}

def peak():  # of this program: ru_maxrss starts at the peak of the process that started it
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

ways[sys.argv[1]](x[:8], w[:9], y[:8] % 9).backward()  # loads what is loaded at the first call
before = peak()
ways[sys.argv[1]](x, w, y).backward()
print(peak() - before)
"""


def megabytes(way):
    """Return what a call and its backward pass add to the peak of a process."""
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_least_of_all():
    ours, logits = megabytes("ours"), 4096 * 16000 * 4 / 2**20
    assert ours < 0.5 * logits
    assert ours < 0.5 * megabytes("naive")
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        assert ours < 0.5 * megabytes("plain")
        assert ours <= 1.1 * megabytes("chunks") + 10  # of pages that imports have left
