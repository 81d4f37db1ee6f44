"""An installation without compiled modules: it says so, computes, and is told apart from a broken one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastsoftmax as fs
from fastsoftmax import _compiled

MESSAGE = "fastsoftmax is not compiled"


@pytest.fixture(scope="module")
def python_alone(tmp_path_factory):
    """Return a folder with the package but without its compiled modules."""
    folder = tmp_path_factory.mktemp("python_alone")
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(Path(fs.__file__).parent, folder / "fastsoftmax", ignore=ignored)
    return folder


def run(folder, code, *options, **environment):
    inherited = {name: os.environ[name] for name in os.environ if name != "FASTSOFTMAX_BACKEND"}
    environment = {**inherited, "PYTHONPATH": str(folder), **environment}
    return subprocess.run(
        [sys.executable, *options, "-c", code], env=environment, cwd=folder,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_importing_warns_once_and_computes(python_alone):
    code = "import fastsoftmax as fs, fastsoftmax.estimators; print(fs.softmax([0.0, 0.0]))"
    done = run(python_alone, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0.5 0.5]\n"
    assert done.stderr.count(MESSAGE) == 1
    assert "NotCompiledWarning" in done.stderr


def test_the_warning_can_be_silenced(python_alone):
    code = "import fastsoftmax as fs; print(fs.backend_info()['backend_reason'])"
    assert run(python_alone, code, "-W", f"ignore:{MESSAGE}").stderr == ""
    done = run(python_alone, code, FASTSOFTMAX_BACKEND="numpy")
    assert (done.stdout, done.stderr) == ("FASTSOFTMAX_BACKEND\n", "")


def test_backend_info_says_why(python_alone):
    code = "import fastsoftmax as fs; i = fs.backend_info(); print(i['backend'], i['backend_reason'], i['isas'], i)"
    done = run(python_alone, code, "-W", "ignore")
    assert done.stdout.startswith(
        "numpy not compiled: the compiled modules of fastsoftmax are not in "
    )
    assert "'cython': 'not available: " in done.stdout


def test_asking_for_the_compiled_kernels_is_an_error(python_alone):
    done = run(python_alone, "import fastsoftmax", FASTSOFTMAX_BACKEND="cython")
    assert 'ImportError: the "cython" backend is not available' in done.stderr
    assert "FASTSOFTMAX_COMPILED=0" in done.stderr


def test_estimators_train(python_alone):
    pytest.importorskip("sklearn")
    code = """
import numpy as np, fastsoftmax as fs
rng = np.random.default_rng(0)
X = rng.standard_normal((300, 5)); y = X[:, :3].argmax(1)
for model in (fs.SoftmaxRegression(), fs.SoftmaxRegression(solver="adam", learning_rate_init=0.05, random_state=0),
              fs.MLPClassifier((16,), learning_rate_init=0.05, random_state=0)):
    print(model.fit(X, y).score(X, y) > 0.9)
"""
    done = run(python_alone, code, "-W", "ignore")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 3


def test_a_broken_module_is_an_error_that_says_so(python_alone, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(python_alone, folder)
    suffix = _compiled.EXTENSION_SUFFIXES[0]
    (folder / "fastsoftmax" / "_ext" / f"runtime{suffix}").write_bytes(b"not a library")
    done = run(folder, "import fastsoftmax")
    assert "ImportError: the compiled module runtime of fastsoftmax is broken" in done.stderr


def test_modules_for_another_python_are_an_error_that_says_so(python_alone, tmp_path):
    folder = tmp_path / "another"
    shutil.copytree(python_alone, folder)
    (folder / "fastsoftmax" / "_ext" / "runtime.cpython-27-x86_64-linux-gnu.so").touch()
    done = run(folder, "import fastsoftmax")
    assert "are for another Python (runtime.cpython-27" in done.stderr


def test_a_missing_module_among_others_is_an_error_that_says_so(python_alone, tmp_path):
    folder = tmp_path / "missing"
    shutil.copytree(python_alone, folder)
    (folder / "fastsoftmax" / "_ext" / f"fast_path{_compiled.EXTENSION_SUFFIXES[0]}").touch()
    done = run(folder, "import fastsoftmax")
    assert "ImportError: the compiled module runtime is missing from" in done.stderr
