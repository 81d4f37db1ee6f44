"""The ratios that docs/performance.md states: dtypes, columns, instruction sets, back ends, a copy, divergences.

    python -m bench ratios                    everything, in a few minutes
    python -m bench ratios columns isa        these sections
    python -m bench ratios --list             what there is
    python -m bench ratios --seconds 2        longer for each line than the default of 0.5 s

Both sides of a ratio live in one process and take turns. What they compute is compared first, with long double or
with each other. Results are written to arrays that exist (`out=`) where the function offers it.
"""

import inspect

from fastsoftmax._measuring.results import make_report
from fastsoftmax._measuring.units import duration, three_digits

from . import options, results
from .ratio_cases import Scale
from .ratio_sections import SECTIONS

WIDTH = 16


def add_arguments(parser):
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *SECTIONS])
    parser.add_argument("--list", action="store_true", help="name the sections and stop")
    options.add_common_arguments(parser, 0.5, "how long for each line")


def run(args):
    """Measure and print section after section."""
    if args.list:
        for name in SECTIONS:
            print(f"{name:<12}{summary(name)}")
        return
    options.warn_of_load()
    report = make_report({}, {})
    print(f"fastsoftmax {report['version']}: {results.machine_of(report)}")
    for name in args.names or SECTIONS:
        scale = Scale(args.seconds, args.small, 1 if args.small else args.tries)
        for row in print_section(name, SECTIONS[name](scale)):
            report["rows"].append({"section": name, **row})
    options.save(args, report)


def summary(name):
    """Return what a section measures: the first paragraph of its docstring, in one line."""
    return " ".join(inspect.getdoc(SECTIONS[name]).partition("\n\n")[0].split())


def print_section(name, rows):
    """Print the rows of a section as soon as they are known, and yield them; a string is a note."""
    print(f"\n{name}. {summary(name)}")
    heads = None
    for row in rows:
        if isinstance(row, str):
            print(row)
            continue
        cells = cells_of(row)
        if list(cells) != heads:
            heads = list(cells)
            print(f"{'shape':<18}{'operation':<32}" + "".join(f"{h:>{WIDTH}}" for h in heads))
        mark = f" {results.MARK} {'; '.join(row['disturbed'])}" if row["disturbed"] else ""
        line = "".join(f"{cell:>{WIDTH}}" for cell in cells.values())
        print(f"{row['shape']:<18}{row['operation']:<32}{line}{mark}", flush=True)
        yield row


def cells_of(row):
    """Return the cells of a row by their heads: our time and the others' ratios to it, or megabytes."""
    if "megabytes" in row:
        return {name: f"{three_digits(size)} MB" for name, size in row["megabytes"].items()}
    others = {name: f"{three_digits(one['ratio'])}x" for name, one in row["peers"].items()}
    return {row["base"]: duration(row["seconds"]), **others}
