"""The datasets: small stand-ins for the files, in every place they are looked for."""

import functools
import gzip
import hashlib
import http.server
import struct
import sys
import threading

import numpy as np
import pytest

from fastsoftmax import datasets
from fastsoftmax.datasets import _sources

DOWNLOAD = _sources.download
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = _sources.FILES


def idx(array, type_code=8):
    """Return an array of bytes as the content of an IDX file."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, type_code, array.ndim]) + sizes + array.tobytes()


@pytest.fixture(scope="module")
def arrays():
    """Images and labels in the order of the files: 12 to train with, 5 to test with."""
    rng = np.random.default_rng(0)
    out = []
    for n_rows in (12, 5):
        out.append(rng.integers(0, 256, (n_rows, 28, 28), dtype=np.uint8))
        out.append(rng.integers(0, 10, n_rows, dtype=np.uint8))
    return out


@pytest.fixture(scope="module")
def contents(arrays):
    return {name: idx(array) for name, array in zip(_sources.FILES, arrays, strict=True)}


@pytest.fixture
def write(contents):
    """A function that writes the four files into a folder and returns it."""

    def write(folder, *, packed=True, **changed):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            content = changed.get(name.replace("-", "_"), content)
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            else:
                (folder / name).write_bytes(content)
        return folder

    return write


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Empty every place that is searched, and leave no mirror to download from."""
    monkeypatch.delenv("FASTSOFTMAX_DATA", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr(_sources, "SYSTEM_PREFIXES", ())
    monkeypatch.setattr(_sources, "cache_folder", lambda d: tmp_path / "cache" / d.folder)
    monkeypatch.setattr(_sources, "download", _no_download)
    monkeypatch.setattr(datasets, "fetch", _no_download)
    return tmp_path


def _no_download(dataset):
    raise AssertionError(f"{dataset.title} would be downloaded")


def assert_loaded(loaded, arrays):
    (X, y), (X_test, y_test) = loaded
    for got, expected in zip((X, y, X_test, y_test), arrays, strict=True):
        assert got.dtype == np.uint8
        assert got.flags.writeable
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("load", "subfolder"),
    [(datasets.load_fashion_mnist, "fashion-mnist"), (datasets.load_mnist, "mnist")],
)
def test_given_folder_or_its_subfolder(load, subfolder, packed, tmp_path, write, arrays):
    assert_loaded(load(write(tmp_path / "a", packed=packed)), arrays)
    write(tmp_path / "b" / subfolder, packed=packed)
    assert_loaded(load(str(tmp_path / "b")), arrays)


def test_environment_variable(tmp_path, write, arrays, monkeypatch):
    monkeypatch.setenv("FASTSOFTMAX_DATA", str(write(tmp_path / "d")))
    assert_loaded(datasets.load_mnist(), arrays)
    write(tmp_path / "e" / "fashion-mnist")
    monkeypatch.setenv("FASTSOFTMAX_DATA", str(tmp_path / "e"))
    assert_loaded(datasets.load_fashion_mnist(), arrays)


def test_share_folder_of_the_prefix(tmp_path, write, arrays):
    write(tmp_path / "prefix" / "share" / "datasets" / "fashion-mnist")
    assert_loaded(datasets.load_fashion_mnist(), arrays)


def test_environment_variable_comes_before_the_share_folder(tmp_path, write, arrays, monkeypatch):
    other = np.zeros_like(arrays[0])
    share = tmp_path / "prefix" / "share" / "datasets" / "mnist"
    write(share, train_images_idx3_ubyte=idx(other))
    monkeypatch.setenv("FASTSOFTMAX_DATA", str(write(tmp_path / "d")))
    assert_loaded(datasets.load_mnist(), arrays)


def test_files_put_into_the_cache_by_hand(tmp_path, write, arrays):
    write(tmp_path / "cache" / "mnist", packed=False)
    assert_loaded(datasets.load_mnist(), arrays)


def test_given_folder_is_the_only_one_searched(tmp_path, write, monkeypatch):
    monkeypatch.setenv("FASTSOFTMAX_DATA", str(write(tmp_path / "d")))
    with pytest.raises(FileNotFoundError, match=r"nowhere does not hold MNIST: .*subfolder mnist"):
        datasets.load_mnist(tmp_path / "nowhere")


@pytest.mark.parametrize("load", [datasets.load_mnist, datasets.load_fashion_mnist])
def test_download_can_be_forbidden(load):
    with pytest.raises(FileNotFoundError, match="MNIST is not on this machine: leave out download"):
        load(download=False)


def test_folder_that_lacks_a_file(tmp_path, write):
    folder = write(tmp_path / "d")
    (folder / f"{TEST_LABELS}.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"d lacks t10k-labels-idx1-ubyte\.gz$"):
        datasets.load_mnist(folder)


def test_folder_of_the_other_dataset(tmp_path, write, contents, monkeypatch):
    digest = hashlib.sha256(contents[TEST_LABELS]).hexdigest()
    fashion = _sources.FASHION_MNIST._replace(test_labels=digest)
    monkeypatch.setitem(_sources.DATASETS, "fashion-mnist", fashion)
    folder = write(tmp_path / "d")
    with pytest.raises(ValueError, match=r"d holds Fashion-MNIST, not MNIST"):
        datasets.load_mnist(folder)
    monkeypatch.setenv("FASTSOFTMAX_DATA", str(folder))
    assert _sources.find_folder(_sources.MNIST) is None


# Damaged files


def change(name, content):
    return {name.replace("-", "_"): content}


@pytest.mark.parametrize(
    ("name", "mend", "message"),
    [
        (TRAIN_IMAGES, lambda data: data[:-1], r"is truncated: expected 9424 bytes.*got 9423"),
        (TRAIN_IMAGES, lambda data: data + b"x", r"has bytes too many: expected 9424.*got 9425"),
        (TRAIN_IMAGES, lambda data: data[:9], r"is truncated: 9 bytes"),
        (TRAIN_LABELS, lambda data: b"", r"is truncated: 0 bytes"),
        (TEST_LABELS, lambda data: b"PK\3\4" + data, r"is not an IDX file.* 2049, got 1347093252"),
        (TEST_IMAGES, lambda data: idx(np.zeros((5, 14, 14), np.uint8)), r"got \(14, 14\)"),
        (TEST_IMAGES, lambda data: idx(np.zeros((4, 28, 28), np.uint8)), r"4 images, .*5 labels"),
        (TRAIN_LABELS, lambda data: data[:-2] + b"\x0a\x00", r"in \[0, 10\), got 10 at row 10"),
    ],
)
def test_damaged_content(name, mend, message, tmp_path, write, contents):
    folder = write(tmp_path / "d", **change(name, mend(contents[name])))
    with pytest.raises(ValueError, match=message) as caught:
        datasets.load_mnist(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("name", _sources.FILES)
@pytest.mark.parametrize("damage", ["truncated", "foreign", "checksum"])
def test_damaged_gzip(name, damage, tmp_path, write):
    folder = write(tmp_path / "d")
    path = folder / f"{name}.gz"
    data = path.read_bytes()
    damaged = {
        "truncated": data[: len(data) // 2],
        "foreign": b"<html>" + data,
        "checksum": data[:-8] + b"1234" + data[-4:],
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match="is damaged or not a gzip file") as caught:
        datasets.load_mnist(folder)
    assert str(path) in str(caught.value)


# Downloading, from a server on this machine


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """Serve a folder; yield it with its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def mnist(server, write, monkeypatch):
    """MNIST, but on the local server; downloading is possible again."""
    pytest.importorskip("pooch")
    folder, address = server
    write(folder)
    sums = [hashlib.sha256((folder / f"{f}.gz").read_bytes()).hexdigest() for f in _sources.FILES]
    mnist = _sources.MNIST._replace(mirrors=(address,), sha256=tuple(sums))
    monkeypatch.setattr(datasets, "MNIST", mnist)
    monkeypatch.setattr(datasets, "fetch", DOWNLOAD)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return mnist


def test_download_into_the_cache(mnist, server, tmp_path, arrays):
    assert_loaded(datasets.load_mnist(), arrays)
    for path in server[0].iterdir():
        path.unlink()
    assert_loaded(datasets.load_mnist(), arrays)
    assert len(list((tmp_path / "cache" / "mnist").iterdir())) == 4


def test_interrupted_download_goes_on(mnist, server, tmp_path, arrays):
    last = server[0] / f"{TEST_LABELS}.gz"
    content = last.read_bytes()
    last.unlink()
    with pytest.raises(OSError, match="404"):
        datasets.load_mnist()
    assert len(list((tmp_path / "cache" / "mnist").iterdir())) == 3
    last.write_bytes(content)
    assert_loaded(datasets.load_mnist(), arrays)


def test_second_mirror(mnist, server, arrays, monkeypatch):
    mirrors = (f"{server[1]}gone/", server[1])
    monkeypatch.setattr(datasets, "MNIST", mnist._replace(mirrors=mirrors))
    assert_loaded(datasets.load_mnist(), arrays)


def test_wrong_checksum(mnist, server, tmp_path):
    (server[0] / f"{TRAIN_IMAGES}.gz").write_bytes(b"a login page")
    with pytest.raises(OSError, match="does not match the known hash") as caught:
        datasets.load_mnist()
    assert f"into {tmp_path / 'cache' / 'mnist'}" in str(caught.value)
    assert not list((tmp_path / "cache" / "mnist").iterdir())


def test_no_network(mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "MNIST", mnist._replace(mirrors=("http://127.0.0.1:9/",)))
    with pytest.raises(OSError, match=r"no answer from http://127\.0\.0\.1:9/") as caught:
        datasets.load_mnist()
    text = str(caught.value)
    assert "\n" not in text
    for part in (
        "MNIST could not be downloaded",
        f"{TRAIN_IMAGES}.gz",
        "data_dir=",
        "FASTSOFTMAX_DATA",
    ):
        assert part in text


def test_no_pooch(monkeypatch):
    monkeypatch.setattr(datasets, "fetch", DOWNLOAD)
    monkeypatch.setattr(_sources, "cache_folder", lambda dataset: None)
    with pytest.raises(ImportError, match=r'needs pooch: pip install "fastsoftmax\[train\]"'):
        datasets.load_mnist()
