"""Every bad argument is refused with its name, what was expected and what was got; nothing is written."""

import re

import numpy as np
import pytest

import fastsoftmax as fs

X = np.zeros((4, 10), np.float32)
T = np.zeros(4, np.int64)


def raises(kind, *words):
    """Expect an error whose message has all the words in this order."""
    return pytest.raises(kind, match=".*".join(re.escape(word) for word in words))


@pytest.mark.parametrize("x", [np.zeros((2, 3), complex), ["a", "b"], np.array([object()]), None])
def test_logits_that_are_not_numbers(x):
    for call in (fs.softmax, fs.logsumexp, lambda x: fs.cross_entropy(x, [0, 0])):
        with raises(TypeError, "must be", "got"):
            call(x)


def test_ragged_lists():
    with raises(ValueError, "x must be an array or nested lists of numbers"):
        fs.softmax([[1.0], [1.0, 2.0]])


def every_function():
    """Return calls of every function on one array that stands for logits, by name."""
    weights = np.ones((3, 10), np.float32)
    return {
        "softmax": fs.softmax,
        "log_softmax": fs.log_softmax,
        "logsumexp": fs.logsumexp,
        "softmax_backward": lambda x: fs.softmax_backward(X, x),
        "its gradient": lambda x: fs.softmax_backward(x, X),
        "log_softmax_backward": lambda x: fs.log_softmax_backward(X, x),
        "cross_entropy": lambda x: fs.cross_entropy(x, T),
        "cross_entropy_with_grad": lambda x: fs.cross_entropy_with_grad(x, T),
        "probabilities": lambda x: fs.cross_entropy(X, x),
        "weight": lambda x: fs.cross_entropy(X.T, np.zeros(10, int), weight=x),
        "sample_weight": lambda x: fs.cross_entropy(
            X[None], np.zeros((1, 4), int), sample_weight=x
        ),
        "linear_cross_entropy": lambda x: fs.linear_cross_entropy(x, weights, [0] * 4),
        "linear_weight": lambda x: fs.linear_cross_entropy_with_grad(X, x, [0] * 4),
        "linear_bias": lambda x: fs.linear_cross_entropy(X, weights, [0] * 4, linear_bias=x),
        "sampled": lambda x: fs.sampled_softmax_cross_entropy(x, weights, [0] * 4, 2),
        "sigmoid": fs.sigmoid,
        "binary": lambda x: fs.binary_cross_entropy_with_logits(x, X),
        "its labels": lambda x: fs.binary_cross_entropy_with_logits_with_grad(X, x),
        "its weight": lambda x: fs.binary_cross_entropy_with_logits(X, X, weight=x),
        "its pos_weight": lambda x: fs.binary_cross_entropy_with_logits(X, X, pos_weight=x),
        "entropy": fs.entropy_with_logits,
        "kl_div, p": lambda x: fs.kl_div_with_logits(x, X),
        "kl_div, q": lambda x: fs.kl_div_with_logits_with_grad(X, x),
        "top_k": lambda x: fs.top_k_softmax(x, 2),
    }


@pytest.mark.parametrize("name", every_function())
def test_masked_values_are_not_read_as_if_they_were_not(name):
    call = every_function()[name]
    with raises(TypeError, "must have no masked values"):
        call(np.ma.masked_array(X, X == 0))
    with raises(TypeError, "must have no masked values"):
        call([np.ma.masked_array(row, row == 0) for row in X])


def test_masked_targets_masks_and_none_masked():
    with raises(TypeError, "targets must have no masked values"):
        fs.cross_entropy(X, np.ma.masked_array(T, T == 0))
    with raises(TypeError, "where must have no masked values"):
        fs.softmax(X, where=np.ma.masked_array(X == 0, X == 0))
    with raises(TypeError, "temperature must be a real number"):
        fs.softmax(X, temperature=np.ma.masked)
    np.testing.assert_array_equal(fs.softmax(np.ma.masked_array(X)), fs.softmax(X))


class WithUnit(np.ndarray):
    """An array whose numbers mean nothing without what the class adds to them."""


@pytest.mark.parametrize("name", every_function())
def test_arrays_that_would_lose_their_meaning(name):
    call = every_function()[name]
    for kind in (WithUnit, np.matrix, np.recarray):
        with raises(TypeError, "must be a plain array, got the subclass", kind.__name__):
            call(np.zeros((4, 10), np.float32).view(kind))
    with raises(TypeError, "must be a plain array"):
        call([row.view(WithUnit) for row in X])


@pytest.mark.parametrize("name", every_function())
@pytest.mark.parametrize(
    "dtype", [complex, object, "U3", "S3", "V4", "M8[s]", "m8[s]", [("a", np.float32)]], ids=str
)
def test_arrays_that_are_not_real_numbers(name, dtype):
    with pytest.raises(TypeError, match=r"^[a-z_]+ must be .*, got dtype"):
        every_function()[name](np.zeros((4, 10), dtype))


class Refuses:
    """An array that cannot be seen by NumPy, with an error of its own."""

    class Traced(TypeError):
        def __init__(self, first, second):
            super().__init__(f"{first} {second}")

    def __init__(self, error=None):
        self._error = error or self.Traced("cannot be", "an array")

    def __array__(self, *args, **kwargs):
        raise self._error

    def __index__(self):
        raise self._error

    __float__ = __index__


@pytest.mark.parametrize("name", every_function())
def test_the_error_of_an_array_is_kept_as_the_cause(name):
    error = Refuses.Traced("cannot be", "an array")
    with raises(
        TypeError, "must be an array or nested lists of numbers: cannot be an array"
    ) as caught:
        every_function()[name](Refuses(error))
    assert type(caught.value) is TypeError
    assert caught.value.__cause__ is error
    with raises(ValueError, "must be an array", "codec") as caught:
        every_function()[name](Refuses(UnicodeDecodeError("utf-8", b"x", 0, 1, "codec")))
    assert type(caught.value) is ValueError
    with pytest.raises(RuntimeError, match=r"^mine$"):
        every_function()[name](Refuses(RuntimeError("mine")))


@pytest.mark.parametrize("option", ["axis", "temperature", "n_threads"])
def test_the_error_of_an_option_is_kept_as_the_cause(option):
    error = Refuses.Traced("cannot be", "a number")
    with raises(TypeError, option, "must be") as caught:
        fs.softmax(X, **{option: Refuses(error)})
    assert caught.value.__cause__ is error


def test_the_error_of_a_seed_is_kept_as_the_cause():
    for seed, kind in (("a", TypeError), (-1, ValueError)):
        with raises(kind, "seed must be") as caught:
            fs.sampled_softmax_cross_entropy(X, X, T, 2, seed=seed)
        assert caught.value.__cause__ is not None


def test_flags():
    for value in ("yes", 1, None, np.array([True, False])):
        with raises(TypeError, "keepdims must be True or False", "got"):
            fs.logsumexp(X, keepdims=value)
        with raises(TypeError, "remove_accidental_hits must be True or False"):
            fs.sampled_softmax_cross_entropy(X, X, T, 2, remove_accidental_hits=value)
    assert fs.logsumexp(X, keepdims=np.True_).shape == (4, 1)


def test_names_of_another_kind():
    for value in (np.array(["mean", "sum"]), ["mean"], None, b"mean"):
        with raises(ValueError, "reduction must be one of 'none', 'mean', 'sum', got"):
            fs.cross_entropy(X, T, reduction=value)
        with raises(ValueError, "sampler must be one of"):
            fs.sampled_softmax_cross_entropy(X, X, T, 2, sampler=value)


def test_numbers_beyond_a_double():
    with raises(ValueError, "temperature must be finite"):
        fs.softmax(X, temperature=10**400)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("probs", lambda x: fs.softmax_backward(x, x)),
        ("log_probs", lambda x: fs.log_softmax_backward(x, x)),
        ("x", lambda x: fs.top_k_softmax(x, 1)),
    ],
)
def test_an_error_names_the_argument_without_classes(name, call):
    with raises(ValueError, f"{name} must have at least one class", "(2, 0)"):
        call(np.zeros((2, 0)))


@pytest.mark.parametrize(
    ("axis", "kind"),
    [
        (2, ValueError),
        (-3, ValueError),
        (10**30, ValueError),
        (1.5, TypeError),
        (-1.0, TypeError),
        (True, TypeError),
        ("a", TypeError),
        ([0], TypeError),
        (np.array([0, 1]), TypeError),
    ],
)
def test_axis(axis, kind):
    with raises(kind, "axis must be", "got"):
        fs.softmax(X, axis)
    with raises(kind, "axis must be", "got"):
        fs.cross_entropy(X, T, axis=axis)


def test_axis_repeated_or_a_tuple():
    with raises(ValueError, "axis must not repeat", "(0, -2)"):
        fs.softmax(X, (0, -2))
    with raises(TypeError, "axis must be an integer", "(0, 1)"):
        fs.cross_entropy(X, T, axis=(0, 1))


def test_scalar_logits():
    with raises(ValueError, "at least one"):
        fs.cross_entropy(np.float32(1), 0)
    with raises(ValueError, "axis"):
        fs.softmax(np.float32(1))


@pytest.mark.parametrize(
    ("out", "kind", "words"),
    [
        (np.zeros((4, 9), np.float32), ValueError, ("out", "(4, 10)", "(4, 9)")),
        (np.zeros((4, 10)), TypeError, ("out", "float32", "float64")),
        ([[0.0]], TypeError, ("out", "ndarray", "list")),
        (np.broadcast_to(np.float32(0), (4, 10)), ValueError, ("out", "writeable")),
    ],
)
def test_out(out, kind, words):
    with raises(kind, *words):
        fs.softmax(X, out=out)
    with raises(kind, *words):
        fs.cross_entropy_with_grad(X, T, out=out)


def test_out_that_overlaps_partly():
    memory = np.zeros(50, np.float32)
    x, out = memory[:40].reshape(4, 10), memory[10:].reshape(4, 10)
    for call in (fs.softmax, fs.log_softmax):
        with raises(ValueError, "out must be x itself or share no memory"):
            call(x, out=out)
    with raises(ValueError, "out must be logits itself"):
        fs.cross_entropy_with_grad(x, T, out=out)
    with raises(ValueError, "out must be logits itself"):
        fs.cross_entropy_with_grad(x[:, :4].T, np.zeros(4, int), out=x[:4, :4].T[::-1])


@pytest.mark.parametrize("n_threads", [0, -1])
def test_n_threads_out_of_range(n_threads):
    with raises(ValueError, "n_threads must be at least 1", str(n_threads)):
        fs.softmax(X, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1.5, 1.0, "2", True, np.True_, np.array([1]), 1j, [1]])
def test_n_threads_of_another_kind(n_threads):
    with raises(TypeError, "n_threads must be an integer"):
        fs.softmax(X, n_threads=n_threads)


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf])
def test_temperature(temperature):
    with raises(ValueError, "temperature must be finite and in (0, inf)", "got"):
        fs.softmax(X, temperature=temperature)
    with raises(ValueError, "temperature"):
        fs.cross_entropy(X, T, temperature=temperature)


@pytest.mark.parametrize(
    "temperature",
    [
        1 + 0j,
        "1",
        b"1",
        np.array([1.0]),
        [1.0],
        [[1.0], [1.0, 2.0]],
        np.timedelta64(1, "s"),
        np.array(1j),
        None,
        {},
    ],
)
def test_temperature_of_another_kind(temperature):
    for call in (
        fs.softmax,
        fs.log_softmax,
        lambda x, **options: fs.cross_entropy(x, T, **options),
    ):
        if temperature is not None:
            with raises(TypeError, "temperature must be a real number, got"):
                call(X, temperature=temperature)


def test_where():
    with raises(TypeError, "where must be boolean", "int64"):
        fs.softmax(X, where=np.ones((4, 10), np.int64))
    with raises(ValueError, "where must broadcast to shape (4, 10)", "(3, 10)"):
        fs.softmax(X, where=np.ones((3, 10), bool))


@pytest.mark.parametrize(
    ("targets", "kind", "words"),
    [
        (np.zeros(4), TypeError, ("targets", "(4,)", "integers", "float64")),
        (np.zeros(4, bool), TypeError, ("targets", "integers", "bool")),
        (np.zeros((4, 10), int), ValueError, ("targets", "(4,)", "(4, 10)")),
        (np.zeros(3, int), ValueError, ("targets", "(4,)", "(3,)")),
        (np.zeros((4, 9)), ValueError, ("targets", "(4, 10)", "(4, 9)")),
        (["a"] * 4, TypeError, ("targets", "integers")),
    ],
)
def test_targets(implementation, targets, kind, words):
    for call in (fs.cross_entropy, fs.cross_entropy_with_grad):
        with raises(kind, *words):
            call(X, targets)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_target_out_of_range_leaves_out_alone(implementation, dtype, reduction):
    x = np.arange(40, dtype=np.float32).reshape(4, 10)
    before = x.copy()
    targets = np.array([1, 9, 0, 12], dtype)
    with raises(IndexError, "targets must be in [0, 10), got 12 at row 3"):
        fs.cross_entropy_with_grad(x, targets, out=x, reduction=reduction)
    with raises(IndexError, "got 12 at row 3"):
        fs.cross_entropy(x, targets, reduction=reduction)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("n_classes", [1, 2, 10, 64, 65, 300, 8193])
@pytest.mark.parametrize("form", ["rows", "columns", "Fortran order", "gaps"])
@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf])
def test_a_bad_target_is_found_whatever_the_logits_hold(implementation, n_classes, form, fill, rng):
    """One of the last rows: the sum of the losses, which is what shows it, has two parts there."""
    n_rows = max(3, min(2100, 20_000 // n_classes))
    axis = 0 if form == "columns" else 1
    x = rng.standard_normal((n_rows, n_classes)).astype(np.float32)
    x[rng.integers(n_rows)] = fill
    logits = {
        "rows": x,
        "columns": np.ascontiguousarray(x.T),
        "Fortran order": np.asfortranarray(x),
        "gaps": np.repeat(x, 2, axis=0)[::2],
    }[form]
    targets = rng.integers(0, n_classes, n_rows)
    targets[n_rows - 2] = n_classes
    for options in (
        {},
        {"reduction": "sum"},
        {"softcap": 3.0},
        {"z_loss": 0.1, "label_smoothing": 0.2},
    ):
        for function in (fs.cross_entropy, fs.cross_entropy_with_grad):
            with raises(IndexError, f"got {n_classes} at row {n_rows - 2}"):
                function(logits, targets, axis=axis, **options)


def test_the_first_bad_target_is_named(implementation):
    with raises(
        IndexError,
        "got -100 at row 1 (PyTorch ignores -100 by default; here pass ignore_index=-100)",
    ):
        fs.cross_entropy(X, [0, -100, 77, 0])
    with raises(IndexError, "got 77 at row 2"):
        fs.cross_entropy(X, [0, -100, 77, 0], ignore_index=-100)
    with raises(IndexError, "got 10 at row (1, 2)"):
        fs.cross_entropy(np.zeros((2, 10, 3)), [[0, 0, 0], [0, 0, 10]], axis=1)


def test_uint64_never_wraps(implementation):
    with raises(IndexError, f"got {2**64 - 1} at row 0"):
        fs.cross_entropy(X, np.array([2**64 - 1, 0, 0, 0], np.uint64))


def test_uint64_that_is_ignored(implementation, rng):
    x = rng.standard_normal((4, 10))
    for large in (2**63, 2**64 - 1):
        targets = np.array([3, large, 9, large], np.uint64)
        loss, grad = fs.cross_entropy_with_grad(x, targets, ignore_index=large)
        want = fs.cross_entropy_with_grad(x, [3, -1, 9, -1], ignore_index=-1)
        assert loss == want[0]
        np.testing.assert_array_equal(grad, want[1])
        linear = fs.linear_cross_entropy(x, np.eye(10), targets, ignore_index=large)
        assert linear == fs.linear_cross_entropy(x, np.eye(10), [3, -1, 9, -1], ignore_index=-1)
        with raises(IndexError, f"got {large} at row 1"):
            fs.cross_entropy(x, targets, ignore_index=2**62)
        with raises(IndexError, f"got {large} at row 3"):
            fs.cross_entropy(
                x, np.array([3, 2**63 + 5, 9, large], np.uint64), ignore_index=2**63 + 5
            )


@pytest.mark.parametrize("ignore_index", [10**30, -(10**30), 2**63, -(2**63), np.uint64(2**64 - 1)])
def test_an_ignore_index_that_no_target_has(implementation, rng, ignore_index):
    x, targets = rng.standard_normal((4, 10)), np.arange(4)
    for dtype in (np.int8, np.int32, np.int64, np.uint8, np.uint64):
        got = fs.cross_entropy(x, targets.astype(dtype), ignore_index=ignore_index)
        assert got == fs.cross_entropy(x, targets)


def test_probabilities_with_ignore_index():
    with raises(ValueError, "ignore_index must be None with probabilities", "3"):
        fs.cross_entropy(X, X, ignore_index=3)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"weight": np.ones(9)}, ValueError, ("weight", "(10,)", "(9,)")),
        ({"weight": -np.ones(10)}, ValueError, ("weight", "not negative", "-1.0 at position 0")),
        ({"weight": [1.0] * 9 + [np.nan]}, ValueError, ("weight", "finite", "nan at position 9")),
        ({"weight": ["a"] * 10}, TypeError, ("weight", "real numbers")),
        ({"sample_weight": np.ones(5)}, ValueError, ("sample_weight", "(4,)", "(5,)")),
        ({"sample_weight": [1, 1, np.inf, 1]}, ValueError, ("sample_weight", "inf at position 2")),
        ({"label_smoothing": 1.5}, ValueError, ("label_smoothing", "[0, 1]", "1.5")),
        ({"label_smoothing": "x"}, TypeError, ("label_smoothing", "real number")),
        ({"z_loss": -1}, ValueError, ("z_loss", "[0, inf)", "-1")),
        ({"softcap": 0}, ValueError, ("softcap", "(0, inf)", "0")),
        ({"reduction": "average"}, ValueError, ("reduction", "'mean'", "'average'")),
        ({"ignore_index": 1.0}, TypeError, ("ignore_index", "integer")),
    ],
)
def test_options(options, kind, words):
    for call in (fs.cross_entropy, fs.cross_entropy_with_grad):
        with raises(kind, *words):
            call(X, T, **options)


def test_backward_functions():
    with raises(ValueError, "grad must have the shape of probs, (4, 10)", "(4, 9)"):
        fs.softmax_backward(X[:, :9], X)
    with raises(TypeError, "grad must have the dtype of log_probs, float32", "float64"):
        fs.log_softmax_backward(X.astype(float), X)


def test_unknown_keywords():
    with pytest.raises(TypeError, match="dim"):
        fs.softmax(X, dim=1)
