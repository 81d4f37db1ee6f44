"""Numbers in other containers than arrays: frames, columns with missing values, scalars, files, other libraries."""

import array

import numpy as np
import pytest

import fastsoftmax as fs

X = np.linspace(-2, 3, 20).reshape(5, 4)
T = np.array([0, 3, 1, 2, 2])


NULLABLE = {"float32": "Float32", "float64": "Float64", "int64": "Int64", "bool": "boolean"}


def frames(values):
    """Return a table of numbers in each library and dtype that holds them, by name."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    plain = pandas.DataFrame(values)
    found = {
        "pandas": plain,
        "pandas, nullable": plain.convert_dtypes(),
        "pandas, mixed": plain.astype({0: NULLABLE[values.dtype.name]}),
        "pandas, categories of rows": plain.set_axis(list("abcde")),
    }
    try:
        import pyarrow
    except ImportError:
        pass
    else:
        found["pandas, Arrow"] = plain.convert_dtypes(dtype_backend="pyarrow")
        found["Arrow"] = pyarrow.table({str(i): column for i, column in enumerate(values.T)})
    try:
        import polars
    except ImportError:
        pass
    else:
        found["polars"] = polars.DataFrame({str(i): column for i, column in enumerate(values.T)})
    return found


def columns(values):
    """Return a column of numbers, likewise."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    plain = pandas.Series(values)
    found = {"pandas": plain, "pandas, nullable": plain.convert_dtypes()}
    try:
        import pyarrow
    except ImportError:
        pass
    else:
        found["pandas, Arrow"] = plain.convert_dtypes(dtype_backend="pyarrow")
        found["Arrow"] = pyarrow.array(values)
        found["Arrow, chunked"] = pyarrow.chunked_array([values[:2], values[2:]])
    try:
        import polars
    except ImportError:
        pass
    else:
        found["polars"] = polars.Series(values)
    return found


def test_frames(rng):
    for values in (X, X.astype(np.float32), np.arange(20).reshape(5, 4), X > 0):
        for name, frame in frames(values).items():
            got = fs.softmax(frame)
            assert got.dtype == (np.float32 if values.dtype == np.float32 else np.float64), name
            np.testing.assert_array_equal(got, fs.softmax(np.asarray(frame, got.dtype)), name)
            np.testing.assert_allclose(got, fs.softmax(values), rtol=1e-6)
            assert type(got) is np.ndarray
            loss = fs.cross_entropy(frame, T)
            assert loss == pytest.approx(fs.cross_entropy(values, T), rel=1e-6), name
    for frame in frames(X > 0).values():
        np.testing.assert_array_equal(fs.softmax(X, where=frame), fs.softmax(X, where=X > 0))
        fs.binary_cross_entropy_with_logits(X, frame)


def test_columns():
    want = fs.cross_entropy(X, T, sample_weight=T + 0.5)
    for targets in columns(T).values():
        for weights in columns(T + 0.5).values():
            assert fs.cross_entropy(X, targets, sample_weight=weights) == want
    for targets in columns(T > 1).values():
        with pytest.raises(TypeError, match="targets must be integers"):
            fs.cross_entropy(X, targets)


def test_missing_values_are_refused():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    incomplete = [
        pandas.Series([0, None, 1, 2, 2], dtype="Int64"),
        pandas.Series([0.5, None, 1, 2, 2], dtype="Float32"),
        pandas.Series([True, None, True, True, None], dtype="boolean"),
        pandas.DataFrame({"a": pandas.Series([1, None], dtype="Int64"), "b": [0.5, 1]}),
    ]
    try:
        import pyarrow
    except ImportError:
        pass
    else:
        incomplete += [
            pandas.Series([0, None, 1], dtype="int64[pyarrow]"),
            pyarrow.array([0, None, 1]),
            pyarrow.chunked_array([[0, None], [1]]),
            pyarrow.table({"a": [0.5, None], "b": [1.0, 2.0]}),
        ]
    try:
        import polars
    except ImportError:
        pass
    else:
        incomplete += [
            polars.Series([0, None, 1]),
            polars.Series([0.5, None]),
            polars.DataFrame({"a": [0, None], "b": [0.5, 1.0]}),
        ]
    for value in incomplete:
        with pytest.raises(ValueError, match=r"x must have no missing values, got [12] of them"):
            fs.softmax(value)
        with pytest.raises(ValueError, match="targets must have no missing values"):
            fs.cross_entropy(X, value)
    assert np.isnan(fs.softmax(pandas.Series([0.0, np.nan]))).all()


def test_frames_that_are_not_numbers():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for value in (
        pandas.DataFrame({"a": ["x", "y"], "b": [1, 2]}),
        pandas.DataFrame({"a": pandas.Series([1, 2], dtype="Int64"), "b": ["x", "y"]}),
        pandas.Series(["x", "y"], dtype="string"),
        pandas.Series(["x", "y"], dtype="category"),
        pandas.Series(pandas.to_datetime(["2020-01-01", "2021-01-01"])),
        pandas.Series([1 + 0j]),
    ):
        with pytest.raises(TypeError, match=r"x must .*, got dtype"):
            fs.softmax(value)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_errors_name_the_columns_of_a_frame(library):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    texts = module.DataFrame({"a": [1.0, 2.0], "city": ["x", "y"], "plan": ["u", "v"]})
    with pytest.raises(TypeError, match=r"^x must hold numbers, .* in the columns city, plan$"):
        fs.softmax(texts)
    with pytest.raises(ValueError, match=r"^X must hold numbers, .* in the columns city, plan: "):
        fs.SoftmaxRegression().fit(texts, [0, 1])
    dtype = {"dtype": "Int64"} if library == "pandas" else {}
    gaps = module.DataFrame({"a": [1.0, 2.0], "age": module.Series([1, None], **dtype)})
    with pytest.raises(ValueError, match=r"got 1 of them in the columns age$"):
        fs.softmax(gaps)


def test_scalars(implementation, dtype):
    x = np.linspace(0, 1, 4, dtype=dtype)
    loss, grad = fs.cross_entropy_with_grad(x, 1)
    for target in (1, np.int8(1), np.array(1), np.uint64(1)):
        for weight in (2.0, 2, np.float32(2), np.array(2.0)):
            got = fs.cross_entropy_with_grad(x, target, sample_weight=weight)
            assert got[0] == pytest.approx(loss, rel=1e-6)
            np.testing.assert_allclose(got[1], grad, rtol=1e-6)
            double = fs.cross_entropy(x, target, sample_weight=weight, reduction="sum")
            assert double == pytest.approx(2 * loss, rel=1e-6)
            none = fs.cross_entropy(x, target, sample_weight=weight, reduction="none")
            assert none.shape == ()
    with pytest.raises(IndexError, match=r"^targets must be in \[0, 4\), got 4$"):
        fs.cross_entropy(x, 4)
    with pytest.raises(IndexError, match=rf"^targets must be in \[0, 4\), got {2**64 - 1}$"):
        fs.cross_entropy(x, np.uint64(2**64 - 1))
    with pytest.raises(ValueError, match="sample_weight must be finite and not negative, got -1"):
        fs.cross_entropy(x, 1, sample_weight=-1.0)
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(\), got \(1,\)"):
        fs.cross_entropy(x, 1, sample_weight=[1.0])


def test_logits_without_a_dimension(implementation, dtype):
    x = dtype(0.5)
    assert fs.softmax(x, None) == pytest.approx(1, rel=4 * float(np.finfo(dtype).eps))
    assert fs.log_softmax(x, ()) == 0
    assert fs.logsumexp(x, None) == x
    assert fs.logsumexp(x, None, out=np.empty((), dtype)) == x
    assert fs.softmax_backward(x, x, None) == pytest.approx(0.125)
    assert fs.log_softmax_backward(x, dtype(0), None) == 0
    assert fs.sigmoid(x) == fs.sigmoid(x[None])[0]
    out = np.empty((), dtype)
    assert fs.sigmoid(x, out=out) is out
    assert fs.softmax(x, None, out=out, where=True) is out
    for weight in (None, 2.0, np.array(2.0)):
        loss, grad = fs.binary_cross_entropy_with_logits_with_grad(x, 1, weight=weight)
        want, row = fs.binary_cross_entropy_with_logits_with_grad(x[None], [1], weight=weight)
        assert loss == want
        assert grad == row[0]
        assert grad.shape == ()
    fs.binary_cross_entropy_with_logits_with_grad(x, True, pos_weight=[3.0], out=out)
    for call in (lambda: fs.cross_entropy(x, 0), lambda: fs.top_k_softmax(x, 1)):
        with pytest.raises(ValueError, match="at least one dimension"):
            call()
    for call in (fs.softmax, fs.logsumexp, fs.entropy_with_logits):
        with pytest.raises(ValueError, match=r"axis must be in \[0, 0\)"):
            call(x)
    with pytest.raises(
        ValueError, match="x must have at least one dimension, that of the features"
    ):
        fs.linear_cross_entropy(x, x, [0])


def misaligned(x):
    """Return a copy of x that starts at an odd address."""
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    memory[...] = x
    return memory


@pytest.mark.parametrize("change", [misaligned, lambda x: x.astype(x.dtype.newbyteorder())])
def test_arrays_that_kernels_cannot_read_in_place(implementation, rng, change):
    x, g = rng.standard_normal((2, 6, 5))
    t, p = rng.integers(0, 5, 6), fs.softmax(g)
    w, s, labels = rng.random(5), rng.random(6), (g > 0).astype(float)
    for dtype in (np.int64, np.int32, np.uint8, np.int16, np.uint64):
        got = fs.cross_entropy(
            change(x), change(t.astype(dtype)), weight=change(w), sample_weight=change(s)
        )
        assert got == fs.cross_entropy(x, t, weight=w, sample_weight=s)
    assert fs.cross_entropy(change(x), change(p)) == fs.cross_entropy(x, p)
    np.testing.assert_array_equal(
        fs.softmax_backward(change(g), change(p)), fs.softmax_backward(g, p)
    )
    binary = fs.binary_cross_entropy_with_logits
    got = binary(change(x), change(labels), weight=change(np.abs(g)), pos_weight=change(w))
    assert got == binary(x, labels, weight=np.abs(g), pos_weight=w)
    assert fs.linear_cross_entropy(
        change(x), change(x[:3]), change(t % 3), linear_bias=change(s[:3])
    ) == (fs.linear_cross_entropy(x, x[:3], t % 3, linear_bias=s[:3]))
    assert fs.kl_div_with_logits(change(x), change(g)) == fs.kl_div_with_logits(x, g)


def test_files_buffers_and_lists_of_arrays(implementation, tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=X.shape)
    mapped[...] = X
    want = fs.softmax(X)
    for same in (
        mapped,
        mapped[:],
        list(X),
        [list(row) for row in X],
        memoryview(X),
        tuple(X.tolist()),
    ):
        got = fs.softmax(same)
        assert type(got) is np.ndarray
        np.testing.assert_array_equal(got, want)
    assert fs.cross_entropy(list(X), [np.int64(i) for i in T]) == fs.cross_entropy(X, T)
    assert fs.cross_entropy(X, array.array("i", T.tolist())) == fs.cross_entropy(X, T)
    np.testing.assert_array_equal(fs.softmax([X, X]), [want, want])
