"""Fashion-MNIST and MNIST as NumPy arrays, in the shape that Keras gives them.

Both sets come as four IDX files of the same names. They are looked for, in this order, in

1. the folder given as `data_dir`, or a subfolder of it named after the dataset;
2. the folder named by the environment variable FASTSOFTMAX_DATA, searched likewise;
3. ``share/datasets/<name>``, where Debian's package dataset-fashion-mnist puts them;
4. the user's cache, into which pooch downloads them, with checksums, when nothing else has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _idx
from ._sources import (
    FASHION_MNIST,
    FILES,
    MNIST,
    file_path,
    find_folder,
    other_title,
)
from ._sources import download as fetch

if TYPE_CHECKING:
    import os
    from typing import TypeAlias

    Pair: TypeAlias = tuple[np.ndarray, np.ndarray]
    """Images and labels."""

__all__ = ["load_fashion_mnist", "load_mnist"]

IMAGE_SHAPE = (28, 28)
N_CLASSES = 10


def load_fashion_mnist(
    data_dir: str | os.PathLike[str] | None = None, *, download: bool = True
) -> tuple[Pair, Pair]:
    """
    Load Fashion-MNIST: 70,000 grey images of clothing in 10 classes.

    Parameters
    ----------
    data_dir : str or path, optional
        The folder that holds the four IDX files (.gz or unpacked), or whose subfolder
        ``fashion-mnist`` does. Without it: FASTSOFTMAX_DATA, then ``share/datasets/fashion-mnist``
        of Debian's package, then the user's cache, downloading with pooch what is missing.
    download : bool, default True
        False downloads nothing: files that are nowhere are a FileNotFoundError.

    Returns
    -------
    (X, y), (X_test, y_test) : tuple of tuples of ndarray
        Images, uint8 of shape (60000, 28, 28) and (10000, 28, 28), and labels, uint8 in [0, 10).

    Raises
    ------
    FileNotFoundError
        `data_dir` does not hold the files; or they are nowhere and `download` is False.
    ValueError
        A file is damaged, is not an IDX file, or belongs to another dataset.
    OSError
        The files could not be downloaded; the message says where to put them.
    ImportError
        They have to be downloaded and pooch is not installed.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> (X, y), (X_test, y_test) = fs.datasets.load_fashion_mnist()  # doctest: +SKIP
    >>> X.shape, X.dtype, y[:3]                                      # doctest: +SKIP
    ((60000, 28, 28), dtype('uint8'), array([9, 0, 0], dtype=uint8))
    """
    return _load(FASHION_MNIST, data_dir, download)


def load_mnist(
    data_dir: str | os.PathLike[str] | None = None, *, download: bool = True
) -> tuple[Pair, Pair]:
    """
    Load MNIST: 70,000 grey images of handwritten digits.

    Parameters
    ----------
    data_dir : str or path, optional
        The folder that holds the four IDX files (.gz or unpacked), or whose subfolder ``mnist``
        does. Without it: FASTSOFTMAX_DATA, then ``share/datasets/mnist``, then the user's cache,
        downloading with pooch what is missing.
    download : bool, default True
        False downloads nothing: files that are nowhere are a FileNotFoundError.

    Returns
    -------
    (X, y), (X_test, y_test) : tuple of tuples of ndarray
        Images, uint8 of shape (60000, 28, 28) and (10000, 28, 28), and labels, uint8 in [0, 10).

    Raises
    ------
    FileNotFoundError, ValueError, OSError, ImportError
        As `load_fashion_mnist`.

    Examples
    --------
    >>> import fastsoftmax as fs
    >>> (X, y), (X_test, y_test) = fs.datasets.load_mnist()  # doctest: +SKIP
    """
    return _load(MNIST, data_dir, download)


def _load(dataset, data_dir, download):
    folder = find_folder(dataset, data_dir)
    if folder is None and not download:
        raise FileNotFoundError(
            f"{dataset.title} is not on this machine: leave out download=False, or name the folder "
            "that holds it: data_dir=, or FASTSOFTMAX_DATA"
        )
    folder = folder or fetch(dataset)
    other = other_title(dataset, folder)
    if other is not None:
        raise ValueError(f"{folder} holds {other}, not {dataset.title}")
    train_images, train_labels, test_images, test_labels = (file_path(folder, f) for f in FILES)
    return _load_pair(train_images, train_labels), _load_pair(test_images, test_labels)


def _load_pair(images_path, labels_path):
    images = _idx.read(images_path, IMAGE_SHAPE)
    labels = _idx.read(labels_path, ())
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} labels"
        )
    wrong = np.flatnonzero(labels >= N_CLASSES)
    if len(wrong):
        row = wrong[0]
        raise ValueError(
            f"{labels_path}: labels must be in [0, {N_CLASSES}), got {labels[row]} at row {row}"
        )
    return images, labels
