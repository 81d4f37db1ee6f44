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


def test_masked_values_are_not_read_as_if_they_were_not():
    masked = np.ma.masked_array(X, X == 0)
    with raises(TypeError, "x must have no masked values"):
        fs.softmax(masked)
    with raises(TypeError, "targets must have no masked values"):
        fs.cross_entropy(X, np.ma.masked_array(T, T == 0))
    np.testing.assert_array_equal(fs.softmax(np.ma.masked_array(X)), fs.softmax(X))


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
    ("axis", "kind"), [(2, ValueError), (-3, ValueError), (1.5, TypeError), ("a", TypeError)]
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


@pytest.mark.parametrize("n_threads", [1.5, "2", True])
def test_n_threads_of_another_kind(n_threads):
    with raises(TypeError, "n_threads must be an integer"):
        fs.softmax(X, n_threads=n_threads)


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf])
def test_temperature(temperature):
    with raises(ValueError, "temperature must be finite and in (0, inf)", "got"):
        fs.softmax(X, temperature=temperature)
    with raises(ValueError, "temperature"):
        fs.cross_entropy(X, T, temperature=temperature)


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
