"""The choice of a back end and of an instruction set is explicit, visible, and never silently another."""

import os
import subprocess
import sys

import needs
import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax import _compiled, _dispatch
from fastsoftmax._backends import NAMES, Backend


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_backend_info():
    info = fs.backend_info()
    assert info["version"] == fs.__version__
    assert info["backend"] in NAMES
    assert info["backends"][info["backend"]] == "loaded"
    if _compiled.IS_COMPILED:
        assert info["isas"][info["isa"]] == "loaded"
    else:
        assert (info["isa"], info["isas"]) == (None, {})
    assert info["threads"] == fs.get_num_threads()
    assert set(info["backends"]) == set(NAMES)
    assert isinstance(info["openmp"]["runtimes"], list)


@needs.compiled
def test_use_backend_chooses_and_restores():
    before = fs.backend_info()["backend"]
    x = np.array([[1.0, 2.0, 3.0]])
    with fs.use_backend("numpy"):
        assert fs.backend_info()["backend"] == "numpy"
        np.testing.assert_allclose(fs.softmax(x).sum(), 1)
        with fs.use_backend("cython"):
            assert fs.backend_info()["backend"] == "cython"
        assert fs.backend_info()["backend"] == "numpy"
    assert fs.backend_info()["backend"] == before
    fs.use_backend("numpy")
    assert fs.backend_info()["backend_reason"] == "use_backend"


def test_an_unknown_backend_is_an_error():
    with pytest.raises(
        ValueError, match="backend must be one of 'cython', 'numba', 'numpy', got 'torch'"
    ):
        fs.use_backend("torch")
    assert "got 'torch'" in run("import fastsoftmax", FASTSOFTMAX_BACKEND="torch").stderr


def test_environment_chooses_the_backend():
    code = (
        "import fastsoftmax as fs; i = fs.backend_info(); print(i['backend'], i['backend_reason'])"
    )
    assert run(code, FASTSOFTMAX_BACKEND="numpy").stdout == "numpy FASTSOFTMAX_BACKEND\n"


@needs.compiled
@pytest.mark.parametrize("isa", ["v4", "v3", "v2", "neon", "plain"])
def test_environment_chooses_the_instruction_set(isa):
    state = fs.backend_info()["isas"][isa]
    result = run("import fastsoftmax as fs; print(fs.backend_info()['isa'])", FASTSOFTMAX_ISA=isa)
    if state.startswith("refused"):
        assert result.returncode != 0
        assert f"FASTSOFTMAX_ISA={isa}" in result.stderr
    else:
        assert result.stdout == f"{isa}\n"


@needs.compiled
def test_an_unknown_instruction_set_is_an_error():
    result = run("import fastsoftmax", FASTSOFTMAX_ISA="v9")
    assert result.returncode != 0
    assert "FASTSOFTMAX_ISA must be one of v4, v3, v2, neon, plain, got 'v9'" in result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_backend_fulfils_the_contract(name):
    if name == "numba":
        pytest.importorskip("numba")
    if name == "cython" and not _compiled.IS_COMPILED:
        pytest.skip("fastsoftmax is not compiled")
    module = _dispatch.load(name)
    operations = [one for one in vars(Backend) if not one.startswith("_")]
    assert len(operations) == 12
    for one in operations:
        assert callable(getattr(module, one)), one


def test_importing_costs_little_more_than_numpy():
    code = """
import sys, numpy
before = set(sys.modules)
import fastsoftmax
heavy = {"scipy", "sklearn", "numba", "pandas", "torch", "importlib.metadata", "argparse", "ctypes"}
print(sorted(heavy & (set(sys.modules) - before)))
"""
    assert run(code).stdout == "[]\n"
