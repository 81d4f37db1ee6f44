"""What the tests of the plots share: the Agg back end, and no figure left open."""

import numpy as np
import pytest

import fastsoftmax as fs

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


@pytest.fixture(autouse=True)
def agg():
    """Draw without a display."""
    before = matplotlib.get_backend()
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.fixture(scope="session")
def iris():
    """Petal length and width, and the species as text."""
    from sklearn.datasets import load_iris

    data = load_iris()
    return data.data[:, 2:], data.target_names[data.target]


@pytest.fixture
def linear(iris):
    """A fitted softmax regression of three species."""
    return fs.SoftmaxRegression(C=100, max_iter=500).fit(*iris)


@pytest.fixture
def network(iris):
    """A fitted network of three species."""
    return fs.MLPClassifier((16,), max_iter=60, learning_rate_init=0.02, random_state=0).fit(*iris)


@pytest.fixture
def multilabel(iris):
    """A fitted multi-label model."""
    X, _ = iris
    return fs.SoftmaxRegression(max_iter=500).fit(
        X, np.column_stack([X[:, 0] > 3, X[:, 1] > 1]) * 1
    )
