"""The documents' code runs, their commands exist, their links lead somewhere, no public name is left out."""

import doctest
import importlib
import io
import json
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


PROGRAMS = [(path, blocks(path, "python")) for path in DOCUMENTS if blocks(path, "python")]


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
            marks=[pytest.mark.peer] if re.search("import (torch|distributed)", code) else [],
        )
        for number, (path, code) in enumerate(found)
    ]


def needs(code):
    for library in ("torch", "sklearn", "scipy", "matplotlib", "dask", "distributed"):
        if re.search(rf"^(>>> )?(import|from) {library}\b", code, flags=re.MULTILINE):
            pytest.importorskip(library, reason=f"{library} is not installed")


def run_in_order(path, codes):
    """Run the blocks of a document as one program; return what it has defined."""
    needs("\n".join(codes))
    names = {"__name__": "program"}
    for code in codes:
        exec(compile(code, path.name, "exec"), names)
    return names


@pytest.mark.parametrize(("path", "codes"), PROGRAMS, ids=lambda part: getattr(part, "name", ""))
def test_python_blocks_run(path, codes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_in_order(path, codes)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_powers_are_code(path):
    prose = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(), flags=re.DOTALL)
    assert not re.findall(r"\w\*\*[-\w]+", prose), (
        "two of them in a paragraph make bold type of what is between"
    )


def test_the_server_of_the_documents_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = ROOT / "docs" / "deploying.md"
    application = run_in_order(path, blocks(path, "python"))["application"]
    for rows, status in (([[8] * 64] * 2, "200 OK"), ([[1, 2]], "400 Bad Request"), ("a", "400 ")):
        body = json.dumps(rows).encode()
        environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        told = []
        answer = json.loads(
            b"".join(application(environ, lambda *args, told=told: told.append(args)))
        )
        assert told[0][0].startswith(status)
        if status == "200 OK":
            assert [sum(row) for row in answer["probabilities"]] == pytest.approx([1, 1])
        else:
            assert answer["error"]


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
    with_code = {path.name for path, _ in [*PROGRAMS, *SESSIONS]}
    assert with_code >= {"README.md", "getting_started.md", "coming_from.md", "deploying.md"}


API_MODULES = {
    "fastsoftmax.estimators.callbacks": ("Callback", "CSVLogger", "ModelCheckpoint"),
    "fastsoftmax.dask": ("MLPClassifier", "SoftmaxRegression"),
    "fastsoftmax.datasets": None,
    "fastsoftmax.export": ("register_skl2onnx", "to_onnx"),
    "fastsoftmax.numba_functions": (
        "binary_cross_entropy_with_logits",
        "cross_entropy",
        "cross_entropy_with_grad",
        "log_softmax",
        "logsumexp",
        "sigmoid",
        "softmax",
    ),
    "fastsoftmax.plots": None,
    "fastsoftmax.torch": (
        "CrossEntropyLoss",
        "LinearCrossEntropyLoss",
        "binary_cross_entropy_with_logits",
        "cross_entropy",
        "linear_cross_entropy",
        "log_softmax",
        "softmax",
    ),
}
"""Public names beside those of the package itself; None for a module's own list, where it can be imported."""


def listed_in_the_api():
    """Return the full names in the autosummary tables of the API's pages."""
    module, names = "", set()
    pages = (ROOT / "docs" / page for page in ("api.rst", "api_torch.rst"))
    for line in "\n".join(page.read_text() for page in pages).splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        if re.fullmatch(r"   \w+", line):
            names.add(f"{module}.{line.strip()}")
    return names


def public_names():
    names = {f"fastsoftmax.{name}" for name in fs.__all__ if name != "__version__"}
    names |= {
        f"fastsoftmax.{name}" for name in dir(fs) if name[0].isupper() or name == "load_model"
    }
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
        # pages that the site makes of the examples
        source = re.sub(r"^auto_examples/(\w+)\.rst$", r"../examples/\1.py", target)
        source = source.replace("../examples/index.py", "../examples/GALLERY_HEADER.rst")
        assert source.startswith("http") or (path.parent / source).exists(), target


def test_pictures_of_the_readme_exist():
    found = re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text())
    assert len(found) == 2
    for target in found:
        assert (ROOT / target).exists(), target


COLUMN = 88
"""Letters of code that the column of the site holds."""


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if path.parent.name == "docs"]
    + sorted(ROOT.glob("examples/plot_*.py")),
    ids=lambda path: path.name,
)
def test_code_fits_its_column(path):
    text = path.read_text()
    code = (
        text.split('"""', 2)[2]
        if path.suffix == ".py"
        else "".join(re.findall(r"```\w+\n(.*?)```", text, re.DOTALL))
    )
    for line in code.splitlines():
        assert len(line) <= COLUMN or line.startswith("# "), line


def from_docs(monkeypatch, folder, name):
    """Import a module of the documentation."""
    monkeypatch.syspath_prepend(ROOT / "docs" / folder)
    return importlib.import_module(name)


def test_every_function_has_a_formula_on_its_page(monkeypatch):
    formulas = from_docs(monkeypatch, "extensions", "formulas").FORMULAS
    assert set(formulas) == set(fs.functional.__all__)


def test_table_and_words_are_those_of_the_figures(monkeypatch):
    pytest.importorskip("matplotlib")
    benchmark = from_docs(monkeypatch, "", "benchmark")
    report = json.loads(benchmark.FIGURES.read_text())
    for path, text in benchmark.texts(report).items():
        assert benchmark.between_marks(path)[1].strip() == text.strip(), (
            f"{path.name}: run `python docs/benchmark.py`"
        )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_has_every_figure_of_its_rows(monkeypatch, theme):
    pytest.importorskip("matplotlib")
    benchmark = from_docs(monkeypatch, "", "benchmark")
    report = json.loads(benchmark.FIGURES.read_text())
    panels = benchmark.draw(report, theme).axes
    for operation, (times, errors) in zip(benchmark.DRAWN, (panels[:2], panels[2:4]), strict=True):
        rows = [benchmark._row(report, operation, shape) for shape in benchmark.SHAPES]
        drawn = sorted(line.get_xdata()[0] for line in errors.lines if len(line.get_xdata()) == 1)
        told = [row["ulp"] for row in rows] + [p["ulp"] for r in rows for p in r["peers"].values()]
        assert drawn == sorted(told)
        drawn = sorted(line.get_xdata()[0] for line in times.lines if len(line.get_xdata()) == 1)
        told = [1] * len(rows) + [p["ratio"] for r in rows for p in r["peers"].values()]
        assert drawn == sorted(told)


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


@pytest.mark.parametrize(
    ("words", "pages"),
    [
        ("label smoothing", ["docs/getting_started.md", "docs/gradient.md"]),
        ("pandas", ["docs/data_science.md"]),
        ("license", ["docs/index.md"]),
    ],
)
def test_words_that_people_look_for_are_there(words, pages):
    for page in pages:
        assert words in (ROOT / page).read_text().lower()
