"""The command `fastsoftmax`: info, bench, train, evaluate, predict, completion."""

import argparse
import contextlib
import os
import shlex
import sys
import warnings

from .._version import __version__
from . import bench, completion, evaluate, info, predict, train
from ._errors import CommandError
from ._printing import printable, program

__all__ = ["main"]

COMMANDS = (info, bench, train, evaluate, predict, completion)
BAD_USE = 2
INTERRUPTED = 130
CLOSED_PIPE = 141  # as a process that SIGPIPE ended


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage."""

    def error(self, message):
        """Raise the one line instead of printing it with the usage."""
        command = shlex.join([*program(), *self.prog.split()[1:], "--help"])
        raise CommandError(f"{message} (see {command})")

    def _print_message(self, message, file=None):
        """Print help or the version; unlike argparse's own, raise if the disk is full."""
        if message:
            (sys.stderr if file is None else file).write(message)


def main(argv=None):
    """
    Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0; 2 for a bad file, column or option, told in one line on stderr; 130 after Ctrl-C; 141
        when the reader of the output is gone.

    Examples
    --------
    >>> from fastsoftmax.cli import main
    >>> main(["--version"])
    fastsoftmax ...
    0
    """
    if sys.stdout is None:
        return _fail("standard output is closed", BAD_USE)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            warnings.filterwarnings("always", category=UserWarning)  # what the trainer has to say
            code = _run(argv)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _finish_stdout()
        return CLOSED_PIPE
    except MemoryError as error:
        return _fail(f"not enough memory: {error}", BAD_USE)
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        return _fail(f"the output's encoding, {error.encoding}, lacks {bad!a}", BAD_USE)
    except (CommandError, OSError) as error:  # OSError: a full disk behind stdout
        return _fail(error, BAD_USE)


def _run(argv):
    try:
        args = _parser().parse_args(argv)
    except SystemExit as done:  # --help, --version
        return done.code or 0
    args.run(args)
    return 0


def _parser():
    parser = Parser(
        prog="fastsoftmax",
        description="Softmax, cross-entropy and a thin trainer on the CPU.",
        epilog="fastsoftmax COMMAND --help tells the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"fastsoftmax {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        summary, _, more = command.__doc__.partition("\n")
        sub = commands.add_parser(
            name, help=summary, description=summary, epilog=" ".join(more.split())
        )
        command.add_arguments(sub)
        if command is not completion:
            sub.add_argument(
                "--json", action="store_true", help="print one JSON object instead (default: text)"
            )
        sub.set_defaults(run=command.run, parsers=commands.choices)
    return parser


def _fail(message, code):
    _tell(str(message))
    _finish_stdout()
    return code


def _show_warning(message, category, filename, lineno, file=None, line=None):
    _tell(f"warning: {message}")


def _tell(message):
    """Print one line on stderr, if anybody can hear it."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        print(f"fastsoftmax: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)


def _finish_stdout():
    """Write what stdout still holds; if that fails, point it at nothing, or the interpreter complains as it ends."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
        return
    except (OSError, ValueError):
        pass
    try:
        stdout = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or no file
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stdout)
    os.close(nothing)
