"""Batch softmax, cross-entropy and their gradients on the CPU: fast and accurate, needs only NumPy.

>>> import fastsoftmax as fs
>>> fs.softmax([[0.0, 0.0]])
array([[0.5, 0.5]])

The functions are described in `fastsoftmax.functional`; `backend_info()` tells which compiled kernels are
in use. The estimators `SoftmaxRegression` and `MLPClassifier`, `load_model`, and the modules `datasets`, `plots`,
`torch` and `numba_functions` are loaded when they are first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._compiled import NotCompiledWarning, warn_if_not_compiled
from ._dispatch import (
    backend_info,
    get_num_threads,
    set_num_threads,
    set_result_pool,
    use_backend,
)
from ._version import __version__
from .functional import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_with_grad,
    cross_entropy,
    cross_entropy_with_grad,
    entropy_with_logits,
    entropy_with_logits_with_grad,
    kl_div_with_logits,
    kl_div_with_logits_with_grad,
    linear_cross_entropy,
    linear_cross_entropy_with_grad,
    log_softmax,
    log_softmax_backward,
    logsumexp,
    sampled_softmax_cross_entropy,
    sampled_softmax_cross_entropy_with_grad,
    sigmoid,
    softmax,
    softmax_backward,
    top_k_softmax,
)

__all__ = [
    "NotCompiledWarning",
    "__version__",
    "backend_info",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_with_grad",
    "cross_entropy",
    "cross_entropy_with_grad",
    "entropy_with_logits",
    "entropy_with_logits_with_grad",
    "get_num_threads",
    "kl_div_with_logits",
    "kl_div_with_logits_with_grad",
    "linear_cross_entropy",
    "linear_cross_entropy_with_grad",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "sampled_softmax_cross_entropy",
    "sampled_softmax_cross_entropy_with_grad",
    "set_num_threads",
    "set_result_pool",
    "sigmoid",
    "softmax",
    "softmax_backward",
    "top_k_softmax",
    "use_backend",
]

if TYPE_CHECKING:
    from . import dask as dask
    from . import datasets as datasets
    from . import estimators as estimators
    from . import export as export
    from . import numba_functions as numba_functions
    from . import plots as plots
    from . import torch as torch
    from .estimators import MLPClassifier as MLPClassifier
    from .estimators import SoftmaxRegression as SoftmaxRegression
    from .estimators import load_model as load_model

warn_if_not_compiled()

_LAZY = {
    "MLPClassifier": "estimators",
    "SoftmaxRegression": "estimators",
    "dask": None,
    "datasets": None,
    "estimators": None,
    "export": None,
    "load_model": "estimators",
    "numba_functions": None,
    "plots": None,
    "torch": None,
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_LAZY[name] or name}")
    return getattr(module, name) if _LAZY[name] else module


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY})
