"""A call means the same whichever way it takes: the fast path accepts nothing that the general one does not."""

import decimal
import fractions
import inspect
import itertools
import types

import numpy as np
import pytest

import fastsoftmax as fs

FUNCTIONS = [
    function
    for function in (getattr(fs, name) for name in fs.functional.__all__)
    if not isinstance(function, types.FunctionType)
]
each = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)


class Answers(str):
    """A string that is equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


ODD_NUMBERS = [
    1, True, np.True_, 1.0, np.float16(1), np.float32(1), np.float64(1), np.longdouble(1), np.int8(1), np.uint64(1),
    1 + 0j, np.complex64(1), fractions.Fraction(1), decimal.Decimal(1), np.array(1), np.array(1.0), np.array([1.0]),
    np.array([1.0, 2.0]), [1.0], (1.0,), [[1.0], [1.0, 2.0]], "1", b"1", "1.0", None, object(), np.timedelta64(1, "s"),
    np.datetime64(1, "s"), np.array(1 + 0j), np.array("1"), np.array(None), np.ma.masked, np.nan, np.inf, -1.0, 10**400,
    {}, range(1), 1e-320, np.array(True), float,
]  # fmt: skip
ODD_ZEROS = [
    0,
    False,
    0.0,
    -0.0,
    0j,
    np.float32(0),
    np.int64(0),
    np.array(0.0),
    np.array([0.0]),
    "0",
    None,
]
ODD_AXES = [
    -1, -1.0, 1, 1.0, 0, True, False, np.True_, np.int8(-1), np.int64(-1), np.uint8(1), np.float64(-1), np.array(-1),
    np.array([-1]), np.array([-1, 0]), (-1,), (0, 1), (-1, 1), (-1, -1), (-1.0,), (), [-1], None, "-1", -1 + 0j, 2, -3,
    10**30, fractions.Fraction(-1), decimal.Decimal(-1), object(),
]  # fmt: skip
ODD_REDUCTIONS = [
    "mean", np.str_("mean"), np.array("mean"), np.array(["mean"]), np.array(["mean", "sum"]), ["mean"], b"mean",
    "MEAN", None, 1, "none", "sum", Answers("other"), object(),
]  # fmt: skip
ODD_THREADS = [
    None,
    1,
    2,
    np.int8(1),
    np.uint64(2),
    0,
    -1,
    True,
    1.0,
    1.5,
    "1",
    np.array(1),
    np.array([1]),
    10**30,
    1j,
]

X = np.linspace(-3, 3, 28).reshape(7, 4)
T = np.array([0, 1, 2, 3, 2, 1, 0])


def logits():
    """Return arrays, and what is not quite one, each with what it is called."""
    read_only = X.copy()
    read_only.flags.writeable = False
    bytes_between = np.zeros(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
    bytes_between[...] = X
    return {
        "plain": X,
        "float32": X.astype(np.float32),
        "float16": X.astype(np.float16),
        "longdouble": X.astype(np.longdouble),
        "Fortran": np.asfortranarray(X),
        "rows": np.repeat(X, 2, axis=0)[::2],
        "columns": np.repeat(X, 2, axis=1)[:, ::2],
        "reversed": X[::-1],
        "broadcast": np.broadcast_to(X[0], X.shape),
        "swapped": X.astype(">f8"),
        "misaligned": bytes_between,
        "read-only": read_only,
        "list": X.tolist(),
        "matrix": X.view(np.matrix),
        "masked": np.ma.masked_array(X, X > 2),
        "unmasked": np.ma.masked_array(X),
        "complex": X + 0j,
        "object": X.astype(object),
        "text": X.astype(str),
        "dates": X.astype(np.int64).view("M8[s]"),
        "record": X.copy().view([("a", float)]),
        "integer": X.astype(int),
        "boolean": X > 0,
        "one row": X[:1],
        "vector": X[0].copy(),
        "scalar": X[0, 0],
        "no rows": X[:0],
        "no classes": X[:, :0],
        "cube": X.reshape(7, 2, 2),
        "None": None,
    }


def targets():
    """Return targets of every kind for seven rows of four classes."""
    return {
        **{name: T.astype(name) for name in ("b", "B", "h", "H", "i", "I", "l", "L", "q", "Q")},
        "swapped": T.astype(">i8"),
        "strided": np.repeat(T, 2)[::2],
        "list": T.tolist(),
        "boolean": T > 1,
        "floats": T.astype(float),
        "column": T[:, None],
        "short": T[:-1],
        "out of range": T + 1,
        "negative": T - 1,
        "beyond int64": T.astype("Q") + np.uint64(2**64 - 7),
        "probabilities": np.full((7, 4), 0.25),
        "float32 probabilities": np.full((7, 4), 0.25, np.float32),
        "masked": np.ma.masked_array(T, T == 1),
        "matrix": T.view(np.matrix),
        "object": T.astype(object),
        "times": T.view("m8[s]"),
        "None": None,
    }


def outs():
    """Return what a result of X's shape might be written to."""
    window = np.lib.stride_tricks.as_strided(np.zeros(40), (7, 4), (8, 8))
    return {
        "none": None,
        "plain": np.empty_like(X),
        "Fortran": np.empty((4, 7)).T,
        "strided": np.empty((14, 4))[::2],
        "window": window,
        "broadcast": np.lib.stride_tricks.as_strided(np.zeros(4), (7, 4), (0, 8)),
        "float32": np.empty((7, 4), np.float32),
        "swapped": np.empty((7, 4), ">f8"),
        "shape": np.empty((4, 7)),
        "matrix": np.empty((7, 4)).view(np.matrix),
        "masked": np.ma.masked_array(np.empty((7, 4))),
        "list": [[0.0] * 4] * 7,
        "number": 5,
        "scalar": np.float64(1),
        "text": "abc",
        "dict": {},
        "memory": memoryview(bytearray(224)),
        "read-only": np.broadcast_to(np.zeros(4), (7, 4)),
    }


def outcome(function, *args, **kwargs):
    """Return what a call gives: the result and its dtype and order, or the error word for word."""
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        return type(error), str(error)
    parts = result if isinstance(result, tuple) else (result,)
    return [(type(one), one.dtype, one.shape, one.strides, one.tobytes()) for one in parts]


def agree(function, *args, **kwargs):
    """Compare both ways; `out` is a fresh copy for each, unless it is the input itself."""
    with np.errstate(all="raise"):
        assert outcome(function, *args, **kwargs) == outcome(function.__wrapped__, *args, **kwargs)


def takes(function, name):
    return name in inspect.signature(function).parameters


def first_arguments(function):
    """Return what follows the first array."""
    seconds = {
        "targets": (X > 0).astype(float) if "binary" in function.__name__ else T,
        "q_logits": X[::-1].copy(),
        "probs": fs.softmax(X),
        "log_probs": fs.log_softmax(X),
        "k": 2,
    }
    return tuple(second for name, second in seconds.items() if takes(function, name))


def option_pools(function):
    """Return what each option of a function is tried with."""
    pools = {"axis": ODD_AXES, "temperature": ODD_NUMBERS, "n_threads": ODD_THREADS}
    pools |= {"label_smoothing": ODD_ZEROS, "z_loss": ODD_ZEROS, "reduction": ODD_REDUCTIONS}
    pools |= {"keepdims": ODD_ZEROS, "softcap": ODD_NUMBERS, "ignore_index": ODD_THREADS}
    return {name: pool for name, pool in pools.items() if takes(function, name)}


@each
def test_options_of_odd_kinds(implementation, function):
    for option, pool in option_pools(function).items():
        for value in pool:
            agree(function, X, *first_arguments(function), **{option: value})


@each
def test_arrays_of_every_kind(implementation, function):
    for x in logits().values():
        agree(function, x, *first_arguments(function))
    if first_arguments(function):
        for t in targets().values():
            agree(function, X, t)


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if takes(f, "out")])
def test_results_of_every_kind(implementation, function):
    others = [{}]
    if takes(function, "where"):
        others += [{"where": np.ones(X.shape, bool)}, {"where": np.array([True])}]
    if takes(function, "weight"):
        others.append({"weight": np.ones(X.shape if "binary" in function.__name__ else X.shape[1])})
    if takes(function, "sample_weight"):
        others.append({"sample_weight": np.ones(len(X))})
    for out in outs().values():
        for options in others:
            agree(function, X, *first_arguments(function), out=out, **options)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_kept_dimensions_in_every_order(implementation, order):
    x = np.arange(120.0).reshape(4, 3, 2, 5).transpose(order)
    for axis in range(4):
        agree(fs.logsumexp, x, axis=axis, keepdims=True)
        want = np.max(x, axis=axis, keepdims=True).strides
        assert fs.logsumexp(x, axis=axis, keepdims=True).strides == want


@each
def test_arguments_at_random(implementation, function, rng):
    pools = option_pools(function)
    xs, ts = list(logits().values()), list(targets().values())
    for _ in range(300):
        args = [xs[rng.integers(len(xs))]]
        if first_arguments(function):
            args.append(ts[rng.integers(len(ts))])
        chosen = rng.permutation(list(pools))[: rng.integers(3)]
        agree(
            function,
            *args,
            **{name: pools[name][rng.integers(len(pools[name]))] for name in chosen},
        )


@pytest.mark.parametrize(
    "function", [fs.softmax, fs.log_softmax, fs.sigmoid, fs.cross_entropy_with_grad]
)
def test_views_of_one_row(implementation, function):
    # Strides of a dimension with one index mean nothing: x is out, whichever view of it is given.
    memory = np.zeros((6, 4))
    for a, b in itertools.product((memory[:1], memory[:1:2], memory[0:1:3]), repeat=2):
        for call in (function, function.__wrapped__):
            call(a, *(np.zeros(1, int) for _ in first_arguments(function)), out=b)
