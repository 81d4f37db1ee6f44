"""Validate a user's arguments: one function per kind of argument.

Every error names the argument, what was expected and what was got. TypeError is for a dtype or kind,
ValueError for a shape, a range or an option, IndexError for a target.
"""

from ._arrays import (
    aligned,
    alike,
    apart,
    as_array,
    as_real,
    is_floating,
    no_overlap,
    out_array,
    weights,
    where_mask,
    writable,
)
from ._options import (
    REDUCTIONS,
    axes,
    choice,
    flag,
    generator,
    integer,
    n_classes,
    number,
    one_axis,
    reduction,
)
from ._targets import bad_target, targets

__all__ = [
    "REDUCTIONS",
    "aligned",
    "alike",
    "apart",
    "as_array",
    "as_real",
    "axes",
    "bad_target",
    "choice",
    "flag",
    "generator",
    "integer",
    "is_floating",
    "n_classes",
    "no_overlap",
    "number",
    "one_axis",
    "out_array",
    "reduction",
    "targets",
    "weights",
    "where_mask",
    "writable",
]
