"""One operation beside its peers: judged against long double, then timed."""

import functools
import time

import numpy as np

from . import disturbance, operations
from .contenders import ONE_THREAD, OURS, version
from .results import make_row
from .timer import Turn, alternate


class WrongResult(Exception):
    """A contender is wrong beyond rounding: there is no sense in timing it."""


class Subject:
    """
    A contender as it is measured: it makes its inputs, tells its result, and takes turns.

    Shapes go in and seconds come out, so that a subject may live in another process.
    """

    def __init__(self, contender):
        self.name = contender.name
        self._contender = contender
        self._turn = None

    def version(self):
        """Return the version of its library."""
        return version(self._contender.distribution)

    def offers(self, operation):
        """Whether its library has the operation."""
        return hasattr(self._contender, operation)

    def result(self, operation, shape, dtype):
        """Return the losses of rows, the gradient, or the probabilities of the sample that is judged."""
        x, y = operations.sample(*inputs(shape, dtype))
        if operation == "cross_entropy":
            return np.asarray(self._contender.losses(x, y)())
        got = getattr(self._contender, operation)(x, y)()
        return np.asarray(got[1] if operation == "cross_entropy_with_grad" else got)

    def prepare(self, operation, shape, dtype):
        """Make the call that is timed, and call it once."""
        self._turn = Turn(getattr(self._contender, operation)(*inputs(shape, dtype)))

    def turn(self):
        """Return the seconds of one call."""
        return self._turn()


@functools.lru_cache(maxsize=1)
def inputs(shape, dtype):
    """Return the logits and targets of a shape, the same in every process."""
    return operations.make_inputs(shape, np.dtype(dtype))


def check(subjects, operation, shape, dtype):
    """
    Compare every subject with the long double result on a sample of the rows.

    Returns
    -------
    dict
        The largest error of each, in ULP.

    Raises
    ------
    WrongResult
        If one of them is wrong beyond rounding.
    """
    expected = operations.exact(operation, *operations.sample(*inputs(shape, dtype)))
    errors = {}
    for subject in subjects:
        got = subject.result(operation, shape, dtype)
        if not operations.agrees(got, expected):
            raise WrongResult(
                f"{subject.name} computes a wrong {operation} of {shape[0]}x{shape[1]} {dtype} "
                "logits; nothing is timed"
            )
        errors[subject.name] = operations.max_ulp(got, expected)
    return errors


def measure(subjects, operation, shape, dtype, seconds, *, children=()):
    """
    Judge and time one operation on one shape.

    Parameters
    ----------
    subjects : list
        `Subject`s or their likes in other processes, ours first.
    operation, shape, dtype
        One of `operations.OPERATIONS`; rows and classes, and the name of the dtype, of the logits.
    seconds : float
        About how long to take, checks included.
    children : iterable of int, optional
        Identifiers of the subjects' processes.

    Returns
    -------
    dict
        A row: operation, n_rows, n_classes, dtype; seconds, spread, ulp; copy_share; peers, with seconds, spread, ratio
        and ulp for each; disturbed.
    """
    end = time.perf_counter() + seconds
    subjects = [subject for subject in subjects if subject.offers(operation)]
    errors = check(subjects, operation, shape, dtype)
    for subject in subjects:
        subject.prepare(operation, shape, dtype)
    turns = {subject.name: subject.turn for subject in subjects}
    turns["copy"] = Turn(inputs(shape, dtype)[0].copy)
    seconds = max(end - time.perf_counter(), seconds / 4)

    watch = disturbance.Watch(children)
    timings = alternate(turns, seconds)
    disturbed = watch.reasons() + disturbance.suspicions(timings, OURS, ONE_THREAD)
    copy = timings.pop("copy").seconds
    timings.pop(ONE_THREAD, None)
    case = {"operation": operation, "n_rows": shape[0], "n_classes": shape[1], "dtype": dtype}
    row = make_row(case, timings, ulp=errors)
    return {**row, "copy_share": copy / row["seconds"], "disturbed": disturbed}
