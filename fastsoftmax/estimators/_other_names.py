"""Keywords that an estimator has not: what other libraries call what it has under another name."""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._types import Function

_ITERATIONS = (("max_iter",),)
_STRENGTH = (("C",), ("alpha",))
_RATE = (("learning_rate_init",),)
_LAYERS = (("hidden_layer_sizes",),)
_VALIDATION = (("X_val", "y_val"),)
_WEIGHTS = (("sample_weight",),)
_SEED = (("random_state",),)

_MEANT = {
    "epochs": _ITERATIONS,
    "n_epochs": _ITERATIONS,
    "num_epochs": _ITERATIONS,
    "n_iter": _ITERATIONS,
    "iterations": _ITERATIONS,
    "n_iterations": _ITERATIONS,
    "validation_data": _VALIDATION,
    "eval_set": _VALIDATION,
    "x_val": (("X_val",),),
    "Y_val": (("y_val",),),
    "validation_split": (("early_stopping", "validation_fraction"),),
    "patience": (("n_iter_no_change",),),
    "penalty": (("C", "l1_ratio"), ("alpha",)),
    "weight_decay": _STRENGTH,
    "l2": _STRENGTH,
    "alpha": _STRENGTH,
    "C": _STRENGTH,
    "l1": (("l1_ratio",),),
    "lr": _RATE,
    "eta0": _RATE,
    "hidden_sizes": _LAYERS,
    "hidden": _LAYERS,
    "units": _LAYERS,
    "optimizer": (("solver",),),
    "seed": _SEED,
    "random_seed": _SEED,
    "sample_weights": _WEIGHTS,
    "weights": _WEIGHTS,
    "n_workers": (("client",),),
}
"""Names of other libraries, each with the parameters that it stands for: the first that there are."""

_ADVICE = {
    "n_jobs": "use fastsoftmax.set_num_threads",
    "dim": "rows are along the first axis of X, and results have the classes along the last",
    "axis": "rows are along the first axis of X, and results have the classes along the last",
}

_EXPLAINED = {("C",): "C, the inverse of the strength of the penalty"}


def answers_other_names(function: Function) -> Function:
    """Let a TypeError about an unknown keyword name the user's class and the one that was meant."""

    @functools.wraps(function)
    def answering(self, *args, **kwargs):
        if kwargs and not names >= kwargs.keys():
            name = next(name for name in kwargs if name not in names)
            hint = hint_for(name, type(self), function)
            raise TypeError(
                f"{type(self).__name__}{where} got an unexpected keyword argument {name!r}"
                f"{': ' if hint else ''}{hint}"
            )
        return function(self, *args, **kwargs)

    names = frozenset(inspect.signature(function).parameters)
    where = "" if function.__name__ == "__init__" else f".{function.__name__}"
    return answering


def hint_for(name, cls, function):
    """Return what was probably meant by a keyword that a method of a class lacks, "" if unknown."""
    if name in _ADVICE:
        return _ADVICE[name]
    owners = _owners(cls, function)
    for owner, parameters in owners.items():
        if name in parameters:
            return f"it is a parameter of {owner}"
    for meant in _MEANT.get(name, ()):
        for owner, parameters in owners.items():
            if parameters.issuperset(meant):
                return f"use {_EXPLAINED.get(meant) or ' and '.join(meant)}{_of(owner, meant)}"
    for owner, parameters in owners.items():
        near = difflib.get_close_matches(name, sorted(parameters), 1, 0.7)
        if near:
            return f"use {near[0]}{_of(owner, near)}"
    return ""


def _owners(cls, function):
    """Return the parameters of a method, "", and of the two others that a user may have meant."""
    name = function.__name__
    found = {"": function} | {
        owner: getattr(cls, method)
        for owner, method in ((cls.__name__, "__init__"), ("fit", "fit"))
        if method != name
    }
    return {owner: _parameters(method) for owner, method in found.items()}


def _of(owner, names):
    if not owner:
        return ""
    return f", {'a parameter' if len(names) == 1 else 'parameters'} of {owner}"


def _parameters(method):
    return frozenset(inspect.signature(method).parameters) - {"self", "X", "y"}
