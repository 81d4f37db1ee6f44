"""What the figures of a machine depend on."""

import platform

import numpy as np


def machine():
    """Return the processor, the platform and the versions of Python and NumPy."""
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
