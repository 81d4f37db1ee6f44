"""Files that are read as a whole and replaced as a whole, whoever else writes them."""

import contextlib
import os
import secrets
import stat

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_MOST_TRIES = 100


def _require_regular(status, path):
    """Raise about devices, pipes and folders."""
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"path must lead to a regular file, got {path}")


def read(path):
    """Return the content of a regular file: read, not mapped, so that it may be replaced meanwhile."""
    path = os.fsdecode(path)
    # O_NONBLOCK: opening a pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | _FLAGS | getattr(os, "O_NONBLOCK", 0))
    try:
        _require_regular(os.fstat(descriptor), path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def replace(path, content):
    """Put `content` where `path` leads to: other processes see the old file or the new one.

    The content goes to a new file in the same folder, under a name that cannot be foreseen, and
    on to the disk before it takes the place of the old file, whose permissions it keeps.
    """
    path = os.path.realpath(os.fsdecode(path))
    with contextlib.suppress(FileNotFoundError):
        _require_regular(os.stat(path), path)
    descriptor, temporary = _new_file(os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            _keep_mode(descriptor, path)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(os.path.dirname(path))


def _new_file(folder):
    """Create a file that was not there, with the permissions that every new file gets."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS | getattr(os, "O_NOFOLLOW", 0)
    for _ in range(_MOST_TRIES):
        path = os.path.join(folder, f".fastsoftmax-{secrets.token_hex(8)}.part")
        try:
            return os.open(path, flags, 0o666), path
        except FileExistsError:
            continue
        except OSError as error:  # it is the folder that the user knows, not the name
            raise type(error)(error.errno, error.strerror, folder or os.curdir) from None
    raise FileExistsError(f"no name is free for a temporary file in {folder}")


def _keep_mode(descriptor, path):
    """Give a new file the permissions of the one that it replaces, if there is one."""
    if hasattr(os, "fchmod"):
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode) & 0o777)


def _sync_folder(folder):
    """Bring the new name to the disk, where folders can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
