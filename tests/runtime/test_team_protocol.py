"""The team of threads: every interleaving of its protocol, and its C code under the thread sanitizer."""

import importlib.util
import os
import subprocess
import sysconfig
from pathlib import Path

import compiler
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture
def protocol():
    spec = importlib.util.spec_from_file_location("team_protocol", HERE / "protocol.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("n_helpers", "n_participants", "n_jobs"), [(1, 2, 3), (2, 2, 2), (2, 3, 2)]
)
def test_every_interleaving(protocol, n_helpers, n_participants, n_jobs):
    assert protocol.explore(n_helpers, n_participants, n_jobs) > 1000


def test_a_caller_that_goes_on_too_early_is_found(protocol, monkeypatch):
    monkeypatch.setattr(protocol, "INSIDE", 0)
    with pytest.raises(protocol.Violation):
        protocol.explore(1, 2, 2)


def test_a_lost_wake_up_is_found(protocol, monkeypatch):
    step_helper = protocol.step_helper

    def without_second_look(shared, me, memory):
        for after, then in step_helper(shared, me, memory):
            yield (
                after,
                ("sleep", memory[1]) if then[0] == "up" and memory[0] == "look again" else then,
            )

    monkeypatch.setattr(protocol, "step_helper", without_second_look)
    with pytest.raises(protocol.Violation, match="nobody can go on"):
        protocol.explore(1, 2, 2)


@pytest.mark.skipif(not (ROOT / "src_ext").is_dir(), reason="the sources are not beside the tests")
@pytest.mark.parametrize(
    "sanitizer", ["thread", "undefined"] if compiler.CC == compiler.HERE else [None]
)
def test_the_code_under_sanitizers(tmp_path, sanitizer):
    program = tmp_path / "team_test"
    command = [
        compiler.required(), "-std=gnu11", "-Wall", "-Wno-unused-function", "-g", "-O1", "-UNDEBUG", "-pthread",
        *([f"-fsanitize={sanitizer}"] if sanitizer else []),
        "-I", str(ROOT / "src_ext"), "-I", sysconfig.get_path("include"),
        str(HERE / "team_test.c"), "-o", str(program),
        *(["-lapi-ms-win-core-synch-l1-2-0"] if "windows" in compiler.system() else []),
    ]  # fmt: skip
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip(f"the compiler has no {sanitizer} sanitizer")
    assert built.returncode == 0, built.stderr
    assert "warning" not in built.stderr, built.stderr
    # A sanitizer of the process that runs the tests is not that of the program.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    result = compiler.run(program, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "runtime error" not in result.stderr
    assert result.stdout == "every block ran once\n"
