"""Each check of an argument by itself: what it lets through, and the class of error where it does not."""

import sys
from types import SimpleNamespace

import needs
import numpy as np
import pytest

import fastsoftmax as fs
from fastsoftmax import _memory, _tables, _validate


class Opaque:
    """An array that offers DLPack and nothing else."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Named(np.ndarray):
    pass


def misaligned(array):
    """A copy of an array at an odd address, in the same order."""
    raw = np.empty(array.nbytes + 1, np.uint8)[1:]
    copy = np.ndarray(array.shape, array.dtype, raw, strides=array.strides)
    copy[...] = array
    return copy


def test_an_array_is_itself():
    x = np.arange(6.0).reshape(2, 3)
    assert _validate.as_array(x, "x") is x
    assert _validate.as_real(x, "x") is x
    assert _validate.aligned(x) is x


def test_a_memory_map_is_seen_as_a_plain_array(tmp_path):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(3,))
    view = _validate.as_array(x, "x")
    assert type(view) is np.ndarray
    assert np.shares_memory(view, x)


def test_a_copy_for_alignment_keeps_the_order():
    x = misaligned(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    got = _validate.aligned(x)
    assert got.flags.aligned
    assert got.flags.f_contiguous
    np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("nest", [lambda a: [a], lambda a: [[1.0], [[a]]], lambda a: (0, (a,))])
@pytest.mark.parametrize("item", [np.ma.array([1.0], mask=[True]), np.ones(1).view(Named)])
def test_items_of_lists_are_arrays_too(nest, item):
    with pytest.raises(TypeError, match=r"^x must"):
        _validate.as_array(nest(item), "x")


def test_an_object_that_offers_dlpack_alone():
    x = np.arange(3.0)
    got = _validate.as_array(Opaque(x), "x")
    np.testing.assert_array_equal(got, x)
    assert np.shares_memory(got, x)


@pytest.mark.parametrize("code", ["?", "b", "B", "h", "H", "i", "I", "q", "Q"])
def test_integers_become_doubles(code):
    got = _validate.as_real(np.ones(2, code), "x")
    assert got.dtype == np.float64
    assert _validate.as_real(np.ones(2, code)[0], "x").dtype == np.float64


@pytest.mark.parametrize("code", ["e", "f", "d", ">e", ">f", ">d"])
def test_floats_keep_their_width(code):
    got = _validate.as_real(np.ones(2, code), "x")
    assert got.dtype == np.dtype(code).newbyteorder("=")
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, 1)


def test_bfloat16_is_a_float():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.ones(2, bfloat16)
    assert _validate.as_real(x, "x") is x
    assert _validate.is_floating(x.dtype)
    assert _validate.number(x[0], "x") == 1
    assert _validate.weights(x, "w", (2,)).dtype == np.float64


@pytest.mark.parametrize("code", ["F", "D", "g", "M8[s]", "m8[s]", "U1", "S1", "O"])
def test_what_is_no_real_dtype(code):
    with pytest.raises(TypeError, match=r"^x must be float16"):
        _validate.as_real(np.zeros(2, code), "x")


@pytest.mark.parametrize("code", ["?", "b", "B", "q", "Q", "e", "f", "d", "g"])
def test_numbers_of_every_real_dtype(code):
    assert _validate.number(np.ones((), code), "x") == 1
    assert _validate.number(np.ones(1, code)[0], "x") == 1


@pytest.mark.parametrize(
    "value",
    [
        "1", b"1", bytearray(b"1"), None, [1], 1j, np.ones(1), np.ones((1, 1)), np.complex128(1), np.str_("1"),
        np.datetime64(1, "s"), np.timedelta64(1, "s"), np.array("1"), np.array(1, object), np.ma.masked,
        np.ma.array(1.0, mask=True),
    ],
)  # fmt: skip
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match=r"^x must be a real number"):
        _validate.number(value, "x")


def test_a_masked_array_with_nothing_masked_is_a_number():
    assert _validate.number(np.ma.array(2.0), "x") == 2


def test_a_scalar_before_masked_arrays_are_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy.ma")
    assert _validate.number(np.float32(2), "x") == 2
    assert _validate.out_array(np.empty(2), (2,), np.float64) is None


def test_bounds_of_numbers_belong_to_them():
    assert _validate.number(1.0, "x", 1, 2) == 1
    assert _validate.number(2.0, "x", 1, 2) == 2
    assert _validate.number(2.0, "x", 1, 2, open_low=True) == 2
    for value, options in ((1.0, {"open_low": True}), (0.99, {}), (2.01, {}), (np.nan, {})):
        with pytest.raises(ValueError, match=r"^x must be finite and in"):
            _validate.number(value, "x", 1, 2, **options)
    for value in (np.inf, -np.inf, 10**400):
        with pytest.raises(ValueError, match=r"^x must be finite"):
            _validate.number(value, "x")
    assert _validate.integer(1, "x", low=1) == 1
    with pytest.raises(ValueError, match=r"^x must be at least 1, got 0"):
        _validate.integer(0, "x", low=1)


def test_words():
    assert _validate.choice("sum", "reduction", _validate.REDUCTIONS) == "sum"
    assert _validate.reduction("none") == "none"
    for value in (None, 0, "Sum", b"sum", ("sum",)):
        with pytest.raises(
            ValueError, match=r"^reduction must be one of 'none', 'mean', 'sum', got"
        ):
            _validate.reduction(value)


def test_axes():
    assert _validate.axes(None, 3) == (0, 1, 2)
    assert _validate.axes((-1, 0), 3) == (0, 2)
    assert _validate.one_axis(-3, 3) == 0
    for axis in (3, -4, (0, 3)):
        with pytest.raises(ValueError, match=r"^axis must be in"):
            _validate.axes(axis, 3)
    with pytest.raises(ValueError, match=r"repeat"):
        _validate.axes((0, -3), 3)
    for axis in (None, (0,), 1.0, True, "0"):
        with pytest.raises(TypeError, match=r"^axis must be an integer"):
            _validate.one_axis(axis, 3)


@pytest.mark.parametrize(
    "out",
    [[0.0, 0.0], None, 0.0, np.ma.array([0.0, 0.0]), np.zeros(2).view(Named), Opaque(np.zeros(2))],
)
def test_an_output_must_be_an_array(out):
    with pytest.raises(TypeError, match=r"^out must be a numpy\.ndarray, got"):
        _validate.out_array(out, (2,), np.float64)


def test_what_an_output_array_must_be():
    shape = (2, 3)
    for out, error in (
        (np.zeros(shape, np.float32), TypeError),
        (np.zeros((3, 2)), ValueError),
        (np.broadcast_to(np.zeros(3), shape), ValueError),
        (np.lib.stride_tricks.as_strided(np.zeros(9), shape, (0, 8)), ValueError),
        (np.lib.stride_tricks.as_strided(np.zeros(9), shape, (8, 8)), ValueError),
    ):
        with pytest.raises(error, match=r"^out must have|^out must be writeable"):
            _validate.out_array(out, shape, np.float64)


def test_an_output_is_the_input_or_lies_apart():
    x = np.zeros(10)
    _validate.no_overlap(x, x, "x")
    _validate.no_overlap(x[:], x, "x")
    _validate.no_overlap(x[5:], x[:5], "x")
    for out in (x[1:], x[::-1], x.view(np.int64)):
        with pytest.raises(ValueError, match=r"^out must be x itself"):
            _validate.no_overlap(out, x, "x")
        with pytest.raises(ValueError, match=r"^out must share no memory"):
            _validate.apart(out, x, "x")
    _validate.apart(None, x, "x")
    _validate.apart(x[5:], x[:5], "x")


def test_no_argument_lies_in_the_output():
    memory = np.ones(4)
    with pytest.raises(ValueError, match=r"^out must share no memory with targets"):
        _validate.targets(memory.view(np.int64), (4, 2), 1, None, memory)
    with pytest.raises(ValueError, match=r"^out must share no memory with weight"):
        _validate.weights(memory, "weight", (4,), memory)
    with pytest.raises(ValueError, match=r"^out must share no memory with where"):
        _validate.where_mask(memory.view(np.bool_), (32,), memory)


def test_what_is_hard_to_tell_counts_as_shared():
    memory = np.zeros(10**6, np.uint8)
    strides = [(7919, 15_013, 3), (7907, 15_017, 3)]
    one, other = (
        np.lib.stride_tricks.as_strided(memory[i:], (50, 30, 1000), of)
        for i, of in enumerate(strides)
    )
    assert _memory.share(one, other)


@needs.numpy_writes_dlpack
def test_outputs_that_are_no_arrays(monkeypatch):
    monkeypatch.setattr(np, "__version__", "2.1.0")
    x = np.zeros(3)
    assert _validate.writable(None) is None
    assert _validate.writable(x) is x
    view = _validate.writable(Opaque(x))
    view[0] = 1
    assert x[0] == 1
    assert _validate.writable(7) == 7


def test_an_output_of_an_old_numpy(monkeypatch):
    monkeypatch.setattr(np, "__version__", "2.0.2")
    with pytest.raises(TypeError, match=r"^out cannot .*NumPy 2\.0\.2 only reads"):
        _validate.writable(Opaque(np.zeros(3)))


@needs.numpy_writes_dlpack
def test_an_output_that_cannot_be_lent():
    class Refusing(Opaque):
        def __dlpack__(self, **options):
            raise BufferError("it lies elsewhere")

    with pytest.raises(TypeError, match=r"^out cannot be written where it lies: it lies elsewhere"):
        _validate.writable(Refusing(np.zeros(3)))


@needs.numpy_writes_dlpack
def test_an_output_is_never_a_copy():
    class Copying(Opaque):
        def __dlpack__(self, *, copy=None, **options):
            if copy is False:
                raise BufferError("a copy is needed")
            return self._array.copy().__dlpack__(**options)

    with pytest.raises(TypeError, match=r"a copy is needed"):
        _validate.writable(Copying(np.zeros(3)))
    np.testing.assert_array_equal(_validate.as_array(Copying(np.ones(3)), "x"), 1)


@pytest.mark.parametrize("code", ["?", "b", "B", "q", "Q", "e", "f", "d", "g"])
def test_weights_of_every_real_dtype(code):
    got = _validate.weights(np.ones(3, code), "w", (3,))
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, 1)


def test_weights():
    assert _validate.weights(None, "w", (3,)) is None
    assert _validate.weights([], "w", (0,)).shape == (0,)
    np.testing.assert_array_equal(_validate.weights([0, 0.5], "w", (2,)), [0, 0.5])
    turned = np.asfortranarray(np.ones((2, 3)))
    assert _validate.weights(turned, "w", (2, 3)).flags.c_contiguous
    assert _validate.weights(misaligned(np.ones(3)), "w", (3,)).flags.aligned
    assert _validate.weights([1, 2, 3], "w", (2, 3), broadcast=True).shape == (2, 3)
    with pytest.raises(ValueError, match=r"^w must broadcast to shape"):
        _validate.weights([1, 2], "w", (2, 3), broadcast=True)
    with pytest.raises(ValueError, match=r"^w must have shape"):
        _validate.weights([1, 2, 3], "w", (2, 3))
    for bad in (-1, np.nan, np.inf):
        with pytest.raises(
            ValueError, match=r"^w must be finite and not negative, got .* at position 1"
        ):
            _validate.weights([0, bad], "w", (2,))
    with pytest.raises(TypeError, match=r"^w must be real numbers"):
        _validate.weights([1j], "w", (1,))


@pytest.mark.parametrize("code", ["b", "B", "h", "H", "i", "I", "q", "Q", ">i", ">q"])
def test_index_targets_of_every_dtype(code):
    got, are_indices, ignored = _validate.targets(np.array([1, 0], code), (2, 3), 1, 0)
    assert are_indices
    assert ignored == 0
    assert got.dtype in _validate._targets._INDEX_DTYPES
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, [1, 0])


def test_index_targets_are_not_copied():
    for dtype in _validate._targets._INDEX_DTYPES:
        y = np.array([1, 0], dtype)
        assert _validate.targets(y, (2, 3), 1, None)[0] is y
    assert _validate.targets(misaligned(np.array([1, 0])), (2, 3), 1, None)[0].flags.aligned


def test_uint64_beyond_int64():
    highest = 2**63 - 1
    y = np.array([1, highest], np.uint64)
    assert _validate.targets(y, (2, 3), 1, None)[0].tolist() == [1, highest]
    y[1] += np.uint64(1)
    for ignored in (None, -1, -100, 5):
        with pytest.raises(IndexError, match=r"got 9223372036854775808 at row 1"):
            _validate.targets(y, (2, 3), 1, ignored)
    got, _, ignored = _validate.targets(y, (2, 3), 1, highest + 1)
    assert (got.tolist(), ignored) == ([1, -1], -1)
    with pytest.raises(IndexError, match=r"at row \(1, 0\)"):
        _validate.targets(y[:, np.newaxis], (2, 1, 3), 2, None)
    with pytest.raises(IndexError, match=r"got 18446744073709551615 at row 1"):
        _validate.targets(np.array([1, 2**64 - 1], np.uint64), (2, 3), 1, highest + 1)


def test_empty_targets():
    got, are_indices, _ = _validate.targets([], (0, 3), 1, None)
    assert are_indices
    assert got.dtype == np.int64
    with pytest.raises(TypeError, match=r"must be integers"):
        _validate.targets(np.empty(0), (0, 3), 1, None)
    with pytest.raises(ValueError, match=r"must have shape"):
        _validate.targets([], (2, 3), 1, None)
    with pytest.raises(ValueError, match=r"must have shape"):
        _validate.targets([], (0, 3, 4), 1, None)


def test_what_targets_are_not():
    for value in ([True, False], ["a", "b"], [1j, 2j]):
        with pytest.raises(TypeError, match=r"^targets must be"):
            _validate.targets(value, (2, 3), 1, None)
    with pytest.raises(ValueError, match=r"^ignore_index must be None with probabilities"):
        _validate.targets(np.ones((2, 3)), (2, 3), 1, 0)


def test_numbers_are_no_vectors():
    class Vector:
        ndim = 1

        def __float__(self):
            return 2.0

    with pytest.raises(TypeError, match=r"^temperature must be a real number, got"):
        _validate.number(Vector(), "temperature")


def test_hints():
    assert _validate._targets._hint((4,), (5, 5), 1) == ""
    assert "axis=0:" in _validate._targets._hint((4,), (4, 4), 1)
    assert "axis=0" in _validate._targets._hint((3,), (2, 3), 1)
    assert "axis=0 or axis=1" in _validate._targets._hint((2, 3), (2, 2, 3), 2)
    assert "targets[..., 0]" in _validate._targets._hint((5, 1), (5, 3), 1)
    assert "one-hot, pass targets.argmax(axis=1)" in _validate._targets._hint((5, 3), (5, 3), 1)
    for got, shape, is_swapped in (
        ((8, 3), (8, 1), True),
        ((4, 8, 3), (4, 8, 1), True),
        ((4, 1, 3), (4, 1, 1), True),
        ((8, 3), (7, 1), False),
        ((8, 3), (8, 2), False),
        ((8, 1), (8, 1), False),
        ((8, 3), (1,), False),
        ((8,), (1,), False),
        ((3,), (1,), False),
        ((8, 3, 2), (8, 1), False),
        ((8,), (8, 1), False),
    ):
        assert ("swapped" in _validate._targets._swapped(got, shape)) is is_swapped, (got, shape)
    assert "swapped" in _validate._targets._hint((5, 3), (5,), 0)
    assert "swapped" in _validate._targets._hint((3, 5), (5,), 0)
    for got, shape, axis in (
        ((7, 8), (5,), 0), ((6,), (4, 5, 6), 1), ((4, 1), (4, 5, 6), 1), ((5, 2), (5, 3), 1),
        ((3,), (5, 6, 3), 0),
    ):  # fmt: skip
        assert _validate._targets._hint(got, shape, axis) == ""


def test_the_hint_for_pytorchs_index_to_ignore():
    assert "ignore_index=-100" in str(_validate.bad_target(-100, (0,), 3, None))
    for value, ignored in ((-100, -1), (-99, None)):
        assert "ignore_index" not in str(_validate.bad_target(value, (0,), 3, ignored))
    assert "row" not in str(_validate.bad_target(5, (), 3, None))


def test_missing_values_are_counted():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.array([1, None], "Int64"), "b": [1.0, np.nan]})
    assert _tables.n_missing(frame) == 1
    assert _tables.n_missing(np.array([np.nan])) == 0
    with pytest.raises(ValueError, match=r"^x must have no missing values, got 1 .* columns a$"):
        _validate.as_array(frame, "x")


def test_columns_of_texts_are_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    with pytest.raises(TypeError, match=r"^x must hold numbers, got dtype object in the columns b"):
        _validate.as_array(frame, "x")
    assert _validate.as_array(pandas.Series(["x", "y"], dtype=object), "x").dtype == object
    assert _validate.as_array(frame[["a"]], "x").shape == (2, 1)


def test_missing_values_of_arrow():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"a": [1.0, None, None], "b": [None, 2.0, 3.0]})
    assert _tables.n_missing(table) == 3
    assert _tables.n_missing(table["a"]) == 2


def test_errors_name_the_dtype():
    with pytest.raises(TypeError, match=r"got dtype complex64$"):
        _validate.as_real(np.zeros(2, np.complex64), "x")


def test_masked_arrays_with_nothing_masked_are_plain_ones():
    x = np.ma.array([1.0, 2.0])
    view = _validate.as_array(x, "x")
    assert type(view) is np.ndarray
    assert np.shares_memory(view, x)
    with pytest.raises(TypeError, match=r"^x must have no masked values"):
        _validate.as_array(np.ma.array([1.0], mask=[True]), "x")
    with pytest.raises(TypeError, match=r"^x must be a plain array, got the subclass Named"):
        _validate.as_array(np.ones(1).view(Named), "x")


def test_a_module_that_is_no_pytorch_yet(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    np.testing.assert_array_equal(_validate.as_array([1.0], "x"), [1])
    assert _validate.writable(7) == 7


def test_conversions_of_its_own_come_before_dlpack():
    class Both(Opaque):
        def __array__(self, dtype=None, copy=None):
            return self._array

        def __dlpack__(self, **options):
            raise BufferError("not asked for")

    np.testing.assert_array_equal(_validate.as_array(Both(np.ones(2)), "x"), 1)


@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_conversions_that_fail(error):
    class Failing:
        def __array__(self, dtype=None, copy=None):
            raise error("there is nothing")

    with pytest.raises(
        error, match=r"^x must be an array or nested lists of numbers: there is nothing"
    ):
        _validate.as_array(Failing(), "x")


def test_arrays_that_must_be_alike():
    x = np.zeros((2, 3))
    assert _validate.alike(x, "p", x, "q") is None
    with pytest.raises(ValueError, match=r"^p must have the shape of q, \(2, 3\), got \(3, 2\)"):
        _validate.alike(x.T, "p", x, "q")
    with pytest.raises(TypeError, match=r"^p must have the dtype of q, float64, got float32"):
        _validate.alike(x.astype(np.float32), "p", x, "q")


def test_flags_seeds_and_counts():
    for value in (True, np.True_, False):
        assert _validate.flag(value, "x") is bool(value)
    for value in (1, None, "True"):
        with pytest.raises(TypeError, match=r"^x must be True or False"):
            _validate.flag(value, "x")
    assert _validate.generator(3).random() == np.random.default_rng(3).random()
    for seed, error in ((-1, ValueError), ("a", TypeError)):
        with pytest.raises(error, match=r"^seed must be None, an integer"):
            _validate.generator(seed)
    assert _validate.integer(-5, "x") == -5
    assert _validate.n_classes(1, "x", (2, 1)) is None
    with pytest.raises(ValueError, match=r"^x must have at least one class along axis"):
        _validate.n_classes(0, "x", (2, 0))
    with pytest.raises(ValueError, match=r"^x must have at least one dimension, got a scalar"):
        _validate.one_axis(0, 0, "x")
    assert _validate.one_axis(0, 1) == 0
    with pytest.raises(ValueError, match=r"^reduction must be one of"):
        _validate.reduction(np.array("sum"))


def test_masks():
    assert _validate.where_mask(None, (2, 3)) is None
    mask = _validate.where_mask([True, False, True], (2, 3))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, [[1, 0, 1]] * 2)
    with pytest.raises(TypeError, match=r"^where must be boolean, got dtype int64"):
        _validate.where_mask(np.ones((2, 3), np.int64), (2, 3))
    with pytest.raises(ValueError, match=r"^where must broadcast to shape \(2, 3\), got \(2,\)"):
        _validate.where_mask([True, False], (2, 3))


def test_probabilities_as_targets():
    p = np.ones((2, 3), np.float32)
    got, are_indices, ignored = _validate.targets(p, (2, 3), 1, None)
    assert got is p
    assert (are_indices, ignored) == (False, None)
    with pytest.raises(ValueError, match=r"^targets \(probabilities\) must have shape \(2, 3\)"):
        _validate.targets(p.T, (2, 3), 1, None)


def test_index_targets_of_another_shape():
    for y in ([0], [[0, 1]], [0, 1, 2]):
        with pytest.raises(ValueError, match=r"^targets \(class indices\) must have shape \(2,\)"):
            _validate.targets(np.array(y), (2, 4), 1, None)
    with pytest.raises(TypeError, match=r"^targets of shape \(2,\) must be integers"):
        _validate.targets([0.0, 1.0], (2, 3), 1, None)


def test_no_byte_order_wraps():
    y = np.array([0, 2**63], ">u8")
    with pytest.raises(IndexError, match="got 9223372036854775808 at row 1"):
        _validate.targets(y, (2, 3), 1, None)


def test_a_read_only_output():
    out = np.zeros(2)
    out.setflags(write=False)
    with pytest.raises(ValueError, match=r"^out must be writeable, got a read-only array"):
        _validate.out_array(out, (2,), np.float64)


@pytest.mark.peer
class TestTensors:
    """Of PyTorch, as arrays over their memory."""

    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch", reason="PyTorch is not installed")

    def test_read_and_written_in_place(self, torch):
        x = torch.zeros(3)
        for view in (_validate.as_array(x, "x"), _validate.writable(x)):
            view[:] += 1
        assert x.tolist() == [2, 2, 2]

    def test_a_parameter_without_a_gradient(self, torch):
        x = torch.nn.Parameter(torch.ones(2), requires_grad=False)
        assert _validate.as_array(x, "x").tolist() == [1, 1]

    def test_bits_that_are_applied_late(self, torch):
        z = torch.tensor([1 + 2j, 3 - 4j])
        assert _validate.as_array(z.conj(), "x").tolist() == [1 - 2j, 3 + 4j]
        assert _validate.as_array(z.conj().imag, "x").tolist() == [-2, 4]

    def test_an_output_whose_bits_are_applied_late(self, torch):
        z = torch.tensor([1 + 2j, 3 - 4j])
        for out in (z.conj(), z.conj().imag):
            with pytest.raises(TypeError, match=r"^out holds its values negated or conjugated"):
                _validate.writable(out)

    def test_bfloat16(self, torch):
        dtype = pytest.importorskip("ml_dtypes").bfloat16
        x = torch.ones(2, dtype=torch.bfloat16)
        view = _validate.as_array(x, "x")
        assert view.dtype == dtype
        view[0] = 3
        assert x[0] == 3

    def test_bfloat16_without_ml_dtypes(self, torch, monkeypatch):
        monkeypatch.setitem(sys.modules, "ml_dtypes", None)
        with pytest.raises(ImportError, match=r"^x is of bfloat16, .*: pip install ml_dtypes$"):
            _validate.as_array(torch.ones(2, dtype=torch.bfloat16), "x")

    def test_what_is_refused(self, torch):
        class Mine(torch.Tensor):
            pass

        for tensor, words in (
            (torch.ones(2).as_subclass(Mine), "plain tensor"),
            (torch.ones(2, device="meta"), "on the CPU"),
            (torch.ones(2).to_sparse(), "must be dense"),
            (torch.ones(2, requires_grad=True), "requires a gradient"),
        ):
            for check in (_validate.as_array, _validate.writable):
                with pytest.raises(TypeError, match=f"^x .*{words}"):
                    check(tensor, "x")


MASKED = np.ma.masked_array(1, mask=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, t: fs.softmax(x, axis=MASKED),
        lambda x, t: fs.softmax(x, axis=(MASKED,)),
        lambda x, t: fs.softmax(x, n_threads=MASKED),
        lambda x, t: fs.cross_entropy(x, t, axis=MASKED),
        lambda x, t: fs.cross_entropy(x, t, ignore_index=MASKED),
        lambda x, t: fs.linear_cross_entropy(x, np.ones((3, 5)), t % 3, ignore_index=MASKED),
        lambda x, t: fs.top_k_softmax(x, MASKED),
        lambda x, t: fs.set_num_threads(MASKED),
        lambda x, t: fs.set_result_pool(MASKED),
    ],
)
def test_masked_integers(call):
    """An index of NumPy's would be what is behind the mask."""
    with pytest.raises(TypeError, match="must be an integer"):
        call(np.zeros((4, 5)), np.arange(4))
