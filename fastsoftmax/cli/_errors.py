"""The error of the command line: what the user can mend, told in one line."""


class CommandError(Exception):
    """A bad file, column or option; `main` prints its one line and exits with code 2."""


def missing_extra(error, purpose):
    """Return the error for an optional library that is not installed."""
    library = getattr(error, "name", None) or "a library"
    return CommandError(
        f'{purpose} needs {library.partition(".")[0]}: pip install "fastsoftmax[train]"'
    )


def missing_value(path, where, missing, remedy):
    """
    Return the error about a column or an array that lacks values.

    Parameters
    ----------
    path, where : str
        The file, and what in it lacks them, such as "column 'a'".
    missing : array_like of bool, shape (n_rows,)
        Which rows have none.
    remedy : str
        What the user may do about it.
    """
    missing = [bool(is_missing) for is_missing in missing]
    count = missing.count(True)
    lacking = f"{count} of {len(missing)} rows {'lacks' if count == 1 else 'lack'} one"
    return CommandError(
        f"{path}: missing value in {where}, row {missing.index(True) + 1} "
        f"({lacking}; row 1 is the first row of data): {remedy}"
    )


def missing_label(path, where, missing):
    """Return the error about labels that are missing, which nothing can stand for."""
    return missing_value(path, where, missing, "leave out the rows without a label")
