"""Tables as Parquet and Arrow files, whose columns know their types."""

import numpy as np

from ._columns import Column, warn_of_numbers, without_numbers
from ._contents import foreign
from ._errors import CommandError, missing_label
from ._labels import RawLabels
from ._option_types import written


def read_arrow(path, kind, data, wanted, na_values):
    """
    Read the columns and the labels of a Parquet or Arrow file.

    Parameters
    ----------
    path : str
        For messages.
    kind : {"parquet", "arrow"}
    data : bytes
    wanted : Wanted
    na_values : sequence of str
        Texts and numbers that stand for a missing value.

    Returns
    -------
    columns : list of Column
    labels : RawLabels or None
    """
    table, header = _table(path, kind, data)
    twice = [name for name in set(header) if header.count(name) > 1]
    if twice:
        raise CommandError(f"{path}: two columns are named {twice[0]!r}")
    names = wanted.names(path, header)
    if not table.num_rows:
        raise CommandError(f"{path} has no rows")
    columns = [
        _column(path, name, table.column(name), name in wanted.texts, wanted.guess, na_values)
        for name in names
    ]
    if wanted.target is None:
        return columns, None
    return columns, _labels(path, wanted.target, table.column(wanted.target), na_values)


def _table(path, kind, data):
    """Return the table and the names of its columns."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise CommandError(
            f'{path}: Parquet and Arrow need pyarrow: pip install "fastsoftmax[tables]"'
        ) from error
    with foreign(f"{path} cannot be read as {kind.capitalize()}"):
        source = pa.BufferReader(data)
        if kind == "parquet":
            table = pq.read_table(source, page_checksum_verification=True)
        else:
            is_file = data.startswith(b"ARROW1")
            table = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source).read_all()
        table.validate(full=True)
        row_labels = names_of_row_labels(table.schema)
        return table, [name for name in table.column_names if name not in row_labels]


def names_of_row_labels(schema):
    """Return the columns that hold the row labels of a data frame."""
    about = schema.pandas_metadata
    found = about.get("index_columns", []) if isinstance(about, dict) else []
    return [name for name in found if isinstance(name, str)]


def _column(path, name, chunks, as_text, guess, na_values):
    import pyarrow as pa

    kind = value_type(chunks.type)
    if as_text or (is_text(kind) and guess):
        texts = _texts(path, name, chunks, na_values)
        if not as_text:
            present = [text for text in texts if text is not None]
            warn_of_numbers(path, name, present, "write them as numbers")
        return Column(name, texts)
    if not _is_number(kind):
        what_to_do = (
            f"leave it out with --drop {written(name)}" if guess else "the model needs numbers"
        )
        raise CommandError(f"{path}: column {name!r} holds {kind}; {what_to_do}")
    with foreign(f"{path}: column {name!r} cannot be read as numbers"):
        numbers = np.array(
            chunks.cast(kind).cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64
        )
    numbers = without_numbers(numbers, na_values)
    bad = np.flatnonzero(np.isinf(numbers))
    if len(bad):
        raise CommandError(
            f"{path}: column {name!r} must hold finite numbers, got {numbers[bad[0]]} in row "
            f"{bad[0] + 1}"
        )
    return Column(name, numbers)


def _labels(path, name, chunks, na_values):
    import pyarrow as pa

    kind = value_type(chunks.type)
    if chunks.null_count:
        raise missing_label(path, f"column {name!r}", chunks.is_null().to_pylist())
    if is_text(kind):
        texts = _texts(path, name, chunks, na_values)
        missing = [text is None for text in texts]
        if any(missing):
            raise missing_label(path, f"column {name!r}", missing)
        return RawLabels(path, name, texts)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise CommandError(f"{path}: labels in {name!r} must be integers or text, got {kind}")
    with foreign(f"{path}: column {name!r} cannot be read as labels"):
        values = np.array(chunks.cast(kind).to_pylist(), dtype=kind.to_pandas_dtype())
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise missing_label(path, f"column {name!r}", np.isnan(values))
    return RawLabels(path, name, values)


def value_type(kind):
    """Return the type of the values of a column, which may be encoded by a dictionary."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind):
    """Whether a type is one of texts."""
    import pyarrow as pa

    is_view = getattr(pa.types, "is_string_view", lambda kind: False)(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or is_view


def _is_number(kind):
    import pyarrow as pa

    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(test(kind) for test in tests) or pa.types.is_null(kind)


def _texts(path, name, chunks, na_values):
    with foreign(f"{path}: column {name!r} cannot be read as text"):
        values = chunks.cast(value_type(chunks.type)).to_pylist()
    texts = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        text = None if value is None else str(value)
        texts[row] = None if text is None or not text.strip() or text in na_values else text
    return texts
