"""The user's Dask collections as partitions: a delayed piece of X, of y and of the weights each."""

import warnings
from typing import Any, NamedTuple

import dask
import dask.array as da
from dask.core import flatten
from dask.delayed import Delayed
from distributed import Future, futures_of
from sklearn.exceptions import DataConversionWarning

_KINDS = "a Dask array, a Dask data frame, or a list of delayed pieces"


class Partition(NamedTuple):
    """A part of the rows, still on its way: delayed pieces or futures."""

    X: Any
    y: Any
    sample_weight: Any = None


class Pieces(NamedTuple):
    """The pieces of one collection, and whether they lie in the workers' memory already."""

    pieces: list
    are_held: bool


def is_lazy(X):
    """Whether X is a Dask collection, or a list of pieces on their way."""
    return dask.is_dask_collection(X) or _is_list_of_pieces(X)


def _is_list_of_pieces(X):
    return (
        isinstance(X, (list, tuple))
        and len(X) > 0
        and all(isinstance(x, (Delayed, Future)) for x in X)
    )


def _is_frame(X):
    return dask.is_dask_collection(X) and hasattr(X, "map_partitions") and hasattr(X, "divisions")


def pieces_of(X, name):
    """Return the Pieces of a collection, in the order of its rows."""
    if isinstance(X, da.Array):
        return _array_pieces(X, name)
    if _is_frame(X):
        return Pieces(list(X.to_delayed(optimize_graph=True)), False)
    if _is_list_of_pieces(X):
        held = {
            future.key for piece in X if isinstance(piece, Delayed) for future in futures_of(piece)
        }
        return Pieces(list(X), all(isinstance(x, Future) or x.key in held for x in X))
    hint = ""
    if hasattr(X, "shape"):
        hint = (
            ". What is in memory goes to the class of the same name in fastsoftmax as it is, or through "
            "dask.array.from_array or dask.dataframe.from_pandas"
        )
    raise TypeError(f"{name} must be {_KINDS}, got {type(X).__name__}{hint}")


def _array_pieces(X, name):
    require_whole_rows(X, name)
    held = {future.key: future for future in futures_of(X)}
    keys = list(flatten(X.__dask_keys__()))
    if all(key in held for key in keys):
        return Pieces([held[key] for key in keys], True)
    return Pieces(list(X.to_delayed(optimize_graph=True).ravel()), False)


def require_whole_rows(X, name):
    """Raise unless a Dask array is cut along its first axis alone."""
    if X.ndim == 0:
        raise ValueError(f"{name} must have rows, got an array without axes")
    if any(n > 1 for n in X.numblocks[1:]):
        axes = ", ".join(f"{axis}: -1" for axis in range(1, X.ndim))
        raise ValueError(
            f"{name} must have whole rows in each chunk, got chunks {X.chunks}: "
            f"{name}.rechunk({{{axes}}})"
        )


def partitions_of(X, y, sample_weight, suffix=""):
    """Return (list of Partition, whether those of X are held by workers); all must be cut alike."""
    x_pieces, held = pieces_of(X, f"X{suffix}")
    _warn_of_column(y, f"y{suffix}")
    columns = [x_pieces]
    for value, name in ((y, f"y{suffix}"), (sample_weight, "sample_weight")):
        if value is None and name == "sample_weight":
            columns.append([None] * len(x_pieces))
            continue
        found = pieces_of(_cut_like(X, value, name), name).pieces
        if len(found) != len(x_pieces):
            raise ValueError(
                f"{name} must have as many partitions as X{suffix}, {len(x_pieces)}, "
                f"got {len(found)}"
            )
        columns.append(found)
    return [Partition(*row) for row in zip(*columns, strict=True)], held


def _warn_of_column(y, name):
    """Warn of a collection that says it is a column: the tasks take it as a vector, each quietly."""
    if dask.is_dask_collection(y) and getattr(y, "ndim", 1) == 2 and y.shape[1] == 1:
        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected: it is read as one",
            DataConversionWarning,
            stacklevel=6,
        )


def _cut_like(X, value, name):
    """Return an array that goes with X, cut as X is, where both tell how long their chunks are."""
    if not (isinstance(X, da.Array) and isinstance(value, da.Array)) or value.ndim == 0:
        return value
    ours, theirs = X.chunks[0], value.chunks[0]
    if any(n != n for n in (*ours, *theirs)):  # NaN: not known yet
        return value
    if sum(ours) != sum(theirs):
        raise ValueError(f"{name} must have {sum(ours)} rows like X, got {sum(theirs)}")
    return value if ours == theirs else value.rechunk({0: ours})
