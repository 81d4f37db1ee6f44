"""Callbacks with the hook names of Keras: pass a list of them as `fit(..., callbacks=[...])`."""

from __future__ import annotations

import contextlib
import csv
import os
import threading
from typing import TYPE_CHECKING, Any

from .._locks import ProcessLock

if TYPE_CHECKING:
    from ._types import Logs, Path


class Callback:
    """Base class: override the hooks that you need.

    `model` is the estimator, `params` tells about the fit. Epochs and batches count from 0; `logs`
    is a dict with the keys of `history_`. Set `self.model.stop_training = True` to stop after the
    current epoch. Objects of other classes may have any of these hooks too. Hooks for batches make
    every batch a call of its own, which is slower.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoftmax as fs
    >>> from fastsoftmax.estimators.callbacks import Callback
    >>> class StopWhenGood(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.model.stop_training = logs["accuracy"] >= 0.99
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> clf = fs.MLPClassifier((8,), learning_rate_init=0.01, random_state=0)
    >>> clf.fit(X, X[:, 0] > 0, callbacks=[StopWhenGood()]).history_["accuracy"][-1] >= 0.99
    True
    """

    model: Any = None
    params: dict[str, Any] | None = None

    def set_model(self, model: Any) -> None:
        """Receive the estimator before training."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive {"epochs", "samples", "batch_size", "verbose"} before training."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Run before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Run after the last epoch, with the best weights restored."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Run before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Run after an epoch; the estimator predicts with the weights of its end."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a batch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a batch; `logs` are the epoch's figures so far."""


class CSVLogger(Callback):
    """Write a line per epoch to a CSV file: the epoch, then the figures.

    Parameters
    ----------
    filename : path
        The file; replaced unless `append`.
    separator : str, default ","
        What stands between the columns.
    append : bool, default False
        Go on at the end of an existing file, without a second header.
    """

    def __init__(self, filename: Path, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = filename, separator, append

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Empty the file, or find out whether it has a header."""
        with open(self.filename, "a" if self.append else "w") as file:
            self._has_header = file.tell() > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line; the file is closed between epochs, so that nothing is lost."""
        with open(self.filename, "a", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if not self._has_header:
                writer.writerow(["epoch", *logs])
                self._has_header = True
            writer.writerow([epoch, *logs.values()])


class ModelCheckpoint(Callback):
    """Save the estimator after epochs, with what a later `fit(..., resume_from=filepath)` needs.

    Parameters
    ----------
    filepath : path
        May contain "{epoch}" (counted from 1, as Keras does) and the keys of `history_`, for
        example "model-{epoch:02d}-{val_loss:.2f}.safetensors". The file appears whole or not at
        all.
    monitor : str, default "val_loss"
        The figure that `save_best_only` watches; more is better where its name ends in "accuracy".
    save_best_only : bool, default False
        Save only when the figure is the best so far.

    Raises
    ------
    KeyError
        While fitting, if `save_best_only` watches a figure that this fit does not have.
    """

    def __init__(
        self, filepath: Path, monitor: str = "val_loss", save_best_only: bool = False
    ) -> None:
        self.filepath, self.monitor, self.save_best_only = filepath, monitor, save_best_only
        self.best = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if there is reason to."""
        if self.save_best_only:
            if self.monitor not in logs:
                raise KeyError(f"monitor must be one of {', '.join(logs)}, got {self.monitor!r}")
            value = logs[self.monitor] * (-1 if self.monitor.endswith("accuracy") else 1)
            if self.best is not None and not value < self.best:
                return
            self.best = value
        path = os.fspath(self.filepath).format(epoch=epoch + 1, **logs)
        self.model.save(path, training_state=True)


_training_lock = ProcessLock()
_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end")
_HOOKS = (*_BATCH_HOOKS, "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end")


class CallbackList:
    """Calls the same hook of every callback that has it, and tells scikit-learn's of their tasks."""

    def __init__(self, callbacks, model, params, tasks=None):
        self._tasks = tasks
        if callbacks is not None and not isinstance(callbacks, (list, tuple)):
            callbacks = [callbacks]
        self._callbacks = list(callbacks or ())
        for callback in self._callbacks:
            _require_hooks(callback)
        self._model, self._params = model, params
        self.want_batches = any(
            _overrides(c, hook) for c in self._callbacks for hook in _BATCH_HOOKS
        )

    def _call(self, hook, *args):
        for callback in self._callbacks:
            method = getattr(callback, hook, None)
            if method is not None:
                method(*args)

    def train_begins(self):
        """Introduce the model, then begin."""
        self._call("set_model", self._model)
        self._call("set_params", self._params)
        self._call("on_train_begin", {})

    def train_ends(self):
        """End."""
        self._call("on_train_end", {})
        if self._tasks is not None:
            self._tasks.close()

    def epoch_begins(self, epoch):
        """Begin an epoch."""
        self.iteration_begins()
        self._call("on_epoch_begin", epoch, {})

    def iteration_begins(self):
        """Begin an iteration over all rows, which Keras has no hook for."""
        if self._tasks is not None:
            self._tasks.begin()

    def epoch_ends(self, epoch, logs):
        """End an epoch."""
        self._call("on_epoch_end", epoch, dict(logs))
        if self._tasks is not None and self._tasks.end():
            self._model.stop_training = True

    def batch_begins(self, batch):
        """Begin a batch, if somebody listens."""
        if self.want_batches:
            self._call("on_train_batch_begin", batch, {})

    def batch_ends(self, batch, tally):
        """End a batch, if somebody listens."""
        if self.want_batches:
            self._call("on_train_batch_end", batch, tally.means)


def _require_hooks(callback):
    """Raise about what would never be called."""
    if isinstance(callback, type):
        raise TypeError(f"callbacks must be objects, got the class {callback.__name__}: call it")
    if not any(hasattr(callback, hook) for hook in _HOOKS):
        raise TypeError(f"callbacks must have a hook such as on_epoch_end, got {callback!r}")


def _overrides(callback, hook):
    method = getattr(type(callback), hook, None)
    return method is not None and method is not getattr(Callback, hook)


_in_training = {}
"""Which thread fits an estimator, by its id: not an attribute, which copies would inherit."""


def _forget_other_threads():
    """In a forked child: what other threads of the parent were fitting is fitted by nobody here."""
    own = threading.get_ident()
    for key in [key for key, thread in _in_training.items() if thread != own]:
        del _in_training[key]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


@contextlib.contextmanager
def training(model):
    """Give the estimator its `stop_training` flag for the time of a fit, which is one at a time."""
    with _training_lock.lock:
        is_free = id(model) not in _in_training
        if is_free:
            _in_training[id(model)] = threading.get_ident()
    if not is_free:
        raise RuntimeError(
            f"this {type(model).__name__} is being fitted, by another thread or by the fit that "
            "has called this callback: fit a clone of it (sklearn.base.clone)"
        )
    try:
        model.stop_training = False
        yield
    finally:
        vars(model).pop("stop_training", None)
        _in_training.pop(id(model), None)


def is_fitted_elsewhere(model):
    """Whether another thread is fitting an estimator at this moment."""
    return _in_training.get(id(model), threading.get_ident()) != threading.get_ident()
