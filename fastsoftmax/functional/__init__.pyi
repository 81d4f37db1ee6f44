"""Types of the public operations: what a loss is, an array or a number, depends on `reduction`."""

from typing import Literal, overload

import numpy as np

from ._types import Array, ArrayLike, Axis, Loss, NDArray, Reduction, Sampler, Seed

def softmax_backward(
    grad: ArrayLike,
    probs: ArrayLike,
    axis: Axis = -1,
    *,
    out: np.ndarray | None = None,
    n_threads: int | None = None,
) -> Array: ...
def log_softmax_backward(
    grad: ArrayLike,
    log_probs: ArrayLike,
    axis: Axis = -1,
    *,
    out: np.ndarray | None = None,
    n_threads: int | None = None,
) -> Array: ...
def sigmoid(
    x: ArrayLike, *, out: np.ndarray | None = None, n_threads: int | None = None
) -> Array: ...
@overload
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
) -> np.floating: ...
@overload
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Literal["none"],
    n_threads: int | None = None,
) -> Array: ...
@overload
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Reduction,
    n_threads: int | None = None,
) -> Loss: ...
@overload
def binary_cross_entropy_with_logits_with_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.floating, Array]: ...
@overload
def binary_cross_entropy_with_logits_with_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Literal["none"],
    n_threads: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[Array, Array]: ...
@overload
def binary_cross_entropy_with_logits_with_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Reduction,
    n_threads: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[Loss, Array]: ...
@overload
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
) -> np.floating: ...
@overload
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["none"],
    n_threads: int | None = None,
) -> Array: ...
@overload
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction,
    n_threads: int | None = None,
) -> Loss: ...
@overload
def cross_entropy_with_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.floating, Array]: ...
@overload
def cross_entropy_with_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["none"],
    n_threads: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[Array, Array]: ...
@overload
def cross_entropy_with_grad(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    axis: int = -1,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction,
    n_threads: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[Loss, Array]: ...
@overload
def entropy_with_logits(
    logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
) -> np.floating: ...
@overload
def entropy_with_logits(
    logits: ArrayLike, axis: Axis = -1, *, reduction: Literal["none"], n_threads: int | None = None
) -> Array: ...
@overload
def entropy_with_logits(
    logits: ArrayLike, axis: Axis = -1, *, reduction: Reduction, n_threads: int | None = None
) -> Loss: ...
@overload
def entropy_with_logits_with_grad(
    logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
) -> tuple[np.floating, Array]: ...
@overload
def entropy_with_logits_with_grad(
    logits: ArrayLike, axis: Axis = -1, *, reduction: Literal["none"], n_threads: int | None = None
) -> tuple[Array, Array]: ...
@overload
def entropy_with_logits_with_grad(
    logits: ArrayLike, axis: Axis = -1, *, reduction: Reduction, n_threads: int | None = None
) -> tuple[Loss, Array]: ...
@overload
def kl_div_with_logits(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
) -> np.floating: ...
@overload
def kl_div_with_logits(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Literal["none"],
    n_threads: int | None = None,
) -> Array: ...
@overload
def kl_div_with_logits(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Reduction,
    n_threads: int | None = None,
) -> Loss: ...
@overload
def kl_div_with_logits_with_grad(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
) -> tuple[np.floating, Array, Array]: ...
@overload
def kl_div_with_logits_with_grad(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Literal["none"],
    n_threads: int | None = None,
) -> tuple[Array, Array, Array]: ...
@overload
def kl_div_with_logits_with_grad(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    axis: Axis = -1,
    *,
    reduction: Reduction,
    n_threads: int | None = None,
) -> tuple[Loss, Array, Array]: ...
@overload
def linear_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
    return_z_loss: Literal[False] = False,
    n_threads: int | None = None,
) -> np.floating: ...
@overload
def linear_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["none"],
    return_z_loss: Literal[False] = False,
    n_threads: int | None = None,
) -> Array: ...
@overload
def linear_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction,
    return_z_loss: Literal[False] = False,
    n_threads: int | None = None,
) -> Loss: ...
@overload
def linear_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
    return_z_loss: Literal[True],
    n_threads: int | None = None,
) -> tuple[np.floating, np.floating]: ...
@overload
def linear_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["none"],
    return_z_loss: Literal[True],
    n_threads: int | None = None,
) -> tuple[Array, Array]: ...
@overload
def linear_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction,
    return_z_loss: Literal[True],
    n_threads: int | None = None,
) -> tuple[Loss, Loss]: ...
@overload
def linear_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
    upstream: ArrayLike | None = None,
    return_z_loss: Literal[False] = False,
    n_threads: int | None = None,
    out: tuple[Array | None, ...] | None = None,
) -> tuple[np.floating, Array, Array, Array | None]: ...
@overload
def linear_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["none"],
    upstream: ArrayLike | None = None,
    return_z_loss: Literal[False] = False,
    n_threads: int | None = None,
    out: tuple[Array | None, ...] | None = None,
) -> tuple[Array, Array, Array, Array | None]: ...
@overload
def linear_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction,
    upstream: ArrayLike | None = None,
    return_z_loss: Literal[False] = False,
    n_threads: int | None = None,
    out: tuple[Array | None, ...] | None = None,
) -> tuple[Loss, Array, Array, Array | None]: ...
@overload
def linear_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
    upstream: ArrayLike | None = None,
    return_z_loss: Literal[True],
    n_threads: int | None = None,
    out: tuple[Array | None, ...] | None = None,
) -> tuple[np.floating, Array, Array, Array | None, np.floating]: ...
@overload
def linear_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Literal["none"],
    upstream: ArrayLike | None = None,
    return_z_loss: Literal[True],
    n_threads: int | None = None,
    out: tuple[Array | None, ...] | None = None,
) -> tuple[Array, Array, Array, Array | None, Array]: ...
@overload
def linear_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    *,
    linear_bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduction,
    upstream: ArrayLike | None = None,
    return_z_loss: Literal[True],
    n_threads: int | None = None,
    out: tuple[Array | None, ...] | None = None,
) -> tuple[Loss, Array, Array, Array | None, Loss]: ...
@overload
def sampled_softmax_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    num_sampled: int,
    *,
    linear_bias: ArrayLike | None = None,
    sampler: Sampler = "log_uniform",
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    ignore_index: int | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
) -> np.floating: ...
@overload
def sampled_softmax_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    num_sampled: int,
    *,
    linear_bias: ArrayLike | None = None,
    sampler: Sampler = "log_uniform",
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    ignore_index: int | None = None,
    reduction: Literal["none"],
    n_threads: int | None = None,
) -> Array: ...
@overload
def sampled_softmax_cross_entropy(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    num_sampled: int,
    *,
    linear_bias: ArrayLike | None = None,
    sampler: Sampler = "log_uniform",
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    ignore_index: int | None = None,
    reduction: Reduction,
    n_threads: int | None = None,
) -> Loss: ...
@overload
def sampled_softmax_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    num_sampled: int,
    *,
    linear_bias: ArrayLike | None = None,
    sampler: Sampler = "log_uniform",
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    ignore_index: int | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    n_threads: int | None = None,
) -> tuple[np.floating, Array, NDArray[np.int64], Array, Array | None]: ...
@overload
def sampled_softmax_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    num_sampled: int,
    *,
    linear_bias: ArrayLike | None = None,
    sampler: Sampler = "log_uniform",
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    ignore_index: int | None = None,
    reduction: Literal["none"],
    n_threads: int | None = None,
) -> tuple[Array, Array, NDArray[np.int64], Array, Array | None]: ...
@overload
def sampled_softmax_cross_entropy_with_grad(
    x: ArrayLike,
    linear_weight: ArrayLike,
    targets: ArrayLike,
    num_sampled: int,
    *,
    linear_bias: ArrayLike | None = None,
    sampler: Sampler = "log_uniform",
    remove_accidental_hits: bool = True,
    seed: Seed = None,
    ignore_index: int | None = None,
    reduction: Reduction,
    n_threads: int | None = None,
) -> tuple[Loss, Array, NDArray[np.int64], Array, Array | None]: ...
def softmax(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    out: np.ndarray | None = None,
    where: ArrayLike | None = None,
    temperature: float = 1.0,
    n_threads: int | None = None,
) -> Array: ...
def log_softmax(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    out: np.ndarray | None = None,
    where: ArrayLike | None = None,
    temperature: float = 1.0,
    n_threads: int | None = None,
) -> Array: ...
@overload
def logsumexp(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    keepdims: Literal[True],
    out: np.ndarray | None = None,
    where: ArrayLike | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def logsumexp(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    out: np.ndarray | None = None,
    where: ArrayLike | None = None,
    n_threads: int | None = None,
) -> Loss: ...
def top_k_softmax(
    x: ArrayLike, k: int, axis: int = -1, *, n_threads: int | None = None
) -> tuple[Array, NDArray[np.int64]]: ...

__all__ = [
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_with_grad",
    "cross_entropy",
    "cross_entropy_with_grad",
    "entropy_with_logits",
    "entropy_with_logits_with_grad",
    "kl_div_with_logits",
    "kl_div_with_logits_with_grad",
    "linear_cross_entropy",
    "linear_cross_entropy_with_grad",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "sampled_softmax_cross_entropy",
    "sampled_softmax_cross_entropy_with_grad",
    "sigmoid",
    "softmax",
    "softmax_backward",
    "top_k_softmax",
]
