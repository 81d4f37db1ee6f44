"""`show`: windows where there are any, else files and a line that says where."""

import subprocess
import sys

import matplotlib.pyplot as plt
import pytest

from fastsoftmax.plots import show


def two_figures():
    for _ in range(2):
        plt.figure(figsize=(1, 1))


def test_without_a_display_figures_are_saved(tmp_path, capsys):
    two_figures()
    show(tmp_path / "new" / "folder")
    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert len(files) == 2
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert f"{files[0].name} to {files[1].name} in {(tmp_path / 'new' / 'folder').resolve()}" in out


def test_files_are_called_after_the_script(tmp_path):
    script = tmp_path / "petals.py"
    script.write_text(
        "import fastsoftmax as fs, matplotlib\n"
        "matplotlib.use('agg')\n"
        "import matplotlib.pyplot as plt\n"
        "plt.figure()\n"
        "fs.plots.show(PICTURES)\n".replace("PICTURES", repr(str(tmp_path / "here")))
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == f"no display: saved petals_1.png in {(tmp_path / 'here').resolve()}\n"
    assert [file.name for file in (tmp_path / "here").iterdir()] == ["petals_1.png"]


def test_variable_names_the_folder(tmp_path, monkeypatch):
    two_figures()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTSOFTMAX_PICTURES", "elsewhere")
    show()
    assert len(list((tmp_path / "elsewhere").iterdir())) == 2
    monkeypatch.delenv("FASTSOFTMAX_PICTURES")
    show()
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_empty_variable_saves_nothing(tmp_path, monkeypatch, capsys):
    two_figures()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTSOFTMAX_PICTURES", "")
    show()
    assert not list(tmp_path.iterdir())
    assert not capsys.readouterr().out


def test_without_figures_nothing_is_made(tmp_path, capsys):
    show(tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()
    assert not capsys.readouterr().out


def test_other_backends_show(tmp_path, monkeypatch):
    two_figures()
    shown = []
    monkeypatch.setattr(plt, "get_backend", lambda: "QtAgg")
    monkeypatch.setattr(plt, "show", lambda: shown.extend(plt.get_fignums()))
    show(tmp_path / "pictures")
    assert len(shown) == 2
    assert not (tmp_path / "pictures").exists()


def test_folder_is_a_path():
    with pytest.raises(TypeError, match="folder must be a path or None, got int"):
        show(3)
