"""No function's result, and no state of the process, depends on np.errstate or on warnings being errors."""

import contextlib
import itertools
import warnings

import ml_dtypes
import numpy as np
import pytest

import fastsoftmax as fs

T = np.array([0, 1, 2, 3])


def rows(dtype):
    """Return logits of four classes that overflow, underflow or are not finite somewhere on the way."""
    info = ml_dtypes.finfo(dtype)
    large, tiny = float(info.max), float(info.smallest_subnormal)
    values = [
        [0, -np.inf, np.inf, np.nan],
        [-np.inf] * 4,
        [large, -large, large / 2, 0],
        [tiny, -tiny, 0, 4 * tiny],
        [800, -800, 0, 100],
        [20, -60, -700, -9],
        [1, 2, 3, 4],
        [large] * 4,
    ]
    return [np.array(pair).astype(dtype) for pair in itertools.combinations(values, 2)]


def calls(x):
    """Return calls of every function on a pair of rows, by name."""
    two, weight = T[1:3], np.array([0.0, 1e300, 1e-300, 1])
    options = [
        {},
        {"reduction": "none", "sample_weight": [1e300, 0]},
        {"reduction": "sum", "weight": weight},
        {"label_smoothing": 0.1, "z_loss": 1e30},
        {"softcap": 1e-30},
        {"temperature": 1e-300},
        {"ignore_index": 1, "sample_weight": [0, 5e-324]},
    ]
    found = {
        "softmax": lambda: fs.softmax(x),
        "its temperature": lambda: fs.softmax(x, temperature=1e-300),
        "log_softmax": lambda: fs.log_softmax(x, 0, temperature=1e300),
        "logsumexp": lambda: fs.logsumexp(x),
        "logsumexp of masked": lambda: fs.logsumexp(x, where=np.eye(4, dtype=bool)[:2]),
        "softmax_backward": lambda: fs.softmax_backward(x, x),
        "log_softmax_backward": lambda: fs.log_softmax_backward(x, x[::-1].copy()),
        "sigmoid": lambda: fs.sigmoid(x),
        "entropy": lambda: fs.entropy_with_logits_with_grad(x),
        "kl_div": lambda: fs.kl_div_with_logits_with_grad(x, x[::-1].copy(), reduction="none"),
        "top_k": lambda: fs.top_k_softmax(x, 2),
        "linear": lambda: fs.linear_cross_entropy_with_grad(x, x[:, ::-1].copy(), [0, 1]),
        "sampled": lambda: fs.sampled_softmax_cross_entropy_with_grad(x, x, [0, 1], 3, seed=0),
    }
    labels = np.array([[0, 1, 0.5, 1e-30], [1, 1, 0, 0]])
    for name, extra in {"plain": {}, "weighted": {"weight": weight, "pos_weight": weight}}.items():
        found[f"binary, {name}"] = lambda extra=extra: (
            fs.binary_cross_entropy_with_logits_with_grad(x, labels, **extra)
        )
    for extra in options:
        found[f"cross_entropy {extra}"] = lambda extra=extra: fs.cross_entropy_with_grad(
            x, two, **extra
        )
        found[f"loss {extra}"] = lambda extra=extra: fs.cross_entropy(x, two, **extra)
        if "ignore_index" not in extra:
            found[f"probabilities {extra}"] = lambda extra=extra: fs.cross_entropy_with_grad(
                x, np.full((2, 4), 0.25), **extra
            )
    return found


def bits(call):
    try:
        result = call()
    except (ValueError, TypeError, IndexError) as error:
        return repr(error)
    return [
        None if a is None else np.asarray(a).tobytes()
        for a in (result if isinstance(result, tuple) else [result])
    ]


@contextlib.contextmanager
def raising():
    """Make an error of whatever NumPy or Python would tell."""
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        assert np.geterr() == dict.fromkeys(("divide", "over", "under", "invalid"), "raise")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_no_function_depends_on_errstate(implementation, dtype):
    for x in rows(dtype):
        for name, call in calls(x).items():
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                want = bits(call)
            assert not told, (name, x)
            with raising():
                assert bits(call) == want, (name, x)
