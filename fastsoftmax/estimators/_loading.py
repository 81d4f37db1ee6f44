"""Reading a saved model whose class is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _storage
from ._mlp import MLPClassifier
from ._softmax_regression import SoftmaxRegression

if TYPE_CHECKING:
    from ._types import Path


def load_model(path: Path) -> SoftmaxRegression | MLPClassifier:
    """Return the estimator that its `save` has written, of whichever class it is.

    Parameters
    ----------
    path : path
        A regular file.

    Returns
    -------
    SoftmaxRegression or MLPClassifier
        Fitted; it predicts the same bits.

    Raises
    ------
    ValueError
        If the file is not a whole model of either class.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastsoftmax as fs
    >>> clf = fs.SoftmaxRegression().fit([[0.0], [1.0]], ["low", "high"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     clf.save(path)
    ...     fs.load_model(path).predict([[2.0]])
    array(['high'], dtype='<U4')
    """
    return _storage.load(path, SoftmaxRegression, MLPClassifier)
