"""What scikit-learn's callbacks (set_callbacks, from scikit-learn 1.9 on) are told of a fit."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._types import Function

    class CallbackSupportMixin:
        """As scikit-learn, which has no types, would declare it."""

    def with_callbacks(method: Function) -> Function:
        """Return a method with the same parameters."""
        ...

else:
    try:
        from sklearn.callback import CallbackSupportMixin, with_callbacks
    except ImportError:

        class CallbackSupportMixin:
            """Stands in for that of scikit-learn 1.9: there are no such callbacks."""

        def with_callbacks(method):
            """Do what that of scikit-learn does where there are no callbacks, at the same depth."""

            @functools.wraps(method)
            def with_none(*args, **kwargs):
                return method(*args, **kwargs)

            return with_none


class Tasks:
    """The fit is a task, each of its epochs or iterations one under it.

    L-BFGS does not know beforehand which iteration is its last: as in scikit-learn, the task of one
    that does not come ends without a fitted estimator.
    """

    def __init__(self, host, X, y, sample_weight, name, n_subtasks):
        self._host, self._name, self._open = host, name, None
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._told = {"estimator": host, "X": X, "y": y, "metadata": metadata}
        self._fit = host._init_callback_context(max_subtasks=n_subtasks)
        self._fit.call_on_fit_task_begin(**self._told)

    # The host holds the weights of the moment: a copy of it needs no other attributes.

    def begin(self):
        """Begin an epoch or iteration."""
        self._open = self._fit.subcontext(task_name=self._name)
        self._open.call_on_fit_task_begin(**self._told, reconstruction_attributes={})

    def end(self):
        """End it; return whether a callback wants to stop."""
        stop = self._open.call_on_fit_task_end(**self._told, reconstruction_attributes={})
        self._open = None
        return stop

    def close(self):
        """End the fit, and the task of an iteration that has not come."""
        if self._open is not None:
            self._open.call_on_fit_task_end(estimator=self._host)
        self._fit.call_on_fit_task_end(**self._told, reconstruction_attributes={})


def tasks_of(host, X, y, sample_weight, n_epochs, *, by_batches):
    """Return the Tasks of a fit; None where no callbacks of scikit-learn's have been set."""
    if not getattr(host, "_skl_callbacks", None):
        return None
    name = "epoch" if by_batches else "iteration"
    return Tasks(host, X, y, sample_weight, name, n_epochs + (not by_batches))
