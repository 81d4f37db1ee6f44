import functools
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

import fastsoftmax as fs


@pytest.fixture(params=["float32", "float64", "uint8"])
def dtype(request):
    return np.dtype(request.param)


def make_images(n_rows=300, n_features=40, n_classes=5, dtype="float32", seed=0):
    """Rows around one centre per class, in [0, 1], or images one pixel wide, uint8 in [0, 255]."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.2, 0.8, (n_classes, n_features))
    y = rng.integers(0, n_classes, n_rows)
    X = np.clip(centres[y] + rng.normal(0, 0.15, (n_rows, n_features)), 0, 1)
    return (X * 255).astype(np.uint8)[..., np.newaxis] if dtype == "uint8" else X.astype(dtype), y


@pytest.fixture
def images():
    return make_images


@pytest.fixture
def noisy():
    """Make images of which a share has a class at random."""

    def noisy(n_rows=400, share=0.3, seed=0):
        X, y = make_images(n_rows, dtype="float64", seed=seed)
        rng = np.random.default_rng(seed)
        return X, np.where(rng.uniform(size=n_rows) < share, rng.integers(0, 5, n_rows), y)

    return noisy


@pytest.fixture(params=["softmax", "mlp"])
def make(request):
    """Make either estimator, trained epoch by epoch."""
    if request.param == "softmax":
        return functools.partial(fs.SoftmaxRegression, solver="adam", learning_rate_init=0.05)
    return functools.partial(fs.MLPClassifier, (24,), learning_rate_init=0.01)


def _fashion_folder():
    named = os.environ.get("FASTSOFTMAX_DATA")
    folders = [Path(named), Path(named) / "fashion-mnist"] if named else []
    folders.append(Path(__file__).parents[3] / "shared" / "data" / "fashion-mnist")
    return next((f for f in folders if (f / "train-images-idx3-ubyte.gz").exists()), None)


def _idx(path, header):
    return np.frombuffer(gzip.open(path).read(), np.uint8)[header:]


@pytest.fixture(scope="session")
def fashion():
    folder = _fashion_folder()
    if folder is None:
        pytest.skip("needs Fashion-MNIST: set FASTSOFTMAX_DATA to its folder")
    parts = []
    for name in ("train", "t10k"):
        X = _idx(folder / f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        parts.append((X, _idx(folder / f"{name}-labels-idx1-ubyte.gz", 8)))
    return parts
