"""The README's code runs, its commands exist, and its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastsoftmax as fs

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")) if "auto" not in path.parts
)


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


def test_python_blocks_of_the_readme_run():
    pytest.importorskip("sklearn")
    found = blocks(ROOT / "README.md", "python")
    assert len(found) >= 2
    for block in found:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target


def test_commands_of_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"\bfastsoftmax (info|bench|train|evaluate|predict)\b", text))
    assert commands == {"info", "bench", "train", "evaluate", "predict"}
    for command in commands:
        run = [sys.executable, "-m", "fastsoftmax", command, "--help"]
        assert subprocess.run(run, capture_output=True, check=False).returncode == 0


def test_marked_commands_are_there():
    text = (ROOT / "README.md").read_text()
    for mark in ("main job", "test command"):
        assert text.count(f"<!-- {mark} -->\n```bash\n") == 1


def test_every_name_of_the_readme_is_public():
    text = (ROOT / "README.md").read_text()
    for name in re.findall(r"\bfs\.(\w+)", text):
        assert name in dir(fs), name
