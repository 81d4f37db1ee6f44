"""Names for the types of arguments and results; imported by type checkers alone."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Array: TypeAlias = NDArray[np.floating]
Path: TypeAlias = str | os.PathLike[str]
Rows: TypeAlias = ArrayLike | sparse.csr_array | sparse.csr_matrix
"""Dense rows, data frames included, or sparse ones."""

Batch: TypeAlias = int | Literal["auto"]
Callbacks: TypeAlias = Sequence[Any] | None
"""Objects with any of the hooks of `callbacks.Callback`."""

Function = TypeVar("Function", bound=Callable[..., Any])
"""What a decorator takes and returns with the same parameters."""

ClassWeight: TypeAlias = Mapping[Any, float] | Literal["balanced"] | None
Logs: TypeAlias = dict[str, float]
Scale: TypeAlias = float | Literal["auto"]
Schedule: TypeAlias = Literal["constant", "invscaling", "cosine"] | Callable[[int], float]
Seed: TypeAlias = int | np.random.RandomState | None
Solver: TypeAlias = Literal["auto", "lbfgs", "newton-cholesky", "adam", "sgd"]

__all__ = [
    "Array",
    "ArrayLike",
    "Batch",
    "Callbacks",
    "ClassWeight",
    "Function",
    "Logs",
    "NDArray",
    "Path",
    "Rows",
    "Scale",
    "Schedule",
    "Seed",
    "Solver",
]
