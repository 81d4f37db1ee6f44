"""Fixtures: every implementation that this machine can load, and seeded random numbers."""

import importlib.util
import os
import signal

import needs
import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax import _compiled, _dispatch

if _compiled.IS_COMPILED:
    from fastsoftmax._backends import cython_impl


collect_ignore_glob = ["typing/*"]
"""Programs for type checkers, which are read and not run."""


def pytest_collection_modifyitems(items):
    """Mark what draws random numbers; skip, by name, what asks for the compiled back end where there is none."""
    for item in items:
        if "rng" in getattr(item, "fixturenames", ()):
            item.add_marker("random")
        params = getattr(item, "callspec", None)
        if params is not None and params.params.get("backend") == "cython":
            item.add_marker(needs.compiled)


def pytest_sessionstart():
    """Let Ctrl-C raise KeyboardInterrupt, also where the suite runs in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def implementation_names():
    """Return what this machine can load: each instruction set, Numba where installed, NumPy."""
    states = fs.backend_info()["isas"]
    isas = [isa for isa, state in states.items() if not state.startswith("refused")]
    names = [f"cython-{isa}" for isa in isas]
    if importlib.util.find_spec("numba"):
        names.append("numba")
    return [*names, "numpy"]


@pytest.fixture(params=implementation_names())
def implementation(request):
    """Run the test with one implementation behind the public functions, on the fast path and on the general one."""
    name = request.param
    isa = name.removeprefix("cython-") if name.startswith("cython-") else None
    before = _dispatch.selection()
    _dispatch.select(name, "test", cython_impl.load_isa(isa) if isa else _dispatch.load(name))
    yield name
    _dispatch.select(before.name, before.reason, before.implementation)


@pytest.fixture
def empty_pool():
    """Start without memory of results held, and leave the default limit."""
    fs.set_result_pool(0)
    fs.set_result_pool(None)
    yield
    fs.set_result_pool(None)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    """Each computing dtype."""
    return request.param


@pytest.fixture
def rng():
    """Fresh random numbers; FASTSOFTMAX_TEST_SEED chooses them."""
    return np.random.default_rng(int(os.environ.get("FASTSOFTMAX_TEST_SEED", "20260101")))


@pytest.fixture(autouse=True)
def restore_state():
    """Leave no thread count or back end behind."""
    before = _dispatch.selection()
    yield
    fs.set_num_threads(None)
    if _dispatch.selection() != before:
        _dispatch.select(before.name, before.reason, before.implementation)
