"""Reports as text, as Markdown and as JSON, whatever was measured."""

import json
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastsoftmax._measuring.units import duration, three_digits

ROOT = Path(__file__).resolve().parent.parent
MARK = "*"
DISTURBED = "A star: something disturbed this row, and again when it was repeated."


class Layout(NamedTuple):
    """How the rows of a report become the cells of a table."""

    heads: tuple
    """The names of the first columns: what was measured."""

    case: Callable
    """Takes a row and returns the cells of these."""

    cell: Callable
    """Takes a row and the name of a peer and returns the cell of the peer."""

    note: str
    """Says what the figures are."""

    width: int = 26
    """Of the first column."""

    ours: Callable = lambda row: duration(row["seconds"])
    """Takes a row and returns the cell of our time."""


def times_as_long(row, name):
    """Return how many times as long as ours a peer takes, and its error in ULP."""
    peer = row["peers"].get(name)
    return f"{three_digits(peer['ratio'])}x{error_of(peer)}" if peer else "-"


def our_share(row, name):
    """Return a peer's time, and ours as a share of it."""
    peer = row["peers"].get(name)
    return f"{duration(peer['seconds'])} ({three_digits(1 / peer['ratio'])})" if peer else "-"


def error_of(measured):
    return f" ({three_digits(measured['ulp'])})" if measured.get("ulp") is not None else ""


def shape_of(row):
    return f"{row['n_rows']} x {row['n_classes']}"


def peers_of(report):
    """Return the names of the peers that some row has, in the order of the report."""
    found = {name for row in report["rows"] for name in row.get("peers", ())}
    return [name for name in report["peers"] if name in found]


def cells_of(row, layout, peers):
    """Return a row's cells; a row that stayed disturbed bears a mark."""
    first, *others = layout.case(row)
    first = first + f" {MARK}" if row["disturbed"] else first
    return [first, *others, layout.ours(row), *(layout.cell(row, name) for name in peers)]


def markdown(report, layout):
    """Return the table of a report in Markdown, with the machine below it."""
    peers = peers_of(report)
    heads = [*layout.heads, "ours", *peers]
    lines = [heads, ["---"] * len(heads)]
    lines += [cells_of(row, layout, peers) for row in report["rows"]]
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"{text}\n\n{machine_of(report)} {stars_of(report)}".rstrip() + "\n"


def stars_of(report):
    """Return what a star means, if there is one."""
    return DISTURBED if any(row["disturbed"] for row in report["rows"]) else ""


def machine_of(report):
    """Return a sentence about what the figures were measured with."""
    versions = ", ".join(f"{name} {version}" for name, version in report["peers"].items())
    return (
        f"{report['machine']['cpu']}, {report['isa']} kernels, {report['threads']} threads, "
        f"{report.get('dtype', 'float32')}" + (f", beside {versions}." if versions else ".")
    )


def print_report(report, rows, layout):
    """
    Print a report while it is measured, and gather its rows.

    Parameters
    ----------
    report : dict
        The header; the rows are added to it.
    rows : iterable of dict
        Measured as they are asked for.
    layout : Layout

    Returns
    -------
    dict
        The report.
    """
    peers = list(report["peers"])
    print(f"fastsoftmax {report['version']}: {machine_of(report)}")
    for name, reason in report["absent"].items():
        print(f"without {name}: {reason}")
    print(f"\n{textwrap.fill(layout.note, 119)}\n")
    widths = []
    for row in rows:
        report["rows"].append(row)
        cells = cells_of(row, layout, peers)
        if not widths:
            widths = [
                max(len(head) + 2, layout.width if number == 0 else 17)
                for number, head in enumerate([*layout.heads, "ours", *peers])
            ]
            print_cells([*layout.heads, "ours", *peers], widths)
        print_cells(cells, widths)
    for name in report["left_out"]:
        print(f"no time left for: {name}")
    for row in report["rows"]:
        if row["disturbed"]:
            print(f"{MARK} {' '.join(layout.case(row))}: {'; '.join(row['disturbed'])}")
    return report


def print_cells(cells, widths):
    first, *others = cells
    line = f"{first:<{widths[0]}}"
    line += "".join(f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
    print(line.rstrip(), flush=True)


def save(report, path):
    """Write a report as JSON."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(finite(report), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def finite(data):
    """Return data with None for the numbers that JSON lacks."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def read(path):
    """Read what `save` has written."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def replace_between(text, name, content):
    """Return a document with what stands between its marks `<!-- name -->` and `<!-- end of name -->` replaced.

    Raises
    ------
    ValueError
        If the document has no such marks.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the document has no marks {start.strip()} and {end}")
    return f"{before}{start}\n{content.strip()}\n\n{end}{after}"


def between(text, name):
    """Return what stands between the marks of a document."""
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- end of {name} -->")[0].strip()


def write_between(path, name, content):
    """Replace what stands between the marks of a document on disk."""
    path.write_text(replace_between(path.read_text(encoding="utf-8"), name, content), "utf-8")


def tell(text):
    """Say what goes on between two rows."""
    print(f"  ({text})", flush=True)
