"""Tell what is installed and chosen: kernels, back ends, threads, data.

The same facts as `fastsoftmax.backend_info()`, with the machine and the data folders.
"""

import os
import platform

from .._dispatch import backend_info
from ._printing import print_fields, print_json


def add_arguments(parser):
    """Declare no option beyond --json."""


def run(args):
    """Print the facts."""
    facts = collect()
    if args.json:
        print_json(facts)
    else:
        print_fields(_readable(facts))


def collect():
    """Return everything that `info` tells, as a dict."""
    return {**backend_info(), "machine": machine(), "data": data_folders()}


def machine():
    """Return what the figures of this machine depend on."""
    import numpy as np

    return {
        "cpu": _cpu_name(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


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


def _readable(facts):
    openmp = facts["openmp"]
    return {
        "fastsoftmax": facts["version"],
        "instruction set": f"{facts['isa']} ({facts['isa_reason']})",
        "  all": [f"{isa}: {state}" for isa, state in facts["isas"].items()],
        "back end": f"{facts['backend']} ({facts['backend_reason']})",
        "  all ": [f"{name}: {state}" for name, state in facts["backends"].items()],
        "threads": f"{facts['threads']} ({facts['threads_reason']})",
        "  limits": [f"{name}: {limit}" for name, limit in facts["threads_limits"].items()],
        "OpenMP": "built in" if openmp["built"] else "not built in",
        "  runtimes": list(openmp["runtimes"]),
        "machine": [f"{name}: {value}" for name, value in facts["machine"].items()],
        "data": [f"{name}: {value or 'not set'}" for name, value in facts["data"].items()],
    }
