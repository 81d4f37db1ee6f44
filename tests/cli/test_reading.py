"""Reading CSV and .npz: what is taken, and the one line about what is not."""

import numpy as np
import pytest

from fastsoftmax.cli import _csv
from fastsoftmax.cli._csv import Format, Wanted
from fastsoftmax.cli._errors import CommandError
from fastsoftmax.cli._reading import read_table

pytest.importorskip("pandas")


@pytest.fixture
def csv(tmp_path):
    def csv(text, target="y", form=None, **wanted):
        path = tmp_path / "a.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(str(path), Wanted(target, **wanted), form)

    return csv


@pytest.fixture
def npz(tmp_path):
    def npz(target="y", **arrays):
        path = tmp_path / "a.npz"
        np.savez(path, **arrays)
        return read_table(str(path), Wanted(target))

    return npz


def features(table):
    return np.column_stack([column.values for column in table.columns])


def test_csv(csv):
    table = csv("a,y,b\n1,x,2.5\n-3,z,4e2\n")
    assert [column.name for column in table.columns] == ["a", "b"]
    assert features(table).dtype == np.float64
    np.testing.assert_array_equal(features(table), [[1, 2.5], [-3, 400]])
    assert table.labels.to_learn().tolist() == ["x", "z"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("2", "10"), [2, 10]),
        (("-2", "0"), [-2, 0]),
        (("9223372036854775807", "-9223372036854775808"), [2**63 - 1, -(2**63)]),
        (("9223372036854775808", "1"), ["9223372036854775808", "1"]),
        (("9" * 400, "1"), ["9" * 400, "1"]),
        (("01", "2"), ["01", "2"]),
        (("-0", "2"), ["-0", "2"]),
        (("+1", "2"), ["+1", "2"]),
        (("2.0", "-1.0"), ["2.0", "-1.0"]),
        (("1e3", "2"), ["1e3", "2"]),
        (("1_000", "2"), ["1_000", "2"]),
        (("\u0661", "2"), ["\u0661", "2"]),
        ((" 1", "2"), [" 1", "2"]),
        (("2", "x"), ["2", "x"]),
        (("True", "False"), ["True", "False"]),
        (("TRUE", "FALSE"), ["TRUE", "FALSE"]),
        (("NA", "None"), ["NA", "None"]),
        (("NaN", "null"), ["NaN", "null"]),
        (("rosé", "a b"), ["rosé", "a b"]),
        ((" a", "a "), [" a", "a "]),
        (('"a,b"', '"a\nb"'), ["a,b", "a\nb"]),
        (('"say ""a"""', '"a\r\nb"'), ['say "a"', "a\r\nb"]),
    ],
)
def test_csv_labels(csv, labels, expected):
    y = csv(f"a,y\n1,{labels[0]}\n1,{labels[1]}\n").labels.to_learn()
    assert y.dtype.kind == np.asarray(expected).dtype.kind
    assert y.tolist() == expected


@pytest.mark.parametrize("last", ["X9", "01", "1.0", "TRUE"])
def test_labels_do_not_depend_on_how_the_file_is_cut(csv, last):
    """A file of several of pandas's chunks, whose last label alone is no integer."""
    labels = ["1", "2"] * 40_000 + [last]
    y = csv("a,y\n" + "".join(f"0.123456789,{label}\n" for label in labels)).labels.to_learn()
    assert y.tolist() == labels


@pytest.mark.parametrize("bad", ["x", "1,000", "0x10", "1_000", "١", "1d5", "--1"])
def test_numbers_are_converted_by_the_column(csv, bad):
    """What is no number at the end of a long column is told with its row."""
    text = "a,y\n" + "0.5,z\n" * 50_000
    with pytest.raises(
        CommandError, match=r"column 'a' must hold finite numbers, got .* row 50001"
    ):
        csv(f'{text}"{bad}",z\n')


def test_columns_of_booleans_are_numbers(csv):
    table = csv("a,b,y\nTRUE,true,x\nFALSE,False,z\n")
    assert features(table).tolist() == [[1, 1], [0, 0]]
    for mixed in ("TRUE,x\n2,x\n", "2,x\nTRUE,x\n"):
        with pytest.raises(CommandError, match="must hold finite numbers, got 'TRUE'"):
            csv(f"a,y\n{mixed}")


def test_both_ways_of_reading_numbers_agree(csv, monkeypatch, rng):
    """One reads all columns as numbers; the other is for files where one of them is not."""
    numbers = rng.normal(size=2000) * 10.0 ** rng.integers(-300, 300, 2000)
    texts = [repr(float(number)) for number in numbers]
    texts += [
        " 1",
        "2 ",
        "+3",
        ".5",
        "5.",
        "1E5",
        "0.1234567890123456789",
        "9" * 30,
        "",
        "NA",
        "nan",
    ]
    text = "a,y\n" + "".join(f"{number},x\n" for number in texts)
    fast = csv(text).columns[0].values
    np.testing.assert_array_equal(fast[:2000], numbers)
    monkeypatch.setattr(_csv, "_parse_numbers", lambda *args: None)
    np.testing.assert_array_equal(csv(text).columns[0].values, fast)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("\ufeffa,b,y\n1,2.5,rosé\n".encode(), None),
        ("a,b,y\n1,2.5,rosé\n".encode("utf-16"), None),
        ("a,b,y\n1,2.5,rosé\n".encode("utf-32"), None),
        ("a,b,y\n1,2.5,rosé\n".encode("utf-16-le"), Format(encoding="utf-16-le")),
        ("a,b,y\n1,2.5,rosé\n".encode("latin-1"), Format(encoding="latin-1")),
        ("a,b,y\r\n1,2.5,rosé\r\n", None),
        ("a,b,y\r1,2.5,rosé\r", None),
        ("a,b,y\n1,2.5,rosé", None),
        ('\n\n"a","b","y"\n\n"1","2.5","rosé"\n\n', None),
        ("a;b;y\n1;2.5;rosé\n", None),
        ("a\tb\ty\n1\t2.5\trosé\n", None),
        ("a|b|y\n1|2.5|rosé\n", None),
        ("a;b;y\n1;2,5;rosé\n", Format(decimal=",")),
        ("a:b:y\n1:2.5:rosé\n", Format(sep=":")),
        ("a,b,y\n 1,2.5 ,rosé\n", None),
    ],
)
def test_how_a_file_is_written(csv, text, form):
    table = csv(text, form=form)
    assert [column.name for column in table.columns] == ["a", "b"]
    assert features(table).tolist() == [[1, 2.5]]
    assert table.labels.to_learn().tolist() == ["rosé"]


@pytest.mark.parametrize("slow", [False, True])
def test_decimal_comma(csv, monkeypatch, slow):
    if slow:
        monkeypatch.setattr(_csv, "_parse_numbers", lambda *args: None)
    form = Format(decimal=",")
    assert features(csv("a;y\n1,5;x\n-2e3;x\n", form=form)).tolist() == [[1.5], [-2000]]
    for bad in ("1.5", "1.000,5"):
        with pytest.raises(CommandError, match="got '" + bad + "' in row 1"):
            csv(f"a;y\n{bad};x\n", form=form)


@pytest.mark.parametrize(
    ("thousands", "decimal", "texts", "numbers"),
    [
        (",", ".", ["44,364.85", "-1,234,567", "12.5", "1,000e2"], [44364.85, -1234567, 12.5, 1e5]),
        (".", ",", ["44.364,85", "1.234.567", "12,5", "1.234"], [44364.85, 1234567, 12.5, 1234]),
        ("'", ".", ["44'364.85", "+1'000", "7", ""], [44364.85, 1000, 7, np.nan]),
        (
            " ",
            ",",
            ["1 000,5", "2\u202f000", "3\u00a0000\u00a0000", "12,5"],
            [1000.5, 2e3, 3e6, 12.5],
        ),
    ],
)
def test_thousands(csv, thousands, decimal, texts, numbers):
    text = "\n".join(["a;y", *(f"{text};x" for text in texts)])
    form = Format(decimal=decimal, thousands=thousands)
    np.testing.assert_array_equal(csv(text, form=form).columns[0].values, numbers)
    bad = texts[0].replace(decimal, f"{decimal}1{thousands}")
    with pytest.raises(CommandError, match="must hold finite numbers, got"):
        csv(f"{text}\n{bad};x\n", form=form)


@pytest.mark.parametrize(
    "bad", ["1,2", "1,23,456", "1234,567", ",123", "1,,234", "1,234,", "1.5,000"]
)
def test_digits_that_are_not_in_threes(csv, bad):
    """A separator at any other place is none of thousands: 1,2 must not become 12."""
    with pytest.raises(CommandError, match="must hold finite numbers, got"):
        csv(f"a;y\n1,000;x\n{bad};x\n", form=Format(thousands=","))


@pytest.mark.parametrize(
    ("texts", "decimal", "hint"),
    [
        (["44,364.85", "900"], ".", "--thousands ','"),
        (["44.364,85", "900"], ".", "--thousands '.' --decimal ','"),
        (["44.364,85", "900"], ",", "--thousands '.'"),
        (["1 216", "2 000 000"], ".", "--thousands ' '"),
        (["1'216", "900"], ".", """--thousands "'\""""),
        (["1,216", "900"], ".", "--thousands ',', or --decimal ',' if that is the decimal point"),
    ],
)
def test_numbers_in_groups_are_recognised(csv, texts, decimal, hint):
    form = Format(sep=";", decimal=decimal)
    with pytest.raises(CommandError) as caught:  # some numbers, others in groups
        csv("\n".join(["a;y", "900;x", *(f"{text};x" for text in texts)]), form=form, guess=True)
    assert str(caught.value).endswith(f"; pass {hint}")
    assert "--categorical" not in str(caught.value)
    lines = ["a;y", *(f"{text};x" for text in texts if text != "900")]
    with pytest.warns(UserWarning, match="is read as texts") as warned:
        csv("\n".join(lines), form=form, guess=True)
    assert str(warned[0].message).endswith(f": pass {hint}")
    assert "--categorical" not in str(warned[0].message)


def test_many_numbers_in_groups(csv):
    rows = [f"{number},000.5;x" for number in range(1, 102)]
    line = r"groups of three digits, such as '1,000\.5': pass --thousands ','"
    with pytest.raises(CommandError, match=line):
        csv("\n".join(["a;y", *rows]), guess=True)


@pytest.mark.parametrize("slow", [False, True])
def test_na_values(csv, monkeypatch, slow):
    if slow:
        monkeypatch.setattr(_csv, "_parse_numbers", lambda *args: None)
    form = Format(na_values=("-999", "?"))
    values = csv("a,y\n1,x\n-999,x\n-999.0,x\n?,x\n,x\nNA,x\n", form=form).columns[0].values
    assert np.isnan(values).tolist() == [False] + [True] * 5
    with pytest.raises(CommandError, match="missing value in column 'y', row 2"):
        csv("a,y\n1,x\n2,?\n", form=form)


def test_columns_of_texts(csv):
    """A column without any number is one of texts, if the reader may guess; "NA" is a text."""
    text = "a,b,y\n1,red,x\n2,NA,x\n3,,x\n4, red,x\n"
    table = csv(text, guess=True)
    assert table.columns[1].values.tolist() == ["red", "NA", None, " red"]
    assert csv(text, texts=frozenset("ab")).columns[0].values.tolist() == ["1", "2", "3", "4"]
    with pytest.raises(CommandError, match="column 'b' must hold finite numbers, got 'red'"):
        csv(text)
    line = "column 'a' must hold finite numbers, got 'x' in row 2; if they are texts: --categorical"
    with pytest.raises(CommandError, match=line):
        csv("a,y\n1,x\nx,x\n", guess=True)


def test_csv_columns_by_name(csv):
    table = csv("b,note,a,y\n1,hello,2,x\n", target=None, features=["a", "b"])
    assert features(table).tolist() == [[2.0, 1.0]]
    assert table.labels is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.csv is empty"),
        ("\n\n", "is empty"),
        ("a,y\n", "has a header but no rows"),
        ("y\n1\n", "has no columns beside 'y'"),
        ("a,b\n1,2\n", "has no column 'y'; its columns: 'a', 'b'"),
        ("a,b,y\n1,2,x\n3,4,\n", "missing value in column 'y', row 2"),
        (
            "a,b,y\n,2,x\n3,4,\n5,6,\n",
            r"row 2 \(2 of 3 rows lack one; row 1 is the first row of data",
        ),
        ("a,b,y\n1,2,x\n3,4\n", "missing value in column 'y', row 2"),
        ("a,b,y\n1,2,x\n3,red,x\n", "column 'b' must hold finite numbers, got 'red' in row 2"),
        ("a,b,y\n1,2,x\n3,-inf,x\n", "column 'b' must hold finite numbers, got '-inf' in row 2"),
        ('a,y\n"1,000",x\n', "got '1,000' in row 1"),
        ("a,b,y\n1,2,x\n3,4,  \n", "missing value in column 'y', row 2"),
        ('a,b,y\n1,2,x\n3,4,""\n', "missing value in column 'y', row 2"),
        ("a,y\n1,x\n1,x\0z\n", "holds a NUL character in line 3"),
        ("a,y\n1,rosé\n".encode("latin-1"), "not UTF-8: byte 0xe9 in line 2; pass --encoding"),
        ("a,y\n1,x\n".encode("utf-16-le"), "holds a NUL character in line 1"),
        ("a,y\n1,x,9\n", "more fields than its header"),
        ("a,y\n1,x\n1,x,9\n", "cannot be read as CSV: .*line 3"),
        ('a,y\n1,"x\n', "cannot be read as CSV"),
        (",a,y\n0,1,x\n", "column 1 has no name"),
        ("a,a,y\n0,1,x\n", "two columns are named 'a'"),
        (b"\xff\xfe\x00\x01\x02", "cannot be read as utf-16"),
        (b"\xff\xfe\x00\x01", "is empty|has no column"),
    ],
)
def test_bad_csv(csv, text, message):
    with pytest.raises(CommandError, match=message):
        csv(text).labels.to_learn()


@pytest.mark.parametrize("text", [b"a,b+2AA-,y\n1,2,x\n", b"a,b,y\n1,2,+2AA-\n"])
def test_half_a_surrogate_pair(csv, text):
    line = 1 if b"b+" in text else 2
    with pytest.raises(CommandError, match=f"cannot be read as utf-7: half .* in line {line}"):
        csv(text, form=Format(encoding="utf-7")).labels.to_learn()


def test_labels_that_are_none(csv):
    for label, message in (("x" * 1001, "has 1001 characters"),):
        with pytest.raises(CommandError, match=message):
            csv(f"a,y\n1,{label}\n").labels.to_learn()


def test_short_rows_have_missing_values(csv):
    assert np.isnan(csv("a,y,b\n1,x,2\n3,x\n").columns[1].values).tolist() == [False, True]
    assert csv("a,y,b\n1,x,p\n3,x\n", guess=True).columns[1].values.tolist() == ["p", None]


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
    assert table.labels.to_learn().tolist() == ["a", "b", "c"]
    assert table.columns is None


def test_npz_array_by_any_name(npz):
    table = npz("labels", pictures=np.zeros((2, 3)), labels=[[0], [1]])
    assert table.labels.to_learn().tolist() == [0, 1]
    table = npz("y", X=np.zeros((2, 3)), y=[True, False], z=[1])
    assert table.labels.to_learn().tolist() == [True, False]


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
        ({"X": [[1]], "y": [np.nan]}, "missing value in 'y', row 1"),
        ({"X": [[1]], "y": [""]}, "missing value in 'y', row 1"),
        (
            {"X": [[1]], "y": np.array([None], object)},
            "holds Python objects",
        ),
    ],
)
def test_bad_npz(npz, arrays, message):
    with pytest.raises(CommandError, match=message):
        npz(**arrays).labels.to_learn()


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
        read_table(str(path), Wanted("y"))


@pytest.mark.parametrize(
    ("wanted", "form", "message"),
    [
        (
            Wanted("y", drop=("a",), guess=True),
            Format(),
            "--features, --drop and --categorical are",
        ),
        (Wanted("y"), Format(sep=";"), "--sep, --encoding, --decimal and --thousands are for CSV"),
        (Wanted("y"), Format(na_values=("-1",)), "--na-values is for tables"),
    ],
)
def test_options_that_say_nothing_about_arrays(tmp_path, wanted, form, message):
    np.savez(tmp_path / "a.npz", X=np.zeros((2, 2)), y=[1, 2])
    with pytest.raises(CommandError, match=message):
        read_table(str(tmp_path / "a.npz"), wanted, form)
    remembered = Format(";", "latin-1", ",", ".", ("?",))
    assert read_table(str(tmp_path / "a.npz"), Wanted("y"), None, remembered).X.shape == (2, 2)


def test_npy(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    assert read_table(str(tmp_path / "a.npy")).X.tolist() == [[1, 1]] * 3
    with pytest.raises(CommandError, match="has no array 'y'; its arrays: 'X'"):
        read_table(str(tmp_path / "a.npy"), Wanted("y"))
    np.save(tmp_path / "b.npy", np.array([None]), allow_pickle=True)
    with pytest.raises(CommandError, match="holds Python objects, which are never loaded"):
        read_table(str(tmp_path / "b.npy"))
