"""How Numba kernels reach memory: pointers, and vectors read from and written to them.

Kernels get arrays as addresses and read them through pointers: an array of Numba's is counted by
reference at every call, which costs more than a short row.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ._numba_vectors import REAL_LANES, of_type, real_vector, spread_value, typed_intrinsic


def _vector_address(builder, pointer, index, llvm):
    return builder.bitcast(builder.gep(pointer, [index]), llvm.as_pointer())


def _mask_of_first(builder, count, lanes):
    """Return the mask of the first `count` lanes."""
    vector = ir.VectorType(count.type, lanes)
    numbers = ir.Constant(vector, list(range(lanes)))
    return builder.icmp_signed("<", numbers, spread_value(builder, count, vector))


def _masked(builder, name, result, arguments, llvm, bits):
    function_type = ir.FunctionType(result, [a.type for a in arguments])
    name = f"llvm.masked.{name}.v{llvm.count}f{bits}.p0"
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    return builder.call(function, arguments)


@typed_intrinsic
def pointer_to(address, like):
    """Return an address as a pointer to scalars of the type of `like`."""
    dtype = types.unliteral(like)

    def codegen(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.CPointer(dtype), codegen


@typed_intrinsic
def advance(pointer, count):
    """Return pointer + count."""

    def codegen(context, builder, signature, values):
        return builder.gep(values[0], [values[1]])

    return pointer, codegen


@typed_intrinsic
def number(array, value):
    """Return a number as a scalar of the array's type."""

    def codegen(context, builder, signature, values):
        return context.cast(builder, values[1], value, array.dtype)

    return array.dtype, codegen


@typed_intrinsic
def lanes_in(array):
    """Return how many elements of an array fill a vector."""

    def codegen(context, builder, signature, values):
        return context.get_constant(types.intp, REAL_LANES[array.dtype.bitwidth])

    return types.intp, codegen


@typed_intrinsic
def load(array, index):
    """Return the vector at array[index:]."""
    vector = real_vector(array.dtype)

    def codegen(context, builder, signature, values):
        llvm = context.get_value_type(vector)
        pointer = _vector_address(builder, *values, llvm)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector, codegen


@typed_intrinsic
def load_doubles(array, index, like):
    """Return as many doubles of array[index:] as `like` has lanes."""
    vector = of_type(like, types.float64)

    def codegen(context, builder, signature, values):
        llvm = context.get_value_type(vector)
        pointer = _vector_address(builder, *values[:2], llvm)
        return builder.load(pointer, align=8)

    return vector, codegen


@typed_intrinsic
def load_part(array, index, count, fill):
    """Return the first `count` lanes at array[index:], and `fill` in the others."""

    def codegen(context, builder, signature, values):
        llvm = context.get_value_type(fill)
        bits = array.dtype.bitwidth
        pointer = _vector_address(builder, *values[:2], llvm)
        mask = _mask_of_first(builder, values[2], fill.lanes)
        arguments = [pointer, ir.Constant(ir.IntType(32), bits // 8), mask, values[3]]
        return _masked(builder, "load", llvm, arguments, llvm, bits)

    return fill, codegen


@typed_intrinsic
def store(array, index, vector):
    """Write a vector to array[index:]."""

    def codegen(context, builder, signature, values):
        llvm = context.get_value_type(vector)
        pointer = _vector_address(builder, *values[:2], llvm)
        builder.store(values[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void, codegen


@typed_intrinsic
def store_part(array, index, count, vector):
    """Write the first `count` lanes to array[index:]."""

    def codegen(context, builder, signature, values):
        llvm = context.get_value_type(vector)
        bits = array.dtype.bitwidth
        pointer = _vector_address(builder, *values[:2], llvm)
        mask = _mask_of_first(builder, values[2], vector.lanes)
        arguments = [values[3], pointer, ir.Constant(ir.IntType(32), bits // 8), mask]
        _masked(builder, "store", ir.VoidType(), arguments, llvm, bits)
        return context.get_dummy_value()

    return types.void, codegen


@typed_intrinsic
def spread(scalar):
    """Return a vector with the scalar in every lane."""
    vector = real_vector(scalar)

    def codegen(context, builder, signature, values):
        return spread_value(builder, values[0], context.get_value_type(vector))

    return vector, codegen


@typed_intrinsic
def read_once(array, index):
    """Return array[index], read from memory exactly once: another thread may change it."""

    def codegen(context, builder, signature, values):
        pointer = builder.gep(values[0], [values[1]])
        return builder.load_atomic(pointer, "monotonic", align=array.dtype.bitwidth // 8)

    return array.dtype, codegen


def _fetch(pointer, to_write):
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    function_type = ir.FunctionType(ir.VoidType(), [byte, word, word, word])

    def codegen(context, builder, signature, values):
        prefetch = cgutils.get_or_insert_function(
            builder.module, function_type, "llvm.prefetch.p0"
        )
        line = builder.bitcast(builder.gep(values[0], [values[1]]), byte)
        keep, data = word(3), word(1)
        builder.call(prefetch, [line, word(to_write), keep, data])
        return context.get_dummy_value()

    return types.void, codegen


@typed_intrinsic
def fetch(pointer, index):
    """Ask for the cache line of pointer[index] before it is read; any address will do."""
    return _fetch(pointer, 0)


@typed_intrinsic
def fetch_to_write(pointer, index):
    """Ask for the cache line of pointer[index] before it is written; any address will do."""
    return _fetch(pointer, 1)
