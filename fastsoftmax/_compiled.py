"""The one place that loads compiled modules, and that knows whether this installation has any.

An installation without compiled modules is a package of Python alone: NumPy or Numba computes. One that has some
but cannot load them is broken, and says so.
"""

import importlib
import os
import warnings
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

FOLDER = Path(__file__).parent / "_ext"


class NotCompiledWarning(UserWarning):
    """fastsoftmax runs without its compiled modules: right, but slow.

    Silent where FASTSOFTMAX_BACKEND names the back end, "numpy" or "numba".
    """


def _files():
    """Return the names of the files of compiled modules, whatever Python they are for."""
    return sorted(path.name for path in FOLDER.glob("*") if path.suffix in (".so", ".pyd"))


IS_COMPILED = bool(_files())
WHY_NOT = (
    ""
    if IS_COMPILED
    else f"the compiled modules of fastsoftmax are not in {FOLDER}: it was installed without a C compiler or with "
    "FASTSOFTMAX_COMPILED=0, or this is a source tree that is not built (pip install -e .), or one that hides an "
    "installed package (leave this folder)"
)


def load(name):
    """Import a compiled module; say why where that is impossible."""
    if not IS_COMPILED:
        raise ImportError(WHY_NOT)
    try:
        return importlib.import_module(f"{__package__}._ext.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(_why_absent(name)) from error
    except ImportError as error:
        if "interpreter" in str(error).lower():
            raise ImportError(
                "fastsoftmax has been imported by another interpreter of this process, and its compiled modules serve "
                "one: use threads or processes instead of subinterpreters"
            ) from error
        raise ImportError(
            f"the compiled module {name} of fastsoftmax is broken and cannot be loaded: {error}. "
            "Install fastsoftmax again"
        ) from error


def _why_absent(name):
    """Say what is wrong where there are compiled modules, but not this one."""
    files = _files()
    if not module_names():
        return (
            f"the compiled modules in {FOLDER} are for another Python ({files[0]}; this one loads *"
            f"{EXTENSION_SUFFIXES[0]}): install fastsoftmax again with this Python"
        )
    return f"the compiled module {name} is missing from {FOLDER} among {len(files)} others: install fastsoftmax again"


def module_names():
    """Return the names of the compiled modules that this Python can load."""
    parts = (file.partition(".") for file in _files())
    return sorted(name for name, _, suffix in parts if f".{suffix}" in EXTENSION_SUFFIXES)


def warn_if_not_compiled():
    """Warn once, at import, unless a back end of Python was asked for by name."""
    if IS_COMPILED or os.environ.get("FASTSOFTMAX_BACKEND"):
        return
    warnings.warn(
        f"fastsoftmax is not compiled: NumPy computes, slowly; {WHY_NOT}. fastsoftmax.use_backend('numba') is faster "
        "where Numba is installed; FASTSOFTMAX_BACKEND=numpy or numba chooses, and silences this warning",
        NotCompiledWarning,
        stacklevel=2,
    )


if IS_COMPILED:
    runtime, fast_path = load("runtime"), load("fast_path")
else:
    from . import _uncompiled

    runtime = fast_path = _uncompiled
