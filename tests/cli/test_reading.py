"""Reading CSV and .npz: what is taken, and the one line about what is not."""

import gzip

import numpy as np
import pytest

from fastsoftmax.cli._errors import CommandError
from fastsoftmax.cli._reading import read_table

pytest.importorskip("pandas")


@pytest.fixture
def csv(tmp_path):
    def csv(text, target="y", name="a.csv", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(str(path), target, **options)

    return csv


@pytest.fixture
def npz(tmp_path):
    def npz(target="y", **arrays):
        path = tmp_path / "a.npz"
        np.savez(path, **arrays)
        return read_table(str(path), target)

    return npz


def test_csv(csv):
    table = csv("a,y,b\n1,x,2.5\n-3,z,4e2\n")
    assert table.features == ["a", "b"]
    assert table.X.dtype == np.float64
    np.testing.assert_array_equal(table.X, [[1, 2.5], [-3, 400]])
    assert table.y.tolist() == ["x", "z"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("2", "10"), [2, 10]),
        (("2.0", "-1.0"), [2, -1]),
        (("2", "x"), ["2", "x"]),
        (("True", "False"), ["True", "False"]),
        (("rosé", "a b"), ["rosé", "a b"]),
    ],
)
def test_csv_labels(csv, labels, expected):
    y = csv(f"a,y\n1,{labels[0]}\n1,{labels[1]}\n").y
    assert y.dtype.kind == np.asarray(expected).dtype.kind
    assert y.tolist() == expected


def test_csv_labels_taken_literally(csv):
    assert csv("a,y\n1,01\n1,2.0\n", labels_as_text=True).y.tolist() == ["01", "2.0"]


def test_csv_columns_by_name(csv):
    table = csv("b,note,a,y\n1,hello,2,x\n", target=None, features=["a", "b"])
    assert table.X.tolist() == [[2.0, 1.0]]
    assert table.y is None


def test_csv_compressed(csv):
    packed = gzip.compress(b"a,y\n1,2\n")
    assert csv(packed, name="a.csv.gz").X.tolist() == [[1.0]]
    with pytest.raises(CommandError, match=r"a\.csv\.gz cannot be read as CSV"):
        csv(packed[:-6], name="a.csv.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.csv is empty"),
        ("\n\n", "is empty"),
        ("a,y\n", "has a header but no rows"),
        ("y\n1\n", "has no columns beside 'y'"),
        ("a,b\n1,2\n", "has no column 'y'; its columns: 'a', 'b'"),
        ("a,b,y\n1,2,x\n3,,x\n", "missing value in column 'b', row 2"),
        ("a,b,y\n1,2,x\n3,NA,x\n", "missing value in column 'b', row 2"),
        ("a,b,y\n1,2,x\n3,4,\n", "missing value in column 'y', row 2"),
        ("a,b,y\n1,2,x\n3,4\n", "missing value in column 'y', row 2"),
        ("a,b,y\n1,2,x\n3,red,x\n", "column 'b' must hold finite numbers, got 'red' in row 2"),
        ("a,b,y\n1,2,x\n3,-inf,x\n", "column 'b' must hold finite numbers, got '-inf' in row 2"),
        ('a,y\n"1,000",x\n', "got '1,000' in row 1"),
        ("a,y\n1,0.5\n", "must be whole numbers or text, got 0.5 in row 1"),
        ("a,y\n1,x,9\n", "more fields than its header"),
        ("a,y\n1,x\n1,x,9\n", "cannot be read as CSV: .*line 3"),
        ('a,y\n1,"x\n', "cannot be read as CSV"),
        (",a,y\n0,1,x\n", "column 1 has no name"),
        ("a,a,y\n0,1,x\n", "two columns are named 'a'"),
        (b"\xff\xfe\x00\x01", "cannot be read as CSV"),
    ],
)
def test_bad_csv(csv, text, message):
    with pytest.raises(CommandError, match=message):
        csv(text)


def test_csv_without_the_columns_of_the_model(csv):
    with pytest.raises(
        CommandError, match=r"lacks 'c', 'd', which the model needs; its columns: 'a', 'y'"
    ):
        csv("a,y\n1,2\n", features=["c", "a", "d"])


def test_no_such_file(tmp_path):
    with pytest.raises(CommandError, match=r"nope\.csv: no such file"):
        read_table(str(tmp_path / "nope.csv"))
    with pytest.raises(CommandError, match="is a folder"):
        read_table(str(tmp_path))


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("u1", "u1"),
        ("f4", "f4"),
        ("f8", "f8"),
        ("f2", "f4"),
        ("i8", "f8"),
        ("?", "f8"),
        (">f4", "f4"),
    ],
)
def test_npz_dtypes(npz, dtype, kept):
    X = np.arange(12).reshape(3, 2, 2).astype(dtype)
    table = npz(X=X, y=["a", "b", "c"])
    assert table.X.dtype == kept
    np.testing.assert_array_equal(table.X, X)
    assert table.y.tolist() == ["a", "b", "c"]
    assert table.features is None


def test_npz_array_by_any_name(npz):
    assert npz("labels", pictures=np.zeros((2, 3)), labels=[[0], [1]]).y.tolist() == [0, 1]
    assert npz("y", X=np.zeros((2, 3)), y=[True, False], z=[1]).y.tolist() == ["True", "False"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.zeros((2, 3))}, "has no array 'y'; its arrays: 'X'"),
        ({"y": [1, 2]}, "must hold the rows in an array X; it has none"),
        ({"a": [[1]], "b": [[2]], "y": [1]}, "must hold the rows in an array X; it has 'a', 'b'"),
        ({"X": np.zeros((2, 3)), "y": [1]}, "2 rows in 'X', but 1 labels in 'y'"),
        ({"X": np.zeros(3), "y": [1, 2, 3]}, r"must have the shape \(n, ...\), got \(3,\)"),
        ({"X": np.zeros((0, 3)), "y": []}, r"must have the shape \(n, ...\), got \(0, 3\)"),
        ({"X": [["a"]], "y": [1]}, "'X' must hold numbers, got <U1"),
        ({"X": [[1j]], "y": [1]}, "'X' must hold numbers, got complex128"),
        ({"X": [[1, np.nan]], "y": [1]}, "must hold finite numbers.* row 1, position 2"),
        ({"X": [[1]], "y": [[1, 0]]}, r"'y' must have the shape \(n,\), got \(1, 2\)"),
        ({"X": [[1]], "y": [b"a"]}, "'y' must hold integers or text"),
        ({"X": [[1]], "y": [0.5]}, "must be whole numbers or text, got 0.5"),
        (
            {"X": [[1]], "y": np.array([None], object)},
            "holds Python objects",
        ),
    ],
)
def test_bad_npz(npz, arrays, message):
    with pytest.raises(CommandError, match=message):
        npz(**arrays)


@pytest.mark.parametrize("damage", ["foreign", "npy", "truncated", "flipped"])
def test_damaged_npz(tmp_path, damage):
    path = tmp_path / "a.npz"
    np.savez(path, X=np.ones((50, 50)), y=np.arange(50))
    data = bytearray(path.read_bytes())
    data[500] ^= 0xFF
    damaged = {
        "foreign": b"hello",
        "npy": b"\x93NUMPY\1\0",
        "truncated": data[:3000],
        "flipped": data,
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(CommandError, match=r"a\.npz (is not an|cannot be read as) \.npz"):
        read_table(str(path), "y")
