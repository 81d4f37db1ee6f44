"""Measure the ratios that docs/performance.md states, and print a table for each.

python bench/ratios.py                    everything, in a few minutes
python bench/ratios.py columns isa        these sections
python bench/ratios.py --list             what there is
python bench/ratios.py --seconds 2        longer for each line than the default of 0.5 s
python bench/ratios.py --small            at most 64 rows: tries the command, the figures mean nothing

Both sides of a ratio live in one process and take turns; the median counts. What they compute is
compared first, with long double or with each other. Results are written to arrays that exist (`out=`)
where the function offers it. The first column of times is ours; "1.20x" takes 1.2 times as long as that,
unless the section says otherwise.
"""

import argparse
import inspect
import sys

from ratio_cases import Scale
from ratio_sections import SECTIONS

import fastsoftmax as fs
from fastsoftmax.cli import info

WIDTH = 15


def print_section(name, rows):
    """Print the rows of a section as soon as they are known; a string is a note."""
    print(f"\n{name}. {summary(name)}")
    heads = None
    for row in rows:
        if isinstance(row, str):
            print(row)
            continue
        if list(row.cells) != heads:
            heads = list(row.cells)
            print(f"{'shape':<18}{'operation':<32}" + "".join(f"{h:>{WIDTH}}" for h in heads))
        cells = "".join(f"{cell:>{WIDTH}}" for cell in row.cells.values())
        print(f"{row.shape:<18}{row.operation:<32}{cells}", flush=True)


def summary(name):
    """Return what a section measures: the first paragraph of its docstring, in one line."""
    return " ".join(inspect.getdoc(SECTIONS[name]).partition("\n\n")[0].split())


def parse(argv):
    parser = argparse.ArgumentParser(description="Measure the ratios of docs/performance.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a section (all)")
    parser.add_argument("--list", action="store_true", help="name the sections and stop")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each line, about (0.5)")
    parser.add_argument("--small", action="store_true", help="few rows: only try the command")
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    return args


def main(argv):
    args = parse(argv)
    if args.list:
        for name in SECTIONS:
            print(f"{name:<12}{summary(name)}")
        return
    facts = fs.backend_info()
    print(
        f"fastsoftmax {facts['version']}, {facts['backend']} {facts['isa']}, "
        f"threads: {facts['threads']}; {info.machine()['cpu']}"
    )
    for name in args.names or SECTIONS:
        print_section(name, SECTIONS[name](Scale(args.seconds, args.small)))


if __name__ == "__main__":
    main(sys.argv[1:])
