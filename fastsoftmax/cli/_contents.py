"""What is behind a path, read once and unpacked: a file, a pipe, standard input.

Foreign decoders meet whatever bytes a user has, and raise whatever they like about damaged ones:
`foreign` turns all of it into one line.
"""

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import stat
import tarfile
import time
import zipfile
from pathlib import PurePath
from typing import NamedTuple

from ._errors import CommandError

STANDARD_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
PATIENCE = 5.0  # seconds that a named pipe may stay without a writer
MOST_LAYERS = 4  # a.csv.tar.gz has two

MAGIC = (
    ("gzip", 0, b"\x1f\x8b"),
    ("bzip2", 0, b"BZh"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("zip", 0, b"PK\x03\x04"),
    ("zip", 0, b"PK\x05\x06"),
    ("tar", 257, b"ustar"),
    ("parquet", 0, b"PAR1"),
    ("arrow", 0, b"ARROW1"),
    ("arrow", 0, b"\xff\xff\xff\xff"),  # a stream, but for those of Arrow before 0.15
    ("npy", 0, b"\x93NUMPY"),
)
ENDINGS = {
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zst": "zstd",
    ".zip": "zip",
    ".tar": "tar",
    ".npz": "npz",
    ".npy": "npy",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
SHORT_ENDINGS = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".tbz": ".tar.bz2", ".txz": ".tar.xz"}
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")


class Contents(NamedTuple):
    """The bytes of a table."""

    kind: str  # csv, npz, npy, parquet or arrow
    data: bytes


def read_contents(path):
    """
    Read what a path leads to, once, and unpack it.

    Parameters
    ----------
    path : str
        A file, a named pipe, or "-" for standard input.

    Returns
    -------
    Contents

    Raises
    ------
    CommandError
        There is nothing to read, or what is packed cannot be unpacked.
    """
    data = _read(path)
    name = PurePath(path).name.lower()
    for _ in range(MOST_LAYERS):
        if not data:
            shown = "standard input" if path in STANDARD_INPUT else path
            raise CommandError(f"{shown} is empty")
        kind = _kind(path, name, data)
        if kind not in _UNPACK:
            return Contents(kind, data)
        with foreign(f"{path} cannot be unpacked as {kind}"):
            name, data = _UNPACK[kind](path, name, data)
    raise CommandError(f"{path} is packed more than {MOST_LAYERS - 1} times")


@contextlib.contextmanager
def foreign(failure):
    """Turn whatever a decoder raises about damaged bytes into one line that begins so."""
    try:
        yield
    except (CommandError, MemoryError):
        raise
    except Exception as error:
        raise CommandError(f"{failure}: {error or type(error).__name__}") from error


def _kind(path, name, data):
    """Return what the bytes are, which has to be what the end of the name promises."""
    for short, long in SHORT_ENDINGS.items():
        name = name.removesuffix(short) + long if name.endswith(short) else name
    ending = PurePath(name).suffix
    if ending in WORKBOOKS:
        raise CommandError(f"{path} is a workbook: save the sheet as CSV")
    found = next((kind for kind, at, magic in MAGIC if data.startswith(magic, at)), "csv")
    if found == "zip" and (ending == ".npz" or _holds_arrays(data)):
        found = "npz"
    promised = ENDINGS.get(ending)
    if promised is None or promised == found:
        return found
    if promised == "tar" and found == "csv":  # tar of before 1988 has no magic
        return "tar"
    if promised == "arrow" and found == "csv":  # an old stream has no magic
        return "arrow"
    article = "an" if promised in ("npz", "npy", "arrow", "xz") else "a"
    label = f".{promised}" if promised in ("npz", "npy") else promised
    raise CommandError(f"{path} is not {article} {label} file, or is damaged")


def _holds_arrays(data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


# Reading


def _read(path):
    if path in STANDARD_INPUT:
        return _read_standard_input()
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CommandError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    if stat.S_ISDIR(mode):
        raise CommandError(f"{path} is a folder, expected a file")
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise CommandError(f"{path} is a device, expected a file or a pipe")
    try:
        if stat.S_ISFIFO(mode):
            return _read_pipe(path)
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def _read_standard_input():
    try:
        mode = os.fstat(0).st_mode
        if os.isatty(0):
            raise CommandError("standard input is a terminal; expected a file or a pipe")
        if stat.S_ISDIR(mode):
            raise CommandError("standard input is a folder, expected a file or a pipe")
        if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not _is_null(0)):
            raise CommandError("standard input is a device, expected a file or a pipe")
        with os.fdopen(os.dup(0), "rb") as file:
            return file.read()
    except OSError as error:
        if error.errno == errno.EBADF:
            raise CommandError("standard input is closed") from error
        raise CommandError(f"standard input cannot be read: {error}") from error


def _is_null(number):
    return os.path.exists(os.devnull) and os.path.samestat(os.fstat(number), os.stat(os.devnull))


def _read_pipe(path):
    """Read to the end, but do not wait for ever for somebody to write."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:
        until = time.monotonic() + PATIENCE
        while (start := file.read(1 << 16)) == b"":  # None: there is a writer, and nothing yet
            if time.monotonic() > until:
                raise CommandError(f"{path} is a pipe that nobody writes to")
            time.sleep(0.01)
        os.set_blocking(file.fileno(), True)
        return (start or b"") + file.readall()


# Unpacking: each takes and returns a name, whose end tells what is inside, and bytes


def _stem(name):
    for short, long in SHORT_ENDINGS.items():
        if name.endswith(short):
            name = name.removesuffix(short) + long
    return PurePath(name).stem if PurePath(name).suffix in ENDINGS else name


def _gunzip(path, name, data):
    return _stem(name), gzip.decompress(data)


def _bunzip2(path, name, data):
    return _stem(name), _all_streams(bz2.BZ2Decompressor, data)


def _unxz(path, name, data):
    # Between and after streams there may be zeros, by fours.
    return _stem(name), _all_streams(lzma.LZMADecompressor, data, padding=bytes(4))


def _all_streams(decompressor, data, padding=None):
    """Return what all streams of a file hold; one that is damaged is none to leave out."""
    unpacked = []
    while data:
        stream = decompressor()
        unpacked.append(stream.decompress(data))
        if not stream.eof:
            raise EOFError("it is cut off")
        data = stream.unused_data
        while padding and data.startswith(padding):
            data = data[len(padding) :]
    return b"".join(unpacked)


def _unzstd(path, name, data):
    try:
        from compression import zstd
    except ImportError:
        zstd = None
    if zstd is not None:
        return _stem(name), zstd.decompress(data)
    try:
        import zstandard
    except ImportError as error:
        raise CommandError(
            f'{path}: reading zstd needs zstandard: pip install "fastsoftmax[tables]"'
        ) from error
    return _stem(name), _all_streams(zstandard.ZstdDecompressor().decompressobj, data)


def _unzip(path, name, data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir() and not member.filename.startswith("__MACOSX/")
        ]
        if any(member.filename == "[Content_Types].xml" for member in members):
            raise CommandError(f"{path} is a workbook or a document: save the table as CSV")
        member = _only(path, members)
        return member.filename.lower(), archive.read(member)


def _untar(path, name, data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        member = _only(path, [member for member in archive.getmembers() if member.isfile()])
        content = archive.extractfile(member).read()
    if len(content) < member.size:
        raise EOFError("it is cut off")
    return member.name.lower(), content


def _only(path, members):
    if len(members) != 1:
        raise CommandError(f"{path} holds {len(members)} files, expected one table")
    return members[0]


_UNPACK = {
    "gzip": _gunzip,
    "bzip2": _bunzip2,
    "xz": _unxz,
    "zstd": _unzstd,
    "zip": _unzip,
    "tar": _untar,
}
