"""The IDX format of the MNIST family: a magic number, the sizes, then bytes.

The magic number is 0, 0, the type code (8: unsigned bytes) and the number of dimensions; each size
is a big-endian 32-bit integer. Source: "The MNIST database", Y. LeCun, C. Cortes, C. Burges.
"""

import gzip
import math
import zlib

import numpy as np

UNSIGNED_BYTES = 0x08


def unpack(path):
    """Return the content of a file, unpacked if its name ends in .gz; ValueError if damaged."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            return stream.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged or not a gzip file: {error}") from error


def read(path, item_shape):
    """
    Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path : Path
        Unpacked if its name ends in .gz.
    item_shape : tuple of int
        The shape that each item must have: (28, 28) for an image, () for a label.

    Returns
    -------
    ndarray
        uint8, of shape (n, *item_shape), writable.

    Raises
    ------
    ValueError
        Not an IDX file of this shape, or not of the length that its header promises.
    """
    data, n_dims = unpack(path), 1 + len(item_shape)
    n_header = 4 + 4 * n_dims
    expected = (UNSIGNED_BYTES << 8) | n_dims
    if len(data) < n_header:
        raise ValueError(f"{path} is truncated: {len(data)} bytes, fewer than its header has")
    magic = int.from_bytes(data[:4], "big")
    if magic != expected:
        raise ValueError(
            f"{path} is not an IDX file of {n_dims}-dimensional unsigned bytes: "
            f"expected the magic number {expected}, got {magic}"
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", n_dims, offset=4))
    if shape[1:] != tuple(item_shape):
        raise ValueError(f"{path}: expected items of shape {item_shape}, got {shape[1:]}")
    length = n_header + math.prod(shape)
    if len(data) != length:
        problem = "is truncated" if len(data) < length else "has bytes too many"
        raise ValueError(f"{path} {problem}: expected {length} bytes unpacked, got {len(data)}")
    return np.frombuffer(data, np.uint8, offset=n_header).reshape(shape).copy()
