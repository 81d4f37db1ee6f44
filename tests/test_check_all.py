"""What `make check-all` says of a target that passes, skips itself or fails."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "tools" / "check_all.py"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists() or shutil.which("make") is None, reason="needs the source tree and make"
)

MAKEFILE = """
passing:
	@echo "make: a word of its own"; echo "=== 3 passed, 1 skipped ==="
skipping:
	@if true; then echo "make skipping: skipped, its compiler is missing"; exit 0; fi; echo built
failing:
	@echo "make failing: skipped, or so it says"; exit 3
"""


def test_words(tmp_path):
    (tmp_path / "Makefile").write_text(MAKEFILE)
    command = [sys.executable, str(SCRIPT), "passing", "skipping", "failing"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    summary = result.stdout.partition("Summary\n")[2].splitlines()
    assert [line.split()[:2] for line in summary] == [
        ["passing", "passed"], ["skipping", "skipped"], ["failing", "FAILED"],
        ["check-all", "FAILED"],
    ]  # fmt: skip
    assert summary[0].endswith("3 passed, 1 skipped")
    assert summary[1].endswith("make skipping: skipped, its compiler is missing")
    assert result.returncode == 1
