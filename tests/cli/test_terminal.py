"""What reaches a terminal, and what is not written over."""

import os
import subprocess
import sys

import pytest

from fastsoftmax.cli import _printing

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("safetensors")

EVIL = "\x1b[31mred\x07\x9b2J\u202e"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rosé 花 a-b", "rosé 花 a-b"),
        ("\x1b[0m", "\\x1b[0m"),
        ("a\r\nb\tc\0", "a\\r\\nb\\tc\\x00"),
        ("\x7f\x85\x9b", "\\x7f\\x85\\x9b"),
        ("\u2028\u202e\u2066", "\\u2028\\u202e\\u2066"),
        (os.fsdecode(b"\xff"), "\\udcff"),
    ],
)
def test_printable(text, shown):
    assert _printing.printable(text) == shown


def is_clean(text):
    return not any(mark in text for mark in "\x1b\x07\x9b\u202e\r\x7f")


@pytest.fixture
def evil(tmp_path):
    """A table whose name, columns, texts and labels a terminal would obey."""
    name = f"{EVIL}\n.csv"
    rows = "".join(f'{n % 7},"{EVIL}{n % 2}","{EVIL}{n % 3}\nx"\n' for n in range(60))
    (tmp_path / name).write_text(f'a,"{EVIL}b","{EVIL}y"\n{rows}', newline="")
    return name


def test_control_characters_of_a_file(run, evil, tmp_path):
    options = ("train", "--data", evil, "--target", f"{EVIL}y")
    pytest.importorskip("matplotlib")
    for outcome in (
        run(*options, "--save", "m", "--plots", f"{EVIL}p"),
        run(*options, "--model", "mlp", "--epochs", 2),
        run("evaluate", "m", evil),
        run("evaluate", "m", evil, "--json"),
        run("predict", "m", evil, "--json"),
    ):
        assert outcome.code == 0
        assert is_clean(outcome.out)
        assert is_clean(outcome.err)
    assert "\\x1b[31mred" in run("evaluate", "m", evil).out


@pytest.mark.parametrize(
    ("row", "target"),
    [
        ("1,x,", f"{EVIL}y"),
        (f'1,x,"{EVIL}"', f"{EVIL}y"),
        ("1,x,z", "y"),
        (f'"{EVIL}",x,z', f"{EVIL}y"),
        (f'1,x,z,"{EVIL}"', f"{EVIL}y"),
        ("1,x,z", f"{EVIL}z"),
    ],
)
def test_control_characters_in_errors(run, evil, tmp_path, row, target):
    with open(tmp_path / evil, "a", newline="") as file:
        file.write(f"{row}\n")
    outcome = run("train", "--data", evil, "--target", target)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert is_clean(outcome.err)


def test_control_characters_in_options(refused):
    for args in (
        ("--data", EVIL, "--target", "y"),
        ("--model", EVIL),
        (EVIL,),
        ("--save", f"{EVIL}/"),
    ):
        assert is_clean(refused("train", *args))
    assert is_clean(refused("evaluate", EVIL))


def test_predictions_on_a_terminal(run, evil, monkeypatch):
    """A file gets labels as they are; a terminal does not."""
    assert run("train", "--data", evil, "--target", f"{EVIL}y", "--save", "m").code == 0
    assert EVIL in run("predict", "m", evil).out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    outcome = run("predict", "m", evil, "--proba")
    assert is_clean(outcome.out)
    assert len(outcome.out.splitlines()) == 61


def test_a_model_is_not_replaced_in_silence(run, refused, tmp_path, monkeypatch):
    assert run("train", "--epochs", 1).code == 0
    name = "digits-softmax.safetensors"
    before = (tmp_path / name).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(
            "fastsoftmax.SoftmaxRegression.fit", lambda *args, **kwargs: pytest.fail("fits")
        )
        line = refused("train", "--epochs", 1, "--seed", 1)
    assert f"the default of --save: {name} is there already; pass --overwrite to replace it" in line
    line = refused("train", "--epochs", 1, "--save", name)
    assert f": --save: {name} is there already; pass --overwrite to replace it" in line
    assert (tmp_path / name).read_bytes() == before
    assert run("train", "--epochs", 1, "--seed", 1, "--overwrite").code == 0
    assert (tmp_path / name).read_bytes() != before


def test_data_are_not_replaced(refused, flowers):
    path, *_ = flowers
    before = path.read_bytes()
    options = ("--data", path, "--target", "kind", "--save", path, "--overwrite")
    assert "flowers.csv is the file that is read" in refused("train", *options)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["/proc/m", "x" * 300, "loop", "dangling"])
def test_where_no_model_can_be_saved(refused, monkeypatch, tmp_path, name):
    if name.startswith("/") and not os.path.isdir("/proc/self"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(
        "fastsoftmax.SoftmaxRegression.fit", lambda *args, **kwargs: pytest.fail("fits")
    )
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere/m")
    assert "--save: " in refused("train", "--save", name)


def test_divergence(refused, flowers, tmp_path):
    """A loss that is no number: a sentence, and no model."""
    data = ("--data", flowers[0], "--target", "kind", "--save", "m")
    for solver in ("adam", "sgd"):
        options = (*data, "--solver", solver, "--learning-rate", "1e300")
        line = refused("train", *options)
        assert "NaN or infinite, so no model was saved: try a --learning-rate below 1e+300" in line
    line = refused("train", "--learning-rate", "1e38", "--model", "mlp", "--save", "m")
    assert "so no model was saved" in line
    assert not (tmp_path / "m").exists()


def test_a_loss_worse_than_guessing(run, flowers):
    options = ("--learning-rate", "1e6", "--no-standardize", "--epochs", 1, "--save", "m")
    outcome = run("train", "--data", flowers[0], "--target", "kind", *options)
    assert outcome.code == 0
    assert "guessing has 1.099: a smaller --learning-rate may help" in outcome.err


def test_warnings_are_one_line_each(run, monkeypatch):
    import warnings

    from fastsoftmax import cli

    def warn(args):
        warnings.warn("first\nsecond \x1b[0m", UserWarning, stacklevel=1)

    monkeypatch.setattr(cli.info, "run", warn)
    assert run("info").err == "fastsoftmax: warning: first second \\x1b[0m\n"


def command(*args, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "fastsoftmax", *args],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_long_output_into_a_closed_pipe(run, flowers, tmp_path):
    assert run("train", "--data", flowers[0], "--target", "kind", "--save", "m").code == 0
    lines = flowers[0].read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join([lines[0], *lines[1:] * 500]) + "\n")
    with command("predict", "m", "b.csv", cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "prediction,probability\n"
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")
    if os.path.exists("/dev/full"):
        with (
            open("/dev/full", "w") as full,
            command("predict", "m", "b.csv", cwd=tmp_path, stdout=full) as process,
        ):
            err = process.stderr.read()
        assert process.returncode == 2
        assert err == "fastsoftmax: [Errno 28] No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_behind_stderr(tmp_path):
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "fastsoftmax", "train", "--data", "no.csv", "--target", "y"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=full,
            cwd=tmp_path,
            check=False,
        )
    assert process.returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["info", "--json"], ["--version"], ["train", "--help"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_behind_short_output(arguments, unbuffered, tmp_path):
    """What waits in a buffer is written once: the interpreter does not try again as it ends."""
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "fastsoftmax", *arguments],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "PYTHONUNBUFFERED": unbuffered,
            },
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            check=False,
        )
    assert process.returncode == 2
    assert process.stderr == "fastsoftmax: [Errno 28] No space left on device\n"
