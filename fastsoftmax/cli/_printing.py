"""What the commands print: JSON without NaN, tables, times.

Names and labels come out of files, and a terminal obeys control characters: `printable` is between.
"""

import json
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np

# Control characters, line separators, marks that turn the direction of text, lone surrogates.
UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text):
    r"""Return text with what a terminal would obey written as in a Python string.

    >>> print(printable("red\x1b[31m"))
    red\x1b[31m
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def program():
    """Return the words that the command was called by, for commands that the user may paste."""
    called = Path(sys.argv[0] if sys.argv else "")
    if called.parts[-2:] == ("fastsoftmax", "__main__.py"):
        return [_shortest(sys.orig_argv[0]), "-m", "fastsoftmax"]
    if called.stem != "fastsoftmax":  # `main`, called by another program
        return ["fastsoftmax"]
    return [_shortest(sys.argv[0])]


def _shortest(called):
    """Return the name of a program where the shell finds the same by it, else its path."""
    name = Path(called).name
    found = shutil.which(name)
    if found is not None and Path(found).absolute() == Path(called).absolute():
        return name
    return called


def print_json(data):
    """Print one JSON object; numbers that JSON lacks (NaN, infinity) become null."""
    text = json.dumps(_plain(data), indent=2, allow_nan=False)
    print(text.replace("\x7f", "\\u007f"))


def _plain(data):
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, np.ndarray):
        return _plain(data.tolist())
    if isinstance(data, np.generic):
        return _plain(data.item())
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def print_fields(fields):
    """Print names and values in two columns; a list takes a line for each of its items."""
    width = max(len(name) for name in fields) + 2
    for name, value in fields.items():
        lines = value if isinstance(value, list) else [value]
        for number, line in enumerate(lines or ["none"]):
            print(f"{name if number == 0 else '':<{width}}{printable(line)}")
