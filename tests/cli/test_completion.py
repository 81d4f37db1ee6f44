"""`fastsoftmax completion`, and that --help tells every option's meaning and default."""

import shutil
import subprocess

import pytest

from fastsoftmax.cli import COMMANDS, _parser
from fastsoftmax.cli.completion import SHELLS, options_of

PARSERS = _parser()._subparsers._group_actions[0].choices


@pytest.mark.parametrize("name", PARSERS)
def test_every_option_tells_its_meaning_and_default(name):
    assert len(PARSERS) == len(COMMANDS)
    for option in options_of(PARSERS[name]):
        assert len(option.help) > 15, option
        if option.flags and "--help" not in option.flags:
            assert "(default: " in option.help or "(required" in option.help, option


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_is_in_the_script(run, shell):
    outcome = run("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    for name, parser in PARSERS.items():
        assert name in outcome.out
        for option in options_of(parser):
            for flag in option.flags:
                assert (
                    f"-l {flag[2:]}" if shell == "fish" else flag
                ) in outcome.out or flag == "-h"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_reads_the_script(run, tmp_path, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(run("completion", shell).out)
    read = subprocess.run([shell, "-n", tmp_path / "script"], capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fastsoftmax tr", ["train"]),
        ("fastsoftmax train --sol", ["--solver"]),
        ("fastsoftmax train --model m", ["mlp"]),
        ("fastsoftmax predict mod", ["model.safetensors"]),
        ("fastsoftmax train --plots fol", ["folder"]),
        ("fastsoftmax completion z", ["zsh"]),
        ("fastsoftmax train --seed 1", []),
    ],
)
def test_bash_completes(run, tmp_path, words, expected):
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    (tmp_path / "script").write_text(run("completion", "bash").out)
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "folder").mkdir()
    program = f"""source ./script; compopt() {{ :; }}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_fastsoftmax; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == expected
