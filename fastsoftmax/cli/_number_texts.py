"""Numbers as tables write them: the decimal point, digits in groups of three."""

import re
from typing import NamedTuple

NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
INFINITY = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
# With any decimal point, digits in groups, a unit before or after.
LIKE_A_NUMBER = re.compile(
    r"\s*[+-]?[$\u20ac\u00a3]?\s*[0-9][0-9.,'\u2019_\s]*([eE][+-]?[0-9]+)?\s*[%$\u20ac\u00a3]?\s*"
)
SPACES = " \u00a0\u2009\u202f"  # plain, no-break, thin, narrow no-break: a space stands for each
SEPARATORS = (",", ".", "'", "\u2019", " ", "_")  # of thousands, to be recognised


class Grouping(NamedTuple):
    """How texts write numbers whose digits are in groups of three."""

    thousands: str
    decimal: str
    is_sure: bool  # False: the one separator of each number may be its decimal point

    def hint(self, decimal):
        """Return the options to pass where `decimal` has been the decimal point."""
        options = f"pass --thousands {self.thousands!r}"
        if self.decimal != decimal:
            options += f" --decimal {self.decimal!r}"
        if self.is_sure or self.thousands not in ".,":
            return options
        return f"{options}, or --decimal {self.thousands!r} if that is the decimal point"


def to_number(text, decimal, thousands):
    """Return what a text writes, which may be infinite; None where it is no number."""
    if thousands is not None and _grouped(thousands, decimal).fullmatch(text):
        for mark in _marks(thousands):
            text = text.replace(mark, "")
        text = text.strip()
    if decimal != ".":
        text = text.replace(".", " . ").replace(decimal, ".")
    return float(text) if NUMBER.fullmatch(text) or INFINITY.fullmatch(text) else None


def grouping_of(texts, decimal):
    """Return the Grouping that makes numbers of all texts, some in groups of three; else None."""
    texts = set(texts)
    for point in (decimal, "," if decimal == "." else "."):
        for thousands in SEPARATORS:
            if thousands == point:
                continue
            if any(to_number(text, point, thousands) is None for text in texts):
                continue
            pattern = _grouped(thousands, point)
            grouped = [text for text in texts if pattern.fullmatch(text)]
            if grouped:
                several = any(text.count(thousands) > 1 for text in grouped)
                is_sure = several or any(point in text for text in texts)
                return Grouping(thousands, point, is_sure)
    return None


def _marks(thousands):
    return SPACES if thousands == " " else thousands


def _grouped(thousands, decimal):
    """Return the pattern of a number with at least one separator of thousands."""
    mark, point = f"[{re.escape(_marks(thousands))}]", re.escape(decimal)
    return re.compile(
        rf"\s*[+-]?[0-9]{{1,3}}({mark}[0-9]{{3}})+({point}[0-9]*)?([eE][+-]?[0-9]+)?\s*"
    )
