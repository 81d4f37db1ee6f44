"""What is behind a path: packed files, damaged ones, pipes, standard input, devices."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import random
import stat
import sys
import tarfile
import threading
import zipfile

import pytest

from fastsoftmax.cli import _contents
from fastsoftmax.cli._contents import read_contents
from fastsoftmax.cli._errors import CommandError

TABLE = b"a,y\n" + b"".join(b"%d,%d\n" % (number, number % 2) for number in range(200))


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, TABLE)
    return file.getvalue()


def tarred(*names):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(TABLE)
            archive.addfile(member, io.BytesIO(TABLE))
    return file.getvalue()


PACKED = {
    "a.csv.gz": gzip.compress(TABLE, mtime=0),
    "a.csv.bz2": bz2.compress(TABLE),
    "a.csv.xz": lzma.compress(TABLE),
    "a.zip": zipped("a.csv"),
    "a.csv.zip": zipped("folder/", "folder/a.csv", "__MACOSX/a.csv"),
    "a.tar": tarred("a.csv"),
    "a.tar.gz": gzip.compress(tarred("a.csv"), mtime=0),
    "a.tgz": gzip.compress(tarred("a.csv"), mtime=0),
    "a.tar.bz2": bz2.compress(tarred("a.csv")),
    "a.tar.xz": lzma.compress(tarred("a.csv")),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(PACKED[name])
    assert read_contents(str(path)) == ("csv", TABLE)
    (tmp_path / "bare").write_bytes(PACKED[name])  # known by its first bytes
    assert read_contents(str(tmp_path / "bare")) == ("csv", TABLE)


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("damage", ["cut", "header", "rubbish"])
def test_later_streams_are_not_left_out(tmp_path, ending, damage):
    """Parallel packers write many streams: where a later one is damaged, rows would be missing."""
    path, pack = tmp_path / f"a.csv.{ending}", PACKERS[ending]
    first, second = pack(TABLE[:1000]), pack(TABLE[1000:])
    path.write_bytes(first + second)
    assert read_contents(str(path)) == ("csv", TABLE)
    if damage == "cut":
        second = second[:-3]
    elif damage == "header":
        second = b"X" + second[1:]
    else:
        second += b"rubbish"
    path.write_bytes(first + second)
    with pytest.raises(CommandError, match="cannot be unpacked"):
        read_contents(str(path))


def test_zeros_between_streams_of_xz(tmp_path):
    path = tmp_path / "a.csv.xz"
    first, second = lzma.compress(TABLE[:1000]), lzma.compress(TABLE[1000:])
    path.write_bytes(first + bytes(8) + second + bytes(4))
    assert read_contents(str(path)) == ("csv", TABLE)


@pytest.mark.parametrize("name", PACKED)
def test_damaged(tmp_path, name):
    """A cut or changed archive is one error, or reads as what it was."""
    path, content, rng = tmp_path / name, PACKED[name], random.Random(0)
    refused = 0
    for number in range(300):
        damaged = bytearray(content)
        if number < 100:
            del damaged[rng.randrange(len(content)) :]
        else:
            for _ in range(rng.choice([1, 3, 30])):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(CommandError):
            read_contents(str(path))
            continue
        refused += 1
    assert refused > 80  # a tar archive has sums over its names alone


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv.gz", gzip.compress(b""), "is empty"),
        ("a.csv.gz", b"", "is empty"),
        ("a.csv.gz", TABLE, "is not a gzip file"),
        ("a.csv.xz", gzip.compress(TABLE), "is not an xz file"),
        ("a.parquet", TABLE, "is not a parquet file"),
        ("a.zip", zipped("a.csv", "b.csv"), "holds 2 files, expected one table"),
        ("a.zip", zipped(), "holds 0 files, expected one table"),
        ("a.tar", tarred("a.csv", "b.csv"), "holds 2 files, expected one table"),
        ("a.xlsx", zipped("x"), "is a workbook"),
        ("a", zipped("[Content_Types].xml", "xl/workbook.xml"), "is a workbook or a document"),
        ("a.gz", gzip.compress(gzip.compress(gzip.compress(gzip.compress(TABLE)))), "packed more"),
    ],
)
def test_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        read_contents(str(path))


def test_zstd(tmp_path):
    zstd = pytest.importorskip("zstandard", reason="zstandard is not installed")
    path = tmp_path / "a.csv.zst"
    streamed = zstd.ZstdCompressor().compressobj()
    frames = zstd.compress(TABLE[:100]) + streamed.compress(TABLE[100:]) + streamed.flush()
    path.write_bytes(frames)
    assert read_contents(str(path)) == ("csv", TABLE)
    path.write_bytes(frames[:-5])
    with pytest.raises(CommandError, match="cannot be unpacked as zstd: it is cut off"):
        read_contents(str(path))


def test_zstd_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    (tmp_path / "a.csv.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(CommandError, match="reading zstd needs zstandard: pip install"):
        read_contents(str(tmp_path / "a.csv.zst"))


def test_a_member_that_needs_a_password(tmp_path):
    content = bytearray(zipped("a.csv"))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(CommandError, match=r"cannot be unpacked as zip: .*password"):
        read_contents(str(tmp_path / "a.zip"))


posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


@posix
def test_named_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = TABLE * 200  # more than a pipe holds
    writer = threading.Thread(target=lambda: path.write_bytes(content))
    writer.start()
    assert read_contents(str(path)) == ("csv", content)
    writer.join()


@posix
def test_named_pipe_that_nobody_writes_to(tmp_path, monkeypatch):
    monkeypatch.setattr(_contents, "PATIENCE", 0.0)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CommandError, match="is a pipe that nobody writes to"):
        read_contents(str(tmp_path / "pipe"))


@pytest.fixture
def standard_input():
    """Put a file descriptor in the place of standard input."""
    before = os.dup(0)
    yield lambda number: os.dup2(number, 0)
    os.dup2(before, 0)
    os.close(before)


@posix
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input(standard_input, name, tmp_path):
    read, write = os.pipe()
    os.write(write, TABLE)
    os.close(write)
    standard_input(read)
    os.close(read)
    assert read_contents(name) == ("csv", TABLE)
    (tmp_path / "a.csv").write_bytes(TABLE)
    file = os.open(tmp_path / "a.csv", os.O_RDONLY)
    standard_input(file)
    os.close(file)
    assert read_contents(name) == ("csv", TABLE)


@posix
def test_standard_input_that_is_none(standard_input):
    nothing = os.open(os.devnull, os.O_RDONLY)
    standard_input(nothing)
    with pytest.raises(CommandError, match="standard input is empty"):
        read_contents("-")
    terminal, other = os.openpty()
    standard_input(other)
    with pytest.raises(CommandError, match="standard input is a terminal"):
        read_contents("-")
    os.close(0)
    with pytest.raises(CommandError, match="standard input is closed"):
        read_contents("-")
    for number in (nothing, terminal, other):
        os.close(number)


@posix
def test_devices(tmp_path):
    for name in ("/dev/null", "/dev/zero"):
        if os.path.exists(name) and stat.S_ISCHR(os.stat(name).st_mode):
            with pytest.raises(CommandError, match="is a device, expected a file or a pipe"):
                read_contents(name)
    with pytest.raises(CommandError, match=r"cannot be read: .*File name too long"):
        read_contents(str(tmp_path / ("x" * 300)))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(CommandError, match=r"cannot be read: .*symbolic links"):
        read_contents(str(tmp_path / "loop"))
