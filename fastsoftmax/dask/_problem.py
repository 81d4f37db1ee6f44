"""What is to be learned: rows that lie on workers, as the solvers of one machine see them."""

from typing import Any, NamedTuple

from ..estimators import _loop
from . import _tasks


class Train(NamedTuple):
    """The rows to train on: where they are, how many, and their weight."""

    partitions: Any
    n_rows: int
    total_weight: float


class Validation(NamedTuple):
    """Rows to validate on that lie on workers."""

    partitions: Any


def validation_logs(problem, network):
    """Return "val_loss" and "val_accuracy" of a network; nothing without rows to validate on."""
    if not isinstance(problem.validation, Validation):
        return _loop.validation_logs(problem, network)
    job = _tasks.Evaluation(network)
    sums = problem.validation.partitions.add_up(job, "validation", n_bytes_of(network))
    return {f"val_{name}": value for name, value in sums.tally.means.items()}


def n_bytes_of(network):
    """Return the size of a network in bytes."""
    return sum(array.nbytes for array in network.arrays)
