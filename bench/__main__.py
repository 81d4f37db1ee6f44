"""Measure fastsoftmax beside its peers: `python -m bench COMMAND`, or `python bench COMMAND`, in the repository.

Results are judged before they are timed; contenders take turns, and medians count. What other processes disturb is
measured again, and marked if it stays disturbed.
"""

import argparse
import importlib
import sys
from pathlib import Path

if not __package__:  # python bench
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from fastsoftmax import _compiled

COMMANDS = (
    "table",
    "forms",
    "training",
    "estimators",
    "torch",
    "neighbours",
    "ratios",
    "builds",
    "guard",
    "suite",
    "dask-scaling",
    "dask-averaging",
)
MODULES = {
    "torch": "torch_losses",
    "dask-scaling": "dask_scaling",
    "dask-averaging": "dask_averaging",
}
"""Modules with another name than their command's."""


def module_of(command):
    """Return the module of a command, which declares its options and runs it."""
    return importlib.import_module(f"bench.{MODULES.get(command, command)}")


def make_parser():
    """Return the parser of all commands."""
    summary, _, more = __doc__.partition("\n")
    parser = argparse.ArgumentParser(prog="bench", description=summary, epilog=more)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = module_of(name)
        summary, _, more = module.__doc__.partition("\n")
        command = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv=None):
    """Run a command; return its exit code."""
    if not _compiled.IS_COMPILED:
        sys.exit(f"bench measures the compiled package, but {_compiled.WHY_NOT}")
    argv = sys.argv[1:] if argv is None else argv
    args, others = make_parser().parse_known_args(argv)
    if others and argv[0] != "suite":  # whose options are pytest's
        make_parser().parse_args(argv)
    args.others = others
    return args.run(args) or 0


if __name__ == "__main__":
    sys.exit(main())
