"""What a test needs that not every installation has, and what it must say otherwise to an older one."""

import importlib.metadata

import numpy as np
import pytest

from fastsoftmax import _compiled

compiled = pytest.mark.skipif(not _compiled.IS_COMPILED, reason="fastsoftmax is not compiled")
numpy_writes_dlpack = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.1.0",
    reason="NumPy before 2.1 only reads the memory of other libraries",
)


def has_scikit_learn(*version):
    """Return whether scikit-learn is of this version or newer."""
    installed = importlib.metadata.version("scikit-learn").split(".")[: len(version)]
    return tuple(map(int, installed)) >= version


def mixed_penalty(l1_ratio):
    """Return the options by which LogisticRegression mixes its penalties: before 1.8 `penalty` has to say so."""
    options = {"solver": "saga" if l1_ratio else "lbfgs", "l1_ratio": l1_ratio}
    if not has_scikit_learn(1, 8):
        options |= {"penalty": "elasticnet"} if l1_ratio else {"l1_ratio": None}
    return options
