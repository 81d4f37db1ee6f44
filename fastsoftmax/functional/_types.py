"""Names for the types of arguments and results; imported by type checkers alone."""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.floating]
Axis: TypeAlias = int | tuple[int, ...] | None
Loss: TypeAlias = np.floating | NDArray[np.floating]
"""A scalar of the logits' dtype, or one loss a row under reduction="none"."""

Reduction: TypeAlias = Literal["mean", "sum", "none"]
Sampler: TypeAlias = Literal["log_uniform", "uniform"]
Seed: TypeAlias = int | np.random.Generator | None

__all__ = ["Array", "ArrayLike", "Axis", "Loss", "NDArray", "Reduction", "Sampler", "Seed"]
