"""The estimators on dask.distributed, for data that are larger than one machine's memory.

`SoftmaxRegression` and `MLPClassifier` have the parameters of the classes of the same names in
`fastsoftmax`, and a `client`. They learn from Dask arrays, data frames, and lists of delayed pieces,
which stay on the workers that hold them; `predict` and its like are lazy; `to_local()` returns the
estimator of one machine.

>>> import fastsoftmax.dask
>>> sorted(fastsoftmax.dask.__all__)
['MLPClassifier', 'SoftmaxRegression']
"""

try:
    import dask.array  # noqa: F401
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastsoftmax.dask needs Dask and its workers: pip install "fastsoftmax[dask]"'
    ) from error

from ._mlp import MLPClassifier
from ._softmax_regression import SoftmaxRegression

__all__ = ["MLPClassifier", "SoftmaxRegression"]
