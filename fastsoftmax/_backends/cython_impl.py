"""The compiled kernels: chooses the build for this CPU's instruction set and fulfils the contract with it."""

import os

from .. import _compiled
from .._threads import runtime

_BEST_FIRST = ("v4", "v3", "v2", "neon", "plain")
HAS_OPENMP = runtime.HAS_OPENMP


def _built():
    """Return the instruction sets that have a build, best first."""
    names = _compiled.module_names()
    return [isa for isa in _BEST_FIRST if f"kernels_{isa}" in names]


def isas():
    """Return each instruction set with "loaded", "available" or why it was refused."""
    built = _built()
    told = {}
    for isa in _BEST_FIRST:
        if isa in runtime.LEFT_OUT:
            told[isa] = "refused: the compiler that built the package is too old for it"
        elif isa not in built:
            told[isa] = "refused: not in this build"
        elif not runtime.supports(isa):
            told[isa] = "refused: not supported by this CPU"
        else:
            told[isa] = "loaded" if isa == ISA else "available"
    return told


def load_isa(isa):
    """Return the kernels for one instruction set, ready to serve as a back end, or say why that cannot be."""
    if isa not in _BEST_FIRST:
        raise ValueError(f"FASTSOFTMAX_ISA must be one of {', '.join(_BEST_FIRST)}, got {isa!r}")
    if not runtime.supports(isa):
        raise ImportError(f"FASTSOFTMAX_ISA={isa}: this CPU does not support it")
    if isa not in _built():
        raise ImportError(f"FASTSOFTMAX_ISA={isa}: there is no such build on this machine")
    return _compiled.load(f"kernels_{isa}")


def _choose():
    if not _compiled.IS_COMPILED:
        raise ImportError(f'the "cython" backend is not available: {_compiled.WHY_NOT}')
    asked = os.environ.get("FASTSOFTMAX_ISA")
    if asked:
        return asked, "FASTSOFTMAX_ISA"
    for isa in _built():
        if runtime.supports(isa):
            return isa, "best that this CPU supports"
    raise ImportError(
        f"no build of the kernels fits this CPU; built: {', '.join(_built()) or 'none'}"
    )


ISA, ISA_REASON = _choose()
kernels = load_isa(ISA)

kernel_table = kernels.kernel_table
softmax = kernels.softmax
log_softmax = kernels.log_softmax
logsumexp = kernels.logsumexp
softmax_backward = kernels.softmax_backward
log_softmax_backward = kernels.log_softmax_backward
inspect_targets = kernels.inspect_targets
cross_entropy = kernels.cross_entropy
sigmoid = kernels.sigmoid
binary_cross_entropy = kernels.binary_cross_entropy
entropy = kernels.entropy
kl_div = kernels.kl_div
top_k_softmax = kernels.top_k_softmax
