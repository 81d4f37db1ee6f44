"""The error of the command line: what the user can mend, told in one line."""


class CommandError(Exception):
    """A bad file, column or option; `main` prints its one line and exits with code 2."""


def missing_extra(error, purpose):
    """Return the error for an optional library that is not installed."""
    library = getattr(error, "name", None) or "a library"
    return CommandError(
        f'{purpose} needs {library.partition(".")[0]}: pip install "fastsoftmax[train]"'
    )
