"""Tables as CSV: whole columns of numbers or texts, never a guess from a part of one."""

import codecs
import io
import warnings
from typing import NamedTuple

import numpy as np

from ._columns import Column, warn_of_groups, warn_of_numbers, without_numbers
from ._errors import CommandError, missing_extra, missing_label
from ._labels import BOOLEANS, RawLabels
from ._number_texts import LIKE_A_NUMBER, SPACES, grouping_of, to_number
from ._option_types import written

SEPARATORS = (",", ";", "\t", "|")
# What stands for no number, as pandas has it. Among labels and texts these are texts.
NO_NUMBERS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip


class Format(NamedTuple):
    """How a CSV file is written; None where the user has not said."""

    sep: str | None = None  # the only separator that occurs in the header
    encoding: str | None = None  # UTF-8, or what a byte order mark says
    decimal: str | None = None  # "."
    thousands: str | None = None  # none: digits stand together
    na_values: tuple[str, ...] | None = None  # beside the empty field

    def or_else(self, other):
        """Return the format with what is not said taken from another."""
        pairs = zip(self, other, strict=True)
        return Format(*(theirs if mine is None else mine for mine, theirs in pairs))


class Wanted(NamedTuple):
    """Which columns of a table to read, and what they hold."""

    target: str | None = None
    features: list[str] | None = None  # in this order; None: all but the target and `drop`
    drop: tuple[str, ...] = ()
    texts: frozenset[str] = frozenset()  # columns that are texts, whatever they look like
    guess: bool = False  # whether a column without any number is one of texts

    def names(self, path, header):
        """Return the names of the features, each of which has to be in the header."""
        lacking = [name for name in self.features or () if name not in header]
        if lacking and not self.guess:
            raise CommandError(
                f"{path} lacks {listed(lacking)}, which the model needs; "
                f"its columns: {listed(header)}"
            )
        for name in (self.target, *lacking, *self.drop, *(self.texts if self.guess else ())):
            if name is not None and name not in header:
                raise CommandError(f"{path} has no column {name!r}; its columns: {listed(header)}")
        if self.target is not None and self.target in (self.features or ()):
            if not self.guess:
                raise CommandError(f"--target: the model learnt from {self.target!r} as a feature")
            raise CommandError(f"--features: {self.target!r} is the column of labels")
        left_out = [name for name in sorted(self.texts) if name not in self.features_of(header)]
        if left_out and self.guess:
            raise CommandError(f"--categorical: {left_out[0]!r} is no column to learn from")
        names = self.features_of(header)
        if not names:
            beside = "" if self.target is None else f" beside {self.target!r}"
            raise CommandError(f"{path} has no columns{beside}")
        return names

    def features_of(self, header):
        """Return which columns are features, as far as they are there."""
        chosen = header if self.features is None else self.features
        return [name for name in chosen if name != self.target and name not in self.drop]


def read_csv(path, data, wanted, form):
    """
    Read the columns and the labels of a CSV file.

    Parameters
    ----------
    path : str
        For messages.
    data : bytes
    wanted : Wanted
    form : Format

    Returns
    -------
    columns : list of Column
    labels : RawLabels or None
    """
    decimal, na_values = form.decimal or ".", tuple(form.na_values or ())
    form = form._replace(decimal=decimal, na_values=na_values)
    data = as_utf8(path, data, form.encoding)
    sep = form.sep or _separator(data)
    options = {"sep": sep, "decimal": decimal}
    header = _header(path, data, options)
    names = wanted.names(path, header)
    numbers = [name for name in names if name not in wanted.texts]
    frame = _parse_numbers(path, data, header, numbers, na_values, options)
    if frame is None:
        frame = _parse(path, data, header, dtype=str, na_filter=False, **options)
    if not len(frame):
        raise CommandError(f"{path} has a header but no rows")
    columns = [_column(path, name, frame[name], wanted, form) for name in names]
    if wanted.target is None:
        return columns, None
    texts = _texts(frame[wanted.target], na_values)
    missing = [text is None for text in texts]
    if any(missing):
        raise missing_label(path, f"column {wanted.target!r}", missing)
    return columns, RawLabels(path, wanted.target, texts)


def as_utf8(path, data, encoding):
    """Return the text of a file as UTF-8 without a byte order mark."""
    if encoding is None:
        if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            encoding = "utf-32"
        elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeError as error:
        raise CommandError(_undecodable(path, data, encoding, error)) from error
    text = text.removeprefix("\ufeff")
    at = text.find("\0")
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        raise CommandError(
            f"{path} holds a NUL character in line {line}: it is no CSV file, or has an --encoding "
            "such as utf-16-le"
        )
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise CommandError(
            f"{path} cannot be read as {encoding}: half of a surrogate pair in line {line}"
        ) from error


def _undecodable(path, data, encoding, error):
    where = ""
    if isinstance(error, UnicodeDecodeError):
        line = data.count(b"\n", 0, error.start) + 1
        where = f": byte 0x{data[error.start]:02x} in line {line}"
    if encoding is None:
        return f"{path} cannot be read as CSV: it is not UTF-8{where}; pass --encoding, as latin-1"
    return f"{path} cannot be read as {encoding}{where}"


def check_encoding(name):
    """Return the name of an encoding of text; raise ValueError about another."""
    try:
        info = codecs.lookup(name)
        text = "a".encode(name)
    except (LookupError, UnicodeError, ValueError):
        text = None
    if not isinstance(text, bytes) or not info._is_text_encoding:
        raise ValueError(f"expected an encoding such as utf-8, utf-16 or latin-1, got {name!r}")
    return info.name


def check_thousands(mark):
    """Return what may part groups of digits; raise ValueError about anything else."""
    if len(mark) == 1 and mark in SPACES:
        return " "
    if len(mark) != 1 or mark.isalnum() or mark in '+-"' or not mark.isprintable():
        raise ValueError(f"expected one character that is no letter, digit or sign, got {mark!r}")
    return mark


def _separator(data):
    """Return the separator: a comma, unless the header has none and has another one instead."""
    line = next((line for line in data.splitlines() if line.strip()), b"").decode()
    found = [sep for sep in SEPARATORS if sep in line]
    return found[0] if len(found) == 1 else ","


def _header(path, data, options):
    """Return the names of the columns, each of which must have one of its own."""
    frame = _parse(path, data, None, header=None, nrows=1, dtype=str, na_filter=False, **options)
    header = ["" if text is None else text for text in _texts(frame.iloc[0], ())]
    seen = set()
    for position, name in enumerate(header):
        if not name.strip():
            raise CommandError(
                f"{path}: column {position + 1} has no name; name it, or leave out the row "
                "numbers when writing the file"
            )
        if name in seen:
            raise CommandError(f"{path}: two columns are named {name!r}")
        seen.add(name)
    return header


def _parse_numbers(path, data, header, numbers, na_values, options):
    """Return the table with its columns of numbers as floats; None if one is something else."""
    floats = dict.fromkeys(numbers, np.float64)
    return _parse(
        path,
        data,
        header,
        dtype={name: floats.get(name, str) for name in header},
        keep_default_na=False,
        na_values={name: [*NO_NUMBERS, *na_values] if name in floats else [""] for name in header},
        or_none=True,
        **options,
    )


def _parse(path, data, names, *, or_none=False, **options):
    try:
        import pandas as pd
    except ImportError as error:
        raise missing_extra(error, "Reading CSV") from error

    if names is not None:
        options |= {"names": names, "header": 0, "index_col": False}
    if int(pd.__version__.split(".")[0]) < 3:  # from 3 the default is as exact
        options["float_precision"] = "round_trip"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            return pd.read_csv(io.BytesIO(data), low_memory=False, encoding="utf-8", **options)
    except pd.errors.EmptyDataError as error:
        raise CommandError(f"{path} is empty") from error
    except pd.errors.ParserWarning as error:
        raise CommandError(f"{path}: its rows have more fields than its header") from error
    except pd.errors.ParserError as error:
        raise CommandError(f"{path} cannot be read as CSV: {error}") from error
    except (ValueError, OverflowError) as error:
        if or_none:
            return None
        raise CommandError(f"{path} cannot be read as CSV: {error}") from error


def _texts(series, na_values):
    """Return a column as objects: str, None where the field is empty or one of `na_values`."""
    absent = {"", *na_values}
    return np.array(
        [
            text if isinstance(text, str) and text.strip() and text not in absent else None
            for text in series.tolist()
        ],
        dtype=object,
    )


def _column(path, name, series, wanted, form):
    if series.dtype == np.float64:
        return Column(name, _finite(path, name, series.to_numpy(np.float64), series))
    texts = _texts(series, form.na_values)
    if name in wanted.texts:
        return Column(name, texts)
    numbers, wrong = _numbers(texts, form)
    numbers = without_numbers(numbers, form.na_values)
    if not wrong:
        return Column(name, _finite(path, name, numbers, texts))
    if wanted.guess and np.isnan(numbers).all():
        present = [text for text in texts if text is not None and text not in NO_NUMBERS]
        grouping = grouping_of(present, form.decimal)
        if grouping is not None:
            warn_of_groups(path, name, present, grouping.hint(form.decimal))
        else:
            other = ", or pass --decimal" if form.decimal == "." else ""
            warn_of_numbers(path, name, present, f"write them as 1234{form.decimal}5{other}")
        return Column(name, texts)
    hint = f"if they are texts: --categorical {written(name)}" if wanted.guess else None
    if LIKE_A_NUMBER.fullmatch(texts[wrong[0]]):
        like_it = [text for text in texts if text is not None and LIKE_A_NUMBER.fullmatch(text)]
        grouping = grouping_of(like_it, form.decimal)
        hint = hint if grouping is None else grouping.hint(form.decimal)
    raise CommandError(
        f"{path}: column {name!r} must hold finite numbers, got {texts[wrong[0]]!r} in row "
        f"{wrong[0] + 1}{'' if hint is None else f'; {hint}'}"
    )


def _numbers(texts, form):
    """Return texts as float64, NaN where there is none, and the rows whose text is no number."""
    present = [row for row, text in enumerate(texts) if text is not None]
    present = [row for row in present if texts[row].strip() not in NO_NUMBERS]
    numbers = np.full(len(texts), np.nan)
    if present and all(texts[row].strip().lower() in BOOLEANS for row in present):
        numbers[present] = [BOOLEANS[texts[row].strip().lower()] for row in present]
        return numbers, []
    wrong = []
    for row in present:
        number = to_number(texts[row], form.decimal, form.thousands)
        if number is None:
            wrong.append(row)
        else:
            numbers[row] = number
    return numbers, wrong


def _finite(path, name, numbers, texts):
    bad = np.flatnonzero(np.isinf(numbers))
    if len(bad):
        value = texts[bad[0]]
        raise CommandError(
            f"{path}: column {name!r} must hold finite numbers, got {str(value)!r} in row "
            f"{bad[0] + 1}"
        )
    return numbers


def listed(names, most=12):
    """Return names for a message: the first dozen, and how many more."""
    names = [str(name) for name in names]
    shown = [repr(name if len(name) <= 40 else f"{name[:37]}...") for name in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown) + more if names else "none"


def csv_line(fields):
    """Return a line of CSV that reads back to the same fields, whatever they hold."""
    return ",".join(_field(str(field)) for field in fields)


def _field(text):
    if text == "" or text != text.strip() or any(mark in text for mark in ',"\r\n;\t|'):
        return '"' + text.replace('"', '""') + '"'
    return text
