"""Where the files of each dataset are: names, checksums, folders to search, mirrors."""

import hashlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

from . import _idx

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
SYSTEM_PREFIXES = ("/usr", "/usr/local")
DOWNLOAD_TIMEOUT = 30.0  # seconds without a byte before a mirror is given up


class Dataset(NamedTuple):
    """What tells one of the two datasets from the other."""

    title: str
    folder: str
    mirrors: tuple[str, ...]
    sha256: tuple[str, ...]  # of the four .gz files, in the order of FILES
    test_labels: str  # sha256 of the last file, unpacked: the smallest that tells the sets apart


FASHION_MNIST = Dataset(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    sha256=(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    test_labels="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
MNIST = Dataset(
    title="MNIST",
    folder="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256=(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    test_labels="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
DATASETS = {dataset.folder: dataset for dataset in (FASHION_MNIST, MNIST)}


def find_folder(dataset, data_dir=None):
    """
    Return the folder that holds a dataset, or None where it has to be downloaded.

    Parameters
    ----------
    dataset : Dataset
        FASHION_MNIST or MNIST.
    data_dir : str or path, optional
        The only place to look, and an error if it is not there.

    Raises
    ------
    FileNotFoundError
        `data_dir` holds none of the files, or a folder holds only some of them.
    """
    if data_dir is not None:
        root = Path(data_dir).expanduser()
        for folder in (root / dataset.folder, root):
            if _holds(folder):
                return folder
        raise FileNotFoundError(
            f"{root} does not hold {dataset.title}: expected {FILES[0]}.gz and the three files "
            f"that belong to it, there or in its subfolder {dataset.folder}"
        )
    for folder in _usual_folders(dataset):
        # The two sets share their file names: a folder of the other set is passed over.
        if _holds(folder) and other_title(dataset, folder) is None:
            return folder
    cache = cache_folder(dataset)  # may hold a part: an interrupted download goes on from there
    return cache if cache is not None and not _missing(cache) else None


def cache_folder(dataset):
    """Return the folder of the user's cache that downloads go to; None without pooch."""
    try:
        import pooch
    except ImportError:
        return None
    return Path(pooch.os_cache("fastsoftmax")) / dataset.folder


def _usual_folders(dataset):
    """Yield the folders to search when none is given."""
    named = os.environ.get("FASTSOFTMAX_DATA")
    if named:
        yield Path(named).expanduser() / dataset.folder
        yield Path(named).expanduser()
    for prefix in dict.fromkeys((sys.prefix, *SYSTEM_PREFIXES)):
        yield Path(prefix, "share", "datasets", dataset.folder)


def file_path(folder, name):
    """Return the path of one of the files, unpacked or not; None where neither exists."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def _missing(folder):
    """Return the names of those of the four files that the folder lacks."""
    return [name for name in FILES if file_path(folder, name) is None]


def _holds(folder):
    """Whether the folder holds the four files; an error where it holds only some of them."""
    missing = _missing(folder)
    if missing and len(missing) < len(FILES):
        raise FileNotFoundError(f"{folder} lacks {' and '.join(f'{name}.gz' for name in missing)}")
    return not missing


def other_title(dataset, folder):
    """Return the title of the other dataset if these are its files, else None."""
    digest = hashlib.sha256(_idx.unpack(file_path(folder, FILES[3]))).hexdigest()
    titles = {other.test_labels: other.title for other in DATASETS.values() if other != dataset}
    return titles.get(digest)


def download(dataset):
    """Download what the cache lacks, from the first mirror that answers; return the folder."""
    folder = cache_folder(dataset)
    if folder is None:
        raise ImportError(
            f'Downloading {dataset.title} needs pooch: pip install "fastsoftmax[train]"; '
            "or name the folder that holds it: data_dir=, or FASTSOFTMAX_DATA"
        )
    failures = []
    for mirror in dataset.mirrors:
        try:
            _download_from(mirror, dataset, folder)
        except (OSError, ValueError) as error:  # no network, no such file, a wrong checksum
            failures.append((mirror, error))
            if getattr(error, "response", None) is not None:
                error.response.close()  # pooch leaves the connection open
        else:
            return folder
    mirror, error = failures[0]
    raise OSError(
        f"{dataset.title} could not be downloaded ({_reason(mirror, error)}). Put "
        f"{', '.join(f'{name}.gz' for name in FILES)} into {folder}, or name the folder that "
        "holds them: data_dir=, or FASTSOFTMAX_DATA"
    ) from error


def _download_from(mirror, dataset, folder):
    import pooch

    downloader = pooch.HTTPDownloader(
        progressbar=_shows_progress(), chunk_size=1 << 16, timeout=DOWNLOAD_TIMEOUT
    )
    for name, sha256 in zip(FILES, dataset.sha256, strict=True):
        pooch.retrieve(
            url=f"{mirror}{name}.gz",
            known_hash=f"sha256:{sha256}",
            fname=f"{name}.gz",
            path=folder,
            downloader=downloader,
        )


def _shows_progress():
    """Whether a progress bar can be shown: a terminal to show it on, and tqdm to draw it."""
    try:
        import tqdm  # noqa: F401
    except ImportError:
        return False
    return sys.stderr is not None and sys.stderr.isatty()


def _reason(mirror, error):
    """Say in one line why a mirror was given up."""
    import requests

    if isinstance(error, requests.RequestException) and error.response is None:
        return f"no answer from {mirror}"
    return (str(error).strip() or type(error).__name__).splitlines()[0]
