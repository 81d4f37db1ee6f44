"""Tell what is installed and chosen: kernels, back ends, threads, libraries, data.

The same facts as `fastsoftmax.backend_info()`, with the machine, the libraries beside it, the environment variables
that matter and the data folders. `fastsoftmax info --markdown` is made to be pasted into a bug report; the home
folder is written as ~.
"""

import importlib.metadata
import os
from pathlib import Path

from .._dispatch import backend_info
from .._measuring.machine import machine
from ._printing import print_fields, print_json

LIBRARIES = (
    "numpy", "scipy", "scikit-learn", "threadpoolctl", "safetensors", "pandas", "pyarrow", "matplotlib",
    "numba", "ml_dtypes", "onnx", "torch", "jax", "tensorflow",
)  # fmt: skip
VARIABLES = ("FASTSOFTMAX_", "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_", "NUMBA_", "LD_PRELOAD")
"""Beginnings of the names of environment variables that change what happens here."""


def add_arguments(parser):
    """Declare the option of `fastsoftmax info`."""
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="wrap the facts as a block of Markdown, for a bug report (default: plain text)",
    )


def run(args):
    """Print the facts."""
    facts = collect()
    if args.json:
        print_json(facts)
        return
    if args.markdown:
        print("<details><summary>fastsoftmax info</summary>\n\n```text")
    print_fields(_readable(facts))
    if args.markdown:
        print("```\n\n</details>")


def collect():
    """Return everything that `info` tells, as a dict."""
    return {
        **backend_info(),
        "machine": machine(),
        "libraries": libraries(),
        "environment": environment(),
        "data": data_folders(),
    }


def libraries():
    """Return the versions of the libraries that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def environment():
    """Return the environment variables that threads and back ends depend on."""
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(VARIABLES)}


def data_folders():
    """Return FASTSOFTMAX_DATA and where each dataset is, or that it would be downloaded."""
    from ..datasets import _sources

    folders = {"FASTSOFTMAX_DATA": os.environ.get("FASTSOFTMAX_DATA")}
    for name, dataset in _sources.DATASETS.items():
        try:
            folder = _sources.find_folder(dataset)
        except (OSError, ValueError) as error:
            folders[name] = str(error)
            continue
        cache = _sources.cache_folder(dataset)
        missing = f"not here; would be downloaded to {cache}" if cache else "not here; needs pooch"
        folders[name] = str(folder) if folder else missing
    return folders


def _without_home(text):
    """Return a text with ~ for the home folder: a report tells no names of users."""
    home = str(Path.home())
    return text if len(home) < 2 else text.replace(home, "~")


def _lines(facts, nothing="none"):
    """Return a line for each fact."""
    return [f"{name}: {_without_home(str(value))}" for name, value in facts.items()] or [nothing]


def _readable(facts):
    openmp, pool = facts["openmp"], facts["result_pool"]
    data = {name: value or "not set" for name, value in facts["data"].items()}
    return {
        "fastsoftmax": facts["version"],
        "instruction set": f"{facts['isa']} ({facts['isa_reason']})",
        "  all": [f"{isa}: {state}" for isa, state in facts["isas"].items()],
        "back end": f"{facts['backend']} ({facts['backend_reason']})",
        "  all ": [f"{name}: {state}" for name, state in facts["backends"].items()],
        "threads": f"{facts['threads']} ({facts['threads_reason']})",
        "  limits": [f"{name}: {limit}" for name, limit in facts["threads_limits"].items()],
        "OpenMP": "built in" if openmp["built"] else "not built in",
        "  runtimes": [_without_home(path) for path in openmp["runtimes"]],
        "result pool": f"{pool['held']} of at most {pool['limit']} bytes held",
        "machine": _lines(facts["machine"]),
        "libraries": _lines(facts["libraries"]),
        "environment": _lines(facts["environment"], "no variable that matters is set"),
        "data": _lines(data),
    }
