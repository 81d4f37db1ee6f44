"""A thin trainer with scikit-learn's names and Keras's comforts."""

try:
    import scipy  # noqa: F401
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        'The trainer needs SciPy and scikit-learn: pip install "fastsoftmax[train]"'
    ) from error

from . import callbacks
from ._mlp import MLPClassifier
from ._softmax_regression import SoftmaxRegression
from ._storage import load_model

__all__ = ["MLPClassifier", "SoftmaxRegression", "callbacks", "load_model"]
