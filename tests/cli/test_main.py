"""The frame of the command line: options, exit codes, closed pipes, interruption."""

import os
import signal
import subprocess
import sys

import pytest

import fastsoftmax
from fastsoftmax import cli
from fastsoftmax.cli import _errors


def spawn(folder, *args, **options):
    """Start the command in a process of its own, with the fastsoftmax that is tested."""
    return subprocess.Popen(
        [sys.executable, "-m", "fastsoftmax", *args],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **options,
    )


def test_version(run):
    assert run("--version") == (0, f"fastsoftmax {fastsoftmax.__version__}\n", "")


@pytest.mark.parametrize(
    "args", [(), ("info",), ("bench",), ("train",), ("evaluate",), ("predict",), ("completion",)]
)
def test_help(run, args):
    outcome = run(*args, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith("usage: fastsoftmax")
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "required: COMMAND"),
        (("nonsense",), "invalid choice: 'nonsense'"),
        (("info", "--bogus"), "unrecognized arguments: --bogus"),
        (("train", "extra"), "unrecognized arguments: extra"),
        (("evaluate",), "required: MODEL"),
    ],
)
def test_bad_arguments_are_one_line(refused, args, message):
    line = refused(*args)
    assert message in line
    assert "--help)" in line


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (_errors.CommandError("a\nb"), 2, "fastsoftmax: a b\n"),
        (KeyboardInterrupt(), 130, "fastsoftmax: interrupted\n"),
        (BrokenPipeError(), 141, ""),
        (MemoryError("364 TiB"), 2, "fastsoftmax: not enough memory: 364 TiB\n"),
        (
            OSError(28, "No space left on device"),
            2,
            "fastsoftmax: [Errno 28] No space left on device\n",
        ),
    ],
)
def test_exit_codes(run, monkeypatch, error, code, message):
    def fail(args):
        raise error

    monkeypatch.setattr(cli.info, "run", fail)
    assert run("info") == (code, "", message)


def test_other_errors_are_not_hidden(run, monkeypatch):
    def fail(args):
        raise ZeroDivisionError

    monkeypatch.setattr(cli.info, "run", fail)
    with pytest.raises(ZeroDivisionError):
        run("info")


def test_text_that_the_output_cannot_encode(run, monkeypatch):
    def fail(args):
        "rosé".encode("ascii")

    monkeypatch.setattr(cli.info, "run", fail)
    outcome = run("info")
    assert outcome.code == 2
    assert outcome.err == "fastsoftmax: the output's encoding, ascii, lacks '\\xe9'\n"


def test_missing_library_is_named():
    error = _errors.missing_extra(ModuleNotFoundError(name="pandas.io"), "Reading CSV")
    assert str(error) == 'Reading CSV needs pandas: pip install "fastsoftmax[train]"'


def test_missing_pandas(refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pandas", None)
    (tmp_path / "a.csv").write_text("a,y\n1,2\n")
    assert 'pip install "fastsoftmax[train]"' in refused(
        "train", "--data", "a.csv", "--target", "y"
    )


def test_closed_pipe(tmp_path):
    read, write = os.pipe()
    os.close(read)
    with spawn(tmp_path, "info", stdout=write) as process:
        os.close(write)
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_behind_stdout(tmp_path):
    with open("/dev/full", "w") as full, spawn(tmp_path, "info", stdout=full) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == "fastsoftmax: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_ctrl_c(tmp_path):
    """Interrupt a slow training after its first line."""
    pytest.importorskip("sklearn")
    with spawn(
        tmp_path,
        *("train", "--model", "mlp", "--hidden", "4000", "--batch-size", "1"),
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout.readline().startswith("data")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "fastsoftmax: interrupted\n")
    assert not list(tmp_path.iterdir())
