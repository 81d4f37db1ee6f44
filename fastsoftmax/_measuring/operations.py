"""What is measured: the operations, the shapes, their inputs, and their exact results."""

import numpy as np

OPERATIONS = ("softmax", "log_softmax", "cross_entropy", "cross_entropy_with_grad")
SHAPES = (
    (1, 10),
    (32, 10),
    (1024, 10),
    (65536, 10),
    (65536, 100),
    (256, 1000),
    (8192, 1000),
    (512, 32000),
)
LOGIT_SCALE = 3.0  # wide enough for confident predictions, narrow enough for normal results
SAMPLE_ELEMENTS = 1 << 18  # of an input are compared with the long double result


def make_inputs(shape, dtype=np.float32, seed=0):
    """
    Return random logits (n_rows, n_classes) and targets (n_rows,), int64.

    Every second target is the row's largest logit, as in the predictions of a trained model: there
    a loss is small and cancellation shows.
    """
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(shape, dtype=dtype)
    logits *= LOGIT_SCALE
    targets = rng.integers(0, shape[1], shape[0])
    targets[::2] = logits[::2].argmax(axis=1)
    return logits, targets


def sample(logits, targets):
    """Return as many of the first rows as are compared with the exact result, at least one."""
    n_rows = max(1, SAMPLE_ELEMENTS // logits.shape[1])
    return logits[:n_rows], targets[:n_rows]


def exact(operation, logits, targets):
    """
    Compute an operation in long double.

    Returns
    -------
    ndarray of longdouble
        Probabilities; log-probabilities; the loss of each row; or, for cross_entropy_with_grad,
        the gradient of the mean loss.
    """
    rows = np.arange(len(logits))
    shifted = logits.astype(np.longdouble)
    shifted -= shifted.max(axis=1, keepdims=True)
    exps = np.exp(shifted)
    largest = (rows, shifted.argmax(axis=1))
    exps[largest] = 0  # log1p of the others keeps the digits of a confident prediction
    others = exps.sum(axis=1, keepdims=True)
    exps[largest] = 1
    if operation == "softmax":
        return exps / (1 + others)
    log_probs = shifted - np.log1p(others)
    if operation == "log_softmax":
        return log_probs
    if operation == "cross_entropy":
        return -log_probs[rows, targets]
    grad = exps / (1 + others)
    exps[rows, targets] = 0
    grad[rows, targets] = -exps.sum(axis=1) / (1 + others[:, 0])
    return grad / len(rows)


def max_ulp(got, expected):
    """
    Return the largest error in units in the last place of `got`'s dtype.

    Results under the smallest normal number are left out. Infinity stands for a NaN.
    """
    got = np.asarray(got)
    info = np.finfo(got.dtype)
    size = np.abs(expected)
    normal = size >= info.smallest_normal
    if not normal.any():
        return 0.0
    _, exponent = np.frexp(size[normal])
    ulp = np.ldexp(np.longdouble(1), exponent - 1 - info.nmant)
    errors = np.abs(got[normal].astype(np.longdouble) - expected[normal]) / ulp
    return float(np.max(errors)) if np.isfinite(errors).all() else float("inf")


def agrees(got, expected):
    """Whether a result is right up to rounding errors, generously: what differs is not timed."""
    got = np.asarray(got)
    eps = float(np.finfo(got.dtype).eps)
    scale = float(np.max(np.abs(expected)))
    return got.shape == expected.shape and np.allclose(
        got, expected.astype(np.float64), rtol=1e4 * eps, atol=1e3 * eps * scale
    )
