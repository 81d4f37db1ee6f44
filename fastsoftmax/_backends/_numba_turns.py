"""Squares of contiguous rows, turned into the vectors of their columns and back, for Numba.

As many rows as a vector has lanes are read as vectors and transposed in registers: the lanes of
pairs of vectors are exchanged at distances 1, 2, 4, ...
"""

from llvmlite import ir
from numba import types

from ._numba_memory import load_masked, load_whole, store_masked, store_whole
from ._numba_vectors import real_vector, typed_intrinsic


def _transposed(builder, vectors):
    """Return the columns of the square whose rows are `vectors`."""
    n = len(vectors)
    picks = ir.VectorType(ir.IntType(32), n)
    distance = 1
    while distance < n:
        low = [j if not j & distance else n + j - distance for j in range(n)]
        high = [j + distance if not j & distance else n + j for j in range(n)]
        turned = list(vectors)
        for i in range(n):
            if not i & distance:
                a, b = vectors[i], vectors[i + distance]
                turned[i] = builder.shuffle_vector(a, b, ir.Constant(picks, low))
                turned[i + distance] = builder.shuffle_vector(a, b, ir.Constant(picks, high))
        vectors = turned
        distance *= 2
    return vectors


def _square(array, loads, stores):
    """Return an intrinsic's type and code: a square from `array` to another, of given row steps.

    loads(builder, pointer, index, llvm, count) reads a row of the first square; stores likewise.
    """
    vector = real_vector(array.dtype)

    def codegen(context, builder, signature, values):
        x, at, step, out, to, out_step, count = values
        llvm = context.get_value_type(vector)
        rows = []
        for _ in range(vector.lanes):
            rows.append(loads(builder, x, at, llvm, count))
            at = builder.add(at, step)
        for row in _transposed(builder, rows):
            stores(builder, out, to, row, count)
            to = builder.add(to, out_step)
        return context.get_dummy_value()

    return types.void, codegen


def _load(builder, pointer, index, llvm, count):
    return load_whole(builder, pointer, index, llvm)


def _store(builder, pointer, index, vector, count):
    store_whole(builder, pointer, index, vector)


@typed_intrinsic
def turn_square(x, at, step, out, to, out_step, count):
    """Transpose a square whose rows start at x[at], x[at + step], ...; `count` is not used."""
    return _square(x, _load, _store)


@typed_intrinsic
def turn_part(x, at, step, out, to, out_step, count):
    """Do as `turn_square`, but read only `count` columns of x; the others are 0."""
    return _square(x, load_masked, _store)


@typed_intrinsic
def turn_part_back(x, at, step, out, to, out_step, count):
    """Do as `turn_square`, but write only `count` columns of out."""
    return _square(x, _load, store_masked)
