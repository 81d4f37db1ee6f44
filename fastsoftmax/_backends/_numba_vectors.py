"""Vectors in Numba: lanes of fixed width, and functions over them that become LLVM code.

The loops of the kernels are Numba's; what happens to the lanes is written here, in Python that
runs at compile time and emits one LLVM instruction per operation. So the code is vectorised by
construction, no flag loosens the arithmetic, and the order of every sum is fixed: the same bits
whether a kernel is compiled serial or parallel.

A vector holds 64 bytes of float32 or float64 (`REAL_LANES`), or as many doubles or integers as
such a vector has lanes; LLVM splits it where registers are narrower. Functions made by `lanewise`
take scalars too.
"""

import functools
import inspect

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

REAL_LANES = {32: 16, 64: 8}


class Vector(types.Type):
    """Lanes of one scalar type."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        scalar = dmm.lookup(fe_type.dtype).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(scalar, fe_type.lanes))


def real_vector(dtype):
    """Return the vector type of float32 or float64."""
    return Vector(dtype, REAL_LANES[dtype.bitwidth])


def of_type(like, dtype):
    """Return the type with the lanes of `like` (a vector or scalar type) and `dtype`."""
    return Vector(dtype, like.lanes) if isinstance(like, Vector) else dtype


def spread_value(builder, scalar, vector):
    """Return the LLVM vector with a scalar in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    picks = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, undefined, picks)


class Lanes:
    """A value while its kernel is compiled; operators on it emit LLVM instructions."""

    def __init__(self, context, builder, numba_type, value):
        self.context, self.builder, self.type, self.value = context, builder, numba_type, value

    @property
    def dtype(self):
        """The scalar type of the lanes."""
        return getattr(self.type, "dtype", self.type)

    def make(self, value, dtype=None):
        """Return a value with the same lanes."""
        numba_type = self.type if dtype is None else of_type(self.type, dtype)
        return Lanes(self.context, self.builder, numba_type, value)

    def constant(self, number):
        """Return `number` in every lane."""
        llvm = self.context.get_value_type(self.type)
        scalar = float(number) if isinstance(self.dtype, types.Float) else int(number)
        many = [scalar] * self.type.lanes if isinstance(self.type, Vector) else scalar
        return self.make(ir.Constant(llvm, many))

    def alike(self, other):
        """Return a number, or a scalar of the same type, in as many lanes as this has."""
        if not isinstance(other, Lanes):
            return self.constant(other)
        if isinstance(self.type, Vector) and not isinstance(other.type, Vector):
            return self.make(spread_value(self.builder, other.value, self.value.type))
        return other

    def _with(self, other, on_floats, on_integers):
        other = self.alike(other)
        name = on_floats if isinstance(self.dtype, types.Float) else on_integers
        return self.make(getattr(self.builder, name)(self.value, other.value))

    def __add__(self, other):
        return self._with(other, "fadd", "add")

    def __sub__(self, other):
        return self._with(other, "fsub", "sub")

    def __mul__(self, other):
        return self._with(other, "fmul", "mul")

    def __truediv__(self, other):
        return self._with(other, "fdiv", None)

    def __and__(self, other):
        return self._with(other, None, "and_")

    def __lshift__(self, other):
        return self._with(other, None, "shl")

    def __rshift__(self, other):
        return self._with(other, None, "lshr")

    def __neg__(self):
        return self.make(self.builder.fneg(self.value))

    def compare(self, sign, other):
        """Return the mask of `self sign other`; false beside a NaN unless the sign is !=."""
        other = self.alike(other)
        if not isinstance(self.dtype, types.Float):
            mask = self.builder.icmp_signed(sign, self.value, other.value)
        elif sign == "!=":
            mask = self.builder.fcmp_unordered(sign, self.value, other.value)
        else:
            mask = self.builder.fcmp_ordered(sign, self.value, other.value)
        return self.make(mask, types.boolean)

    def any(self):
        """Return whether this mask of a vector is true in any lane."""
        bits = self.builder.bitcast(self.value, ir.IntType(self.type.lanes))
        found = self.builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))
        return Lanes(self.context, self.builder, types.boolean, found)

    def choose(self, yes, no):
        """Return `yes` where this mask is true, else `no`; one of them may be a number."""
        some = yes if isinstance(yes, Lanes) else no
        yes, no = (v if isinstance(v, Lanes) else some.constant(v) for v in (yes, no))
        return some.make(self.builder.select(self.value, yes.value, no.value))

    def bits(self):
        """Return the lanes as integers of the same width."""
        dtype = types.int32 if self.dtype.bitwidth == 32 else types.int64
        return self._reinterpret(dtype)

    def floats(self):
        """Return integers as the floats with these bits."""
        return self._reinterpret(types.float32 if self.dtype.bitwidth == 32 else types.float64)

    def _reinterpret(self, dtype):
        llvm = self.context.get_value_type(of_type(self.type, dtype))
        return self.make(self.builder.bitcast(self.value, llvm), dtype)

    def to(self, dtype):
        """Convert to float32 or float64."""
        if dtype == self.dtype:
            return self
        llvm = self.context.get_value_type(of_type(self.type, dtype))
        if isinstance(self.dtype, types.Integer):
            return self.make(self.builder.sitofp(self.value, llvm), dtype)
        widens = dtype.bitwidth > self.dtype.bitwidth
        convert = self.builder.fpext if widens else self.builder.fptrunc
        return self.make(convert(self.value, llvm), dtype)

    def call(self, name, *others):
        """Call an LLVM intrinsic over values of one type."""
        llvm = self.value.type
        bits = f"f{self.dtype.bitwidth}"
        suffix = f"v{self.type.lanes}{bits}" if isinstance(self.type, Vector) else bits
        function_type = ir.FunctionType(llvm, [llvm] * (1 + len(others)))
        function = cgutils.get_or_insert_function(
            self.builder.module, function_type, f"llvm.{name}.{suffix}"
        )
        return self.make(self.builder.call(function, [self.value, *(v.value for v in others)]))

    def times_plus(self, factor, addend):
        """Return self * factor + addend, in one rounding where the CPU has that instruction."""
        return self.call("fmuladd", self.alike(factor), self.alike(addend))

    def fused(self, factor, addend):
        """Return self * factor + addend in one rounding, on every CPU."""
        return self.call("fma", self.alike(factor), self.alike(addend))

    def halves(self):
        """Return the lower and the upper half of the lanes."""
        half = self.type.lanes // 2
        undefined = ir.Constant(self.value.type, ir.Undefined)
        parts = []
        for start in (0, half):
            picks = ir.Constant(
                ir.VectorType(ir.IntType(32), half), list(range(start, start + half))
            )
            value = self.builder.shuffle_vector(self.value, undefined, picks)
            parts.append(Lanes(self.context, self.builder, Vector(self.dtype, half), value))
        return parts

    def only(self):
        """Return the one lane that is left as a scalar."""
        value = self.builder.extract_element(self.value, ir.Constant(ir.IntType(32), 0))
        return Lanes(self.context, self.builder, self.dtype, value)


def _arguments(context, builder, numba_types, values):
    """Wrap each argument: tuples become tuples of lanes."""
    wrapped = []
    for numba_type, value in zip(numba_types, values, strict=True):
        if isinstance(numba_type, types.BaseTuple):
            parts = cgutils.unpack_tuple(builder, value)
            wrapped.append(
                [Lanes(context, builder, t, v) for t, v in zip(numba_type, parts, strict=True)]
            )
        else:
            wrapped.append(Lanes(context, builder, numba_type, value))
    return wrapped


def typed_intrinsic(typer, model=None):
    """Make an intrinsic of typer(*types) -> (result type, codegen); `model` has its parameters."""
    model = model or typer

    def typing(typingctx, *argument_types):
        result, codegen = typer(*argument_types)
        return result(*argument_types), codegen

    first = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [first, *inspect.signature(model).parameters.values()]
    functools.update_wrapper(typing, model, updated=())
    typing.__signature__ = inspect.Signature(parameters)  # where Numba counts the arguments
    return intrinsic(typing)


def lanewise(result):
    """Make a function of Numba code out of one over `Lanes`.

    `result` tells the type, or the tuple of types, of what it returns from the types of its
    arguments.
    """

    def decorate(emit):
        def typer(*argument_types):
            returned = result(*argument_types)
            many = isinstance(returned, tuple)

            def codegen(context, builder, signature, values):
                made = emit(*_arguments(context, builder, signature.args, values))
                if not many:
                    return made.value
                return context.make_tuple(builder, signature.return_type, [v.value for v in made])

            return (types.Tuple(returned) if many else returned), codegen

        return typed_intrinsic(typer, emit)

    return decorate
