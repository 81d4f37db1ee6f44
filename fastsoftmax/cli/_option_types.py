"""The values of options: text of the command line as numbers and names, or what is wrong with it."""

import argparse
import csv
import math
import re
import shlex


def positive_int(text):
    """Return a whole number above 0."""
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def byte_count(text):
    """Return a number of bytes, such as 500MB, 4GB or 4GiB."""
    found = re.fullmatch(r"([0-9]{1,12})(?:([kMGT])(i?))?B?", text)
    n_bytes = 0
    if found is not None:
        number, unit, is_binary = found.groups()
        n_bytes = int(number) * (1024 if is_binary else 1000) ** " kMGT".index(unit or " ")
    if not n_bytes:
        raise argparse.ArgumentTypeError(f"expected a size such as 4GB, got {text!r}")
    return n_bytes


def seed(text):
    """Return a whole number in [0, 2**32)."""
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"expected a whole number in [0, 2**32), got {text!r}")
    return int(text)


def positive_float(text):
    """Return a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def sizes(text):
    """Return the whole numbers of a list such as 64,32."""
    return tuple(positive_int(one.strip()) for one in text.split(","))


def names(text):
    """Return the names of a list such as a,b or "a,b",c: quoted as in CSV where they have commas."""
    if '"' not in text:
        return tuple(text.split(","))
    try:
        return tuple(next(csv.reader([text], strict=True)))
    except csv.Error as error:
        raise argparse.ArgumentTypeError(
            f"expected names parted by commas, quoted as in CSV, got {text!r} ({error})"
        ) from error


def written(name):
    """Return a name as `names` reads it, for a shell."""
    quoted = '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name
    return shlex.quote(quoted)


def size(text):
    """Return a share below 1 as a float, or a count as an int."""
    if text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0:
        return int(text)
    number = positive_float(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"expected a share below 1 or a count, got {text!r}")
    return number
