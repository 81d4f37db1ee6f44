"""The documents' code runs, their commands exist, their links lead somewhere, no public name is left out."""

import doctest
import importlib
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


PYTHON = [(path, code) for path in DOCUMENTS for code in blocks(path, "python")]


def sessions(path):
    """Return the interactive sessions of a document: a block that starts with imports begins one."""
    found = []
    for code in blocks(path, "pycon"):
        if code.startswith((">>> import", ">>> from")):
            found.append(code)
        else:
            found[-1] += code
    return found


SESSIONS = [(path, code) for path in DOCUMENTS for code in sessions(path)]


def cases(found):
    """Number the blocks of each document; one that shows a peer belongs to the tests against peers."""
    return [
        pytest.param(
            path,
            code,
            id=f"{path.name}-{number}",
            marks=[pytest.mark.peer] if "import torch" in code else [],
        )
        for number, (path, code) in enumerate(found)
    ]


def needs(code):
    for library in ("torch", "sklearn", "scipy", "matplotlib"):
        if re.search(rf"^(>>> )?(import|from) {library}\b", code, flags=re.MULTILINE):
            pytest.importorskip(library, reason=f"{library} is not installed")


@pytest.mark.parametrize(("path", "code"), cases(PYTHON))
def test_python_blocks_run(path, code, tmp_path, monkeypatch):
    needs(code)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, path.name, "exec"), {"__name__": "block"})


@pytest.mark.parametrize(("path", "code"), cases(SESSIONS))
def test_sessions_print_what_they_show(path, code):
    needs(code)
    test = doctest.DocTestParser().get_doctest(code, {}, path.name, str(path), 0)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    told = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=told.append)
    assert test.examples
    assert not told, "".join(told)


def test_documents_have_code():
    for name, least in (("README.md", 2), ("getting_started.md", 3), ("coming_from.md", 3)):
        assert sum(path.name == name for path, _ in PYTHON + SESSIONS) >= least


API_MODULES = {
    "fastsoftmax.estimators.callbacks": ("Callback", "CSVLogger", "ModelCheckpoint"),
    "fastsoftmax.datasets": None,
    "fastsoftmax.export": ("to_onnx",),
}
"""Public names beside those of the package itself; None for a module's own list."""


def listed_in_the_api():
    """Return the full names in the autosummary tables of docs/api.rst."""
    module, names = "", set()
    for line in (ROOT / "docs" / "api.rst").read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        if re.fullmatch(r"   \w+", line):
            names.add(f"{module}.{line.strip()}")
    return names


def public_names():
    names = {f"fastsoftmax.{name}" for name in fs.__all__ if name != "__version__"}
    names |= {"fastsoftmax.MLPClassifier", "fastsoftmax.SoftmaxRegression"}
    for module, listed in API_MODULES.items():
        if listed is None:
            listed = importlib.import_module(module).__all__
        names |= {f"{module}.{name}" for name in listed}
    return names


def test_every_public_name_stands_in_the_api():
    pytest.importorskip("sklearn")
    assert listed_in_the_api() == public_names()


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
