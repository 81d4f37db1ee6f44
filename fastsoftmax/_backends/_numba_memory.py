"""How Numba kernels reach memory: pointers, and vectors read from and written to them.

Kernels get arrays as addresses and read them through pointers: an array of Numba's is counted by
reference at every call, which costs more than a short row.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ._numba_vectors import REAL_LANES, of_type, real_vector, spread_value, typed_intrinsic


def _vector_pointer(builder, pointer, index, llvm):
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


def _element(llvm):
    """Return the bits of an element, and its bytes as a constant: the alignment of a vector."""
    bits = 64 if isinstance(llvm.element, ir.DoubleType) else 32
    return bits, ir.Constant(ir.IntType(32), bits // 8)


def load_whole(builder, pointer, index, llvm):
    """Emit a read of the vector at pointer[index:]."""
    bits, _ = _element(llvm)
    return builder.load(_vector_pointer(builder, pointer, index, llvm), align=bits // 8)


def store_whole(builder, pointer, index, vector):
    """Emit a write of a vector to pointer[index:]."""
    bits, _ = _element(vector.type)
    pointer = _vector_pointer(builder, pointer, index, vector.type)
    builder.store(vector, pointer, align=bits // 8)


def load_masked(builder, pointer, index, llvm, count, fill=None):
    """Emit a read of the first `count` lanes at pointer[index:]; the others are `fill`, or 0."""
    bits, align = _element(llvm)
    mask = _mask_of_first(builder, count, llvm.count)
    fill = ir.Constant(llvm, [0.0] * llvm.count) if fill is None else fill
    arguments = [_vector_pointer(builder, pointer, index, llvm), align, mask, fill]
    return _masked(builder, "load", llvm, arguments, llvm, bits)


def store_masked(builder, pointer, index, vector, count):
    """Emit a write of the first `count` lanes of a vector to pointer[index:]."""
    llvm = vector.type
    bits, align = _element(llvm)
    mask = _mask_of_first(builder, count, llvm.count)
    arguments = [vector, _vector_pointer(builder, pointer, index, llvm), align, mask]
    _masked(builder, "store", ir.VoidType(), arguments, llvm, bits)


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
        return load_whole(builder, *values, context.get_value_type(vector))

    return vector, codegen


@typed_intrinsic
def load_doubles(array, index, like):
    """Return as many doubles of array[index:] as `like` has lanes."""
    vector = of_type(like, types.float64)

    def codegen(context, builder, signature, values):
        return load_whole(builder, *values[:2], context.get_value_type(vector))

    return vector, codegen


@typed_intrinsic
def load_part(array, index, count, fill):
    """Return the first `count` lanes at array[index:], and `fill` in the others."""

    def codegen(context, builder, signature, values):
        pointer, index, first, others = values
        llvm = context.get_value_type(fill)
        return load_masked(builder, pointer, index, llvm, first, others)

    return fill, codegen


@typed_intrinsic
def store(array, index, vector):
    """Write a vector to array[index:]."""

    def codegen(context, builder, signature, values):
        store_whole(builder, *values)
        return context.get_dummy_value()

    return types.void, codegen


@typed_intrinsic
def store_part(array, index, count, vector):
    """Write the first `count` lanes to array[index:]."""

    def codegen(context, builder, signature, values):
        pointer, index, first, lanes = values
        store_masked(builder, pointer, index, lanes, first)
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
        prefetch = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
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
